"""Decides exits: when a rule fires, and the order that leaves; re-priced inside its bound until the trade is flat."""

import msgspec

from bot.core import resting
from bot.core.effects import CancelOrder, PlaceOrder, ResolveOrder, Wake
from bot.core.events import Sweep, Tick
from bot.core.facts import ExitAttempted, ExitFired, OrderIntended, PlanChanged, QuoteVanished, TermsChanged
from bot.core.grid import PriceGrid
from bot.core.orders import SPENT, Order, OrderState
from bot.core.positions import closing_side
from bot.core.trades import ExitKind, Trade, TradeState, carried_stop, due, exit_limit, exit_quote, on_grid
from bot.core.turn import Turn
from bot.core.units import ONE, Money, Price, format_count, format_price
from bot.core.venue import Quote, VenueFill, VenueOrder

RETRY_MS = 250
"""Shortest time between two exit orders of one trade."""

EMPTY_RETRY_MS = 2_000
"""The same while the side to leave at is empty; its return is answered at once."""

STALL_MS = 5_000
"""A trade that is leaving is looked at every 2 s; what is due this long stood still, and does not widen the bound."""

VANISHED_CONFIRM_MS = 2_000
"""An empty side is believed after this long (DESIGN.md section 4: a vanished quote is not a price)."""

LEAVE_BEFORE_MS = 20_000
"""A time exit is at least this long before a close that was moved before it: several sweeps, and orders until flat."""


def tick(turn: Turn, event: Tick) -> None:
    trade = turn.state.trade_at(event.quote.ticker)
    if trade is not None:
        look(turn, trade, event.quote, event.quote.received_ns)


def sweep(turn: Turn, event: Sweep) -> None:
    """A look at every trade; a defect of ours met in one is told when all the others have been looked at."""
    defects: list[Exception] = []
    for ticker in sorted(turn.state.live_trade):
        if ticker in event.quotes:
            try:
                look(turn, turn.state.trades[turn.state.live_trade[ticker]], event.quotes[ticker], 0)
            except Exception as defect:  # else one broken trade would leave those after it unprotected
                defects.append(defect)
    if defects:
        raise defects[0]


def look(turn: Turn, trade: Trade, quote: Quote | None, tick_ns: int) -> None:
    """Apply the exit rules to one live trade. `quote` None: no price may be trusted now; time exits still hold."""
    if trade.open_count() <= 0:
        return
    if turn.state.held(trade) <= 0 and not any(o.outstanding() for o in turn.state.orders_of(trade.id)):
        fill = _forgotten(turn, trade)
        if fill is None:
            closed_elsewhere(turn, trade)
        elif not tick_ns:
            turn.do(ResolveOrder(next_exit_id(trade), trade.ticker, fill.at_ms))
        return
    if not turn.state.tradeable(trade.ticker):
        return
    price = exit_quote(trade.side, quote) if quote is not None else None
    if quote is not None:
        _watch_vanished(turn, trade, price)
    kind = due(trade, price, turn.at_ms)
    if kind == "target" and trade.state is TradeState.OPEN and resting.rests(turn, trade):
        kind = None
    if trade.state is TradeState.EXITING:
        if kind == "stop" and trade.exit_kind == "target":
            fire(turn, trade, "stop", price, tick_ns)
        elif trade.exit_kind == "target" and kind is None and price is not None and not _working(turn, trade):
            turn.move_trade(trade, "stood_down")
        else:
            drive(turn, trade, tick_ns, price)
    elif kind is not None:
        fire(turn, trade, kind, price, tick_ns)
    else:
        if price is not None:
            _carry_stop(turn, trade, price)
        resting.keep(turn, trade)


def closed_elsewhere(turn: Turn, trade: Trade) -> None:
    turn.move_trade(trade, "flat", "external")
    resting.drop(turn, trade)
    turn.note("warning", "closed_elsewhere", "the position was closed outside this program", trade.ticker)


def next_exit_id(trade: Trade) -> str:
    return f"{trade.id}.x{trade.exit_attempt + 1}"


