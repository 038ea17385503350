"""Recorded market data as a life for the engine: WebSocket captures frame by frame, or tables of quotes.

A recorded size is absolute, so the crowd's book is the recorded book; with Engine(history_frozen=True) members trade
against it without moving it. The few recorded states that are crossed for milliseconds stand as they were: crowd
levels never trade with each other there. An empty snapshot clears the book and closes the market (kalshi-api.md
section 6.5 and the recordings); a result is given where the file tells it; at the end the last book stays.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from bot.paper.engine import Engine
from bot.paper.listing import DAY_MS
from bot.paper.model import Event, Market, Series, Side
from bot.paper.odds_server import OddsSource
from bot.paper.recording import Frame, Recorded, load

BATCH = 5_000
"""Frames per call of advance at speed 0, so that the server can breathe."""
SIDES: tuple[Side, Side] = ("bid", "ask")
GRIDS = (
    ("linear_cent", [(0, 10_000, 100)]),
    ("tapered_deci_cent", [(0, 1_000, 10), (1_000, 9_000, 100), (9_000, 10_000, 10)]),
    ("deci_cent", [(0, 10_000, 10)]),
    ("center_centi_edge_centi_cent", [(0, 10_000, 1)]),
)


class Replay:
    """Drive the recorded markets. `speed` scales the recorded time; 0 = as fast as possible."""

    odds: OddsSource | None = None

    def __init__(self, path: Path, speed: float) -> None:
        """ValueError when the file is not one of the known recordings."""
        if speed < 0:
            raise ValueError(f"--speed {speed}: must be 0 (as fast as possible) or greater")
        self.recording = load(path)
        if not self.recording.frames:
            raise ValueError(f"{path} holds no order book frames or quotes")
        self.speed = speed
        self.position = 0
        self._from_ms = self.recording.frames[0].ms
        self._began_ms = 0

    @property
    def done(self) -> bool:
        return self.position == len(self.recording.frames)

    @property
    def at(self) -> Frame | None:
        """The frame applied last."""
        return self.recording.frames[self.position - 1] if self.position else None

    def start(self, engine: Engine, now_ms: int) -> None:
        if not self.position:
            self._began_ms = now_ms
        closing = {frame.closes: frame.ms for frame in self.recording.frames if frame.closes}
        last = {change.ticker: frame.ms for frame in self.recording.frames for change in frame.changes}
        prices: dict[str, set[int]] = {}
        for frame in self.recording.frames:
            for change in frame.changes:
                prices.setdefault(change.ticker, set()).add(change.price)
        for ticker, known in self.recording.markets.items():
            end = closing.get(ticker, known.close_ms or last[ticker] + DAY_MS)
            close_ms = self._when(max(end, last[ticker]) + 60_000)
            _list(engine, ticker, known, prices[ticker], close_ms, now_ms)

    def advance(self, engine: Engine, now_ms: int) -> None:
        engine.advance(now_ms)
        if self.speed == 0:
            for _ in range(min(BATCH, len(self.recording.frames) - self.position)):
                self.step(engine, now_ms)
        while not self.done and self.speed and self._when(self.recording.frames[self.position].ms) <= now_ms:
            self.step(engine, now_ms)

    def step(self, engine: Engine, now_ms: int) -> Frame:
        """Apply the next frame, due or not."""
        frame = self.recording.frames[self.position]
        self.position += 1
        for ticker, side, price, size in frame.changes:
            engine.set_level(ticker, side, price, size, now_ms)
        if frame.closes and engine.markets[frame.closes].status in ("active", "inactive"):
            engine.set_close(frame.closes, now_ms, now_ms)
        if frame.result:
            engine.determine(frame.closes, frame.result, now_ms)
        return frame

    def state(self) -> bytes:
        return msgspec.json.encode(self.position)

    def restore(self, blob: bytes, engine: Engine, now_ms: int) -> None:
        """Go on with the frame after the last one applied, now; the time in between never was."""
        self.position = min(msgspec.json.decode(blob, type=int), len(self.recording.frames))
        at = self.at
        self._from_ms = at.ms if at else self._from_ms
        self._began_ms = now_ms
        self.start(engine, now_ms)
        book: dict[tuple[str, Side, int], int] = {}
        for frame in self.recording.frames[: self.position]:
            for ticker, side, price, size in frame.changes:
                book[ticker, side, price] = size
        for ticker in self.recording.markets:
            for side, levels in zip(SIDES, engine.depth(ticker), strict=True):
                for price, _ in levels:
                    book.setdefault((ticker, side, price), 0)
        for (ticker, side, price), size in book.items():
            engine.set_level(ticker, side, price, size, now_ms)

    def _when(self, ms: int) -> int:
        return self._began_ms + round((ms - self._from_ms) / (self.speed or 1))


def grid_for(prices: Iterable[int]) -> tuple[str, list[tuple[int, int, int]]]:
    """The coarsest grid on which all these prices lie."""
    prices = set(prices)
    for label, ranges in GRIDS:
        if all(any(low <= p <= high and (p - low) % step == 0 for low, high, step in ranges) for p in prices):
            return label, ranges
    raise AssertionError("every price is on the finest grid")


def _list(engine: Engine, ticker: str, known: Recorded, prices: set[int], close_ms: int, now_ms: int) -> None:
    """The series, event and market of a ticker, as far as the file tells."""
    event_ticker = ticker.rpartition("-")[0]
    series_ticker = ticker.partition("-")[0]
    sports = known.strike is None
    category = "Sports" if sports else "Crypto"
    fee_type = "quadratic_with_maker_fees" if sports else "quadratic"
    engine.add_series(Series(series_ticker, series_ticker, category, fee_type))
    if event_ticker not in engine.events:
        title = known.title or event_ticker
        mutual = "MECNET" if sports else ""
        engine.add_event(Event(event_ticker, series_ticker, title, "", sports, mutual, category))
    if ticker in engine.markets:
        if close_ms > now_ms and engine.markets[ticker].status in ("active", "inactive"):
            engine.set_close(ticker, close_ms, now_ms)
        return
    label, ranges = grid_for(prices)
    outcome = known.outcome or ticker.rpartition("-")[2]
    market = Market(
        ticker,
        event_ticker,
        known.title or ticker,
        outcome,
        outcome,
        now_ms - DAY_MS,
        close_ms,
        close_ms,
        close_ms + DAY_MS,
        price_ranges=ranges,
        price_level_structure=label,
        strike_type="structured" if sports else "greater_or_equal",
        floor_strike=known.strike,
        can_close_early=sports,
    )
    engine.add_market(market, now_ms)
