"""What the bot hands in and out around the door: the simulator has a shell of its own, so this one is tested here."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from test_review_run import alone, propose, until

from bot.core.effects import AmendOrder, PlaceOrder, ResolveOrder, Wake
from bot.core.events import AccountRead, Command, FillSeen, MarketChange, OrderSeen, Propose, Sending, Sweep, Tick
from bot.core.facts import decode
from bot.core.orders import Order, OrderState
from bot.core.state import dump, state_hash
from bot.core.units import Count, Money, Price
from bot.core.venue import Accepted, Outcome, Quote, VenueFill, VenueOrder, VenuePosition
from bot.kalshi.rest import ReadFailed
from bot.run.bot import Bot
from bot.run.door import now_ms, sends_exit


@pytest.fixture
def bot(tmp_path: Path) -> Iterator[Bot]:
    bot = alone(tmp_path)
    yield bot
    bot.stop(0.2)


def heard(bot: Bot) -> list[Any]:
    """The events that reach the core from now on."""
    events: list[Any] = []
    handle = bot.door.handle

    def hear(event: Any) -> Any:
        events.append(event)
        return handle(event)

    bot.door.handle = hear  # type: ignore[method-assign]
    return events


def woken(bot: Bot) -> set[str]:
    return {name for name, loop in bot.loops.items() if loop._woken.is_set()}


def fill(order_id: str) -> VenueFill:
    return VenueFill("f", order_id, "", "T-1", "bid", Price(8_800), Count(100), Money(0), True, now_ms())


def quote(bid: int) -> Quote:
    return Quote("T-1", Price(bid), Price(bid + 200), Count(100), Count(100), now_ms(), 1, "book")


def leaving(name: str = "x") -> PlaceOrder:
    return PlaceOrder(name, "T-1", "ask", Price(100), Count(100), "immediate_or_cancel", "exit", "maker", tick_ns=1)


def holding(bot: Bot) -> Order:
    """A running bot with one trade; the order that opened it."""
    bot.run([])
    propose(bot)
    created: list[PlaceOrder] = bot.orders.created  # type: ignore[attr-defined]
    assert until(lambda: bool(created))
    bot.on_account(fill(f"x-{created[0].client_order_id}"))
    return bot.state.orders[created[0].client_order_id]


# what arrives


def test_what_the_private_channels_tell_reaches_the_core_at_once_and_the_next_sweep(bot: Bot) -> None:
    events = heard(bot)
    resting = VenueOrder(
        "o", "", "T-1", "bid", Price(5_000), Count(100), Count(0), Count(100), "resting", now_ms(), now_ms()
    )
    bot.on_account(fill("o"))
    bot.on_account(resting)
    bot.on_account(VenuePosition("T-1", Count(70), Money(0), Money(0), Money(0)))
    bot._sweep()
    assert [type(x) for x in events] == [FillSeen, OrderSeen, Sweep]
    assert events[2].told["T-1"].count == 70 and events[2].told["T-1"].resting == (resting,)


def test_a_new_position_is_followed_at_once(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its prices came with the next pass of the strategy, and its stop could not see until then."""
    followed: list[int] = []
    monkeypatch.setattr(bot.watch, "follow_soon", lambda: followed.append(1))
    propose(bot)
    assert followed == [1]
    bot.on_account(fill("x"))
    assert followed == [1, 1]


def test_a_markets_change_reaches_the_core_and_its_end_has_the_account_read(bot: Bot) -> None:
    events = heard(bot)
    bot.on_lifecycle(MarketChange(now_ms(), "T-1", "inactive"))
    assert [x.status for x in events] == ["inactive"] and "Reconciler" not in woken(bot)
    bot.on_lifecycle(MarketChange(now_ms(), "T-1", "determined"))
    assert "Reconciler" in woken(bot)


def test_after_the_stream_missed_something_prices_markets_and_account_are_read_at_once(bot: Bot) -> None:
    bot.on_missed()
    assert woken(bot) == {"PriceConfirm", "MarketData", "Reconciler"}


