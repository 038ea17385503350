"""Decides what replies, order descriptions and fills mean. Unknown stays unknown; fills alone move positions."""

from bot.core import exiting, resting
from bot.core.effects import CancelOrder, Reconcile, ResolveOrder, Wake
from bot.core.events import AmendReplied, CancelReplied, CreateReplied, FillSeen, OrderResolved, OrderSeen, Sending
from bot.core.facts import ExitAttempted, FillBooked, FillClaimed
from bot.core.grid import CENT_GRID
from bot.core.orders import SPENT, Order, OrderState, again_in_ms, has_our_form, passing, reported
from bot.core.state import TradingState
from bot.core.trades import Trade, TradeState, due
from bot.core.turn import Turn
from bot.core.units import ONE, Price, format_count, format_money, format_price
from bot.core.venue import Accepted, AlreadyExists, NotFound, NotSent, Outcome, Rejected, Unknown, VenueFill, VenueOrder

REJECTED_RETRY_MS = 1_000
"""An exit the exchange refused is tried again after this; one that never left this machine after a quarter of it."""


ARRIVE_MS = 60_000
"""An order sent just before the disk was lost may still arrive: its signature holds 30 s (kalshi-api.md 2.4)."""


def sending(turn: Turn, event: Sending) -> None:
    """The last gate, just before the bytes: an entry whose time has passed or whose mode is gone is not sent, nor is a
    target that the trade does not want any more. The answer says whether to send."""
    order = turn.state.orders.get(event.client_order_id)
    if order is None:
        return turn.refuse("not_waiting", "given up so long ago that it was forgotten")
    waits = order.state is OrderState.INTENT or (order.purpose == "target" and order.state is OrderState.UNKNOWN)
    if order.purpose != "exit" and not waits:
        return turn.refuse("not_waiting", f"the {order.purpose} is {order.state} already")
    refusal = _too_late(turn, order) if order.purpose == "entry" else None
    if order.purpose == "target" and order.state is OrderState.INTENT and not resting.wanted(turn, order):
        refusal = "unwanted", "its trade does not want it any more"
    if refusal is None:
        if order.live():  # else its first send was proven while it was sent again
            turn.move_order(order, "sent")
        return turn.approve("send", order.client_order_id)
    drop(turn, order, refusal[1])
    return turn.refuse(*refusal)


def drop(turn: Turn, order: Order, reason: str) -> None:
    """Give up an entry or target that is not on its way."""
    turn.move_order(order, "rejected", reason=reason)
    _after_order(turn, order)


def _too_late(turn: Turn, order: Order) -> tuple[str, str] | None:
    if turn.state.mode != "RUNNING":
        return "not_running", f"entries are off: {turn.state.mode}"
    if order.recall:
        return "called_back", "entries were called back after it was decided"
    if turn.at_ms > order.valid_until_ms:
        return "lapsed", f"decided {turn.at_ms - order.created_ms} ms ago: its signal has lapsed"
    return None


