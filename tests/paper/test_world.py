"""The synthetic world: always something to trade, a whole life in minutes, and prices that mean what they say."""

import math
from collections import Counter
from random import Random

import pytest

from bot.paper.contest import Contest, draw_path, mean_for
from bot.paper.engine import Engine
from bot.paper.model import Listener, Market, NewOrder
from bot.paper.orders import create
from bot.paper.teams import LEAGUES
from bot.paper.world import World

NOW = 1_790_000_000_000
LIFE = ["created", "close_date_updated", "determined", "settled"]


class Diary(Listener):
    def __init__(self) -> None:
        self.events: dict[str, list[tuple[str, int]]] = {}
        self.paid: dict[str, float] = {}

    def lifecycle(self, market: Market, kind: str, now_ms: int) -> None:
        self.events.setdefault(market.ticker, []).append((kind, now_ms))
        if kind == "settled" and market.settlement_value is not None:
            self.paid[market.ticker] = market.settlement_value / 10_000


def begin(seed: int = 7, speed: float = 1.0, **settings: float) -> tuple[Engine, World, Diary]:
    engine, world, diary = Engine(seed), World("demo", seed, speed, **settings), Diary()  # type: ignore[arg-type]
    engine.listeners.append(diary)
    world.start(engine, NOW)
    return engine, world, diary


def run(engine: Engine, world: World, since_s: float, until_s: float, step_ms: int = 250) -> None:
    for ms in range(round(since_s * 1000), round(until_s * 1000), step_ms):
        world.advance(engine, NOW + ms)


def games(world: World) -> list[Contest]:
    return [contest for contest in world.now.contests if contest.league and contest.stage == "live"]


@pytest.fixture(scope="module")
def ten_minutes() -> tuple[Engine, World, Diary, list[tuple[int, int, int]]]:
    """A world after ten minutes, with (active markets, games in play, favourites on offer) every ten seconds."""
    engine, world, diary = begin()
    seen = []
    for second in range(0, 600, 10):
        run(engine, world, second, second + 10, step_ms=500)
        now = NOW + (second + 10) * 1000
        active = sum(market.status == "active" for market in engine.markets.values())
        playing = sum(game.path.start_ms <= now for game in games(world))
        bids = [engine.best(o.ticker) for g in games(world) if g.nominal_end_ms - now >= 60_000 for o in g.outcomes]
        favourites = sum(
            bid is not None and ask is not None and bid >= 8_500 and ask <= 9_600 for bid, _, ask, _ in bids
        )
        seen.append((active, playing, favourites))
    return engine, world, diary, seen


def test_there_is_always_something_to_trade(ten_minutes) -> None:
    *_, seen = ten_minutes
    assert all(50 <= active <= 100 for active, _, _ in seen)
    assert all(playing >= 8 for _, playing, _ in seen)
    assert all(favourites >= 2 for *_, favourites in seen)
    assert sum(favourites for *_, favourites in seen) / len(seen) >= 5


def test_a_game_lives_from_its_listing_to_its_settlement(ten_minutes) -> None:
    engine, _, diary, _ = ten_minutes
    whole = [events for ticker, events in diary.events.items() if "GAME" in ticker and events[-1][0] == "settled"]
    assert len(whole) >= 60
    for events in whole:
        kinds = [kind for kind, _ in events if kind not in ("activated", "deactivated")]
        assert kinds == LIFE
    told = Counter(kind for events in diary.events.values() for kind, _ in events)
    assert told["deactivated"] >= told["activated"] > 0, "the exchange never paused a market"
    assert {market.result for market in engine.markets.values() if market.status == "finalized"} >= {"yes", "no"}


def test_a_settled_game_has_one_winner_and_the_book_knew(ten_minutes) -> None:
    engine, *_ = ten_minutes
    by_event: dict[str, list[Market]] = {}
    for market in engine.markets.values():
        if market.status == "finalized" and "GAME" in market.ticker and market.result != "scalar":
            by_event.setdefault(market.event_ticker, []).append(market)
    assert len(by_event) >= 20
    for markets in by_event.values():
        assert [market.result for market in markets].count("yes") == 1


def test_a_newcomer_sees_a_whole_game_within_minutes(ten_minutes) -> None:
    _, _, diary, _ = ten_minutes
    lengths = []
    for ticker, events in diary.events.items():
        if "GAME" in ticker and events[0][1] > NOW and events[-1][0] == "settled":
            lengths.append((events[-1][1] - events[0][1]) / 1000)
    assert len(lengths) >= 20
    assert min(lengths) > 180 and max(lengths) < 600


