"""What the exchange says, in our units: quotes, markets, orders, fills, positions, settlements, balance.

bot/kalshi makes these from wire messages; nothing above it sees a wire dict. Prices are YES prices,
positions are signed (+ YES, - NO), sides are sides of the YES book (bid buys YES, ask sells YES).
"""

from typing import Literal

import msgspec

from bot.core.grid import PriceGrid
from bot.core.units import Count, Money, Price

Side = Literal["bid", "ask"]
TimeInForce = Literal["good_till_canceled", "immediate_or_cancel", "fill_or_kill"]


class Quote(msgspec.Struct, frozen=True):
    """Top of one market's book. None = that side is empty; an empty side is not a price."""

    ticker: str
    bid: Price | None
    ask: Price | None
    bid_size: Count
    ask_size: Count
    exchange_ms: int
    """The exchange's own time of this state; 0 when it gave none."""
    received_ns: int
    """Our monotonic-free wall clock (time.time_ns) when the bytes arrived."""
    source: Literal["book", "ticker", "rest"]


class Market(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The standing facts of one market, with those of its event and series that trading needs."""

    ticker: str
    event_ticker: str
    series_ticker: str
    title: str
    yes_title: str
    category: str
    status: str
    """initialized inactive active closed determined disputed amended finalized (kalshi-api.md 4.4)."""
    open_ms: int
    close_ms: int
    """Upper limit only: may lie weeks after the real end."""
    end_ms: int
    """Estimated end: milestone start + duration, else expected expiration, else close_ms."""
    start_ms: int | None
    """Start of the game when a milestone names it."""
    grid: PriceGrid
    fee_type: str
    fee_multiplier: float
    exchange_index: int
    exclusive: bool
    """True when the markets of the event exclude each other."""
    volume_24h: Count
    result: str


class VenueOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One order as the exchange describes it (user_order frame or order read)."""

    order_id: str
    client_order_id: str
    ticker: str
    side: Side
    price: Price
    initial: Count
    filled: Count
    remaining: Count
    status: Literal["resting", "canceled", "executed"]
    created_ms: int
    updated_ms: int


class VenueFill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One execution of one of our orders; trade_id is unique."""

    trade_id: str
    order_id: str
    client_order_id: str
    """Empty when the exchange did not say (always on REST)."""
    ticker: str
    side: Side
    price: Price
    count: Count
    fee: Money
    is_taker: bool
    at_ms: int


class VenuePosition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One market's signed position, with the exchange's own cost and realised figures."""

    ticker: str
    count: Count
    cost: Money
    realized: Money
    fees: Money


class Balance(msgspec.Struct, frozen=True):
    """Cash in all, and on each shard (kalshi-api.md 1.4); `shards` is empty where the exchange does not tell."""

    cash: Money
    shards: dict[str, Money] = {}


class Settlement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A market that paid out. Booked once, keyed by ticker and settled time."""

    ticker: str
    result: str
    revenue: Money
    """What was paid for the net position."""
    fee: Money
    yes_count: Count
    no_count: Count
    settled_ms: int


class Transfer(msgspec.Struct, frozen=True):
    """A deposit, or with a negative amount a withdrawal. Whether cash moves by its fee as well is not documented."""

    id: str
    amount: Money
    fee: Money
    at_ms: int


class Accepted(msgspec.Struct, frozen=True):
    """The exchange applied the write. For a cancel, `remaining` is 0 and `reduced` what was removed."""

    order_id: str
    filled: Count
    remaining: Count
    reduced: Count = Count(0)


class Rejected(msgspec.Struct, frozen=True):
    """The exchange refused and provably applied nothing."""

    code: str
    message: str
    status: int


class AlreadyExists(msgspec.Struct, frozen=True):
    """409 order_already_exists: an earlier send of this client order id was applied (kalshi-api.md 4.9)."""


class NotFound(msgspec.Struct, frozen=True):
    """404 on cancel or amend: cancelled, executed or unknown; proves nothing by itself."""


class Unknown(msgspec.Struct, frozen=True):
    """Time-out, 5xx, broken reply, 2xx without an order: the outcome is not known."""

    reason: str


class NotSent(msgspec.Struct, frozen=True):
    """Nothing left this machine (connection refused, our own limit): safe to try again."""

    reason: str


Outcome = Accepted | Rejected | AlreadyExists | NotFound | Unknown | NotSent