def create_replied(turn: Turn, event: CreateReplied) -> None:
    order = turn.state.orders.get(event.client_order_id)
    if order is None:
        return turn.note("alarm", "reply_without_order", f"a reply names {event.client_order_id}, which is not ours")
    outcome: Outcome = event.outcome
    if not order.live() and not (order.state is OrderState.REJECTED and isinstance(outcome, Accepted)):
        return None  # its end was proven before this reply: nothing is unknown, nothing is refused
    known = bool(order.order_id)
    if known and order.purpose == "target" and not isinstance(outcome, Accepted):
        return None  # the exchange has it: this is the answer to another send of its id
    if isinstance(outcome, Accepted):
        step = reported(order.count, max(outcome.filled, order.filled), outcome.remaining)  # the stream may be ahead
        if turn.move_order(order, step, outcome.order_id, outcome.filled):
            claim(turn, order)
            _after_order(turn, order)
            withdraw(turn, order)
            if not known:
                resting.found(turn, order)
    elif isinstance(outcome, Rejected | NotSent):
        reason = outcome.reason if isinstance(outcome, NotSent) else f"{outcome.code} {outcome.message}".strip()
        if order.state is OrderState.UNKNOWN and isinstance(outcome, NotSent):
            return None  # a re-send that never left proves nothing about the first send
        if not any(o.reason == reason for o in turn.state.orders_of(order.trade_id) if o is not order):
            turn.note(  # once for each reason: an exit in an outage is tried four times a second
                "warning", "order_rejected", f"{order.purpose} {order.client_order_id} refused: {reason}", order.ticker
            )
        _off_grid(turn, order, outcome)
        if order.state is OrderState.UNKNOWN and isinstance(outcome, Rejected):
            return _resend_refused(turn, order, outcome)
        again_ms = turn.at_ms + again_in_ms(order, outcome)
        if turn.at_ms < again_ms <= order.valid_until_ms:
            turn.move_order(order, "deferred", reason=reason, again_ms=again_ms)
            return turn.do(Wake(again_ms, order.ticker))
        turn.move_order(order, "rejected", reason=reason)
        wait = REJECTED_RETRY_MS // 4 if isinstance(outcome, NotSent) else REJECTED_RETRY_MS
        _after_order(turn, order, wait)
    elif isinstance(outcome, Unknown):
        turn.note("alarm", "order_unknown", f"{order.purpose} {order.client_order_id}: {outcome.reason}", order.ticker)
        first = order.state is not OrderState.UNKNOWN
        turn.move_order(order, "lost", reason=outcome.reason)
        _resolve(turn, order)
        trade = turn.state.trades.get(order.trade_id)
        if order.purpose != "entry" and trade is not None:
            if first:
                turn.record(ExitAttempted(turn.at_ms, trade.id, trade.exit_attempt, turn.at_ms, taken=False))
            exiting.drive(turn, trade)
    else:
        assert isinstance(outcome, AlreadyExists | NotFound), outcome
        first = order.reason not in SPENT
        turn.move_order(order, "lost", reason="already_exists")
        _resolve(turn, order)
        trade = turn.state.trades.get(order.trade_id)
        if order.purpose == "exit" and trade is not None:
            if first:
                turn.record(ExitAttempted(turn.at_ms, trade.id, trade.exit_attempt, turn.at_ms))
            exiting.drive(turn, trade)
    return None


def _off_grid(turn: Turn, order: Order, outcome: Rejected | NotSent) -> None:
    """The market's prices are coarser than anybody told us: whole cents are on every grid (kalshi-api.md 3.2)."""
    trade = turn.state.trades.get(order.trade_id)
    refused = isinstance(outcome, Rejected) and outcome.code == "invalid_price"
    if refused and trade is not None and not CENT_GRID.valid(order.price):
        exiting.keep_to_terms(turn, trade, CENT_GRID, trade.market.close_ms)


def _resend_refused(turn: Turn, order: Order, outcome: Rejected) -> None:
    """A refused re-send proves nothing about the first send either; only a rate limit makes the same id worth while."""
    if outcome.status != 429:
        turn.move_order(order, "lost", reason="refused_again")
    trade = turn.state.trades.get(order.trade_id)
    if trade is not None:
        retry = turn.at_ms + REJECTED_RETRY_MS
        turn.record(ExitAttempted(turn.at_ms, trade.id, trade.exit_attempt, retry, taken=False))
        turn.do(Wake(retry, trade.ticker))


def withdraw(turn: Turn, order: Order) -> None:
    """Cancel what rests although it was called back, or its trade is being left, or over, before that was known."""
    if order.state not in (OrderState.RESTING, OrderState.PARTLY_FILLED):
        return
    trade = turn.state.trades.get(order.trade_id)
    unwanted = order.purpose == "entry" and (trade is None or trade.state not in (TradeState.OPENING, TradeState.OPEN))
    if order.purpose == "target":
        unwanted = trade is None or not trade.live()
    if order.order_id and (unwanted or order.recall):
        turn.do(CancelOrder(order.client_order_id, order.order_id, order.ticker))


