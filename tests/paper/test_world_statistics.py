"""The world's books look like the recorded ones, and the tables it is made from say what the recordings say.

Tolerances: shares within 6 points, sizes and counts within a factor given with each, jumps and gaps within ranges that
hold the three recorded games. The recorded numbers are described in bot/paper/crowd.py.
"""

import csv
import gzip
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from bot.paper import crowd
from bot.paper.engine import Engine
from bot.paper.model import Listener, Market, Order, Side, Trade
from bot.paper.world import World

NOW = 1_790_000_000_000
SECONDS = 240


def quantiles(values: list[float], *shares: float) -> list[float]:
    ranked = sorted(values)
    return [ranked[int(share * len(ranked))] for share in shares]


class Watch(Listener):
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.deltas: list[float] = []
        self.near: list[bool] = []
        self.takes: list[float] = []
        self.changes: Counter[str] = Counter()

    def book(self, market: Market, side: Side, price: int, delta: int, order: Order | None, now_ms: int) -> None:
        self.deltas.append(abs(delta) / 100)
        self.changes[market.ticker] += 1
        bid, _, ask, _ = self.engine.best(market.ticker)
        top = bid if side == "bid" else ask
        if top is not None:
            self.near.append(abs(price - top) <= 300)

    def trade(self, trade: Trade) -> None:
        self.takes.append(trade.count / 100)


class Seen:
    def __init__(self) -> None:
        self.spreads: list[float] = []
        self.levels: list[int] = []
        self.tops: list[float] = []
        self.pairs: list[float] = []
        self.moves: list[float] = []
        self.gaps: list[float] = []


@pytest.fixture(scope="module")
def world() -> tuple[Watch, Seen]:
    engine, world, seen = Engine(1), World("demo", 5, 1.0), Seen()
    watch = Watch(engine)
    engine.listeners.append(watch)
    world.start(engine, NOW)
    minutes: dict[str, tuple[int, float]] = {}
    for ms in range(0, SECONDS * 1000, 250):
        now = NOW + ms
        world.advance(engine, now)
        for game in world.now.contests:
            if game.league and game.stage == "live":
                _look(engine, seen, game, now, minutes)
        if ms % 5_000 == 0 and ms >= 15_000:
            _compare(engine, world, seen, now)
    return watch, seen


def _look(engine: Engine, seen: Seen, game, now: int, minutes: dict[str, tuple[int, float]]) -> None:
    mids = []
    for outcome in game.outcomes:
        bid, size, ask, _ = engine.best(outcome.ticker)
        if bid is None or ask is None:
            continue
        mids.append((bid + ask) / 200)
        if 5 < mids[-1] < 95:
            seen.spreads.append((ask - bid) / 100)
            seen.tops.append(size / 100)
            seen.levels += [len(side) for side in engine.depth(outcome.ticker)]
    if len(mids) == len(game.outcomes):
        seen.pairs.append(abs(sum(mids) - 100))
        minute = int((now - game.path.start_ms) / (game.nominal_end_ms - game.path.start_ms) * 180)
        before = minutes.get(game.event_ticker, (minute, mids[0]))
        if minute >= 0 and minute == before[0] + 1:
            seen.moves.append(abs(mids[0] - before[1]))
        if minute != before[0] or game.event_ticker not in minutes:
            minutes[game.event_ticker] = (minute, mids[0])


def _compare(engine: Engine, world: World, seen: Seen, now: int) -> None:
    """Before the start: Kalshi's middle against the median of the bookmakers."""
    for sport in world.odds.sports():
        quoted = {event["home_team"]: event for event in world.odds.odds(sport["key"], now)}
        for game in world.now.contests:
            if game.home not in quoted or game.path.start_ms < now or game.stage != "live":
                continue
            chances = []
            for book in quoted[game.home]["bookmakers"]:
                inverse = {o["name"]: 1 / o["price"] for o in book["markets"][0]["outcomes"]}
                chances.append(inverse[game.outcomes[0].name] / sum(inverse.values()))
            bid, _, ask, _ = engine.best(game.outcomes[0].ticker)
            if bid and ask and chances:
                seen.gaps.append(abs(median(chances) * 100 - (bid + ask) / 200))


def test_spreads(world: tuple[Watch, Seen]) -> None:
    _, seen = world
    shares = Counter(seen.spreads)
    for cents in (1, 2, 3):
        assert shares[cents] / len(seen.spreads) == pytest.approx(crowd.SPREADS[cents], abs=0.06)
    assert quantiles(seen.spreads, 0.5, 0.99)[0] == 1 and quantiles(seen.spreads, 0.99)[0] <= 9


