"""Decides what a full reading of the account means: missing news is taken over, differences are found, books begin."""

from typing import Literal

from bot.core import adopting, claiming, exiting, replies
from bot.core.effects import CancelOrder, ResolveOrder
from bot.core.events import AccountRead, MarketChange
from bot.core.facts import (
    CashBaseline,
    Difference,
    Forgotten,
    MarketMoved,
    PositionAdopted,
    Reconciled,
    SeenBefore,
    SettlementBooked,
    Suspected,
)
from bot.core.orders import OrderState, has_our_form
from bot.core.state import settlement_key
from bot.core.turn import Turn
from bot.core.units import format_count, format_money
from bot.core.venue import Settlement, VenueOrder, VenuePosition

LAG_MS = 2_000
"""Reads lag writes by up to a second or so (kalshi-api.md 4.0); within this our own news outranks a reading."""

CLOCKS_MS = 1_000
"""The exchange's times of fills may be cut to whole seconds."""

SIGNED_MS = 60_000
"""Our clock is at most half of this ahead of the exchange's, or no order would have been taken (kalshi-api.md 2.4)."""

Kind = Literal["position", "cash"]

KEEP_MS = 3_600_000
"""Ended orders and old ids leave the state after this, or when no cooldown needs them any more."""

UNSETTLED_MS = 3 * 86_400_000
"""So long an order that is not settled keeps the fills since it was sent; one that never is would keep all for ever."""

MARKET_STATUS = ("initialized", "inactive", "active", "closed", "determined", "disputed", "amended", "finalized")


def account_read(turn: Turn, event: AccountRead) -> None:
    """Fills first, then orders, settlements, and the comparison of positions and cash."""
    state = turn.state
    if state.cash is None:
        _baseline(turn, event)
        adopting.adopt_found(turn, event)
        _orders(turn, event)
    else:
        for fill in event.fills:
            replies.book_fill(turn, fill)
        adopting.adopt_found(turn, event)
        _orders(turn, event)
        adopting.adopt_strays(turn, event)
        for settlement in event.settlements:
            _settle(turn, settlement)
        _compare(turn, event)
    turn.record(Reconciled(turn.at_ms, min(event.started_ms, event.fresh_ms), event.shards))
    _forget(turn, event)


def _forget(turn: Turn, event: AccountRead) -> None:
    """Forget, about every ten minutes, what is old enough; never the fills of an order that is not settled: after a
    long outage its exchange id may become known only now."""
    state = turn.state
    resting = (OrderState.RESTING, OrderState.PARTLY_FILLED)
    unsettled = (o.created_ms for o in state.orders.values() if o.outstanding() and o.state not in resting)
    unsettled = (at_ms for at_ms in unsettled if at_ms > event.started_ms - UNSETTLED_MS)
    kept_ms = event.started_ms - max(KEEP_MS, state.config.risk["cooldown"] * 1000)
    before_ms = min([kept_ms, *(created_ms - SIGNED_MS for created_ms in unsettled)])
    if before_ms - state.forgotten_ms > 600_000:
        turn.record(Forgotten(turn.at_ms, before_ms))


def market_changed(turn: Turn, event: MarketChange) -> None:
    """Keep the status of markets where we hold something, exits need it; and of those that were paused meanwhile. A
    live trade keeps to the terms as they are now."""
    state = turn.state
    trade = state.trade_at(event.ticker)
    if trade is not None:
        grid = trade.market.grid if event.grid is None else event.grid
        close_ms = trade.market.close_ms if event.close_ms is None else event.close_ms
        exiting.keep_to_terms(turn, trade, grid, close_ms)
    known = event.ticker in state.live_trade or state.position(event.ticker).count or event.ticker in state.status
    if known and event.status in MARKET_STATUS and state.status.get(event.ticker, "active") != event.status:
        turn.record(MarketMoved(turn.at_ms, event.ticker, event.status))
        turn.note("info", "market", f"market is {event.status} {event.result}".rstrip(), event.ticker)