def amend_replied(turn: Turn, event: AmendReplied) -> None:
    """A target was to leave at the exit's price. What rests there is cancelled, so that it can be sent anew as an exit;
    anything but the exchange's word leaves it to be amended again, and looked up."""
    order = turn.state.orders.get(event.client_order_id)
    if order is None or not order.live():
        return
    outcome = event.outcome
    ours = isinstance(outcome, Accepted) and outcome.order_id == order.order_id
    refused = isinstance(outcome, Rejected) and not passing(outcome)
    if refused or (isinstance(outcome, Accepted) and ours and outcome.remaining):
        turn.do(CancelOrder(order.client_order_id, order.order_id, order.ticker))
    elif ours:
        _resolve(turn, order)
    if isinstance(outcome, Rejected) and refused:
        text = f"the exchange refuses to amend {order.client_order_id} ({outcome.code}): it is cancelled instead"
        turn.note("warning", "amend_refused", text, order.ticker)
        _off_grid(turn, order, outcome)
    elif not ours:
        text = f"amend of {order.client_order_id} proves nothing: {type(outcome).__name__.lower()}"
        if order.reason != text and not isinstance(outcome, NotSent):
            turn.note("warning", "amend_unproven", text, order.ticker)
        if not isinstance(outcome, NotSent | Rejected):
            turn.move_order(order, "lost", reason=text)
            _resolve(turn, order)
    trade = turn.state.trades[order.trade_id]
    if trade.state is TradeState.EXITING:
        soon = isinstance(outcome, NotSent) or (isinstance(outcome, Accepted) and outcome.remaining)
        retry = turn.at_ms + (exiting.RETRY_MS if soon else resting.RESEND_MS)
        turn.record(ExitAttempted(turn.at_ms, trade.id, trade.exit_attempt, retry, taken=ours))
        turn.do(Wake(retry, trade.ticker))


def cancel_replied(turn: Turn, event: CancelReplied) -> None:
    """A cancel's success is the exchange's word; anything else leaves the order to be looked up."""
    order = turn.state.orders.get(event.client_order_id)
    if order is None or not order.live():
        return
    outcome = event.outcome
    if isinstance(outcome, Accepted):
        if outcome.order_id != order.order_id:
            turn.note(
                "alarm",
                "reply_mismatch",
                f"cancel of {order.order_id} was answered for {outcome.order_id}",
                order.ticker,
            )
            _resolve(turn, order)
            return
        turn.move_order(order, "cancelled", filled=order.count - outcome.reduced)
        if order.outstanding():  # its fills are under way, or somebody had decreased it: its description says which
            _resolve(turn, order)
        _after_order(turn, order)
    elif isinstance(outcome, NotSent):
        turn.note("warning", "cancel_not_sent", f"cancel of {order.client_order_id}: {outcome.reason}", order.ticker)
    else:
        turn.move_order(order, "lost", reason=f"cancel: {type(outcome).__name__.lower()}")
        _resolve(turn, order)


def order_seen(turn: Turn, event: OrderSeen) -> None:
    seen = event.order
    order = find_order(turn, seen.order_id, seen.client_order_id)
    if order is not None:
        described(turn, order, seen)


def described(turn: Turn, order: Order, seen: VenueOrder) -> None:
    """Take over the exchange's description of one of our orders, unless it is older than what we know."""
    if seen.status == "resting" and not order.live():
        if order.purpose != "exit" and order.state is OrderState.REJECTED:  # called absent or refused, yet it rests
            turn.do(CancelOrder(order.client_order_id, seen.order_id, order.ticker))
        return
    if order.purpose == "exit" and order.state in (OrderState.INTENT, OrderState.REJECTED):
        return  # an exit's id that lived before its record was lost: this is of that life, and its fills are booked
    named = turn.state.order_ids.get(seen.order_id, order.client_order_id)
    if order.state is OrderState.UNKNOWN and named != order.client_order_id:
        # of its earlier life, and booked under the exchange's id before that was known: this life never was
        turn.move_order(order, "absent")
        _after_order(turn, order)
        return
    ended = order.state is OrderState.CANCELLED and seen.status == "canceled" and order.purpose != "exit"
    if seen.filled < (order.booked if ended else order.filled):
        return
    step = "cancelled" if seen.status == "canceled" and seen.filled < order.count else reported(
        order.count, seen.filled, seen.remaining
    )  # fmt: skip
    known = bool(order.order_id)
    filled = min(seen.filled, order.count)  # adopted by one fill, it is that fill: the others are from before our books
    if turn.move_order(order, step, seen.order_id, filled):
        claim(turn, order)
        _after_order(turn, order)
        _unlike_plan(turn, order, seen)
        if not known:
            resting.found(turn, order)


def _unlike_plan(turn: Turn, order: Order, seen: VenueOrder) -> None:
    """A target that an earlier life amended, and forgot, or that somebody else decreased, is cancelled: it is placed
    anew as it belongs."""
    trade = turn.state.trades.get(order.trade_id)
    unlike = seen.price != order.price or seen.filled + seen.remaining < order.count
    if order.purpose == "target" and order.live() and unlike and trade is not None and trade.state is TradeState.OPEN:
        turn.do(CancelOrder(order.client_order_id, order.order_id, order.ticker))


