"""REST calls of the member: account, portfolio reads and the V2 order commands (kalshi-api.md sections 4.8 to 4.12)."""

from typing import Annotated, Any, Literal

import msgspec

from bot.core.units import format_count, format_money, parse_count, parse_price
from bot.paper import orders, wire
from bot.paper.http import Refusal, Request, error, malformed, nested, page, rejected
from bot.paper.model import Fill, NewOrder, Order, Position, Rejected, Settlement, Side
from bot.paper.venue import Venue

Json = dict[str, Any]
Subaccount = Annotated[int, msgspec.Meta(ge=0, le=63)]
Seconds = Annotated[int, msgspec.Meta(ge=0, lt=253_402_300_800)]
"""Unix time up to the year 9999."""


class CreateOrder(msgspec.Struct):
    ticker: str
    side: Side
    count: str
    price: str
    time_in_force: Literal["good_till_canceled", "immediate_or_cancel", "fill_or_kill"]
    self_trade_prevention_type: Literal["taker_at_cross", "maker"]
    client_order_id: str = ""
    expiration_time: Seconds | None = None
    post_only: bool = False
    reduce_only: bool = False
    cancel_order_on_pause: bool = False
    subaccount: Subaccount = 0
    exchange_index: int | None = None


class AmendOrder(msgspec.Struct):
    ticker: str
    side: Side
    price: str
    count: str
    client_order_id: str = ""
    updated_client_order_id: str = ""
    expiration_time: Seconds | None = None
    exchange_index: int | None = None


class DecreaseOrder(msgspec.Struct):
    reduce_by: str | None = None
    reduce_to: str | None = None
    market_ticker: str = ""
    exchange_index: int | None = None


class CancelOrder(msgspec.Struct):
    order_id: str
    market_ticker: str = ""
    subaccount: Subaccount = 0
    exchange_index: int | None = None


class Batch(msgspec.Struct):
    orders: list[msgspec.Raw]


# Account


def limits(venue: Venue, request: Request) -> Json:
    return {
        "usage_tier": venue.settings.tier,
        "read": {"refill_rate": venue.read.refill, "bucket_capacity": venue.read.capacity},
        "write": {"refill_rate": venue.write.refill, "bucket_capacity": venue.write.capacity},
        "grants": [],
    }


# Reads


def balance(venue: Venue, request: Request) -> Json:
    """Cash as it is: what resting orders bind is not taken off (kalshi-api.md section 4.8, our choice)."""
    account = venue.account
    value = sum(_worth(venue, position) for position in account.positions.values())
    return {
        "balance": account.cash // 10_000,
        "balance_dollars": format_money(account.cash),
        "portfolio_value": value // 10_000,
        "updated_ts": request.now_ms // 1000,
        "balance_breakdown": [{"exchange_index": 0, "balance": format_money(account.cash)}],
    }


def positions(venue: Venue, request: Request) -> Json:
    settled = request.one_of("settlement_status", "unsettled", "settled", "all") or "unsettled"
    ticker, event_ticker = request.text("ticker"), request.text("event_ticker")
    nonzero = request.texts("count_filter")
    if set(nonzero) - {"position", "total_traded"}:
        raise request.invalid("count_filter", "oneof")

    def wanted(position: Position) -> bool:
        return (
            (settled == "all" or position.settled == (settled == "settled"))
            and (not ticker or position.ticker == ticker)
            and (not event_ticker or position.event_ticker == event_ticker)
            and ("position" not in nonzero or position.count != 0)
            and ("total_traded" not in nonzero or position.traded != 0)
        )

    found = [position for position in venue.account.positions.values() if wanted(position)]
    part, cursor = page(found, lambda position: position.ticker, request, 100, 1000, 1)
    by_event: dict[str, list[Position]] = {}
    for position in part:
        by_event.setdefault(position.event_ticker, []).append(position)
    return {
        "market_positions": [wire.position(position, _shard(venue, position.ticker)) for position in part],
        "event_positions": [wire.event_position(ticker, rows) for ticker, rows in by_event.items()],
        "cursor": cursor,
    }


