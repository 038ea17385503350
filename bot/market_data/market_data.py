"""MarketData: discovery, subscriptions, price cache and ages; the only caller of Kalshi's market data.

REST lists the markets, the stream moves the prices, and REST confirms what has been quiet for too long. Stream calls
come from the greenlet in `run`; `discover`, `follow` and `confirm_stale` are called by the loops of bot/run.
"""

import time
from collections.abc import Callable, Sequence
from types import MappingProxyType

from bot.core.book import Book, Level
from bot.core.events import MarketChange
from bot.core.units import Price
from bot.core.venue import Market, Quote, VenueFill, VenueOrder, VenuePosition
from bot.kalshi import frames
from bot.kalshi.rest import KalshiReads, ReadFailed
from bot.kalshi.stream import Stream
from bot.kalshi.subscriptions import BOOKS
from bot.market_data.books import Books
from bot.market_data.listing import CACHED_NS, Listing
from bot.market_data.recorder import Recorder
from bot.market_data.snapshot import Health, Snapshot

PRIVATE_CHANNELS = ("fill", "user_orders", "market_positions")
LIFECYCLE = "market_lifecycle_v2"
TICKER = "ticker"
TRADE = "trade"

REFRESHED = 300
"""Most quotes that are read before one strategy pass: three calls (kalshi-api.md 4.5)."""

_A_MOMENT = 1e-6
"""After a piece of work others run. Not 0: gevent then looks at sockets and timers only every 50th time."""

_RELIST_NS = 5_000_000_000
"""Off the grid may also mean that the grid changed: the markets are listed anew, at most this often."""

_DOUBT_NS = 2_000_000_000
"""A book that stands still this long while the ticker says otherwise has lost its changes."""


