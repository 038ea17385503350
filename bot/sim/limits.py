"""The auditor's own arithmetic of limits (docs/risk.md): no entry may be decided while one of them is broken."""

from bot.core import facts as f
from bot.sim.model import Books


class Limits:
    """Counts entries and losing trades from the facts; a word of the operator or a pause begins the row anew."""

    def __init__(self) -> None:
        self.risk: dict[str, int] = {}
        self.losing = 0
        self._entries: list[int] = []
        self._brought: dict[str, int] = {}
        self._lost: set[str] = set()
        self._unclaimed: dict[str, tuple[str, int, int, int]] = {}

    def broken(self, fact: f.OrderIntended, books: Books) -> str:
        """Which limit this entry breaks, '' when none."""
        each = fact.price if fact.side == "bid" else 10_000 - fact.price
        lately = 1 + sum(at > fact.at_ms - 60_000 for at in self._entries)
        live = sum(trade.live for trade in books.trades.values())
        if books.mode != "RUNNING":
            return f"while {books.mode}"
        if each * fact.count > self.risk["max_order_cost"]:
            return f"for {each * fact.count}"
        if lately > self.risk["max_entry_rate"]:
            return f"as number {lately} of a minute"
        if live > self.risk["max_open_trades"]:
            return f"as trade number {live}"
        if self.losing >= self.risk["max_loss_streak"]:
            return f"after {self.losing} losing trades in a row"
        return ""

    def apply(self, fact: f.Fact, books: Books) -> None:
        """Take in a fact that `books` does not have yet."""
        match fact:
            case f.ConfigChanged():
                self.risk = fact.config.risk
            case f.ModeChanged():
                self.losing = 0
            case f.ClockSetBack():
                self._entries = [min(at, fact.at_ms - 1) for at in self._entries]
            case f.OrderIntended(purpose="entry"):
                self._entries = [*self._entries[-1_000:], fact.at_ms]
            case f.TradeOpened():
                self._brought[fact.trade_id] = -fact.adopted_cost
            case f.FillBooked():
                terms = fact.fill.side, fact.fill.price, fact.fill.count, fact.fill.fee
                self._unclaimed[fact.fill.trade_id] = terms
                if fact.client_order_id:
                    self._give(fact.client_order_id, fact.fill.trade_id, books)
            case f.FillClaimed():
                self._give(fact.client_order_id, fact.fill_id, books)
            case f.SettlementBooked():
                trade, all_ = books.bracket(fact.settlement.ticker), books.positions.get(fact.settlement.ticker, 0)
                if trade is not None and (all_ > 0) == trade.long and all_:
                    part = max(min(trade.held, abs(all_)), 0)
                    self._brought[trade.id] += fact.settlement.revenue * part // abs(all_)
            case f.TradeMoved(event="flat") if fact.exit_kind != "external" and self._brought[fact.trade_id]:
                self._ended(fact.trade_id, self._brought[fact.trade_id] < 0)
            case _:
                pass

    def _ended(self, trade_id: str, lost: bool) -> None:
        """A late fill may open an ended trade again; as a loss it counts once."""
        if not lost:
            self.losing = 0
            self._lost.discard(trade_id)
        elif trade_id not in self._lost:
            self.losing += 1
            self._lost.add(trade_id)

    def _give(self, client_order_id: str, fill_id: str, books: Books) -> None:
        _, price, count, fee = self._unclaimed.pop(fill_id)
        order = books.orders[client_order_id]
        trade = books.trades.get(order.trade_id)
        if trade is not None:
            self._brought[trade.id] += trade.own(price) * (-count if order.purpose == "entry" else count) - fee