def fills(venue: Venue, request: Request) -> Json:
    tickers, order_id = set(request.texts("ticker")), request.text("order_id")
    low, high = _times(request)

    def wanted(fill: Fill) -> bool:
        return (
            (not tickers or fill.ticker in tickers)
            and (not order_id or fill.order_id == order_id)
            and low <= fill.ms < high
        )

    found = [fill for fill in reversed(venue.account.fills) if wanted(fill)]
    part, cursor = page(found, lambda fill: f"{fill.trade_id}{fill.order_id}", request, 100, 1000, 1)
    return {"fills": [wire.fill(fill, _shard(venue, fill.ticker)) for fill in part], "cursor": cursor}


def settlements(venue: Venue, request: Request) -> Json:
    ticker, event_ticker = request.text("ticker"), request.text("event_ticker")
    low, high = _times(request)

    def wanted(record: Settlement) -> bool:
        return (
            (not ticker or record.ticker == ticker)
            and (not event_ticker or record.event_ticker == event_ticker)
            and low <= record.ms < high
        )

    found = [record for record in reversed(venue.account.settlements) if wanted(record)]
    part, cursor = page(found, lambda record: record.ticker, request, 100, 1000, 1)
    return {"settlements": [wire.settlement(r, _shard(venue, r.ticker)) for r in part], "cursor": cursor}


def order_list(venue: Venue, request: Request) -> Json:
    status = request.one_of("status", "resting", "canceled", "executed")
    ticker, event_tickers = request.text("ticker"), tuple(request.texts("event_ticker"))
    low, high = _times(request)

    def wanted(order: Order) -> bool:
        return (
            (not status or order.status == status)
            and (not ticker or order.ticker == ticker)
            and (not event_tickers or order.ticker.startswith(tuple(f"{event}-" for event in event_tickers)))
            and low <= order.created_ms < high
        )

    found = [order for order in reversed(venue.account.orders.values()) if wanted(order)]
    part, cursor = page(found, lambda order: order.order_id, request, 100, 1000, 1)
    return {"orders": [wire.order(order, _shard(venue, order.ticker)) for order in part], "cursor": cursor}


def order(venue: Venue, request: Request) -> Json:
    found = venue.account.orders.get(request.params["order_id"])
    if found is None:
        raise nested(404, "not_found")
    return {"order": wire.order(found, _shard(venue, found.ticker))}


# Commands


def create(venue: Venue, request: Request) -> Json:
    return _create(venue, request, request.json(CreateOrder))


def cancel(venue: Venue, request: Request) -> Json:
    return _cancel(venue, request, request.params["order_id"])


def cancel_all(venue: Venue, request: Request) -> None:
    orders.cancel_all(venue.engine, request.user_id, request.now_ms)


def amend(venue: Venue, request: Request) -> Json:
    body = request.json(AmendOrder)
    order = _done(
        lambda: orders.amend(
            venue.engine,
            request.user_id,
            request.params["order_id"],
            request.now_ms,
            ticker=body.ticker,
            side=body.side,
            price=_price(body.price),
            count=_count(body.count),
            client_order_id=body.client_order_id,
            new_client_order_id=body.updated_client_order_id,
            expiration_ms=None if body.expiration_time is None else body.expiration_time * 1000,
        )
    )
    return wire.order_result(order, request.now_ms)


def decrease(venue: Venue, request: Request) -> Json:
    body = request.json(DecreaseOrder)
    if (body.reduce_by is None) == (body.reduce_to is None):
        raise malformed("exactly one of reduce_by and reduce_to is required")
    to = None if body.reduce_to is None else _count(body.reduce_to)
    by = 0 if body.reduce_by is None else _count(body.reduce_by)
    order_id = request.params["order_id"]
    order = _done(lambda: orders.decrease(venue.engine, request.user_id, order_id, to, by, request.now_ms))
    return {
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "remaining_count": format_count(order.remaining),
        "ts_ms": request.now_ms,
    }


