"""REST reads of the member: balance, positions, fills, settlements, orders, queue (kalshi-api.md 4.8, 4.10, 4.13).

The live calls show what is younger than the cutoff of the historical tier, the historical ones the rest; resting
orders and unsettled positions never move.
"""

from typing import Any

from bot.core.units import format_count, format_money
from bot.paper import wire
from bot.paper.http import Request, nested, page
from bot.paper.model import Fill, Order, Position, Settlement
from bot.paper.venue import Venue

Json = dict[str, Any]


def balance(venue: Venue, request: Request) -> Json:
    """Cash by shard and in sum; whether what resting orders bind is taken off is a rule (section 4.8)."""
    account = venue.past.account(request.now_ms)
    bound = account.bound if venue.engine.rules.balance_less_resting else {}
    wallets = {shard: cash - bound.get(shard, 0) for shard, cash in sorted(account.wallets.items())}
    only = request.number("exchange_index", -1, 0)
    if only >= 0:
        wallets = {only: wallets.get(only, 0)}
    cash = sum(wallets.values())
    held = [p for p in account.positions.values() if only < 0 or venue.shard(p.ticker) == only]
    return {
        "balance": cash // 10_000,
        "balance_dollars": format_money(cash),
        "portfolio_value": sum(_worth(venue, position) for position in held) // 10_000,
        "updated_ts": request.now_ms // 1000,
        "balance_breakdown": [{"exchange_index": i, "balance": format_money(money)} for i, money in wallets.items()],
    }


def positions(venue: Venue, request: Request) -> Json:
    settled = request.one_of("settlement_status", "unsettled", "settled", "all") or "unsettled"
    nonzero = request.texts("count_filter")
    if set(nonzero) - {"position", "total_traded"}:
        raise request.invalid("count_filter", "oneof")
    archived = _archived_events(venue, request)

    def wanted(position: Position) -> bool:
        return (
            (settled == "all" or position.settled == (settled == "settled"))
            and position.event_ticker not in archived
            and ("position" not in nonzero or position.count != 0)
            and ("total_traded" not in nonzero or position.traded != 0)
        )

    return _positions(venue, request, wanted)


def old_positions(venue: Venue, request: Request) -> Json:
    archived = _archived_events(venue, request)
    return _positions(venue, request, lambda position: position.event_ticker in archived)


def fills(venue: Venue, request: Request) -> Json:
    cutoff_ms = venue.cutoff_ms(request.now_ms)
    return _fills(venue, request, lambda fill: fill.ms >= cutoff_ms)


def old_fills(venue: Venue, request: Request) -> Json:
    cutoff_ms = venue.cutoff_ms(request.now_ms)
    return _fills(venue, request, lambda fill: fill.ms < cutoff_ms)


def settlements(venue: Venue, request: Request) -> Json:
    ticker, event_ticker = request.text("ticker"), request.text("event_ticker")
    low, high = _times(request)

    def wanted(record: Settlement) -> bool:
        return (
            (not ticker or record.ticker == ticker)
            and (not event_ticker or record.event_ticker == event_ticker)
            and low <= record.ms < high
        )

    found = [record for record in reversed(venue.past.account(request.now_ms).settlements) if wanted(record)]
    part, cursor = page(found, lambda record: record.ticker, request, 100, 1000, 1)
    return {"settlements": [wire.settlement(r, venue.shard(r.ticker)) for r in part], "cursor": cursor}


def order_list(venue: Venue, request: Request) -> Json:
    cutoff_ms = venue.cutoff_ms(request.now_ms)
    return _orders(venue, request, lambda order: order.status == "resting" or order.updated_ms >= cutoff_ms)


def old_orders(venue: Venue, request: Request) -> Json:
    cutoff_ms = venue.cutoff_ms(request.now_ms)
    return _orders(venue, request, lambda order: order.status != "resting" and order.updated_ms < cutoff_ms)


def order(venue: Venue, request: Request) -> Json:
    found = venue.past.account(request.now_ms).orders.get(request.params["order_id"])
    if found is None or (found.status != "resting" and found.updated_ms < venue.cutoff_ms(request.now_ms)):
        raise nested(404, "not_found")
    return {"order": wire.order(found, venue.shard(found.ticker))}


def queue_position(venue: Venue, request: Request) -> Json:
    found = venue.account.orders.get(request.params["order_id"])
    if found is None or found.status != "resting":
        raise nested(404, "not_found")
    return {"queue_position_fp": format_count(_ahead(venue, found))}


