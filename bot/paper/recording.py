"""Files of recorded market data, read into frames: what changed in which book, when.

Two kinds: WebSocket captures (one {"recv_ns" | "recv_ms", "frame"} or {"recv_ns", "meta"} per line) and tables of
top-of-book quotes; both plain or gzipped. Levels are in YES terms with absolute sizes. A capture that was torn off by
the end of its program is read up to the tear.
"""

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import msgspec

from bot.core.units import CONTRACT, ONE, complement, parse_count, parse_price
from bot.paper.model import Side

UNKNOWN_SIZE = 100 * CONTRACT
"""Contracts at the top of the book where a quote table does not say."""


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


def load(path: Path) -> Recording:
    """Read a capture (.jsonl) or a quote table (.csv), plain or gzipped."""
    try:
        with _open(path) as lines:
            first = lines.readline()
            if first.startswith("{"):
                return _capture(_whole(_chain(first, lines)))
            if "ticker" in first and "yes_bid" in first:
                return _quotes(csv.DictReader(_chain(first, lines)), _beside(path))
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise ValueError(f"cannot read the recording {path}: {error}") from error
    raise ValueError(f"{path} is neither a WebSocket capture (.jsonl) nor a quote table (.csv)")


class _Books:
    """The recorded books while a capture is read."""

    def __init__(self) -> None:
        self.sizes: dict[str, dict[tuple[Side, int], int]] = {}
        self.yes_priced = False
        """Whether NO levels came in YES prices (kalshi-api.md 6.5, `use_yes_price`)."""

    def snapshot(self, ticker: str, message: dict[str, Any]) -> list[Change]:
        new: dict[tuple[Side, int], int] = {
            self._level(side, p): parse_count(c)
            for side in ("yes", "no")
            for p, c in message.get(f"{side}_dollars_fp", [])
        }
        old = self.sizes.get(ticker, {})
        self.sizes[ticker] = new
        gone = [Change(ticker, *level, 0) for level in old if level not in new]
        return gone + [Change(ticker, *level, size) for level, size in new.items() if old.get(level) != size]

    def delta(self, ticker: str, message: dict[str, Any]) -> list[Change]:
        book = self.sizes.setdefault(ticker, {})
        level = self._level(message["side"], message["price_dollars"])
        size = max(0, book.get(level, 0) + parse_count(message["delta_fp"]))
        if size:
            book[level] = size
        else:
            book.pop(level, None)
        return [Change(ticker, *level, size)]

    def _level(self, side: str, price: str) -> tuple[Side, int]:
        """A recorded level in YES terms: a NO bid is a YES ask at the complement."""
        if side == "yes":
            return "bid", parse_price(price)
        return "ask", parse_price(price) if self.yes_priced else complement(parse_price(price))


def _capture(lines: Iterator[str]) -> Recording:
    books = _Books()
    frames: list[Frame] = []
    markets: dict[str, Recorded] = {}
    connection, gaps = 1, 0
    seqs: dict[tuple[int, int], int] = {}
    for line in lines:
        record = msgspec.json.decode(line)
        if meta := record.get("meta"):
            connection = meta.get("conn", connection)
            books.yes_priced = meta.get("use_yes_price", books.yes_priced)
            if meta.get("event") == "watch_market":
                ended = next(reversed(markets), None)
                new = Recorded(close_ms=_ms(meta["close_time"]), strike=meta.get("strike"))
                if ended and not books.sizes.get(ended) and (result := _result(markets[ended], new)):
                    frames.append(Frame(_received(record), connection, 0, [], ended, result))
                markets[meta["market_ticker"]] = new
            continue
        frame = record["frame"]
        message, seq = frame["msg"], frame.get("seq", 0)
        if seq:
            channel = (connection, frame["sid"])
            gaps += seq != seqs.get(channel, 0) + 1
            seqs[channel] = seq
        ms = _received(record)
        ticker = message.get("market_ticker", "")
        if frame["type"] == "orderbook_delta":
            frames.append(Frame(ms, connection, seq, books.delta(ticker, message)))
        elif frame["type"] == "orderbook_snapshot":
            markets.setdefault(ticker, Recorded())
            changes = books.snapshot(ticker, message)
            frames.append(Frame(ms, connection, seq, changes, "" if books.sizes[ticker] else ticker))
    return Recording(frames, markets, gaps)


def _received(record: dict[str, Any]) -> int:
    return int(record["recv_ms"]) if "recv_ms" in record else int(record["recv_ns"]) // 1_000_000


def _result(ended: Recorded, following: Recorded) -> Literal["", "yes", "no"]:
    """In a series of periods the next market's strike is the value at which this one ended."""
    if ended.strike is None or following.strike is None:
        return ""
    return "yes" if following.strike >= ended.strike else "no"


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


def _beside(path: Path) -> dict[str, dict[str, str]]:
    """What a table of markets in the same folder says, by ticker."""
    for name in ("markets.csv", "markets.csv.gz"):
        if (table := path.parent / name).exists():
            with _open(table) as lines:
                return {row["ticker"]: row for row in csv.DictReader(lines)}
    return {}


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def _open(path: Path) -> IO[str]:
    return gzip.open(path, "rt") if path.suffix == ".gz" else open(path)


def _whole(lines: Iterator[str]) -> Iterator[str]:
    """The complete lines, as far as they can be read."""
    try:
        yield from (line for line in lines if line.endswith("\n"))
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return


def _chain(first: str, rest: IO[str]) -> Iterator[str]:
    yield first
    yield from rest
