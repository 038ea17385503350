"""A small stage for simulator tests: one market whose price the test sets, one program, faults by name."""

from collections.abc import Sequence
from typing import Any

from bot.core.effects import Notice
from bot.core.events import Proposal, Propose
from bot.core.orders import Order
from bot.core.trades import ExitPlan, Trade
from bot.core.turn import Answer
from bot.core.units import Count, Price
from bot.paper import model
from bot.sim.auditor import Auditor
from bot.sim.clock import Clock
from bot.sim.disk import File
from bot.sim.exchange import Exchange
from bot.sim.faults import Fault, Faults
from bot.sim.network import Network
from bot.sim.program import Program

START_MS = 1_795_000_000_000
GAME = "SIM-1-A"
OTHER = "SIM-2-A"


def always(op: str, kind: str, ms: int = 100, first: int = 0, times: int = 500) -> list[Fault]:
    """The same fault at every operation of a kind, from the `first` on."""
    return [Fault(op, nth, kind, ms) for nth in range(first, first + times)]


class Stage:
    """5,000 dollars, markets GAME and OTHER at 0.50/0.52, a program that has reconciled and proposes nothing itself."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self.clock = Clock(START_MS)
        self.faults = Faults(faults)
        self.exchange = Exchange(self.clock, 1, 5_000_000_000)
        self.network = Network(self.clock, self.exchange, self.faults, 1)
        self.file = File()
        self.auditor = Auditor(self.clock, self.exchange, self.file, keep=400)
        self.engine = self.exchange.engine
        self.engine.add_series(model.Series("SIM", "Simulated", "Sports"))
        self.boots = 0
        self.notices: list[Notice] = []
        for ticker in (GAME, OTHER):
            self._list(ticker)
            self.price(50, 52, ticker)
        self._beat()
        self.boot()
        self.run(3)

    def _list(self, ticker: str) -> None:
        now, event = self.clock.now_ms, ticker.removesuffix("-A")
        self.engine.add_event(model.Event(event, "SIM", event, ""))
        end_ms = now + 3_600_000
        self.engine.add_market(
            model.Market(
                ticker=ticker, event_ticker=event, title=event, yes_sub_title="A", no_sub_title="B", open_ms=now,
                close_ms=end_ms, expected_expiration_ms=end_ms, latest_expiration_ms=end_ms, settlement_timer_s=5,
            ),
            now,
        )  # fmt: skip

    def _beat(self) -> None:
        self.engine.advance(self.clock.now_ms)
        self.clock.after(500, self._beat)

    def plan(self, faults: Sequence[Fault]) -> None:
        """From now on these faults, counted from here."""
        self.faults.replace(faults)

    # the program

    def boot(self) -> Program:
        self.boots += 1
        self.program = Program(
            self.clock, self.network, self.faults, self.file, self.auditor, f"t{self.boots}", self._died,
            lambda exchange, trusted, rng, now_ms: None,
        )  # fmt: skip
        return self.program

    def _died(self, program: Program) -> None:
        self.auditor.died(program.boot, "killed")

    def restart(self) -> None:
        self.program.kill()
        self.run(1)
        self.boot()

    def run(self, seconds: float) -> "Stage":
        self.clock.run(self.clock.now_ms + round(seconds * 1000))
        return self

    # the market

    def price(self, bid: int | None, ask: int | None, ticker: str = GAME, size: int = 10_000) -> "Stage":
        """The crowd's best prices in whole cents; None leaves a side empty."""
        now = self.clock.now_ms
        bids, asks = self.engine.depth(ticker)
        crowd = self.engine.books[ticker].levels
        for price, _ in bids:
            if crowd["bid"][price].crowd and (bid is None or price != bid * 100):
                self.engine.set_level(ticker, "bid", price, 0, now)
        for price, _ in asks:
            if crowd["ask"][price].crowd and (ask is None or price != ask * 100):
                self.engine.set_level(ticker, "ask", price, 0, now)
        if bid is not None:
            self.engine.set_level(ticker, "bid", bid * 100, size, now)
        if ask is not None:
            self.engine.set_level(ticker, "ask", ask * 100, size, now)
        self.exchange.publish()
        return self

    def settle(self, result: Any, ticker: str = GAME) -> None:
        """Close, determine and pay."""
        self.engine.set_close(ticker, self.clock.now_ms, self.clock.now_ms)
        self.run(2)
        self.engine.determine(ticker, result, self.clock.now_ms)
        self.run(8)

    # trading

    def enter(
        self, limit: int = 52, count: int = 1_000, stop: int = 45, side: str = "bid", ticker: str = GAME,
        target: int | None = None, tif: str = "immediate_or_cancel", rests: bool = False,
    ) -> Answer:  # fmt: skip
        """Propose an entry; prices in whole cents."""
        aim = None if target is None else Price(target * 100)
        plan = ExitPlan(Price(stop * 100), aim, None, Price(1_000), 2_000, rest_target=rests)
        market = self.exchange.market(ticker)
        wanted = Proposal("test", market, side, Price(limit * 100), Count(count), tif, plan, "why")  # type: ignore[arg-type]
        answer = self.program.handle(Propose(self.clock.now_ms, wanted, 0, self.program.journal.healthy)).answer
        assert answer is not None
        return answer

    def held(self, ticker: str = GAME) -> int:
        """The exchange's position."""
        return self.exchange.account.held(ticker)

    def booked(self, ticker: str = GAME) -> int:
        """Our position."""
        return self.program.state.position(ticker).count

    def order(self, part: str) -> Order:
        """The newest order whose id ends so, e.g. '.e' or '.x1'."""
        return [o for o in self.program.state.orders.values() if o.client_order_id.endswith(part)][-1]

    def trade(self, ticker: str = GAME) -> Trade | None:
        return self.program.state.trade_at(ticker)

    def sends(self, purpose: str) -> int:
        return self.auditor.counts[f"sent {purpose}"]

    def books_equal(self) -> None:
        """At rest: ours are the exchange's."""
        self.run(25)
        self.auditor.ledger.settled(self.program.state, [])
