"""Found in review: a bot around doubles of the exchange, whose greenlets must outlive what goes wrong in them."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from bot.core.effects import CancelOrder, PlaceOrder
from bot.core.events import AccountRead, Proposal, Propose, Sweep
from bot.core.grid import CENT_GRID
from bot.core.orders import Order, OrderState
from bot.core.positions import Position
from bot.core.trades import ExitPlan
from bot.core.units import Count, Money, Price
from bot.core.venue import Accepted, Market, Outcome
from bot.kalshi.rest import ReadFailed
from bot.market_data.recorder import Recorder
from bot.run.bot import Bot, default_config
from bot.run.door import now_ms
from bot.run.executor import Executor, WriteBudget
from bot.run.loops import Loop
from bot.run.odds_feed import OddsFeed
from bot.run.restore import restore
from bot.settings import Settings
from bot.store.history import History
from bot.store.journal import Journal
from bot.strategy.favourites import Favourites


class Feed:
    """Market data that never says anything; `run` does what the test says."""

    def __init__(self) -> None:
        self.runs = 0
        self.work: Callable[[], None] = lambda: gevent.sleep(60)

    def run(self) -> None:
        self.runs += 1
        self.work()

    def health(self) -> Any:
        class Quiet:
            stale_held = ()
            reconnects = 0

        return Quiet

    def snapshot(self) -> Any:
        return SimpleNamespace(markets={}, quotes={})

    def fresh_quote(self, ticker: str, now_ns: int) -> None:
        return None

    def discover(self) -> None:
        raise ReadFailed("connection")

    def follow(self, *_: Any) -> None: ...

    def confirm_stale(self, now_ns: int) -> None: ...

    def refresh(self, max_age_ms: int) -> None: ...

    connected_now = True

    def stop(self) -> None: ...


class Orders:
    """Takes every order as filled in full, and writes it down."""

    def __init__(self) -> None:
        self.created: list[PlaceOrder] = []
        self.create_headers = self

    def create(self, order: PlaceOrder) -> Accepted:
        self.created.append(order)
        return Accepted(f"x-{order.client_order_id}", order.count, Count(0))

    def refresh(self) -> None: ...

    def keep_warm(self) -> None: ...

    def close(self) -> None: ...


class NoReads:
    def __getattr__(self, name: str) -> Any:
        def read(*_: Any, **__: Any) -> Any:
            raise ReadFailed("connection")

        return read


def alone(folder: Path) -> Bot:
    """As it starts in this folder, new or left by another; nothing runs yet."""
    settings = Settings.load({"DATA_DIR": str(folder), "STOP_LOSS_CHECK_INTERVAL": "0.1"}, folder / "none")
    strategy = Favourites()
    journal = Journal(folder / "journal.db", lambda *_: None)
    state, _ = restore(journal, default_config(strategy), "RUNNING", now_ms())
    history = History(folder / "history.db", "paper", remote="")
    history.open()
    return Bot(
        settings, state, boot="b", account="", journal=journal,
        history=history, supabase=None, reads=NoReads(), orders=Orders(), executor=Executor(WriteBudget(100, 100)),  # type: ignore[arg-type]
        market_data=Feed(), recorder=Recorder(folder / "recordings"),  # type: ignore[arg-type]
        odds=OddsFeed(None, 60, now_ms), strategy=strategy, publish=lambda: None,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.fixture
def bot(tmp_path: Path) -> Iterator[Bot]:
    bot = alone(tmp_path)
    yield bot
    bot.stop(0.2)


def propose(bot: Bot) -> None:
    now = now_ms()
    bot.door.handle(AccountRead(now, now, now, (), (), (), Money(1_000_000_000), (), {}))
    market = Market(
        "T-1", "T", "S", "", "", "", "active", 0, now + 600_000, now + 600_000, None, CENT_GRID, "quadratic", 1.0, 0,
        True, Count(0), "",
    )  # fmt: skip
    plan = ExitPlan(Price(8_000), None, None, Price(1_000), 3_000)
    wanted = Proposal("test", market, "bid", Price(8_800), Count(100), "immediate_or_cancel", plan, "why")
    answer = bot.door.handle(Propose(now, wanted, 0)).answer
    assert answer is not None and answer.ok, answer


def until(true: Callable[[], bool], seconds: float = 3.0) -> bool:
    with gevent.Timeout(seconds, False):
        while not true():
            gevent.sleep(0.01)
    return true()


def test_a_defect_in_the_stream_is_shown_and_the_stream_comes_back(bot: Bot) -> None:
    """One exception in whatever hears a frame ended the stream for the rest of the program's life."""

    def crash() -> None:
        raise KeyError("made up")

    bot.market_data.work = crash  # type: ignore[attr-defined]
    bot.run([])
    assert until(lambda: bot.market_data.runs >= 2)  # type: ignore[attr-defined]
    assert {n["code"] for n in bot.notices.kept if n["level"] == "alarm"} == {"loop_crashed"}


@pytest.mark.parametrize("text", ["", "true", "1", '["kill"]', '{"reason": "enough"}', "now!"])
def test_whatever_the_halt_file_says_it_halts(bot: Bot, text: str) -> None:
    """`echo 1 > halt` crashed every sweep from then on, before it looked at a stop, and never halted."""
    (bot.settings.data_dir / "halt").write_text(text)
    bot.run([])
    assert until(lambda: bot.state.mode == "HALTED")
    assert until(lambda: not (bot.settings.data_dir / "halt").exists())
    assert bot.loops["StopLossMonitor"].crashes == 0


