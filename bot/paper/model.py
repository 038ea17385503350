"""The nouns of the paper exchange: what is listed, what is ordered, what happened.

Units are those of bot.core.units (price 1/10000 dollar, count 1/100 contract, money 1/1000000 dollar); times are
epoch milliseconds. Prices are YES prices everywhere; a position is signed (+ YES, - NO).
"""

from typing import Any, Literal

import msgspec

Side = Literal["bid", "ask"]
TimeInForce = Literal["good_till_canceled", "immediate_or_cancel", "fill_or_kill"]
SelfTrade = Literal["taker_at_cross", "maker"]
OrderStatus = Literal["resting", "canceled", "executed"]
MarketStatus = Literal["initialized", "active", "inactive", "closed", "determined", "disputed", "amended", "finalized"]
Result = Literal["", "yes", "no", "scalar"]

Halt = Literal["", "trading", "exchange"]
"""What is paused everywhere: nothing, placing and amending, or every command (kalshi-api.md section 4.1)."""

CROWD = ""
"""The user id of the background liquidity: an account with bottomless money and no records."""


class Rejected(Exception):
    """The exchange refuses a command; `code` is the wire's error code (kalshi-api.md section 4.0)."""

    def __init__(self, code: str, details: str = "") -> None:
        super().__init__(f"{code}: {details}" if details else code)
        self.code = code
        self.details = details


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What kalshi-api.md section 11.3 leaves open: what the exchange does where the real one is not known."""

    balance_less_resting: bool = False
    """Whether the shown balance is already short of what resting orders bind."""
    sells_add_to_traded: bool = False
    """Whether closing contracts adds to total_traded_dollars."""
    partial_ioc_status: Literal["canceled", "executed"] = "canceled"
    """The status word of an immediate-or-cancel order that filled in part."""
    unknown_tickers: Literal["ignored", "refused"] = "ignored"
    """What a WebSocket subscription does with a ticker that is not listed; `refused` is error 11."""
    cancel_all_lingers_s: int = 0
    """How long after a cancel-all new orders are cancelled too: up to a minute on the real exchange."""


class Series(msgspec.Struct):
    ticker: str
    title: str
    category: str
    fee_type: str = "quadratic_with_maker_fees"
    fee_multiplier: float = 1.0
    frequency: str = "custom"
    tags: list[str] = []
    exchange_index: int = 0


class Event(msgspec.Struct):
    event_ticker: str
    series_ticker: str
    title: str
    sub_title: str
    mutually_exclusive: bool = True
    collateral_return_type: str = "MECNET"
    category: str = "Sports"
    product_metadata: dict[str, Any] = {}
    exchange_index: int = 0
    updated_ms: int = 0
    fee_type_override: str | None = None
    fee_multiplier_override: float | None = None


class FeeChange(msgspec.Struct, frozen=True):
    """A change of fees from `scheduled_ms` on: of a whole series, or of the one event it names."""

    id: str
    series_ticker: str
    event_ticker: str
    fee_type: str | None
    fee_multiplier: float | None
    scheduled_ms: int


class Market(msgspec.Struct):
    ticker: str
    event_ticker: str
    title: str
    yes_sub_title: str
    no_sub_title: str
    open_ms: int
    close_ms: int
    expected_expiration_ms: int
    latest_expiration_ms: int
    settlement_timer_s: int = 60
    price_ranges: list[tuple[int, int, int]] = msgspec.field(default_factory=lambda: [(0, 10_000, 100)])
    """(start, end, step) bands of the price grid."""
    price_level_structure: str = "linear_cent"
    rules_primary: str = ""
    rules_secondary: str = ""
    strike_type: str = "structured"
    custom_strike: dict[str, Any] = {}
    floor_strike: float | None = None
    cap_strike: float | None = None
    occurrence_ms: int | None = None
    status: MarketStatus = "initialized"
    result: Result = ""
    can_close_early: bool = True
    early_close_condition: str = "This market will close and expire after a winner is declared."
    exchange_index: int = 0
    market_id: str = ""
    """Filled in by the engine, as is everything below."""
    created_ms: int = 0
    updated_ms: int = 0
    settlement_value: int | None = None
    settled_ms: int | None = None
    last_price: int = 0
    last_count: int = 0
    volume: int = 0
    dollar_volume: int = 0
    """Money paid over all trades, in units of money at the YES price."""
    open_interest: int = 0


class Milestone(msgspec.Struct):
    id: str
    category: str
    type: str
    start_ms: int
    title: str
    primary_event_tickers: list[str]
    related_event_tickers: list[str]
    details: dict[str, Any]
    updated_ms: int = 0


class StructuredTarget(msgspec.Struct):
    id: str
    name: str
    type: str
    details: dict[str, Any]


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A create command whose wire form has been checked; the engine checks the rest."""

    ticker: str
    side: Side
    price: int
    count: int
    time_in_force: TimeInForce
    self_trade: SelfTrade
    client_order_id: str = ""
    expiration_ms: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    cancel_on_pause: bool = False
    group_id: str = ""


