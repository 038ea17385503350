"""REST reads that need no key: exchange, series, events, markets, books, trades, milestones (kalshi-api.md 4.1-4.6).

What looks back further is in bot.paper.history.
"""

from collections.abc import Callable
from typing import Any

from bot.core.units import format_count
from bot.paper import wire
from bot.paper.hours import next_pause_ms
from bot.paper.http import Refusal, Request, nested, page
from bot.paper.model import Event, Market, Series, Trade
from bot.paper.venue import Venue

Json = dict[str, Any]
SCOPES = ("competition", "competition_scope")
SHARDS = {0: "Default", 1: "Combos", 2: "Crypto", 3: "Sports"}
PAUSE_MS = 2 * 3_600_000

FILTERS: dict[str, set[str]] = {
    "unopened": {"initialized"},
    "open": {"active"},
    "paused": {"inactive"},
    "closed": {"closed", "determined", "disputed", "amended"},
    "settled": {"finalized"},
}


def status(venue: Venue, request: Request) -> Json:
    """During an exchange pause the answer is a 503 with the same body (section 4.1)."""
    halt = venue.engine.halt
    shard = {
        "exchange_active": halt != "exchange",
        "trading_active": not halt,
        "intra_exchange_transfers_active": halt != "exchange",
    }
    shards = {e.exchange_index: f"Shard {e.exchange_index}" for e in venue.engine.events.values()} | SHARDS
    described = [{"exchange_index": i, "description": shards[i], **shard} for i in sorted(shards)]
    body: Json = {**shard, "exchange_index_statuses": described}
    if halt and venue.resumes_ms is not None:
        body["exchange_estimated_resume_time"] = wire.rfc3339(venue.resumes_ms)
    if halt == "exchange":
        raise Refusal(503, body)
    return body


def schedule(venue: Venue, request: Request) -> Json:
    days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    hours: Json = {day: [{"open_time": "00:00", "close_time": "24:00"}] for day in days}
    hours |= {"start_time": "2026-01-01T05:00:00Z", "end_time": "2036-01-01T05:00:00Z"}
    windows = []
    if venue.settings.weekly_pause:
        open_close = (("00:00", "03:00"), ("05:00", "24:00"))
        hours["thursday"] = [{"open_time": start, "close_time": end} for start, end in open_close]
        start_ms = next_pause_ms(request.now_ms)
        end = wire.rfc3339(start_ms + PAUSE_MS)
        windows = [{"start_datetime": wire.rfc3339(start_ms), "end_datetime": end}]
    return {"schedule": {"standard_hours": [hours], "maintenance_windows": windows}}


def user_data_timestamp(venue: Venue, request: Request) -> Json:
    return {"as_of_time": wire.rfc3339(request.now_ms - max(venue.past.lag_ms, venue.faults.lag_ms))}


def series_list(venue: Venue, request: Request) -> Json:
    category, tags = request.text("category"), set(request.texts("tags"))
    found = [
        series
        for series in venue.engine.series.values()
        if (not category or series.category == category) and (not tags or tags & set(series.tags))
    ]
    return {"series": [_series(venue, request, series) for series in found]}


def series(venue: Venue, request: Request) -> Json:
    return {"series": _series(venue, request, _known(venue.engine.series, request.params["series_ticker"]))}


def _series(venue: Venue, request: Request, series: Series) -> Json:
    body = wire.series(series)
    if request.flag("include_volume"):
        events = {event.event_ticker for event in venue.engine.events.values() if event.series_ticker == series.ticker}
        traded = sum(m.volume for m in venue.engine.markets.values() if m.event_ticker in events)
        body["volume_fp"] = format_count(traded)
    if request.flag("include_product_metadata"):
        body["product_metadata"] = {}
    return body


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
            shown["markets"] = [_market(venue, request, market) for market in by_event.get(event.event_ticker, [])]
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
        _market(venue, request, market)
        for market in venue.engine.markets.values()
        if market.event_ticker == event.event_ticker
    ]
    body = wire.event(event)
    if request.flag("with_nested_markets"):
        body["markets"] = markets
    return {"event": body, "markets": markets}