def batch_create(venue: Venue, request: Request) -> Json:
    """Orders in turn; one that is refused does not stop the others."""
    answers = []
    for raw in request.json(Batch).orders:
        try:
            body = msgspec.json.decode(raw, type=CreateOrder)
            answers.append(_create(venue, request, body))
        except msgspec.DecodeError as broken:
            answers.append({"error": error("bad_request", f"json: {broken}")})
        except Refusal as refused:
            answers.append({"client_order_id": body.client_order_id, "error": refused.body["error"]})
    return {"orders": answers}


def batch_cancel(venue: Venue, request: Request) -> Json:
    answers = []
    for raw in request.json(Batch).orders:
        order_id = ""
        try:
            order_id = msgspec.json.decode(raw, type=CancelOrder).order_id
            answers.append(_cancel(venue, request, order_id))
        except msgspec.DecodeError as broken:
            answers.append({"order_id": "", "reduced_by": "0.00", "error": error("bad_request", f"json: {broken}")})
        except Refusal as refused:
            answers.append({"order_id": order_id, "reduced_by": "0.00", "error": refused.body["error"]})
    return {"orders": answers}


def removed(venue: Venue, request: Request) -> Json:
    """The order writes of V1, switched off in June 2026 (kalshi-api.md section 1.3)."""
    raise nested(410, "endpoint_removed", "This endpoint is no longer available. Use /portfolio/events/orders instead.")


# Parts


def _create(venue: Venue, request: Request, body: CreateOrder) -> Json:
    new = NewOrder(
        ticker=body.ticker,
        side=body.side,
        price=_price(body.price),
        count=_count(body.count),
        time_in_force=body.time_in_force,
        self_trade=body.self_trade_prevention_type,
        client_order_id=body.client_order_id,
        expiration_ms=None if body.expiration_time is None else body.expiration_time * 1000,
        post_only=body.post_only,
        reduce_only=body.reduce_only,
        cancel_on_pause=body.cancel_order_on_pause,
    )
    order = _done(lambda: orders.create(venue.engine, request.user_id, new, request.now_ms))
    return wire.order_result(order, request.now_ms)


def _cancel(venue: Venue, request: Request, order_id: str) -> Json:
    order, gone = _done(lambda: orders.cancel(venue.engine, request.user_id, order_id, request.now_ms))
    body = {"order_id": order_id, "reduced_by": format_count(gone), "ts_ms": request.now_ms}
    return body | {"client_order_id": order.client_order_id} if order.client_order_id else body


def _done(command: Any) -> Any:
    try:
        return command()
    except Rejected as reason:
        raise rejected(reason) from None


def _price(text: str) -> int:
    try:
        return parse_price(text)
    except ValueError as wrong:
        raise nested(400, "invalid_price", str(wrong)) from None


def _count(text: str) -> int:
    try:
        return parse_count(text)
    except ValueError as wrong:
        raise nested(400, "invalid_order_size", str(wrong)) from None


def _times(request: Request) -> tuple[int, int]:
    """[min_ts, max_ts] as milliseconds, the end exclusive of the next second."""
    return request.number("min_ts", 0) * 1000, (request.number("max_ts", 2**50) + 1) * 1000


def _worth(venue: Venue, position: Position) -> int:
    """What a position would bring at the best opposite price, else at the last one, in money."""
    market = venue.engine.markets.get(position.ticker)
    if market is None or not position.count:
        return 0
    bid, _, ask, _ = venue.engine.best(position.ticker)
    if market.settlement_value is not None:
        bid = ask = market.settlement_value
    if position.count > 0:
        return position.count * (market.last_price if bid is None else bid)
    return -position.count * (10_000 - (market.last_price if ask is None else ask))


def _shard(venue: Venue, ticker: str) -> int:
    market = venue.engine.markets.get(ticker)
    return market.exchange_index if market else 0
