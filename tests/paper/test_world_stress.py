"""Worlds of a chosen size and pace."""

import pytest

from bot.paper.engine import Engine
from bot.paper.model import Listener
from bot.paper.world import World

BEGIN_MS = 1_795_262_400_000


class Count(Listener):
    moves = 0

    def book(self, *told: object) -> None:
        self.moves += 1


def live(world: World, seconds: int) -> tuple[Engine, list[int]]:
    """The engine and its level changes in each second."""
    engine, count = Engine(1), Count()
    engine.listeners.append(count)
    world.start(engine, BEGIN_MS)
    rates = []
    for beat in range(1, seconds * 20 + 1):
        world.advance(engine, BEGIN_MS + beat * 50)
        if beat % 20 == 0:
            rates.append(count.moves)
            count.moves = 0
    return engine, rates


@pytest.mark.parametrize(("markets", "rate"), [(None, None), (300, 1_500.0), (60, 3_000.0)])
def test_a_stress_world_has_the_size_and_the_rate_asked_for(markets: int | None, rate: float | None) -> None:
    engine, rates = live(World("stress", 5, 1.0, markets=markets, rate=rate), 25)
    wanted = rate or 2_000
    assert 0.75 * wanted < sum(rates[10:]) / 15 < 1.4 * wanted
    assert 0.9 * (markets or 500) <= len(engine.markets) <= 1.2 * (markets or 500)
    on = [market for market in engine.markets.values() if market.status == "active"]
    assert {engine.events[market.event_ticker].category for market in on} == {"Sports", "Crypto", "Economics"}
    coins = {engine.events[market.event_ticker].series_ticker for market in on if "15M" in market.ticker}
    assert coins == {"KXBTC15M", "KXETH15M", "KXSOL15M"}


def test_the_same_seed_gives_the_same_stress() -> None:
    def books(seed: int) -> list[object]:
        engine, rates = live(World("stress", seed, 1.0, markets=200, rate=800), 5)
        return [rates, [engine.depth(ticker) for ticker in engine.markets]]

    assert books(3) == books(3) != books(4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"markets": 3}, "--markets 3"),
        ({"markets": 9_999}, "--markets"),
        ({"rate": 0.0}, "--rate"),
        ({"rate": -1}, "-1"),
    ],
)
def test_impossible_wishes_are_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        World("stress", 1, 1.0, **options)  # type: ignore[arg-type]
