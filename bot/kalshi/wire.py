"""REST objects of Kalshi as typed messages, and their conversion into the core's types.

Together with frames.py (the WebSocket's half) the only place where wire strings become exact integers.
Unknown fields are ignored; a field that is wrong raises WireError (kalshi-api.md sections 3 to 5).
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar

import msgspec

from bot.core.book import Level
from bot.core.grid import Band, PriceGrid
from bot.core.units import ONE, Count, Money, Price, complement, parse_count, parse_money, parse_price
from bot.core.venue import Market, Quote, Settlement, Side, VenueFill, VenueOrder, VenuePosition
from bot.kalshi.series import WireSeries

CENT = 10_000
"""Money units (1/1,000,000 dollar) in a cent."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)

T = TypeVar("T")
Wire = TypeVar("Wire")


class WireError(ValueError):
    """The exchange said something that this program does not understand."""


class _Prices(dict[str, Price]):
    """Decimal string -> price, remembered: the same few thousand strings come again and again."""

    def __missing__(self, text: str) -> Price:
        price = _exact(parse_price, text)
        if len(self) < 20_000:
            self[text] = price
        return price


def _exact(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise WireError(str(error)) from None


prices = _Prices()


def to_count(text: str) -> Count:
    return _exact(parse_count, text)


def to_money(text: str) -> Money:
    return _exact(parse_money, text)


def reader(type_: type[Wire]) -> Callable[[bytes], Wire]:
    """A decoder of one message type that raises WireError."""
    decode = msgspec.json.Decoder(type_).decode

    def read(body: bytes) -> Wire:
        try:
            return decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise WireError(f"{type_.__name__}: {error}") from None

    return read


def epoch_ms(moment: datetime | None) -> int:
    """0 for None."""
    return (moment - _EPOCH) // _MS if moment else 0


def tradable(price: Price, size: Count) -> Price | None:
    """None for the wire's 'no quote': price 0 or 1 dollar, or nothing there (kalshi-api.md 3.3)."""
    return price if 0 < price < ONE and size > 0 else None


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""
    details: Any = ""


class _ErrorBody(_Error):
    error: _Error | str = ""
    msg: str = ""


_read_error = msgspec.json.Decoder(_ErrorBody).decode


def error_of(status: int, body: bytes) -> tuple[str, str]:
    """Code and message of an error reply, from any of the four shapes (kalshi-api.md 4.0).

    The code is 'http_<status>' when the body names none.
    """
    try:
        reply = _read_error(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"http_{status}", body[:120].decode("latin-1")
    if isinstance(reply.error, str) and reply.error:
        return reply.error.replace(" ", "_"), reply.error
    error = reply.error if isinstance(reply.error, _Error) else reply
    text = " / ".join(str(part) for part in (error.message or reply.msg, error.details) if part)
    return error.code or ("validation" if reply.msg else f"http_{status}"), text


class WireLevels(msgspec.Struct):
    yes_dollars: list[tuple[str, str]] | None = None
    no_dollars: list[tuple[str, str]] | None = None


class WireBook(msgspec.Struct):
    ticker: str
    orderbook_fp: WireLevels = msgspec.field(default_factory=WireLevels)


class WireBooks(msgspec.Struct):
    orderbooks: list[WireBook]


def yes_levels(pairs: Iterable[tuple[str, str]] | None) -> list[Level]:
    return [(prices[price], to_count(count)) for price, count in pairs or ()]


def no_levels(pairs: Iterable[tuple[str, str]] | None) -> list[Level]:
    """Bids for NO as the YES asks that they are."""
    return [(complement(prices[price]), to_count(count)) for price, count in pairs or ()]


def book_levels(book: WireBook) -> tuple[list[Level], list[Level]]:
    """YES bids and YES asks."""
    return yes_levels(book.orderbook_fp.yes_dollars), no_levels(book.orderbook_fp.no_dollars)


class WireRange(msgspec.Struct):
    start: str
    end: str
    step: str


def grid(ranges: Iterable[WireRange]) -> PriceGrid:
    bands = sorted((prices[r.start], prices[r.end], prices[r.step]) for r in ranges)
    if not bands or any(step <= 0 for _, _, step in bands):
        raise WireError("price_ranges: none, or a step that is not above zero")
    return PriceGrid(tuple(Band(*band) for band in bands))


Status = Literal["initialized", "inactive", "active", "closed", "determined", "disputed", "amended", "finalized"]


class WireMarket(msgspec.Struct):
    ticker: str
    event_ticker: str
    status: Status
    open_time: datetime
    close_time: datetime
    price_ranges: list[WireRange]
    yes_bid_dollars: str
    yes_ask_dollars: str
    yes_bid_size_fp: str
    yes_ask_size_fp: str
    title: str = ""
    yes_sub_title: str = ""
    expected_expiration_time: datetime | None = None
    volume_24h_fp: str = "0"
    result: str = ""
    exchange_index: int = 0


class WireEvent(msgspec.Struct):
    event_ticker: str
    series_ticker: str
    title: str = ""
    category: str = ""
    mutually_exclusive: bool = False
    fee_type_override: str | None = None
    fee_multiplier_override: float | None = None
    markets: list[WireMarket] | None = None


class WireMilestone(msgspec.Struct):
    start_date: datetime
    primary_event_tickers: list[str] | None = None
    related_event_tickers: list[str] | None = None


class EventsPage(msgspec.Struct):
    """Events are read one by one: one that is not understood must not hide the others."""

    events: list[msgspec.Raw]
    milestones: list[WireMilestone] | None = None
    cursor: str | None = None


class EventReply(msgspec.Struct):
    event: WireEvent


class MarketsPage(msgspec.Struct):
    markets: list[WireMarket]
    cursor: str | None = None


class MarketReply(msgspec.Struct):
    market: WireMarket


class MilestonesPage(msgspec.Struct):
    milestones: list[WireMilestone]
    cursor: str | None = None


def game_starts(milestones: Iterable[WireMilestone]) -> dict[str, int]:
    """Event ticker -> scheduled start (ms). A milestone that names the event as primary wins over a related one."""
    listed = list(milestones)
    starts: dict[str, int] = {}
    for tickers in ([m.related_event_tickers for m in listed], [m.primary_event_tickers for m in listed]):
        for milestone, names in zip(listed, tickers, strict=True):
            starts.update(dict.fromkeys(names or (), epoch_ms(milestone.start_date)))
    return starts


def market(m: WireMarket, event: WireEvent, series: WireSeries, start_ms: int | None) -> Market:
    """The standing facts of a market, joined with its event, series and milestone (kalshi-api.md 10.4)."""
    close_ms = epoch_ms(m.close_time)
    multiplier = event.fee_multiplier_override
    return Market(
        ticker=m.ticker,
        event_ticker=m.event_ticker,
        series_ticker=event.series_ticker,
        title=m.title or event.title,
        yes_title=m.yes_sub_title,
        category=event.category or series.category,
        status=m.status,
        open_ms=epoch_ms(m.open_time),
        close_ms=close_ms,
        end_ms=min(epoch_ms(m.expected_expiration_time) or close_ms, close_ms),
        start_ms=start_ms,
        grid=grid(m.price_ranges),
        fee_type=event.fee_type_override or series.fee_type,
        fee_multiplier=series.fee_multiplier if multiplier is None else multiplier,
        exchange_index=m.exchange_index,
        exclusive=event.mutually_exclusive,
        volume_24h=to_count(m.volume_24h_fp),
        result=m.result,
    )


def market_quote(m: WireMarket, received_ns: int) -> Quote:
    """The top of the book as a market object states it. It carries no time of its own."""
    bid_size, ask_size = to_count(m.yes_bid_size_fp), to_count(m.yes_ask_size_fp)
    bid, ask = tradable(prices[m.yes_bid_dollars], bid_size), tradable(prices[m.yes_ask_dollars], ask_size)
    return Quote(
        ticker=m.ticker,
        bid=bid,
        ask=ask,
        bid_size=bid_size if bid is not None else Count(0),
        ask_size=ask_size if ask is not None else Count(0),
        exchange_ms=0,
        received_ns=received_ns,
        source="rest",
    )


class WireOrder(msgspec.Struct):
    order_id: str
    ticker: str
    book_side: Side
    status: Literal["resting", "canceled", "executed"]
    yes_price_dollars: str
    initial_count_fp: str
    fill_count_fp: str
    remaining_count_fp: str
    client_order_id: str = ""
    created_time: datetime | None = None
    last_update_time: datetime | None = None


class OrdersPage(msgspec.Struct):
    orders: list[WireOrder]
    cursor: str | None = None


def order(o: WireOrder) -> VenueOrder:
    created_ms = epoch_ms(o.created_time)
    return VenueOrder(
        order_id=o.order_id,
        client_order_id=o.client_order_id,
        ticker=o.ticker,
        side=o.book_side,
        price=prices[o.yes_price_dollars],
        initial=to_count(o.initial_count_fp),
        filled=to_count(o.fill_count_fp),
        remaining=to_count(o.remaining_count_fp),
        status=o.status,
        created_ms=created_ms,
        updated_ms=epoch_ms(o.last_update_time) or created_ms,
    )


class WireFill(msgspec.Struct):
    trade_id: str
    order_id: str
    ticker: str
    book_side: Side
    count_fp: str
    yes_price_dollars: str
    is_taker: bool
    fee_cost: str
    created_time: datetime | None = None
    ts: int = 0


class FillsPage(msgspec.Struct):
    fills: list[WireFill]
    cursor: str | None = None


def fill(f: WireFill) -> VenueFill:
    return VenueFill(
        trade_id=f.trade_id,
        order_id=f.order_id,
        client_order_id="",
        ticker=f.ticker,
        side=f.book_side,
        price=prices[f.yes_price_dollars],
        count=to_count(f.count_fp),
        fee=to_money(f.fee_cost),
        is_taker=f.is_taker,
        at_ms=epoch_ms(f.created_time) or f.ts * 1000,
    )


class WirePosition(msgspec.Struct):
    ticker: str
    position_fp: str
    market_exposure_dollars: str
    realized_pnl_dollars: str
    fees_paid_dollars: str


class PositionsPage(msgspec.Struct):
    market_positions: list[WirePosition]
    cursor: str | None = None


def position(p: WirePosition) -> VenuePosition:
    return VenuePosition(
        ticker=p.ticker,
        count=to_count(p.position_fp),
        cost=to_money(p.market_exposure_dollars),
        realized=to_money(p.realized_pnl_dollars),
        fees=to_money(p.fees_paid_dollars),
    )


class WireSettlement(msgspec.Struct):
    ticker: str
    market_result: str
    yes_count_fp: str
    no_count_fp: str
    revenue: int
    settled_time: datetime
    fee_cost: str = "0"


class SettlementsPage(msgspec.Struct):
    settlements: list[WireSettlement]
    cursor: str | None = None


def settlement(s: WireSettlement) -> Settlement:
    """Revenue is whole cents on the wire, alone among the amounts (kalshi-api.md 3.1)."""
    return Settlement(
        ticker=s.ticker,
        result=s.market_result,
        revenue=Money(s.revenue * CENT),
        fee=to_money(s.fee_cost),
        yes_count=to_count(s.yes_count_fp),
        no_count=to_count(s.no_count_fp),
        settled_ms=epoch_ms(s.settled_time),
    )


class AsOfReply(msgspec.Struct):
    as_of_time: datetime


class ExchangeStatus(msgspec.Struct, frozen=True):
    """Whether the exchange answers at all, and whether orders may be placed (kalshi-api.md 4.1)."""

    exchange_active: bool
    trading_active: bool


class _Bucket(msgspec.Struct):
    refill_rate: int
    bucket_capacity: int


class LimitsReply(msgspec.Struct):
    usage_tier: str
    read: _Bucket
    write: _Bucket


class AccountLimits(msgspec.Struct, frozen=True):
    """Token buckets of the account: refill per second and capacity (kalshi-api.md section 7)."""

    tier: str
    read_rate: int
    read_capacity: int
    write_rate: int
    write_capacity: int


def limits(reply: LimitsReply) -> AccountLimits:
    return AccountLimits(
        tier=reply.usage_tier,
        read_rate=reply.read.refill_rate,
        read_capacity=reply.read.bucket_capacity,
        write_rate=reply.write.refill_rate,
        write_capacity=reply.write.bucket_capacity,
    )
