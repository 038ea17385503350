"""What a mutation tester changed unseen in orders' news: what is told, recorded, refused; a defect of ours; a boot."""

from typing import Any
from zlib import crc32

import msgspec
import pytest
from scene import PLAN, RULES, T0, TICKER, Scene
from test_exact_claims import by_hand, facts_of
from test_exact_replies import described, entering, leaving, notes
from test_resting import LATER, amends, resting
from test_stop_rules import SIDES

from bot.core import events as e
from bot.core import facts as f
from bot.core.config import Config
from bot.core.effects import Notice, Reconcile, ResolveOrder
from bot.core.orders import AGAIN_MS, OrderState
from bot.core.step import step
from bot.core.trades import TradeState
from bot.core.turn import Answer, Turn
from bot.core.units import Count, Money, Price
from bot.core.venue import Accepted, AlreadyExists, Outcome, Rejected, Settlement, Unknown, VenueFill

OTHER = "KXNBAGAME-26NOV21BOSDET-DET"


def quiet(turn: Turn) -> bool:
    return (turn.facts, turn.effects, turn.answer) == ([], [], None)


def replied(scene: Scene, name: str, outcome: Outcome) -> Turn:
    return scene.do(e.CreateReplied(scene.now, name, outcome))


# the last gate


@pytest.mark.parametrize("late_ms, answer", [(0, "send"), (1, "lapsed")])
def test_an_entry_may_leave_up_to_the_end_of_its_time(late_ms: int, answer: str) -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    turn = scene.at(5 + late_ms / 1_000).do(e.Sending(scene.now, entry.client_order_id))
    text = {"send": entry.client_order_id, "lapsed": "decided 5001 ms ago: its signal has lapsed"}[answer]
    assert turn.answer == Answer(not late_ms, answer, text)


def test_what_does_not_wait_to_be_sent_is_not_sent() -> None:
    scene, entry = entering()
    forgotten = scene.do(e.Sending(scene.now, "b0-1.e"))
    assert forgotten.answer == Answer(False, "not_waiting", "given up so long ago that it was forgotten")
    twice = scene.do(e.Sending(scene.now, entry.client_order_id))
    assert twice.answer == Answer(False, "not_waiting", "the entry is sending already")
    assert scene.effects == twice.facts == []


# replies


def test_a_reply_that_names_no_order_of_ours_is_an_alarm() -> None:
    scene = Scene()
    turn = replied(scene, "b0-1.e", Accepted("x1", Count(0), Count(0)))
    text = "a reply names b0-1.e, which is not ours"
    assert (turn.facts, turn.effects) == ([], [Notice("alarm", "reply_without_order", text)])


@pytest.mark.parametrize("status, filled", [("canceled", 500), ("canceled", 0), ("executed", 2_000)])
def test_an_acceptance_that_is_older_than_the_orders_end_says_nothing(status: str, filled: int) -> None:
    scene, entry = entering()
    scene.order_seen(entry, status, filled, 0)
    assert quiet(replied(scene, entry.client_order_id, Accepted("x1", Count(0), Count(2_000))))


def test_a_refusal_is_told_and_refused_once() -> None:
    scene, entry = entering()
    replied(scene, entry.client_order_id, Rejected("invalid_price", "off", 400))
    text = f"entry {entry.client_order_id} refused: invalid_price off"
    assert notes(scene)[0] == Notice("warning", "order_rejected", text, TICKER)
    assert quiet(replied(scene, entry.client_order_id, Rejected("invalid_price", "off", 400)))


@pytest.mark.parametrize("late_ms, state", [(0, OrderState.DEFERRED), (1, OrderState.REJECTED)])
def test_an_entry_is_deferred_as_long_as_it_can_still_leave_in_its_time(late_ms: int, state: OrderState) -> None:
    scene, entry = entering()
    name = entry.client_order_id
    wait_ms = AGAIN_MS + crc32(f"{name}.1".encode()) % AGAIN_MS
    scene.at((5_000 - wait_ms + late_ms) / 1_000)
    replied(scene, name, Rejected("too_many_requests", "busy", 429))
    order = scene.state.orders[name]
    assert (order.state, order.reason) == (state, "too_many_requests busy")


def test_an_entry_without_an_answer_is_an_alarm_and_nothing_of_its_trade_is_an_exit() -> None:
    scene, entry = entering()
    name = entry.client_order_id
    turn = replied(scene, name, Unknown("no reply"))
    assert turn.facts == [f.OrderMoved(T0, name, "lost", reason="no reply")]
    assert turn.effects == [
        Notice("alarm", "order_unknown", f"entry {name}: no reply", TICKER),
        ResolveOrder(name, TICKER, T0),
    ]
    assert (scene.state.orders[name].reason, scene.state.orders[name].again_ms) == ("no reply", 0)


