"""One YES book: price levels with first-in-first-out queues of member orders and crowd lots.

Bids are YES bids; asks are NO bids at one minus the price. The book keeps sizes and queues; who trades is the engine's.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator

from bot.paper.model import Order, Side


class Lot:
    """Crowd liquidity at one place of a queue."""

    __slots__ = ("remaining",)

    def __init__(self, remaining: int) -> None:
        self.remaining = remaining


class Level:
    """`crowd` and `members` are the displayed contracts; `taken` is the part of the crowd's that members have had
    without moving recorded history (see Engine, history_frozen)."""

    __slots__ = ("crowd", "members", "queue", "taken")

    def __init__(self) -> None:
        self.queue: dict[str | int, Order | Lot] = {}
        self.crowd = 0
        self.members = 0
        self.taken = 0

    @property
    def size(self) -> int:
        return self.crowd + self.members


class Book:
    def __init__(self) -> None:
        self.levels: dict[Side, dict[int, Level]] = {"bid": {}, "ask": {}}
        self._prices: dict[Side, list[int]] = {"bid": [], "ask": []}
        self._lot = 0

    def best(self, side: Side) -> int | None:
        """The best price of a side, None when it is empty."""
        prices = self._prices[side]
        if not prices:
            return None
        return prices[-1] if side == "bid" else prices[0]

    def size(self, side: Side, price: int) -> int:
        level = self.levels[side].get(price)
        return level.size if level else 0

    def depth(self, side: Side) -> list[tuple[int, int]]:
        """(YES price, size) of every level, prices ascending."""
        levels = self.levels[side]
        return [(price, levels[price].size) for price in self._prices[side]]

    def crossing(self, side: Side, limit: int) -> list[tuple[int, Level]]:
        """The opposite levels that an order of this side and limit meets, best first."""
        if side == "bid":
            asks = self._prices["ask"]
            levels = self.levels["ask"]
            return [(price, levels[price]) for price in _upto(asks, limit)] if asks and asks[0] <= limit else []
        bids = self._prices["bid"]
        levels = self.levels["bid"]
        return [(price, levels[price]) for price in _downto(bids, limit)] if bids and bids[-1] >= limit else []

    def join(self, order: Order) -> None:
        """A member order goes to the tail of its level."""
        level = self._level(order.side, order.price)
        level.queue[order.order_id] = order
        level.members += order.remaining

    def leave(self, order: Order) -> None:
        """A member order goes, with what remains of it."""
        level = self.levels[order.side][order.price]
        del level.queue[order.order_id]
        level.members -= order.remaining
        self._tidy(order.side, order.price, level)

    def reduce(self, order: Order, count: int) -> None:
        """A member order shrinks in place; it leaves at zero."""
        level = self.levels[order.side][order.price]
        order.remaining -= count
        level.members -= count
        if order.remaining == 0:
            del level.queue[order.order_id]
            self._tidy(order.side, order.price, level)

    def grow_crowd(self, side: Side, price: int, count: int) -> None:
        """Crowd liquidity joins the tail of a level."""
        level = self._level(side, price)
        last = next(reversed(level.queue.values()), None)
        if isinstance(last, Lot):
            last.remaining += count
        else:
            self._lot += 1
            level.queue[self._lot] = Lot(count)
        level.crowd += count

    def shrink_crowd(self, side: Side, price: int, count: int) -> None:
        """Crowd liquidity leaves from the tail of a level."""
        level = self.levels[side][price]
        level.crowd -= count
        for key in [key for key in reversed(level.queue) if isinstance(key, int)]:
            lot = level.queue[key]
            gone = min(count, lot.remaining)
            lot.remaining -= gone
            count -= gone
            if lot.remaining == 0:
                del level.queue[key]
            if count == 0:
                break
        self._tidy(side, price, level)

    def take_crowd(self, side: Side, price: int, key: int, count: int) -> None:
        """Crowd liquidity of one lot trades away."""
        level = self.levels[side][price]
        lot = level.queue[key]
        lot.remaining -= count
        level.crowd -= count
        if lot.remaining == 0:
            del level.queue[key]
            self._tidy(side, price, level)

    def ahead(self, order: Order) -> int:
        """Contracts that trade before a resting order: all at better prices, and those before it at its own."""
        better = [
            p for p in self._prices[order.side] if (p > order.price) == (order.side == "bid") and p != order.price
        ]
        total = sum(self.levels[order.side][price].size for price in better)
        for resting in self.levels[order.side][order.price].queue.values():
            if resting is order:
                break
            total += resting.remaining
        return total

    def orders(self) -> Iterator[Order]:
        """Every resting member order, bids first, best price first, oldest first."""
        for side in ("bid", "ask"):
            for price in reversed(self._prices[side]) if side == "bid" else list(self._prices[side]):
                for resting in list(self.levels[side][price].queue.values()):
                    if isinstance(resting, Order):
                        yield resting

    def _level(self, side: Side, price: int) -> Level:
        level = self.levels[side].get(price)
        if level is None:
            level = self.levels[side][price] = Level()
            insort(self._prices[side], price)
        return level

    def _tidy(self, side: Side, price: int, level: Level) -> None:
        if not level.queue:
            del self.levels[side][price]
            prices = self._prices[side]
            del prices[bisect_left(prices, price)]


def _upto(prices: list[int], limit: int) -> list[int]:
    return [price for price in prices if price <= limit]


def _downto(prices: list[int], limit: int) -> list[int]:
    return [price for price in reversed(prices) if price >= limit]