def test_a_stop_leaves_before_the_next_frame_is_read(bot: Bot) -> None:
    """The exit's greenlet waited until all frames that had arrived were decoded."""
    holding(bot)
    bot.on_tick(quote(7_900))
    assert bot.orders.created[-1].purpose == "exit"  # type: ignore[attr-defined]


def test_a_price_of_a_market_without_a_trade_costs_the_core_nothing(bot: Bot) -> None:
    events = heard(bot)
    bot.on_tick(quote(7_900))
    assert events == []
    holding(bot)
    bot.on_tick(quote(8_800))
    assert [x.quote.bid for x in events if isinstance(x, Tick)] == [8_800]


def test_an_exit_is_told_as_sent_when_its_bytes_have_left_with_that_moment(bot: Bot) -> None:
    entry = holding(bot)
    bot.on_tick(quote(7_900))
    exit_id = bot.orders.created[-1].client_order_id  # type: ignore[attr-defined]
    events = heard(bot)
    sent_ms = now_ms()
    bot.on_sent(exit_id, sent_ms * 1_000_000 + 999)
    bot.on_sent(entry.client_order_id, sent_ms * 1_000_000)
    assert events == [Sending(sent_ms, exit_id)], "an entry's step was told before its bytes left"


def test_the_time_from_tick_to_bytes_is_measured_for_exits(bot: Bot) -> None:
    created: list[int] = []

    def create(order: PlaceOrder) -> Accepted:
        bot.on_sent(order.client_order_id, 300_001)
        created.append(1)
        return Accepted("x", order.count, Count(0))

    bot.orders.create = create  # type: ignore[method-assign]
    bot._perform(leaving())
    assert created and bot.latency.shown() == {"count": 1, "p50": 300.0, "p99": 300.0}


# the operator


def test_each_word_is_kept_with_who_said_it_and_what_became_of_it(bot: Bot) -> None:
    bot.run([])
    bot.command("pause", {}, "anna", "r1")
    bot.command("resume", {"no": "such"}, "bob", "r2")
    assert bot.history.wait(bot._put([]), 3.0)
    rows, _ = bot.history.page("audit")
    assert [(row.id, row.actor, row.verb) for row in rows] == [("b-r2", "bob", "resume"), ("b-r1", "anna", "pause")]  # type: ignore[union-attr]
    assert [row.result.split(":")[0] for row in rows] == ["refused", "accepted"]  # type: ignore[union-attr]