@pytest.mark.parametrize("outcome", [Unknown("no reply"), AlreadyExists()])
def test_that_nothing_is_known_of_an_entry_is_recorded_once(outcome: Outcome) -> None:
    scene, entry = entering()
    replied(scene, entry.client_order_id, outcome)
    assert replied(scene, entry.client_order_id, outcome).facts == []


def test_an_exit_without_an_answer_was_not_taken() -> None:
    scene, order = leaving()
    name, trade = order.client_order_id, scene.trade()
    turn = scene.at(5.4).do(e.CreateReplied(scene.now, name, Unknown("no reply")))
    assert turn.facts[:2] == [
        f.OrderMoved(scene.now, name, "lost", reason="no reply"),
        f.ExitAttempted(scene.now, trade.id, 1, scene.now, taken=False),
    ]
    again = scene.at(5.5).do(e.CreateReplied(scene.now, name, Unknown("no reply")))
    assert again.facts == [], "the same news is no fact"


# descriptions


@pytest.mark.parametrize("status, filled, remaining", [("resting", 0, 2_000), ("resting", 500, 1_500),
                                                       ("canceled", 500, 0), ("canceled", 0, 0)])  # fmt: skip
def test_the_same_description_twice_is_recorded_once(status: str, filled: int, remaining: int) -> None:
    scene, entry = entering()
    scene.do(e.OrderSeen(scene.now, described(entry, status, filled, remaining)))
    assert quiet(scene.do(e.OrderSeen(scene.now, described(entry, status, filled, remaining))))


# fills


@pytest.mark.parametrize("side, bought, sold", [("bid", "bought", "sold"), ("ask", "sold", "bought")])
def test_a_fill_is_told_and_recorded_step_by_step(side: str, bought: str, sold: str) -> None:
    scene = Scene()
    price = 8_800 if side == "bid" else 1_200
    plan = msgspec.structs.replace(PLAN, stop=None, target=None)
    scene.propose(side, price, 2_000, plan)
    [entry] = scene.sent()
    name = entry.client_order_id
    scene.reply(entry, 0, 2_000)
    turn = scene.fill(entry, price, 500, fee=10_000)
    assert turn.facts[1:] == [
        f.OrderMoved(T0, name, "part_filled", filled=Count(500)),
        f.TradeMoved(T0, scene.trade().id, "entry_filled"),
    ]
    text = f"entry {name} {bought} 5.00 YES at 0.{price}, fee 0.010000"
    assert notes(scene)[0] == Notice("info", "fill", text, TICKER)
    turn = scene.fill(entry, price, 1_500)
    assert turn.facts[1:] == [f.OrderMoved(T0, name, "filled", filled=Count(2_000))]
    other = "ask" if side == "bid" else "bid"
    by_hand(scene.at(90), other, 100)
    text = f"{sold} 1.00 YES at 0.4000: its order is not known to be ours"
    assert scene.effects == [Notice("warning", "fill_unclaimed", text, TICKER)]


@pytest.mark.parametrize("early_ms, booked", [(0, 1), (1, 0)])
def test_a_fill_as_old_as_what_was_forgotten_last_is_booked_and_none_before(early_ms: int, booked: int) -> None:
    scene = Scene()
    row = VenueFill("o1", "v1", "", TICKER, "bid", Price(4_000), Count(100), Money(0), True,
                    scene.state.forgotten_ms - early_ms)  # fmt: skip
    turn = scene.do(e.FillSeen(scene.now, row))
    assert len(facts_of(turn, f.FillBooked)) == booked
    assert quiet(scene.do(e.FillSeen(scene.now, row))), "once"


def test_a_fill_before_the_books_begin_is_not_booked() -> None:
    scene = Scene()
    scene.state.cash = None
    row = VenueFill("o1", "v1", "", TICKER, "bid", Price(4_000), Count(100), Money(0), True, scene.now)
    assert quiet(scene.do(e.FillSeen(scene.now, row)))


def test_a_fill_of_an_order_taken_for_refused_is_an_alarm_that_names_its_market() -> None:
    scene, entry = entering()
    replied(scene, entry.client_order_id, Rejected("invalid_price", "", 400))
    scene.fill(entry, 8_800, 500)
    text = f"{entry.client_order_id} was taken for refused but filled"
    assert Notice("alarm", "fill_on_rejected", text, TICKER) in notes(scene)
    assert (scene.trade().state, scene.trade().open_count()) == (TradeState.OPEN, 500)