class OrderGroup(msgspec.Struct):
    """A cap on the contracts its orders match in a rolling window (kalshi-api.md section 4.11)."""

    id: str
    user_id: str
    limit: int
    exchange_index: int = 0
    triggered: bool = False
    """Its orders were cancelled and new ones are refused until it is reset."""
    matched: list[tuple[int, int]] = []
    """(time, contracts) of the matches in the window."""


class Transfer(msgspec.Struct, frozen=True):
    """Cash moved between two shards of one account."""

    id: str
    source: int
    destination: int
    amount: int
    ms: int
    client_id: str = ""


class Order(msgspec.Struct):
    order_id: str
    user_id: str
    client_order_id: str
    number: int
    """Its place among the account's orders, from 1."""
    ticker: str
    side: Side
    price: int
    initial: int
    """The total wanted: what was asked for, moved by amend and decrease."""
    remaining: int
    time_in_force: TimeInForce
    self_trade: SelfTrade
    created_ms: int
    updated_ms: int
    expiration_ms: int | None = None
    post_only: bool = False
    cancel_on_pause: bool = False
    status: OrderStatus = "resting"
    filled: int = 0
    filled_value: int = 0
    """Sum of YES price * count over the fills, in money."""
    taker_cost: int = 0
    maker_cost: int = 0
    taker_fees: int = 0
    maker_fees: int = 0
    rounding: int = 0
    """What rounding has cost so far and no rebate has given back (kalshi-api.md section 8.2)."""
    reason: str = ""
    queued: int = 0
    """Rank of the last time it joined the tail of a level: restores the queue after a restart."""
    group_id: str = ""


class Trade(msgspec.Struct, frozen=True):
    trade_id: str
    ticker: str
    price: int
    count: int
    taker_side: Side
    ms: int


class Fill(msgspec.Struct, frozen=True):
    trade_id: str
    order_id: str
    client_order_id: str
    user_id: str
    ticker: str
    side: Side
    price: int
    count: int
    is_taker: bool
    fee: int
    position: int
    """The signed position after this fill."""
    ms: int


class Position(msgspec.Struct):
    ticker: str
    event_ticker: str
    count: int = 0
    cost: int = 0
    """What the open contracts cost, fees apart."""
    realized: int = 0
    fees: int = 0
    traded: int = 0
    """Money paid to open, over the life of the position."""
    volume: int = 0
    settled: bool = False
    updated_ms: int = 0


class Settlement(msgspec.Struct, frozen=True):
    ticker: str
    event_ticker: str
    result: Result
    value: int
    count: int
    cost: int
    revenue: int
    fee: int
    """All fees of this position, with what a scalar payout lost to whole cents."""
    ms: int


class Listener:
    """Hears what the engine does, in order and before the call returns; override what you need and do not call back.

    Objects are the engine's own: read them at once, never keep or change them.
    """

    def listed(self, market: Market) -> None:
        """A market was added."""

    def changed(self, market: Market) -> None:
        """A market's status, times or totals changed, noisily or silently."""

    def added(self, thing: Series | Event | Milestone | StructuredTarget | FeeChange) -> None:
        """Something other than a market was added or replaced."""

    def event_fee(self, event: Event) -> None:
        """An event's own fees came or went."""

    def removed(self, thing: Market | Event | Milestone) -> None:
        """A settled market left the engine, or what went with its event."""

    def lifecycle(self, market: Market, kind: str, now_ms: int) -> None:
        """`kind` is an event_type of kalshi-api.md section 6.5."""

    def book(self, market: Market, side: Side, price: int, delta: int, order: Order | None, now_ms: int) -> None:
        """A level's displayed size changed by `delta`; `order` is the member order that caused it, if one did."""

    def cleared(self, market: Market, now_ms: int) -> None:
        """The whole book went at once."""

    def trade(self, trade: Trade) -> None: ...

    def client_id(self, user_id: str, client_order_id: str) -> None:
        """A client order id was used up."""

    def order(self, order: Order) -> None: ...

    def group(self, group: OrderGroup, kind: str, now_ms: int) -> None:
        """`kind` is an event_type of channel order_group_updates, or `matched`."""

    def transfer(self, user_id: str, transfer: Transfer | None) -> None:
        """Cash moved between shards: by a transfer, or (None) by the target allocation, which may have changed."""

    def fill(self, fill: Fill) -> None: ...

    def position(self, user_id: str, position: Position) -> None: ...

    def settlement(self, user_id: str, settlement: Settlement) -> None: ...
