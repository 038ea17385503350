"""The exchange of a simulation: the paper exchange's engine, what it answers to reads (late), and what it streams."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from bot.core.effects import AmendOrder, CancelOrder, PlaceOrder
from bot.core.grid import CENT_GRID
from bot.core.units import Count, Money, Price
from bot.core.venue import (
    Accepted,
    AlreadyExists,
    Market,
    NotFound,
    Outcome,
    Quote,
    Rejected,
    Settlement,
    Transfer,
    VenueFill,
    VenueOrder,
    VenuePosition,
)
from bot.paper import model, orders
from bot.paper.engine import Engine
from bot.sim.clock import Clock

US = "us"
SIGNATURE_MS = 30_000
"""A request signed longer ago is refused (kalshi-api.md section 2.4)."""

LIFECYCLE = {"activated": "active", "deactivated": "inactive", "determined": "determined", "settled": "finalized"}

T = TypeVar("T")


class Lagged(Generic[T]):
    """Rows of one listing as a replica serves them: everything up to a time that may lie a little back."""

    def __init__(self) -> None:
        self.rows: dict[str, T] = {}
        self._coming: deque[tuple[int, str, T]] = deque()

    def put(self, at_ms: int, key: str, row: T) -> None:
        self._coming.append((at_ms, key, row))

    def read(self, as_of_ms: int) -> dict[str, T]:
        coming = self._coming
        while coming and coming[0][0] <= as_of_ms:
            _, key, row = coming.popleft()
            self.rows[key] = row
        return self.rows


class Listener(Protocol):
    """Hears the account's stream and the tops of the books."""

    def frame(self, kind: str, news: Any) -> None: ...


