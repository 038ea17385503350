"""REST reads that look back: candlesticks and the public half of the historical tier (kalshi-api.md 4.7, 4.13)."""

from typing import Any

from bot.paper import wire
from bot.paper.http import Request, nested, page
from bot.paper.model import Market
from bot.paper.public import some_trades
from bot.paper.tape import Candle
from bot.paper.venue import Venue

Json = dict[str, Any]
MAX_CANDLES = 10_000


def candlesticks(venue: Venue, request: Request) -> Json:
    ticker = _listed(venue, request.params["ticker"]).ticker
    return {"ticker": ticker, "candlesticks": [wire.candle(c) for c in _candles(venue, request, ticker)]}


def batch_candlesticks(venue: Venue, request: Request) -> Json:
    tickers = request.texts("market_tickers")
    if not 1 <= len(tickers) <= 100:
        raise request.invalid("market_tickers", "max" if tickers else "required")
    known = [ticker for ticker in tickers if ticker in venue.engine.markets]
    found = {ticker: _candles(venue, request, ticker) for ticker in known}
    if sum(len(row) for row in found.values()) > MAX_CANDLES:
        raise nested(400, "bad_request", f"more than {MAX_CANDLES} candlesticks")
    rows = found.items()
    return {"markets": [{"market_ticker": t, "candlesticks": [wire.candle(c) for c in row]} for t, row in rows]}


def event_candlesticks(venue: Venue, request: Request) -> Json:
    event_ticker = request.params["ticker"]
    if event_ticker not in venue.engine.events:
        raise nested(404, "not_found")
    tickers = [m.ticker for m in venue.engine.markets.values() if m.event_ticker == event_ticker]
    return {
        "market_tickers": tickers,
        "market_candlesticks": [[wire.candle(c) for c in _candles(venue, request, ticker)] for ticker in tickers],
        "adjusted_end_ts": request.number("end_ts", 0),
    }


def old_candlesticks(venue: Venue, request: Request) -> Json:
    ticker = _archived(venue, request, request.params["ticker"]).ticker
    return {"ticker": ticker, "candlesticks": [wire.old_candle(c) for c in _candles(venue, request, ticker)]}


def cutoff(venue: Venue, request: Request) -> Json:
    moment = wire.rfc3339(venue.cutoff_ms(request.now_ms))
    names = ("market_settled_ts", "trades_created_ts", "orders_updated_ts", "market_positions_last_updated_ts")
    return dict.fromkeys(names, moment)


def old_markets(venue: Venue, request: Request) -> Json:
    """Markets that left: settled before the cutoff, or removed by the exchange's own life."""
    tickers, event_ticker = request.texts("tickers"), request.text("event_ticker")
    series_ticker = request.text("series_ticker")
    request.one_of("mve_filter", "exclude")
    if sum(1 for filled in (tickers, event_ticker, series_ticker) if filled) > 1:
        raise nested(400, "bad_request", "tickers, event_ticker and series_ticker exclude each other")
    found = [
        market
        for market, series in _all_archived(venue, request)
        if (not tickers or market.ticker in tickers)
        and (not event_ticker or market.event_ticker == event_ticker)
        and (not series_ticker or series == series_ticker)
    ]
    part, cursor = page(found, lambda market: market.ticker, request, 100, 1000)
    return {"markets": [_market(venue, request, market) for market in part], "cursor": cursor}


def old_market(venue: Venue, request: Request) -> Json:
    return {"market": _market(venue, request, _archived(venue, request, request.params["ticker"]))}


def old_trades(venue: Venue, request: Request) -> Json:
    cutoff_ms = venue.cutoff_ms(request.now_ms)
    return some_trades(venue, request, lambda trade: trade.ms < cutoff_ms)


def _market(venue: Venue, request: Request, market: Market) -> Json:
    return wire.market(venue.engine, market, venue.tape.day(market, request.now_ms))


def _all_archived(venue: Venue, request: Request) -> list[tuple[Market, str]]:
    """(market, series) of the historical tier."""
    cutoff_ms = venue.cutoff_ms(request.now_ms)
    gone = [(left.market, left.event.series_ticker) for left in venue.tape.archive.values()]
    listed = venue.engine.markets.values()
    old = [market for market in listed if market.settled_ms is not None and market.settled_ms < cutoff_ms]
    return [*gone, *((market, venue.engine.events[market.event_ticker].series_ticker) for market in old)]


def _archived(venue: Venue, request: Request, ticker: str) -> Market:
    for market, _ in _all_archived(venue, request):
        if market.ticker == ticker:
            return market
    raise nested(404, "not_found")


def _listed(venue: Venue, ticker: str) -> Market:
    market = venue.engine.markets.get(ticker)
    if market is None:
        raise nested(404, "not_found")
    return market


def _candles(venue: Venue, request: Request, ticker: str) -> list[Candle]:
    """The candles that end in [start_ts, end_ts]; on request the last one before, too."""
    start, end = request.required("start_ts"), request.required("end_ts")
    every = request.required("period_interval", "1", "60", "1440")
    if end < start:
        raise nested(400, "bad_request", "end_ts is before start_ts")
    kept = venue.tape.candles(ticker, every)
    found = [candle for candle in kept if start <= candle.end_s <= end]
    if request.flag("include_latest_before_start"):
        return [*[candle for candle in kept if candle.end_s < start][-1:], *found]
    return found
