"""WebSocket messages of Kalshi as typed frames, and their conversion into the core's types (kalshi-api.md section 6).

`decode` is one typed pass over the bytes. Frames that carry no news for this program (event_lifecycle) are known
by name only; a type or an enum value that is not known raises WireError, so that a change of the wire is noticed.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

from bot.core.book import Level
from bot.core.units import Count, Price, complement
from bot.core.venue import Quote, Side, VenueFill, VenueOrder, VenuePosition
from bot.kalshi.wire import (
    WireError,
    WireRange,
    epoch_ms,
    no_levels,
    prices,
    to_count,
    to_money,
    tradable,
    yes_levels,
)


class _Frame(msgspec.Struct, tag_field="type", gc=False, kw_only=True):
    sid: int = 0
    seq: int | None = None
    id: int = 0
    sending_ts_ms: int = 0


class _SnapshotMsg(msgspec.Struct, gc=False):
    market_ticker: str
    yes_dollars_fp: list[tuple[str, str]] | None = None
    no_dollars_fp: list[tuple[str, str]] | None = None


class OrderbookSnapshot(_Frame, tag="orderbook_snapshot", kw_only=True):
    msg: _SnapshotMsg


class _DeltaMsg(msgspec.Struct, gc=False):
    market_ticker: str
    price_dollars: str
    delta_fp: str
    side: Literal["yes", "no"]
    ts_ms: int = 0


class OrderbookDelta(_Frame, tag="orderbook_delta", kw_only=True):
    msg: _DeltaMsg


class _TickerMsg(msgspec.Struct, gc=False):
    market_ticker: str
    yes_bid_dollars: str
    yes_ask_dollars: str
    yes_bid_size_fp: str
    yes_ask_size_fp: str
    ts_ms: int = 0


class Ticker(_Frame, tag="ticker", kw_only=True):
    msg: _TickerMsg


class _FillMsg(msgspec.Struct, gc=False):
    trade_id: str
    order_id: str
    market_ticker: str
    is_taker: bool
    book_side: Side
    yes_price_dollars: str
    count_fp: str
    fee_cost: str
    ts_ms: int
    client_order_id: str = ""
    subaccount: int | None = None


class Fill(_Frame, tag="fill", kw_only=True):
    msg: _FillMsg


class _OrderMsg(msgspec.Struct, gc=False):
    order_id: str
    client_order_id: str
    ticker: str
    status: Literal["resting", "canceled", "executed"]
    book_side: Side
    yes_price_dollars: str
    initial_count_fp: str
    fill_count_fp: str
    remaining_count_fp: str
    created_ts_ms: int = 0
    created_time: datetime | None = None
    last_updated_ts_ms: int = 0
    subaccount: int | None = msgspec.field(default=None, name="subaccount_number")


class UserOrder(_Frame, tag="user_order", kw_only=True):
    msg: _OrderMsg


class _PositionMsg(msgspec.Struct, gc=False):
    market_ticker: str
    position_fp: str
    position_cost_dollars: str
    realized_pnl_dollars: str
    fees_paid_dollars: str
    subaccount: int | None = None


class MarketPosition(_Frame, tag="market_position", kw_only=True):
    msg: _PositionMsg


class _LifecycleMsg(msgspec.Struct, gc=False):
    market_ticker: str
    event_type: Literal[
        "created",
        "activated",
        "deactivated",
        "close_date_updated",
        "determined",
        "settled",
        "price_level_structure_updated",
        "metadata_updated",
    ]
    close_ts: int | None = None
    result: str = ""
    price_ranges: list[WireRange] | None = None


class MarketLifecycle(_Frame, tag="market_lifecycle_v2", kw_only=True):
    msg: _LifecycleMsg


class _TradeMsg(msgspec.Struct, gc=False):
    market_ticker: str


class Trade(_Frame, tag="trade", kw_only=True):
    msg: _TradeMsg


class EventLifecycle(_Frame, tag="event_lifecycle", kw_only=True):
    pass


class _FeeMsg(msgspec.Struct, gc=False):
    event_ticker: str
    fee_type_override: str | None = None
    fee_multiplier_override: float | None = None


class EventFeeUpdate(_Frame, tag="event_fee_update", kw_only=True):
    msg: _FeeMsg


class _SubscribedMsg(msgspec.Struct, gc=False):
    channel: str
    sid: int


class Subscribed(_Frame, tag="subscribed", kw_only=True):
    msg: _SubscribedMsg


class Unsubscribed(_Frame, tag="unsubscribed", kw_only=True):
    pass


class Ok(_Frame, tag="ok", kw_only=True):
    msg: Any = None

    @property
    def tickers(self) -> frozenset[str] | None:
        """All markets of the subscription after the change, when the reply lists them."""
        listed = self.msg.get("market_tickers") if isinstance(self.msg, dict) else None
        return None if listed is None else frozenset(listed)


class _ErrorMsg(msgspec.Struct, gc=False):
    code: int
    msg: str = ""


class Error(_Frame, tag="error", kw_only=True):
    msg: _ErrorMsg


Control = Subscribed | Unsubscribed | Ok | Error
Data = (
    OrderbookSnapshot
    | OrderbookDelta
    | Ticker
    | Fill
    | UserOrder
    | MarketPosition
    | MarketLifecycle
    | Trade
    | EventLifecycle
    | EventFeeUpdate
)

_decoder: msgspec.json.Decoder[Control | Data] = msgspec.json.Decoder(Control | Data)
_decode = _decoder.decode

STATUS_AFTER = {
    "created": "initialized",
    "activated": "active",
    "deactivated": "inactive",
    "determined": "determined",
    "settled": "finalized",
}
"""Lifecycle event -> market status; the other events leave the status alone (kalshi-api.md 5.3)."""


def decode(payload: bytes) -> Control | Data:
    """One text frame; WireError when it is not understood."""
    try:
        return _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(str(error)) from None


def snapshot_levels(frame: OrderbookSnapshot, yes_priced: bool) -> tuple[list[Level], list[Level]]:
    """YES bids and YES asks. `yes_priced`: NO levels carry YES prices (subscribed with use_yes_price)."""
    asks = yes_levels if yes_priced else no_levels
    return yes_levels(frame.msg.yes_dollars_fp), asks(frame.msg.no_dollars_fp)


def delta_level(frame: OrderbookDelta, yes_priced: bool) -> tuple[Side, Price, Count]:
    """Side of the YES book, YES price and the signed change of count."""
    msg = frame.msg
    price, change = prices[msg.price_dollars], to_count(msg.delta_fp)
    if msg.side == "yes":
        return "bid", price, change
    return "ask", price if yes_priced else complement(price), change


def quote(frame: Ticker, received_ns: int) -> Quote:
    msg = frame.msg
    bid_size, ask_size = to_count(msg.yes_bid_size_fp), to_count(msg.yes_ask_size_fp)
    bid, ask = tradable(prices[msg.yes_bid_dollars], bid_size), tradable(prices[msg.yes_ask_dollars], ask_size)
    return Quote(
        ticker=msg.market_ticker,
        bid=bid,
        ask=ask,
        bid_size=bid_size if bid is not None else Count(0),
        ask_size=ask_size if ask is not None else Count(0),
        exchange_ms=msg.ts_ms,
        received_ns=received_ns,
        source="ticker",
    )


def fill(frame: Fill) -> VenueFill:
    msg = frame.msg
    return VenueFill(
        trade_id=msg.trade_id,
        order_id=msg.order_id,
        client_order_id=msg.client_order_id,
        ticker=msg.market_ticker,
        side=msg.book_side,
        price=prices[msg.yes_price_dollars],
        count=to_count(msg.count_fp),
        fee=to_money(msg.fee_cost),
        is_taker=msg.is_taker,
        at_ms=msg.ts_ms,
    )


def order(frame: UserOrder) -> VenueOrder:
    msg = frame.msg
    created_ms = msg.created_ts_ms or epoch_ms(msg.created_time)
    return VenueOrder(
        order_id=msg.order_id,
        client_order_id=msg.client_order_id,
        ticker=msg.ticker,
        side=msg.book_side,
        price=prices[msg.yes_price_dollars],
        initial=to_count(msg.initial_count_fp),
        filled=to_count(msg.fill_count_fp),
        remaining=to_count(msg.remaining_count_fp),
        status=msg.status,
        created_ms=created_ms,
        updated_ms=msg.last_updated_ts_ms or created_ms,
    )


def position(frame: MarketPosition) -> VenuePosition:
    msg = frame.msg
    return VenuePosition(
        ticker=msg.market_ticker,
        count=to_count(msg.position_fp),
        cost=to_money(msg.position_cost_dollars),
        realized=to_money(msg.realized_pnl_dollars),
        fees=to_money(msg.fees_paid_dollars),
    )
