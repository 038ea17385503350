"""What the core wants done. The executor does it and answers with events."""

from typing import Literal

import msgspec

from bot.core.orders import Purpose
from bot.core.units import Count, Price
from bot.core.venue import Side, TimeInForce


class PlaceOrder(msgspec.Struct, frozen=True, tag=True):
    """Send one order. An entry, or a target to rest, leaves once its intent is durable; an exit leaves at once."""

    client_order_id: str
    ticker: str
    side: Side
    price: Price
    count: Count
    time_in_force: TimeInForce
    purpose: Purpose
    self_trade_prevention: Literal["taker_at_cross", "maker"]
    reduce_only: bool = False
    tick_ns: int = 0
    """When the tick that caused this arrived (time.time_ns); 0 when no tick did. For the latency histogram."""


class CancelOrder(msgspec.Struct, frozen=True, tag=True):
    """Cancel one resting order; kalshi-api.md 1.4: the ticker routes it to its shard."""

    client_order_id: str
    order_id: str
    ticker: str


class AmendOrder(msgspec.Struct, frozen=True, tag=True):
    """Give a resting order another price; `count` is its total, filled contracts included (kalshi-api.md 4.9)."""

    client_order_id: str
    order_id: str
    ticker: str
    side: Side
    price: Price
    count: Count
    tick_ns: int = 0


class ResolveOrder(msgspec.Struct, frozen=True, tag=True):
    """Prove what became of an order whose outcome is unknown: read listings until it is found or provably absent."""

    client_order_id: str
    ticker: str
    sent_ms: int


class Reconcile(msgspec.Struct, frozen=True, tag=True):
    """Read orders, fills, positions, balance and settlements now, before the timer."""

    reason: str


class Wake(msgspec.Struct, frozen=True, tag=True):
    """Look at this market's trade again at this time, without waiting for a tick or the sweep."""

    at_ms: int
    ticker: str


class Notice(msgspec.Struct, frozen=True, tag=True):
    """A line for the operator: log, page and history."""

    level: Literal["info", "warning", "alarm"]
    code: str
    text: str
    ticker: str = ""


Effect = PlaceOrder | AmendOrder | CancelOrder | ResolveOrder | Reconcile | Wake | Notice
