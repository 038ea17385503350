"""What the journal's facts add up to, computed anew and in few words: the auditor's own books."""

import msgspec

from bot.core import facts as f
from bot.core.trades import ExitPlan

RULES = ("trailing", "break-even")


class Violation(Exception):
    """A promise of DESIGN.md section 2 was broken."""


def require(holds: bool, what: str) -> None:
    if not holds:
        raise Violation(what)


class Bracket(msgspec.Struct):
    """One trade as the facts tell it. `stop` is a YES price; long holds YES; the other prices are those of its side."""

    id: str
    ticker: str
    long: bool
    plan: ExitPlan
    live: bool = True
    held: int = 0
    fired_ms: int = 0
    told: int = 0
    """Contracts that its exits are reported to have filled and that have not arrived as fills."""
    kind: str = ""
    trigger: int = 0
    from_ms: int = 0
    """Since when its bound grows."""
    fee_rate: float = 0.07
    bought: int = 0
    paid: int = 0
    """For what was bought, all fees of the trade included."""
    fees: int = 0
    best: int = 0
    """The best price its program heard."""
    owed: int = 0
    """The best one that it had to follow."""
    last: int = 0
    """The last one."""

    @property
    def stop(self) -> int | None:
        return self.plan.stop

    @property
    def trail(self) -> int | None:
        return self.plan.trail

    def own(self, yes_price: int) -> int:
        """The price of the side held."""
        return yes_price if self.long else 10_000 - yes_price

    def heard(self, yes_price: int, excused: bool) -> None:
        self.last = self.own(yes_price)
        self.best = max(self.best, self.last)
        if self.held > 0 and not self.fired_ms and not excused:
            self.owed = max(self.owed, self.last)

    def lags(self) -> bool:
        """The stop is two cents or more behind where its trailing distance has carried it."""
        level = self.owed - self.trail if self.trail is not None else 0
        return level >= 200 and (self.stop is None or self.own(self.stop) <= level - 200)

    def moved(self, stop: int, rule: str) -> str:
        """What is wrong with a stop that a rule of the plan has moved; '' when nothing is."""
        level = self.own(stop)
        if self.stop is not None and level <= self.own(self.stop):
            return "against us"
        if level >= self.best:
            return "to the price"
        if rule == "trailing":
            return "" if self.trail is not None and level <= max(self.best - self.trail, 100) else "too near"
        gained = self.best - (self.paid - self.fees) // max(self.bought, 1)
        fee = self.fee_rate * level / 1e4 * (1 - level / 1e4) * self.bought / 100 * 1e6
        if self.plan.break_even_after is None or gained < self.plan.break_even_after:
            return "too early"
        return "" if level * self.bought - fee >= self.paid - 1 else "to a loss"

    def fired(self, fact: f.ExitFired) -> None:
        if not fact.again:
            self.fired_ms = fact.at_ms
        self.kind, self.trigger, self.from_ms, self.owed = fact.kind, fact.trigger, fact.at_ms, 0

    def too_far(self, limit: int, at_ms: int) -> bool:
        """The limit of an exit lies beyond its bound, which grows only while orders can be sent."""
        steps = 0 if self.kind == "target" else 1 + (at_ms - self.from_ms) // self.plan.escalate_ms
        return self.own(limit) < max(self.own(self.trigger) - steps * self.plan.bound, 100)


class Intent(msgspec.Struct):
    """One order as it was announced, and what became of it."""

    id: str
    trade_id: str
    ticker: str
    side: str
    price: int
    count: int
    purpose: str
    filled: int = 0
    booked: int = 0
    ended: str = ""
    adopted_ms: int | None = None
    """When it was found though its record was lost: it is called back then."""
    recalled_ms: int | None = None
    """When an entry was called back by the operator's word."""

    def told(self) -> int:
        """What the exchange reported filled of an exit, and has not arrived as fills."""
        return max(self.filled - self.booked, 0) if self.purpose != "entry" else 0

    def may_sell(self) -> int:
        """What a target may still sell at the exchange, with what it sold and did not tell."""
        return max((0 if self.ended else self.count) - self.booked, self.told()) if self.purpose == "target" else 0

    def open(self) -> bool:
        """It may still change the position."""
        return not self.ended or self.filled > self.booked