class MarketData:
    """One per process. Callbacks run in the stream's greenlet (a few after REST reads in the caller's)."""

    def __init__(
        self,
        reads: KalshiReads,
        stream: Stream,
        *,
        on_tick: Callable[[Quote], None],
        on_account: Callable[[VenueFill | VenueOrder | VenuePosition], None],
        on_lifecycle: Callable[[MarketChange], None],
        on_missed: Callable[[], None] = lambda: None,
        log: Callable[[str], None] = lambda line: None,
        clock_ns: Callable[[], int] = time.time_ns,
        stale_s: float = 60.0,
        series: Sequence[str] = (),
        category: str = "",
        candidate_books: int = 20,
        recorder: Recorder | None = None,
    ) -> None:
        """`on_missed`: the stream is down, is back, or lost messages that nothing but REST can tell; `stale_s` is
        WEBSOCKET_PRICE_CACHE_STALE_SECS; `series` / `category` limit discovery; the first
        `candidate_books` candidates get a whole order book, as held markets do. `recorder` keeps held markets' frames
        (it must also be the stream's tap)."""
        self._reads = reads
        self._stream = stream
        self._on_tick = on_tick
        self._on_account = on_account
        self._on_lifecycle = on_lifecycle
        self._on_missed = on_missed
        self._log = log
        self._clock_ns = clock_ns
        self._stale_ns = int(stale_s * 1e9)
        self._series = series
        self._category = category
        self._candidate_books = candidate_books
        self._recorder = recorder
        self._listing = Listing(log)
        self._books = Books()
        self._quotes: dict[str, Quote] = {}
        self._confirmed_ns: dict[str, int] = {}
        self._asked_ns: dict[str, int] = {}
        """When the last confirming read asked for a market, whether it was answered or not."""
        self._doubted_ns: dict[str, int] = {}
        """Since when the ticker has disagreed with a book that did not move."""
        self._held: frozenset[str] = frozenset()
        self._followed: frozenset[str] = frozenset()
        self._refused: dict[str, int] = {}
        """Ticker -> prices that could not be."""
        self._load_prices = False
        self._confirming = False
        self._discovering = False
        self._snapshot: Snapshot | None = None
        for channel in (*PRIVATE_CHANNELS, LIFECYCLE):
            stream.want(channel, None)

    def run(self) -> None:
        """Read the stream until `stop`."""
        self._stream.run(self)

    def stop(self) -> None:
        self._stream.stop()

    def follow(self, held: frozenset[str], candidates: tuple[str, ...]) -> None:
        """Whom to watch: held markets by book, candidates (best first) by ticker, the first of them by book too."""
        self._held = held
        self._followed = held | frozenset(candidates)
        books = held | frozenset(candidates[: self._candidate_books])
        self._books.keep(books)
        self._stream.want(BOOKS, books)
        self._stream.want(TICKER, self._followed)
        self._stream.want(TRADE, held)
        if self._recorder is not None:
            self._recorder.keep(held)

    def discover(self) -> None:
        """Read every open market, and held ones that are no longer open. ReadFailed leaves what is known as it is.

        A held market that cannot be read (archived, say) stays as it was known. One at a time: a call while another
        reads returns at once.
        """
        if self._discovering:
            return
        self._discovering = True
        try:
            self._discover()
        finally:
            self._discovering = False

    def refresh(self, max_age_ms: int) -> None:
        """Before a strategy pass: read what is older than this, as far as the budget goes; followed markets first.

        What cannot be read stays as old as it is, and its age says so.
        """
        now_ns, limit_ns = self._clock_ns(), max_age_ms * 1_000_000
        if now_ns - self._listing.listed_ns > limit_ns:
            try:
                self.discover()
            except ReadFailed as failure:
                self._log(f"no discovery before the pass: {failure}")
        old = [
            ticker
            for ticker, market in self._listing.markets.items()
            if market.status == "active" and now_ns - self._confirmed_ns.get(ticker, 0) > limit_ns
        ]
        old.sort(key=lambda ticker: ticker not in self._followed)
        if old:
            self._read_books(old[:REFRESHED])

    def read_market(self, ticker: str) -> tuple[Market, Quote]:
        """The facts of a market that discovery may not know (settled, say), and its quote. May raise ReadFailed."""
        return self._reads.market(ticker)

    def confirm_market(self, ticker: str) -> Market | None:
        """Read one held market by itself: its status counts even when whole discoveries fail. May raise ReadFailed."""
        started_ns = self._clock_ns()
        market, quote = self._reads.market(ticker)
        self._listing.confirm(market, started_ns)
        self._snapshot = None
        self._read_quote(quote, started_ns)
        return self._listing.markets.get(ticker)

    def _discover(self) -> None:
        started_ns = self._clock_ns()
        listed = self._reads.open_markets(self._series, self._category)
        found = {market.ticker: (market, quote) for market, quote in listed}
        for ticker in self._held - found.keys():
            try:
                found[ticker] = self._reads.market(ticker)
            except ReadFailed as failure:
                self._log(f"held market {ticker} could not be read: {failure}")
        time.sleep(_A_MOMENT)
        markets = {ticker: market for ticker, (market, _) in found.items()}
        self._listing.take(markets, self._held, started_ns, self._clock_ns())
        known = self._listing.markets.keys() | self._held
        self._quotes = {t: quote for t, quote in self._quotes.items() if t in known}
        self._confirmed_ns = {t: ns for t, ns in self._confirmed_ns.items() if t in self._quotes}
        self._snapshot = None
        time.sleep(_A_MOMENT)
        for _, quote in found.values():
            self._read_quote(quote, started_ns)

    def confirm_stale(self, now_ns: int) -> None:
        """Read by REST the held markets that have been silent too long, and everybody after a connect. Call every 2 s.

        Without a stream every held market is read by every call. A read that fails is tried again by the next one.
        What was confirmed at a time ahead of now (the clock was set back) counts as never confirmed.
        """
        if any(ns > now_ns for ns in self._confirmed_ns.values()):
            self._confirmed_ns = {t: ns for t, ns in self._confirmed_ns.items() if ns <= now_ns}
            self._snapshot = None
        if crossed := self._books.crossed_too_long(now_ns):
            self._resync(crossed, "crossed")
        if self._recorder is not None and (lacking := self._recorder.without_book()):
            self._stream.snapshots(lacking)
        due = set(self._held)
        if self._stream.connected:
            last = {t: max(self._confirmed_ns.get(t, 0), self._asked_ns.get(t, 0)) for t in due}
            due = {ticker for ticker, at_ns in last.items() if not 0 <= now_ns - at_ns <= self._stale_ns}
        if self._load_prices:
            due |= {t for t in self._followed if not self._books.live(t)}
        if due and self._read_books(sorted(due)):
            self._load_prices = False
            self._asked_ns = dict.fromkeys(due, now_ns)

    def _read_books(self, tickers: list[str]) -> bool:
        """Read the tops of these books now; False when that failed, or another such reading is under way."""
        if self._confirming:
            return False
        self._confirming = True
        try:
            started_ns = self._clock_ns()
            for ticker, (bids, asks) in self._reads.orderbooks(tickers).items():
                self._read_book(ticker, bids, asks, started_ns)
            return True
        except ReadFailed as failure:
            self._log(f"prices of {len(tickers)} markets could not be confirmed: {failure}")
            return False
        finally:
            self._confirming = False

    def snapshot(self) -> Snapshot:
        """Everything known, immutable. Built anew only when something changed."""
        current = self._snapshot
        if current is None or current.connected != self._stream.connected:
            current = self._snapshot = Snapshot(
                generated_ns=self._clock_ns(),
                markets=MappingProxyType(self._listing.markets),
                quotes=MappingProxyType(dict(self._quotes)),
                confirmed_ns=MappingProxyType(dict(self._confirmed_ns)),
                connected=self._stream.connected,
                discovered_ns=self._listing.listed_ns,
                match_times=MappingProxyType(self._listing.match_times.known),
                stale_ms=self._stale_ns // 1_000_000,
            )
        return current

    @property
    def connected_now(self) -> bool:
        """Whether the stream is up."""
        return self._stream.connected

    def market(self, ticker: str) -> Market | None:
        return self._listing.markets.get(ticker)

    def quote(self, ticker: str) -> Quote | None:
        """The last known quote, however old."""
        return self._quotes.get(ticker)

    def fresh_quote(self, ticker: str, now_ns: int) -> Quote | None:
        """The quote, when it is not stale. From a time ahead it is: the clock was set back, its age is not known."""
        fresh = abs(now_ns - self._confirmed_ns.get(ticker, 0)) <= self._stale_ns
        return self._quotes.get(ticker) if fresh else None

    def book(self, ticker: str) -> Book | None:
        """The live order book of a followed market, for reading only."""
        return self._books.get(ticker)

    def health(self) -> Health:
        now_ns, stats = self._clock_ns(), self._stream.stats
        age_s = (now_ns - self._listing.listed_ns) // 1_000_000_000 if self._listing.listed_ns else None
        status = "empty" if age_s is None else "stale" if age_s * 1_000_000_000 > self._stale_ns else "ok"
        return Health(
            status=status,
            age_seconds=age_s,
            connected=self._stream.connected,
            connected_since_ns=stats.connected_since_ns,
            last_bytes_ns=stats.last_bytes_ns,
            frames=stats.frames,
            frames_per_second=stats.rate,
            lag_ms=stats.lag_ms,
            bad_frames=stats.bad_frames,
            gaps=stats.gaps,
            resyncs=stats.resyncs,
            refused=sum(self._refused.values()) + self._books.crossed,
            reconnects=max(0, stats.connects - 1),
            subscriptions=self._stream.subscribed(),
            markets=len(self._listing.markets),
            quotes=len(self._quotes),
            live_books=self._books.live_count(),
            stale_held=tuple(sorted(t for t in self._held if self.fresh_quote(t, now_ns) is None)),
            discovered_ns=self._listing.listed_ns,
        )

    def connected(self) -> None:
        """From the stream. The cache is loaded by the next `confirm_stale`; book snapshots come by themselves."""
        self._load_prices = True
        if self._stream.stats.connects > 1:
            self._on_missed()

    def disconnected(self) -> None:
        self._books.invalidate_all()
        self._on_missed()

    def gap(self, channel: str, tickers: frozenset[str]) -> None:
        """Books get new snapshots, a ticker subscription begins with one; status, fills and orders are read by REST."""
        if channel == BOOKS:
            self._books.invalidate(tickers)
        elif channel not in (TICKER, TRADE):
            self._on_missed()

    def frame(self, frame: frames.Data, received_ns: int) -> None:
        """From the stream: one message. The order of the cases is that of their frequency."""
        if isinstance(frame, frames.OrderbookDelta):
            quote = self._books.delta(frame, received_ns)
            if quote is not None:
                self._publish(quote)
                if self._doubted_ns:
                    self._doubted_ns.pop(quote.ticker, None)
            elif self._books.contradicted:
                self._resync(frozenset(self._books.contradicted), "contradicted by a change")
                self._books.contradicted.clear()
            elif (book := self._books.get(frame.msg.market_ticker)) is not None:
                self._confirm(frame.msg.market_ticker, book.best_bid, book.best_ask, received_ns)
        elif isinstance(frame, frames.Ticker):
            self._ticker(frames.quote(frame, received_ns))
        elif isinstance(frame, frames.OrderbookSnapshot):
            if quote := self._books.snapshot(frame, received_ns):
                self._publish(quote)
        elif isinstance(frame, frames.Fill | frames.UserOrder | frames.MarketPosition) and frame.msg.subaccount:
            pass  # a key that is not locked hears every subaccount; all readings are of the first, which trades
        elif isinstance(frame, frames.Fill):
            self._on_account(frames.fill(frame))
        elif isinstance(frame, frames.UserOrder):
            self._on_account(frames.order(frame))
        elif isinstance(frame, frames.MarketPosition):
            self._on_account(frames.position(frame))
        elif isinstance(frame, frames.MarketLifecycle):
            if change := self._listing.lifecycle(frame, received_ns):
                self._snapshot = None
                self._on_lifecycle(change)
        elif isinstance(frame, frames.EventFeeUpdate):
            self._listing.fees(frame.msg.event_ticker, frame.msg.fee_type_override, frame.msg.fee_multiplier_override)
            self._snapshot = None

    def _ticker(self, quote: Quote) -> None:
        """A live book outranks the ticker, which may be behind it, unless it stands still under doubt for too long."""
        ticker, now_ns = quote.ticker, quote.received_ns
        book = self._books.get(ticker)
        if book is None:
            self._doubted_ns.pop(ticker, None)
            self._publish(quote)
        elif (book.best_bid, book.best_ask) == (quote.bid, quote.ask):
            self._doubted_ns.pop(ticker, None)
            self._confirm(ticker, quote.bid, quote.ask, now_ns)
        elif now_ns - self._doubted_ns.setdefault(ticker, now_ns) >= _DOUBT_NS:
            del self._doubted_ns[ticker]
            self._resync(frozenset({ticker}), "contradicted by the ticker")
            self._publish(quote)

    def _publish(self, quote: Quote) -> None:
        """Keep it; tell the listener when the top changed in a followed market. What cannot be is refused."""
        ticker = quote.ticker
        if not self._possible(quote):
            return
        old = self._quotes.get(ticker)
        self._quotes[ticker] = quote
        self._confirmed_ns[ticker] = quote.received_ns
        self._snapshot = None
        if ticker in self._followed and (
            old is None
            or old.bid != quote.bid
            or old.ask != quote.ask
            or old.bid_size != quote.bid_size
            or old.ask_size != quote.ask_size
        ):
            self._on_tick(quote)

    def _possible(self, quote: Quote) -> bool:
        """Neither crossed nor off the market's grid; else it is counted and changes nothing.

        A resting order survives a change of the grid (kalshi-api.md 3.2): of a held market its price is counted and
        believed, for a stop has to see what can be traded at.
        """
        bid, ask = quote.bid, quote.ask
        market = self._listing.markets.get(quote.ticker)
        on_grid = market is None or all(price is None or market.grid.valid(price) for price in (bid, ask))
        crossed = bid is not None and ask is not None and bid >= ask
        if on_grid and not crossed:
            return True
        if quote.ticker not in self._refused:
            why = "crossed" if on_grid else "off the grid"
            self._log(f"counted from now on: {quote.ticker} {bid}/{ask} by {quote.source} is {why}")
        self._refused[quote.ticker] = self._refused.get(quote.ticker, 0) + 1
        if not on_grid and quote.received_ns - self._listing.listed_ns > _RELIST_NS:
            self._on_missed()
        return not crossed and quote.ticker in self._held

    def _confirm(self, ticker: str, bid: Price | None, ask: Price | None, now_ns: int) -> None:
        """These prices were seen again: the quote that is kept is as new, if it is theirs."""
        kept = self._quotes.get(ticker)
        if kept is not None and kept.bid == bid and kept.ask == ask:
            self._confirmed_ns[ticker] = now_ns
            self._snapshot = None

    def _read_quote(self, quote: Quote, started_ns: int) -> None:
        """A quote by REST that was asked for at `started_ns`: never replaces what the stream said since, and while
        connected replaces the streamed quote of a followed market only when that is stale."""
        ticker, old = quote.ticker, self._quotes.get(quote.ticker)
        confirmed_ns = self._confirmed_ns.get(ticker, 0)
        if confirmed_ns >= started_ns:
            return
        if old is not None and (old.bid, old.ask) == (quote.bid, quote.ask):
            self._confirm(ticker, quote.bid, quote.ask, quote.received_ns)
        elif (
            old is None
            or old.source == "rest"
            or ticker not in self._followed
            or not self._stream.connected
            or started_ns - confirmed_ns > self._stale_ns
        ):
            self._publish(quote)

    def _read_book(self, ticker: str, bids: list[Level], asks: list[Level], started_ns: int) -> None:
        """A confirming read of a whole book. Where a live but quiet book disagrees, the book is wrong."""
        top = Book()
        top.apply_snapshot(bids, asks)
        if top.crossed:
            return
        quote = Quote(
            ticker=ticker,
            bid=top.best_bid,
            ask=top.best_ask,
            bid_size=top.bid_size,
            ask_size=top.ask_size,
            exchange_ms=0,
            received_ns=self._clock_ns(),
            source="rest",
        )
        own = self._books.get(ticker)
        if own is None or (own.best_bid, own.best_ask) == (top.best_bid, top.best_ask):
            self._read_quote(quote, started_ns)
        elif started_ns - self._confirmed_ns.get(ticker, 0) > CACHED_NS:
            self._books.invalidate(frozenset({ticker}))
            self._publish(quote)
            self._resync(frozenset({ticker}), "contradicted by a reading")

    def _resync(self, tickers: frozenset[str], why: str) -> None:
        self._log(f"order book {why}, asked for anew: {' '.join(sorted(tickers))}")
        self._books.invalidate(tickers)
        self._stream.resync(tickers)