@pytest.mark.parametrize(
    "before, after",
    [("sending", OrderState.PARTLY_FILLED), ("unknown", OrderState.UNKNOWN), ("cancelled", OrderState.CANCELLED)],
)
def test_a_fill_leaves_open_what_is_unknown_and_ended_what_has_ended(before: str, after: OrderState) -> None:
    scene, entry = entering()
    if before == "unknown":
        replied(scene, entry.client_order_id, Unknown("no reply"))
    elif before == "cancelled":
        replied(scene, entry.client_order_id, Accepted(f"x-{entry.client_order_id}", Count(500), Count(0)))
    scene.fill(entry, 8_800, 500)
    order = scene.state.orders[entry.client_order_id]
    assert (order.state, order.booked) == (after, 500)
    assert [x.code for x in notes(scene)] == ["fill", "protected"]


def test_a_partial_fill_of_a_target_that_is_the_exit_now_amends_nothing_again() -> None:
    scene = Scene()
    order = resting(scene)
    scene.at(LATER + 5).tick(7_900, 8_100)
    assert len(amends(scene)) == 1
    scene.fill(order, 7_900, 500)
    assert amends(scene) == [] and scene.state.orders[order.client_order_id].booked == 500


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("left, state", [(1, TradeState.EXITING), (0, TradeState.CLOSED)])
def test_a_trade_has_not_ended_while_a_hundredth_of_a_contract_is_left(side: str, left: int, state: TradeState) -> None:
    scene = Scene()
    price = 8_800 if side == "bid" else 1_200
    scene.held(price=price, side=side, plan=msgspec.structs.replace(PLAN, stop=None, target=None))
    scene.do(e.Command(scene.now, "flatten", "anna", {}))
    [out] = scene.sent()
    scene.fill(out, price, 2_000 - left)
    assert (scene.trade().state, scene.trade().open_count()) == (state, left)


def test_an_exit_that_was_never_applied_says_nothing_once_its_trade_has_been_settled() -> None:
    scene, order = leaving()
    replied(scene, order.client_order_id, Unknown("no reply"))
    done = Settlement(TICKER, "yes", Money(20_000_000), Money(0), Count(0), Count(0), scene.now)
    scene.at(10).read(settlements=(done,), positions=[])
    scene.at(90).do(e.OrderResolved(scene.now, order.client_order_id, None, True))
    assert scene.state.orders[order.client_order_id].state is OrderState.REJECTED
    assert [x.code for x in notes(scene)] == ["order_absent"]


@pytest.mark.parametrize("at_s, ticker, wanted", [(10, TICKER, True), (90, TICKER, False), (10, OTHER, False)])
def test_what_was_filled_beside_an_entry_that_bought_nothing_is_read_when_it_may_be_ours(
    at_s: float, ticker: str, wanted: bool
) -> None:
    scene, entry = entering()
    by_hand(scene.at(at_s), "ask", 300, ticker)
    scene.order_seen(entry, "canceled", 0, 0)
    assert any(isinstance(x, Reconcile) for x in scene.effects) is wanted


@pytest.mark.parametrize(
    "changes, text",
    [
        ({}, "YES 20.00: stop 0.8000, target 0.9500"),
        ({"rest_target": True}, "YES 20.00: stop 0.8000, target 0.9500 resting in the book"),
        ({"rest_target": True, "target": None}, "YES 20.00: stop 0.8000, target none"),
        (
            {"trail": Price(500), "break_even_after": Price(300)},
            "YES 20.00: stop 0.8000 trailing by 0.0500, break-even after 0.0300, target 0.9500",
        ),
    ],
)
def test_a_protection_names_each_rule_of_its_plan(changes: dict[str, Any], text: str) -> None:
    scene = Scene()
    scene.held(plan=msgspec.structs.replace(PLAN, time_exit_ms=None, **changes))
    assert notes(scene)[-1] == Notice("info", "protected", text, TICKER)


# steps that a table refuses


def test_a_refused_step_of_an_order_does_nothing_but_its_alarm() -> None:
    """Not even the next exit is sent for it, though one is due."""
    scene, order = leaving()
    name = order.client_order_id
    replied(scene, name, Rejected("invalid_price", "", 400))
    before = scene.at(7).state.facts
    replied(scene, name, Accepted("x1", Count(0), Count(2_000)))
    text = f"order {name} is rejected: 'rested' refused"
    assert scene.effects == [Notice("alarm", "order_step_refused", text, TICKER)] and scene.state.facts == before
    turn = Turn(scene.state, scene.now)
    assert turn.move_order(scene.state.orders[name], "lost", reason="why") is False
    assert turn.effects == [
        Notice("alarm", "order_step_refused", f"order {name} is rejected: 'lost' refused why", TICKER)
    ]


