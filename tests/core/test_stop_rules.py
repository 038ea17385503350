"""Trailing and break-even: where a plan's own rules carry its stop, and that only they do."""

import msgspec
import pytest
from scene import PLAN, T0, TICKER, Scene, market

from bot.core import events as e
from bot.core.facts import PlanChanged
from bot.core.folding import fold
from bot.core.grid import Band, PriceGrid
from bot.core.state import dump, load, new_state, state_hash
from bot.core.trades import ExitPlan, Trade, break_even
from bot.core.units import ONE, Count, Money, Price

SIDES = ("bid", "ask")


def plan(side: str, **changes: int | None) -> ExitPlan:
    """A plan in prices of the side held, as YES prices."""
    prices = {"stop": 8_000, "target": None, **changes}
    for name in ("stop", "target"):
        at = prices[name]
        prices[name] = at if at is None or side == "bid" else ONE - at
    return msgspec.structs.replace(PLAN, time_exit_ms=None, **prices)


def scene_of(side: str, **changes: int | None) -> Scene:
    scene = Scene()
    scene.held(price=8_800 if side == "bid" else 1_200, side=side, plan=plan(side, **changes))
    return scene


def price(scene: Scene, held: int) -> None:
    """A tick at which the side held can be left for `held`."""
    if scene.trade().side == "bid":
        scene.tick(held, min(held + 100, 9_999))
    else:
        scene.tick(max(ONE - held - 100, 1), ONE - held)


def stop(scene: Scene) -> int | None:
    at = scene.trade().plan.stop
    return at if at is None or scene.trade().side == "bid" else ONE - at


def moves(scene: Scene) -> list[str]:
    return [x.author for x in scene.facts if isinstance(x, PlanChanged)]


@pytest.mark.parametrize("side", SIDES)
def test_a_trailing_stop_follows_the_best_price_and_never_goes_back(side: str) -> None:
    scene = scene_of(side, trail=500)
    for seen, stands in ((8_400, 8_000), (8_600, 8_100), (9_200, 8_700), (8_900, 8_700), (9_300, 8_800)):
        price(scene, seen)
        assert stop(scene) == stands, seen
    assert scene.sent() == [] and moves(scene) == ["trailing"] * 3
    price(scene, 8_800)
    assert [(o.reduce_only, o.count) for o in scene.sent()] == [(True, 2_000)]
    assert scene.trade().exit_kind == "stop"


def test_a_trailing_stop_moves_by_a_cent_or_more() -> None:
    scene = Scene()
    fine = PriceGrid((Band(Price(0), ONE, Price(10)),))
    scene.propose("bid", 8_800, 2_000, plan("bid", trail=500), grid=fine)
    [entry] = scene.sent()
    scene.reply(entry, 2_000)
    scene.fill(entry, 8_800, 2_000)
    for seen in range(8_400, 8_700, 10):
        scene.tick(seen, 8_900)
    assert moves(scene) == ["trailing"] and stop(scene) == 8_100
    scene.tick(8_700, 8_900)
    assert stop(scene) == 8_200


@pytest.mark.parametrize("side", SIDES)
def test_a_trailing_stop_begins_without_a_stop_and_does_not_touch_the_price(side: str) -> None:
    scene = scene_of(side, stop=None, trail=500)
    price(scene, 8_700)
    assert stop(scene) == 8_200
    low = scene_of(side, stop=None, trail=500)
    price(low, 100)
    assert stop(low) is None and low.sent() == [], "a stop at the grid's last price would fire at once"


@pytest.mark.parametrize("side", SIDES)
def test_a_gain_moves_the_stop_to_break_even_once(side: str) -> None:
    scene = scene_of(side, break_even_after=300)
    price(scene, 9_099)
    assert stop(scene) == 8_000
    price(scene, 9_100)
    each, leaving = 8_800 + 5, -(-7 * 8_881 * (ONE - 8_881) // 100 // 10_000)
    assert stop(scene) == 8_900 and 8_800 < each + leaving <= 8_900, "the first price that returns all"
    for seen in (9_500, 9_000, 9_600):
        price(scene, seen)
    assert moves(scene) == ["break-even"]


def test_break_even_waits_until_the_price_is_beyond_it() -> None:
    scene = scene_of("bid", break_even_after=50)
    scene.tick(8_900, 9_000)
    assert stop(scene) == 8_000, "a stop at the price would fire at once"
    scene.tick(9_000, 9_100)
    assert stop(scene) == 8_900


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("paid", [200, 1_234, 4_800, 5_000, 7_777, 8_800, 9_500, 9_900])
def test_leaving_at_break_even_returns_what_was_paid_and_a_hair_less_does_not(side: str, paid: int) -> None:
    held = Trade("b-1", TICKER, side, "t", market(), PLAN, T0)  # type: ignore[arg-type]
    held.entered, held.entry_cost, held.fees = Count(10_000), Money(paid * 10_000), Money(123_400)
    even = break_even(held)
    assert even is not None
    each = even if side == "bid" else ONE - even

    def returned(at: int) -> float:
        return at * 10_000 - 0.07 * at * (ONE - at) / 1e8 * 100 * 1e6 - (held.entry_cost + held.fees)

    assert returned(each) >= 0 or each == ONE
    assert returned(each - 3) < 0


def test_a_stop_that_was_moved_survives_a_restart_and_protects() -> None:
    scene = scene_of("bid", trail=500)
    price(scene, 9_300)
    replayed = new_state(scene.state.config, "RUNNING", T0)
    for fact in scene.facts:
        fold(replayed, fact)
    assert state_hash(replayed) == state_hash(scene.state)
    scene.state = load(dump(scene.state))
    scene.at(5).do(e.Boot(scene.now, "b2", scene.state.config))
    assert stop(scene) == 8_800
    price(scene, 8_800)
    assert len(scene.sent()) == 1