def test_a_halt_file_that_cannot_be_removed_does_not_hold_the_sweep(bot: Bot) -> None:
    swept: list[object] = []
    halt = bot.settings.data_dir / "halt"
    halt.mkdir()
    handle = bot.door.handle
    bot.door.handle = lambda event: (swept.append(type(event).__name__), handle(event))[1]  # type: ignore[method-assign,func-returns-value]
    bot.run([])
    assert until(lambda: swept.count("Sweep") >= 3)
    assert bot.state.mode == "HALTED"
    assert swept.count("Command") == 1, "obeyed once"
    halt.rmdir()


def test_an_entry_proposed_while_the_program_stops_is_not_sent(bot: Bot) -> None:
    """A strategy pass that was under way went on entering during the shutdown."""
    bot.run([])
    bot._stopping = True
    propose(bot)
    assert until(lambda: not bot.state.live_trade)
    assert bot.orders.created == []  # type: ignore[attr-defined]
    bot._stopping = False


def test_an_entry_is_sent_once_its_intent_is_durable(bot: Bot) -> None:
    bot.run([])
    propose(bot)
    assert until(lambda: bool(bot.orders.created))  # type: ignore[attr-defined]


def test_a_wake_during_the_work_is_not_lost() -> None:
    """A reconnect during a reconciliation: what was missed waited for the next beat."""

    def work() -> None:
        if loop.runs == 0:
            loop.wake()
            gevent.sleep(0.01)

    loop = Loop("Test", 60, work, lambda *_: None)
    greenlet = gevent.spawn(loop.run)
    assert until(lambda: loop.runs == 2, 1.0)
    gevent.sleep(0.05)
    assert loop.runs == 2
    loop.stop()
    greenlet.join(2)


def test_a_program_that_ends_with_positions_says_so(bot: Bot, caplog: pytest.LogCaptureFixture) -> None:
    """It said "stopped", and nothing of the positions whose stops nobody watched until the next start."""
    bot.state.positions["T-1"] = Position("T-1", Count(100), Money(880_000))
    with caplog.at_level(logging.WARNING, "Tickstop"):
        bot.stop(0.2)
    assert "1 positions stay open" in caplog.text


def test_a_slow_reply_holds_no_other_order(bot: Bot) -> None:
    """Failure cases 3 and 34: the loop awaited one exit's reply, and every other stop waited too."""
    started: list[str] = []

    def create(order: PlaceOrder) -> Accepted:
        started.append(order.client_order_id)
        gevent.sleep(2)
        return Accepted("x", order.count, Count(0))

    bot.orders.create = create  # type: ignore[method-assign,assignment]
    for name in ("one", "two"):
        exit_order = PlaceOrder(name, "T-1", "ask", Price(100), Count(1), "immediate_or_cancel", "exit", "maker")
        bot.executor.submit(exit_order, 0)
    gevent.spawn(bot._pump)
    assert until(lambda: started == ["one", "two"], 1.0)


def test_a_program_that_ends_cancels_the_entries_that_rest_and_waits_for_the_answer(bot: Bot) -> None:
    cancelled: list[str] = []

    def cancel(job: CancelOrder) -> Outcome:
        gevent.sleep(0.05)
        cancelled.append(job.client_order_id)
        return Accepted(job.order_id, Count(0), Count(0), Count(100))

    bot.orders.cancel = cancel  # type: ignore[method-assign]
    for name, purpose in (("e", "entry"), ("t", "target")):
        bot.state.orders[name] = Order(
            name, "t", "T-1", "ask", Price(9_500), Count(100), "good_till_canceled", purpose, now_ms(),  # type: ignore[arg-type]
            OrderState.RESTING, f"x-{name}",
        )  # fmt: skip
        bot.state.order_ids[f"x-{name}"] = name
    bot.stop(3.0)
    assert cancelled == ["e"] and bot.state.orders["e"].state is OrderState.CANCELLED
    assert bot.state.orders["t"].state is OrderState.RESTING, "a target goes on resting (DESIGN.md section 5)"


def test_the_sweep_brings_the_price_of_a_position_that_no_trade_manages(bot: Bot) -> None:
    """The result that breakers judge counted it at cost."""
    bot.state.positions["KXZ-A-B"] = Position("KXZ-A-B", Count(100), Money(800_000))
    swept: list[Sweep] = []
    handle = bot.door.handle

    def see(event: Any) -> Any:
        swept.extend([event] if isinstance(event, Sweep) else [])
        return handle(event)

    bot.door.handle = see  # type: ignore[method-assign]
    bot._sweep()
    assert [set(event.quotes) for event in swept] == [{"KXZ-A-B"}]


def test_records_that_the_journal_lost_pause_entries_and_are_told(bot: Bot) -> None:
    bot.journal._disk.lost = 7
    bot.run([])
    assert bot.state.mode == "PAUSED"
    assert [n["code"] for n in bot.notices.kept if n["level"] == "alarm"] == ["journal_lost"]


def test_rows_of_the_history_are_numbered_by_the_newest_record_and_not_by_the_clock(bot: Bot, monkeypatch) -> None:
    numbered: list[int] = []
    monkeypatch.setattr("bot.run.bot.version_of", lambda newest_ms, seq: numbered.append(newest_ms) or newest_ms)
    bot.state.newest_ms = now_ms() + 3_600_000
    bot._on_facts([], 5)
    assert numbered == [bot.state.newest_ms], "the clock was set back by an hour"
