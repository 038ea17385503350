"""REST reads that need no key: exchange, series, events, markets, books, trades, milestones (kalshi-api.md 4.1-4.6)."""

from typing import Any

from bot.paper import wire
from bot.paper.http import Request, nested, page
from bot.paper.model import Event, Market
from bot.paper.venue import Venue

Json = dict[str, Any]

FILTERS: dict[str, set[str]] = {
    "unopened": {"initialized"},
    "open": {"active"},
    "paused": {"inactive"},
    "closed": {"closed", "determined", "disputed", "amended"},
    "settled": {"finalized"},
}


def status(venue: Venue, request: Request) -> Json:
    shard = {"exchange_active": True, "trading_active": True, "intra_exchange_transfers_active": True}
    shards = sorted({0, *(event.exchange_index for event in venue.engine.events.values())})
    described = [{"exchange_index": i, "description": "Default" if i == 0 else f"Shard {i}", **shard} for i in shards]
    return {**shard, "exchange_index_statuses": described}


def schedule(venue: Venue, request: Request) -> Json:
    days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    hours: Json = {day: [{"open_time": "00:00", "close_time": "24:00"}] for day in days}
    hours |= {"start_time": "2026-01-01T05:00:00Z", "end_time": "2036-01-01T05:00:00Z"}
    return {"schedule": {"standard_hours": [hours], "maintenance_windows": []}}


def user_data_timestamp(venue: Venue, request: Request) -> Json:
    return {"as_of_time": wire.rfc3339(request.now_ms - venue.faults.lag_ms)}


def series_list(venue: Venue, request: Request) -> Json:
    category, tags = request.text("category"), set(request.texts("tags"))
    found = [
        series
        for series in venue.engine.series.values()
        if (not category or series.category == category) and (not tags or tags & set(series.tags))
    ]
    return {"series": [wire.series(series) for series in found]}


def series(venue: Venue, request: Request) -> Json:
    return {"series": wire.series(_known(venue.engine.series, request.params["series_ticker"]))}


def events(venue: Venue, request: Request) -> Json:
    engine = venue.engine
    by_event: dict[str, list[Market]] = {}
    for market in engine.markets.values():
        by_event.setdefault(market.event_ticker, []).append(market)
    status = request.one_of("status", "unopened", "open", "closed", "settled")
    tickers = set(request.texts("tickers"))
    series_ticker = request.text("series_ticker")
    min_close_ms = request.number("min_close_ts", 0) * 1000
    min_updated_ms = request.number("min_updated_ts", 0) * 1000

    def wanted(event: Event) -> bool:
        markets = by_event.get(event.event_ticker, [])
        return (
            (not tickers or event.event_ticker in tickers)
            and (not series_ticker or event.series_ticker == series_ticker)
            and (not status or any(market.status in FILTERS[status] for market in markets))
            and (not min_close_ms or any(market.close_ms >= min_close_ms for market in markets))
            and event.updated_ms >= min_updated_ms
        )

    found = [event for event in engine.events.values() if wanted(event)]
    part, cursor = page(found, lambda event: event.event_ticker, request, 200, 200, 1)
    nests = request.flag("with_nested_markets")
    body: Json = {"events": [], "cursor": cursor}
    for event in part:
        shown = wire.event(event)
        if nests:
            shown["markets"] = [wire.market(engine, market) for market in by_event.get(event.event_ticker, [])]
        body["events"].append(shown)
    if request.flag("with_milestones"):
        shown_tickers = {event.event_ticker for event in part}
        body["milestones"] = [
            wire.milestone(milestone)
            for milestone in engine.milestones.values()
            if not shown_tickers.isdisjoint([*milestone.related_event_tickers, *milestone.primary_event_tickers])
        ]
    return body


def event(venue: Venue, request: Request) -> Json:
    event = _known(venue.engine.events, request.params["event_ticker"])
    markets = [
        wire.market(venue.engine, market)
        for market in venue.engine.markets.values()
        if market.event_ticker == event.event_ticker
    ]
    body = wire.event(event)
    if request.flag("with_nested_markets"):
        body["markets"] = markets
    return {"event": body, "markets": markets}