def _forgotten(turn: Turn, trade: Trade) -> VenueFill | None:
    """A fill that nobody claims, and that may be of an exit whose record was lost with the process that sent it.

    An exit leaves before it is durable, so after a restart the next id of the trade is looked up before anybody else
    is believed to have sold.
    """
    if trade.opened_ms >= turn.state.booted_ms:
        return None
    side = closing_side(1 if trade.side == "bid" else -1)
    fills = [b.fill for b in turn.state.unclaimed.values() if (b.fill.ticker, b.fill.side) == (trade.ticker, side)]
    return min(fills, key=lambda fill: fill.at_ms, default=None)


def remember(turn: Turn, trade: Trade, seen: VenueOrder) -> Order:
    """Record an exit that was found on the exchange though its record was lost: as it was sent then."""
    turn.record(
        OrderIntended(turn.at_ms, seen.client_order_id, trade.id, trade.ticker, seen.side, seen.price, seen.initial,
                      "immediate_or_cancel", "exit", Money(0))
    )  # fmt: skip
    turn.record(ExitAttempted(turn.at_ms, trade.id, trade.exit_attempt + 1, turn.at_ms))
    order = turn.state.orders[seen.client_order_id]
    turn.move_order(order, "lost", reason="its record was lost in a crash")
    return order


def keep_to_terms(turn: Turn, trade: Trade, grid: PriceGrid, close_ms: int) -> None:
    """Prices and close may change on a live market (kalshi-api.md 3.2, 5.3): a target goes to a price that there is; a
    time exit that the new close would forestall goes as long before it as it was to be before the end."""
    market = trade.market
    if (grid, close_ms) == (market.grid, market.close_ms):
        return
    turn.record(TermsChanged(turn.at_ms, trade.id, grid, close_ms))
    plan = trade.plan
    if plan.target is not None and not grid.valid(plan.target):
        plan = msgspec.structs.replace(plan, target=on_grid(trade, plan.target))
    if plan.time_exit_ms is not None and turn.at_ms < close_ms <= plan.time_exit_ms:
        before_ms = close_ms - max(market.end_ms - plan.time_exit_ms, LEAVE_BEFORE_MS)
        leave_ms = before_ms if before_ms > turn.at_ms else close_ms - LEAVE_BEFORE_MS
        plan = msgspec.structs.replace(plan, time_exit_ms=leave_ms)
    if plan != trade.plan:
        turn.record(PlanChanged(turn.at_ms, trade.id, plan, "market"))
        turn.note(
            "info", "plan_changed", "target and time exit keep to the market's new prices and close", trade.ticker
        )


def _carry_stop(turn: Turn, trade: Trade, price: Price) -> None:
    """Let the stop follow its trailing or break-even rule."""
    carried = carried_stop(trade, price)
    if carried is not None:
        stop, rule = carried
        plan = msgspec.structs.replace(trade.plan, stop=stop)
        turn.record(PlanChanged(turn.at_ms, trade.id, plan, rule))
        held = stop if trade.side == "bid" else ONE - stop
        turn.note("info", "stop_moved", f"{rule}: the stop is now {format_price(held)}", trade.ticker)


def fire(turn: Turn, trade: Trade, kind: ExitKind, price: Price | None, tick_ns: int = 0) -> None:
    """Start leaving: the rest of the entry is cancelled without waiting, the first exit order goes at once.

    A target is taken at its own price or better; every other exit starts from the price seen now, or, where
    that side is empty, from the stop.
    """
    if kind == "target" and trade.plan.target is not None:
        trigger: int = trade.plan.target
    elif price is not None:
        trigger = price
    else:
        grid = trade.market.grid
        trigger = trade.plan.stop or (grid.lowest() if trade.side == "bid" else grid.highest())
    turn.record(ExitFired(turn.at_ms, trade.id, kind, Price(trigger)))
    seen = format_price(price) if price is not None else "no price"
    turn.note("info", f"exit_{kind}", f"{kind} fired at {seen}, {format_count(trade.open_count())} open", trade.ticker)
    for order in turn.state.orders_of(trade.id):
        if order.purpose == "entry" and order.live() and order.order_id:
            turn.do(CancelOrder(order.client_order_id, order.order_id, order.ticker))
    drive(turn, trade, tick_ns)


