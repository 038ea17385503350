"""The venue without I/O, clock or chance: markets and their life, and the crowd's liquidity.

Times are passed in; ids come from the seed. Member commands are in bot.paper.orders.
"""

import heapq
from typing import Literal

from bot.paper import ledger
from bot.paper.book import Book
from bot.paper.ledger import Account
from bot.paper.matching import OTHER, Matching
from bot.paper.model import Event, FeeChange, Halt, Market, Milestone, Rules, Series, Side, StructuredTarget

REBALANCED_EVERY_MS = 10_000
SWEEP_AFTER_MS = 1_000
"""How long after close_time the exchange cancels what still rests (kalshi-api.md section 5.3: "shortly after")."""


class Engine(Matching):
    """One venue.

    With `history_frozen` (replay) members take from crowd levels without reducing what is displayed, because the
    recording goes on as if they had not been there; what they took of a level is remembered until its recorded size
    next changes, so nobody takes it twice. Crowd levels may then stand crossed; they never trade with each other.
    """

    def __init__(self, seed: int, *, history_frozen: bool = False, rules: Rules | None = None) -> None:
        super().__init__(seed, history_frozen=history_frozen, rules=rules)
        self.fee_changes: dict[str, FeeChange] = {}
        self._balanced: set[str] = set()
        """Accounts whose next look at the target allocation is scheduled."""
        self.milestones: dict[str, Milestone] = {}
        self.targets: dict[str, StructuredTarget] = {}

    # Listing

    def add_series(self, s: Series) -> None:
        self.series[s.ticker] = s
        self._added(s)

    def add_event(self, e: Event) -> None:
        self.events[e.event_ticker] = e
        self._added(e)

    def add_milestone(self, m: Milestone) -> None:
        self.milestones[m.id] = m
        self._added(m)

    def add_target(self, t: StructuredTarget) -> None:
        self.targets[t.id] = t
        self._added(t)

    def add_market(self, m: Market, now_ms: int) -> None:
        """List a market (lifecycle `created`). A ticker that is already listed stays as it is."""
        if m.ticker in self.markets:
            return
        m.market_id = m.market_id or self.new_id()
        m.exchange_index = self.events[m.event_ticker].exchange_index
        m.created_ms = m.updated_ms = now_ms
        self.adopt_market(m)
        for listener in self.listeners:
            listener.listed(m)
            listener.lifecycle(m, "created", now_ms)
        self.advance(now_ms)

    def adopt_market(self, m: Market) -> None:
        """Take over a market as it is, silently: after a restart."""
        self.markets[m.ticker] = m
        self.books[m.ticker] = Book()
        self.crowd_position.setdefault(m.ticker, 0)
        if m.status == "initialized":
            self._schedule(m.open_ms, "open", m.ticker)
        if m.status in ("initialized", "active", "inactive"):
            self._schedule(m.close_ms, "close", m.ticker)
        if m.status == "closed":
            self._schedule(m.close_ms + SWEEP_AFTER_MS, "sweep", m.ticker)
        if m.status in ("determined", "amended"):
            self._schedule(m.updated_ms + m.settlement_timer_s * 1000, "settle", m.ticker)

    def remove_market(self, ticker: str) -> None:
        """Forget a finalized market, and its event with the last one; members' records stay."""
        market = self.markets[ticker]
        if market.status != "finalized":
            raise ValueError(f"{ticker} is {market.status}: only a finalized market can be removed")
        del self.markets[ticker], self.books[ticker], self.crowd_position[ticker]
        self._removed(market)
        if not any(other.event_ticker == market.event_ticker for other in self.markets.values()):
            self._removed(self.events.pop(market.event_ticker))
            for milestone in [m for m in self.milestones.values() if m.primary_event_tickers == [market.event_ticker]]:
                self._removed(self.milestones.pop(milestone.id))

    # Life cycle

    def set_close(self, ticker: str, close_ms: int, now_ms: int) -> None:
        """Move the close: an early close, a postponement (which reopens a closed market)."""
        market = self.markets[ticker]
        market.close_ms = close_ms
        market.latest_expiration_ms = max(market.latest_expiration_ms, close_ms)
        market.updated_ms = now_ms
        self._lifecycle(market, "close_date_updated", now_ms)
        if market.status == "closed" and close_ms > now_ms:
            market.status = "active"
            self._lifecycle(market, "activated", now_ms)
        self._schedule(close_ms, "close", ticker)
        self.advance(now_ms)

    def pause(self, ticker: str, now_ms: int) -> None:
        """Trading stops; resting orders stay, except those that asked to be cancelled."""
        market = self.markets[ticker]
        if market.status != "active":
            return
        market.status = "inactive"
        for order in [order for order in self.books[ticker].orders() if order.cancel_on_pause]:
            self.end(order, "canceled", "HaltCancel", now_ms)
        self._lifecycle(market, "deactivated", now_ms)

    def unpause(self, ticker: str, now_ms: int) -> None:
        """Trading goes on with an empty book: all resting orders, the crowd's too, are cancelled."""
        market = self.markets[ticker]
        if market.status != "inactive":
            return
        market.status = "active"
        self._clear(market, "HaltCancel", now_ms)
        self._lifecycle(market, "activated", now_ms)

    def determine(
        self, ticker: str, result: Literal["yes", "no", "scalar"], now_ms: int, value: int | None = None
    ) -> None:
        """Set the result of a closed market; `value` (price of one YES) is needed for a scalar result."""
        market = self.markets[ticker]
        self.advance(now_ms)
        if market.status != "closed":
            raise ValueError(f"{ticker} is {market.status}: only a closed market can be determined")
        if result == "scalar" and value is None:
            raise ValueError(f"{ticker}: a scalar result needs a value")
        self._clear(market, "CloseCancel", now_ms)
        market.status = "determined"
        market.result = result
        market.settlement_value = {"yes": 10_000, "no": 0}.get(result, value)
        market.updated_ms = now_ms
        self._lifecycle(market, "determined", now_ms)
        self._schedule(now_ms + market.settlement_timer_s * 1000, "settle", ticker)

    def dispute(self, ticker: str, now_ms: int) -> None:
        """Challenge the result of a determined market: nothing is paid until it is amended."""
        self._move_result(ticker, "determined", "disputed", now_ms)

    def amend_result(
        self, ticker: str, result: Literal["yes", "no", "scalar"], now_ms: int, value: int | None = None
    ) -> None:
        """End a dispute with the result that holds (the same or another) and start the settlement timer anew."""
        if result == "scalar" and value is None:
            raise ValueError(f"{ticker}: a scalar result needs a value")
        market = self._move_result(ticker, "disputed", "amended", now_ms)
        market.result = result
        market.settlement_value = {"yes": 10_000, "no": 0}.get(result, value)
        self._changed(market)
        self._schedule(now_ms + market.settlement_timer_s * 1000, "settle", ticker)

    def _move_result(
        self, ticker: str, before: Literal["determined", "disputed"], after: Literal["disputed", "amended"], now_ms: int
    ) -> Market:
        market = self.markets[ticker]
        if market.status != before:
            raise ValueError(f"{ticker} is {market.status}: only a {before} market can become {after}")
        market.status = after
        market.updated_ms = now_ms
        self._changed(market)
        return market

    # What changes on a live market

    def set_grid(self, ticker: str, structure: str, ranges: list[tuple[int, int, int]], now_ms: int) -> None:
        """Change the price grid; resting orders survive."""
        market = self.markets[ticker]
        market.price_level_structure = structure
        market.price_ranges = [(start, end, step) for start, end, step in ranges]
        market.updated_ms = now_ms
        self._lifecycle(market, "price_level_structure_updated", now_ms)

    def set_strike(self, ticker: str, floor_strike: float, yes_sub_title: str, now_ms: int) -> None:
        """Fix a strike that was open at listing."""
        market = self.markets[ticker]
        market.floor_strike = floor_strike
        market.yes_sub_title = yes_sub_title
        market.updated_ms = now_ms
        self._lifecycle(market, "metadata_updated", now_ms)

    def change_fees(self, change: FeeChange, now_ms: int) -> None:
        """Announce a change of fees; it comes into force at its time."""
        self.adopt_fee_change(change)
        self._added(change)
        self.advance(now_ms)

    def adopt_fee_change(self, change: FeeChange) -> None:
        """Take over a change of fees, silently: after a restart."""
        self.fee_changes[change.id] = change
        self._schedule(change.scheduled_ms, "fees", change.id)

    def _apply_fees(self, change: FeeChange) -> None:
        if change.event_ticker:
            if event := self.events.get(change.event_ticker):
                event.fee_type_override, event.fee_multiplier_override = change.fee_type, change.fee_multiplier
                for listener in self.listeners:
                    listener.event_fee(event)
        else:
            series = self.series[change.series_ticker]
            series.fee_type = change.fee_type or series.fee_type
            series.fee_multiplier = series.fee_multiplier if change.fee_multiplier is None else change.fee_multiplier
            self._added(series)

    def set_halt(self, halt: Halt, now_ms: int) -> None:
        """Pause trading or the whole exchange, or go on; resting orders stay, except those that asked otherwise."""
        self.advance(now_ms)
        self.halt = halt
        if halt:
            for book in list(self.books.values()):
                for order in [order for order in book.orders() if order.cancel_on_pause]:
                    self.end(order, "canceled", "HaltCancel", now_ms)

    # Accounts

    def adopt_account(self, account: Account) -> None:
        super().adopt_account(account)
        if account.allocation.percent:
            self._balanced.add(account.user_id)
            self._schedule(0, "rebalance", account.user_id)

    def allocate(self, account: Account, now_ms: int) -> None:
        """Bring an account's cash to its target allocation and keep it there; none leaves it where it is."""
        for listener in self.listeners:
            listener.transfer(account.user_id, None)
        if account.allocation.percent and account.user_id not in self._balanced:
            self._balanced.add(account.user_id)
            self._schedule(now_ms + REBALANCED_EVERY_MS, "rebalance", account.user_id)
        self._rebalance(account)

    def _rebalance(self, account: Account) -> None:
        if account.allocation.percent and account.rebalance():
            for listener in self.listeners:
                listener.transfer(account.user_id, None)

    # Time

    def advance(self, now_ms: int) -> None:
        """Do what is due by now: open, close, sweep after close, expire orders, settle after the timer."""
        while self._due and self._due[0][0] <= now_ms:
            due_ms, _, kind, key = heapq.heappop(self._due)
            if kind == "expire":
                user_id, _, order_id = key.partition("/")
                order = self.accounts[user_id].orders[order_id]
                if order.status == "resting" and order.expiration_ms == due_ms:
                    self.end(order, "canceled", "ExpiryCancel", due_ms)
            elif kind == "fees":
                self._apply_fees(self.fee_changes[key])
            elif kind == "rebalance":
                self._rebalance(self.accounts[key])
                if self.accounts[key].allocation.percent:
                    self._schedule(now_ms + REBALANCED_EVERY_MS, kind, key)
                else:
                    self._balanced.discard(key)
            elif market := self.markets.get(key):
                self._turn(market, kind, due_ms)

    def _turn(self, market: Market, kind: str, due_ms: int) -> None:
        if kind == "open" and market.status == "initialized":
            market.status = "active"
            self._changed(market)
        elif kind == "close" and market.status in ("initialized", "active", "inactive") and market.close_ms <= due_ms:
            market.status = "closed"
            self._changed(market)
            self._schedule(due_ms + SWEEP_AFTER_MS, "sweep", market.ticker)
        elif kind == "sweep" and market.status == "closed":
            self._clear(market, "CloseCancel", due_ms)
        elif (
            kind == "settle"
            and market.status in ("determined", "amended")
            and due_ms >= market.updated_ms + market.settlement_timer_s * 1000
        ):
            self._settle(market, due_ms)

    def _settle(self, market: Market, now_ms: int) -> None:
        assert market.settlement_value is not None
        market.status = "finalized"
        market.settled_ms = now_ms
        event = self.events[market.event_ticker]
        for account in self.accounts.values():
            position = account.positions.get(market.ticker)
            if position is None:
                continue
            if position.count:
                record = ledger.settle(position, market, event, market.settlement_value, now_ms)
                account.pay(market.exchange_index, record.revenue)
                account.settlements.append(record)
                for listener in self.listeners:
                    listener.settlement(account.user_id, record)
            position.settled = True
            for listener in self.listeners:
                listener.position(account.user_id, position)
        market.open_interest = 0
        self._lifecycle(market, "settled", now_ms)

    # The crowd

    def set_level(self, ticker: str, side: Side, price: int, count: int, now_ms: int) -> None:
        """Set the crowd's displayed size at a YES price (0 removes it).

        Growth joins the tail of the level's queue, shrinkage leaves from the tail. Where it crosses resting member
        orders it trades with them as taker and the rest stays; the crowd's own crossing levels are withdrawn first
        (with frozen history they stand). Ignored while the market is not active.
        """
        market = self.markets[ticker]
        if market.status != "active" or self.halt:
            return
        book = self.books[ticker]
        level = book.levels[side].get(price)
        shown = level.crowd if level else 0
        if count < shown:
            book.shrink_crowd(side, price, shown - count)
        elif count > shown:
            if not self.history_frozen:
                self._withdraw(market, book, side, price, now_ms)
                count = shown + self.match(market, book, side, price, count - shown, None, now_ms)
            if count > shown:
                book.grow_crowd(side, price, count - shown)
        if count == shown:
            return
        if level := book.levels[side].get(price):
            level.taken = 0
        self._told(market, side, price, count - shown, None, now_ms)
        if self.history_frozen and level and level.crowd:
            level.taken += level.crowd - self.match(market, book, side, price, level.crowd, None, now_ms)

    def crowd_take(self, ticker: str, side: Side, price_limit: int, count: int, now_ms: int) -> int:
        """An immediate-or-cancel order of the crowd: `bid` lifts asks up to the limit. Returns the filled count."""
        market = self.markets[ticker]
        self.advance(now_ms)
        if market.status != "active" or self.halt:
            return 0
        return count - self.match(market, self.books[ticker], side, price_limit, count, None, now_ms, takes_crowd=True)

    def best(self, ticker: str) -> tuple[int | None, int, int | None, int]:
        """(best bid, its size, best ask, its size) over all owners; None and 0 where a side is empty."""
        book = self.books[ticker]
        bid, ask = book.best("bid"), book.best("ask")
        return (
            bid,
            0 if bid is None else book.size("bid", bid),
            ask,
            0 if ask is None else book.size("ask", ask),
        )

    def depth(self, ticker: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """(bids, asks) as (YES price, displayed size), prices ascending."""
        book = self.books[ticker]
        return book.depth("bid"), book.depth("ask")

    def _withdraw(self, market: Market, book: Book, side: Side, limit: int, now_ms: int) -> None:
        for price, level in book.crossing(side, limit):
            if gone := level.crowd:
                book.shrink_crowd(OTHER[side], price, gone)
                self._told(market, OTHER[side], price, -gone, None, now_ms)

    def _clear(self, market: Market, reason: str, now_ms: int) -> None:
        book = self.books[market.ticker]
        for order in book.orders():
            self.end(order, "canceled", reason, now_ms)
        self.books[market.ticker] = Book()
        for listener in self.listeners:
            listener.cleared(market, now_ms)

    def _added(self, thing: Series | Event | Milestone | StructuredTarget | FeeChange) -> None:
        for listener in self.listeners:
            listener.added(thing)

    def _removed(self, thing: Market | Event | Milestone) -> None:
        for listener in self.listeners:
            listener.removed(thing)

    def _lifecycle(self, market: Market, kind: str, now_ms: int) -> None:
        for listener in self.listeners:
            listener.changed(market)
            listener.lifecycle(market, kind, now_ms)
