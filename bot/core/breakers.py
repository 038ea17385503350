"""Breakers: what turns entries off by itself, for how long, and what turns them on again. Exits are never asked."""

from collections.abc import Mapping

from bot.core.facts import Marked, ModeChanged, TradingMode
from bot.core.positions import Position, mark_value
from bot.core.risk import DAY_MS, Use
from bot.core.state import TradingState
from bot.core.turn import Turn
from bot.core.units import ONE, Money, format_money
from bot.core.venue import Quote

TRANSITIONS: dict[tuple[TradingMode, str], TradingMode] = {
    ("RUNNING", "tripped"): "PAUSED",
    ("PAUSED", "tripped"): "PAUSED",
    ("PAUSED", "ended"): "RUNNING",
}
"""Elsewhere entries are off by the operator's word, and only his word turns them on. A pause of the operator has no
end; one of a breaker is made longer by the next that trips, never shorter."""

Quotes = Mapping[str, Quote | None]

FIRST_PRICE_MS = 60_000
"""So long after a restart, and after midnight, equity waits for prices; then what has none counts at its stop."""


def judge(turn: Turn, quotes: Quotes | None = None) -> None:
    """On each sweep, and before each entry: end a pause that is over, begin one for what has tripped.

    Equity is judged where every price of what is held is at hand, or known not to be. A restart has none yet.
    """
    state, now = turn.state, turn.at_ms
    profit = None
    if quotes is not None and _at_hand(state, now, quotes):
        profit = profit_at(state, quotes)
        _mark(turn, profit, _priced(state, quotes))
    if state.mode == "PAUSED" and state.mode_until_ms and now >= state.mode_until_ms:
        _move(turn, "ended", f"over: {state.mode_reason}", 0)
        turn.note("info", "entries_resumed", state.mode_reason)
    for use, until_ms in _tripped(state, now, profit):
        if state.mode == "RUNNING" or (state.mode == "PAUSED" and _longer(until_ms, state.mode_until_ms)):
            _move(turn, "tripped", f"{use.name}: {_told(use)}", until_ms)
            turn.note("alarm", use.name, f"entries pause, {state.mode_reason}")


def start(turn: Turn, quotes: Quotes) -> str:
    """Why the operator's start is refused, '' when it is not. It takes a drawdown for granted and counts it anew."""
    state, now = turn.state, turn.at_ms
    if state.cash is None:
        return ""
    profit = profit_at(state, quotes)
    day, drawdown = _money_uses(state, now, profit)
    if day.value > day.limit:
        return f"{day.name}: {_told(day)}; entries are off until 00:00 UTC, or until the limit is raised"
    if drawdown.value > drawdown.limit:
        if now // DAY_MS <= state.marked_day:
            turn.record(Marked(now, Money(profit), state.day_open, state.day_unpriced))
        else:
            turn.record(Marked(now, Money(profit), Money(profit), not _priced(state, quotes)))
        turn.note("warning", "drawdown_accepted", f"{_told(drawdown)}: counted anew from here")
    return ""


def uses(state: TradingState, now_ms: int, quotes: Quotes) -> list[Use]:
    """Every breaker with what has come together against it."""
    return [*_money_uses(state, now_ms, profit_at(state, quotes)), *_counts(state, now_ms)]


def profit_at(state: TradingState, quotes: Quotes) -> int:
    """Realised and unrealised result after fees since the books began; money paid in or out is no part of it.

    A position counts at the price one can leave at; without one at its stop, or at its cost where that is lower.
    """
    unrealized = 0
    for position in state.positions.values():
        mark = mark_value(position, quotes.get(position.ticker))
        unrealized += (_at_stop(state, position) if mark is None else mark) - position.cost
    return state.realized + unrealized


def _at_stop(state: TradingState, position: Position) -> int:
    trade = state.trade_at(position.ticker)
    if trade is None or trade.plan.stop is None:
        return position.cost
    each = trade.plan.stop if position.count > 0 else ONE - trade.plan.stop
    return min(each * abs(position.count), position.cost)


def _at_hand(state: TradingState, now_ms: int, quotes: Quotes) -> bool:
    """Every price is known, or it is late enough to believe that none comes. An empty side is known."""
    if state.cash is None or not quotes.keys() >= state.held_markets():
        return False
    since, today = state.booted_ms, now_ms // DAY_MS
    if today > state.marked_day:
        since = max(since, today * DAY_MS)
    known = all(quotes[ticker] is not None for ticker, position in state.positions.items() if position.count)
    return known or not 0 <= now_ms - since < FIRST_PRICE_MS


def _priced(state: TradingState, quotes: Quotes) -> bool:
    return all(mark_value(state.position(t), quotes.get(t)) is not None for t in {*quotes, *state.held_markets()})


def _mark(turn: Turn, profit: int, priced: bool) -> None:
    """Record where the day began, and a new peak: when it is a hundredth of the limit higher, not with every tick.

    The first mark of all is a peak: what was lost before, by books older than marks, is no drawdown. A day that began
    while something had no price began no lower than the first full set of prices says: its limit is never loosened."""
    state, now = turn.state, turn.at_ms
    new_day = now // DAY_MS > state.marked_day
    corrected = not new_day and state.day_unpriced and priced
    if new_day or corrected or profit - state.peak >= state.config.risk["max_drawdown"] // 100:
        day_open = profit if new_day else max(profit, state.day_open) if corrected else state.day_open
        peak = max(profit, state.peak) if state.marked_day else profit
        unpriced = not priced if new_day else state.day_unpriced and not corrected
        turn.record(Marked(now, Money(peak), Money(day_open), unpriced))


def _tripped(state: TradingState, now_ms: int, profit: int | None) -> list[tuple[Use, int]]:
    """What has tripped, and until when entries rest; 0 until the operator starts them."""
    pause_until = now_ms + state.config.risk["breaker_pause"] * 1000
    found = [(use, pause_until) for use in _counts(state, now_ms) if use.value >= use.limit]
    if profit is not None:
        day, drawdown = _money_uses(state, now_ms, profit)
        found += [(day, (now_ms // DAY_MS + 1) * DAY_MS)] if day.value > day.limit else []
        found += [(drawdown, 0)] if drawdown.value > drawdown.limit else []
    return found


def _money_uses(state: TradingState, now_ms: int, profit: int) -> tuple[Use, Use]:
    limits = state.config.risk
    lost_today = state.day_open - profit if now_ms // DAY_MS <= state.marked_day else 0
    return (
        Use("max_daily_loss", "money", lost_today, limits["max_daily_loss"]),
        Use("max_drawdown", "money", state.peak - profit, limits["max_drawdown"]),
    )


def _counts(state: TradingState, now_ms: int) -> list[Use]:
    limits = state.config.risk
    lately = sum(at > now_ms - limits["error_window"] * 1000 for at in state.errors)
    return [
        Use("max_loss_streak", "number", state.loss_streak, limits["max_loss_streak"]),
        Use("max_rejects", "number", state.rejects, limits["max_rejects"]),
        Use("max_errors", "number", lately, limits["max_errors"]),
    ]


def _move(turn: Turn, event: str, reason: str, until_ms: int) -> None:
    after = TRANSITIONS[turn.state.mode, event]
    turn.record(ModeChanged(turn.at_ms, after, reason, "breaker", until_ms))


def _longer(until_ms: int, than_ms: int) -> bool:
    return than_ms != 0 and (until_ms == 0 or until_ms > than_ms)


def _told(use: Use) -> str:
    show = format_money if use.kind == "money" else str
    return f"{show(use.value)}, the limit is {show(use.limit)}"
