"""The operator's change of one trade's exit plan: what is asked for, checked as a whole, in terms of the side held."""

from collections.abc import Mapping
from typing import Any

import msgspec

from bot.core.trades import TRAIL_STEP, ExitPlan, Trade
from bot.core.units import ONE, Price, format_price, parse_price

FIELDS = ("stop", "target", "trail", "break_even_after", "time_exit_ms", "rest_target")

NO_STOP = "NO STOP"
"""The word that taking a stop away needs."""


def replanned(trade: Trade, change: Mapping[str, Any], price: Price | None, now_ms: int) -> ExitPlan:
    """The plan with `change` applied. Prices and distances are decimal strings of the side held, None takes one away.

    `price` is the YES price the trade can be left at. ValueError names every problem, and then nothing changes: what
    would fire at once is a mistake, for leaving now there is `close`.
    """
    problems: list[str] = []
    plan = trade.plan
    long = trade.side == "bid"
    seen = None if price is None else price if long else ONE - price
    for name in change:
        if name not in FIELDS:
            problems.append(f"{name}: unknown; known: {', '.join(FIELDS)}")
    for name, side in (("stop", -1), ("target", 1)):
        text = change.get(name)
        if text is None:
            continue
        held = _price(name, text, problems)
        if held is None:
            continue
        at = Price(held if long else ONE - held)
        if not trade.market.grid.valid(at):
            problems.append(f"{name}: {format_price(held)} is not a price of this market")
        elif seen is None:
            problems.append(f"{name}: there is no price now to compare it with; try again when there is one")
        elif (held - seen) * side <= 0:
            where = "above" if side > 0 else "below"
            problems.append(f"{name}: has to be {where} {format_price(seen)}, the price now, or it would fire at once")
        plan = msgspec.structs.replace(plan, **{name: at})
    for name in ("trail", "break_even_after"):
        text = change.get(name)
        distance = None if text is None else _price(name, text, problems)
        if distance is not None and not TRAIL_STEP <= distance < ONE:
            problems.append(f"{name}: a distance from 0.0100 to 0.9999")
        if distance is not None:
            plan = msgspec.structs.replace(plan, **{name: distance})
    until = change.get("time_exit_ms")
    if until is not None:
        whole = isinstance(until, int) and not isinstance(until, bool)
        if whole and now_ms < until <= trade.market.close_ms:
            plan = msgspec.structs.replace(plan, time_exit_ms=until)
        else:
            problems.append("time_exit_ms: a time to come, at most the market's close, in milliseconds since 1970")
    gone = {name: None for name in FIELDS if name in change and change[name] is None}
    rests = change.get("rest_target", plan.rest_target)
    if not isinstance(rests, bool):
        problems.append("rest_target: true or false")
    plan = msgspec.structs.replace(plan, **{**gone, "rest_target": rests is True})
    if change.get("rest_target") and plan.target is None:
        problems.append("rest_target: there is no target to rest")
    if "stop" in change and plan.stop is None and (plan.trail is not None or plan.break_even_after is not None):
        problems.append("stop: trail and break_even_after would set it again; take them away too")
    if problems:
        raise ValueError("; ".join(problems))
    return plan


def _price(name: str, text: object, problems: list[str]) -> Price | None:
    try:
        return parse_price(text)  # type: ignore[arg-type]
    except ValueError as problem:
        problems.append(f"{name}: {problem}")
        return None
