"""Compares our books with what the exchange last told of each market, on every sweep and without a request."""

from bot.core.effects import Reconcile
from bot.core.events import Sweep, Told
from bot.core.facts import Difference, Suspected
from bot.core.orders import has_our_form
from bot.core.positions import closing_side
from bot.core.replies import find_order
from bot.core.trades import TradeState
from bot.core.turn import Turn
from bot.core.units import Count, format_count

PAID = ("determined", "finalized")

CHANNELS_LAG_MS = 4_000
"""Fills, orders and positions come over channels of their own, in any order and about a second apart at the most
(kalshi-api.md 11.2); what is still said by the second sweep after is no lag."""


def cross_check(turn: Turn, event: Sweep) -> None:
    """A disagreement that outlasts the channels' lag is an alarm, and the account is read at once."""
    state = turn.state
    if event.told is None:
        return
    open_ = {x.key for x in state.findings.values() if x.kind == "channel"}
    open_ |= {name.removeprefix("channel:") for name in state.suspects if name.startswith("channel:")}
    for ticker in sorted(event.told.keys() | open_):
        if ticker not in event.told and not state.reconciled_ms:
            continue  # a program that has just begun has been told nothing yet
        name, told = f"channel:{ticker}", event.told.get(ticker, Told(Count(0)))
        ours = state.position(ticker).count
        paid = state.status.get(ticker) in PAID  # a reading says what, and may say so late
        what = "" if paid else _disagreement(turn, ticker, told)
        if not what:
            if name in state.suspects:
                turn.record(Suspected(turn.at_ms, name, 0))
            if name in state.findings:
                turn.record(Difference(turn.at_ms, "channel", ticker, ours, ours, resolved=True))
                turn.note("info", "channel_agrees", "nothing that the private channels say differs any more", ticker)
        elif name in state.findings:
            continue
        elif name not in state.suspects:
            turn.record(Suspected(turn.at_ms, name, turn.at_ms))
        elif turn.at_ms - state.suspects[name] >= CHANNELS_LAG_MS:
            turn.record(Difference(turn.at_ms, "channel", ticker, ours, told.count))
            turn.note("alarm", "channel_difference", what, ticker)
            turn.do(Reconcile(f"{ticker}: {what}"))


def _disagreement(turn: Turn, ticker: str, told: Told) -> str:
    """'' when position, working exits and armed size fit together."""
    state = turn.state
    held = state.position(ticker).count
    if held != told.count:
        return f"position: ours {format_count(held)}, the channel's {format_count(told.count)}"
    leaving = 0
    for seen in told.resting:
        order = find_order(turn, seen.order_id, seen.client_order_id)
        if order is None and not has_our_form(seen.client_order_id):
            continue
        if order is None or not order.live():
            return f"order {seen.client_order_id or seen.order_id} rests, our books call it ended"
        if held and seen.side == closing_side(held):
            leaving += seen.remaining
    if leaving > abs(held):
        return f"exits of {format_count(leaving)} work on a position of {format_count(abs(held))}"
    trade = state.trade_at(ticker)
    if trade is None:
        return ""
    armed = trade.open_count() if trade.state in (TradeState.OPEN, TradeState.EXITING) else 0
    if abs(held) > armed:
        return f"exits are armed for {format_count(armed)} of {format_count(abs(held))}"
    return ""
