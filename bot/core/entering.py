"""Decides entries: the gates in order, then risk, then the bracket with its entry order."""

from collections.abc import Mapping

from bot.core import breakers, replies, risk
from bot.core.effects import PlaceOrder
from bot.core.events import Propose
from bot.core.facts import OrderIntended, TradeOpened
from bot.core.orders import Order, OrderState
from bot.core.turn import Turn
from bot.core.units import ONE, format_count, format_price
from bot.core.venue import Quote

RECONCILE_GRACE_MS = 5_000
"""A reading takes time: the last one may be this much older than the interval before entries stop."""

SHOWN_GRACE_MS = 45_000
"""Its listings may lag besides, and the exchange's clock, which says how far, lie up to 30 s behind ours
(kalshi-api.md 2.4): the moment that all of it shows may be this much older than the interval."""


def propose(turn: Turn, event: Propose, reconcile_interval_ms: int) -> None:
    """Open a bracket for the proposal, or refuse it with a reason code."""
    breakers.judge(turn)
    refusal = _gate(turn, event, reconcile_interval_ms)
    if refusal:
        return turn.refuse(*refusal)
    refused = risk.check_entry(turn.state, event.proposal, turn.at_ms)
    if refused:
        return turn.refuse(refused.code, refused.text)
    _open(turn, event)
    return None


def send_again(turn: Turn, quotes: Mapping[str, Quote | None]) -> None:
    """Hand deferred entries to the executor whose time has come, or give up those whose signal has lapsed."""
    state, now = turn.state, turn.at_ms
    for order in state.orders.values():
        if order.state is not OrderState.DEFERRED or now < order.again_ms:
            continue
        if order.ticker not in quotes and now <= order.valid_until_ms:
            continue
        until_ms = state.trades[order.trade_id].plan.time_exit_ms
        lapsed = _lapsed(order, until_ms, quotes.get(order.ticker), now)
        if lapsed:
            replies.drop(turn, order, lapsed)
        else:
            turn.move_order(order, "again")
            turn.do(_place(order))


def _lapsed(order: Order, time_exit_ms: int | None, quote: Quote | None, now_ms: int) -> str:
    """Why a deferred entry is not wanted any more, '' when it is. Its age and the mode are judged when it is sent."""
    if time_exit_ms is not None and now_ms >= time_exit_ms:
        return "its trade is to be left already"
    if quote is None:
        return "no price is known any more"
    there = quote.ask if order.side == "bid" else quote.bid
    beyond = there is None or (there > order.price if order.side == "bid" else there < order.price)
    if order.time_in_force != "good_till_canceled" and beyond:
        return f"the price moved away: {'none' if there is None else format_price(there)} is offered now"
    return ""


def _place(order: Order) -> PlaceOrder:
    return PlaceOrder(
        order.client_order_id, order.ticker, order.side, order.price, order.count, order.time_in_force, "entry",
        "taker_at_cross",
    )  # fmt: skip


def _gate(turn: Turn, event: Propose, reconcile_interval_ms: int) -> tuple[str, str] | None:
    state, proposal, now = turn.state, event.proposal, turn.at_ms
    market = proposal.market
    if state.mode != "RUNNING":
        return "not_running", f"entries are off: {state.mode} ({state.mode_reason})"
    if not event.journal_ok:
        return "journal_failing", "the journal cannot be written: entries wait until it can"
    if state.cash is None:
        return "no_baseline", "the account has not been read yet"
    age = now - state.reconciled_ms
    if age > reconcile_interval_ms + RECONCILE_GRACE_MS:
        return "not_reconciled", f"the last full reconciliation is {age} ms old"
    shown = now - state.read_ms
    if shown > reconcile_interval_ms + SHOWN_GRACE_MS:
        return "not_reconciled", f"the last full reconciliation shows the account as it was {shown} ms ago"
    if "cash:account" in state.findings:
        return "cash_difference", "our cash differs from the exchange's balance: entries stop until it is explained"
    if f"position:{market.ticker}" in state.findings:
        return "position_difference", "our position differs from the exchange's in this market"
    if f"channel:{market.ticker}" in state.findings:
        return "channel_difference", "our books differ from what the private channels say of this market"
    if any(x.order is not None and x.order.ticker == market.ticker for x in state.findings.values()):
        return "external_order", "somebody else's order rests in this market"
    if state.live_trade.get(market.ticker):
        return "market_owned", "a trade is live in this market"
    if state.position(market.ticker).count:
        return "position_exists", "there is a position without a trade in this market"
    if any(o.ticker == market.ticker and o.outstanding() for o in state.orders.values()):
        return "order_outstanding", "an earlier order in this market is not settled yet"
    calm_since = now - state.config.risk["cooldown"] * 1000
    if any(
        t.ticker == market.ticker and t.exit_kind == "stop" and t.closed_ms > calm_since for t in state.trades.values()
    ):
        return "cooldown", f"its stop fired less than {state.config.risk['cooldown']} s ago"
    if not state.tradeable(market.ticker) or market.status != "active" or now >= market.close_ms:
        return "market_inactive", f"the market is {state.status.get(market.ticker, market.status)}"
    if event.quote_age_ms > state.config.risk["max_quote_age"] * 1000:
        return "stale_quote", f"the quote is {event.quote_age_ms} ms old"
    if not market.grid.valid(proposal.limit):
        return "off_grid", f"{format_price(proposal.limit)} is not a price of this market"
    if proposal.count < 1:
        return "no_size", "nothing to buy at this size"
    return None


def _open(turn: Turn, event: Propose) -> None:
    proposal, now = event.proposal, turn.at_ms
    trade_id = turn.new_id()
    turn.record(
        TradeOpened(now, trade_id, proposal.market.ticker, proposal.side, proposal.strategy, proposal.market,
                    proposal.plan, proposal.reason, turn.state.config.version)
    )  # fmt: skip
    client_order_id = f"{trade_id}.e"
    turn.record(
        OrderIntended(now, client_order_id, trade_id, proposal.market.ticker, proposal.side, proposal.limit,
                      proposal.count, proposal.time_in_force, "entry", risk.entry_fee(proposal),
                      now + proposal.valid_ms)
    )  # fmt: skip
    turn.do(_place(turn.state.orders[client_order_id]))
    long = proposal.side == "bid"
    held = proposal.limit if long else ONE - proposal.limit
    what = f"{'YES' if long else 'NO'} {format_count(proposal.count)} at up to {format_price(held)}"
    turn.note("info", "entry", f"enter {what}: {proposal.reason}", proposal.market.ticker)
    turn.approve("entered", trade_id)
