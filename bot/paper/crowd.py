"""The crowd in one book: where makers quote around what they believe, how they shuffle, what takers take.

The numbers below were measured once on recordings made between May and August 2026 and are statistics only:
- SPREADS: top of book of 12,921 baseball and women's basketball quotes, July 2026 (share of each whole-cent spread);
  minute candles of three baseball games in play agree (1 cent at p10 to p90).
- SHAPE: median size by depth over 2,530 book sides, July 2026; sides hold 8 / 18 / 31 levels (p25 / p50 / p75), and
  73 % of neighbouring levels are one cent apart.
- DELTA: 243,778 level changes of a crypto series, May 2026: absolute change 13 / 60 / 400 / 950 contracts at
  p25 / p50 / p75 / p90; 72 to 78 % of the changes lie within three cents of the top.
- TAKE: last trade size of 45,608 ticker frames: 14 / 46 / 127 / 905 contracts at p50 / p75 / p90 / p99.
- Pace: crypto 38 to 57 changes per second and market, baseball hours before the start 0.4. The world runs slower
  than the first and, its games being compressed, faster than the second, to stay cheap.
"""

import math
from random import Random
from typing import NamedTuple

import msgspec

from bot.core.units import CONTRACT, ONE
from bot.paper.model import Side

SPREADS = {1: 0.597, 2: 0.153, 3: 0.072, 4: 0.061, 5: 0.049, 6: 0.038, 7: 0.022, 8: 0.008}
SHAPE = (209, 700, 947, 500, 500, 450, 436, 358, 276, 200)
YOUNG = 0.55
"""Size of a new level relative to SHAPE, which was measured on levels that had had time to grow."""
CONTIGUOUS = 0.73
NEAR = 0.28
"""Chance that a change hits the top, then the next level, and so on: 73 % within three levels of it."""
DELTA_MEDIAN, DELTA_SIGMA = 60.0, 2.2
TAKE_MEDIAN, TAKE_SIGMA = 14.0, 1.76
SCALE_SIGMA, SIZE_SIGMA = 1.1, 1.4
"""Log-normal spread of sizes between markets, and between levels of one market."""
DEPTH = (6, 24)

CENT = [(0, 10_000, 100)]
TAPERED = [(0, 1_000, 10), (1_000, 9_000, 100), (9_000, 10_000, 10)]


LAST = 0.4
"""Ticks from certainty within which nobody sells the winner or bids for the loser any more."""


class Change(NamedTuple):
    """The crowd's new total at a YES price; 0 = none left."""

    side: Side
    price: int
    size: int


class Ladder(msgspec.Struct):
    """What the crowd shows in one market, as far as it knows: members may have taken some of it."""

    ticker: str
    grid: list[tuple[int, int, int]]
    width: int
    """Cents between best bid and best ask."""
    scale: float
    """How big this market's sizes are."""
    depth: int
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    gone: Side | None = None
    """The side whose makers have withdrawn for a moment."""
    back_ms: int = 0


def draw_ladder(rng: Random, ticker: str, grid: list[tuple[int, int, int]]) -> Ladder:
    return Ladder(ticker, grid, draw_width(rng), rng.lognormvariate(0.0, SCALE_SIGMA), rng.randint(*DEPTH))


def draw_width(rng: Random) -> int:
    return rng.choices(list(SPREADS), list(SPREADS.values()))[0]


def draw_take(rng: Random) -> int:
    """The size of one taker's order."""
    return max(1, round(rng.lognormvariate(math.log(TAKE_MEDIAN), TAKE_SIGMA))) * CONTRACT


def step_at(grid: list[tuple[int, int, int]], price: int, upwards: bool) -> int:
    """The tick just above (or below) a price on the grid."""
    for start, end, step in grid:
        if (start <= price < end) if upwards else (start < price <= end):
            return step
    return grid[-1][2] if upwards else grid[0][2]


