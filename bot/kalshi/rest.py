"""Signed REST reads: retried, complete listings or an error, typed results (kalshi-api.md sections 4 and 5)."""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
import requests
from requests.adapters import HTTPAdapter

from bot.core.book import Level
from bot.core.venue import Balance, Market, Quote, Settlement, Transfer, VenueFill, VenueOrder, VenuePosition
from bot.kalshi import transfers, wire
from bot.kalshi.canary import Canary
from bot.kalshi.read_budget import ReadBudget
from bot.kalshi.series import FeeChanges, SeriesList, SeriesReply, WireFeeChange, WireSeries, in_force
from bot.kalshi.sign import Signer

Kind = Literal["connection", "timeout", "rate_limited", "server", "auth", "not_found", "refused", "body", "cursor_loop"]

RETRIES = 3
_PATIENT: frozenset[Kind] = frozenset({"connection", "timeout", "rate_limited", "server"})
_SERIES_SECONDS = 3600
_BOOKS_A_CALL = 100
_TURN_NS = 1_000_000
"""Converting a long listing lets others run this often."""

_A_MOMENT = 1e-6
_SMALLEST_TIER = (200.0, 200.0)
_PATIENT_PATHS = ("/events", "/series", "/milestones")
"""Discovery reads these; everything else is about money at risk and goes before it."""


class ReadFailed(Exception):
    """A read gave no usable answer. It proves nothing about what exists."""

    def __init__(self, kind: Kind, status: int = 0, code: str = "", message: str = "") -> None:
        super().__init__(f"{kind}{f' {status}' if status else ''}{f' {code}' if code else ''}: {message}")
        self.kind: Kind = kind
        self.status = status
        self.code = code
        self.message = message


class _Page(Protocol):
    cursor: str | None


_read_event = wire.reader(wire.WireEvent)

P = TypeVar("P", bound=_Page)
R = TypeVar("R")


class _ShardBalance(msgspec.Struct):
    exchange_index: int
    balance: str


class _BalanceReply(msgspec.Struct):
    balance_dollars: str
    balance_breakdown: list[_ShardBalance] = []


def _balance(reply: _BalanceReply) -> Balance:
    money = wire.to_money
    shards = {str(shard.exchange_index): money(shard.balance) for shard in reply.balance_breakdown}
    return Balance(money(reply.balance_dollars), shards)


