"""Decides the operator's word on what is not ours: a position or an order is claimed, a difference is accepted."""

from collections.abc import Mapping
from typing import Any

from bot.core import adopting, replanning, replies
from bot.core.events import AccountRead, Command
from bot.core.facts import CashMoved, Difference, PositionAdopted
from bot.core.positions import Position, closed
from bot.core.state import TradingState
from bot.core.trades import Trade, exit_quote
from bot.core.turn import Turn
from bot.core.units import ONE, Count, Money, format_count, format_money, parse_count, parse_money
from bot.core.venue import Side, Transfer


def claim(turn: Turn, event: Command) -> None:
    """Take a position that nobody manages under management: with the default plan, changed by what the word names."""
    change: dict[str, Any] = dict(event.args)
    ticker, market = str(change.pop("ticker", "")), event.market
    change.pop("reason", None)
    position = turn.state.position(ticker)
    if not position.count:
        return turn.refuse("no_position", f"there is no position in {ticker}")
    if turn.state.trade_at(ticker) is not None:
        return turn.refuse("market_owned", f"a trade is live in {ticker}: close it, or change its plan")
    if f"position:{ticker}" in turn.state.findings:
        return turn.refuse("position_difference", f"our position in {ticker} differs: accept the difference first")
    if market is None:
        return turn.refuse("no_market", f"{ticker} cannot be read now: try again")
    quote = event.quotes.get(ticker)
    side: Side = "bid" if position.count > 0 else "ask"
    plan = adopting.default_plan(turn.state, market, side, position.cost // abs(position.count), quote)
    if change:
        draft = Trade("", ticker, side, "claimed", market, plan, turn.at_ms)
        try:
            plan = replanning.replanned(draft, change, exit_quote(side, quote) if quote else None, turn.at_ms)
        except ValueError as problem:
            return turn.refuse("invalid_plan", str(problem))
    trade = adopting.adopt_position(turn, market, plan, "claimed", f"claimed by {event.actor}")
    return turn.approve("claimed", replies.protection(trade))


def unmanaged(state: TradingState) -> dict[str, str]:
    """Ticker -> what is held there, as far as we were told, that no trade of ours leaves; and what to do about it."""
    found = {}
    for ticker in sorted(state.positions.keys() | {x.key for x in state.findings.values() if x.kind == "position"}):
        trade, finding = state.trade_at(ticker), state.findings.get(f"position:{ticker}")
        if trade is not None and any(
            o.purpose == "entry" and o.live() and not o.order_id for o in state.orders_of(trade.id)
        ):
            continue  # what is held beyond the trade may be of its own entry
        held = state.position(ticker).count if finding is None else finding.theirs
        managed = 0 if trade is None else trade.open_count() if trade.side == "bid" else -trade.open_count()
        rest = abs(held) - (abs(managed) if held * managed > 0 else 0)
        if rest > 0:
            first = "" if finding is None else "accept the difference, "
            side = "YES" if held > 0 else "NO"
            found[ticker] = f"{format_count(Count(rest))} {side} in {ticker} ({first}claim it, then close it)"
    return found


def claim_order(turn: Turn, event: Command) -> None:
    """Take a resting order that is not ours for the entry of a new trade with the default plan; it goes on resting."""
    name = f"order:{event.args.get('order', '')}"
    finding = turn.state.findings.get(name)
    order = finding.order if finding is not None else None
    if order is None:
        return turn.refuse("no_order", "no resting order of somebody else has this id")
    if turn.state.trade_at(order.ticker) is not None or turn.state.position(order.ticker).count:
        return turn.refuse("market_owned", f"something is held in {order.ticker}: an order is claimed where nothing is")
    if event.market is None:
        return turn.refuse("no_market", f"{order.ticker} cannot be read now: try again")
    turn.record(Difference(turn.at_ms, "order", order.order_id, 0, 0, resolved=True))
    adopting.adopt_order(turn, order, event.market, "claimed", f"claimed by {event.actor}")
    return turn.approve("claimed", f"{order.order_id}: what it fills gets the default plan")


def accept(turn: Turn, event: Command) -> None:
    """Take the exchange's figure for a named difference: only with its amount as it is now, never as a profit."""
    name = str(event.args.get("difference", ""))
    finding = turn.state.findings.get(name)
    if finding is None or finding.kind not in ("cash", "position"):
        known = ", ".join(sorted(k for k, x in turn.state.findings.items() if x.kind in ("cash", "position"))) or "none"
        return turn.refuse("no_difference", f"there is no difference {name!r}; open now: {known}")
    gap = finding.theirs - finding.ours
    show, parse = (format_money, parse_money) if finding.kind == "cash" else (format_count, parse_count)
    try:
        given = int(parse(str(event.args.get("amount", ""))))
    except ValueError as problem:
        return turn.refuse("invalid_amount", f"amount: {problem}; the difference is {show(gap)}")
    if given != gap:
        return turn.refuse("amount_changed", f"the difference is {show(gap)} now, not {show(given)}: look again")
    if finding.kind == "position" and turn.state.position(finding.key).count != finding.ours:
        return turn.refuse(
            "amount_changed", "our position has changed since the last reading: try again after the next"
        )
    if finding.kind == "cash":
        result = _recovered(turn, gap)
        turn.record(CashMoved(turn.at_ms, Money(gap), "", event.actor, result))
    else:
        found = finding.position
        cost, realized, fees = (found.cost, found.realized, found.fees) if found else (Money(0), Money(0), Money(0))
        lost = _lost(turn.state.position(finding.key), finding.theirs, cost)
        turn.record(PositionAdopted(turn.at_ms, finding.key, Count(finding.theirs), cost, realized, fees, lost=lost))
        result = Money(-lost)
    turn.record(Difference(turn.at_ms, finding.kind, finding.key, finding.theirs, finding.theirs, resolved=True))
    ticker = finding.key if finding.kind == "position" else ""
    text = f"{finding.kind} difference of {show(gap)} accepted ({event.actor})"
    text += f", booked as a result of {format_money(result)}" if result else ""
    turn.note("warning", "difference_accepted", text, ticker)
    return turn.approve("accepted", text)


def _lost(ours: Position, theirs: int, cost: Money) -> Money:
    """What the contracts cost that the exchange has no more. They left by fills that nobody told us of, and what they
    brought is a difference in cash, which is accepted by a word of its own: until then all of it is lost."""
    if not closed(ours.count, theirs):
        return Money(0)
    left = cost if ours.count * theirs > 0 else 0
    return Money(max(ours.cost - left, 0))


def _recovered(turn: Turn, gap: int) -> Money:
    """How much of accepted cash the contracts brought that were booked as lost today: their cost at most, so that no
    word makes a profit; and none of cash that is more than a dollar for each of them, for that was paid in."""
    state = turn.state
    today = turn.at_ms // 86_400_000 == state.day
    return Money(min(gap, state.gone_cost) if today and 0 < gap <= state.gone * ONE else 0)


def explain_cash(turn: Turn, event: AccountRead, gaps: set[int]) -> bool:
    """Book the deposits and withdrawals the exchange itself names, when they are exactly what our books lack."""
    state = turn.state
    if 0 in gaps:
        return False
    new = [t for t in event.transfers if t.id not in state.transfers and t.at_ms >= state.began_ms]
    choices = [[t] for t in new] + ([new] if len(new) > 1 else [])
    for chosen in choices:
        for amounts in ([t.amount for t in chosen], [t.amount - t.fee for t in chosen]):
            if sum(amounts) in gaps:
                for transfer, amount in zip(chosen, amounts, strict=True):
                    _book(turn, transfer, Money(amount))
                return True
    return False


def _book(turn: Turn, transfer: Transfer, amount: Money) -> None:
    turn.record(CashMoved(turn.at_ms, amount, transfer.id, "exchange"))
    what = "deposit" if amount > 0 else "withdrawal"
    turn.note("info", what, f"{what} of {format_money(abs(amount))}: booked, no profit")


def wanted_market(state: TradingState, verb: str, args: Mapping[str, object]) -> str:
    """The ticker whose market the word needs; '' when none."""
    if verb == "claim":
        return str(args.get("ticker", ""))
    if verb == "claim_order":
        finding = state.findings.get(f"order:{args.get('order', '')}")
        return finding.order.ticker if finding is not None and finding.order is not None else ""
    return ""