def _baseline(turn: Turn, event: AccountRead) -> None:
    """The books begin here: balance, positions and ids as found; each position is to get the default exit plan."""
    turn.record(
        SeenBefore(
            turn.at_ms,
            {x.trade_id: x.at_ms for x in event.fills},
            {settlement_key(s.ticker, s.settled_ms): s.settled_ms for s in event.settlements},
        )
    )
    turn.record(Forgotten(turn.at_ms, event.started_ms - KEEP_MS))
    turn.record(CashBaseline(turn.at_ms, event.balance))
    turn.note("info", "baseline", f"books begin with {format_money(event.balance)} cash")
    paid = {s.ticker for s in event.settlements}
    for found in event.positions:
        if found.count and found.ticker not in paid:  # positions may lag behind settlements
            turn.record(
                PositionAdopted(
                    turn.at_ms, found.ticker, found.count, found.cost, found.realized, found.fees, protect=True
                )
            )


def _orders(turn: Turn, event: AccountRead) -> None:
    state = turn.state
    listed = set()
    for seen in event.resting:
        order = replies.find_order(turn, seen.order_id, seen.client_order_id)
        if order is None and has_our_form(seen.client_order_id):
            _recall(turn, event, seen)
        elif order is None:
            _external_order(turn, seen)
        else:
            listed.add(order.client_order_id)
            replies.described(turn, order, seen)
            replies.withdraw(turn, order)
    for order in list(state.orders.values()):
        gone = order.state in (OrderState.RESTING, OrderState.PARTLY_FILLED) and order.client_order_id not in listed
        if gone and order.changed_ms < horizon(event):
            turn.move_order(order, "lost", reason="not in the listing of resting orders")
        if order.state is OrderState.UNKNOWN or (order.state is OrderState.CANCELLED and order.outstanding()):
            turn.do(ResolveOrder(order.client_order_id, order.ticker, order.sent_ms or order.created_ms))
    resting_ids = {o.order_id for o in event.resting}
    for name, finding in list(state.findings.items()):
        if finding.kind == "order" and finding.key not in resting_ids:
            turn.record(Difference(turn.at_ms, "order", finding.key, finding.ours, 0, resolved=True))
            turn.note("info", "external_order_gone", f"{name} is no longer resting")


def _recall(turn: Turn, event: AccountRead, seen: VenueOrder) -> None:
    """An order of ours whose record was lost with the disk: cancelled; its fills join a trade once all are listed."""
    market = event.markets.get(seen.ticker)
    trade = turn.state.trade_at(seen.ticker)
    if trade is not None:
        market = trade.market
    if market is not None and seen.updated_ms <= horizon(event):
        adopting.adopt_order(turn, seen, market)
    else:
        turn.do(CancelOrder(seen.client_order_id, seen.order_id, seen.ticker))


def _external_order(turn: Turn, seen: VenueOrder) -> None:
    """Not ours: named, counted in exposure, and left alone."""
    finding = turn.state.findings.get(f"order:{seen.order_id}")
    if finding is None or finding.order != seen:
        turn.record(Difference(turn.at_ms, "order", seen.order_id, 0, seen.remaining, order=seen))
    if finding is None:
        turn.note("warning", "external_order", f"resting order {seen.order_id} is not ours: left alone", seen.ticker)


def _settle(turn: Turn, settlement: Settlement) -> None:
    state = turn.state
    if settlement_key(settlement.ticker, settlement.settled_ms) in state.settlement_ids:
        return
    if settlement.settled_ms < state.forgotten_ms:
        return
    trade = state.trade_at(settlement.ticker)
    turn.record(SettlementBooked(turn.at_ms, settlement))
    turn.note(
        "info", "settled", f"settled {settlement.result}, paid {format_money(settlement.revenue)}", settlement.ticker
    )
    if trade is not None:
        if trade.entered:
            turn.move_trade(trade, "flat" if trade.state.value != "opening" else "entry_ended", "settlement")
            turn.note("info", "closed", f"settlement: result {format_money(trade.pnl())} after fees", trade.ticker)
        else:
            turn.move_trade(trade, "entry_ended")


