"""A thousand markets for page and API: rows anew beside rows kept, the publication of all, and the request itself."""

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from bench.result import Result, timed
from bot.core.grid import CENT_GRID
from bot.core.units import Count, Price
from bot.core.venue import Market, Quote
from bot.market_data.snapshot import Snapshot
from bot.run.market_rows import MarketRows
from web import WebSecrets, create_app
from web.stream import Stream

MARKETS = 1_000
TOKEN = "t" * 40


class Feed:
    """Market data, a pass without verdicts, and a desk: only what rows and requests ask for."""

    def __init__(self) -> None:
        self.verdicts: dict[str, Any] = {}
        self.fair: dict[str, Any] = {}
        self.status = "ok"
        self.rows = MarketRows("bench")
        now_ms = time.time_ns() // 1_000_000
        self._markets = {
            f"KXNBAGAME-26NOV21-{n:04d}": _market(f"KXNBAGAME-26NOV21-{n:04d}", now_ms) for n in range(MARKETS)
        }
        self.move(0)

    def move(self, beat: int) -> None:
        """Every price a little different."""
        bid, at = Price(4_000 + 100 * (beat % 10)), time.time_ns()
        quotes = {t: Quote(t, bid, Price(bid + 100), Count(500), Count(500), 0, at, "rest") for t in self._markets}
        self._snapshot = Snapshot(at, self._markets, quotes, dict.fromkeys(quotes, at), True)

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def health(self) -> "Feed":
        return self

    def refresh(self) -> dict[str, Any]:
        return self.rows.refresh(self, self, {})  # type: ignore[arg-type]

    def page(self) -> dict[str, Any]:
        return {"markets": self.refresh()}

    def markets(self) -> tuple[str, bytes, int]:
        return self.rows.tag, self.rows.body, 0


def measure() -> Iterator[Result]:
    feed = Feed()
    feed.refresh()
    yield timed("1,000 rows, none changed", lambda i: feed.refresh(), 200)

    def all_anew(beat: int) -> None:
        feed.move(beat)
        feed.refresh()

    yield timed("1,000 rows, all changed", all_anew, 100, peer="1,000 rows, none changed")
    stream = Stream(feed.page, "bench")

    def publish(beat: int) -> None:
        feed.move(beat)
        stream.publish_page(feed.page())

    yield timed("all changed and published", publish, 100, peer="1,000 rows, all changed")
    client = create_app(feed, secrets=WebSecrets(None, TOKEN, True)).test_client()  # type: ignore[arg-type]
    headers = {"Authorization": f"Bearer {TOKEN}"}
    tag = str(client.get("/api/v1/markets", headers=headers).headers["ETag"])
    same = {**headers, "If-None-Match": tag}
    yield timed("msgspec: encode the rows again", lambda i: msgspec.json.encode(feed.refresh()), 200)
    yield timed("GET /markets in the process", lambda i: client.get("/api/v1/markets", headers=headers), 500,
                peer="msgspec: encode the rows again")  # fmt: skip
    yield timed("GET /markets, 304", lambda i: client.get("/api/v1/markets", headers=same), 500,
                peer="GET /markets in the process")  # fmt: skip


def _market(ticker: str, now_ms: int) -> Market:
    return Market(
        ticker, ticker.rpartition("-")[0], "KXNBAGAME", "Boston at Detroit", "Boston", "Sports", "active", 0,
        now_ms + 10**9, now_ms + 10**7, now_ms, CENT_GRID, "quadratic", 1.0, 0, True, Count(100_000), "",
    )  # fmt: skip
