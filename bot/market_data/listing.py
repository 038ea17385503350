"""The markets that are known: as discovery lists them, as the stream tells their changes, fees at their time."""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from bot.core.events import MarketChange
from bot.core.venue import Market
from bot.kalshi import frames, wire
from bot.market_data.match_times import MatchTimes

CACHED_NS = 20_000_000_000
"""A REST answer may be a copy 15 s old (kalshi-api.md 1.1): what differs from a livelier source is that."""


class Listing:
    """Ticker -> market. `markets` is replaced, never changed: whoever read it keeps what it was."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self.markets: dict[str, Market] = {}
        self.listed_ns = 0
        """Last complete discovery."""
        self.match_times = MatchTimes()
        self._log = log
        self._told_ns: dict[str, int] = {}
        """When the stream last told a market's status or terms; a reading that may be older does not take them back."""

    def take(self, found: Mapping[str, Market], held: Iterable[str], started_ns: int, now_ns: int) -> None:
        """A complete listing that was asked for at `started_ns`. Held markets stay known when it lacks them."""
        known = self.markets
        kept = {ticker: known[ticker] for ticker in held if ticker in known}
        self._told_ns = {t: ns for t, ns in self._told_ns.items() if abs(started_ns - ns) < CACHED_NS}
        told = {t: known[t] for t in self._told_ns if t in found and t in known}
        self.match_times.learn(found.values())
        self.match_times.forget(started_ns // 1_000_000)
        joined = self.match_times.joined
        self.markets = kept | {ticker: joined(market) for ticker, market in found.items()} | told
        self.listed_ns = now_ns
        self._tell(known)

    def confirm(self, market: Market, started_ns: int) -> None:
        """One market as a reading of its own gave it, unless the stream told of it lately."""
        if abs(started_ns - self._told_ns.get(market.ticker, 0)) >= CACHED_NS:
            self.markets = self.markets | {market.ticker: self.match_times.joined(market)}

    def fees(self, event_ticker: str, fee_type: str | None, multiplier: float | None) -> None:
        """Fees of an event changed; what falls back to those of the series is read by the next discovery."""
        changed = {
            market.ticker: msgspec.structs.replace(
                market,
                fee_type=fee_type or market.fee_type,
                fee_multiplier=market.fee_multiplier if multiplier is None else multiplier,
            )
            for market in self.markets.values()
            if market.event_ticker == event_ticker
        }
        self.markets = self.markets | changed

    def lifecycle(self, frame: frames.MarketLifecycle, received_ns: int) -> MarketChange | None:
        """What the stream says of one market's life; None when the market is not known."""
        msg = frame.msg
        market = self.markets.get(msg.market_ticker)
        if market is None:
            return None
        close_ms = market.close_ms if msg.close_ts is None else msg.close_ts * 1000
        market = msgspec.structs.replace(
            market,
            status=frames.STATUS_AFTER.get(msg.event_type, market.status),
            result=msg.result or market.result,
            close_ms=close_ms,
            end_ms=min(market.end_ms, close_ms),
            grid=wire.grid(msg.price_ranges) if msg.price_ranges else market.grid,
        )
        if msg.event_type in frames.STATUS_AFTER or msg.close_ts is not None or msg.price_ranges:
            self._told_ns[market.ticker] = received_ns
        self.markets = self.markets | {market.ticker: market}
        self._log(f"market {market.ticker}: {msg.event_type}, now {market.status} {market.result}".rstrip())
        return MarketChange(
            at_ms=received_ns // 1_000_000,
            ticker=market.ticker,
            status=market.status,
            result=market.result,
            close_ms=market.close_ms,
            grid=market.grid,
        )

    def _tell(self, known: Mapping[str, Market]) -> None:
        """Log what a discovery found: markets that came and went, and each that changed its status."""
        new, gone = self.markets.keys() - known.keys(), known.keys() - self.markets.keys()
        self._log(f"{len(self.markets)} markets, {len(new)} new, {len(gone)} gone")
        for ticker in sorted(self.markets.keys() & known.keys()):
            before, after = known[ticker], self.markets[ticker]
            if (before.status, before.close_ms, before.grid) != (after.status, after.close_ms, after.grid):
                self._log(f"market {ticker}: {before.status}, now {after.status} {after.result}".rstrip())
