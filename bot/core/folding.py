"""How facts change the state. `fold` never decides and reads no setting; replay gives the same state."""

import msgspec

from bot.core import clock, orders, positions, trades
from bot.core import facts as f
from bot.core.orders import Order, OrderState
from bot.core.positions import Position
from bot.core.state import Finding, Move, TradingState, settlement_key
from bot.core.trades import Trade, TradeState
from bot.core.units import ONE, Count, Money
from bot.core.venue import VenueFill

ERRORS_KEPT_MS = 3_600_000
"""The longest error_window that settings allow. Folding reads no setting: an older journal may lack it."""

KEPT_SPENT = 8
"""Exits of a live trade that ended without a fill and stay in the state; history keeps them all."""

KEPT_MOVES_MS = 60_000
"""Moves are kept for readings that are at most this old."""


def fold(state: TradingState, fact: f.Fact) -> None:
    """Apply one fact. Facts come from `step` (which checked them against the tables) or from the journal."""
    state.facts += 1
    state.clock_ms, state.newest_ms = fact.at_ms, max(state.newest_ms, fact.at_ms)
    match fact:
        case f.FillBooked():
            _book_fill(state, fact)
        case f.OrderMoved():
            _move_order(state, fact)
        case f.OrderIntended():
            _intend(state, fact)
        case f.OrderAmended():
            state.orders[fact.client_order_id].price = fact.price
        case f.OrderRecalled():
            state.orders[fact.client_order_id].recall = True
        case f.TradeOpened():
            _open_trade(state, fact)
        case f.TradeMoved():
            _move_trade(state, fact)
        case f.ExitFired():
            _fire(state.trades[fact.trade_id], fact)
        case f.ExitAttempted():
            trade = state.trades[fact.trade_id]
            trade.exit_attempt, trade.exit_retry_ms = fact.attempt, fact.retry_ms
            if not fact.taken:
                trade.exit_held_ms = fact.at_ms
        case f.PlanChanged():
            state.trades[fact.trade_id].plan = fact.plan
        case f.QuoteVanished():
            trade = state.trades[fact.trade_id]
            trade.vanished_ms, trade.vanish_confirmed = fact.vanished_ms, fact.confirmed
            if not fact.vanished_ms:
                trade.exit_retry_ms = 0
        case f.FillClaimed():
            booked = state.unclaimed.pop(fact.fill_id)
            _attribute(state, booked.fill, fact.client_order_id)
        case f.SettlementBooked():
            _book_settlement(state, fact)
        case f.PositionAdopted():
            _adopt_position(state, fact)
        case f.CashMoved():
            _move_cash(state, fact)
        case f.OrderAdopted():
            _adopt_order(state, fact)
        case f.SeenBefore():
            state.fill_ids.update(fact.fill_ids)
            state.settlement_ids.update(fact.settlement_ids)
        case f.CashBaseline():
            state.cash, state.baseline, state.began_ms = fact.cash, fact.cash, fact.at_ms
        case f.MarketMoved():
            state.status[fact.ticker] = fact.status
            _hold_exits(state, fact.at_ms, fact.ticker)
        case f.TermsChanged():
            _change_terms(state.trades[fact.trade_id], fact)
        case f.ModeChanged():
            _change_mode(state, fact)
        case f.Marked():
            state.peak, state.day_open = fact.peak, fact.day_open
            state.marked_day = max(state.marked_day, fact.at_ms // 86_400_000)
            state.day_unpriced = fact.unpriced
        case f.ConfigChanged():
            state.config = fact.config
        case f.Suspected() if fact.since_ms:
            state.suspects[fact.key] = fact.since_ms
        case f.Suspected():
            state.suspects.pop(fact.key, None)
        case f.Difference():
            _find(state, fact)
        case f.Reconciled():
            state.reconciled_ms, state.read_ms, state.shards = fact.at_ms, fact.read_ms, fact.shards
            state.moves = [m for m in state.moves if m.at_ms > fact.read_ms - KEPT_MOVES_MS]
        case f.ClockSetBack():
            clock.take_back(state, fact.at_ms)
        case f.Booted():
            state.boot, state.booted_ms, state.ids, state.reconciled_ms = fact.boot, fact.at_ms, 0, 0
            if fact.lost:
                state.lost_from_ms, state.lost_ms = state.read_ms, fact.at_ms
            _hold_exits(state, fact.at_ms, *state.live_trade)
        case f.Forgotten():
            _forget(state, fact.before_ms)


def _fire(trade: Trade, fact: f.ExitFired) -> None:
    trade.state = trades.TRANSITIONS[trade.state, "exit_fired"]
    trade.exit_kind, trade.exit_trigger = fact.kind, fact.trigger
    trade.exit_fired_ms, trade.exit_held_ms = fact.at_ms, 0
    if fact.kind != "target" and not fact.again:
        trade.exit_retry_ms = 0


def _change_terms(trade: Trade, fact: f.TermsChanged) -> None:
    trade.market = msgspec.structs.replace(
        trade.market, grid=fact.grid, close_ms=fact.close_ms, end_ms=min(trade.market.end_ms, fact.close_ms)
    )


def _hold_exits(state: TradingState, at_ms: int, *tickers: str) -> None:
    """No exit could be sent there up to now: the program was down, or the market took none."""
    for ticker in tickers:
        trade = state.trade_at(ticker)
        if trade is not None and trade.state is TradeState.EXITING:
            trade.exit_held_ms = at_ms


def _change_mode(state: TradingState, fact: f.ModeChanged) -> None:
    state.mode, state.mode_reason = fact.mode, fact.reason
    state.started = state.started or fact.mode == "RUNNING"
    state.mode_actor, state.mode_since_ms, state.mode_until_ms = fact.actor, fact.at_ms, fact.until_ms
    state.loss_streak, state.rejects, state.errors = 0, 0, []


def _move_cash(state: TradingState, fact: f.CashMoved) -> None:
    """No result, and what one compares equity with moves along; but for what contracts brought that were lost."""
    state.cash = Money((state.cash or 0) + fact.amount)
    state.baseline = Money(state.baseline + fact.amount - fact.recovered)
    if fact.recovered:
        state.gone_cost = Money(state.gone_cost - fact.recovered)
        _realize(state, fact.at_ms, fact.recovered)
    if fact.transfer_id:
        state.transfers[fact.transfer_id] = fact.at_ms


def _adopt_position(state: TradingState, fact: f.PositionAdopted) -> None:
    before = state.position(fact.ticker).count
    state.positions[fact.ticker] = Position(fact.ticker, fact.count, fact.cost, fact.realized, fact.fees)
    if fact.protect:
        state.unprotected.add(fact.ticker)
    elif before * fact.count <= 0:
        state.unprotected.discard(fact.ticker)
    if fact.lost:
        _realize(state, fact.at_ms, -fact.lost)
        state.gone = Count(state.gone + positions.closed(before, fact.count))
        state.gone_cost = Money(state.gone_cost + fact.lost)


def _find(state: TradingState, fact: f.Difference) -> None:
    name = f"{fact.kind}:{fact.key}"
    if fact.resolved:
        state.findings.pop(name, None)
    else:
        state.findings[name] = Finding(
            fact.kind, fact.key, fact.ours, fact.theirs, fact.at_ms, fact.order, fact.position
        )


def _intend(state: TradingState, fact: f.OrderIntended) -> None:
    state.ids += 1
    if fact.purpose != "entry":
        _drop_spent(state, fact.trade_id)
    if fact.purpose == "target":
        state.trades[fact.trade_id].targets += 1
    state.orders[fact.client_order_id] = Order(
        fact.client_order_id, fact.trade_id, fact.ticker, fact.side, fact.price, fact.count, fact.time_in_force,
        fact.purpose, fact.at_ms, changed_ms=fact.at_ms, fee_reserve=fact.fee_reserve,
        valid_until_ms=fact.valid_until_ms,
    )  # fmt: skip


def _adopt_order(state: TradingState, fact: f.OrderAdopted) -> None:
    seen = fact.order
    at = {"executed": OrderState.FILLED, "canceled": OrderState.CANCELLED}.get(seen.status, OrderState.RESTING)
    state.orders[fact.client_order_id] = Order(
        fact.client_order_id, fact.trade_id, seen.ticker, seen.side, seen.price, seen.initial, "good_till_canceled",
        fact.purpose, seen.created_ms, OrderState.PARTLY_FILLED if at is OrderState.RESTING and seen.filled else at,
        seen.order_id, seen.filled, fact.booked, sent_ms=seen.created_ms, changed_ms=fact.at_ms, recall=fact.recall,
    )  # fmt: skip
    state.order_ids[seen.order_id] = fact.client_order_id
    if fact.purpose == "target":
        state.trades[fact.trade_id].targets += 1


def _drop_spent(state: TradingState, trade_id: str) -> None:
    """A stop may try for hours, in an outage or an empty book: work per tick does not grow with its attempts."""
    spent = [
        o for o in state.orders_of(trade_id) if o.purpose != "entry" and not o.live() and not o.filled and not o.booked
    ]
    for order in sorted(spent, key=lambda o: (o.created_ms, o.client_order_id))[:-KEPT_SPENT]:
        del state.orders[order.client_order_id]
        state.order_ids.pop(order.order_id, None)


def _book_fill(state: TradingState, fact: f.FillBooked) -> None:
    fill = fact.fill
    state.fill_ids[fill.trade_id] = fill.at_ms
    before = state.position(fill.ticker)
    after, cash_change = positions.apply_fill(before, fill)
    state.positions[fill.ticker] = after
    if before.count * after.count <= 0:  # what was found is gone; what is held now is somebody's decision
        state.unprotected.discard(fill.ticker)
    if state.cash is not None:
        state.cash = Money(state.cash + cash_change)
    state.moves.append(Move(fill.at_ms, fill.ticker, Count(after.count - before.count), cash_change))
    state.fees = Money(state.fees + fill.fee)
    _realize(state, fact.at_ms, after.realized - before.realized - fill.fee)
    if fact.client_order_id:
        _attribute(state, fill, fact.client_order_id)
    else:
        state.unclaimed[fill.trade_id] = fact


def _attribute(state: TradingState, fill: VenueFill, client_order_id: str) -> None:
    """Give a booked fill to its order and that order's trade."""
    order = state.orders[client_order_id]
    order.booked = Count(order.booked + fill.count)
    order.filled = Count(max(order.filled, order.booked))
    order.fees = Money(order.fees + fill.fee)
    if fill.order_id and not order.order_id:
        order.order_id = fill.order_id
        state.order_ids[fill.order_id] = client_order_id
    trade = state.trades.get(order.trade_id)
    if trade is None:
        return
    trade.fees = Money(trade.fees + fill.fee)
    paid_each = fill.price if trade.side == "bid" else ONE - fill.price
    if order.purpose == "entry":
        trade.entered = Count(trade.entered + fill.count)
        trade.entry_cost = Money(trade.entry_cost + paid_each * fill.count)
    else:
        trade.exited = Count(trade.exited + fill.count)
        trade.exit_proceeds = Money(trade.exit_proceeds + paid_each * fill.count)


def _realize(state: TradingState, at_ms: int, amount: int) -> None:
    day = at_ms // 86_400_000
    if day > state.day:
        state.day, state.day_realized, state.gone, state.gone_cost = day, Money(0), Count(0), Money(0)
    state.realized = Money(state.realized + amount)
    state.day_realized = Money(state.day_realized + amount)


def _move_order(state: TradingState, fact: f.OrderMoved) -> None:
    order = state.orders[fact.client_order_id]
    _count_trouble(state, order, fact)
    ended = fact.event == "cancelled" and order.state is OrderState.CANCELLED  # a cancel's reply is no last word
    order.filled = Count(max(order.booked if ended else order.filled, fact.filled))
    order.state = orders.TRANSITIONS[order.state, fact.event]
    order.changed_ms = fact.at_ms
    if fact.event == "sent":
        order.sent_ms = fact.at_ms
        order.sends += 1
    order.again_ms = fact.again_ms
    if fact.reason:
        order.reason = fact.reason
    if fact.order_id and not order.order_id:
        order.order_id = fact.order_id
        state.order_ids[fact.order_id] = order.client_order_id


def _count_trouble(state: TradingState, order: Order, fact: f.OrderMoved) -> None:
    """Entries that were sent and refused in a row, and when an order became unknown, for the breakers."""
    if fact.event == "lost" and order.state is not orders.OrderState.UNKNOWN:
        state.errors = [*(at for at in state.errors if at > fact.at_ms - ERRORS_KEPT_MS), fact.at_ms]
    if order.purpose == "entry" and fact.event == "rejected" and order.state is orders.OrderState.SENDING:
        state.rejects += 1
    elif order.purpose == "entry" and fact.event in ("rested", "part_filled", "filled", "cancelled"):
        state.rejects = 0


def _open_trade(state: TradingState, fact: f.TradeOpened) -> None:
    trade = Trade(
        fact.trade_id, fact.ticker, fact.side, fact.strategy, fact.market, fact.plan, fact.at_ms,
        reason=fact.reason, rules_version=fact.rules_version, entered=fact.adopted, entry_cost=fact.adopted_cost,
        state=TradeState.OPEN if fact.adopted else TradeState.OPENING,
    )  # fmt: skip
    state.ids += 1
    state.trades[trade.id] = trade
    state.live_trade[trade.ticker] = trade.id
    if fact.adopted:
        state.unprotected.discard(fact.ticker)
        state.unclaimed = {k: b for k, b in state.unclaimed.items() if b.fill.ticker != fact.ticker}


def _move_trade(state: TradingState, fact: f.TradeMoved) -> None:
    trade = state.trades[fact.trade_id]
    trade.state = trades.TRANSITIONS[trade.state, fact.event]
    if fact.exit_kind:
        trade.exit_kind = fact.exit_kind
    if fact.event == "stood_down":
        trade.exit_kind, trade.exit_trigger, trade.exit_fired_ms, trade.exit_held_ms = None, None, 0, 0
    if trade.live():
        state.live_trade[trade.ticker] = trade.id
        trade.closed_ms = 0
    else:
        trade.closed_ms = fact.at_ms
        if fact.event == "flat" and trade.exit_kind != "external" and trade.pnl():
            _count_result(state, trade)
        if state.live_trade.get(trade.ticker) == trade.id:
            del state.live_trade[trade.ticker]
            for other in sorted(state.trades.values(), key=lambda t: (t.opened_ms, t.id)):
                if other.ticker == trade.ticker and other.live():  # a late fill had re-opened this one beside it
                    state.live_trade[trade.ticker] = other.id


def _count_result(state: TradingState, trade: Trade) -> None:
    """A trade that a late fill re-opened ends again: it is one losing trade all the same."""
    if trade.pnl() > 0:
        state.loss_streak = 0
    elif not trade.lost:
        state.loss_streak += 1
    trade.lost = trade.pnl() < 0


def _book_settlement(state: TradingState, fact: f.SettlementBooked) -> None:
    paid = fact.settlement
    state.settlement_ids[settlement_key(paid.ticker, paid.settled_ms)] = paid.settled_ms
    before = state.position(paid.ticker)
    after = positions.settle(before, paid.revenue)
    state.positions[paid.ticker] = after
    state.unprotected.discard(paid.ticker)
    if state.cash is not None:
        state.cash = Money(state.cash + paid.revenue)
    state.moves.append(Move(paid.settled_ms, paid.ticker, Count(-before.count), paid.revenue))
    _realize(state, fact.at_ms, after.realized - before.realized)
    state.status[paid.ticker] = "finalized"
    trade = state.trade_at(paid.ticker)
    if trade is not None:  # somebody else's contracts beside it were paid for too
        held = before.count if trade.side == "bid" else -before.count
        share = paid.revenue * max(min(trade.open_count(), held), 0) // held if held > 0 else 0
        trade.exit_proceeds = Money(trade.exit_proceeds + share)
        trade.exited = trade.entered


def _forget(state: TradingState, before_ms: int) -> None:
    ended = {t.id for t in state.trades.values() if not t.live() and t.closed_ms < before_ms}
    for order in list(state.orders.values()):
        done = not order.live() and order.outstanding() == 0 and order.changed_ms < before_ms
        if done and (order.trade_id in ended or order.trade_id not in state.trades):
            del state.orders[order.client_order_id]
            state.order_ids.pop(order.order_id, None)
    busy = {o.trade_id for o in state.orders.values()}
    for trade_id in ended - busy:
        del state.trades[trade_id]
    for ticker, position in list(state.positions.items()):
        if position.count == 0 and ticker not in state.live_trade:
            del state.positions[ticker]
            state.status.pop(ticker, None)
    for ids in (state.fill_ids, state.settlement_ids):
        for key in [k for k, at in ids.items() if at < before_ms]:
            del ids[key]
    for key in [k for k, b in state.unclaimed.items() if b.fill.at_ms < before_ms]:
        del state.unclaimed[key]
    state.forgotten_ms = max(state.forgotten_ms, before_ms)
