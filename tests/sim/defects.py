"""Deliberate defects, one line each: what is broken, where, and which promise of DESIGN.md section 2 it breaks.

Each is a replacement in one file of bot/. test_defects.py applies it to a copy of the tree and lets the simulator look.
"""

from typing import NamedTuple


class Defect(NamedTuple):
    name: str
    promise: int
    file: str
    good: str
    bad: str


DEFECTS = (
    Defect("an entry does not wait for the disk", 1, "run/executor.py", "self._entries[0][0] <= durable_seq and ", ""),
    Defect(
        "an entry of unknown fate is sent again",
        1,
        "core/replies.py",
        '        turn.move_order(order, "lost", reason=outcome.reason)\n',
        '        if order.purpose == "entry":\n'
        '            turn.move_order(order, "deferred", reason=outcome.reason, again_ms=turn.at_ms + 100)\n'
        "            return turn.do(Wake(turn.at_ms + 100, order.ticker))\n"
        '        turn.move_order(order, "lost", reason=outcome.reason)\n',
    ),
    Defect(
        "an exit waits for the disk",
        1,
        "run/executor.py",
        "if self._exits:\n",
        "if self._exits and durable_seq > 10**9:\n",
    ),
    Defect(
        "a 404 on cancel is a cancellation",
        2,
        "core/replies.py",
        'turn.move_order(order, "lost", reason=f"cancel: {type(outcome).__name__.lower()}")',
        'turn.move_order(order, "cancelled")',
    ),
    Defect(
        "an unknown create is a rejection",
        2,
        "core/replies.py",
        'turn.move_order(order, "lost", reason=outcome.reason)',
        'turn.move_order(order, "rejected", reason=outcome.reason)',
    ),
    Defect("absence from any listing is proof", 2, "run/account.py", "fresh_ms >= sent_ms + SIGNATURE_MS", "True"),
    Defect("absence is believed after 2 s", 2, "run/account.py", "SIGNATURE_MS = 30_000", "SIGNATURE_MS = 2_000"),
    Defect(
        "a resting order that one listing lacks is cancelled",
        2,
        "core/accounting.py",
        'turn.move_order(order, "lost", reason="not in the listing of resting orders")',
        'turn.move_order(order, "cancelled")',
    ),
    Defect(
        "nobody looks an unknown order up again",
        2,
        "core/accounting.py",
        "if order.state is OrderState.UNKNOWN or (order.state is OrderState.CANCELLED and order.outstanding()):\n",
        "if order.state is OrderState.CANCELLED and order.outstanding():\n",
    ),
    Defect(
        "what may have been sent before a restart is not looked up",
        2,
        "core/step.py",
        "if order.state in (OrderState.INTENT, OrderState.SENDING):",
        "if False:",
    ),
    Defect(
        "an exit is not reduce-only", 3, "core/exiting.py", '"maker", reduce_only=True', '"maker", reduce_only=False'
    ),
    Defect(
        "an exit is sized by what the entry asked for",
        3,
        "core/exiting.py",
        "size = min(trade.open_count(), turn.state.held(trade)) - spoken_for",
        'size = sum(o.count for o in state.orders_of(trade.id) if o.purpose == "entry")',
    ),
    Defect("fills reported and not yet booked are forgotten", 3, "core/exiting.py", " - spoken_for\n", "\n"),
    Defect(
        "an exit is tried once",
        4,
        "core/exiting.py",
        "    attempt = trade.exit_attempt + 1",
        "    if trade.exit_attempt:\n        return\n    attempt = trade.exit_attempt + 1",
    ),
    Defect("an exit is tried once a minute", 4, "core/exiting.py", "RETRY_MS = 250", "RETRY_MS = 60_000"),
    Defect(
        "a stop is judged at the wrong side of the book",
        4,
        "core/trades.py",
        'return quote.bid if side == "bid" else quote.ask',
        'return quote.ask if side == "bid" else quote.bid',
    ),
    Defect(
        "the stop of a NO is judged like that of a YES",
        4,
        "core/trades.py",
        "(price <= plan.stop if long else price >= plan.stop)",
        "(price <= plan.stop)",
    ),
    Defect(
        "a paused market stays paused for ever",
        4,
        "core/accounting.py",
        'state.status.get(event.ticker, "active") != event.status',
        'event.status != "active"',
    ),
    Defect(
        "stops are not armed after a restart",
        5,
        "core/folding.py",
        "state.reconciled_ms = fact.boot, fact.at_ms, 0, 0",
        "state.reconciled_ms = fact.boot, fact.at_ms, 0, 0\n            state.live_trade = {}",
    ),
    Defect(
        "entries do not wait for the first reading after a restart",
        5,
        "core/entering.py",
        "if age > reconcile_interval_ms + RECONCILE_GRACE_MS:",
        "if False:",
    ),
    Defect(
        "a journal that was taken over still takes records",
        6,
        "sim/disk.py",
        "if self.epoch != self.file.epoch:",
        "if False:",
    ),
    Defect(
        "a fill is booked each time it is seen", 7, "core/replies.py", "if fill.trade_id in state.fill_ids or ", "if "
    ),
    Defect(
        "a settlement is booked at each reading",
        7,
        "core/accounting.py",
        "in state.settlement_ids:\n        return",
        "in {}:\n        return",
    ),
    Defect(
        "cash forgets the fee", 7, "core/positions.py", "Money(proceeds - spent - fill.fee)", "Money(proceeds - spent)"
    ),
    Defect(
        "cash forgets what a settlement paid",
        7,
        "core/folding.py",
        "state.cash = Money(state.cash + paid.revenue)",
        "state.cash = Money(state.cash)",
    ),
    Defect(
        "a NO costs what a YES costs",
        7,
        "core/positions.py",
        'pay_each = fill.price if fill.side == "bid" else ONE - fill.price',
        "pay_each = fill.price",
    ),
    Defect(
        "a fill before its order is known is never joined",
        7,
        "core/replies.py",
        "if booked.fill.order_id == order.order_id:",
        "if False:",
    ),
    Defect(
        "a difference of cash is never told",
        7,
        "core/accounting.py",
        '_check(turn, event, "cash", "account", state.cash, event.balance, gaps, bound)',
        "pass",
    ),
    Defect(
        "the sweep does not look at what the channels told",
        7,
        "core/step.py",
        "            cross_check(turn, event)\n",
        "",
    ),
    Defect(
        "what differs from the channels differs for ever",
        7,
        "core/cross_check.py",
        "event.told.keys() | open_",
        "event.told.keys()",
    ),
    Defect(
        "contracts that are held are no exposure",
        7,
        "core/risk.py",
        "        if position.count:\n            add(",
        "        if False:\n            add(",
    ),
    Defect(
        "in all twice as much may be at stake",
        7,
        "core/risk.py",
        'sum(events.values()), limits["max_total_exposure"]',
        'sum(events.values()), 2 * limits["max_total_exposure"]',
    ),
    Defect(
        "what is lost is no result",
        7,
        "core/folding.py",
        "_realize(state, fact.at_ms, after.realized - before.realized - fill.fee)",
        "_realize(state, fact.at_ms, max(after.realized - before.realized - fill.fee, 0))",
    ),
    Defect(
        "an amend counts as the end of the target",
        3,
        "core/replies.py",
        "    elif ours:\n        _resolve(turn, order)\n",
        '    elif ours:\n        turn.move_order(order, "cancelled")\n',
    ),
    Defect(
        "a cancel that proved nothing of a called back entry is not repeated",
        8,
        "core/replies.py",
        "if order.order_id and (unwanted or order.recall):",
        "if order.order_id and unwanted:",
    ),
    Defect(
        "halted suppresses stops",
        8,
        "core/exiting.py",
        "    if not turn.state.tradeable(trade.ticker):\n        return\n    price = exit_quote",
        '    if turn.state.mode == "HALTED":\n        return\n    price = exit_quote',
    ),
    Defect(
        "an entry decided before the halt is sent after it",
        8,
        "core/replies.py",
        'if turn.state.mode != "RUNNING":\n        return "not_running", f"entries are off: {turn.state.mode}"',
        "pass",
    ),
)
"""Promise 9 (reasons) and 10 (modes) are not the simulator's to see."""
