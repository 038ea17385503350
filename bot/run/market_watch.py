"""The loops' work around market data: discovery, confirming prices, whom to follow, and what is told of all that."""

import logging
import time
from collections.abc import Callable

import gevent

from bot.core.effects import Notice
from bot.core.events import Event, FillSeen, MarketChange
from bot.core.state import TradingState
from bot.core.venue import Market
from bot.kalshi.rest import KalshiReads, ReadFailed
from bot.market_data.market_data import MarketData
from bot.run.door import now_ms
from bot.run.strategy_pass import StrategyPass, worth_watching

WATCHED = 40
"""Candidates subscribed beside held markets."""

FOLLOW_S = 0.05

OVERLAP_MS = 10_000
"""Reads lag behind writes (kalshi-api.md 4.0): each reading of fills reaches back this far."""

log = logging.getLogger("MarketData")


def as_of_now(market: Market) -> MarketChange:
    """All that may change while a market lives."""
    return MarketChange(now_ms(), market.ticker, market.status, market.result, market.close_ms, market.grid)


class MarketWatch:
    """Keeps market data and the core in step. Each method is one beat of a loop."""

    def __init__(
        self,
        market_data: MarketData,
        reads: KalshiReads,
        passes: StrategyPass,
        state: Callable[[], TradingState],
        handle: Callable[[Event], object],
        notify: Callable[[Notice], None],
    ) -> None:
        self.seen_ms = 0
        """Last complete discovery."""
        self._market_data = market_data
        self._reads = reads
        self._passes = passes
        self._state = state
        self._handle = handle
        self._notify = notify
        self._watched: tuple[str, ...] = ()
        self._stale: set[str] = set()
        self._following = False
        self._paused_read = ""
        self._fills_ms = now_ms()

    def discover(self) -> None:
        """Find markets; what became of held ones, and of those last told as paused, is told to the core."""
        try:
            self._market_data.discover()
        except ReadFailed as failure:
            log.warning("no discovery, the snapshot ages: %s", failure)
            return
        self.seen_ms = now_ms()
        for ticker in sorted(self._state().watched()):
            market = self._market_data.market(ticker)
            if market is not None:
                self._handle(as_of_now(market))
        self.follow()

    def confirm(self) -> None:
        """Prices of held markets that nothing confirmed lately, whether a paused one still is; without a stream our
        fills too."""
        self._market_data.confirm_stale(time.time_ns())
        self._confirm_paused()
        state = self._state()
        if self._market_data.connected_now or state.cash is None:
            return
        if state.live_trade or any(order.outstanding() for order in state.orders.values()):
            self._read_fills()

    def _confirm_paused(self) -> None:
        """One market a beat, in turn: where no exit is sent, an `activated` that never came must not keep it so."""
        state = self._state()
        paused = sorted(t for t in state.live_trade if state.status.get(t) == "inactive")
        if not paused:
            return
        self._paused_read = next((t for t in paused if t > self._paused_read), paused[0])
        try:
            market = self._market_data.confirm_market(self._paused_read)
        except ReadFailed as failure:
            log.warning("%s: whether it is still paused could not be read: %s", self._paused_read, failure)
            return
        if market is not None:
            self._handle(as_of_now(market))

    def follow(self) -> None:
        """Subscriptions follow positions and candidates."""
        state = self._state()
        quotes = self._market_data.snapshot().quotes
        self._watched = worth_watching(self._passes.verdicts, quotes, self._watched, WATCHED)
        self._market_data.follow(frozenset(state.held_markets()), self._watched)

    def follow_soon(self) -> None:
        """`follow`, once for all that happens within a moment: many stops at once are not slowed by it."""
        if not self._following:
            self._following = True
            gevent.spawn_later(FOLLOW_S, self._follow_now)

    def _follow_now(self) -> None:
        self._following = False
        self.follow()

    def tell_staleness(self) -> None:
        stale = set(self._market_data.health().stale_held)
        for ticker in sorted(stale - self._stale):
            self._notify(Notice("alarm", "stale_price", "no price that may be trusted: its stop cannot see", ticker))
        for ticker in sorted(self._stale - stale):
            self._notify(Notice("info", "fresh_price", "prices are back", ticker))
        self._stale = stale

    def _read_fills(self) -> None:
        """Fills since the newest one read; the core books each once."""
        try:
            fills = self._reads.fills(min_ts=(self._fills_ms - OVERLAP_MS) // 1000)
        except ReadFailed as failure:
            log.warning("fills could not be read: %s", failure)
            return
        for fill in sorted(fills, key=lambda fill: (fill.at_ms, fill.trade_id)):
            self._handle(FillSeen(now_ms(), fill))
            self._fills_ms = max(self._fills_ms, fill.at_ms)
