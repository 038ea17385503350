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
from bot.core.units import Money

RESEND_MS = 1_000
"""Between two sends about one order: each may hold a connection until its reply times out, and there are not many."""

ARRIVE_MS = 35_000
"""After a start an exit of the earlier life may still arrive for as long: its signature holds 30 s (kalshi-api.md 2.4).
It would sell beside a target."""


def resting(turn: Turn, trade: Trade) -> list[Order]:
    """The trade's targets that may still sell; all but one are of a life whose records were lost."""
    return [o for o in turn.state.orders_of(trade.id) if o.purpose == "target" and o.live()]


def keep(turn: Turn, trade: Trade, held: int) -> None:
    """Let the target of an open trade rest at its price for what is held; what rests otherwise is cancelled first."""
    wanted = trade.plan.target if trade.plan.rest_target else None
    if turn.at_ms < trade.exit_retry_ms:
        return
    orders = turn.state.orders_of(trade.id)
    for order in resting(turn, trade):
        if order.price != wanted or order.recall or held < order.outstanding():
            _cancel(turn, trade, order)
    size = min(trade.open_count(), held)
    early = not turn.state.reconciled_ms or turn.at_ms < turn.state.booted_ms + ARRIVE_MS
    if wanted is None or early or size <= 0 or any(o.outstanding() for o in orders):
        return
    side = closing_side(1 if trade.side == "bid" else -1)
    client_order_id = f"{trade.id}.t{trade.targets + 1}"
    turn.record(
        OrderIntended(turn.at_ms, client_order_id, trade.id, trade.ticker, side, wanted, size,  # type: ignore[arg-type]
                      "good_till_canceled", "target", Money(0))
    )  # fmt: skip
    turn.do(
        PlaceOrder(client_order_id, trade.ticker, side, wanted, size, "good_till_canceled", "target", "maker")  # type: ignore[arg-type]
    )


def leave(turn: Turn, trade: Trade, order: Order, held: int, tick_ns: int = 0) -> None:
    """Make the target the exit of what it may still sell. Repeating it changes nothing: totals and id stay."""
    now = turn.at_ms
    if order.state is OrderState.INTENT:
        turn.move_order(order, "rejected", reason="its trade is being left")
        return
    if order.order_id and held < order.outstanding():  # somebody else sold: it must not sell all of it
        _cancel(turn, trade, order)
        return
    limit = exit_limit(trade, now)
    if limit != order.price:
        turn.record(OrderAmended(now, order.client_order_id, limit))
    turn.record(ExitAttempted(now, trade.id, trade.exit_attempt, now + RESEND_MS))
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


def found(turn: Turn, order: Order, held: int) -> None:
    """The exchange id of an order has become known: a target whose trade is being left is amended at once."""
    trade = turn.state.trades.get(order.trade_id)
    if order.purpose != "target" or not order.live() or trade is None or trade.state is not TradeState.EXITING:
        return
    if turn.state.tradeable(trade.ticker):
        leave(turn, trade, order, held)


def drop(turn: Turn, trade: Trade) -> None:
    """Cancel what rests of a trade that has ended."""
    for order in resting(turn, trade):
        if order.order_id:
            turn.do(CancelOrder(order.client_order_id, order.order_id, order.ticker))


def _cancel(turn: Turn, trade: Trade, order: Order) -> None:
    if order.order_id:
        retry = turn.at_ms + RESEND_MS
        turn.record(ExitAttempted(turn.at_ms, trade.id, trade.exit_attempt, retry))
        turn.do(CancelOrder(order.client_order_id, order.order_id, order.ticker))
        turn.do(Wake(retry, trade.ticker))
