"""The program's clock is set back or the machine stands still: stops go on, in their bound; no entry passes on it."""

import msgspec
import pytest
from scene import PLAN, RULES, T0, TICKER, Scene, market, quote
from test_resting import LATER, placed

from bot.core import events as e
from bot.core import risk
from bot.core.effects import Notice, PlaceOrder, ResolveOrder
from bot.core.facts import ClockSetBack
from bot.core.state import dump, load
from bot.core.trades import TradeState
from bot.core.units import Count, Money, Price
from bot.core.venue import (
    Accepted,
    AlreadyExists,
    NotSent,
    Outcome,
    Rejected,
    Unknown,
    VenueFill,
    VenueOrder,
    VenuePosition,
)
from bot.run.door import Door
from bot.run.executor import Executor, WriteBudget
from bot.run.history_rows import version_of

PATIENT = msgspec.structs.replace(PLAN, time_exit_ms=None)
REFUSED = Rejected("header_timestamp_expired", "", 401)


def answered(scene: Scene, order: PlaceOrder, outcome: Outcome) -> None:
    scene.do(e.Sending(scene.now, order.client_order_id))
    scene.do(e.CreateReplied(scene.now, order.client_order_id, outcome))


def leaving(scene: Scene, at_s: float, outcome: Outcome = REFUSED) -> PlaceOrder:
    """A stop fires at 0.79 and its first order, down to 0.69, has its answer."""
    scene.at(at_s - 1).held(plan=PATIENT)
    scene.at(at_s).tick(7_900, 8_000)
    [order] = scene.sent()
    answered(scene, order, outcome)
    return order


@pytest.mark.parametrize("back_s", [2, 60, 3_600])
def test_a_stop_goes_on_at_once_when_the_clock_is_set_back(back_s: int) -> None:
    scene = Scene()
    leaving(scene, 7_200)
    scene.at(7_200 - back_s).tick(7_600, 7_800)
    [again] = scene.sent()
    assert (again.count, again.price) == (2_000, 6_600)
    assert [x.code for x in scene.effects if isinstance(x, Notice)] == ["clock_set_back"]


def test_a_stop_goes_on_after_a_restart_with_a_clock_that_was_set_back() -> None:
    scene = Scene()
    leaving(scene, 7_200)
    scene.state = load(dump(scene.state))
    scene.at(3_600).do(e.Boot(scene.now, "b2", scene.state.config))
    scene.tick(7_600, 7_800)
    [again] = scene.sent()
    assert again.count == 2_000


@pytest.mark.parametrize("back_s", [5, 8, 600])
def test_a_clock_that_is_set_back_never_turns_the_bound_around(back_s: int) -> None:
    scene = Scene()
    order = leaving(scene, 7_200, Accepted("x1", Count(500), Count(0)))
    scene.do(e.FillSeen(scene.now, VenueFill("f9", "x1", order.client_order_id, TICKER, "ask", Price(7_900), Count(500),
                                             Money(0), True, scene.now)))  # fmt: skip
    limits = []
    for tenth, bid in enumerate((None, 7_000, None, 7_000, 7_000)):
        scene.at(7_200 + tenth / 10 - back_s).tick(bid, 8_000)  # the return of a price is answered at once
        for again in scene.sent():
            limits.append(again.price)
            answered(scene, again, Accepted(f"y{tenth}", Count(0), Count(0)))
    assert len(limits) >= 2 and set(limits) == {6_900}


def test_no_entry_passes_on_a_reading_of_a_time_that_lies_ahead() -> None:
    scene = Scene()
    scene.at(7_200).read()
    wanted = e.Proposal("test", market(), "bid", Price(8_800), Count(2_000), "immediate_or_cancel", PLAN, "why")
    turn = scene.at(3_600).do(e.Propose(scene.now, wanted, 0))
    assert turn.answer is not None and turn.answer.code == "not_reconciled"
    scene.at(3_601).propose()
    assert len(scene.sent()) == 1


def test_an_entry_that_waits_for_another_try_has_lapsed_when_the_clock_is_set_back() -> None:
    scene = Scene()
    scene.at(7_200).propose(plan=PATIENT)
    [entry] = scene.sent()
    answered(scene, entry, Rejected("too_many_requests", "", 429))
    scene.at(3_600).sweep(8_700, 8_800)
    turn = scene.do(e.Sending(scene.now, entry.client_order_id))
    assert turn.answer is not None and not turn.answer.ok and not scene.state.live_trade


def test_a_loss_of_today_outlives_a_restart_with_a_clock_of_yesterday() -> None:
    """A board without a battery boots in the past, and is set right a minute later."""
    scene = Scene()
    scene.at(48_000).sweep()
    leaving(scene, 50_000, Accepted("x1", Count(0), Count(0)))
    scene.state.config.risk["max_daily_loss"] = 1
    assert scene.state.day_open == 0
    day, lost = scene.state.day, scene.state.day_realized
    assert lost < 0
    scene.at(-50_000).do(e.Boot(scene.now, "b2", scene.state.config))
    for at_s in (-49_000, 50_100):
        scene.at(at_s).read()
        scene.sweep(7_900, 8_000)
        assert (scene.state.day, scene.state.day_realized) == (day, lost)
        assert next(u.value for u in risk.uses(scene.state, scene.now) if u.name == "max_daily_loss") == -lost
    assert (scene.state.marked_day, scene.state.day_open) == (day, 0)
    scene.at(50_000 + 86_400).sweep(7_900, 8_000)
    assert scene.state.marked_day == day + 1, "and the next day it is over"


