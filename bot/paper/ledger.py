"""A member's books: cash, signed positions at average cost, what resting orders bind, records.

Arithmetic of kalshi-api.md sections 5.1 and 5.4, in the exchange's own words and independent of the bot's.
"""

from collections.abc import Callable, Iterable
from copy import copy
from typing import Literal

import msgspec

from bot.paper.fees import CENT, CENTI_CENT
from bot.paper.model import Event, Fill, Market, Order, OrderGroup, Position, Settlement, Side, Transfer

Fee = Callable[[int, int], int]
"""(price, count) -> fee in money."""


class Allocation(msgspec.Struct):
    """Where the cash shall lie: percent by shard, together 100; none leaves it where it is."""

    percent: dict[int, int] = {}
    reservation: Literal["none", "max", "sum"] = "none"


class Account:
    def __init__(self, user_id: str, cash: int) -> None:
        self.user_id = user_id
        self.wallets = {0: cash}
        """Cash by shard."""
        self.bound: dict[int, int] = {}
        """Money bound by resting orders, by shard."""
        self.positions: dict[str, Position] = {}
        self.orders: dict[str, Order] = {}
        self.fills: list[Fill] = []
        self.settlements: list[Settlement] = []
        self.client_ids: set[str] = set()
        self.groups: dict[str, OrderGroup] = {}
        self.transfers: list[Transfer] = []
        self.allocation = Allocation()
        self.cancelling_until_ms = 0
        """Until when a cancel-all goes on catching new orders."""
        self.resting: dict[str, dict[str, Order]] = {}
        """Resting orders by ticker, then by id, oldest first."""
        self._committed: dict[str, int] = {}

    @property
    def cash(self) -> int:
        return sum(self.wallets.values())

    @property
    def committed(self) -> int:
        """Money bound by all resting orders."""
        return sum(self.bound.values())

    def copy(self) -> "Account":
        """The account as it is now, its records apart from what will change."""
        twin = copy(self)
        twin.wallets, twin.bound = dict(self.wallets), dict(self.bound)
        twin.positions = {ticker: copy(position) for ticker, position in self.positions.items()}
        twin.orders = {order_id: copy(order) for order_id, order in self.orders.items()}
        twin.fills, twin.settlements = list(self.fills), list(self.settlements)
        return twin

    def free(self, shard: int) -> int:
        """Cash of a shard that no resting order binds: what a new order there may cost."""
        return self.wallets.get(shard, 0) - self.bound.get(shard, 0)

    def pay(self, shard: int, money: int) -> None:
        """Move a shard's cash."""
        self.wallets[shard] = self.wallets.get(shard, 0) + money

    def held(self, ticker: str) -> int:
        """The signed position in a market."""
        position = self.positions.get(ticker)
        return position.count if position else 0

    def recommit(self, ticker: str, shard: int, fee: Fee) -> None:
        """Recompute what this market's resting orders bind, after they or the position changed."""
        money = binding(self.resting.get(ticker, {}).values(), self.held(ticker), fee)
        self.bound[shard] = self.bound.get(shard, 0) + money - self._committed.pop(ticker, 0)
        if money:
            self._committed[ticker] = money

    def needed(self, ticker: str, side: Side, price: int, count: int, fee: Fee) -> int:
        """Money that a new order could cost: what it opens beyond the position, at its limit, with fees."""
        held = self.held(ticker)
        resting = sum(order.remaining for order in self.resting.get(ticker, {}).values() if order.side == side)
        closable = max(0, (held if side == "ask" else -held) - resting)
        opened = max(0, count - closable)
        return opened * unit_cost(side, price) + (fee(price, opened) if opened else 0)

    def rebalance(self) -> bool:
        """Bring the shards' cash to the target allocation as far as free cash goes; whether any moved.

        What resting orders bind stays where it is; the reservation decides whether the percentages are of all cash
        (none) or of what the largest (max) or all (sum) bound shards leave.
        """
        bound = {shard: money for shard, money in self.bound.items() if money > 0}
        kept = {"none": {}, "sum": bound, "max": dict(sorted(bound.items(), key=lambda item: -item[1])[:1])}
        reserved: dict[int, int] = kept[self.allocation.reservation]
        spare = self.cash - sum(reserved.values())
        lacking = {
            shard: reserved.get(shard, 0)
            + spare * percent // 100 // CENTI_CENT * CENTI_CENT
            - self.wallets.get(shard, 0)
            for shard, percent in (dict.fromkeys(self.wallets, 0) | self.allocation.percent).items()
        }
        moved = False
        for giver, excess in lacking.items():
            give = min(-excess, self.free(giver))
            for taker, lack in lacking.items():
                amount = min(give, lack)
                if amount > 0:
                    self.pay(giver, -amount)
                    self.pay(taker, amount)
                    lacking[taker] -= amount
                    give -= amount
                    moved = True
        return moved


def unit_cost(side: Side, price: int) -> int:
    """What a contract bought on this side costs: YES at the price, NO at its complement."""
    return price if side == "bid" else 10_000 - price


def binding(orders: Iterable[Order], held: int, fee: Fee) -> int:
    """Money bound by one market's resting orders: those that only close the position bind nothing."""
    cover: dict[Side, int] = {"ask": max(0, held), "bid": max(0, -held)}
    total = 0
    for order in orders:
        closing = min(cover[order.side], order.remaining)
        cover[order.side] -= closing
        opened = order.remaining - closing
        if opened:
            total += opened * unit_cost(order.side, order.price) + fee(order.price, opened)
    return total


def trade(position: Position, side: Side, price: int, count: int, *, sells_traded: bool = False) -> int:
    """Apply a fill to a position at average cost and return the cash it moves, fees apart.

    Contracts of the other sign are closed first (they return the value of the leg held); the rest opens.
    """
    sign = 1 if side == "bid" else -1
    closing = min(count, max(0, -sign * position.count))
    opening = count - closing
    cash = 0
    if closing:
        proceeds = closing * (10_000 - unit_cost(side, price))
        cost = position.cost * closing // abs(position.count)
        position.cost -= cost
        position.realized += proceeds - cost
        position.traded += proceeds if sells_traded else 0
        cash += proceeds
    if opening:
        paid = opening * unit_cost(side, price)
        position.cost += paid
        position.traded += paid
        cash -= paid
    position.count += sign * count
    position.volume += count
    return cash


def settle(position: Position, market: Market, event: Event, value: int, now_ms: int) -> Settlement:
    """Pay a position at `value` per YES contract and flatten it; the record's revenue is the cash it brings.

    A payout finer than a cent is floored to cents and the difference booked as a fee (kalshi-api.md section 5.4).
    """
    payout = position.count * value if position.count > 0 else -position.count * (10_000 - value)
    revenue = payout - payout % CENT
    position.fees += payout - revenue
    record = Settlement(
        ticker=market.ticker,
        event_ticker=event.event_ticker,
        result=market.result,
        value=value,
        count=position.count,
        cost=position.cost,
        revenue=revenue,
        fee=position.fees,
        ms=now_ms,
    )
    position.realized += payout - position.cost
    position.count = position.cost = 0
    position.settled = True
    position.updated_ms = now_ms
    return record
