"""Decides what becomes of orders and positions that this journal did not make: protected, called back, or left alone.

Ours are those with our form of client order id: their record was lost with the disk. They get the default plan, and
what rests of them is cancelled. Anybody else's are named and counted, and touched on the operator's word alone.
"""

from bot.core import replies
from bot.core.events import AccountRead
from bot.core.facts import MarketMoved, OrderAdopted, TradeOpened
from bot.core.orders import Purpose, has_our_form
from bot.core.state import TradingState
from bot.core.trades import ExitPlan, Trade, exit_quote
from bot.core.turn import Turn
from bot.core.units import ONE, Count, Money, Price
from bot.core.venue import Market, Quote, Side, VenueOrder

ADOPTED = "adopted"
"""The strategy of trades that nobody decided on."""

FOUND = "found on the exchange"
FORGOTTEN = "ours, its record was lost: cancelled where it rests, its fills protected"


def wanted_markets(state: TradingState, resting: list[VenueOrder]) -> set[str]:
    """Tickers of what a reading may have to adopt."""
    orders = {o.ticker for o in resting if has_our_form(o.client_order_id) and o.order_id not in state.order_ids}
    fills = {b.fill.ticker for b in state.unclaimed.values() if replies.stray(state, b.fill)}
    return {t for t in orders | fills | state.unprotected if t not in state.live_trade}


def adopt_found(turn: Turn, event: AccountRead) -> None:
    """Positions of the baseline get the default plan, each with the first reading that shows its market."""
    state = turn.state
    for ticker in sorted(state.unprotected - state.live_trade.keys()):
        market, position = event.markets.get(ticker), state.position(ticker)
        if market is not None:
            side: Side = "bid" if position.count > 0 else "ask"
            each = position.cost // abs(position.count)
            plan = default_plan(state, market, side, each, event.quotes.get(ticker))
            adopt_position(turn, market, plan, ADOPTED, FOUND)
        elif not state.reconciled_ms:  # once for each start
            turn.note("alarm", "unprotected", "position found, its market could not be read: no stop yet", ticker)


def adopt_position(turn: Turn, market: Market, plan: ExitPlan, strategy: str, reason: str) -> Trade:
    """A trade over the whole position, which is booked already."""
    held = turn.state.position(market.ticker)
    side: Side = "bid" if held.count > 0 else "ask"
    trade = _open(turn, market, side, plan, strategy, reason, Count(abs(held.count)), held.cost)
    turn.note("warning", strategy, f"{reason}; {replies.protection(trade)}", market.ticker)
    return trade


def adopt_order(turn: Turn, seen: VenueOrder, market: Market, strategy: str = ADOPTED, reason: str = FORGOTTEN) -> None:
    """Make it an order of the live trade, else of a new one with the default plan; one that was forgotten is cancelled.

    `seen` names no fill that we do not know yet.
    """
    state = turn.state
    trade = state.trade_at(seen.ticker)
    if trade is None:
        each = seen.price if seen.side == "bid" else ONE - seen.price
        plan = default_plan(state, market, seen.side, each, None)
        trade = _open(turn, market, seen.side, plan, strategy, reason, Count(0), Money(0))
    unclaimed = sum(b.fill.count for b in state.unclaimed.values() if b.fill.order_id == seen.order_id)
    name = seen.client_order_id or seen.order_id
    purpose: Purpose = "entry" if seen.side == trade.side else "target"
    booked, recall = Count(max(seen.filled - unclaimed, 0)), strategy == ADOPTED
    turn.record(OrderAdopted(turn.at_ms, name, trade.id, purpose, seen, booked, recall))
    turn.note("warning", "order_adopted", f"{name}: {reason}", seen.ticker)
    order = state.orders[name]
    replies.claim(turn, order)
    replies.withdraw(turn, order)


def adopt_strays(turn: Turn, event: AccountRead) -> None:
    """Fills of forgotten orders of ours become a protected trade, as far as no trade covers what is held."""
    state = turn.state
    for fill_id, booked in list(state.unclaimed.items()):
        fill = booked.fill
        trade, held = state.trade_at(fill.ticker), state.position(fill.ticker).count
        market = trade.market if trade is not None else event.markets.get(fill.ticker)
        covered = trade.open_count() if trade is not None else 0
        bare = (held if fill.side == "bid" else -held) > covered and (trade is None or trade.side == fill.side)
        if fill_id in state.unclaimed and replies.stray(state, fill) and market is not None and bare:
            seen = VenueOrder(
                fill.order_id, fill.client_order_id, fill.ticker, fill.side, fill.price, fill.count, fill.count,
                Count(0), "executed", fill.at_ms, fill.at_ms,
            )  # fmt: skip
            adopt_order(turn, seen, market)


def default_plan(state: TradingState, market: Market, side: Side, each: int, quote: Quote | None) -> ExitPlan:
    """A stop below cost (`each`, in the terms of the side held), or below the price now where that is lower: nothing is
    sold at once."""
    seen = exit_quote(side, quote) if quote else None
    if seen is not None:
        each = min(each, seen if side == "bid" else ONE - seen)
    distance, grid = state.config.risk["adopted_stop"], market.grid
    stop = grid.up(max(each - distance, 1)) if side == "bid" else grid.down(min(ONE - each + distance, ONE - 1))
    risk = state.config.risk
    return ExitPlan(Price(stop), None, None, Price(risk["exit_bound"]), risk["exit_escalate"] * 1000)


def _open(
    turn: Turn, market: Market, side: Side, plan: ExitPlan, strategy: str, reason: str, size: Count, cost: Money
) -> Trade:
    trade_id, ticker = turn.new_id(), market.ticker
    if turn.state.status.get(ticker, "active") != market.status:  # the reading is newer: nothing was held there since
        turn.record(MarketMoved(turn.at_ms, ticker, market.status))
    turn.record(
        TradeOpened(turn.at_ms, trade_id, ticker, side, strategy, market, plan, reason,
                    turn.state.config.version, size, cost)
    )  # fmt: skip
    return turn.state.trades[trade_id]
