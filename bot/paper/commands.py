"""REST calls that write: the V2 order commands, order groups, and the tombstones of V1 (kalshi-api.md 4.9, 4.11)."""

from typing import Annotated, Any, Literal

import msgspec

from bot.core.units import format_count, parse_count, parse_price
from bot.paper import groups, orders, wire
from bot.paper.http import Refusal, Request, error, malformed, nested, rejected
from bot.paper.model import NewOrder, OrderGroup, Rejected, Side
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
    order_group_id: str = ""
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


class Shard(msgspec.Struct):
    exchange_index: int | None = None


class Batch(msgspec.Struct):
    orders: list[msgspec.Raw]


class GroupLimit(msgspec.Struct):
    contracts_limit: Annotated[int, msgspec.Meta(ge=1)] | None = None
    contracts_limit_fp: str | None = None
    subaccount: Subaccount = 0
    exchange_index: int | None = None


# Orders


def create(venue: Venue, request: Request) -> Json:
    return _create(venue, request, request.json(CreateOrder))


def cancel(venue: Venue, request: Request) -> Json:
    return _cancel(
        venue,
        request,
        CancelOrder(
            request.params["order_id"],
            request.text("market_ticker"),
            exchange_index=request.number("exchange_index", 0, -1) if request.text("exchange_index") else None,
        ),
    )


def cancel_all(venue: Venue, request: Request) -> None:
    _done(lambda: orders.cancel_all(venue.engine, request.user_id, request.now_ms))


def amend(venue: Venue, request: Request) -> Json:
    body = request.json(AmendOrder)
    order_id = request.params["order_id"]
    _route(venue, body.ticker, body.exchange_index, order_id)
    order = _done(
        lambda: orders.amend(
            venue.engine,
            request.user_id,
            order_id,
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
    _route(venue, body.market_ticker, body.exchange_index, order_id)
    order = _done(lambda: orders.decrease(venue.engine, request.user_id, order_id, to, by, request.now_ms))
    answer = {
        "order_id": order.order_id,
        "remaining_count": format_count(order.remaining),
        "ts_ms": request.now_ms,
    }
    return answer | {"client_order_id": order.client_order_id} if order.client_order_id else answer


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
            body = msgspec.json.decode(raw, type=CancelOrder)
            order_id = body.order_id
            answers.append(_cancel(venue, request, body))
        except msgspec.DecodeError as broken:
            answers.append({"order_id": "", "reduced_by": "0.00", "error": error("bad_request", f"json: {broken}")})
        except Refusal as refused:
            answers.append({"order_id": order_id, "reduced_by": "0.00", "error": refused.body["error"]})
    return {"orders": answers}


def removed(venue: Venue, request: Request) -> Json:
    """The order writes of V1, switched off in June 2026 (kalshi-api.md section 1.3)."""
    raise nested(410, "endpoint_removed", "This endpoint is no longer available. Use /portfolio/events/orders instead.")


# Order groups


def group_create(venue: Venue, request: Request) -> Json:
    body = request.json(GroupLimit)
    _only_main(body.subaccount)
    limit, shard = _limit(body), max(0, body.exchange_index or 0)
    group = _done(lambda: groups.create(venue.engine, request.user_id, limit, shard, request.now_ms))
    return {"order_group_id": group.id, "subaccount": 0, "exchange_index": group.exchange_index}


def group_list(venue: Venue, request: Request) -> Json:
    found = venue.account.groups.values()
    return {"order_groups": [{"id": group.id} | _group(group) for group in found]}


def group(venue: Venue, request: Request) -> Json:
    found = _found(venue, request)
    return _group(found) | {"orders": [order.order_id for order in venue.engine.of_group(found)]}


def group_limit(venue: Venue, request: Request) -> Json:
    found, limit = _found(venue, request), _limit(request.json(GroupLimit))
    _done(lambda: groups.set_limit(venue.engine, found, limit, request.now_ms))
    return {}


def group_reset(venue: Venue, request: Request) -> Json:
    groups.reset(venue.engine, _found(venue, request), request.now_ms)
    return {}


def group_trigger(venue: Venue, request: Request) -> Json:
    groups.trigger(venue.engine, _found(venue, request), request.now_ms)
    return {}


def group_delete(venue: Venue, request: Request) -> Json:
    groups.delete(venue.engine, _found(venue, request), request.now_ms)
    return {}


# Parts


def _create(venue: Venue, request: Request, body: CreateOrder) -> Json:
    _only_main(body.subaccount)
    if (body.exchange_index or 0) >= 0 and body.exchange_index not in (None, venue.shard(body.ticker)):
        raise nested(404, "not_found")
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
        group_id=body.order_group_id,
    )
    order = _done(lambda: orders.create(venue.engine, request.user_id, new, request.now_ms))
    return wire.order_result(order, request.now_ms)


def _cancel(venue: Venue, request: Request, body: CancelOrder) -> Json:
    _only_main(body.subaccount)
    _route(venue, body.market_ticker, body.exchange_index, body.order_id)
    order, gone = _done(lambda: orders.cancel(venue.engine, request.user_id, body.order_id, request.now_ms))
    answer = {"order_id": body.order_id, "reduced_by": format_count(gone), "ts_ms": request.now_ms}
    return answer | {"client_order_id": order.client_order_id} if order.client_order_id else answer


def _route(venue: Venue, ticker: str, index: int | None, order_id: str) -> None:
    """Refuse a command that looks for an order on a shard where it is not (kalshi-api.md section 1.4)."""
    if index == -1 and not ticker:
        raise nested(400, "bad_request", "exchange_index -1 needs a market ticker")
    order = venue.account.orders.get(order_id)
    if order is None:
        return
    looked_at = index if index is not None and index >= 0 else venue.shard(ticker) if ticker else 0
    if looked_at != venue.shard(order.ticker):
        raise nested(404, "not_found")
    if ticker and ticker != order.ticker:
        raise nested(400, "order_ticker_mismatch")


def _only_main(subaccount: int) -> None:
    if subaccount:
        raise nested(404, "not_found", f"subaccount {subaccount} does not exist")


def _found(venue: Venue, request: Request) -> OrderGroup:
    found: OrderGroup = _done(lambda: groups.find(venue.engine, request.user_id, request.params["order_group_id"]))
    shard = request.number("exchange_index", found.exchange_index, -1)
    if shard not in (-1, found.exchange_index):
        raise nested(404, "not_found")
    return found


def _group(found: OrderGroup) -> Json:
    return {
        "is_auto_cancel_enabled": True,
        "contracts_limit_fp": format_count(found.limit),
        "exchange_index": found.exchange_index,
    }


def _limit(body: GroupLimit) -> int:
    fine = None if body.contracts_limit_fp is None else _count(body.contracts_limit_fp)
    whole = None if body.contracts_limit is None else body.contracts_limit * 100
    if fine is None and whole is None:
        raise malformed("contracts_limit or contracts_limit_fp is required")
    if fine is not None and whole is not None and fine != whole:
        raise malformed("contracts_limit and contracts_limit_fp do not agree")
    return fine if fine is not None else whole or 0


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
