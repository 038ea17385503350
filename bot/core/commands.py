"""The operator's words: one table from mode and verb to mode, and what each does to entries, exits and orders."""

import msgspec

from bot.core import breakers, claiming, config, exiting, replanning, replies
from bot.core.config import Param
from bot.core.effects import CancelOrder, ResolveOrder
from bot.core.events import Command
from bot.core.facts import ConfigChanged, ModeChanged, OrderRecalled, PlanChanged, TradingMode
from bot.core.orders import Order, OrderState
from bot.core.trades import TradeState, exit_quote
from bot.core.turn import Turn

TRANSITIONS: dict[tuple[TradingMode, str], TradingMode] = {
    ("RUNNING", "start"): "RUNNING",
    ("RUNNING", "pause"): "PAUSED",
    ("RUNNING", "stop"): "REDUCING",
    ("RUNNING", "kill"): "HALTED",
    ("RUNNING", "flatten"): "REDUCING",
    ("PAUSED", "start"): "RUNNING",
    ("PAUSED", "pause"): "PAUSED",
    ("PAUSED", "stop"): "REDUCING",
    ("PAUSED", "kill"): "HALTED",
    ("PAUSED", "flatten"): "REDUCING",
    ("REDUCING", "start"): "RUNNING",
    ("REDUCING", "pause"): "PAUSED",
    ("REDUCING", "stop"): "REDUCING",
    ("REDUCING", "kill"): "HALTED",
    ("REDUCING", "flatten"): "REDUCING",
    ("HALTED", "kill"): "HALTED",
    ("HALTED", "flatten"): "HALTED",
    ("HALTED", "rearm"): "PAUSED",
}
"""In every mode exits run. Entries run in RUNNING alone. A verb that is not here is refused."""

SAYS = {
    "start": "entries are on",
    "pause": "no new entries; resting entries stay; stops and targets keep working",
    "stop": "no new entries, resting entries cancelled; stops and targets keep working",
    "kill": "halted: resting entries cancelled, no entries until re-armed; stops and targets keep working",
    "rearm": "re-armed and paused: start turns entries on",
    "flatten": "leaving every position that a trade manages; no new entries",
}


_CLAIMS = {"claim": claiming.claim, "claim_order": claiming.claim_order, "accept": claiming.accept}


def command(turn: Turn, event: Command, strategy_params: tuple[Param, ...], start_word: str = "") -> None:
    """Apply or refuse the operator's word; the answer says what it did and does not do."""
    verb = event.verb
    if verb == "close":
        return _close(turn, event)
    if verb == "plan":
        return _plan(turn, event)
    if verb == "cancel":
        return _cancel(turn, event)
    if verb in _CLAIMS:
        return _CLAIMS[verb](turn, event)
    if verb == "configure":
        return _configure(turn, event, strategy_params)
    state = turn.state
    after = TRANSITIONS.get((state.mode, verb))
    if after is None:
        hint = "re-arm first" if state.mode == "HALTED" else "not possible now"
        return turn.refuse("not_in_this_state", f"{verb}: {hint}, the state is {state.mode} ({state.mode_reason})")
    if verb == "start" and start_word and not state.started and event.args.get("confirm") != start_word:
        return turn.refuse("confirm", f'this trades with real money from now on: send {{"confirm": "{start_word}"}}')
    refusal = breakers.start(turn, event.quotes) if verb == "start" else ""
    if refusal:
        return turn.refuse("limit_reached", refusal)
    if after != state.mode or (state.mode_until_ms and after == "PAUSED"):
        turn.record(ModeChanged(turn.at_ms, after, f"{verb} by {event.actor}", event.actor))
    turn.note("warning" if verb == "kill" else "info", verb, f"{SAYS[verb]} ({event.actor})")
    if verb in ("stop", "kill", "flatten"):
        _recall_entries(turn)
    if verb == "flatten":
        return _flatten(turn, event)
    return turn.approve(verb, SAYS[verb])


def _flatten(turn: Turn, event: Command) -> None:
    """Leave every trade. What no trade manages is not ours to sell on this word: it is named, loudly."""
    bare = claiming.unmanaged(turn.state)
    for ticker in sorted(turn.state.live_trade):
        _leave(turn, ticker, event)
    for ticker, what in bare.items():
        turn.note("alarm", "not_left", f"nobody manages {what}", ticker)
    told = f". NOT left, nobody manages {'; '.join(bare.values())}" if bare else ""
    turn.approve("flatten", SAYS["flatten"] + told)


def _close(turn: Turn, event: Command) -> None:
    ticker = str(event.args.get("ticker", ""))
    if turn.state.trade_at(ticker) is None:
        held = claiming.unmanaged(turn.state).get(ticker)
        return turn.refuse("no_position", f"nobody manages {held}" if held else f"there is no live trade in {ticker}")
    _leave(turn, ticker, event)
    return turn.approve("close", f"leaving {ticker}")


