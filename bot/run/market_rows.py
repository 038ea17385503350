"""Markets as the page and the API show them: a row is made anew only when something in it changed, and encoded once."""

from typing import Any

import gevent
import msgspec

from bot.core.units import format_count, format_price
from bot.core.venue import Market, Quote
from bot.market_data.market_data import MarketData
from bot.market_data.snapshot import Snapshot
from bot.run.strategy_pass import StrategyPass, Verdict
from bot.strategy.contract import Fair

Dict = dict[str, Any]
Sources = tuple[Market, Quote | None, int | None, Verdict | None, Fair | None, bool]

_AT_ONCE = 300
"""Rows looked at before the others have their turn, one that is made counting as six: about half a millisecond."""

A_MOMENT = 1e-6
"""Not 0: after sleep(0) gevent looks at sockets and timers only every 50th time."""

_SHOWN_AS = {"entered": "traded", "held": "held", "refused": "candidate", "candidate": "candidate"}


class MarketRows:
    """The newest rows, and the whole of them as JSON with a tag that changes with them."""

    def __init__(self, boot: str) -> None:
        self.tag = f"{boot}-0"
        self.body = _body(b"", b"{}", 0, 0, "empty", 0)
        self._boot = boot
        self._builds = 0
        self._status = "empty"
        self._kept: dict[str, tuple[Sources, Dict, bytes]] = {}

    def refresh(self, market_data: MarketData, passes: StrategyPass, held: dict[str, str]) -> dict[str, Dict]:
        """The rows now, by ticker. Lets others run while it makes many; the rows are of one snapshot all the same."""
        snapshot, status = market_data.snapshot(), market_data.health().status
        kept: dict[str, tuple[Sources, Dict, bytes]] = {}
        made = effort = 0
        for ticker, market in snapshot.markets.items():
            effort += 1
            if effort >= _AT_ONCE:
                gevent.sleep(A_MOMENT)
                effort = 0
            sources = _sources(market, snapshot, passes, ticker in held)
            old = self._kept.get(ticker)
            if old is not None and old[0] == sources:
                kept[ticker] = old
                continue
            shown = row(*sources)
            kept[ticker] = (sources, shown, msgspec.json.encode(shown))
            made += 1
            effort += 5
        gevent.sleep(A_MOMENT)
        if made or kept.keys() != self._kept.keys() or status != self._status:
            self._publish(kept, snapshot, status)
        return {ticker: shown for ticker, (_, shown, _) in kept.items()}

    def _publish(self, kept: dict[str, tuple[Sources, Dict, bytes]], snapshot: Snapshot, status: str) -> None:
        self._kept, self._status = kept, status
        self._builds += 1
        self.tag = f"{self._boot}-{self._builds}"
        enriched = sum(shown["start_ms"] is not None or shown["consensus"] is not None for _, shown, _ in kept.values())
        times = msgspec.json.encode(dict(snapshot.match_times))
        rows = b",".join(encoded for _, _, encoded in kept.values())
        self.body = _body(rows, times, len(kept), enriched, status, snapshot.generated_ns)


def _sources(market: Market, snapshot: Snapshot, passes: StrategyPass, held: bool) -> Sources:
    ticker = market.ticker
    confirmed = snapshot.confirmed_ns.get(ticker)
    return market, snapshot.quotes.get(ticker), confirmed, passes.verdicts.get(ticker), passes.fair.get(ticker), held


def _body(rows: bytes, match_times: bytes, total: int, enriched: int, status: str, generated_ns: int) -> bytes:
    head = b'{"generated_at":%d,"status":"%s","total_count":%d,"enriched_count":%d,"match_times":%s,"markets":[%s]}'
    return head % (generated_ns // 1_000_000, status.encode(), total, enriched, match_times, rows)


def row(m: Market, quote: Quote | None, confirmed_ns: int | None, verdict: Verdict | None, fair: Fair | None,
        held: bool) -> Dict:  # fmt: skip
    """One market; prices and counts as decimal strings, times in ms. `last_ms`: when the quote was last known so."""
    action = "held" if held else verdict.action if verdict else "candidate"
    return {
        "ticker": m.ticker,
        "title": title(m, m.ticker),
        "event_ticker": m.event_ticker,
        "category": m.category,
        "status": m.status,
        "bid": format_price(quote.bid) if quote and quote.bid is not None else None,
        "ask": format_price(quote.ask) if quote and quote.ask is not None else None,
        "bid_size": format_count(quote.bid_size) if quote else None,
        "ask_size": format_count(quote.ask_size) if quote else None,
        "source": quote.source if quote else None,
        "last_ms": None if confirmed_ns is None else confirmed_ns // 1_000_000,
        "volume_24h": format_count(m.volume_24h),
        "start_ms": m.start_ms,
        "end_ms": m.end_ms,
        "verdict": _SHOWN_AS.get(action, "no"),
        "reason": verdict.reason if verdict else "not_judged_yet",
        "detail": verdict.detail if verdict else "",
        "consensus": consensus(fair) if fair else None,
    }


def row_with_book(market_data: MarketData, passes: StrategyPass, held: dict[str, str], ticker: str) -> Dict | None:
    """A market's row with the order book that is kept of it, best first; None when the market is not in view."""
    snapshot = market_data.snapshot()
    market = snapshot.markets.get(ticker)
    if market is None:
        return None
    book = market_data.book(ticker)
    sides = book.depth() if book else None
    levels = sides and [[[format_price(p), format_count(c)] for p, c in side] for side in sides]
    shown = row(*_sources(market, snapshot, passes, ticker in held))
    return shown | {"book": levels and {"bids": levels[0], "asks": levels[1]}}


def consensus(fair: Fair) -> Dict:
    return {
        "probability": round(fair.probability, 4),
        "books": fair.books,
        "dispersion": round(fair.dispersion, 4),
        "method": fair.method,
        "updated_ms": fair.updated_ms,
    }


def title(m: Market | None, ticker: str) -> str:
    return ticker if m is None else f"{m.title} · {m.yes_title}" if m.yes_title not in m.title else m.title
