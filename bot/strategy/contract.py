"""What a strategy is: a name, typed parameters, and one function from a market to a proposal or a reason."""

from typing import Protocol

import msgspec

from bot.core.config import Param
from bot.core.events import Proposal
from bot.core.venue import Market, Quote


class Fair(msgspec.Struct, frozen=True):
    """A fair value of YES (0 to 1) from outside the exchange, with its provenance."""

    probability: float
    books: int
    dispersion: float
    method: str
    updated_ms: int


class Skip(msgspec.Struct, frozen=True):
    """Not traded: a stable reason code, and one line with the numbers it rested on."""

    reason: str
    detail: str


class Sight(msgspec.Struct, frozen=True):
    """One market as the strategy sees it in a pass."""

    market: Market
    quote: Quote | None
    fair: Fair | None
    now_ms: int


class Strategy(Protocol):
    """`decide` is pure: the same sight and parameters give the same answer. Values come in core units."""

    name: str
    params: tuple[Param, ...]

    def decide(self, sight: Sight, values: dict[str, int]) -> Proposal | Skip: ...