def markets(venue: Venue, request: Request) -> Json:
    engine = venue.engine
    statuses = FILTERS.get(request.one_of("status", *FILTERS))
    tickers, event_ticker = request.texts("tickers"), request.text("event_ticker")
    series_ticker = request.text("series_ticker")
    only_combos = request.one_of("mve_filter", "only", "exclude") == "only"
    bounds = [
        (field, request.number(f"min_{name}_ts", 0) * 1000, request.number(f"max_{name}_ts", 2**50) * 1000)
        for name, field in (
            ("created", "created_ms"),
            ("close", "close_ms"),
            ("settled", "settled_ms"),
            ("updated", "updated_ms"),
        )
        if request.text(f"min_{name}_ts") or request.text(f"max_{name}_ts")
    ]

    def wanted(market: Market) -> bool:
        return (
            (not statuses or market.status in statuses)
            and (not event_ticker or market.event_ticker == event_ticker)
            and (not series_ticker or engine.events[market.event_ticker].series_ticker == series_ticker)
            and not only_combos
            and all(low <= (getattr(market, field) or -1) <= high for field, low, high in bounds)
        )

    pool = [engine.markets[t] for t in dict.fromkeys(tickers) if t in engine.markets] if tickers else None
    found = [market for market in (engine.markets.values() if pool is None else pool) if wanted(market)]
    part, cursor = page(found, lambda market: market.ticker, request, 100, 1000)
    return {"markets": [wire.market(engine, market) for market in part], "cursor": cursor}


def market(venue: Venue, request: Request) -> Json:
    return {"market": wire.market(venue.engine, _known(venue.engine.markets, request.params["ticker"]))}


def orderbook(venue: Venue, request: Request) -> Json:
    market = _known(venue.engine.markets, request.params["ticker"])
    return {"orderbook_fp": _book(venue, market.ticker, request.number("depth", 0, 0, 100))}


def orderbooks(venue: Venue, request: Request) -> Json:
    tickers = request.texts("tickers")
    if not 1 <= len(tickers) <= 100:
        raise request.invalid("tickers", "required" if not tickers else "max")
    known = [ticker for ticker in tickers if ticker in venue.engine.markets]
    return {"orderbooks": [{"ticker": ticker, "orderbook_fp": _book(venue, ticker)} for ticker in known]}


def trades(venue: Venue, request: Request) -> Json:
    ticker = request.text("ticker")
    low, high = request.number("min_ts", 0) * 1000, request.number("max_ts", 2**50) * 1000
    found = [
        trade
        for trade in reversed(venue.tape.trades)
        if (not ticker or trade.ticker == ticker) and low <= trade.ms <= high and not request.flag("is_block_trade")
    ]
    part, cursor = page(found, lambda trade: trade.trade_id, request, 100, 1000)
    return {"trades": [wire.trade(trade) for trade in part], "cursor": cursor}


def milestones(venue: Venue, request: Request) -> Json:
    if not request.text("limit"):
        raise request.invalid("limit", "required")
    category, kind = request.text("category"), request.text("type")
    related, since = request.text("related_event_ticker"), request.text("minimum_start_date")
    found = [
        milestone
        for milestone in venue.engine.milestones.values()
        if (not category or milestone.category == category)
        and (not kind or milestone.type == kind)
        and (not related or related in milestone.related_event_tickers)
        and (not since or wire.rfc3339(milestone.start_ms) >= since)
    ]
    part, cursor = page(found, lambda milestone: milestone.id, request, 100, 500, 1)
    return {"milestones": [wire.milestone(milestone) for milestone in part], "cursor": cursor}


def milestone(venue: Venue, request: Request) -> Json:
    return {"milestone": wire.milestone(_known(venue.engine.milestones, request.params["milestone_id"]))}


def targets(venue: Venue, request: Request) -> Json:
    ids, kind = set(request.texts("ids")), request.text("type")
    found = [
        target
        for target in venue.engine.targets.values()
        if (not ids or target.id in ids) and (not kind or target.type == kind)
    ]
    request.query["limit"] = [str(request.number("page_size", 100, 1, 2000))]
    part, cursor = page(found, lambda target: target.id, request, 100, 2000)
    return {"structured_targets": [wire.target(target) for target in part], "cursor": cursor}


def target(venue: Venue, request: Request) -> Json:
    return {"structured_target": wire.target(_known(venue.engine.targets, request.params["structured_target_id"]))}


def _book(venue: Venue, ticker: str, depth: int = 0) -> Json:
    yes, no = wire.book_levels(venue.engine, ticker, depth)
    return {"yes_dollars": yes, "no_dollars": no}


def _known(things: dict[str, Any], key: str) -> Any:
    if key not in things:
        raise nested(404, "not_found")
    return things[key]
