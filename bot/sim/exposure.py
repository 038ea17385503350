"""What the exchange's own ledger says is at stake and lost today, against the limits in force when an entry is decided.

Nothing is asked of the core. What it cannot know yet is left out: fills that are on their way to it, and a loss younger
than a minute. Contracts may be cheaper or dearer by the order in which fills were told.
"""

from bot.core import facts as f
from bot.paper.model import Order
from bot.sim.clock import Clock
from bot.sim.exchange import Exchange
from bot.sim.model import Books

KNOWN_MS = 60_000
"""What is older than this the program has read, whatever was lost on the way."""

ROOM = 110
"""Percent of a limit that the ledger may show: a tenth for costs that depend on the order of fills."""

DAY_MS = 86_400_000


class Exposure:
    """One for the whole run: it goes on when the program restarts, and begins anew with new books."""

    def __init__(self, clock: Clock, exchange: Exchange, books: Books) -> None:
        self.clock = clock
        self.exchange = exchange
        self.books = books
        self.day = 0
        self.lost = 0
        """Of this day, or since the books began: cash and cost of all positions, without what was paid in."""
        self._began = 0
        self._over_ms = 0
        """Since when more is lost than the limit."""

    def begin(self) -> None:
        """New books: what was lost before them they do not know."""
        self.day = 0

    def look(self, at_ms: int, risk: dict[str, int]) -> None:
        """At each sweep: what is lost today, by the program's clock, and whether that is too much."""
        now, account = self.clock.now_ms, self.exchange.account
        result = account.cash + sum(p.cost for p in account.positions.values()) - self.exchange.paid_in
        if at_ms // DAY_MS != self.day:
            self.day, self._began = at_ms // DAY_MS, result
        self.lost = self._began - result
        self._over_ms = (self._over_ms or now) if self.lost > risk["max_daily_loss"] else 0

    def broken(self, fact: f.OrderIntended, risk: dict[str, int]) -> str:
        """Which limit this entry breaks, '' when none."""
        stakes = self._stakes()
        stakes[fact.ticker] = stakes.get(fact.ticker, 0) + _own(fact.side, fact.price) * fact.count
        ours = sum(money for ticker, money in stakes.items() if ticker in self.books.owner)
        for name, at_stake in (
            ("max_market_exposure", stakes[fact.ticker]),
            ("max_series_exposure", ours),  # all markets are of one series; one without a trade may not be known to be
            ("max_total_exposure", sum(stakes.values())),
        ):
            if at_stake * 100 > risk[name] * ROOM:
                return f"with {at_stake} at stake, {name} is {risk[name]}"
        long = self._over_ms and self.clock.now_ms - self._over_ms > KNOWN_MS
        if long and self.lost > risk["max_daily_loss"]:  # the operator may have raised it since the last sweep
            return f"after a loss of {self.lost} today, max_daily_loss is {risk['max_daily_loss']}"
        return ""

    def _stakes(self) -> dict[str, int]:
        """By market: what its contracts cost, and what entries and strangers' orders may still cost that rest there."""
        account, books = self.exchange.account, self.books
        found = {p.ticker: p.cost for p in account.positions.values() if p.count}
        for fill in reversed(account.fills):
            if fill.ms < self.clock.now_ms - KNOWN_MS:
                break
            if fill.trade_id not in books.fills and fill.trade_id not in books.seen and fill.ticker in found:
                found[fill.ticker] = max(found[fill.ticker] - _own(fill.side, fill.price) * fill.count, 0)
        entries = [order.id for order in books.open.values() if order.purpose == "entry"]
        strangers = [name.partition(":")[2] for name in books.findings if name.startswith("order:")]
        for name in (*entries, *strangers):
            order: Order | None = self.exchange.by_client_id.get(name)
            if order is not None and order.status == "resting":
                cost = _own(order.side, order.price) * order.remaining
                found[order.ticker] = found.get(order.ticker, 0) + cost
        return found


def _own(side: str, yes_price: int) -> int:
    """What a contract costs that is bought on this side."""
    return yes_price if side == "bid" else 10_000 - yes_price
