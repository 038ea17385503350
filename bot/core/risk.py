"""What is at risk, and whether an entry may add to it. Returns a refusal as a value; exits never pass here."""

from bot.core.config import Config
from bot.core.events import Proposal
from bot.core.fees import fee
from bot.core.state import TradingState
from bot.core.turn import Answer
from bot.core.units import ONE, Money, format_money


def entry_cost(proposal: Proposal) -> Money:
    """The most the entry can cost: its contracts at the limit, with the taker fee."""
    each = proposal.limit if proposal.side == "bid" else ONE - proposal.limit
    return Money(each * proposal.count + entry_fee(proposal))


def entry_fee(proposal: Proposal) -> Money:
    """Fee reserve of an entry: the highest up to its limit (the fee peaks at one half)."""
    market, count = proposal.market, proposal.count
    each = proposal.limit if proposal.side == "bid" else ONE - proposal.limit
    return fee(market.fee_type, market.fee_multiplier, min(each, ONE // 2), count, taker=True)


def exposure(state: TradingState) -> dict[str, Money]:
    """Money at risk per market: what open contracts cost, and what live entries may still cost."""
    at_risk: dict[str, Money] = {t: p.cost for t, p in state.positions.items() if p.count}
    for order in state.orders.values():
        reserved = order.reserved()
        if reserved:
            at_risk[order.ticker] = Money(at_risk.get(order.ticker, 0) + reserved)
    return at_risk


def reserved(state: TradingState) -> Money:
    """Cash that live entries may still take."""
    return Money(sum(o.reserved() for o in state.orders.values()))


def check_entry(state: TradingState, proposal: Proposal, now_ms: int) -> Answer | None:
    """None when every limit leaves room for the entry, else the refusal with the numbers."""
    config: Config = state.config
    limits, market = config.risk, proposal.market
    cost = entry_cost(proposal)
    at_risk = exposure(state)
    event_markets = {t.ticker for t in state.trades.values() if t.market.event_ticker == market.event_ticker}
    in_event = sum(m for t, m in at_risk.items() if t in event_markets)
    spendable = (state.cash or 0) - reserved(state)
    lost_today = -state.day_realized if now_ms // 86_400_000 == state.day else 0
    checks = (
        ("max_order_cost", cost, limits["max_order_cost"]),
        ("max_market_exposure", at_risk.get(market.ticker, 0) + cost, limits["max_market_exposure"]),
        ("max_event_exposure", in_event + cost, limits["max_event_exposure"]),
        ("max_total_exposure", sum(at_risk.values()) + cost, limits["max_total_exposure"]),
        ("insufficient_cash", cost, spendable),
        ("max_daily_loss", lost_today, limits["max_daily_loss"]),
    )
    for code, value, limit in checks:
        if value > limit:
            return Answer(False, code, f"{code}: {format_money(value)} is over {format_money(limit)}")
    if len(state.live_trade) >= limits["max_open_trades"]:
        return Answer(False, "max_open_trades", f"{len(state.live_trade)} trades are open, the limit")
    return None
