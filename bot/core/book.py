"""The order book of one market in YES terms: bids and asks as price -> count, and its best prices."""

from collections.abc import Iterable
from typing import Literal

from bot.core.units import Count, Price
from bot.core.venue import Side

Level = tuple[Price, Count]
BookState = Literal["building", "live"]

TRANSITIONS: dict[tuple[BookState, str], BookState] = {
    ("building", "snapshot"): "live",
    ("building", "lost"): "building",
    ("live", "snapshot"): "live",
    ("live", "change"): "live",
    ("live", "impossible_change"): "building",
    ("live", "lost"): "building",
}
"""A change that is not in the table (the book is building) is left out: the snapshot to come has it already."""


class Book:
    """Building until a snapshot arrives, then live. A building book knows nothing and gives no price."""

    __slots__ = ("_asks", "_bids", "best_ask", "best_bid", "state")

    def __init__(self) -> None:
        self.state: BookState = "building"
        self._bids: dict[Price, Count] = {}
        self._asks: dict[Price, Count] = {}
        self.best_bid: Price | None = None
        self.best_ask: Price | None = None

    def apply_snapshot(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Replace everything. An empty snapshot is an empty live book (a closed market, kalshi-api.md 6.5)."""
        self._bids = {price: count for price, count in bids if count > 0}
        self._asks = {price: count for price, count in asks if count > 0}
        self.best_bid = max(self._bids, default=None)
        self.best_ask = min(self._asks, default=None)
        self.state = TRANSITIONS[self.state, "snapshot"]

    def apply_delta(self, side: Side, price: Price, change: Count) -> bool:
        """Add a signed change to one level; True when the top of the book (price or size) changed.

        A level that would fall below nothing proves that something was missed: the book is building again.
        """
        if (self.state, "change") not in TRANSITIONS:
            return False
        levels, best = (self._bids, self.best_bid) if side == "bid" else (self._asks, self.best_ask)
        count = levels.get(price, 0) + change
        if count < 0:
            self._empty(TRANSITIONS[self.state, "impossible_change"])
            return True
        if count:
            levels[price] = Count(count)
            if best is None or (price > best if side == "bid" else price < best):
                best = price
        elif levels.pop(price, None) is not None and price == best:
            best = max(levels, default=None) if side == "bid" else min(levels, default=None)
            self._set_best(side, best)
            return True
        self._set_best(side, best)
        return price == best

    def invalidate(self) -> None:
        """Forget everything: a gap, a disconnect or a contradiction by another source. Waits for the next snapshot."""
        self._empty(TRANSITIONS[self.state, "lost"])

    def _empty(self, state: BookState) -> None:
        self.__init__()  # type: ignore[misc]
        self.state = state

    @property
    def bid_size(self) -> Count:
        return self._bids[self.best_bid] if self.best_bid is not None else Count(0)

    @property
    def ask_size(self) -> Count:
        return self._asks[self.best_ask] if self.best_ask is not None else Count(0)

    @property
    def crossed(self) -> bool:
        """The best bid reaches the best ask: seen for milliseconds on the wire, never a tradable price."""
        return self.best_bid is not None and self.best_ask is not None and self.best_bid >= self.best_ask

    def depth(self, levels: int = 0) -> tuple[list[Level], list[Level]]:
        """Bids and asks, best first; `levels` of each side, 0 for all."""
        bids = sorted(self._bids.items(), reverse=True)
        asks = sorted(self._asks.items())
        return (bids[:levels], asks[:levels]) if levels else (bids, asks)

    def _set_best(self, side: Side, best: Price | None) -> None:
        if side == "bid":
            self.best_bid = best
        else:
            self.best_ask = best