def markets(venue: Venue, request: Request) -> Json:
    engine = venue.engine
    status = request.one_of("status", *FILTERS)
    statuses = FILTERS.get(status)
    tickers, event_ticker = request.texts("tickers"), request.text("event_ticker")
    series_ticker = request.text("series_ticker")
    cutoff_ms = venue.cutoff_ms(request.now_ms)
    only_combos = request.one_of("mve_filter", "only", "exclude") == "only"
    _check_times(request, status)
    bounds = [
        (field, request.number(f"min_{name}_ts", 0) * 1000, request.number(f"max_{name}_ts", 2**50) * 1000)
        for name, field in (
            ("created", "created_ms"),
            ("close", "close_ms"),
            ("settled", "settled_ms"),
            ("updated", "updated_ms"),
        )
        if _bounded(request, name)
    ]

    def wanted(market: Market) -> bool:
        return (
            (not statuses or market.status in statuses)
            and (not event_ticker or market.event_ticker == event_ticker)
            and (not series_ticker or engine.events[market.event_ticker].series_ticker == series_ticker)
            and not only_combos
            and (market.settled_ms is None or market.settled_ms >= cutoff_ms)
            and all(low <= (getattr(market, field) or -1) <= high for field, low, high in bounds)
        )

    pool = [engine.markets[t] for t in dict.fromkeys(tickers) if t in engine.markets] if tickers else None
    found = [market for market in (engine.markets.values() if pool is None else pool) if wanted(market)]
    part, cursor = page(found, lambda market: market.ticker, request, 100, 1000)
    return {"markets": [_market(venue, request, market) for market in part], "cursor": cursor}


def _check_times(request: Request, status: str) -> None:
    """Which bounds of time go with which status, and that updates go with nothing else (section 4.4)."""
    for name, with_status in (("created", ("unopened", "open")), ("close", ("closed",)), ("settled", ("settled",))):
        if _bounded(request, name) and status and status not in with_status:
            raise nested(400, "bad_request", f"{name}_ts goes with status {' or '.join(with_status)} or none")
    others = ("status", "event_ticker", "tickers")
    if _bounded(request, "updated") and (
        any(request.text(name) for name in others)
        or any(_bounded(request, name) for name in ("created", "close", "settled"))
        or (request.text("series_ticker") and request.text("mve_filter") != "exclude")
    ):
        raise nested(400, "bad_request", "updated_ts goes with mve_filter=exclude and series_ticker only")


def _bounded(request: Request, name: str) -> bool:
    return bool(request.text(f"min_{name}_ts") or request.text(f"max_{name}_ts"))


def market(venue: Venue, request: Request) -> Json:
    market: Market = _known(venue.engine.markets, request.params["ticker"])
    if market.settled_ms is not None and market.settled_ms < venue.cutoff_ms(request.now_ms):
        raise nested(404, "not_found")
    return {"market": _market(venue, request, market)}


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
    cutoff_ms = venue.cutoff_ms(request.now_ms)
    return some_trades(venue, request, lambda trade: trade.ms >= cutoff_ms)


def some_trades(venue: Venue, request: Request, in_tier: Callable[[Trade], bool]) -> Json:
    """The public trades of one tier."""
    ticker = request.text("ticker")
    low, high = request.number("min_ts", 0) * 1000, request.number("max_ts", 2**50) * 1000
    found = [
        trade
        for trade in reversed(venue.tape.trades)
        if (not ticker or trade.ticker == ticker)
        and low <= trade.ms <= high
        and not request.flag("is_block_trade")
        and in_tier(trade)
    ]
    part, cursor = page(found, lambda trade: trade.trade_id, request, 100, 1000)
    return {"trades": [wire.trade(trade) for trade in part], "cursor": cursor}


def milestones(venue: Venue, request: Request) -> Json:
    if not request.text("limit"):
        raise request.invalid("limit", "required")
    category, kind = request.text("category"), request.text("type")
    competition, source_id = request.text("competition"), request.text("source_id")
    updated_ms = request.number("min_updated_ts", 0) * 1000
    related, since = request.text("related_event_ticker"), request.text("minimum_start_date")
    found = [
        milestone
        for milestone in venue.engine.milestones.values()
        if (not category or milestone.category == category)
        and (not kind or milestone.type == kind)
        and (not related or related in milestone.related_event_tickers)
        and (not since or wire.rfc3339(milestone.start_ms) >= since)
        and (not competition or competition in _competitions(venue, milestone.primary_event_tickers))
        and not source_id
        and (milestone.updated_ms or milestone.start_ms) >= updated_ms
    ]
    part, cursor = page(found, lambda milestone: milestone.id, request, 100, 500, 1)
    return {"milestones": [wire.milestone(milestone) for milestone in part], "cursor": cursor}