def test_the_nominal_end_is_missed_to_both_sides() -> None:
    engine, world, _ = begin(seed=11, speed=20.0)
    early = late = 0
    for second in range(0, 45, 5):
        run(engine, world, second, second + 5, step_ms=500)
        for game in games(world):
            early += game.path.end_ms < game.nominal_end_ms
            late += game.path.end_ms > game.nominal_end_ms + 500
            for outcome in game.outcomes:
                assert engine.markets[outcome.ticker].expected_expiration_ms == game.nominal_end_ms
    assert early > 50 and late > 50


def test_what_is_listed_reads_like_kalshi() -> None:
    engine, world, _ = begin()
    assert set(engine.series) == {league.series for league in LEAGUES} | {"KXBTC15M", "KXCPIYOY"}
    assert {game.league for game in games(world)} == {league.name for league in LEAGUES}
    for league in LEAGUES:
        codes = {team.code: team for team in league.teams}
        for game in (game for game in games(world) if game.league == league.name):
            event = engine.events[game.event_ticker]
            (milestone,) = [m for m in engine.milestones.values() if event.event_ticker in m.primary_event_tickers]
            assert milestone.start_ms == game.path.start_ms
            assert event.mutually_exclusive and event.collateral_return_type == "MECNET"
            suffixes = [outcome.ticker.rpartition("-")[2] for outcome in game.outcomes]
            assert suffixes[2:] == (["TIE"] if league.tie else [])
            assert event.event_ticker.endswith("".join(suffixes[:2]))
            home, away = reversed(suffixes[:2]) if not league.tie else suffixes[:2]
            assert (codes[home].name, codes[away].name) == (game.home, game.away)
            assert milestone.details["home_team_id"] == codes[home].target_id
            for outcome, code in zip(game.outcomes, suffixes, strict=True):
                market = engine.markets[outcome.ticker]
                assert market.strike_type == "structured" and market.can_close_early
                assert market.close_ms > market.expected_expiration_ms + 86_400_000
                assert market.occurrence_ms == market.expected_expiration_ms
                if code != "TIE":
                    assert market.yes_sub_title == codes[code].city
                    assert list(market.custom_strike.values()) == [codes[code].target_id]
                    assert engine.targets[codes[code].target_id].details["abbreviation"] == code


def test_a_chance_is_what_it_says() -> None:
    """A favourite seen at 90 % loses a tenth of the time, whenever one looks."""
    rng = Random(5)
    told: dict[int, list[bool]] = {}
    for _ in range(2_500):
        path = draw_path(rng, 0, 45_000, 285_000, rng.gauss(0.12, 0.5), 30)
        looks = []
        for ms in range(0, 285_000, 15_000):
            path.move(ms, rng)
            looks.append(path.chance(0.0, math.inf, ms))
        path.move(285_000, rng)
        won = path.mean > 0
        for chance in looks:
            told.setdefault(round(chance * 10), []).append(won)
    for tenth, results in told.items():
        assert sum(results) / len(results) == pytest.approx(tenth / 10, abs=0.045)


