"""The auditor's watch over stops: each one that is due is sent at once, and again until its position is gone."""

from collections import Counter

from bot.core.venue import Quote
from bot.sim.clock import Clock
from bot.sim.exchange import Exchange
from bot.sim.model import Books, Bracket, require

FIRST_SEND_MS = 10
"""A stop that became due with no exit under way is sent within this."""

UNDER_WAY_MS = 2_000
"""An exit that was sent is waited for this long (bot.kalshi.orders); no second one goes out beside it."""

AGAIN_MS = 5_500
"""Afterwards an exit is sent at least this often until flat: reply time-out, a refusal's wait, one sweep."""

UNSEEN_MS = 75_000
"""A price is known after this even when the stream said nothing of it: 60 s of silence, then a reading."""

STATUS_MS = 45_000
"""A pause that is over is known after this when its frame was lost: three discoveries, one of which may fail."""


class StopWatch:
    """Knows what the program was told, and what the exchange's book says."""

    def __init__(self, clock: Clock, exchange: Exchange, books: Books, counts: Counter[str]) -> None:
        self.clock = clock
        self.exchange = exchange
        self.books = books
        self.counts = counts
        self.frozen_until = 0
        self.cut_off_until = 0
        """Nothing gets through to the exchange, or back."""
        self._boot = ""
        self._booted_ms = 0
        self._due: dict[str, int] = {}
        self._crossed: dict[str, int] = {}
        """Ticker -> since when the exchange's own book has been at the stop or beyond."""
        self._held_back: dict[str, int] = {}
        """Ticker -> since when it takes orders although the program was told otherwise."""
        self._told_status: dict[str, str] = {}
        """What this program was told of markets, by the stream or a reading."""
        self._last_exit: dict[str, int] = {}

    def begin(self, boot: str) -> None:
        """A program runs from now on; '' when it has died: then nothing is due."""
        self._boot, self._booted_ms = boot, self.clock.now_ms
        self.frozen_until = 0
        self._due.clear()
        self._crossed.clear()
        self._held_back.clear()
        self._last_exit.clear()
        self._told_status.clear()

    def told_status(self, ticker: str, status: str) -> None:
        self._told_status[ticker] = status

    def sent(self, ticker: str) -> None:
        """An exit's bytes leave."""
        self._last_exit[ticker] = self.clock.now_ms

    def priced(self, quote: Quote) -> None:
        """The program is about to hear this price: is a stop due by it?"""
        bracket = self.books.bracket(quote.ticker)
        if bracket is None:
            return
        require(not bracket.lags(), f"the stop of {quote.ticker} does not trail: {bracket}")
        price = quote.bid if bracket.long else quote.ask
        if price is not None:
            bracket.heard(price, excused=self._excused(quote.ticker))
        now = self.clock.now_ms
        if not beyond(bracket, quote.bid, quote.ask):
            if not bracket.fired_ms:
                self._due.pop(quote.ticker, None)
            return
        if quote.ticker in self._due or bracket.held <= 0:
            return
        self._due[quote.ticker] = now
        self.counts["stops due"] += 1
        if not bracket.fired_ms and not self._excused(quote.ticker):
            ticker, boot = quote.ticker, self._boot
            self.clock.after(FIRST_SEND_MS, lambda: self._first(ticker, now, boot))

    def swept(self) -> None:
        for ticker in list(self._due):
            self._still_leaving(ticker)
        self._crossed = {ticker: since for ticker, since in self._crossed.items() if ticker in self.books.owner}
        for ticker in self.books.owner:
            self._seen(ticker)
            self._status_known(ticker)

    def _first(self, ticker: str, since: int, boot: str) -> None:
        if self._due.get(ticker) != since or self._boot != boot or self._excused(ticker):
            return None
        if self.clock.now_ms <= self.frozen_until:
            return self.clock.at(self.frozen_until + FIRST_SEND_MS, lambda: self._first(ticker, since, boot))
        sent = self._last_exit.get(ticker, 0)
        if since - sent <= UNDER_WAY_MS and any(
            o.ticker == ticker and o.purpose == "exit" for o in self.books.open.values()
        ):
            return None  # re-opened by a late fill while the exit before is not answered yet
        require(sent >= since, f"the stop of {ticker} is due since {since} and no exit was sent")
        return None

    def _still_leaving(self, ticker: str) -> None:
        bracket = self.books.bracket(ticker)
        if bracket is None or bracket.held <= 0:
            self._due.pop(ticker)
            return
        if self._excused(ticker):
            self._due[ticker] = self.clock.now_ms
            return
        waited = self.clock.now_ms - max(self._due[ticker], self._last_exit.get(ticker, 0), self.frozen_until)
        require(waited <= AGAIN_MS, f"the stop of {ticker} is due and no exit was sent for {waited} ms")

    def _seen(self, ticker: str) -> None:
        """By the exchange's own book: no stop is overlooked because nobody told the program."""
        bracket, now = self.books.bracket(ticker), self.clock.now_ms
        if bracket is None or bracket.held <= 0 or self._excused(ticker):
            self._crossed.pop(ticker, None)
            return
        bid, _, ask, _ = self.exchange.engine.best(ticker)
        if not beyond(bracket, bid, ask):
            self._crossed.pop(ticker, None)
            return
        since = self._crossed.setdefault(ticker, now)
        waited = now - max(since, self._booted_ms, self.frozen_until, self.cut_off_until)
        unseen = waited > UNSEEN_MS and self._last_exit.get(ticker, 0) < since
        require(not unseen, f"{ticker} has been beyond its stop for {now - since} ms and nobody saw it")

    def _status_known(self, ticker: str) -> None:
        """A market that takes orders again is known to do so soon: a missed frame holds no stop back for long."""
        now = self.clock.now_ms
        market = self.exchange.engine.markets.get(ticker)
        if market is None or market.status != "active" or self._told(ticker) == "active":
            self._held_back.pop(ticker, None)
            return
        since = self._held_back.setdefault(ticker, now)
        waited = now - max(since, self._booted_ms, self.frozen_until, self.cut_off_until)
        require(waited <= STATUS_MS, f"{ticker} is active for {waited} ms, and the program takes it for paused")

    def _told(self, ticker: str) -> str:
        return self._told_status.get(ticker) or self.books.status.get(ticker, "active")

    def _excused(self, ticker: str) -> bool:
        """Nothing can be sent: the market takes no orders as far as was told, or nothing is left to leave."""
        held = self.exchange.account.held(ticker)
        bracket = self.books.bracket(ticker)
        if bracket is None or held == 0 or (held > 0) != bracket.long:
            return True
        known = self.books.positions.get(ticker, 0)
        if known == 0 or (known > 0) != bracket.long:
            return True
        return (
            bracket.told >= bracket.held
            or self._told(ticker) != "active"
            or self.exchange.engine.markets[ticker].status != "active"
        )


def beyond(bracket: Bracket, bid: int | None, ask: int | None) -> bool:
    """Whether the price one can leave at has reached the stop. An empty side is not a price."""
    price = bid if bracket.long else ask
    if price is None or bracket.stop is None:
        return False
    return price <= bracket.stop if bracket.long else price >= bracket.stop
