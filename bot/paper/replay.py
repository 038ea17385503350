"""Recorded market data as a life for the engine: WebSocket captures frame by frame, or tables of quotes.

A recorded size is absolute, so the crowd's book is the recorded book; with Engine(history_frozen=True) members trade
against it without moving it. The few recorded states that are crossed for milliseconds stand as they were: crowd
levels never trade with each other there. An empty snapshot clears the book and closes the market (kalshi-api.md
section 6.5 and the recordings); at the end of the file the last book stays.
"""

import csv
import gzip
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import msgspec

from bot.core.units import CONTRACT, ONE, complement, parse_count, parse_price
from bot.paper.engine import Engine
from bot.paper.listing import DAY_MS
from bot.paper.model import Event, Market, Series, Side

BATCH = 5_000
"""Frames per call of advance at speed 0, so that the server can breathe."""
UNKNOWN_SIZE = 100 * CONTRACT
"""Contracts at the top of the book where a quote table does not say."""

SIDES: tuple[Side, Side] = ("bid", "ask")
GRIDS = (
    ("linear_cent", [(0, 10_000, 100)]),
    ("tapered_deci_cent", [(0, 1_000, 10), (1_000, 9_000, 100), (9_000, 10_000, 10)]),
    ("deci_cent", [(0, 10_000, 10)]),
    ("center_centi_edge_centi_cent", [(0, 10_000, 1)]),
)


class Change(NamedTuple):
    """The recorded size at a YES price from now on; 0 = gone."""

    ticker: str
    side: Side
    price: int
    size: int


class Frame(NamedTuple):
    """What one recorded message or row did."""

    ms: int
    connection: int
    seq: int
    changes: list[Change]
    closes: str = ""
    """The market that ended here."""
    result: Literal["", "yes", "no"] = ""


class Recorded(msgspec.Struct):
    """What a file says about one market besides its book."""

    title: str = ""
    outcome: str = ""
    close_ms: int | None = None
    strike: float | None = None


class Recording(msgspec.Struct):
    frames: list[Frame]
    markets: dict[str, Recorded]
    gaps: int
    """Breaks in a subscription's sequence numbers."""


class Replay:
    """Drive the recorded markets. `speed` scales the recorded time; 0 = as fast as possible."""

    odds = None

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
        if frame.closes:
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


def load(path: Path) -> Recording:
    """Read a capture (.jsonl) or a quote table (.csv), plain or gzipped."""
    try:
        with _open(path) as lines:
            first = lines.readline()
            if first.startswith("{"):
                return _capture(_chain(first, lines))
            if "ticker" in first and "yes_bid" in first:
                return _quotes(csv.DictReader(_chain(first, lines)), _beside(path))
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise ValueError(f"cannot read the recording {path}: {error}") from error
    raise ValueError(f"{path} is neither a WebSocket capture (.jsonl) nor a quote table (.csv)")


def grid_for(prices: Iterable[int]) -> tuple[str, list[tuple[int, int, int]]]:
    """The coarsest grid on which all these prices lie."""
    prices = set(prices)
    for label, ranges in GRIDS:
        if all(any(low <= p <= high and (p - low) % step == 0 for low, high, step in ranges) for p in prices):
            return label, ranges
    raise AssertionError("every price is on the finest grid")


class _Books:
    """The recorded books while a capture is read."""

    def __init__(self) -> None:
        self.sizes: dict[str, dict[tuple[Side, int], int]] = {}

    def snapshot(self, ticker: str, message: dict[str, Any]) -> list[Change]:
        new: dict[tuple[Side, int], int] = {
            _level(side, p): parse_count(c) for side in ("yes", "no") for p, c in message.get(f"{side}_dollars_fp", [])
        }
        old = self.sizes.get(ticker, {})
        self.sizes[ticker] = new
        gone = [Change(ticker, *level, 0) for level in old if level not in new]
        return gone + [Change(ticker, *level, size) for level, size in new.items() if old.get(level) != size]

    def delta(self, ticker: str, message: dict[str, Any]) -> list[Change]:
        book = self.sizes.setdefault(ticker, {})
        level = _level(message["side"], message["price_dollars"])
        size = max(0, book.get(level, 0) + parse_count(message["delta_fp"]))
        if size:
            book[level] = size
        else:
            book.pop(level, None)
        return [Change(ticker, *level, size)]