class Exchange(model.Listener):
    """One engine with one account of ours. Frames go to every listener in `streams`."""

    def __init__(self, clock: Clock, seed: int, cash: int) -> None:
        self.clock = clock
        self.engine = Engine(seed)
        self.account = self.engine.add_account(US, cash)
        self.engine.listeners.append(self)
        self.paid_in = 0
        """Deposits less withdrawals."""
        self.streams: list[Listener] = []
        self.on_fill: Callable[[model.Fill], None] = lambda fill: None
        self.orders: Lagged[VenueOrder] = Lagged()
        self.fills: Lagged[VenueFill] = Lagged()
        self.positions: Lagged[VenuePosition | None] = Lagged()
        self.settlements: Lagged[Settlement] = Lagged()
        self.cash: Lagged[Money] = Lagged()
        self.transfers: Lagged[Transfer] = Lagged()
        self.by_client_id: dict[str, model.Order] = {}
        """By its own id too: an order that is known by its fill alone has no other name."""
        self.lied_about: dict[str, int] = {}
        """Client id of an order of which it denied a fill -> when."""
        """Client ids of orders of which the exchange told an untruth."""
        self._tops: dict[str, tuple[int | None, int, int | None, int]] = {}
        self._touched: dict[str, None] = {}
        self.cash.put(0, "", Money(cash))

    # what a member sends

    def create(self, order: PlaceOrder, signed_ms: int) -> Outcome:
        """Apply a create as it arrives."""
        now = self.clock.now_ms
        if now - signed_ms > SIGNATURE_MS:
            return Rejected("header_timestamp_expired", "", 401)
        new = model.NewOrder(
            ticker=order.ticker, side=order.side, price=order.price, count=order.count,
            time_in_force=order.time_in_force, self_trade=order.self_trade_prevention,
            client_order_id=order.client_order_id, reduce_only=order.reduce_only,
        )  # fmt: skip
        try:
            made = orders.create(self.engine, US, new, now)
        except model.Rejected as refused:
            if refused.code == "order_already_exists":
                return AlreadyExists()
            return Rejected(refused.code, refused.details, 400)
        finally:
            self.publish()
        return Accepted(made.order_id, Count(made.filled), Count(made.remaining))

    def amend(self, order: AmendOrder, signed_ms: int) -> Outcome:
        """Apply an amend as it arrives."""
        now = self.clock.now_ms
        if now - signed_ms > SIGNATURE_MS:
            return Rejected("header_timestamp_expired", "", 401)
        try:
            amended = orders.amend(
                self.engine, US, order.order_id, now, ticker=order.ticker, side=order.side, price=order.price,
                count=order.count, client_order_id=order.client_order_id,
            )  # fmt: skip
        except model.Rejected as refused:
            return NotFound() if refused.code == "not_found" else Rejected(refused.code, refused.details, 400)
        finally:
            self.publish()
        return Accepted(order.order_id, Count(amended.filled), Count(amended.remaining))

    def cancel(self, order: CancelOrder, signed_ms: int) -> Outcome:
        """Apply a cancel as it arrives."""
        now = self.clock.now_ms
        if now - signed_ms > SIGNATURE_MS:
            return Rejected("header_timestamp_expired", "", 401)
        try:
            _, removed = orders.cancel(self.engine, US, order.order_id, now)
        except model.Rejected as refused:
            return NotFound() if refused.code == "not_found" else Rejected(refused.code, refused.details, 400)
        finally:
            self.publish()
        return Accepted(order.order_id, Count(0), Count(0), Count(removed))

    def cancel_untruly(self, order: CancelOrder, signed_ms: int) -> Outcome:
        """An exchange that is wrong: the crowd takes the order first, and the reply says that nothing was filled."""
        resting = self.account.orders.get(order.order_id)
        if resting is None or resting.status != "resting":
            return self.cancel(order, signed_ms)
        filled, now = resting.filled, self.clock.now_ms
        self.lied_about[resting.client_order_id] = now
        self.engine.crowd_take(order.ticker, "ask" if resting.side == "bid" else "bid", resting.price, 20_000, now)
        if resting.status == "resting":
            self.cancel(order, signed_ms)
        self.publish()
        return Accepted(order.order_id, Count(0), Count(0), Count(resting.initial - filled))

    def move_cash(self, amount: int) -> None:
        """A deposit, or with a negative amount a withdrawal. Those of whole cents the exchange names."""
        self.account.pay(0, amount)
        self.paid_in += amount
        if amount % 10_000 == 0:
            now = self.clock.now_ms
            self.transfers.put(now, str(now), Transfer(f"t{now}", Money(amount), Money(0), now))
        self._told_cash()

    def trade_by_hand(self, ticker: str, side: Any, price: int, count: int, *, rests: bool = False) -> None:
        """Somebody else's order on our account, from the exchange's own page."""
        new = model.NewOrder(
            ticker=ticker, side=side, price=price, count=count, self_trade="maker", reduce_only=not rests,
            time_in_force="good_till_canceled" if rests else "immediate_or_cancel",
        )  # fmt: skip
        with suppress(model.Rejected):
            orders.create(self.engine, US, new, self.clock.now_ms)
        self.publish()

    # what it shows

    def quote(self, ticker: str, source: Any = "book") -> Quote:
        bid, bid_size, ask, ask_size = self.engine.best(ticker)
        now = self.clock.now_ms
        return Quote(ticker, bid, ask, Count(bid_size), Count(ask_size), now, now * 1_000_000, source)  # type: ignore[arg-type]

    def market(self, ticker: str) -> Market:
        m = self.engine.markets[ticker]
        fee_type, multiplier = self.engine.fee_terms(m)
        return Market(
            ticker=ticker, event_ticker=m.event_ticker, series_ticker="SIM", title=m.title, yes_title=m.yes_sub_title,
            category="Sports", status=m.status, open_ms=m.open_ms, close_ms=m.close_ms, end_ms=m.expected_expiration_ms,
            start_ms=m.open_ms, grid=CENT_GRID, fee_type=fee_type, fee_multiplier=multiplier, exchange_index=0,
            exclusive=False, volume_24h=Count(m.volume), result=m.result,
        )  # fmt: skip

    def publish(self) -> None:
        """Tell the tops of the books that changed since the last call."""
        touched, self._touched = self._touched, {}
        for ticker in touched:
            top = self.engine.best(ticker)
            if top != self._tops.get(ticker):
                self._tops[ticker] = top
                self._tell("tick", self.quote(ticker))

    def _tell(self, kind: str, news: Any) -> None:
        for stream in self.streams:
            stream.frame(kind, news)

    def _told_cash(self) -> None:
        self.cash.put(self.clock.now_ms, "", Money(self.account.cash))

    # what the engine tells

    def book(self, market: model.Market, side: Any, price: int, delta: int, order: Any, now_ms: int) -> None:
        self._touched[market.ticker] = None

    def cleared(self, market: model.Market, now_ms: int) -> None:
        self._touched[market.ticker] = None

    def order(self, order: model.Order) -> None:
        if order.client_order_id:
            self.by_client_id[order.client_order_id] = order
        self.by_client_id[order.order_id] = order
        row = VenueOrder(
            order.order_id, order.client_order_id, order.ticker, order.side, Price(order.price), Count(order.initial),
            Count(order.filled), Count(order.remaining), order.status, order.created_ms, order.updated_ms,
        )  # fmt: skip
        self.orders.put(self.clock.now_ms, order.order_id, row)
        self._tell("order", row)

    def fill(self, fill: model.Fill) -> None:
        row = VenueFill(
            fill.trade_id, fill.order_id, "", fill.ticker, fill.side, Price(fill.price), Count(fill.count),
            Money(fill.fee), fill.is_taker, fill.ms,
        )  # fmt: skip
        self.fills.put(self.clock.now_ms, fill.trade_id, row)
        self._told_cash()
        self.on_fill(fill)
        self._tell("fill", msgspec.structs.replace(row, client_order_id=fill.client_order_id))

    def position(self, user_id: str, position: model.Position) -> None:
        p = position
        row = VenuePosition(p.ticker, Count(p.count), Money(p.cost), Money(p.realized), Money(p.fees))
        self.positions.put(self.clock.now_ms, p.ticker, None if p.settled else row)
        self._tell("position", row)

    def settlement(self, user_id: str, settlement: model.Settlement) -> None:
        s = settlement
        yes, no = max(s.count, 0), max(-s.count, 0)
        row = Settlement(s.ticker, s.result, Money(s.revenue), Money(s.fee), Count(yes), Count(no), s.ms)
        self.settlements.put(self.clock.now_ms, f"{s.ticker}@{s.ms}", row)
        self._told_cash()

    def lifecycle(self, market: model.Market, kind: str, now_ms: int) -> None:
        status = LIFECYCLE.get(kind)
        if status:
            self.tell_status(market.ticker, status)

    def tell_status(self, ticker: str, status: str) -> None:
        """A status that the engine need not have: the exchange tells it all the same."""
        market = self.market(ticker)
        self._tell("lifecycle", (ticker, status, market.result, market.close_ms, market.grid))
