"""Orders and trades: the books of all markets, the members' accounts, the match itself.

Everything that happens is told to `listeners` before a call returns.
"""

import heapq
from random import Random
from typing import Literal

from bot.paper import fees, ledger
from bot.paper.book import Book, Level, Lot
from bot.paper.ledger import Account
from bot.paper.model import Event, Fill, Halt, Listener, Market, Order, OrderGroup, Position, Rules, Series, Side, Trade

OTHER: dict[Side, Side] = {"bid": "ask", "ask": "bid"}
GROUP_WINDOW_MS = 15_000
"""How far back an order group counts its matches (kalshi-api.md section 4.11)."""


class Matching:
    """What trades, without a clock: the part of the Engine that member commands and the crowd share."""

    def __init__(self, seed: int, *, history_frozen: bool = False, rules: Rules | None = None) -> None:
        self.history_frozen = history_frozen
        self.rules = rules or Rules()
        self.halt: Halt = ""
        self.series: dict[str, Series] = {}
        self.events: dict[str, Event] = {}
        self.markets: dict[str, Market] = {}
        self.books: dict[str, Book] = {}
        self.accounts: dict[str, Account] = {}
        self.listeners: list[Listener] = []
        self.crowd_position: dict[str, int] = {}
        """The crowd's signed contracts by ticker: minus the sum of all members'."""
        self._random = Random(seed)
        self._due: list[tuple[int, int, str, str]] = []
        self._rank = 0

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

    # Matching

    def fee_terms(self, market: Market) -> tuple[str, float]:
        """The fee type and multiplier in force in a market."""
        event = self.events[market.event_ticker]
        series = self.series[event.series_ticker]
        own = event.fee_multiplier_override
        return event.fee_type_override or series.fee_type, series.fee_multiplier if own is None else own

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
                        if taker and taker.status != "resting":
                            return count
                elif resting.remaining == 0:
                    continue
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
                    if taker and taker.status != "resting":
                        return count
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
        for party in (maker, taker):
            if party:
                self._keep_carried(market, self.accounts[party.user_id], now_ms)
                self._count_matched(party, count, now_ms)
        if taker is None and maker is None:
            market.open_interest += count
        else:
            market.open_interest += self._longs(market, taker, maker) - long_before
        self._changed(market)

    def _keep_carried(self, market: Market, account: Account, now_ms: int) -> None:
        """Cancel the newest resting orders that a smaller position no longer covers and the cash does not carry."""
        while account.free(market.exchange_index) < 0 and (resting := account.resting.get(market.ticker)):
            self.end(next(reversed(resting.values())), "canceled", "", now_ms)

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
        sells_traded = self.rules.sells_add_to_traded
        moved = ledger.trade(position, order.side, trade.price, trade.count, sells_traded=sells_traded)
        fee_type, multiplier = self.fee_terms(market)
        cost = fees.trade_fee(fee_type, multiplier, is_taker, trade.price, trade.count)
        fee, order.rounding = fees.charge(cost, moved, order.rounding)
        account.pay(market.exchange_index, moved - fee)
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

    # Order groups

    def _count_matched(self, order: Order, count: int, now_ms: int) -> None:
        """Count a match into the order's group; above the limit everything of the group ends."""
        group = self.accounts[order.user_id].groups.get(order.group_id)
        if group is None:
            return
        group.matched.append((now_ms, count))
        if not group.triggered and self.matched(group, now_ms) > group.limit:
            self.trip(group, now_ms)
        else:
            self.grouped(group, "matched", now_ms)
        if group.triggered and order.remaining and order.status == "resting":
            self.end(order, "canceled", "", now_ms)

    def matched(self, group: OrderGroup, now_ms: int) -> int:
        """What a group matched in the window up to now; forgets what is older."""
        group.matched = [(ms, count) for ms, count in group.matched if ms > now_ms - GROUP_WINDOW_MS]
        return sum(count for _, count in group.matched)

    def trip(self, group: OrderGroup, now_ms: int) -> None:
        """Cancel every resting order of a group and refuse new ones until it is reset."""
        group.triggered = True
        for order in self.of_group(group):
            self.end(order, "canceled", "", now_ms)
        self.grouped(group, "triggered", now_ms)

    def of_group(self, group: OrderGroup) -> list[Order]:
        """The resting orders of a group."""
        resting = self.accounts[group.user_id].resting.values()
        return [order for orders in resting for order in orders.values() if order.group_id == group.id]

    def grouped(self, group: OrderGroup, kind: str, now_ms: int) -> None:
        for listener in self.listeners:
            listener.group(group, kind, now_ms)

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
        account.recommit(
            market.ticker,
            market.exchange_index,
            lambda price, count: fees.trade_fee(fee_type, multiplier, False, price, count),
        )

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

    def _changed(self, market: Market) -> None:
        for listener in self.listeners:
            listener.changed(market)