def _competitions(venue: Venue, event_tickers: list[str]) -> set[str]:
    events = [venue.engine.events[ticker] for ticker in event_tickers if ticker in venue.engine.events]
    return {event.product_metadata.get("competition", "") for event in events}


def milestone(venue: Venue, request: Request) -> Json:
    return {"milestone": wire.milestone(_known(venue.engine.milestones, request.params["milestone_id"]))}


def targets(venue: Venue, request: Request) -> Json:
    ids, kind, competition = set(request.texts("ids")), request.text("type"), request.text("competition")
    found = [
        target
        for target in venue.engine.targets.values()
        if (not ids or target.id in ids)
        and (not kind or target.type == kind)
        and (not competition or target.details.get("league") == competition)
    ]
    request.query["limit"] = [str(request.number("page_size", 100, 1, 2000))]
    part, cursor = page(found, lambda target: target.id, request, 100, 2000)
    return {"structured_targets": [wire.target(target) for target in part], "cursor": cursor}


def target(venue: Venue, request: Request) -> Json:
    return {"structured_target": wire.target(_known(venue.engine.targets, request.params["structured_target_id"]))}


def series_fee_changes(venue: Venue, request: Request) -> Json:
    """Announced changes; those already in force with show_historical."""
    ticker, past = request.text("series_ticker"), request.flag("show_historical")
    found = [
        wire.fee_change(change)
        for change in venue.engine.fee_changes.values()
        if not change.event_ticker
        and (not ticker or change.series_ticker == ticker)
        and (past or change.scheduled_ms > request.now_ms)
    ]
    return {"series_fee_change_arr": found}


def event_fee_changes(venue: Venue, request: Request) -> Json:
    ticker = request.text("event_ticker")
    changes = venue.engine.fee_changes.values()
    found = [change for change in changes if change.event_ticker and ticker in ("", change.event_ticker)]
    part, cursor = page(found, lambda change: change.id, request, 100, 1000, 1)
    return {"event_fee_changes": [wire.fee_change(change) for change in part], "cursor": cursor}


def event_metadata(venue: Venue, request: Request) -> Json:
    event: Event = _known(venue.engine.events, request.params["event_ticker"])
    image = "https://example.org/image.png"
    tickers = [m.ticker for m in venue.engine.markets.values() if m.event_ticker == event.event_ticker]
    body: Json = {
        "image_url": image,
        "market_details": [{"market_ticker": t, "image_url": image, "color_code": "#0A2540"} for t in tickers],
        "settlement_sources": wire.SOURCES,
    }
    return body | {name: event.product_metadata[name] for name in SCOPES if name in event.product_metadata}


def multivariate_events(venue: Venue, request: Request) -> Json:
    """There are no combos here."""
    request.number("limit", 200, 1, 200)
    return {"events": [], "cursor": ""}


def multivariate_collections(venue: Venue, request: Request) -> Json:
    request.number("limit", 200, 1, 200)
    return {"multivariate_contracts": [], "cursor": ""}


def filters_by_sport(venue: Venue, request: Request) -> Json:
    sports: dict[str, dict[str, set[str]]] = {}
    for event in venue.engine.events.values():
        known = event.product_metadata
        if event.category == "Sports" and "competition" in known:
            tags = venue.engine.series[event.series_ticker].tags or ["Other"]
            scopes = sports.setdefault(tags[0], {}).setdefault(known["competition"], set())
            scopes.add(known.get("competition_scope", ""))
    shown = {
        sport: {
            "scopes": sorted(set().union(*competitions.values())),
            "competitions": {name: {"scopes": sorted(scopes)} for name, scopes in competitions.items()},
        }
        for sport, competitions in sports.items()
    }
    return {"filters_by_sports": shown, "sport_ordering": sorted(shown)}


def tags_by_categories(venue: Venue, request: Request) -> Json:
    found: dict[str, list[str]] = {}
    for series in venue.engine.series.values():
        tags = found.setdefault(series.category, [])
        tags += [tag for tag in series.tags if tag not in tags]
    return {"tags_by_categories": found}


def _market(venue: Venue, request: Request, market: Market) -> Json:
    return wire.market(venue.engine, market, venue.tape.day(market, request.now_ms))


def _book(venue: Venue, ticker: str, depth: int = 0) -> Json:
    yes, no = wire.book_levels(venue.engine, ticker, depth)
    return {"yes_dollars": yes, "no_dollars": no}


def _known(things: dict[str, Any], key: str) -> Any:
    if key not in things:
        raise nested(404, "not_found")
    return things[key]
