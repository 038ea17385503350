"""From facts and state to rows of the trade history: what each turn changed, as rows to upsert."""

from bot.core import facts as f
from bot.core.orders import Order
from bot.core.positions import mark_value
from bot.core.state import TradingState
from bot.core.trades import Trade
from bot.core.venue import Quote, VenueFill
from bot.store import rows

_EXIT_KINDS = {"stop": "stop", "target": "target", "time": "time", "settlement": "settlement"}


def version_of(newest_ms: int, seq: int) -> int:
    """A row version that grows with each change, also when the disk was wiped and the journal counts from 1 again.

    `newest_ms` is the state's: it does not go back with the clock.
    """
    return newest_ms * 1_000_000 + seq % 1_000_000


def rows_of(state: TradingState, facts: list[f.Fact], version: int) -> list[rows.Row]:
    """Rows for one turn, read from the state after it."""
    out: list[rows.Row] = []
    orders: dict[str, None] = {}
    trades: dict[str, None] = {}
    for fact in facts:
        match fact:
            case f.FillBooked(fill=fill, client_order_id=client_order_id):
                out.append(_fill(fill, client_order_id))
                orders[client_order_id] = None
            case f.FillClaimed() | f.OrderIntended() | f.OrderMoved() | f.OrderAmended():
                orders[fact.client_order_id] = None
            case f.TradeOpened() | f.TradeMoved() | f.ExitFired() | f.PlanChanged():
                trades[fact.trade_id] = None
            case f.SettlementBooked(settlement=s):
                out.append(rows.Settlement(s.ticker, s.settled_ms, s.result, s.revenue, s.fee, s.yes_count, s.no_count))
            case _:
                pass
    changed = [state.orders[o] for o in orders if o in state.orders]
    trades |= dict.fromkeys(o.trade_id for o in changed)
    out += [_order(o, version) for o in changed]
    out += [_trade(state.trades[t], version) for t in trades if t in state.trades]
    return out


def equity_row(state: TradingState, quotes: dict[str, Quote], at_ms: int) -> rows.Equity:
    """The account now. A position without a price it could be left at counts at cost."""
    exposure = sum(p.cost for p in state.positions.values())
    value = 0
    for position in state.positions.values():
        mark = mark_value(position, quotes.get(position.ticker))
        value += position.cost if mark is None else mark
    cash = state.cash or 0
    return rows.Equity(at_ms, cash, exposure, cash + value, state.realized, value - exposure, state.fees)


def _fill(fill: VenueFill, client_order_id: str) -> rows.Fill:
    return rows.Fill(
        fill.trade_id, fill.order_id, client_order_id, fill.ticker, fill.side, fill.price, fill.count, fill.fee,
        fill.is_taker, fill.at_ms,
    )  # fmt: skip


def _order(o: Order, version: int) -> rows.Order:
    return rows.Order(
        o.client_order_id, o.order_id, o.trade_id, o.ticker, o.side, o.purpose, o.time_in_force, o.price, o.count,
        max(o.filled, o.booked), o.fees, str(o.state), o.reason, o.created_ms, o.changed_ms, version,
    )  # fmt: skip


def _trade(t: Trade, version: int) -> rows.Trade:
    done = not t.live()
    return rows.Trade(
        id=t.id,
        ticker=t.ticker,
        event_ticker=t.market.event_ticker,
        title=t.market.title,
        strategy=t.strategy,
        side="YES" if t.side == "bid" else "NO",
        count_e2=t.entered,
        entry_price_e4=t.entry_cost // t.entered if t.entered else 0,
        entry_cost_e6=t.entry_cost,
        exit_price_e4=t.exit_proceeds // t.exited if t.exited else None,
        exit_value_e6=t.exit_proceeds if t.exited else None,
        fees_e6=t.fees,
        pnl_e6=t.pnl() if done else None,
        exit_kind=_EXIT_KINDS.get(t.exit_kind or "", "manual") if t.exit_kind else "",  # type: ignore[arg-type]
        entry_reason=t.reason,
        exit_reason=str(t.exit_kind or ""),
        opened_ms=t.opened_ms,
        closed_ms=t.closed_ms if done else None,
        version=version,
    )