def _plan(turn: Turn, event: Command) -> None:
    """Change stop, target, trailing, break-even or time exit of one trade; what the plan does not name stays."""
    change = dict(event.args)
    ticker, word = str(change.pop("ticker", "")), change.pop("confirm", None)
    trade = turn.state.trade_at(ticker)
    if trade is None:
        return turn.refuse("no_position", f"there is no live trade in {ticker}")
    if trade.state is TradeState.EXITING and trade.exit_kind != "target":
        return turn.refuse("leaving", f"{ticker} is being left already: {trade.exit_kind}")
    if not change:
        return turn.refuse("nothing_to_change", f"name what to change: {', '.join(replanning.FIELDS)}")
    if change.get("stop", "") is None and word != replanning.NO_STOP:
        return turn.refuse("confirm", f"without a stop nothing limits the loss: add confirm {replanning.NO_STOP!r}")
    quote = event.quotes.get(ticker)
    try:
        plan = replanning.replanned(trade, change, exit_quote(trade.side, quote) if quote else None, turn.at_ms)
    except ValueError as problem:
        return turn.refuse("invalid_plan", str(problem))
    turn.record(PlanChanged(turn.at_ms, trade.id, plan, event.actor))
    turn.note("info", "plan_changed", f"{replies.protection(trade)} ({event.actor})", ticker)
    return turn.approve("plan_changed", replies.protection(trade))


def _leave(turn: Turn, ticker: str, event: Command) -> None:
    trade = turn.state.trade_at(ticker)
    if trade is None:
        return
    if trade.open_count() <= 0:  # its entry is under way: what it still brings is left at once
        turn.record(
            PlanChanged(turn.at_ms, trade.id, msgspec.structs.replace(trade.plan, time_exit_ms=turn.at_ms), event.actor)
        )
        return
    if trade.state is TradeState.EXITING and trade.exit_kind == "flatten":
        return
    quote = event.quotes.get(ticker)
    exiting.fire(turn, trade, "flatten", exit_quote(trade.side, quote) if quote else None)


def _cancel(turn: Turn, event: Command) -> None:
    name = str(event.args.get("order", ""))
    order = replies.find_order(turn, name, name)
    finding = turn.state.findings.get(f"order:{name}")
    if order is None and finding is not None and finding.order is not None:
        turn.do(CancelOrder(name, name, finding.order.ticker))
        return turn.approve("cancel", f"cancelling {name}, which is not ours: the next reading says whether it is gone")
    if order is None or not order.live():
        return turn.refuse("no_order", "there is no live order with this id")
    if order.purpose == "entry":
        _recall(turn, order)
        when = "" if order.order_id else f", as soon as it is found: it is {order.state}"
        return turn.approve("cancel", f"cancelling {order.client_order_id}{when}")
    if not order.order_id:
        return turn.refuse("not_confirmed", f"the order is {order.state}: its exchange id is not known yet")
    turn.do(CancelOrder(order.client_order_id, order.order_id, order.ticker))
    trade = turn.state.trades.get(order.trade_id)
    if order.purpose == "target" and trade is not None and trade.plan.rest_target:  # else it is placed again
        turn.record(
            PlanChanged(turn.at_ms, trade.id, msgspec.structs.replace(trade.plan, rest_target=False), event.actor)
        )
        return turn.approve(
            "cancel", f"cancelling {order.client_order_id}; the target is taken on the tick from now on"
        )
    return turn.approve("cancel", f"cancelling {order.client_order_id}")


def _recall_entries(turn: Turn) -> None:
    for order in turn.state.orders.values():
        if order.purpose == "entry" and order.live():
            _recall(turn, order)


def _recall(turn: Turn, order: Order) -> None:
    """Cancel an entry. That it is called back is a fact: no later word, and no restart, changes it."""
    if not order.recall:
        turn.record(OrderRecalled(turn.at_ms, order.client_order_id))
    if order.order_id:
        turn.do(CancelOrder(order.client_order_id, order.order_id, order.ticker))
    elif order.state is OrderState.UNKNOWN:
        turn.do(ResolveOrder(order.client_order_id, order.ticker, order.sent_ms or order.created_ms))


def _configure(turn: Turn, event: Command, strategy_params: tuple[Param, ...]) -> None:
    try:
        after = config.changed(turn.state.config, strategy_params, event.args, event.actor)
    except ValueError as problem:
        return turn.refuse("invalid_config", str(problem))
    turn.record(ConfigChanged(turn.at_ms, after))
    turn.note("info", "configured", f"settings version {after.version} by {event.actor}")
    return turn.approve("configured", f"settings version {after.version}")