def test_depth_and_sizes(world: tuple[Watch, Seen]) -> None:
    watch, seen = world
    low, middle, high = quantiles(seen.levels, 0.25, 0.5, 0.75)
    assert 8 <= low <= middle <= high <= 31 and middle >= 12
    assert quantiles(seen.tops, 0.5)[0] == pytest.approx(209, rel=1.0)
    for got, recorded in zip(quantiles(watch.deltas, 0.25, 0.5, 0.75, 0.9), (14, 60, 400, 950), strict=True):
        assert recorded / 2.5 < got < recorded * 2.5
    assert sum(watch.near) / len(watch.near) == pytest.approx(0.73, abs=0.06)


def test_takers(world: tuple[Watch, Seen]) -> None:
    watch, _ = world
    for got, recorded in zip(quantiles(watch.takes, 0.5, 0.75, 0.9), (14, 46, 127), strict=True):
        assert recorded / 1.6 < got < recorded * 1.6


def test_jumps_per_minute_of_a_game(world: tuple[Watch, Seen]) -> None:
    """Recorded: at most 0.5 cents at the median, 2 to 3 at p90, 4 to 10 at p99."""
    _, seen = world
    middle, often, rare = quantiles(seen.moves, 0.5, 0.9, 0.99)
    assert middle <= 1 and 1.5 <= often <= 5 and 4 <= rare <= 17


def test_both_sides_of_a_game_agree(world: tuple[Watch, Seen]) -> None:
    """Recorded: 1 cent at the median, 3 at p75."""
    _, seen = world
    assert quantiles(seen.pairs, 0.75)[0] <= 1 and quantiles(seen.pairs, 0.99)[0] <= 5


def test_the_bookmakers_agree_with_the_books_before_the_start(world: tuple[Watch, Seen]) -> None:
    """Recorded: 0.45 to 1.1 cents at the median, 1.3 to 3.3 at p95."""
    _, seen = world
    assert 0.4 <= median(seen.gaps) <= 1.4 and 1.0 <= quantiles(seen.gaps, 0.95)[0] <= 4.0


def test_the_whole_world_is_a_few_hundred_changes_a_second(world: tuple[Watch, Seen]) -> None:
    watch, _ = world
    assert 100 < sum(watch.changes.values()) / SECONDS < 450
    crypto = sum(count for ticker, count in watch.changes.items() if ticker.startswith("KXBTC15M"))
    assert 10 < crypto / SECONDS < 57


# The tables against the recordings


def test_the_table_of_spreads_is_the_recorded_one(recorded: Callable[[str], Path]) -> None:
    spreads: Counter[int] = Counter()
    with gzip.open(recorded("sports_quotes_202607/quotes.csv.gz"), "rt") as lines:
        for row in csv.DictReader(lines):
            bid, ask = float(row["yes_bid"] or 0), float(row["yes_ask"] or 1)
            if row["ticker"].startswith(("KXMLBGAME", "KXWNBAGAME")) and bid > 0 and ask < 1:
                spreads[round((ask - bid) * 100)] += 1
    total = sum(spreads[cents] for cents in crowd.SPREADS)
    for cents, share in crowd.SPREADS.items():
        assert spreads[cents] / total == pytest.approx(share, abs=0.01)


def test_the_shape_of_a_side_is_the_recorded_one(recorded: Callable[[str], Path]) -> None:
    sizes: dict[int, list[float]] = defaultdict(list)
    with gzip.open(recorded("orderbook_depth_202607/depth_2026-07-10.jsonl.gz"), "rt") as lines:
        for line in lines:
            snapshot = json.loads(line)
            for side in ("yes_bids", "no_bids"):
                for place, (_, size) in enumerate(snapshot[side][:10]):
                    sizes[place].append(size)
    assert [round(median(sizes[place])) for place in range(10)] == pytest.approx(crowd.SHAPE, rel=0.1)


def test_the_sizes_of_takers_and_of_changes_are_the_recorded_ones(recorded: Callable[[str], Path]) -> None:
    with gzip.open(recorded("btc15m_ticks_202605/ticks.csv.gz"), "rt") as lines:
        takes = [float(row["last_trade_size"]) for row in csv.DictReader(lines) if row["last_trade_size"]]
    assert median(takes) == pytest.approx(crowd.TAKE_MEDIAN, rel=0.05)
    upper = crowd.TAKE_MEDIAN * math.exp(crowd.TAKE_SIGMA * 1.2816)
    assert quantiles(takes, 0.9)[0] == pytest.approx(upper, rel=0.1)
    deltas = []
    with gzip.open(recorded("ws_btc15m_202605/btc15m_20260514T043808Z.jsonl.gz"), "rt") as lines:
        for line in lines:
            frame = json.loads(line).get("frame", {})
            if frame.get("type") == "orderbook_delta":
                deltas.append(abs(float(frame["msg"]["delta_fp"])))
    assert median(deltas) == pytest.approx(crowd.DELTA_MEDIAN, rel=0.35)
    assert quantiles(deltas, 0.9)[0] == pytest.approx(
        crowd.DELTA_MEDIAN * math.exp(crowd.DELTA_SIGMA * 1.2816), rel=0.2
    )