def queue_positions(venue: Venue, request: Request) -> Json:
    """Every resting order of the named markets or event; one of the two filters is needed."""
    tickers, event_ticker = request.texts("market_tickers"), request.text("event_ticker")
    if not tickers and not event_ticker:
        raise nested(400, "bad_request", "market_tickers or event_ticker is required")
    rows = []
    for ticker, resting in venue.account.resting.items():
        if ticker in tickers or (event_ticker and venue.engine.markets[ticker].event_ticker == event_ticker):
            for order in resting.values():
                ahead = format_count(_ahead(venue, order))
                rows.append({"order_id": order.order_id, "market_ticker": ticker, "queue_position_fp": ahead})
    return {"queue_positions": rows}


# Parts


def _positions(venue: Venue, request: Request, wanted: Any) -> Json:
    ticker, event_ticker = request.text("ticker"), request.text("event_ticker")
    shard = request.number("exchange_index", -1, 0)
    found = [
        position
        for position in venue.past.account(request.now_ms).positions.values()
        if (not ticker or position.ticker == ticker)
        and (not event_ticker or position.event_ticker == event_ticker)
        and (shard < 0 or venue.shard(position.ticker) == shard)
        and wanted(position)
    ]
    part, cursor = page(found, lambda position: position.ticker, request, 100, 1000, 1)
    by_event: dict[str, list[Position]] = {}
    for position in part:
        by_event.setdefault(position.event_ticker, []).append(position)
    return {
        "market_positions": [wire.position(position, venue.shard(position.ticker)) for position in part],
        "event_positions": [wire.event_position(ticker, rows) for ticker, rows in by_event.items()],
        "cursor": cursor,
    }


def _archived_events(venue: Venue, request: Request) -> set[str]:
    """Events all of whose positions were settled before the cutoff: they move as a whole."""
    held = venue.past.account(request.now_ms).positions.values()
    cutoff_ms = venue.cutoff_ms(request.now_ms)
    live = {position.event_ticker for position in held if not position.settled or position.updated_ms >= cutoff_ms}
    return {position.event_ticker for position in held} - live


def _fills(venue: Venue, request: Request, in_tier: Any) -> Json:
    tickers, order_id = set(request.texts("ticker")), request.text("order_id")
    shard = request.number("exchange_index", -1, 0)
    low, high = _times(request)

    def wanted(fill: Fill) -> bool:
        return (
            (not tickers or fill.ticker in tickers)
            and (not order_id or fill.order_id == order_id)
            and (shard < 0 or venue.shard(fill.ticker) == shard)
            and low <= fill.ms < high
            and in_tier(fill)
        )

    found = [fill for fill in reversed(venue.past.account(request.now_ms).fills) if wanted(fill)]
    part, cursor = page(found, lambda fill: f"{fill.trade_id}{fill.order_id}", request, 100, 1000, 1)
    return {"fills": [wire.fill(fill, venue.shard(fill.ticker)) for fill in part], "cursor": cursor}


def _orders(venue: Venue, request: Request, in_tier: Any) -> Json:
    status = request.one_of("status", "resting", "canceled", "executed")
    ticker, event_tickers = request.text("ticker"), tuple(request.texts("event_ticker"))
    if len(event_tickers) > 10:
        raise request.invalid("event_ticker", "max")
    shard = request.number("exchange_index", -1, 0)
    low, high = _times(request)

    def wanted(order: Order) -> bool:
        return (
            (not status or order.status == status)
            and (not ticker or order.ticker == ticker)
            and (not event_tickers or order.ticker.startswith(tuple(f"{event}-" for event in event_tickers)))
            and (shard < 0 or venue.shard(order.ticker) == shard)
            and low <= order.created_ms < high
            and in_tier(order)
        )

    found = [order for order in reversed(venue.past.account(request.now_ms).orders.values()) if wanted(order)]
    part, cursor = page(found, lambda order: order.order_id, request, 100, 1000, 1)
    return {"orders": [wire.order(order, venue.shard(order.ticker)) for order in part], "cursor": cursor}


def _ahead(venue: Venue, order: Order) -> int:
    """Contracts that trade before an order: those at better prices and those before it at its own."""
    return venue.engine.books[order.ticker].ahead(order)


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