def drive(turn: Turn, trade: Trade, tick_ns: int = 0, price: Price | None = None) -> None:
    """Send the next exit order of a trade that is leaving, unless one is out, it is too early, or nothing is left.

    After a time in which none could be sent, the bound begins anew at the first price that may be trusted.
    """
    state, now = turn.state, turn.at_ms
    if trade.state is not TradeState.EXITING or now < trade.exit_retry_ms or not state.tradeable(trade.ticker):
        return
    if trade.exit_retry_ms and now - trade.exit_retry_ms > STALL_MS:  # nobody looked: a closed lid, a stalled machine
        turn.record(ExitAttempted(now, trade.id, trade.exit_attempt, now, taken=False))
    for target in resting.live(turn, trade):
        _begin_anew(turn, trade, price)
        resting.leave(turn, trade, target, tick_ns)
    beside = bool(resting.live(turn, trade))
    working = _working(turn, trade)
    if any(o.state in (OrderState.INTENT, OrderState.SENDING) for o in working):
        return
    unknown = [o for o in working if o.state is OrderState.UNKNOWN and o.reason not in SPENT]
    if unknown:
        # Reduce-only and idempotent: the same id again proves the first one and cannot oversell.
        turn.record(ExitAttempted(now, trade.id, trade.exit_attempt, now + resting.RESEND_MS, taken=False))
        turn.do(_place(unknown[-1], tick_ns))
        turn.do(Wake(now + resting.RESEND_MS, trade.ticker))
        return
    spoken_for = sum(  # reduce-only alone caps nothing beside a target: there an exit counts until its end is proven
        o.outstanding() for o in state.orders_of(trade.id) if o.purpose != "entry" and (beside or o not in working)
    )
    size = min(trade.open_count(), turn.state.held(trade)) - spoken_for
    if size <= 0:
        return
    _begin_anew(turn, trade, price)
    attempt = trade.exit_attempt + 1
    client_order_id = f"{trade.id}.x{attempt}"
    side = closing_side(1 if trade.side == "bid" else -1)
    turn.record(
        OrderIntended(now, client_order_id, trade.id, trade.ticker, side, exit_limit(trade, now), size,  # type: ignore[arg-type]
                      "immediate_or_cancel", "exit", Money(0))
    )  # fmt: skip
    retry = now + (EMPTY_RETRY_MS if trade.vanished_ms else RETRY_MS)
    turn.record(ExitAttempted(now, trade.id, attempt, max(retry, trade.exit_retry_ms)))
    turn.do(_place(state.orders[client_order_id], tick_ns))
    turn.do(Wake(retry, trade.ticker))


def _begin_anew(turn: Turn, trade: Trade, price: Price | None) -> None:
    if trade.exit_held_ms and price is not None and trade.exit_kind not in (None, "target"):
        turn.record(ExitFired(turn.at_ms, trade.id, trade.exit_kind, price, again=True))


def _place(order: Order, tick_ns: int) -> PlaceOrder:
    return PlaceOrder(
        order.client_order_id, order.ticker, order.side, order.price, order.count, "immediate_or_cancel", "exit",
        "maker", reduce_only=True, tick_ns=tick_ns,
    )  # fmt: skip


def _working(turn: Turn, trade: Trade) -> list[Order]:
    return [o for o in turn.state.orders_of(trade.id) if o.purpose == "exit" and o.live()]


def _watch_vanished(turn: Turn, trade: Trade, price: Price | None) -> None:
    """Record when the side to leave at empties and returns; one alarm when it stays empty."""
    now = turn.at_ms
    if price is None and not trade.vanished_ms:
        turn.record(QuoteVanished(now, trade.id, now))
        turn.do(Wake(now + VANISHED_CONFIRM_MS, trade.ticker))
    elif price is None and not trade.vanish_confirmed and now - trade.vanished_ms >= VANISHED_CONFIRM_MS:
        turn.record(QuoteVanished(now, trade.id, trade.vanished_ms, confirmed=True))
        turn.note("alarm", "quote_vanished", f"no price to leave at for {now - trade.vanished_ms} ms", trade.ticker)
    elif price is not None and trade.vanished_ms:
        turn.record(QuoteVanished(now, trade.id, 0))