def _compare(turn: Turn, event: AccountRead) -> None:
    """Our news that the reading need not show yet outranks it; what is left is a difference when it outlasts read lag.

    An order whose outcome is open hides its market and the cash. One that rests hides nothing, except that the
    balance may or may not have what it binds taken off (kalshi-api.md 4.8).
    """
    state = turn.state
    unclear = {o.ticker for o in state.orders.values() if o.outstanding() and not o.rests()}
    rows = {p.ticker: p for p in event.positions if p.count}
    theirs = {t: p.count for t, p in rows.items()}
    ours = {t: p.count for t, p in state.positions.items() if p.count}
    known = {x.key for x in state.findings.values() if x.kind == "position"}
    suspected = {k.removeprefix("position:") for k in state.suspects if k.startswith("position:")}
    young = sorted((m for m in state.moves if m.at_ms > horizon(event)), key=lambda m: m.at_ms)
    for ticker in sorted((theirs.keys() | ours.keys() | known | suspected) - unclear):
        held, seen = ours.get(ticker, 0), theirs.get(ticker, 0)
        shown = _without_newest(held, [m.count for m in young if m.ticker == ticker])
        _check(turn, event, "position", ticker, held, seen, {seen - x for x in shown}, position=rows.get(ticker))
    assert state.cash is not None
    bound = sum(o.reserved() for o in state.orders.values())
    if not unclear:
        shown = _without_newest(state.cash, [m.cash for m in young])
        gaps = {event.balance - x for x in shown}
        if claiming.explain_cash(turn, event, gaps):
            gaps = {event.balance - state.cash}
        _check(turn, event, "cash", "account", state.cash, event.balance, gaps, bound)


def horizon(event: AccountRead) -> int:
    """What happened up to then is in every part of the reading, whichever of the two clocks told its time."""
    return min(event.started_ms - LAG_MS, event.fresh_ms - CLOCKS_MS)


def _without_newest(now: int, changes: list[int]) -> list[int]:
    """What a figure was before its newest change, before its two newest, and so on; first what it is now."""
    return [now - sum(changes[n:]) for n in range(len(changes), -1, -1)]


def _check(
    turn: Turn, event: AccountRead, kind: Kind, key: str, ours: int, theirs: int, gaps: set[int], bound: int = 0,
    position: VenuePosition | None = None,
) -> None:  # fmt: skip
    """`gaps`: by how much the exchange's figure may differ from ours, each as good as the others.

    With `bound` it may be lower by up to that much besides. A finding stays what it is while the reading allows it.
    """
    state, name = turn.state, f"{kind}:{key}"
    ticker = key if kind == "position" else ""
    finding = state.findings.get(name)

    def allowed(gap: int) -> bool:
        return any(-bound <= x - gap <= 0 for x in gaps)

    if allowed(finding.theirs - finding.ours if finding else 0):
        if name in state.suspects:
            turn.record(Suspected(turn.at_ms, name, 0))
        moved = kind == "position" and finding is not None and (finding.ours, finding.theirs) != (ours, theirs)
        if moved and finding is not None and theirs - ours == finding.theirs - finding.ours:  # both traded since
            turn.record(Difference(turn.at_ms, kind, key, ours, theirs, position=position))
        return
    if finding is not None and allowed(0):
        turn.record(Difference(turn.at_ms, kind, key, ours, theirs, resolved=True))
        turn.note("info", "difference_resolved", f"{kind} agrees again", ticker)
        return
    since = state.suspects.get(name)
    if since is None:
        turn.record(Suspected(turn.at_ms, name, event.started_ms))
    elif min(event.started_ms, event.fresh_ms) - since >= LAG_MS:
        show = format_count if kind == "position" else format_money
        turn.record(Suspected(turn.at_ms, name, 0))
        turn.record(Difference(turn.at_ms, kind, key, ours, theirs, position=position))
        turn.note("alarm", f"{kind}_difference", f"{kind}: ours {show(ours)}, the exchange's {show(theirs)}", ticker)
