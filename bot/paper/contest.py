"""What is really going on behind a market: a hidden number, revealed over time, that decides all outcomes of one event.

The number's variance is spent on a schedule that is fixed in advance, so the chance of each outcome is an exact
martingale: of all moments at which an outcome stands at 90 %, a tenth is lost.
"""

import math
from random import Random
from statistics import NormalDist
from typing import Literal

import msgspec

from bot.paper.crowd import Ladder

BEFORE = 0.01
"""Share of the variance that is news before the start."""
FLOW = 0.2
"""Share of the variance in play that arrives evenly; the rest comes in jumps, at the plays."""
NOISE = 0.03
"""Usual misjudgement: about a cent at even chances, as measured between Kalshi and the bookmakers before the start."""

Stage = Literal["live", "over", "closed", "determined"]


class Path(msgspec.Struct):
    """The best guess of the final number, in units of its own standard deviation as seen at the listing."""

    listed_ms: int
    start_ms: int
    end_ms: int
    plays: list[tuple[int, float]]
    """(time, variance) of the jumps, earliest first."""
    mean: float
    at_ms: int
    noise: float = 0.0
    """What the crowd misjudges at the moment, in remaining standard deviations."""

    def left(self, ms: int) -> float:
        """Variance still to come after `ms`."""
        if ms >= self.end_ms:
            return 0.0
        before = max(0.0, self.start_ms - ms) / max(1, self.start_ms - self.listed_ms)
        played = max(0.0, ms - self.start_ms) / (self.end_ms - self.start_ms)
        jumps = sum(variance for at, variance in self.plays if at > ms)
        return BEFORE * min(1.0, before) + (1 - BEFORE) * FLOW * (1 - played) + jumps

    def move(self, ms: int, rng: Random) -> None:
        """Reveal what happened up to `ms`. Exact for a step of any length."""
        spent = self.left(self.at_ms) - self.left(ms)
        if spent > 0:
            self.mean += rng.gauss(0.0, math.sqrt(spent))
        self.at_ms = max(ms, self.at_ms)

    def err(self, elapsed_ms: int, fade_ms: float, rng: Random) -> None:
        """Let the crowd's misjudgement wander, whatever the truth does."""
        kept = math.exp(-elapsed_ms / fade_ms)
        self.noise = self.noise * kept + rng.gauss(0.0, NOISE * math.sqrt(1 - kept * kept))

    def chance(self, low: float, high: float, ms: int, bias: float = 0.0) -> float:
        """The probability that the final number lies in (low, high]."""
        left = self.left(ms)
        return between(low, high, self.mean + bias * math.sqrt(left), left)


class Outcome(msgspec.Struct):
    """One market: it pays when the final number lies in (low, high]."""

    ladder: Ladder
    low: float
    high: float
    name: str = ""
    """What the bookmakers call it."""

    @property
    def ticker(self) -> str:
        return self.ladder.ticker


class Contest(msgspec.Struct):
    """One event of the world and where it stands in its life."""

    event_ticker: str
    path: Path
    outcomes: list[Outcome]
    nominal_end_ms: int
    league: str = ""
    """Set for games, with the two full names; the bookmakers quote only these."""
    home: str = ""
    away: str = ""
    early_close: bool = True
    stage: Stage = "live"
    next_ms: int = 0
    close_ms: int = 0
    determine_ms: int = 0
    pause_ms: int = 0
    """When the exchange will pause its markets, once; 0 = not again."""
    resume_ms: int = 0
    void: bool = False
    """It will be called off and settle at a fair price."""
    shuffles: float = 0.0
    """Level changes per second and market while it is on; before the start a fifth of it."""
    takes: float = 0.0
    """Taker orders, in the same way."""
    stepped_ms: int = 0
    history: list[tuple[int, float, float]] = []
    """(time, mean, variance left) of the last half minute: what a bookmaker may still be looking at."""

    def chances(self, ms: int, bias: float = 0.0) -> list[float]:
        return [self.path.chance(outcome.low, outcome.high, ms, bias) for outcome in self.outcomes]


def draw_path(rng: Random, listed_ms: int, start_ms: int, end_ms: int, mean: float, plays: int) -> Path:
    """A path that is expected to end at `mean`, with that many jumps of random weight at random times."""
    times = sorted(rng.randint(start_ms, end_ms) for _ in range(plays))
    weights = [rng.expovariate(1.0) for _ in times]
    unit = (1 - BEFORE) * (1 - FLOW) / sum(weights)
    jumps = [(at, weight * unit) for at, weight in zip(times, weights, strict=True)]
    return Path(listed_ms, start_ms, end_ms, jumps, mean, listed_ms)


def mean_for(chance: float, low: float = 0.0) -> float:
    """The starting mean at which the number ends above `low` with this chance."""
    return low + NormalDist().inv_cdf(chance)


def between(low: float, high: float, mean: float, variance: float) -> float:
    """The probability that a normal number lies in (low, high]."""
    if variance <= 0:
        return 1.0 if low < mean <= high else 0.0
    scale = math.sqrt(2 * variance)
    return 0.5 * (math.erfc((mean - high) / scale) - math.erfc((mean - low) / scale))