def _capture(lines: Iterator[str]) -> Recording:
    books, frames, markets = _Books(), [], {}
    connection, gaps = 1, 0
    seqs: dict[tuple[int, int], int] = {}
    for line in lines:
        record = msgspec.json.decode(line)
        if meta := record.get("meta"):
            connection = meta.get("conn", connection)
            if meta.get("event") == "watch_market":
                markets[meta["market_ticker"]] = Recorded(close_ms=_ms(meta["close_time"]), strike=meta.get("strike"))
            continue
        frame = record["frame"]
        message, seq = frame["msg"], frame.get("seq", 0)
        if seq:
            channel = (connection, frame["sid"])
            gaps += seq != seqs.get(channel, 0) + 1
            seqs[channel] = seq
        ms = record["recv_ms"] if "recv_ms" in record else record["recv_ns"] // 1_000_000
        ticker = message.get("market_ticker", "")
        if frame["type"] == "orderbook_delta":
            frames.append(Frame(ms, connection, seq, books.delta(ticker, message)))
        elif frame["type"] == "orderbook_snapshot":
            markets.setdefault(ticker, Recorded())
            changes = books.snapshot(ticker, message)
            frames.append(Frame(ms, connection, seq, changes, "" if books.sizes[ticker] else ticker))
    return Recording(frames, markets, gaps)


def _quotes(rows: Iterable[dict[str, str]], beside: dict[str, dict[str, str]]) -> Recording:
    frames: list[Frame] = []
    markets: dict[str, Recorded] = {}
    tops: dict[tuple[str, Side], tuple[int, int]] = {}
    last: dict[str, int] = {}
    for row in rows:
        ticker = row["ticker"]
        ms = int(row["ts_ms"]) if "ts_ms" in row else _ms(row["captured_at"])
        markets.setdefault(ticker, Recorded())
        last[ticker] = ms
        changes: list[Change] = []
        for side, name in (("bid", "yes_bid"), ("ask", "yes_ask")):
            changes += _top(tops, ticker, side, row[name], row.get(f"{name}_size") or "")  # type: ignore[arg-type]
        if changes:
            frames.append(Frame(ms, 1, 0, changes))
    quoted = {change.ticker for frame in frames for change in frame.changes}
    markets = {ticker: known for ticker, known in markets.items() if ticker in quoted}
    for ticker, known in markets.items():
        facts = beside.get(ticker, {})
        known.title, known.outcome = facts.get("title", ""), facts.get("outcome_name", "")
        known.strike = float(facts["strike"]) if facts.get("strike") else None
        known.close_ms = _ms(facts["close_time"]) if facts.get("close_time") else None
        result = facts.get("result")
        if known.close_ms and result in ("yes", "no"):
            end = max(known.close_ms, last[ticker])
            frames.append(Frame(end, 1, 0, [], ticker, result))  # type: ignore[arg-type]
    frames.sort(key=lambda frame: frame.ms)
    return Recording(frames, markets, 0)


def _top(tops: dict[tuple[str, Side], tuple[int, int]], ticker: str, side: Side, price: str, size: str) -> list[Change]:
    """The changes that bring one side of a top-of-book quote up to date."""
    level = parse_price(price) if price else 0
    new = (level, (parse_count(size) if size else UNKNOWN_SIZE)) if 0 < level < ONE else (0, 0)
    old = tops.get((ticker, side), (0, 0))
    tops[ticker, side] = new
    changes = [Change(ticker, side, old[0], 0)] if old[1] and old[0] != new[0] else []
    return changes + ([Change(ticker, side, *new)] if new[1] and new != old else [])


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


def _beside(path: Path) -> dict[str, dict[str, str]]:
    """What a table of markets in the same folder says, by ticker."""
    for name in ("markets.csv", "markets.csv.gz"):
        if (table := path.parent / name).exists():
            with _open(table) as lines:
                return {row["ticker"]: row for row in csv.DictReader(lines)}
    return {}


def _level(side: str, price: str) -> tuple[Side, int]:
    """A recorded level in YES terms: a NO bid is a YES ask at the complement."""
    return ("bid", parse_price(price)) if side == "yes" else ("ask", complement(parse_price(price)))


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def _open(path: Path) -> IO[str]:
    return gzip.open(path, "rt") if path.suffix == ".gz" else open(path)


def _chain(first: str, rest: IO[str]) -> Iterator[str]:
    yield first
    yield from rest