def test_book_prices_are_calibrated() -> None:
    """Favourites, bought at the middle of the book half-way through, win as often as they cost."""
    engine, world, diary = begin(seed=31, speed=20.0)
    bought: dict[str, float] = {}
    for ms in range(0, 200_000, 500):
        world.advance(engine, NOW + ms)
        half_way = [g for g in games(world) if NOW + ms >= (g.path.start_ms + g.path.end_ms) // 2]
        for outcome in (outcome for game in half_way for outcome in game.outcomes):
            bid, _, ask, _ = engine.best(outcome.ticker)
            if outcome.ticker not in bought and bid and ask and bid + ask > 10_000:
                bought[outcome.ticker] = (bid + ask) / 20_000
    told = [(price, diary.paid[ticker]) for ticker, price in bought.items() if ticker in diary.paid]
    assert len(told) >= 150
    assert sum(p - r for p, r in told) / len(told) == pytest.approx(0.0, abs=0.06)
    dear = [(price, result) for price, result in told if price >= 0.85]
    assert len(dear) >= 50
    assert sum(p - r for p, r in dear) / len(dear) == pytest.approx(0.0, abs=0.06)
    assert any(result == 0 for _, result in dear), "no favourite ever lost"


def test_three_outcomes_share_one_certainty() -> None:
    rng = Random(9)
    path = draw_path(rng, 0, 1_000, 100_000, mean_for(0.6, 0.32), 12)
    assert path.chance(0.32, math.inf, 0) == pytest.approx(0.6, abs=0.005)
    for ms in range(0, 100_001, 500):
        path.move(ms, rng)
        chances = [path.chance(*b, ms) for b in ((0.32, math.inf), (-0.32, 0.32), (-math.inf, -0.32))]
        assert sum(chances) == pytest.approx(1.0)
    assert sorted(chances) == [0.0, 0.0, 1.0]


def test_the_same_seed_gives_the_same_world() -> None:
    def tape(seed: int) -> list:
        engine, world, _ = begin(seed)
        run(engine, world, 0, 20)
        return [(ticker, engine.depth(ticker)) for ticker in engine.markets]

    assert tape(3) == tape(3)
    assert tape(3) != tape(4)


def test_reading_the_odds_does_not_disturb_the_world() -> None:
    def books(read: bool) -> list:
        engine, world, _ = begin(5)
        for second in range(10):
            run(engine, world, second, second + 1)
            if read:
                for sport in world.odds.sports():
                    world.odds.odds(sport["key"], NOW + second * 1000)
        return [engine.depth(ticker) for ticker in engine.markets]

    assert books(True) == books(False)


def test_what_a_member_takes_is_quoted_again() -> None:
    engine, world, _ = begin()
    run(engine, world, 0, 5)
    engine.add_account("member", 10**15)
    sold = []
    for outcome in (game.outcomes[0] for game in games(world)):
        bid, *_ = engine.best(outcome.ticker)
        if bid is not None and bid > 2_000:
            order = NewOrder(
                ticker=outcome.ticker,
                side="ask",
                price=bid - 1_000,
                count=10**9,
                time_in_force="immediate_or_cancel",
                self_trade="taker_at_cross",
                client_order_id=outcome.ticker,
            )
            assert create(engine, "member", order, NOW + 5_000).filled > 0
            assert (engine.best(outcome.ticker)[0] or 0) < bid - 1_000
            sold.append(outcome)
    assert len(sold) > 10
    run(engine, world, 5, 12, step_ms=100)
    back = [max(o.ladder.bids, default=None) == engine.best(o.ticker)[0] for o in sold]
    assert sum(back) >= 0.9 * len(back)


def test_speed_compresses_everything() -> None:
    engine, world, diary = begin(seed=2, speed=10.0)
    run(engine, world, 0, 60, step_ms=100)
    settled = [ticker for ticker, events in diary.events.items() if events[-1][0] == "settled"]
    assert len(settled) >= 60
    assert all(game.nominal_end_ms - game.path.start_ms <= 33_000 for game in games(world))


def test_old_events_leave_the_list() -> None:
    engine, world, diary = begin(seed=2, speed=20.0)
    run(engine, world, 0, 150, step_ms=500)
    assert len(diary.events) > 600
    assert len(engine.markets) < 400 and len(engine.events) < 250 and len(engine.milestones) < 250


def test_a_restart_goes_on_where_it_was() -> None:
    engine, world, _ = begin()
    run(engine, world, 0, 100)
    blob = world.state()
    again = World("demo", 7, 1.0)
    again.restore(blob, engine, NOW + 130_000)
    assert {c.event_ticker for c in world.now.contests} <= {c.event_ticker for c in again.now.contests}
    run(engine, again, 130, 160)
    for contest in games(again):
        chances = contest.chances(NOW + 160_000)
        for outcome, chance in zip(contest.outcomes, chances, strict=True):
            bid, _, ask, _ = engine.best(outcome.ticker)
            if engine.markets[outcome.ticker].status == "active" and outcome.ladder.gone is None:
                assert (bid or 0) / 1e4 <= chance + 0.06 and (ask or 1e4) / 1e4 >= chance - 0.06
    run(engine, again, 160, 420, step_ms=1_000)
    stuck = [m for m in engine.markets.values() if m.status == "active" and m.expected_expiration_ms < NOW + 240_000]
    assert not stuck


def test_a_market_the_state_does_not_know_is_called_off() -> None:
    engine, world, _ = begin()
    run(engine, world, 0, 20)
    blob, known = world.state(), set(engine.markets)
    run(engine, world, 20, 90, step_ms=500)
    unknown = set(engine.markets) - known
    again = World("demo", 7, 1.0)
    again.restore(blob, engine, NOW + 90_000)
    run(engine, again, 90, 120)
    assert unknown
    assert {engine.markets[ticker].status for ticker in unknown} == {"finalized"}


@pytest.mark.parametrize(
    ("name", "speed", "settings"), [("mars", 1.0, {}), ("demo", 0.0, {}), ("demo", 1.0, {"games": 0})]
)
def test_a_world_that_cannot_be_is_refused(name: str, speed: float, settings: dict) -> None:
    with pytest.raises(ValueError):
        World(name, 1, speed, **settings)
