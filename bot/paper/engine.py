"""The venue without I/O, clock or chance: markets and their life, the crowd's liquidity, the matching of orders.

Times are passed in; ids come from the seed. Everything that happens is told to `listeners` before a call returns.
Member commands are in bot.paper.orders; this module owns markets, crowd and the match itself.
"""

import heapq
from random import Random
from typing import Literal

from bot.paper import fees, ledger
from bot.paper.book import Book, Level, Lot
from bot.paper.ledger import Account
from bot.paper.model import (
    Event,
    Fill,
    Listener,
    Market,
    Milestone,
    Order,
    Position,
    Series,
    Side,
    StructuredTarget,
    Trade,
)

SWEEP_AFTER_MS = 1_000
"""How long after close_time the exchange cancels what still rests (kalshi-api.md section 5.3: "shortly after")."""

OTHER: dict[Side, Side] = {"bid": "ask", "ask": "bid"}


class Engine:
    """One venue.

    With `history_frozen` (replay) members take from crowd levels without reducing what is displayed, because the
    recording goes on as if they had not been there; what they took of a level is remembered until its recorded size
    next changes, so nobody takes it twice. Crowd levels may then stand crossed; they never trade with each other.
    """

    def __init__(self, seed: int, *, history_frozen: bool = False) -> None:
        self.history_frozen = history_frozen
        self.series: dict[str, Series] = {}
        self.events: dict[str, Event] = {}
        self.markets: dict[str, Market] = {}
        self.milestones: dict[str, Milestone] = {}
        self.targets: dict[str, StructuredTarget] = {}
        self.books: dict[str, Book] = {}
        self.accounts: dict[str, Account] = {}
        self.listeners: list[Listener] = []
        self.crowd_position: dict[str, int] = {}
        """The crowd's signed contracts by ticker: minus the sum of all members'."""
        self._random = Random(seed)
        self._due: list[tuple[int, int, str, str]] = []
        self._rank = 0

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
        if m.status == "determined":
            self._schedule(m.updated_ms + m.settlement_timer_s * 1000, "settle", m.ticker)

    def remove_market(self, ticker: str) -> None:
        """Forget a finalized market, and its event with the last one; members' records stay."""
        market = self.markets[ticker]
        if market.status != "finalized":
            raise ValueError(f"{ticker} is {market.status}: only a finalized market can be removed")
        del self.markets[ticker], self.books[ticker], self.crowd_position[ticker]
        gone: list[Market | Event | Milestone] = [market]
        if not any(other.event_ticker == market.event_ticker for other in self.markets.values()):
            gone.append(self.events.pop(market.event_ticker))
            for milestone in [m for m in self.milestones.values() if m.primary_event_tickers == [market.event_ticker]]:
                gone.append(self.milestones.pop(milestone.id))
        for thing in gone:
            for listener in self.listeners:
                listener.removed(thing)

    # Accounts

    def add_account(self, user_id: str, cash: int) -> Account:
        account = self.accounts[user_id] = Account(user_id, cash)
        return account

    def adopt_account(self, account: Account) -> None:
        """Take over an account with its resting orders, silently: after a restart."""
        self.accounts[account.user_id] = account
        for order in sorted(account.orders.values(), key=lambda order: order.queued):
            self._rank = max(self._rank, order.queued)
            if order.status == "resting":
                self._rest(account, order)
        for position in account.positions.values():
            if position.ticker in self.crowd_position:
                self.crowd_position[position.ticker] -= position.count

    def use_client_id(self, account: Account, client_order_id: str) -> None:
        """Remember a client order id for ever."""
        account.client_ids.add(client_order_id)
        for listener in self.listeners:
            listener.client_id(account.user_id, client_order_id)

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

    def advance(self, now_ms: int) -> None:
        """Do what is due by now: open, close, sweep after close, expire orders, settle after the timer."""
        while self._due and self._due[0][0] <= now_ms:
            due_ms, _, kind, key = heapq.heappop(self._due)
            if kind == "expire":
                user_id, _, order_id = key.partition("/")
                order = self.accounts[user_id].orders[order_id]
                if order.status == "resting" and order.expiration_ms == due_ms:
                    self.end(order, "canceled", "ExpiryCancel", due_ms)
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
        elif kind == "settle" and market.status == "determined":
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
                account.cash += record.revenue
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
        if market.status != "active":
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
        if market.status != "active":
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

    # Matching

    def fee_terms(self, market: Market) -> tuple[str, float]:
        """The fee type and multiplier in force in a market."""
        series = self.series[self.events[market.event_ticker].series_ticker]
        return series.fee_type, series.fee_multiplier

    def match(
        self,
        market: Market,
        book: Book,
        side: Side,
        limit: int,
        count: int,
        taker: Order | None,
        now_ms: int,
        *,
        takes_crowd: bool = False,
    ) -> int:
        """Trade up to `count` against the opposite side in price-time priority at maker prices; returns what is left.

        `taker` None is the crowd, which meets its own lots only when it takes_crowd. A member's order that meets its
        own account's either stops (the order is ended) or has the resting one cancelled, as it asked for.
        """
        for price, level in book.crossing(side, limit):
            spoken_for = level.taken
            for key, resting in list(level.queue.items()):
                if count == 0:
                    return 0
                if isinstance(resting, Lot):
                    spoken = min(spoken_for, resting.remaining)
                    spoken_for -= spoken
                    traded = min(count, resting.remaining - spoken)
                    if traded and (taker or takes_crowd):
                        self._hit_crowd(market, book, side, price, level, key, traded, taker, now_ms)
                        count -= traded
                elif taker and resting.user_id == taker.user_id:
                    if taker.self_trade == "taker_at_cross":
                        self.end(taker, "canceled", "SelfTradeCancel", now_ms)
                        return count
                    self.end(resting, "canceled", "SelfTradeCancel", now_ms)
                else:
                    traded = min(count, resting.remaining)
                    book.reduce(resting, traded)
                    self._told(market, resting.side, price, -traded, resting, now_ms)
                    self._trade(market, side, price, traded, taker, resting, now_ms)
                    count -= traded
        return count

    def _hit_crowd(
        self,
        market: Market,
        book: Book,
        side: Side,
        price: int,
        level: Level,
        key: str | int,
        traded: int,
        taker: Order | None,
        now_ms: int,
    ) -> None:
        """Trade with one crowd lot. Frozen history keeps its size: what a member had is remembered, what the recorded
        crowd had goes to the tail, from where the recording's own change will remove it."""
        assert isinstance(key, int)
        if not self.history_frozen:
            book.take_crowd(OTHER[side], price, key, traded)
            self._told(market, OTHER[side], price, -traded, taker, now_ms)
        elif taker:
            level.taken += traded
        else:
            book.grow_crowd(OTHER[side], price, traded)
            book.take_crowd(OTHER[side], price, key, traded)
        self._trade(market, side, price, traded, taker, None, now_ms)

    def _trade(
        self, market: Market, side: Side, price: int, count: int, taker: Order | None, maker: Order | None, now_ms: int
    ) -> None:
        trade = Trade(self.new_id(), market.ticker, price, count, side, now_ms)
        market.last_price = price
        market.last_count = count
        market.volume += count
        market.dollar_volume += price * count
        long_before = self._longs(market, taker, maker)
        sign = 1 if side == "bid" else -1
        if taker is None:
            self.crowd_position[market.ticker] += sign * count
        if maker is None:
            self.crowd_position[market.ticker] -= sign * count
        for listener in self.listeners:
            listener.trade(trade)
        if maker:
            self._fill(market, maker, trade, False, now_ms)
            if maker.remaining == 0:
                self.end(maker, "executed", "Trade", now_ms)
            else:
                self.ordered(maker, "Trade", now_ms)
        if taker:
            self._fill(market, taker, trade, True, now_ms)
        if taker is None and maker is None:
            market.open_interest += count
        else:
            market.open_interest += self._longs(market, taker, maker) - long_before
        self._changed(market)

    def _longs(self, market: Market, *parties: Order | None) -> int:
        """The long contracts of the parties to a trade, the crowd's net when it is one."""
        held = [self.accounts[order.user_id].held(market.ticker) for order in parties if order]
        if None in parties:
            held.append(self.crowd_position[market.ticker])
        return sum(max(0, count) for count in held)

    def _fill(self, market: Market, order: Order, trade: Trade, is_taker: bool, now_ms: int) -> None:
        account = self.accounts[order.user_id]
        position = account.positions.get(market.ticker)
        if position is None:
            position = account.positions[market.ticker] = Position(market.ticker, market.event_ticker)
        moved = ledger.trade(position, order.side, trade.price, trade.count)
        fee_type, multiplier = self.fee_terms(market)
        cost = fees.trade_fee(fee_type, multiplier, is_taker, trade.price, trade.count)
        fee, order.rounding = fees.charge(cost, moved, order.rounding)
        account.cash += moved - fee
        position.fees += fee
        position.updated_ms = now_ms
        order.filled += trade.count
        order.filled_value += trade.price * trade.count
        value = ledger.unit_cost(order.side, trade.price) * trade.count
        if is_taker:
            order.taker_cost += value
            order.taker_fees += fee
            order.remaining -= trade.count
        else:
            order.maker_cost += value
            order.maker_fees += fee
        fill = Fill(
            trade_id=trade.trade_id,
            order_id=order.order_id,
            client_order_id=order.client_order_id,
            user_id=order.user_id,
            ticker=market.ticker,
            side=order.side,
            price=trade.price,
            count=trade.count,
            is_taker=is_taker,
            fee=fee,
            position=position.count,
            ms=now_ms,
        )
        account.fills.append(fill)
        for listener in self.listeners:
            listener.fill(fill)
            listener.position(account.user_id, position)
        self.recommit(account, market)

    # Resting orders

    def end(self, order: Order, status: Literal["canceled", "executed"], reason: str, now_ms: int) -> int:
        """Take an order to its last state, out of the book if it rests there; returns what had remained."""
        left = order.remaining
        self.unrest(order, now_ms)
        order.remaining = 0
        order.status = status
        self.ordered(order, reason, now_ms)
        return left

    def unrest(self, order: Order, now_ms: int) -> None:
        """Take an order out of the book, if it is there."""
        account = self.accounts[order.user_id]
        resting = account.resting.get(order.ticker, {})
        if resting.pop(order.order_id, None) is None:
            return
        if order.remaining:
            self.books[order.ticker].leave(order)
            self._told(self.markets[order.ticker], order.side, order.price, -order.remaining, order, now_ms)
        if not resting:
            del account.resting[order.ticker]
        self.recommit(account, self.markets[order.ticker])

    def rest(self, order: Order, now_ms: int) -> None:
        """Put an order into the book, at the tail of its level."""
        self._rank += 1
        order.queued = self._rank
        self._rest(self.accounts[order.user_id], order)
        self._told(self.markets[order.ticker], order.side, order.price, order.remaining, order, now_ms)

    def recommit(self, account: Account, market: Market) -> None:
        """Bring the money that resting orders bind up to date."""
        fee_type, multiplier = self.fee_terms(market)
        account.recommit(market.ticker, lambda price, count: fees.trade_fee(fee_type, multiplier, False, price, count))

    def shrink(self, order: Order, count: int, now_ms: int) -> None:
        """Reduce a resting order in place; it keeps its queue position."""
        self.books[order.ticker].reduce(order, count)
        order.initial -= count
        self._told(self.markets[order.ticker], order.side, order.price, -count, order, now_ms)
        self.recommit(self.accounts[order.user_id], self.markets[order.ticker])

    def _rest(self, account: Account, order: Order) -> None:
        self.books[order.ticker].join(order)
        account.resting.setdefault(order.ticker, {})[order.order_id] = order
        if order.expiration_ms is not None:
            self.expire_at(order)
        self.recommit(account, self.markets[order.ticker])

    def expire_at(self, order: Order) -> None:
        if order.expiration_ms is not None:
            self._schedule(order.expiration_ms, "expire", f"{order.user_id}/{order.order_id}")

    def _clear(self, market: Market, reason: str, now_ms: int) -> None:
        book = self.books[market.ticker]
        for order in book.orders():
            self.end(order, "canceled", reason, now_ms)
        self.books[market.ticker] = Book()
        for listener in self.listeners:
            listener.cleared(market, now_ms)

    # Telling

    def new_id(self) -> str:
        bits = f"{self._random.getrandbits(128):032x}"
        return f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-8{bits[17:20]}-{bits[20:]}"

    def _schedule(self, when_ms: int, kind: str, key: str) -> None:
        self._rank += 1
        heapq.heappush(self._due, (when_ms, self._rank, kind, key))

    def _told(self, market: Market, side: Side, price: int, delta: int, order: Order | None, now_ms: int) -> None:
        for listener in self.listeners:
            listener.book(market, side, price, delta, order, now_ms)

    def ordered(self, order: Order, reason: str, now_ms: int) -> None:
        order.reason = reason
        order.updated_ms = now_ms
        for listener in self.listeners:
            listener.order(order)

    def _added(self, thing: Series | Event | Milestone | StructuredTarget) -> None:
        for listener in self.listeners:
            listener.added(thing)

    def _changed(self, market: Market) -> None:
        for listener in self.listeners:
            listener.changed(market)

    def _lifecycle(self, market: Market, kind: str, now_ms: int) -> None:
        for listener in self.listeners:
            listener.changed(market)
            listener.lifecycle(market, kind, now_ms)