def test_a_refused_step_of_a_trade_is_told_and_changes_nothing() -> None:
    scene = Scene()
    trade = scene.held()
    turn = Turn(scene.state, scene.now)
    assert turn.move_trade(trade, "stood_down") is False
    text = f"trade {trade.id} is open: 'stood_down' refused"
    assert (turn.facts, turn.effects) == ([], [Notice("alarm", "trade_step_refused", text, TICKER)])
    assert turn.move_trade(trade, "flat", "external") is True and trade.state is TradeState.CLOSED


# defects of ours, and the clock


@pytest.mark.parametrize("answered", [False, True])
def test_a_defect_of_ours_is_an_alarm_with_a_code_and_answers_unless_that_was_done(
    answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bot.core import commands

    def broken(turn: Turn, *_: object) -> None:
        if answered:
            turn.approve("done", "it was")
        raise KeyError("made up")

    scene = Scene()
    monkeypatch.setattr(commands, "command", broken)
    turn = step(scene.state, e.Command(scene.now, "close", "anna", {}), RULES)
    text = "defect on Command: KeyError: 'made up'"
    assert turn.effects == [Notice("alarm", "defect", text)]
    assert turn.answer == (Answer(True, "done", "it was") if answered else Answer(False, "defect", text))
    assert turn.facts == [f.ModeChanged(scene.now, "PAUSED", text, "system")]


@pytest.mark.parametrize("back_ms, told", [(1_000, False), (1_001, True)])
def test_a_clock_that_is_adjusted_by_up_to_a_second_was_not_set_back(back_ms: int, told: bool) -> None:
    scene = Scene().at(10)
    scene.read()
    turn = scene.at(10 - back_ms / 1_000).tick(8_700, 8_900)
    assert turn.facts == ([f.ClockSetBack(scene.now, 1_001)] if told else []) and turn.answer is None


# boots


def test_a_first_start_records_its_settings_and_its_mode() -> None:
    scene = Scene()
    config = scene.state.config
    assert scene.facts[:3] == [
        f.ConfigChanged(T0, config), f.ModeChanged(T0, "RUNNING", "first start", "system"), f.Booted(T0, "b1"),
    ]  # fmt: skip
    turn = scene.at(5).do(e.Boot(scene.now, "b2", config))
    assert turn.facts == [f.Booted(scene.now, "b2")], "and a later one does not"


def test_what_a_newer_version_can_be_set_to_is_recorded_when_it_boots_and_what_was_set_stays() -> None:
    scene = Scene()
    old = scene.state.config
    newer = Config(1, "default", {**old.risk, "cooldown": 7, "made_up": 3}, {**old.strategy, "new": 5})
    turn = scene.at(5).do(e.Boot(scene.now, "b2", newer))
    merged = Config(2, "upgrade", {**old.risk, "made_up": 3}, {**old.strategy, "new": 5})
    assert merged.risk["cooldown"] != 7
    assert turn.facts == [f.Booted(scene.now, "b2"), f.ConfigChanged(scene.now, merged)]
    assert scene.state.config == merged


@pytest.mark.parametrize(
    "mode, purpose, ended, recalled, again",
    [
        ("HALTED", "entry", False, False, True),
        ("REDUCING", "entry", False, False, True),
        ("RUNNING", "entry", False, False, False),
        ("PAUSED", "entry", False, False, False),
        ("HALTED", "entry", False, True, False),
        ("HALTED", "entry", True, False, False),
        ("HALTED", "target", False, False, False),
    ],
)
def test_a_boot_calls_back_each_entry_that_a_stop_of_an_older_version_left_to_rest(
    mode: Any, purpose: str, ended: bool, recalled: bool, again: bool
) -> None:
    if purpose == "entry":
        scene, order = entering()
        scene.reply(order, 0, 0 if ended else 2_000)
    else:
        scene = Scene()
        order = resting(scene)
        entry = next(iter(scene.state.orders.values()))
        assert entry.purpose == "entry" and not entry.live()
    scene.state.mode = mode
    scene.state.orders[order.client_order_id].recall = recalled
    turn = scene.at(LATER + 5).do(e.Boot(scene.now, "b2", scene.state.config))
    expected = [f.OrderRecalled(scene.now, order.client_order_id)] if again else []
    assert facts_of(turn, f.OrderRecalled) == expected


def test_an_order_that_a_restart_made_unknown_says_so_and_is_looked_up_since_it_left() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.at(0.3).do(e.Sending(scene.now, entry.client_order_id))
    scene.at(5).do(e.Boot(scene.now, "b2", scene.state.config))
    order = scene.state.orders[entry.client_order_id]
    assert (order.state, order.reason) == (OrderState.UNKNOWN, "the program restarted")
    assert scene.effects == [ResolveOrder(entry.client_order_id, TICKER, T0 + 300)]
