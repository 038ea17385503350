"""An engine with one market and two members, for tests of the paper exchange without a process."""

from typing import Any

import pytest

from bot.paper import orders
from bot.paper.engine import Engine
from bot.paper.model import (
    Event,
    Fill,
    Listener,
    Market,
    NewOrder,
    Order,
    OrderGroup,
    Rejected,
    Rules,
    Series,
    Side,
    Trade,
)

M = "EV-M"
NOW = 1_000_000
CLOSE = NOW + 1_000_000


class Log(Listener):
    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.fills: list[Fill] = []
        self.kinds: list[str] = []
        self.reasons: list[tuple[str, str]] = []
        self.cleared_at: list[int] = []
        self.groups: list[str] = []
        self.fees: list[Event] = []

    def trade(self, trade: Trade) -> None:
        self.trades.append(trade)

    def fill(self, fill: Fill) -> None:
        self.fills.append(fill)

    def lifecycle(self, market: Market, kind: str, now_ms: int) -> None:
        self.kinds.append(kind)

    def order(self, order: Order) -> None:
        self.reasons.append((order.status, order.reason))

    def group(self, group: OrderGroup, kind: str, now_ms: int) -> None:
        self.groups.append(kind)

    def event_fee(self, event: Event) -> None:
        self.fees.append(event)

    def cleared(self, market: Market, now_ms: int) -> None:
        self.cleared_at.append(now_ms)


class Floor:
    """An engine with one market and two members, ann and bob, with $1,000 each."""

    def __init__(self, *, frozen: bool = False, rules: Rules | None = None, shard: int = 0, **market: Any) -> None:
        self.engine = Engine(1, history_frozen=frozen, rules=rules)
        self.log = Log()
        self.engine.listeners.append(self.log)
        self.engine.add_series(Series("S", "series", "Sports"))
        self.engine.add_event(Event("EV", "S", "title", "sub", exchange_index=shard))
        times = {"open_ms": NOW, "close_ms": CLOSE, "expected_expiration_ms": CLOSE, "latest_expiration_ms": CLOSE}
        self.engine.add_market(Market(M, "EV", "t", "yes", "no", **(times | market)), NOW)
        self.ann = self.engine.add_account("ann", 1_000_000_000)
        self.bob = self.engine.add_account("bob", 1_000_000_000)

    def send(self, who: str, side: Side, price: int, count: int, now_ms: int = NOW, **more: Any) -> Order:
        form: dict[str, Any] = {"time_in_force": "good_till_canceled", "self_trade": "taker_at_cross"} | more
        return orders.create(self.engine, who, NewOrder(ticker=M, side=side, price=price, count=count, **form), now_ms)

    def crowd(self, side: Side, price: int, count: int) -> None:
        self.engine.set_level(M, side, price, count, NOW)

    def refuses(self, code: str, who: str, side: Side, price: int, count: int, **more: Any) -> Rejected:
        with pytest.raises(Rejected) as caught:
            self.send(who, side, price, count, **more)
        assert caught.value.code == code
        return caught.value