def snap(grid: list[tuple[int, int, int]], price: float) -> int:
    """The nearest price on the grid at or below."""
    for start, end, step in grid:
        if price < end:
            return start + int((price - start) // step) * step
    return grid[-1][1]


def quote(ladder: Ladder, fair: float, rng: Random) -> list[Change]:
    """Follow the believed price `fair` (1/10000 dollar): what must go first, then what is new.

    A quote stays while the believed price is within three quarters of a tick of its middle. A certain outcome has one
    side only.
    """
    bid, ask = _wanted(ladder, fair)
    gone = [Change("bid", price, 0) for price in ladder.bids if bid is None or price > bid]
    gone += [Change("ask", price, 0) for price in ladder.asks if ask is None or price < ask]
    changes = gone + _fill(ladder, "bid", bid, rng) + _fill(ladder, "ask", ask, rng)
    _apply(ladder, changes)
    return changes


def shuffle(ladder: Ladder, rng: Random) -> Change | None:
    """One maker changes his mind about one level near the top."""
    side: Side = "bid" if rng.random() < 0.5 else "ask"
    levels = ladder.bids if side == "bid" else ladder.asks
    if not levels or ladder.gone == side:
        return None
    offset = 0
    while rng.random() > NEAR and offset < ladder.depth - 1:
        offset += 1
    price = _walk(ladder.grid, max(levels) if side == "bid" else min(levels), -offset if side == "bid" else offset)
    if not 0 < price < ONE:
        return None
    now = levels.get(price, 0)
    delta = round(rng.lognormvariate(math.log(DELTA_MEDIAN), DELTA_SIGMA) * CONTRACT)
    if rng.random() < 0.75:
        delta = max(CONTRACT, delta // CONTRACT * CONTRACT)
    usual = SHAPE[min(offset, len(SHAPE) - 1)] * ladder.scale * CONTRACT
    grow = rng.random() < usual / (usual + now)
    change = Change(side, price, now + delta if grow else max(0, now - delta))
    if change.size == now:
        return None
    _apply(ladder, [change])
    return change


def _wanted(ladder: Ladder, fair: float) -> tuple[int | None, int | None]:
    bid, ask = max(ladder.bids, default=None), min(ladder.asks, default=None)
    if bid is not None and ask is not None and ask - bid == _gap(ladder, bid):
        slack = step_at(ladder.grid, bid, True) * 0.75
        if abs(fair - (bid + ask) / 2) <= slack:
            return (None if ladder.gone == "bid" else bid), (None if ladder.gone == "ask" else ask)
    lower = snap(ladder.grid, min(max(fair, 1.0), ONE - 1.0))
    tick = step_at(ladder.grid, lower, True)
    gap = _gap(ladder, lower)
    lower = snap(ladder.grid, max(0, fair - (gap - tick) / 2))
    upper = snap(ladder.grid, lower + gap)
    if upper >= ONE > fair + LAST * tick:
        lower, upper = snap(ladder.grid, ONE - tick - gap), ONE - tick
    elif lower <= 0 < fair - LAST * tick:
        lower, upper = tick, snap(ladder.grid, tick + gap)
    return (
        lower if lower > 0 and ladder.gone != "bid" else None,
        upper if upper < ONE and ladder.gone != "ask" else None,
    )


def _gap(ladder: Ladder, bid: int) -> int:
    """Spread in price units: whole cents in the middle, at most as many ticks plus two where the grid is finer."""
    tick = step_at(ladder.grid, bid, True)
    return ladder.width * tick if tick >= 100 else (ladder.width + 2) * tick


def _fill(ladder: Ladder, side: Side, best: int | None, rng: Random) -> list[Change]:
    """New levels at and behind `best` where the ladder has none yet, and the far end cut to the market's depth."""
    if best is None:
        return []
    levels = ladder.bids if side == "bid" else ladder.asks
    kept = [price for price in levels if (price <= best if side == "bid" else price >= best)]
    if best in levels and len(kept) >= ladder.depth:
        return []
    direction = -1 if side == "bid" else 1
    edge = max(kept, default=0) if side == "bid" else min(kept, default=ONE)
    changes: list[Change] = []
    price, held = best, 0
    while 0 < price < ONE and held < ladder.depth:
        inside = price > edge if side == "bid" else price < edge
        if price in levels:
            held += 1
        elif price == best or ((inside or len(kept) + len(changes) < ladder.depth) and rng.random() < CONTIGUOUS):
            changes.append(Change(side, price, _size(ladder, held, rng)))
            held += 1
        price = _walk(ladder.grid, price, direction)
    surplus = len(kept) + len(changes) - ladder.depth - 4
    if surplus > 0:
        far = sorted(kept, reverse=side == "ask")[:surplus]
        changes += [Change(side, price, 0) for price in far if price != best]
    return changes


def _size(ladder: Ladder, offset: int, rng: Random) -> int:
    usual = YOUNG * SHAPE[min(offset, len(SHAPE) - 1)] * ladder.scale
    return max(1, round(usual * rng.lognormvariate(0.0, SIZE_SIGMA))) * CONTRACT


def _walk(grid: list[tuple[int, int, int]], price: int, ticks: int) -> int:
    for _ in range(abs(ticks)):
        price += step_at(grid, price, True) if ticks > 0 else -step_at(grid, price, False)
    return price


def _apply(ladder: Ladder, changes: list[Change]) -> None:
    for side, price, size in changes:
        levels = ladder.bids if side == "bid" else ladder.asks
        if size:
            levels[price] = size
        else:
            levels.pop(price, None)
