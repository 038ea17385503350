"""The order books that the stream keeps for us, and the quotes at their top."""

from bot.core.book import Book
from bot.core.venue import Quote
from bot.kalshi.frames import OrderbookDelta, OrderbookSnapshot, delta_level, snapshot_levels

_CROSSED_NS = 2_000_000_000
"""Crossed for milliseconds is seen on the wire; crossed for longer means that the book is wrong."""


class Books:
    """Books of the followed markets. A book that is building or crossed gives no quote."""

    def __init__(self) -> None:
        self._books: dict[str, Book] = {}
        self._crossed_since: dict[str, int] = {}
        self.crossed = 0
        """How often a book was crossed."""
        self.contradicted: set[str] = set()
        """Books that a delta just disproved; the owner asks for new snapshots and clears this."""

    def keep(self, tickers: frozenset[str]) -> None:
        """Follow exactly these; a new one builds until its snapshot comes."""
        self._books = {ticker: self._books.get(ticker) or Book() for ticker in tickers}
        self._crossed_since = {t: since for t, since in self._crossed_since.items() if t in tickers}

    def live(self, ticker: str) -> bool:
        book = self._books.get(ticker)
        return book is not None and book.state == "live"

    def get(self, ticker: str) -> Book | None:
        """The live book, for reading."""
        return self._books[ticker] if self.live(ticker) else None

    def live_count(self) -> int:
        return sum(book.state == "live" for book in self._books.values())

    def invalidate(self, tickers: frozenset[str]) -> None:
        for ticker in tickers & self._books.keys():
            self._books[ticker].invalidate()
            self._crossed_since.pop(ticker, None)

    def invalidate_all(self) -> None:
        self.invalidate(frozenset(self._books))

    def snapshot(self, frame: OrderbookSnapshot, received_ns: int) -> Quote | None:
        """The new top of the book."""
        book = self._books.get(frame.msg.market_ticker)
        if book is None:
            return None
        book.apply_snapshot(*snapshot_levels(frame, yes_priced=True))
        return self._top(frame.msg.market_ticker, book, frame.sending_ts_ms, received_ns)

    def delta(self, frame: OrderbookDelta, received_ns: int) -> Quote | None:
        """The new top of the book when this changed it."""
        msg = frame.msg
        book = self._books.get(msg.market_ticker)
        if book is None or not book.apply_delta(*delta_level(frame, yes_priced=True)):
            return None
        if book.state == "building":
            self.contradicted.add(msg.market_ticker)
            return None
        return self._top(msg.market_ticker, book, msg.ts_ms, received_ns)

    def crossed_too_long(self, now_ns: int) -> frozenset[str]:
        return frozenset(t for t, since in self._crossed_since.items() if now_ns - since > _CROSSED_NS)

    def _top(self, ticker: str, book: Book, exchange_ms: int, received_ns: int) -> Quote | None:
        if book.crossed:
            if ticker not in self._crossed_since:
                self._crossed_since[ticker] = received_ns
                self.crossed += 1
            return None
        if self._crossed_since:
            self._crossed_since.pop(ticker, None)
        return Quote(
            ticker=ticker,
            bid=book.best_bid,
            ask=book.best_ask,
            bid_size=book.bid_size,
            ask_size=book.ask_size,
            exchange_ms=exchange_ms,
            received_ns=received_ns,
            source="book",
        )