def order_resolved(turn: Turn, event: OrderResolved) -> None:
    order = turn.state.orders.get(event.client_order_id) or _remembered(turn, event)
    if order is None:
        return
    if event.order is not None:
        text = f"{order.client_order_id} found: {event.order.status}, filled {format_count(event.order.filled)}"
        if order.state is OrderState.UNKNOWN:
            turn.note("info", "order_resolved", text, order.ticker)
        known = bool(order.order_id)
        described(turn, order, event.order)
        if not known:
            withdraw(turn, order)
    elif event.absent and order.purpose != "entry" and turn.at_ms < _sent_last(turn, order) + ARRIVE_MS:
        return  # it was sent once more since what was listed, and may still arrive
    elif event.absent and order.state is OrderState.UNKNOWN and order.reason != "already_exists":
        turn.note("info", "order_absent", f"{order.client_order_id} was never applied", order.ticker)
        turn.move_order(order, "absent")
        _after_order(turn, order)


def _sent_last(turn: Turn, order: Order) -> int:
    """When its bytes may have left last; that an earlier life sent them need not be recorded."""
    return max(order.sent_ms, turn.state.booted_ms if order.created_ms < turn.state.booted_ms else 0)


def _remembered(turn: Turn, event: OrderResolved) -> Order | None:
    """The look-up of an exit that only its fill told of: it was ours, or, once proven absent, it was not."""
    live = (turn.state.trades[trade_id] for trade_id in turn.state.live_trade.values())
    trade = next((t for t in live if exiting.next_exit_id(t) == event.client_order_id), None)
    if trade is not None and event.order is not None:
        return exiting.remember(turn, trade, event.order)
    if trade is not None and event.absent and turn.state.held(trade) <= 0:  # else it was bought back meanwhile
        exiting.closed_elsewhere(turn, trade)
    return None


def fill_seen(turn: Turn, event: FillSeen) -> None:
    book_fill(turn, event.fill)


def book_fill(turn: Turn, fill: VenueFill) -> None:
    """Book a fill once, by its trade id. It moves position and cash whoever's order it was."""
    state = turn.state
    if fill.trade_id in state.fill_ids or fill.at_ms < state.forgotten_ms or state.cash is None:
        return
    order = find_order(turn, fill.order_id, fill.client_order_id)
    known = order is None or bool(order.order_id)
    turn.record(FillBooked(turn.at_ms, fill, order.client_order_id if order else ""))
    what = f"{'bought' if fill.side == 'bid' else 'sold'} {format_count(fill.count)} YES at {format_price(fill.price)}"
    if order is None:
        level = "info" if _expected(state, fill) else "warning"
        turn.note(level, "fill_unclaimed", f"{what}: its order is not known to be ours", fill.ticker)
        if stray(state, fill):
            turn.do(Reconcile("a fill of an order whose record may be lost"))
        return
    turn.note(
        "info", "fill", f"{order.purpose} {order.client_order_id} {what}, fee {format_money(fill.fee)}", fill.ticker
    )
    _after_fill(turn, order)
    if not known:
        resting.found(turn, order)


def stray(state: TradingState, fill: VenueFill) -> bool:
    """Whether the fill of an order we do not know may be of an entry whose record was lost: it must be protected.

    One that leaves a trade from before the restart is looked up by the id of that trade's exit instead.
    """
    trade = state.trade_at(fill.ticker)
    if trade is not None and fill.side != trade.side and trade.opened_ms < state.booted_ms:
        return False
    forgotten = fill.at_ms <= state.began_ms + ARRIVE_MS or state.lost_from_ms < fill.at_ms <= state.lost_ms + ARRIVE_MS
    return has_our_form(fill.client_order_id) or (forgotten and not _expected(state, fill))


def _expected(state: TradingState, fill: VenueFill) -> bool:
    """Whether it may be of an order of ours whose exchange id we have not been told yet."""
    waiting = (o for o in state.orders.values() if o.ticker == fill.ticker and o.live() and not o.order_id)
    return any(o.side == fill.side for o in waiting)


def find_order(turn: Turn, order_id: str, client_order_id: str) -> Order | None:
    """Our order with this exchange id, else with this client id."""
    state = turn.state
    return state.orders.get(state.order_ids.get(order_id, "") or client_order_id)


def claim(turn: Turn, order: Order) -> None:
    """Fills that arrived before their order's id was known now join it."""
    for fill_id, booked in list(turn.state.unclaimed.items()):
        if booked.fill.order_id == order.order_id:
            turn.record(FillClaimed(turn.at_ms, fill_id, order.client_order_id))
            _after_fill(turn, order)


