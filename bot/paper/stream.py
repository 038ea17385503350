"""The hub of the WebSocket side: turns what the engine tells into frames for whoever subscribed.

Messages of kalshi-api.md section 6.5. A public message is serialised once; each subscriber gets its own sid and seq
around it. The hub runs inside the engine's calls, so it only queues; each session's writer sends.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import gevent

from bot.paper import messages, wire
from bot.paper.engine import Engine
from bot.paper.faults import Faults
from bot.paper.model import (
    Event,
    FeeChange,
    Fill,
    Listener,
    Market,
    Milestone,
    Order,
    OrderGroup,
    Position,
    Series,
    Side,
    StructuredTarget,
    Trade,
)
from bot.paper.session import CHANNELS, Session, Subscription, encode

TICKER_EVERY_MS = 100
PING_EVERY_S = 10


class Hub(Listener):
    """All sessions. Hears the engine and queues frames for whoever subscribed."""

    def __init__(self, engine: Engine, faults: Faults) -> None:
        self.engine = engine
        self.faults = faults
        self.sessions: dict[Session, None] = {}
        self._every: dict[str, dict[Subscription, None]] = {channel: {} for channel in CHANNELS}
        self._some: dict[tuple[str, str], dict[Subscription, None]] = {}
        self._moved: dict[str, None] = {}
        self._told: dict[str, tuple[int, tuple[int | None, ...]]] = {}
        """Per market: when its last ticker frame went out, and what it said."""
        engine.listeners.append(self)

    def serve(self, sock: Any, user_id: str, limit: int) -> None:
        """Run a session on an upgraded socket until it ends."""
        session = Session(self, sock, user_id, limit)
        self.sessions[session] = None
        session.run()

    def close(self) -> None:
        """Close every connection."""
        for session in list(self.sessions):
            session.close()

    def leave(self, session: Session) -> None:
        for sub in list(session.by_sid.values()):
            session.drop(sub)
        self.sessions.pop(session, None)

    def heartbeat(self) -> None:
        """Ping every session every ten seconds, for ever."""
        while True:
            gevent.sleep(PING_EVERY_S)
            for session in list(self.sessions):
                session.ping()

    def index(self, sub: Subscription, tickers: list[str] | None = None) -> None:
        """Let a subscription hear of all its markets, or of some that have joined it."""
        if sub.tickers is None:
            self._every[sub.channel][sub] = None
        else:
            for ticker in sub.tickers if tickers is None else tickers:
                self._some.setdefault((sub.channel, ticker), {})[sub] = None

    def unindex(self, sub: Subscription) -> None:
        self._every[sub.channel].pop(sub, None)
        for ticker in sub.tickers or ():
            if subs := self._some.get((sub.channel, ticker)):
                subs.pop(sub, None)
                if not subs:
                    del self._some[sub.channel, ticker]

    def snapshot(self, sub: Subscription, ticker: str, command: int = 0) -> None:
        """Send a whole book; a ticker that is not listed has none."""
        if market := self.engine.markets.get(ticker):
            sub.send("orderbook_snapshot", self._book(market, sub.yes_price), command)

    def first_ticker(self, sub: Subscription, ticker: str) -> None:
        if market := self.engine.markets.get(ticker):
            sub.send("ticker", encode(messages.ticker(self.engine, market, time.time_ns() // 1_000_000)))

    def pulse(self, now_ms: int) -> None:
        """Send the ticker frames that are due: changed markets, each at most once per TICKER_EVERY_MS."""
        waiting: dict[str, None] = {}
        for ticker in self._moved:
            market = self.engine.markets.get(ticker)
            subs = self._subs("ticker", ticker)
            if market is None or not subs:
                continue
            sent_ms, said = self._told.get(ticker, (0, ()))
            if now_ms - sent_ms < TICKER_EVERY_MS:
                waiting[ticker] = None
                continue
            says = (*self.engine.best(ticker), market.last_price, market.volume, market.open_interest)
            if says != said:
                self._told[ticker] = (now_ms, says)
                body = encode(messages.ticker(self.engine, market, now_ms))
                for sub in subs:
                    sub.send("ticker", body)
        self._moved = waiting

    def _subs(self, channel: str, ticker: str) -> list[Subscription]:
        return [*self._every[channel], *self._some.get((channel, ticker), ())]

    def _tell(
        self, channel: str, kind: str, ticker: str, message: Callable[[], wire.Json], user_id: str | None = None
    ) -> None:
        subs = self._subs(channel, ticker)
        if user_id is not None:
            subs = [sub for sub in subs if sub.session.user_id == user_id]
        if subs:
            body = encode(message())
            for sub in subs:
                sub.send(kind, body)

    def _book(self, market: Market, yes_price: bool) -> bytes:
        yes, no = wire.book_levels(self.engine, market.ticker, yes_price=yes_price)
        return encode(
            {
                "market_ticker": market.ticker,
                "market_id": market.market_id,
                "yes_dollars_fp": yes,
                "no_dollars_fp": no,
            }
        )

    # Listening

    def listed(self, market: Market) -> None:
        self.cleared(market, market.created_ms)

    def removed(self, thing: Market | Event | Milestone) -> None:
        if isinstance(thing, Market):
            self._told.pop(thing.ticker, None)

    def lifecycle(self, market: Market, kind: str, now_ms: int) -> None:
        def message() -> wire.Json:
            return messages.lifecycle(market, kind, now_ms)

        self._tell("market_lifecycle_v2", "market_lifecycle_v2", market.ticker, message)

    def added(self, thing: Series | Event | Milestone | StructuredTarget | FeeChange) -> None:
        if isinstance(thing, Event):
            event = thing
            self._tell("market_lifecycle_v2", "event_lifecycle", "", lambda: messages.event(event))

    def event_fee(self, event: Event) -> None:
        self._tell("market_lifecycle_v2", "event_fee_update", "", lambda: messages.event_fee(event))

    def group(self, group: OrderGroup, kind: str, now_ms: int) -> None:
        if kind != "matched":
            message = functools.partial(messages.group, group, kind, now_ms)
            self._tell("order_group_updates", "order_group_updates", "", message, group.user_id)

    def book(self, market: Market, side: Side, price: int, delta: int, order: Order | None, now_ms: int) -> None:
        self._moved[market.ticker] = None
        made: dict[tuple[bool, bool], bytes] = {}
        for sub in self._subs("orderbook_delta", market.ticker):
            own = order is not None and sub.session.user_id == order.user_id
            body = made.get((sub.yes_price, own))
            if body is None:
                body = encode(messages.delta(market, side, price, delta, order if own else None, now_ms, sub.yes_price))
                made[sub.yes_price, own] = body
            sub.send("orderbook_delta", body)

    def cleared(self, market: Market, now_ms: int) -> None:
        self._moved[market.ticker] = None
        for sub in self._subs("orderbook_delta", market.ticker):
            sub.send("orderbook_snapshot", self._book(market, sub.yes_price))

    def trade(self, trade: Trade) -> None:
        self._moved[trade.ticker] = None
        self._tell("trade", "trade", trade.ticker, lambda: messages.trade(trade))

    def order(self, order: Order) -> None:
        index = self._shard(order.ticker)
        self._tell("user_orders", "user_order", order.ticker, lambda: messages.order(order, index), order.user_id)

    def fill(self, fill: Fill) -> None:
        index = self._shard(fill.ticker)
        self._tell("fill", "fill", fill.ticker, lambda: messages.fill(fill, index), fill.user_id)

    def position(self, user_id: str, position: Position) -> None:
        self._tell(
            "market_positions",
            "market_position",
            position.ticker,
            lambda: messages.position(user_id, position),
            user_id,
        )

    def _shard(self, ticker: str) -> int:
        market = self.engine.markets.get(ticker)
        return market.exchange_index if market else 0