class Books:
    """Positions and cash from fills and settlements; orders, trades, mode and findings from their facts."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget everything: a restart reads the facts anew."""
        self.cash: int | None = None
        self.explained = 0
        """Deposits less withdrawals, booked since the books began."""
        self.positions: dict[str, int] = {}
        self.fills: dict[str, tuple[str, str, int, int, int]] = {}
        self.seen: set[str] = set()
        self.settled: dict[str, int] = {}
        self.twice: list[str] = []
        self.orders: dict[str, Intent] = {}
        self.open: dict[str, Intent] = {}
        self.trades: dict[str, Bracket] = {}
        self.owner: dict[str, str] = {}
        self.status: dict[str, str] = {}
        self.findings: dict[str, tuple[int, int]] = {}
        self.named: dict[str, tuple[int, int]] = {}
        self.unread: dict[str, int] = {}
        """Positions found whose market could not be read yet, and since when."""
        self.mode = "RUNNING"
        self.boot = ""
        self.reconciled_boot = ""
        self.read_ms = 0
        self.set_back = 0
        """How often the program's clock was: what it suspects, it suspects anew."""
        self.began_ms = 0
        self._unclaimed: dict[str, tuple[int, int, int]] = {}

    def apply(self, fact: f.Fact) -> None:
        match fact:
            case f.FillBooked():
                self._fill(fact)
            case f.FillClaimed():
                self._give(fact.client_order_id, *self._unclaimed.pop(fact.fill_id))
            case f.OrderIntended():
                self.orders[fact.client_order_id] = self.open[fact.client_order_id] = Intent(
                    fact.client_order_id, fact.trade_id, fact.ticker, fact.side, fact.price, fact.count, fact.purpose
                )
            case f.OrderAmended():
                self.orders[fact.client_order_id].price = fact.price
            case f.OrderRecalled():
                self.orders[fact.client_order_id].recalled_ms = fact.at_ms
            case f.OrderAdopted():
                self._adopted(fact)
            case f.OrderMoved():
                self._step(self.orders[fact.client_order_id], fact)
            case f.TradeOpened():
                self.unread.pop(fact.ticker, None)
                long = fact.side == "bid"
                self.trades[fact.trade_id] = Bracket(
                    fact.trade_id,
                    fact.ticker,
                    long,
                    fact.plan,
                    True,
                    fact.adopted,
                    fee_rate=0.07 * fact.market.fee_multiplier,
                    bought=fact.adopted,
                    paid=fact.adopted_cost,
                )
                self.owner[fact.ticker] = fact.trade_id
            case f.PlanChanged():
                self.trades[fact.trade_id].plan = fact.plan
                if fact.author not in RULES:
                    self.trades[fact.trade_id].owed = 0
            case f.ExitFired():
                self.trades[fact.trade_id].fired(fact)
            case f.TradeMoved():
                self._trade(fact)
            case f.SettlementBooked():
                self._settle(fact)
            case f.PositionAdopted():
                self.positions[fact.ticker] = fact.count
                if fact.protect:
                    self.unread[fact.ticker] = fact.at_ms
            case f.SeenBefore():
                self.seen.update((*fact.fill_ids, *fact.settlement_ids))
            case f.CashMoved():
                require(self.cash is not None, "cash was moved before the books began")
                self.cash = (self.cash or 0) + fact.amount
                self.explained += fact.amount
            case f.CashBaseline():
                self.explained, self.cash, self.began_ms = 0, fact.cash, fact.at_ms
            case f.MarketMoved():
                self.status[fact.ticker] = fact.status
                if (trade := self.bracket(fact.ticker)) is not None:
                    trade.from_ms = fact.at_ms
            case f.ModeChanged():
                self.mode = fact.mode
                self._recall(fact)
            case f.Difference():
                self._difference(fact)
            case f.Reconciled():
                self.reconciled_boot, self.read_ms = self.boot, fact.read_ms
            case f.ClockSetBack():
                self.set_back += 1
                for trade in self.trades.values():
                    trade.from_ms = min(trade.from_ms, fact.at_ms)
            case f.Booted():
                self.boot = fact.boot
                for trade in self.trades.values():
                    trade.from_ms = fact.at_ms
            case _:
                pass

    def _settle(self, fact: f.SettlementBooked) -> None:
        paid = fact.settlement
        key = f"{paid.ticker}@{paid.settled_ms}"
        if key in self.settled:
            self.twice.append(f"settlement {key}")
        self.settled[key] = paid.revenue
        self.positions[paid.ticker] = 0
        if self.cash is not None:
            self.cash += paid.revenue

    def unfounded(self, fact: f.Fact) -> str:
        """What is wrong with a fact that is about to be applied, as far as it concerns a plan; '' when nothing is."""
        if isinstance(fact, f.PlanChanged) and fact.author in RULES:
            trade = self.trades[fact.trade_id]
            wrong = trade.moved(fact.plan.stop or 0, fact.author)
            return wrong and f"{fact.author} moved the stop of {trade.ticker} {wrong}"
        if isinstance(fact, f.PlanChanged) and fact.plan.stop not in (None, self.trades[fact.trade_id].stop):
            trade = self.trades[fact.trade_id]
            at_once = 0 < trade.last <= trade.own(fact.plan.stop or 0)
            return f"the operator's new stop is at the price or beyond, {trade}" if at_once else ""
        if isinstance(fact, f.OrderAmended):
            trade = self.trades[self.orders[fact.client_order_id].trade_id]
            return f"an amended target goes beyond its bound, {trade}" if trade.too_far(fact.price, fact.at_ms) else ""
        if isinstance(fact, f.OrderIntended) and fact.purpose == "exit":
            trade = self.trades[fact.trade_id]
            return f"an exit goes beyond its bound, {trade}" if trade.too_far(fact.price, fact.at_ms) else ""
        if isinstance(fact, f.ExitFired) and fact.kind != "target":
            trade = self.trades[fact.trade_id]
            seen = {trade.last, trade.own(trade.stop) if trade.stop is not None else 100}
            if trade.last and trade.own(fact.trigger) not in seen:
                return f"an exit starts from a price that nobody told, {trade}"
        return ""

    def bracket(self, ticker: str) -> Bracket | None:
        """The live trade of a market."""
        trade = self.trades.get(self.owner.get(ticker, ""))
        return trade if trade is not None and trade.live else None

    def _fill(self, fact: f.FillBooked) -> None:
        fill = fact.fill
        if fill.trade_id in self.fills:
            self.twice.append(f"fill {fill.trade_id}")
        self.fills[fill.trade_id] = (fill.ticker, fill.side, fill.price, fill.count, fill.fee)
        held = self.positions.get(fill.ticker, 0)
        self.positions[fill.ticker] = held + (fill.count if fill.side == "bid" else -fill.count)
        if self.cash is not None:
            self.cash += cash_of(held, fill.side, fill.price, fill.count) - fill.fee
        if fact.client_order_id:
            self._give(fact.client_order_id, fill.count, fill.price, fill.fee)
        else:
            self._unclaimed[fill.trade_id] = fill.count, fill.price, fill.fee

    def _give(self, client_order_id: str, count: int, price: int, fee: int) -> None:
        order, before = self.orders[client_order_id], self.orders[client_order_id].told()
        order.booked += count
        self._moved(order, before)
        trade = self.trades.get(order.trade_id)
        if trade is not None:
            trade.held += count if order.purpose == "entry" else -count
            trade.paid += fee
            trade.fees += fee
            if order.purpose == "entry":
                trade.bought += count
                trade.paid += trade.own(price) * count

    def _adopted(self, fact: f.OrderAdopted) -> None:
        seen = fact.order
        order = self.orders[fact.client_order_id] = Intent(
            fact.client_order_id, fact.trade_id, seen.ticker, seen.side, seen.price, seen.initial, fact.purpose
        )
        order.filled, order.booked, order.adopted_ms = seen.filled, fact.booked, fact.at_ms
        order.ended = {"executed": "filled", "canceled": "cancelled"}.get(seen.status, "")
        self._moved(order, 0)

    def _recall(self, fact: f.ModeChanged) -> None:
        """The words that end in these modes call every entry back."""
        for order in self.open.values() if fact.mode in ("REDUCING", "HALTED") else ():
            if order.purpose == "entry" and order.recalled_ms is None:
                order.recalled_ms = fact.at_ms

    def _step(self, order: Intent, fact: f.OrderMoved) -> None:
        before = order.told()
        again = order.ended == fact.event == "cancelled"  # the reply to a cancel may have claimed too much
        order.filled = max(order.booked if again else order.filled, fact.filled)
        if fact.event in ("filled", "cancelled", "rejected", "absent"):
            order.ended = fact.event
        self._moved(order, before)

    def _moved(self, order: Intent, told_before: int) -> None:
        if order.open():
            self.open[order.id] = order
        else:
            self.open.pop(order.id, None)
        if order.trade_id in self.trades:
            self.trades[order.trade_id].told += order.told() - told_before

    def _trade(self, fact: f.TradeMoved) -> None:
        trade = self.trades[fact.trade_id]
        if fact.event == "flat" or (fact.event == "entry_ended" and trade.held == 0 and not trade.fired_ms):
            trade.live = False
            if self.owner.get(trade.ticker) == trade.id:
                del self.owner[trade.ticker]
                for other in self.trades.values():
                    if other.ticker == trade.ticker and other.live:  # a late fill had re-opened it beside this one
                        self.owner[trade.ticker], other.last = other.id, 0
        elif fact.event == "entry_filled":
            if not trade.live:  # a late fill opens it again: what was told meanwhile was told of no trade
                trade.last = 0
            trade.live, trade.fired_ms = True, 0
            self.owner[trade.ticker] = trade.id
        elif fact.event == "stood_down":
            trade.fired_ms = 0

    def _difference(self, fact: f.Difference) -> None:
        name = f"{fact.kind}:{fact.key}"
        if fact.resolved:
            self.findings.pop(name, None)
        else:
            self.findings[name] = self.named[name] = (fact.ours, fact.theirs)


def cash_of(held: int, side: str, price: int, count: int) -> int:
    """What a fill moves in cash, fee apart, from a signed position: paid for what opens, got for what closes."""
    if side == "bid":
        closes = min(count, max(-held, 0))
        return closes * (10_000 - price) - (count - closes) * price
    closes = min(count, max(held, 0))
    return closes * price - (count - closes) * (10_000 - price)
