"""The door: facts are recorded in the turn that decided them, and nothing is told before an exit has left."""

from typing import Any

from bot.core.config import RISK, Config, Param, defaults
from bot.core.effects import PlaceOrder
from bot.core.events import AccountRead, Boot, CreateReplied, FillSeen, Proposal, Propose, Sending, Tick
from bot.core.facts import OrderIntended, TradeOpened, decode
from bot.core.grid import CENT_GRID
from bot.core.state import new_state
from bot.core.step import Rules
from bot.core.trades import ExitPlan
from bot.core.units import Count, Money, Price
from bot.core.venue import Accepted, Market, Quote, VenueFill
from bot.run.door import Door
from bot.run.executor import Executor, WriteBudget

NOW = 1_795_000_000_000
PARAMS: tuple[Param, ...] = ()
MARKET = Market(
    "T-1", "T", "S", "", "", "", "active", 0, NOW + 600_000, NOW + 600_000, None, CENT_GRID, "quadratic", 1.0, 0,
    True, Count(0), "",
)  # fmt: skip
PLAN = ExitPlan(Price(8_000), None, None, Price(1_000), 3_000)


class Records:
    """A journal that keeps what it is given; nothing of it is ever durable."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.last_seq = 0

    def append(self, records: list[bytes]) -> int:
        self.kept += records
        self.last_seq += len(records)
        return self.last_seq


class Stage:
    def __init__(self) -> None:
        config = Config(1, "default", defaults(RISK), {})
        self.journal, self.executor = Records(), Executor(WriteBudget(100, 100))
        self.happened: list[str] = []
        self.postponed: list[Any] = []
        journal: Any = self.journal
        self.door = Door(
            new_state(config, "RUNNING", NOW), Rules(PARAMS, 10_000), journal, self.executor,
            on_work=lambda: self.happened.append("work"), on_facts=lambda facts, seq: self.happened.append("history"),
            on_notice=lambda notice: self.happened.append(f"log {notice.code}"), on_wake=lambda wake: None,
            on_reconcile=lambda: None, later=self.postponed.append,
        )  # fmt: skip
        self.door.handle(Boot(NOW, "b", config))
        self.door.handle(AccountRead(NOW, NOW, NOW, (), (), (), Money(1_000_000_000), (), {}))

    def enter(self) -> PlaceOrder:
        wanted = Proposal("t", MARKET, "bid", Price(8_800), Count(100), "immediate_or_cancel", PLAN, "why")
        turn = self.door.handle(Propose(NOW, wanted, 0))
        return next(x for x in turn.effects if isinstance(x, PlaceOrder))


def test_an_entry_waits_for_the_record_that_holds_its_intent_and_its_plan() -> None:
    stage = Stage()
    stage.enter()
    facts = [decode(record) for record in stage.journal.kept]
    assert [type(x) for x in facts[-2:]] == [TradeOpened, OrderIntended]
    assert stage.executor.ready(stage.journal.last_seq - 1, NOW) is None
    assert stage.executor.ready(stage.journal.last_seq, NOW) is not None


def test_log_and_history_hear_of_an_exit_after_its_work_was_started() -> None:
    stage = Stage()
    entry = stage.enter()
    for event in (
        Sending(NOW, entry.client_order_id),
        CreateReplied(NOW, entry.client_order_id, Accepted("x", Count(100), Count(0))),
        FillSeen(NOW, VenueFill("f", "x", "", "T-1", "bid", Price(8_800), Count(100), Money(0), True, NOW)),
    ):
        stage.door.handle(event)
    stage.happened.clear()
    stage.door.handle(Tick(NOW, Quote("T-1", Price(7_900), Price(8_100), Count(1), Count(1), NOW, 1, "book")))
    assert stage.happened == ["work"]
    [tell] = stage.postponed
    tell()
    assert stage.happened == ["work", "log exit_stop", "history"]
    assert isinstance(stage.executor.ready(0, NOW), PlaceOrder), "an exit waits for no record"


def test_what_is_no_exit_is_told_at_once() -> None:
    stage = Stage()
    stage.happened.clear()
    stage.enter()
    assert stage.happened == ["work", "log entry", "history"] and stage.postponed == []