class KalshiReads:
    """Reads of one account. Each call blocks (cooperatively under gevent) and raises ReadFailed."""

    def __init__(
        self,
        base_url: str,
        signer: Signer,
        *,
        connect_timeout: float = 3.0,
        read_timeout: float = 5.0,
        clock_ns: Callable[[], int] = time.time_ns,
        log: Callable[[str], None] = lambda line: None,
        sleep: Callable[[float], None] = time.sleep,
        canary: Canary | None = None,
    ) -> None:
        self.budget = ReadBudget(*_SMALLEST_TIER)
        """Replaced by the account's own once that is read."""
        self.canary = canary or Canary(log)
        parts = urlsplit(base_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._prefix = parts.path.rstrip("/")
        self._signer = signer
        self._timeout = (connect_timeout, read_timeout)
        self._clock_ns = clock_ns
        self._log = log
        self._sleep = sleep
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount(self._origin, HTTPAdapter(pool_connections=1, pool_maxsize=10, max_retries=0))
        self._series: dict[str, WireSeries] = {}
        self._fee_changes: list[WireFeeChange] = []
        """Announced ones, the earliest first."""
        self._series_read_ns = -_SERIES_SECONDS * 1_000_000_000
        self._events: dict[str, tuple[wire.WireEvent, int | None]] = {}

    def exchange_status(self) -> wire.ExchangeStatus:
        """A 5xx reply may carry the status as well, so its body is read before it counts as a failure."""
        return self._one("/exchange/status", wire.ExchangeStatus, accept=(200, 500, 503, 504))

    def account_limits(self) -> wire.AccountLimits:
        return wire.limits(self._one("/account/limits", wire.LimitsReply))

    def user_data_timestamp(self) -> int:
        """How fresh account reads are: they show everything up to this time (epoch ms)."""
        return wire.epoch_ms(self._one("/exchange/user_data_timestamp", wire.AsOfReply).as_of_time)

    def balance(self) -> Balance:
        """Cash of subaccount 0, over all shards and by shard."""
        reply = self._one("/portfolio/balance", _BalanceReply)
        return self._convert("/portfolio/balance", _balance, [reply])[0]

    def positions(self) -> list[VenuePosition]:
        """Unsettled positions, flat ones with history included."""
        pages = self._pages("/portfolio/positions", {"limit": 1000}, wire.PositionsPage, lambda p: p.market_positions)
        return self._convert(
            "/portfolio/positions", wire.position, (p for page in pages for p in page.market_positions)
        )

    def orders(
        self, status: str | None = None, ticker: str | None = None, min_ts: int | None = None
    ) -> list[VenueOrder]:
        """Newest first; all statuses unless one of resting, canceled, executed is named. `min_ts` in seconds."""
        params = {"limit": 1000, "subaccount": 0, "status": status, "ticker": ticker, "min_ts": min_ts}
        pages = self._pages("/portfolio/orders", params, wire.OrdersPage, lambda p: p.orders)
        return self._convert("/portfolio/orders", wire.order, (o for page in pages for o in page.orders))

    def fills(self, min_ts: int | None = None, ticker: str | None = None) -> list[VenueFill]:
        """Newest first. `min_ts` in seconds."""
        params = {"limit": 1000, "subaccount": 0, "ticker": ticker, "min_ts": min_ts}
        pages = self._pages("/portfolio/fills", params, wire.FillsPage, lambda p: p.fills)
        return self._convert("/portfolio/fills", wire.fill, (f for page in pages for f in page.fills))

    def settlements(self, min_ts: int | None = None) -> list[Settlement]:
        """Newest first. `min_ts` in seconds."""
        params = {"limit": 1000, "subaccount": 0, "min_ts": min_ts}
        pages = self._pages("/portfolio/settlements", params, wire.SettlementsPage, lambda p: p.settlements)
        return self._convert("/portfolio/settlements", wire.settlement, (s for page in pages for s in page.settlements))

    def transfers(self) -> list[Transfer]:
        """Deposits and withdrawals that moved or may move cash: none that failed or came back."""
        paid_in = self._pages("/portfolio/deposits", {"limit": 500}, transfers.DepositsPage, lambda p: p.deposits)
        paid_out = self._pages(
            "/portfolio/withdrawals", {"limit": 500}, transfers.WithdrawalsPage, lambda p: p.withdrawals
        )
        signed = [(1, t) for page in paid_in for t in page.deposits]
        signed += [(-1, t) for page in paid_out for t in page.withdrawals]
        return [transfers.transfer(t, sign) for sign, t in signed if t.status not in ("failed", "returned")]

    def open_markets(self, series: Sequence[str] = (), category: str = "") -> list[tuple[Market, Quote]]:
        """Every market that is open for trading, combos excluded, with its quote.

        Of the named series, else of all; `category` keeps only events of that category (exact, e.g. 'Sports').
        """
        self._refresh_series(bool(series), category)
        listed: list[tuple[Market, Quote]] = []
        for name in series or (None,):
            params = {
                "limit": 200,
                "status": "open",
                "series_ticker": name,
                "with_nested_markets": "true",
                "with_milestones": "true",
            }
            pages = self._pages("/events", params, wire.EventsPage, lambda p: p.events)
            received_ns = self._clock_ns()
            time.sleep(_A_MOMENT)
            starts = wire.game_starts(m for page in pages for m in page.milestones or ())
            turn_ns = time.monotonic_ns()
            for raw in (raw for page in pages for raw in page.events):
                listed += self._understood(raw, starts, category, received_ns)
                if time.monotonic_ns() - turn_ns > _TURN_NS:
                    time.sleep(_A_MOMENT)
                    turn_ns = time.monotonic_ns()
        return listed

    def market(self, ticker: str) -> tuple[Market, Quote]:
        """One market in any state, with its quote. ReadFailed('not_found') when unknown or archived."""
        path = f"/markets/{quote(ticker, safe='')}"
        found = self._one(path, wire.MarketReply).market
        received_ns = self._clock_ns()
        event, start_ms = self._event(found.event_ticker)
        return self._joined(path, [found], event, start_ms, received_ns)[0]

    def milestones(self, event_ticker: str) -> list[int]:
        """Scheduled starts (epoch ms) of what the event is about; empty when the exchange names none."""
        params = {"limit": 100, "related_event_ticker": event_ticker}
        pages = self._pages("/milestones", params, wire.MilestonesPage, lambda p: p.milestones)
        start_ms = wire.game_starts(m for page in pages for m in page.milestones).get(event_ticker)
        return [] if start_ms is None else [start_ms]

    def orderbooks(self, tickers: Iterable[str]) -> dict[str, tuple[list[Level], list[Level]]]:
        """Ticker -> (YES bids, YES asks), 100 markets a call."""
        wanted = list(tickers)
        books: dict[str, tuple[list[Level], list[Level]]] = {}
        for start in range(0, len(wanted), _BOOKS_A_CALL):
            params = {"tickers": wanted[start : start + _BOOKS_A_CALL]}
            read = wire.reader(wire.WireBooks)
            found = self._read("/markets/orderbooks", params, read, lambda reply: len(reply.orderbooks)).orderbooks
            levels = self._convert("/markets/orderbooks", wire.book_levels, found)
            books.update(zip((book.ticker for book in found), levels, strict=True))
        return books

    def series(self, ticker: str) -> WireSeries:
        """Fee facts of a series, kept until `open_markets` begins anew with them (hourly); announced changes count
        from their time on."""
        if ticker not in self._series:
            self._series[ticker] = self._one(f"/series/{quote(ticker, safe='')}", SeriesReply).series
        return in_force(self._series[ticker], self._fee_changes, self._clock_ns() / 1e9)

    def close(self) -> None:
        self._session.close()

    def _understood(
        self, raw: msgspec.Raw, starts: dict[str, int], category: str, received_ns: int
    ) -> list[tuple[Market, Quote]]:
        """The open markets of one event of a listing; none when it is not understood, and the canary says so."""
        try:
            event = _read_event(bytes(raw))
            if category and event.category != category:
                return []
            series = self.series(event.series_ticker)
            return [
                (wire.market(m, event, series, starts.get(event.event_ticker)), wire.market_quote(m, received_ns))
                for m in event.markets or ()
                if m.status == "active"
            ]
        except wire.WireError as error:
            self.canary.saw("GET /events", error, bytes(raw))
            return []

    def _refresh_series(self, named: bool, category: str) -> None:
        """Once an hour: forget what is known of series and events, and read the series' list unless a few are named;
        also which fees will change, and when."""
        now_ns = self._clock_ns()
        if now_ns - self._series_read_ns < _SERIES_SECONDS * 1_000_000_000:
            return
        listed: list[WireSeries] = []
        if not named:
            params = {"category": category or None}
            read = wire.reader(SeriesList)
            listed = self._read("/series", params, read, lambda reply: len(reply.series)).series
        self._series = {series.ticker: series for series in listed}
        self._series_read_ns = now_ns
        self._events.clear()
        try:
            changes = self._one("/series/fee_changes", FeeChanges).series_fee_change_arr
            self._fee_changes = sorted(changes, key=lambda change: change.scheduled_ts)
        except ReadFailed as failure:
            self._log(f"changes of fees are not known: {failure}")

    def _event(self, event_ticker: str) -> tuple[wire.WireEvent, int | None]:
        if event_ticker not in self._events:
            event = self._one(f"/events/{quote(event_ticker, safe='')}", wire.EventReply).event
            self._events[event_ticker] = event, next(iter(self.milestones(event_ticker)), None)
        return self._events[event_ticker]

    def _joined(
        self, path: str, markets: list[wire.WireMarket], event: wire.WireEvent, start_ms: int | None, received_ns: int
    ) -> list[tuple[Market, Quote]]:
        series = self.series(event.series_ticker)
        return self._convert(
            path, lambda m: (wire.market(m, event, series, start_ms), wire.market_quote(m, received_ns)), markets
        )

    def _one(self, path: str, type_: type[R], accept: Iterable[int] = (200,)) -> R:
        return self._read(path, {}, wire.reader(type_), lambda reply: 1, accept)

    def _pages(self, path: str, params: dict[str, Any], type_: type[P], items: Callable[[P], Sequence[Any]]) -> list[P]:
        """All pages of a listing, or ReadFailed: a cursor seen before means the exchange began again (4.0)."""
        read = wire.reader(type_)
        pages: list[P] = []
        seen: set[str] = set()
        cursor: str | None = None
        while True:
            page = self._read(path, params | {"cursor": cursor}, read, lambda reply: len(items(reply)))
            pages.append(page)
            cursor = page.cursor
            if not cursor:
                return pages
            if cursor in seen:
                raise ReadFailed("cursor_loop", message=f"GET {path} gave the same cursor twice")
            seen.add(cursor)

    def _read(
        self,
        path: str,
        params: dict[str, Any],
        read: Callable[[bytes], R],
        size: Callable[[R], int],
        accept: Iterable[int] = (200,),
    ) -> R:
        """One GET, with at most three retries of what may pass by itself, each freshly signed."""
        attempt = 0
        while True:
            wait_s = self.budget.take(self._clock_ns(), patient=path.startswith(_PATIENT_PATHS))
            if wait_s:
                self._sleep(wait_s)
            started_ns = time.monotonic_ns()
            try:
                status, reply = self._attempt(path, params, read, accept)
            except ReadFailed as failure:
                self._log(f"GET {path} {_took_ms(started_ns)} ms failed: {failure}")
                if failure.kind == "rate_limited":
                    self.budget.exhausted(self._clock_ns())
                if failure.kind not in _PATIENT or attempt == RETRIES:
                    raise
                self._sleep(0.25 * 2**attempt * random.uniform(0.5, 1.0))
                attempt += 1
            else:
                self._log(f"GET {path} {status} {_took_ms(started_ns)} ms {size(reply)} items")
                return reply

    def _attempt(
        self, path: str, params: dict[str, Any], read: Callable[[bytes], R], accept: Iterable[int]
    ) -> tuple[int, R]:
        full = self._prefix + path
        headers = self._signer.headers("GET", full, self._clock_ns() // 1_000_000)
        try:
            answer = self._session.get(
                self._origin + full, params=params, headers=headers, timeout=self._timeout, allow_redirects=False
            )
        except requests.Timeout as error:
            raise ReadFailed("timeout", message=type(error).__name__) from None
        except requests.RequestException as error:
            raise ReadFailed("connection", message=type(error).__name__) from None
        if answer.status_code not in accept:
            raise _failure(answer.status_code, answer.content)
        try:
            return answer.status_code, read(answer.content)
        except wire.WireError as error:
            if answer.status_code >= 500:
                raise _failure(answer.status_code, answer.content) from None
            self.canary.saw(f"GET {_shape(path)}", error, answer.content)
            raise ReadFailed("body", answer.status_code, message=f"GET {path}: {error}") from None

    def _convert(self, path: str, convert: Callable[[Any], R], items: Iterable[Any]) -> list[R]:
        try:
            return [convert(item) for item in items]
        except wire.WireError as error:
            self.canary.saw(f"GET {_shape(path)}", error)
            raise ReadFailed("body", message=f"GET {path}: {error}") from None


def _shape(path: str) -> str:
    """A path without the ticker in it, so that kinds of trouble are counted, not markets."""
    head, _, last = path.rpartition("/")
    return f"{head}/..." if last.isupper() or "-" in last else path


def _took_ms(started_ns: int) -> int:
    return (time.monotonic_ns() - started_ns) // 1_000_000


def _failure(status: int, body: bytes) -> ReadFailed:
    code, message = wire.error_of(status, body)
    named: dict[int, Kind] = {401: "auth", 403: "auth", 404: "not_found", 429: "rate_limited"}
    kind: Kind = "server" if status >= 500 else named.get(status, "refused")
    return ReadFailed(kind, status, code, message)
