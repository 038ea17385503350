"""What the public can look back on: the latest trades, candles by minute, hour and day, markets that have left.

Trades are kept exactly; quotes are sampled at each beat of the exchange. All of it lives in memory and starts anew
with the process.
"""

from collections import deque
from typing import NamedTuple

import msgspec

from bot.paper.engine import Engine
from bot.paper.model import Event, Listener, Market, Milestone, Order, Side, Trade

KEPT = {1: 360, 60: 200, 1440: 100}
"""How many candles of each length (in minutes) are kept per market."""
ARCHIVED = 500
DAY_S = 86_400


class Range(msgspec.Struct):
    open: int
    low: int
    high: int
    close: int

    def add(self, value: int) -> None:
        self.low = min(self.low, value)
        self.high = max(self.high, value)
        self.close = value


class Candle(msgspec.Struct):
    """One period; `price` None means that nothing traded in it."""

    end_s: int
    bid: Range
    ask: Range
    open_interest: int
    previous: int
    """The last price before the period; 0 when there was none."""
    price: Range | None = None
    value: int = 0
    volume: int = 0

    @property
    def last(self) -> int:
        return self.price.close if self.price else self.previous


class Day(NamedTuple):
    """A market a day ago, and what it traded since."""

    price: int
    bid: int
    ask: int
    volume: int


class Archived(NamedTuple):
    market: Market
    event: Event
    candles: dict[int, deque[Candle]]


class Tape(Listener):
    def __init__(self, engine: Engine, length: int = 20_000) -> None:
        self.trades: deque[Trade] = deque(maxlen=length)
        """The latest, oldest first."""
        self.archive: dict[str, Archived] = {}
        """Markets that were removed, oldest first."""
        self._engine = engine
        self._candles: dict[str, dict[int, deque[Candle]]] = {}
        self._moved: dict[str, None] = {}
        engine.listeners.append(self)

    def candles(self, ticker: str, minutes: int) -> list[Candle]:
        """Candles of one length, oldest first; periods in which nothing happened have none."""
        kept = self._candles.get(ticker)
        if kept is None and ticker in self.archive:
            kept = self.archive[ticker].candles
        return list(kept[minutes]) if kept else []

    def day(self, market: Market, now_ms: int) -> Day:
        since = now_ms // 1000 - DAY_S
        volume = 0
        for candle in reversed(self._candles.get(market.ticker, {}).get(60, ())):
            if candle.end_s <= since:
                return Day(candle.last, candle.bid.close, candle.ask.close, volume)
            volume += candle.volume
        return Day(0, 0, 0, volume)

    def beat(self, now_ms: int) -> None:
        """Sample the quotes that moved."""
        for ticker in self._moved:
            market = self._engine.markets.get(ticker)
            if market is None:
                continue
            bid, ask = self._quote(ticker)
            for candle in self._current(market, now_ms):
                candle.bid.add(bid)
                candle.ask.add(ask)
                candle.open_interest = market.open_interest
        self._moved.clear()

    def _quote(self, ticker: str) -> tuple[int, int]:
        bid, _, ask, _ = self._engine.best(ticker)
        return bid or 0, 10_000 if ask is None else ask

    def _current(self, market: Market, now_ms: int) -> list[Candle]:
        """The open candle of every length."""
        kept = self._candles.get(market.ticker)
        if kept is None:
            kept = self._candles[market.ticker] = {minutes: deque(maxlen=size) for minutes, size in KEPT.items()}
        found = []
        for minutes, row in kept.items():
            end_s = (now_ms // (60_000 * minutes) + 1) * 60 * minutes
            if not row or row[-1].end_s < end_s:
                bid, ask = (row[-1].bid.close, row[-1].ask.close) if row else self._quote(market.ticker)
                last = row[-1].last if row else 0
                row.append(
                    Candle(end_s, Range(bid, bid, bid, bid), Range(ask, ask, ask, ask), market.open_interest, last)
                )
            found.append(row[-1])
        return found

    # Listening

    def trade(self, trade: Trade) -> None:
        self.trades.append(trade)
        self._moved[trade.ticker] = None
        for candle in self._current(self._engine.markets[trade.ticker], trade.ms):
            if candle.price:
                candle.price.add(trade.price)
            else:
                candle.price = Range(trade.price, trade.price, trade.price, trade.price)
            candle.value += trade.price * trade.count
            candle.volume += trade.count

    def book(self, market: Market, side: Side, price: int, delta: int, order: Order | None, now_ms: int) -> None:
        self._moved[market.ticker] = None

    def cleared(self, market: Market, now_ms: int) -> None:
        self._moved[market.ticker] = None

    def removed(self, thing: Market | Event | Milestone) -> None:
        if isinstance(thing, Market):
            event = self._engine.events[thing.event_ticker]
            self.archive[thing.ticker] = Archived(thing, event, self._candles.pop(thing.ticker, {}))
            if len(self.archive) > ARCHIVED:
                del self.archive[next(iter(self.archive))]