def test_a_word_is_judged_by_trusted_prices_alone(bot: Bot) -> None:
    asked: list[tuple[str, int]] = []
    bot.market_data.fresh_quote = lambda ticker, now_ns: asked.append((ticker, now_ns))  # type: ignore[method-assign,assignment,func-returns-value]
    holding(bot)
    asked.clear()
    events = heard(bot)
    bot.command("pause", {}, "anna", "r1")
    assert events[0].quotes == {} and asked[0][0] == "T-1"
    assert abs(asked[0][1] // 1_000_000 - now_ms()) < 5_000, "trusted now"


# sending


def test_a_word_that_comes_while_an_entry_waits_for_the_disk_keeps_it_from_leaving(bot: Bot) -> None:
    propose(bot)
    bot.command("pause", {}, "anna", "r1")
    bot._spawn(bot.journal.pump)
    assert until(lambda: not bot.state.live_trade)
    assert bot.orders.created == []  # type: ignore[attr-defined]


def test_an_order_that_our_own_defect_broke_off_is_of_unknown_fate(bot: Bot) -> None:
    """Its bytes may have left: refused, it would have released its reserve; sending, it would never be looked up."""

    def create(order: PlaceOrder) -> Outcome:
        raise KeyError("made up")

    bot.orders.create = create  # type: ignore[method-assign,assignment]
    bot.run([])
    propose(bot)
    [order] = bot.state.orders.values()
    assert until(lambda: order.state is OrderState.UNKNOWN)


@pytest.mark.parametrize("failure", [KeyError("made up"), ReadFailed("timeout")])
def test_an_order_is_looked_up_again_after_a_look_up_that_failed_in_whatever_way(
    bot: Bot, failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise failure

    monkeypatch.setattr("bot.run.bot.look_up", fail)
    for _ in range(2):
        bot.executor.submit(ResolveOrder("t.e", "T-1", 0), 0)
        job = bot.executor.ready(0, 0)
        assert isinstance(job, ResolveOrder)
        with suppress(KeyError):
            bot._look_up(job)


def test_no_entry_is_decided_while_the_journal_cannot_be_written(bot: Bot) -> None:
    propose(bot)
    [order] = bot.state.orders.values()
    market = bot.state.trades[order.trade_id].market
    wanted: Any = SimpleNamespace(market=market, ticker="T-1")
    bot.journal.commits.healthy = False
    answer = bot._propose(Propose(now_ms(), wanted, 0)).answer
    assert answer is not None and answer.code == "journal_failing"


def test_a_wake_comes_when_it_was_asked_for_with_the_price_of_its_market(bot: Bot) -> None:
    events = heard(bot)
    bot.market_data.fresh_quote = lambda ticker, now_ns: quote(7_000)  # type: ignore[method-assign,assignment]
    bot._on_wake(Wake(now_ms() + 50, "T-1"))
    assert until(lambda: bool(events), 2.0)
    assert isinstance(events[0], Sweep) and events[0].quotes["T-1"].bid == 7_000 and events[0].told is None


def test_the_sweep_starts_work_that_was_left_waiting(bot: Bot) -> None:
    bot.executor.submit(leaving(), 0)
    bot._sweep()
    assert until(lambda: bool(bot.orders.created))  # type: ignore[attr-defined]


def test_the_account_is_read_soon_while_fills_of_an_ended_order_are_missing(bot: Bot) -> None:
    """Its fills were in no frame: the position they made stood without a stop until the next reading."""
    ended = Order(
        "e", "t", "T-1", "bid", Price(8_800), Count(100), "immediate_or_cancel", "entry", now_ms(),
        OrderState.CANCELLED, "x", filled=Count(50),
    )  # fmt: skip
    bot.state.orders["e"] = ended
    for late_ms, wakes in ((0, False), (3_000, True)):
        ended.changed_ms = now_ms() - late_ms
        bot._sweep()
        assert ("Reconciler" in woken(bot)) is wakes


def test_a_stop_still_leaves_while_the_program_ends(bot: Bot) -> None:
    bot._stopping = True
    bot._perform(leaving())
    assert [order.purpose for order in bot.orders.created] == ["exit"]  # type: ignore[attr-defined]
    bot._stopping = False


def test_stops_are_looked_at_before_the_halt_file(bot: Bot) -> None:
    events = heard(bot)
    (bot.settings.data_dir / "halt").write_text("now")
    bot._sweep()
    assert [type(x) for x in events] == [Sweep, Command]


def test_an_amend_is_an_exit_and_nothing_is_told_before_it() -> None:
    amend = AmendOrder("t", "x", "T-1", "ask", Price(100), Count(100))
    assert sends_exit(SimpleNamespace(effects=[amend]))  # type: ignore[arg-type]


# the end


def test_an_entry_that_has_not_left_when_the_program_ends_is_given_up(bot: Bot) -> None:
    """Else the next start would take it for one that may have been sent."""
    propose(bot)
    [order] = bot.state.orders.values()
    deferred = Order(
        "d", order.trade_id, "T-1", "bid", Price(8_800), Count(100), "immediate_or_cancel", "entry", now_ms(),
        OrderState.DEFERRED,
    )  # fmt: skip
    bot.state.orders["d"] = deferred
    bot.stop(0.2)
    assert [o.state for o in (order, deferred)] == [OrderState.REJECTED] * 2
    assert bot.orders.created == []  # type: ignore[attr-defined]


def test_a_program_that_ends_waits_for_replies_and_sends_nothing_afterwards(bot: Bot) -> None:
    started: list[str] = []

    def create(order: PlaceOrder) -> Accepted:
        started.append(order.client_order_id)
        gevent.sleep(0.2)
        return Accepted("x", order.count, Count(0))

    bot.orders.create = create  # type: ignore[method-assign]
    bot.run([])
    propose(bot)
    assert until(lambda: bool(started))
    [order] = bot.state.orders.values()
    bot.stop(3.0)
    assert order.order_id == "x", "its reply is known to the journal"
    bot._perform(leaving())
    assert len(started) == 1


def test_the_next_start_replays_nothing_after_an_orderly_end(bot: Bot) -> None:
    bot.run([])
    bot.command("pause", {}, "anna", "r1")
    bot.stop(3.0)
    assert bot.journal.grown == 0


# what is kept


def test_a_snapshot_is_of_the_moment_whose_number_it_has(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts come while its rows are awaited: in the state and again in the records after it, they count twice."""
    bot.run([])
    kept: list[tuple[int, bytes, str]] = []
    monkeypatch.setattr(bot.journal, "snapshot", lambda *snapshot: kept.append(snapshot))

    def wait(number: int, timeout: float | None) -> bool:
        bot.command("pause", {}, "anna", "r1")
        return True

    monkeypatch.setattr(bot.history, "wait", wait)
    before = bot.door.seq, dump(bot.state), state_hash(bot.state)
    bot._snapshot()
    assert kept == [before] and bot.door.seq > before[0]
    monkeypatch.undo()


def test_a_key_that_is_refused_is_an_alarm_once_and_then_a_reading_reaches_core_and_sweep(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = True

    def read(*_: Any) -> AccountRead:
        if refused:
            raise ReadFailed("auth")
        now = now_ms()
        held = VenuePosition("T-1", Count(100), Money(0), Money(0), Money(0))
        return AccountRead(now, now, now, (), (), (held,), Money(1_000_000), (), {})

    monkeypatch.setattr("bot.run.bot.read_account", read)
    bot.market_data.read_market = None  # type: ignore[method-assign,assignment]
    for _ in range(3):
        bot._reconcile()
    assert bot.reconcile_error
    refused = False
    for _ in range(2):
        bot._reconcile()
    assert bot.channels.told().keys() == {"T-1"} and bot.state.position("T-1").count == 100
    told = [n["code"] for n in bot.notices.kept if n["code"].startswith("key_")]
    assert told == ["key_refused", "key_accepted"] and not bot.reconcile_error


def test_the_strategy_waits_for_the_account_and_the_markets(bot: Bot) -> None:
    started: list[int] = []
    bot.loops["StrategyLoop"] = SimpleNamespace(run=lambda: started.append(1))  # type: ignore[assignment]
    markets: dict[str, Any] = {}
    bot.market_data.snapshot = lambda: SimpleNamespace(markets=markets, quotes={})  # type: ignore[method-assign,assignment,return-value]
    waiting = gevent.spawn(bot._first_pass)
    steps: list[Callable[[], Any]] = [
        lambda: markets.update(T=1),
        lambda: markets.clear() or setattr(bot.state, "reconciled_ms", now_ms()),
    ]
    for step in steps:
        step()
        gevent.sleep(0.12)
        assert not started
    markets.update(T=1)
    assert until(lambda: bool(started))
    waiting.join(1)
    bot.loops["StrategyLoop"] = SimpleNamespace(stop=lambda: None)  # type: ignore[assignment]


def test_a_start_writes_the_history_of_what_it_replays_and_follows_what_is_held_before_any_loop_runs(
    bot: Bot, tmp_path: Path
) -> None:
    """A kill between journal and history lost the row of a fill for ever."""
    propose(bot)
    bot.on_account(fill("x"))
    assert bot.journal.commits.drain()
    bot.journal._disk.close()
    (tmp_path / "history.db").unlink()
    restarted = alone(tmp_path)
    facts = [decode(record) for _, record in restarted.journal.load().records]
    followed: list[frozenset[str]] = []
    restarted.market_data.follow = lambda held, watched: followed.append(held)  # type: ignore[method-assign,assignment]
    restarted.run(facts)
    assert followed == [frozenset({"T-1"})]
    assert restarted.history.wait(restarted._put([]), 3.0)
    rows, _ = restarted.history.page("fills")
    assert [row.ticker for row in rows] == ["T-1"]  # type: ignore[union-attr]
    restarted.stop(0.2)