def test_the_clock_counts_as_set_back_only_when_it_was() -> None:
    """A look-up that took 5 s is stamped before what was recorded meanwhile: escalation went back and forth with it."""
    state, heard = Scene().state, []
    door = Door(
        state, RULES, Unkept(), Executor(WriteBudget(1.0, 1.0)), on_work=lambda: None, clock_ms=lambda: T0 + 9_000,  # type: ignore[arg-type]
        on_facts=lambda facts, seq: heard.extend(facts), on_notice=lambda notice: None, on_wake=lambda wake: None,
        on_reconcile=lambda: None, later=lambda work: work(),
    )  # fmt: skip
    door.handle(e.Command(T0 + 8_000, "pause", "me", {}))
    door.handle(e.Command(T0 + 2_000, "stop", "me", {}))
    assert [x.at_ms for x in heard] == [T0 + 8_000, T0 + 9_000]
    assert not any(isinstance(x, ClockSetBack) for x in heard)


class Unkept:
    """A journal that keeps nothing."""

    last_seq = 0

    def append(self, records: list[bytes]) -> int:
        return self.last_seq + len(records)


def test_the_same_facts_are_kept_when_they_are_replayed() -> None:
    scene = Scene()
    leaving(scene, 7_200)
    scene.at(3_600).tick(7_600, 7_800)
    assert load(dump(scene.state)) == scene.state


def test_rows_of_the_history_grow_newer_also_after_the_clock_was_set_back() -> None:
    scene = Scene()
    leaving(scene, 7_200)
    before = version_of(scene.state.newest_ms, 8)
    scene.at(3_600).tick(7_600, 7_800)
    assert version_of(scene.state.newest_ms, 9) > before and scene.state.clock_ms == T0 + 3_600_000


@pytest.mark.parametrize("gap_s", [30, 7_200])
@pytest.mark.parametrize("price", [7_500, None])
def test_the_time_a_program_stood_still_does_not_widen_the_bound(gap_s: int, price: int | None) -> None:
    scene = Scene()
    leaving(scene, 20)
    scene.at(20 + gap_s).sweep(price, 7_700, known=price is not None)
    [again] = scene.sent()
    assert again.price == (6_500 if price else 6_900)


@pytest.mark.parametrize("outcome", [Unknown("no reply"), NotSent("no connection")])
def test_an_outage_does_not_widen_the_bound_of_a_target_whose_fate_is_unknown(outcome: Outcome) -> None:
    scene = Scene()
    target = placed(scene)
    answered(scene, target, Unknown("no reply"))
    limits = set()
    for second in range(40):
        scene.at(LATER + 5 + second).tick(7_900, 8_100)
        for order in scene.sent():
            limits.add(order.price)
            scene.do(e.CreateReplied(scene.now, order.client_order_id, outcome))
    assert limits == {6_900}


def test_a_fill_that_became_known_after_a_long_outage_is_protected() -> None:
    scene = Scene()
    for minute in range(0, 200, 10):
        scene.at(minute * 60).read()
    scene.propose(plan=PATIENT)
    [entry] = scene.sent()
    answered(scene, entry, Unknown("no reply"))
    sent_s = (scene.now - T0) / 1000
    fill = VenueFill("F1", "X1", "", TICKER, "bid", Price(8_800), Count(2_000), Money(0), True, scene.now + 200)
    there = VenuePosition(TICKER, Count(2_000), Money(8_800 * 2_000), Money(0), Money(0))
    cash = (scene.state.cash or 0) - 8_800 * 2_000
    scene.at(sent_s + 65 * 60).read(cash=cash, positions=(there,), fills=(fill,))
    assert entry.client_order_id in [x.client_order_id for x in scene.effects if isinstance(x, ResolveOrder)]
    done = VenueOrder("X1", entry.client_order_id, TICKER, "bid", Price(8_800), Count(2_000), Count(2_000), Count(0),
                      "executed", scene.now, scene.now)  # fmt: skip
    scene.do(e.OrderResolved(scene.now, entry.client_order_id, done, False))
    assert (scene.trade().state, scene.trade().open_count()) == (TradeState.OPEN, 2_000)
    scene.tick(3_000, 3_200)
    [stop] = scene.sent()
    assert stop.count == 2_000


def test_what_is_settled_is_forgotten_as_before() -> None:
    scene = Scene()
    for minute in range(0, 200, 10):
        scene.at(minute * 60).read()
    assert scene.now - scene.state.forgotten_ms <= 70 * 60_000


def test_a_position_whose_trade_does_not_know_of_it_is_told() -> None:
    scene = Scene()
    scene.propose(plan=PATIENT)
    [entry] = scene.sent()
    answered(scene, entry, Unknown("no reply"))
    scene.fill(entry, 8_800, 2_000, known=False)
    codes = set()
    for second in range(2, 12, 2):
        seen = {TICKER: quote(8_700, 8_900, scene.at(second).now)}
        turn = scene.do(e.Sweep(scene.now, seen, {TICKER: e.Told(Count(2_000))}))
        codes |= {x.code for x in turn.effects if isinstance(x, Notice)}
    assert "channel_difference" in codes


def test_an_order_that_is_never_settled_keeps_its_fills_for_days_and_not_for_ever() -> None:
    scene = Scene()
    order = leaving(scene, 100, AlreadyExists())
    for day in (2, 5):
        scene.at(day * 86_400).read()
        kept = scene.now - scene.state.forgotten_ms > 86_400_000
        assert kept is (day == 2)
    assert scene.state.orders[order.client_order_id].live()
