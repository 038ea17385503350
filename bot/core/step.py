"""The one door: an event in; facts and effects out. Decides everything, performs nothing."""

import msgspec

from bot.core import accounting, breakers, commands, entering, events, exiting, replies
from bot.core.config import Config, Param
from bot.core.cross_check import cross_check
from bot.core.effects import ResolveOrder
from bot.core.facts import Booted, ClockSetBack, ConfigChanged, ModeChanged, OrderRecalled
from bot.core.orders import OrderState
from bot.core.state import TradingState
from bot.core.turn import Turn

SET_BACK_MS = 1_000
"""An event that much before the newest fact says that the clock was set back; less, that it is being adjusted."""


class Rules(msgspec.Struct, frozen=True):
    """What `step` needs to know that is not state: the strategy's parameters and the reconciliation interval.

    `start_word` has to be typed before entries are turned on for the first time; '' where nothing is at stake.
    """

    strategy_params: tuple[Param, ...]
    reconcile_interval_ms: int
    start_word: str = ""


def step(state: TradingState, event: events.Event, rules: Rules) -> Turn:
    """Decide one event. The returned turn holds the facts (already folded into `state`), the effects and the answer.

    A defect of ours stops entries, loudly, and leaves exits running; what was decided before it stands.
    """
    turn = Turn(state, event.at_ms)
    try:
        if event.at_ms < state.clock_ms - SET_BACK_MS:
            _set_back(turn, state.clock_ms - event.at_ms)
        _decide(turn, event, rules)
    except Exception as defect:  # the one place where our own bugs become state (DESIGN.md section 3)
        what = f"defect on {type(event).__name__}: {type(defect).__name__}: {defect}"
        turn.defect = defect
        _pause(turn, what)
        turn.note("alarm", "defect", what)
        if turn.answer is None:
            turn.refuse("defect", what)
    return turn


def _decide(turn: Turn, event: events.Event, rules: Rules) -> None:
    match event:
        case events.Tick():
            exiting.tick(turn, event)
        case events.Sweep():
            exiting.sweep(turn, event)
            cross_check(turn, event)
            breakers.judge(turn, event.quotes)
            entering.send_again(turn, event.quotes)
        case events.FillSeen():
            replies.fill_seen(turn, event)
        case events.OrderSeen():
            replies.order_seen(turn, event)
        case events.Sending():
            replies.sending(turn, event)
        case events.CreateReplied():
            replies.create_replied(turn, event)
        case events.AmendReplied():
            replies.amend_replied(turn, event)
        case events.CancelReplied():
            replies.cancel_replied(turn, event)
        case events.OrderResolved():
            replies.order_resolved(turn, event)
        case events.AccountRead():
            accounting.account_read(turn, event)
        case events.MarketChange():
            accounting.market_changed(turn, event)
        case events.Propose():
            entering.propose(turn, event, rules.reconcile_interval_ms)
        case events.Command():
            commands.command(turn, event, rules.strategy_params, rules.start_word)
        case events.Boot():
            _boot(turn, event)


def _set_back(turn: Turn, by_ms: int) -> None:
    turn.record(ClockSetBack(turn.at_ms, by_ms))
    turn.note("warning", "clock_set_back", f"the clock was set back by {by_ms / 1000:g} s or more: stops go on")


def _pause(turn: Turn, why: str) -> None:
    """Entries are off until the operator starts them."""
    if turn.state.mode == "RUNNING" or turn.state.mode_until_ms:  # a breaker's pause would end by itself
        turn.record(ModeChanged(turn.at_ms, "PAUSED", why, "system"))


def _boot(turn: Turn, event: events.Boot) -> None:
    """Take over the journal: what may have been sent is UNKNOWN and looked up; every open trade is armed at once."""
    state = turn.state
    if state.facts == 0:
        turn.record(ConfigChanged(turn.at_ms, state.config))
        turn.record(ModeChanged(turn.at_ms, state.mode, state.mode_reason, state.mode_actor))
    turn.record(Booted(turn.at_ms, event.boot, event.lost))
    if event.lost:
        what = f"the last {event.lost} records of the journal are lost"
        _pause(turn, what)
        turn.note(
            "alarm", "journal_lost",
            f"{what}: what is held is protected as the exchange shows it, plans stand as they were before; entries are "
            "off until you look and start them",
        )  # fmt: skip
    merged = Config(
        state.config.version + 1, "upgrade", event.defaults.risk | state.config.risk,
        event.defaults.strategy | state.config.strategy,
    )  # fmt: skip
    if (merged.risk, merged.strategy) != (state.config.risk, state.config.strategy):
        turn.record(ConfigChanged(turn.at_ms, merged))
    for order in turn.state.orders.values():
        if order.purpose == "entry" and order.live() and state.mode in ("REDUCING", "HALTED") and not order.recall:
            turn.record(OrderRecalled(turn.at_ms, order.client_order_id))  # by a version that did not record it
        if order.state is OrderState.DEFERRED:
            replies.drop(turn, order, "the program restarted")
        if order.state in (OrderState.INTENT, OrderState.SENDING):
            turn.move_order(order, "lost", reason="the program restarted")
        if order.state is OrderState.UNKNOWN:
            turn.do(ResolveOrder(order.client_order_id, order.ticker, order.sent_ms or order.created_ms))
    for ticker, trade_id in sorted(turn.state.live_trade.items()):
        trade = turn.state.trades[trade_id]
        if trade.open_count():
            turn.note("info", "armed", f"{replies.protection(trade)} (restored)", ticker)