def _after_fill(turn: Turn, order: Order) -> None:
    if order.state is OrderState.REJECTED:
        turn.note(
            "alarm", "fill_on_rejected", f"{order.client_order_id} was taken for refused but filled", order.ticker
        )
    elif order.state is OrderState.INTENT:
        pass  # as in `described`
    elif order.booked >= order.count:
        turn.move_order(order, "filled", filled=order.booked)
    elif order.live() and order.state is not OrderState.UNKNOWN:
        turn.move_order(order, "part_filled", filled=order.booked)
    trade = turn.state.trades.get(order.trade_id)
    if trade is None:
        return
    idle = trade.state not in (TradeState.OPEN, TradeState.EXITING)
    if order.purpose == "entry" and idle and trade.open_count() > 0:  # else its exits were booked before it
        turn.move_trade(trade, "entry_filled")
        turn.note("info", "protected", protection(trade), trade.ticker)
    _after_order(turn, order)


def _after_order(turn: Turn, order: Order, exit_wait_ms: int = 0) -> None:
    """What an order's news means for its trade: ended without a fill, flat, or still to be left."""
    trade = turn.state.trades.get(order.trade_id)
    if trade is None or not trade.live():
        return
    if order.purpose == "entry":
        if not order.live() and not order.outstanding() and trade.state is TradeState.OPENING and not trade.entered:
            turn.move_trade(trade, "entry_ended")
            turn.note(
                "info", "no_entry", f"nothing bought: {order.reason or 'no counterparty at the limit'}", trade.ticker
            )
            if any(b.fill.ticker == trade.ticker and stray(turn.state, b.fill) for b in turn.state.unclaimed.values()):
                turn.do(Reconcile("what was filled there meanwhile has no trade of its own yet"))
        return
    if trade.entered and trade.open_count() <= 0:
        close(turn, trade)
    elif not order.live():
        if order.purpose == "target":
            if trade.exit_retry_ms > turn.at_ms:  # nothing of it is in the exits' way any more
                turn.record(ExitAttempted(turn.at_ms, trade.id, trade.exit_attempt, turn.at_ms))
        elif exit_wait_ms:
            retry = turn.at_ms + exit_wait_ms
            turn.record(ExitAttempted(turn.at_ms, trade.id, trade.exit_attempt, retry, taken=False))
            turn.do(Wake(retry, trade.ticker))
        if trade.exit_kind == "target" and trade.state is TradeState.EXITING and not order.outstanding():
            turn.move_trade(trade, "stood_down")  # the next tick says whether the target still holds, or the stop
        else:
            exiting.drive(turn, trade)


def close(turn: Turn, trade: Trade) -> None:
    kind = trade.exit_kind
    if kind is None:  # why it left was lost in a crash: told from the price it left at, else it was the operator's word
        price = trade.exit_proceeds // trade.exited
        kind = due(trade, Price(price if trade.side == "bid" else ONE - price), turn.at_ms) or "flatten"
    turn.move_trade(trade, "flat", kind)
    resting.drop(turn, trade)
    turn.note("info", "closed", f"{kind}: result {format_money(trade.pnl())} after fees", trade.ticker)


def protection(trade: Trade) -> str:
    """One line that says how a trade is protected, in the terms of the side it holds."""
    plan, long = trade.plan, trade.side == "bid"

    def held(price: int | None) -> str:
        return "none" if price is None else format_price(price if long else ONE - price)

    until = f", leave at {_clock(plan.time_exit_ms)}" if plan.time_exit_ms else ""
    what = f"{'YES' if long else 'NO'} {format_count(trade.open_count())}"
    rests = " resting in the book" if plan.rest_target and plan.target is not None else ""
    trails = f" trailing by {format_price(plan.trail)}" if plan.trail else ""
    even = f", break-even after {format_price(plan.break_even_after)}" if plan.break_even_after else ""
    return f"{what}: stop {held(plan.stop)}{trails}{even}, target {held(plan.target)}{rests}{until}"


def _clock(at_ms: int) -> str:
    minutes, seconds = divmod(at_ms // 1000 % 86_400, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d} UTC"


def _resolve(turn: Turn, order: Order) -> None:
    turn.do(ResolveOrder(order.client_order_id, order.ticker, order.sent_ms or order.created_ms))
