"""Decides about targets that rest in the book (opt-in): placed once the entry has ended; when the trade is left, turned
into the exit of their own contracts. What such an order may still sell, no other exit sells (docs/decisions/0007).

It cannot be reduce-only, so nothing caps it at the exchange. Leaving therefore never waits for its end, and never sells
beside it: the order itself is amended to the exit's limit with its total unchanged, or, while nobody knows its
exchange id, the same client id is sent again as a reduce-only exit: at most one order can ever live under it.
"""

from bot.core.effects import AmendOrder, CancelOrder, PlaceOrder, ResolveOrder, Wake
from bot.core.facts import ExitAttempted, OrderAmended, OrderIntended
from bot.core.orders import Order, OrderState
from bot.core.positions import closing_side
from bot.core.trades import Trade, TradeState, exit_limit
from bot.core.turn import Turn
from bot.core.units import Count, Money

RESEND_MS = 1_000
"""Between two sends about one order: each may hold a connection until its reply times out, and there are not many."""

SETTLED_IN_MS = 35_000
"""After a start an exit of the earlier life may still arrive for as long: its signature holds 30 s (kalshi-api.md 2.4).
It would sell beside a target."""

AGAIN_AT_MOST_MS = 60_000
"""A target that is refused or cancelled is placed anew after 2 s, 4 s and so on up to this."""


def live(turn: Turn, trade: Trade) -> list[Order]:
    """The trade's targets that may still sell; all but one are of a life whose records were lost."""
    return [o for o in turn.state.orders_of(trade.id) if o.purpose == "target" and o.live()]


def rests(turn: Turn, trade: Trade) -> bool:
    """Whether one is known to be in the book: then nobody takes the target on the tick."""
    return any(o.state in (OrderState.RESTING, OrderState.PARTLY_FILLED) for o in live(turn, trade))


def wanted(turn: Turn, order: Order) -> bool:
    """Whether a target that has not left may leave: its trade is open, its plan as it was, and so much is held."""
    trade = turn.state.trades[order.trade_id]
    others = sum(o.outstanding() for o in turn.state.orders_of(trade.id) if o.purpose != "entry" and o is not order)
    planned = trade.plan.rest_target and trade.plan.target == order.price and not order.recall
    return trade.state is TradeState.OPEN and planned and order.count <= turn.state.held(trade) - others


def keep(turn: Turn, trade: Trade) -> None:
    """Let the target of an open trade rest at its price for what is held; what rests otherwise is cancelled first."""
    if not (trade.plan.rest_target or trade.targets) or turn.at_ms < trade.exit_retry_ms:
        return
    price, held = trade.plan.target if trade.plan.rest_target else None, turn.state.held(trade)
    for order in live(turn, trade):
        if order.price != price or order.recall or held < order.outstanding():
            _cancel(turn, trade, order)
    size = min(trade.open_count(), held)
    orders = turn.state.orders_of(trade.id)
    early = not turn.state.reconciled_ms or turn.at_ms < turn.state.booted_ms + SETTLED_IN_MS
    if price is None or early or size <= 0 or any(o.outstanding() for o in orders) or turn.at_ms < _not_before(orders):
        return
    side = closing_side(1 if trade.side == "bid" else -1)
    client_order_id = f"{trade.id}.t{trade.targets + 1}"
    turn.record(
        OrderIntended(turn.at_ms, client_order_id, trade.id, trade.ticker, side, price, Count(size),
                      "good_till_canceled", "target", Money(0))
    )  # fmt: skip
    turn.do(
        PlaceOrder(client_order_id, trade.ticker, side, price, Count(size), "good_till_canceled", "target", "maker")
    )


def _not_before(orders: list[Order]) -> int:
    ended = (OrderState.REJECTED, OrderState.CANCELLED)
    refused = [o.changed_ms for o in orders if o.purpose == "target" and o.state in ended and not o.filled]
    return max(refused) + min(1_000 << len(refused), AGAIN_AT_MOST_MS) if refused else 0


def leave(turn: Turn, trade: Trade, order: Order, tick_ns: int = 0) -> None:
    """Make the target the exit of what it may still sell. Repeating it changes nothing: totals and id stay."""
    now = turn.at_ms
    if order.state is OrderState.INTENT:
        turn.move_order(order, "rejected", reason="its trade is being left")
        return
    held = turn.state.held(trade)
    if held < sum(o.outstanding() for o in live(turn, trade)) and (order.order_id or held <= 0):
        _cancel(turn, trade, order)  # somebody else sold: not all of it may go
        return
    limit = exit_limit(trade, now)
    if limit != order.price:
        turn.record(OrderAmended(now, order.client_order_id, limit))
    turn.record(ExitAttempted(now, trade.id, trade.exit_attempt, now + RESEND_MS, taken=bool(order.order_id)))
    if order.order_id:
        turn.do(
            AmendOrder(order.client_order_id, order.order_id, order.ticker, order.side, limit, order.count, tick_ns)
        )
    else:
        if order.state is OrderState.UNKNOWN:
            turn.do(ResolveOrder(order.client_order_id, order.ticker, order.sent_ms or order.created_ms))
        turn.move_order(order, "lost", reason="left before its id was known")
        turn.do(
            PlaceOrder(order.client_order_id, order.ticker, order.side, limit, order.count, "immediate_or_cancel",
                       "exit", "maker", reduce_only=True, tick_ns=tick_ns)
        )  # fmt: skip
    turn.do(Wake(now + RESEND_MS, trade.ticker))


def found(turn: Turn, order: Order) -> None:
    """The exchange id of an order has become known: a target whose trade is being left is amended at once."""
    trade = turn.state.trades.get(order.trade_id)
    if order.purpose != "target" or not order.live() or trade is None or trade.state is not TradeState.EXITING:
        return
    if order.order_id and turn.state.tradeable(trade.ticker):
        leave(turn, trade, order)


def drop(turn: Turn, trade: Trade) -> None:
    """Cancel what rests of a trade that has ended."""
    for order in live(turn, trade):
        if order.order_id:
            turn.do(CancelOrder(order.client_order_id, order.order_id, order.ticker))


def _cancel(turn: Turn, trade: Trade, order: Order) -> None:
    """Take it out of the book; while its id is not known it is looked up first."""
    if order.state in (OrderState.INTENT, OrderState.SENDING):
        return
    retry = turn.at_ms + RESEND_MS
    turn.record(ExitAttempted(turn.at_ms, trade.id, trade.exit_attempt, retry))
    if order.order_id:
        turn.do(CancelOrder(order.client_order_id, order.order_id, order.ticker))
    else:
        turn.do(ResolveOrder(order.client_order_id, order.ticker, order.sent_ms or order.created_ms))
    turn.do(Wake(retry, trade.ticker))
