"""Targets that rest, where it is easiest to sell too much or to leave too late: each was a finding of a review."""

import itertools

import pytest
from scene import T0, TICKER, Scene, market, quote
from test_resting import LATER, accepted, amends, answered, cancels, of, placed, removed, resting

from bot.core import events as e
from bot.core.effects import CancelOrder, Notice, PlaceOrder, ResolveOrder, Wake
from bot.core.orders import Order, OrderState
from bot.core.trades import TradeState
from bot.core.units import Count, Money, Price
from bot.core.venue import AlreadyExists, NotSent, Rejected, Unknown, VenueOrder, VenuePosition


def by_hand(scene: Scene, side: str, count: int) -> None:
    order = PlaceOrder("hand", TICKER, side, Price(8_700), Count(count), "immediate_or_cancel", "exit", "maker")  # type: ignore[arg-type]
    scene.fill(order, 8_700, count, known=False)


def late_entry_fill(scene: Scene, count: int) -> None:
    entry = next(o for o in scene.state.orders.values() if o.purpose == "entry")
    order = PlaceOrder(
        entry.client_order_id, TICKER, "bid", Price(8_800), Count(count), "immediate_or_cancel", "entry", "maker"
    )
    scene.fill(order, 8_800, count)


def operator(scene: Scene, verb: str, **args: object) -> None:
    turn = scene.do(e.Command(scene.now, verb, "operator", args, {TICKER: quote(8_700, 8_900)}))
    assert turn.answer is not None and turn.answer.ok, turn.answer


def test_an_exit_beside_a_target_that_may_have_been_applied_is_not_sold_a_second_time() -> None:
    scene = Scene()
    resting(scene)
    late_entry_fill(scene, 700)
    scene.at(LATER + 5).tick(7_900, 8_100)
    [beside] = scene.sent()
    assert beside.count == 700
    scene.do(e.Sending(scene.now, beside.client_order_id))
    scene.do(e.CreateReplied(scene.now, beside.client_order_id, Unknown("no reply")))
    scene.do(e.CreateReplied(scene.now, beside.client_order_id, AlreadyExists()))
    again = scene.sent()
    for second in range(6, 40):
        scene.at(LATER + second).tick(7_800, 8_000)
        again += scene.sent()
    assert again == [], "reduce-only caps nothing while the target may sell as well"


@pytest.mark.parametrize("code", ["invalid_order", "cannot_update_filled_order", "invalid_amend_qty_for_order"])
def test_an_amend_that_is_refused_for_good_is_a_cancel_and_then_an_exit(code: str) -> None:
    scene = Scene()
    order = resting(scene)
    scene.at(LATER + 5).tick(7_900, 8_100)
    answered(scene, order, Rejected(code, "", 400))
    assert cancels(scene) == [order.client_order_id] and scene.sent() == []
    scene.at(LATER + 5.1).do(e.CancelReplied(scene.now, order.client_order_id, removed(order, 2_000)))
    [stop] = scene.sent()
    assert (stop.count, stop.reduce_only) == (2_000, True), "on the proof, not later"


def test_an_amend_that_filled_all_is_not_repeated_while_its_fills_are_under_way() -> None:
    scene = Scene()
    order = resting(scene)
    scene.at(LATER + 5).tick(7_900, 8_100)
    answered(scene, order, accepted(order, 0))
    scene.at(LATER + 5.5).tick(7_800, 8_000)
    assert amends(scene) == [] and scene.sent() == []


def test_an_exit_beside_does_not_hurry_the_amends() -> None:
    scene = Scene()
    order = resting(scene)
    late_entry_fill(scene, 700)
    scene.at(LATER + 5).tick(7_900, 8_100)
    [beside] = scene.sent()
    scene.do(e.Sending(scene.now, beside.client_order_id))
    scene.reply(beside, 0)
    scene.at(LATER + 5.5).tick(7_900, 8_100)
    assert amends(scene) == []
    scene.at(LATER + 6.1).tick(7_900, 8_100)
    assert [a.client_order_id for a in amends(scene)] == [order.client_order_id]


@pytest.mark.parametrize(
    "change",
    [
        lambda scene: by_hand(scene, "ask", 800),
        lambda scene: operator(scene, "plan", ticker=TICKER, rest_target=False),
        lambda scene: operator(scene, "plan", ticker=TICKER, target="0.97"),
    ],
    ids=["sold by hand", "switched off", "moved"],
)
def test_a_target_that_waits_for_the_disk_is_not_sent_when_it_is_not_wanted_any_more(change) -> None:
    scene = Scene()
    order = placed(scene)
    change(scene)
    scene.at(LATER + 1).tick(8_700, 8_900)
    turn = scene.do(e.Sending(scene.now, order.client_order_id))
    assert turn.answer is not None and not turn.answer.ok
    assert of(scene, order).state is OrderState.REJECTED and scene.trade().state is TradeState.OPEN


def test_a_target_is_cancelled_although_no_price_is_known_when_others_sold_all() -> None:
    scene = Scene()
    order = resting(scene)
    by_hand(scene, "ask", 2_000)
    scene.at(LATER + 5).sweep(known=False)
    assert cancels(scene) == [order.client_order_id]


def test_absence_right_after_a_restart_is_no_proof_and_what_arrives_later_is_cancelled() -> None:
    scene = Scene()
    order = placed(scene)
    scene.at(LATER + 21).do(e.Boot(scene.now, "b2", scene.state.config))
    scene.at(LATER + 31).do(e.OrderResolved(scene.now, order.client_order_id, None, absent=True))
    assert of(scene, order).live(), "the life before may have sent it just before its end"
    scene.at(LATER + 140).do(e.OrderResolved(scene.now, order.client_order_id, None, absent=True))
    assert of(scene, order).state is OrderState.REJECTED
    scene.order_seen(order, "resting", 0, 2_000)
    assert cancels(scene) == [order.client_order_id]


def test_a_target_of_unknown_fate_is_taken_on_the_tick_under_its_own_id() -> None:
    scene = Scene()
    order = placed(scene)
    scene.do(e.Sending(scene.now, order.client_order_id))
    scene.do(e.CreateReplied(scene.now, order.client_order_id, Unknown("no reply")))
    scene.at(LATER + 5).tick(9_500, 9_600)
    [taken] = scene.sent()
    assert (taken.client_order_id, taken.price, taken.reduce_only) == (order.client_order_id, 9_500, True)


def test_a_fill_that_names_a_target_whose_trade_is_left_has_it_amended_at_once() -> None:
    scene = Scene()
    order = placed(scene)
    scene.do(e.Sending(scene.now, order.client_order_id))
    scene.do(e.CreateReplied(scene.now, order.client_order_id, Unknown("no reply")))
    scene.at(LATER + 5).tick(7_900, 8_100)
    scene.fill(order, 9_500, 300)
    assert [(a.price, a.count) for a in amends(scene)] == [(6_900, 2_000)]


def test_a_target_that_is_refused_is_placed_anew_less_and_less_often() -> None:
    scene = Scene()
    order, placed_at = placed(scene), [0.0]
    for step in range(1, 1_200):
        if order is not None:
            scene.do(e.Sending(scene.now, order.client_order_id))
            scene.do(e.CreateReplied(scene.now, order.client_order_id, Rejected("trading_paused", "", 503)))
        scene.at(LATER + step / 4).tick(8_700, 8_900)
        [order] = scene.sent() or [None]  # type: ignore[list-item]
        if order is not None:
            placed_at.append(step / 4)
    waits = [later - before for before, later in itertools.pairwise(placed_at)]
    assert waits[0] < 3 and waits == sorted(waits) and len(waits) < 14


def test_a_target_that_the_operator_cancels_stays_away() -> None:
    scene = Scene()
    order = resting(scene)
    operator(scene, "cancel", order=order.client_order_id)
    assert cancels(scene) == [order.client_order_id]
    scene.do(e.CancelReplied(scene.now, order.client_order_id, removed(order, 2_000)))
    scene.at(LATER + 70).tick(8_700, 8_900)
    assert scene.sent() == [] and not scene.trade().plan.rest_target
    scene.tick(9_500, 9_600)
    assert [o.purpose for o in scene.sent()] == ["exit"]


def test_a_stop_leaves_at_once_though_a_cancel_of_its_target_is_under_way() -> None:
    scene = Scene()
    order = resting(scene)
    operator(scene, "plan", ticker=TICKER, target="0.97")
    scene.at(LATER + 5).tick(8_700, 8_900)
    assert cancels(scene) == [order.client_order_id]
    scene.at(LATER + 5.1).tick(7_900, 8_100)
    assert [a.price for a in amends(scene)] == [6_900]


def test_an_amend_that_never_left_is_repeated_soon() -> None:
    scene = Scene()
    order = resting(scene)
    scene.at(LATER + 5).tick(7_900, 8_100)
    answered(scene, order, NotSent("no connection"))
    scene.at(LATER + 5.3).tick(7_900, 8_100)
    assert [a.client_order_id for a in amends(scene)] == [order.client_order_id]


def test_a_resting_target_found_by_a_reading_after_it_was_called_absent_is_cancelled() -> None:
    scene = Scene()
    order = placed(scene)
    scene.do(e.Sending(scene.now, order.client_order_id))
    scene.do(e.CreateReplied(scene.now, order.client_order_id, Unknown("no reply")))
    scene.at(LATER + 100).do(e.OrderResolved(scene.now, order.client_order_id, None, absent=True))
    assert of(scene, order).state is OrderState.REJECTED
    seen = VenueOrder(
        f"x-{order.client_order_id}", order.client_order_id, TICKER, "ask", Price(9_500), Count(2_000), Count(0),
        Count(2_000), "resting", scene.now, scene.now,
    )  # fmt: skip
    scene.at(LATER + 105).read(resting=(seen,))
    assert cancels(scene) == [order.client_order_id]


def test_a_target_that_was_given_up_and_forgotten_while_it_waited_is_refused_at_the_gate() -> None:
    """Found by the simulator: a slow disk held it while exits came and went."""
    scene = Scene()
    order = placed(scene)
    for step in range(40):
        scene.at(LATER + 1 + step).tick(7_900, 8_100)
        for exit_ in scene.sent():
            scene.do(e.Sending(scene.now, exit_.client_order_id))
            scene.reply(exit_, 0)
    assert order.client_order_id not in scene.state.orders, "only the newest that ended without a fill are kept"
    turn = scene.do(e.Sending(scene.now, order.client_order_id))
    assert turn.answer is not None and not turn.answer.ok and turn.defect is None


def test_a_target_that_others_cancel_again_and_again_is_placed_anew_less_and_less_often() -> None:
    scene = Scene()
    order, count = placed(scene), 1
    for step in range(1, 240):
        if order is not None:
            scene.do(e.Sending(scene.now, order.client_order_id))
            scene.reply(order, 0, order.count)
            scene.order_seen(order, "canceled", 0, 0)
        scene.at(LATER + step / 4).tick(8_700, 8_900)
        [order] = scene.sent() or [None]  # type: ignore[list-item]
        count += order is not None
    assert count <= 6


def test_a_target_of_unknown_fate_is_only_looked_up_once_others_sold_all() -> None:
    scene = Scene()
    order = placed(scene)
    scene.do(e.Sending(scene.now, order.client_order_id))
    scene.do(e.CreateReplied(scene.now, order.client_order_id, Unknown("no reply")))
    by_hand(scene, "ask", 2_000)
    for second in range(5, 120, 2):
        scene.at(LATER + second).tick(7_900, 8_100)
        assert scene.sent() == [], "each send would put off the proof that it never arrived"
    scene.do(e.OrderResolved(scene.now, order.client_order_id, None, absent=True))
    scene.at(LATER + 121).tick(7_900, 8_100)
    assert not scene.trade().live()


def test_two_targets_of_a_lost_record_are_not_both_made_exits_of_the_same_contracts() -> None:
    scene = Scene()
    scene.state.cash = None
    strays = tuple(
        VenueOrder(f"x-{n}", f"b0-7.t{n}", TICKER, "ask", Price(9_500), Count(1_500), Count(0), Count(1_500), "resting",
                   T0 - 90_000, T0 - 90_000)
        for n in (1, 2)
    )  # fmt: skip
    found = VenuePosition(TICKER, Count(2_000), Money(2_000 * 8_800), Money(0), Money(0))
    scene.at(60).read(1_000_000_000, [found], resting=strays, markets={TICKER: market()})
    stop = scene.trade().plan.stop
    assert stop is not None
    scene.at(61).tick(stop, stop + 200)
    assert amends(scene) == [] and scene.sent() == [] and sorted(cancels(scene)) == ["b0-7.t1", "b0-7.t2"]


def test_an_amend_without_an_answer_is_told_once() -> None:
    scene = Scene()
    order, told = resting(scene), 0
    for second in range(5, 15):
        scene.at(LATER + second).tick(7_900, 8_100)
        answered(scene, order, Unknown("no reply"))
        told += sum(isinstance(x, Notice) and x.code == "amend_unproven" for x in scene.effects)
    assert told == 1


def test_what_rests_of_a_second_target_is_cancelled_with_the_end_of_the_trade() -> None:
    scene = Scene()
    scene.state.cash = None
    strays = [
        VenueOrder(f"x-b0-7.t{n}", f"b0-7.t{n}", TICKER, "ask", Price(9_500), Count(1_500), Count(0), Count(1_500),
                   "resting", T0 - 90_000, T0 - 90_000)
        for n in (1, 2)
    ]  # fmt: skip
    found = VenuePosition(TICKER, Count(2_000), Money(2_000 * 8_800), Money(0), Money(0))
    scene.at(60).read(1_000_000_000, [found], resting=tuple(strays), markets={TICKER: market()})
    orders = [
        PlaceOrder(
            x.client_order_id, TICKER, "ask", Price(9_500), Count(1_500), "good_till_canceled", "target", "maker"
        )
        for x in strays
    ]
    scene.fill(orders[0], 9_500, 1_500)
    scene.fill(orders[1], 9_500, 500)
    assert not scene.trade().live()
    [cancel] = [x for x in scene.effects if isinstance(x, CancelOrder)]
    assert (cancel.client_order_id, cancel.order_id, cancel.ticker) == ("b0-7.t2", "x-b0-7.t2", TICKER)


def test_the_price_it_is_amended_to_is_recorded_and_it_is_looked_at_again_in_a_second() -> None:
    scene = Scene()
    order = resting(scene)
    scene.at(LATER + 5).tick(7_900, 8_100)
    assert of(scene, order).price == 6_900
    assert [x.at_ms - scene.now for x in scene.effects if isinstance(x, Wake)] == [1_000]


def test_an_id_that_is_sent_again_carries_its_tick_and_is_looked_up_when_its_fate_is_unknown() -> None:
    scene = Scene()
    order = placed(scene)
    scene.do(e.Sending(scene.now, order.client_order_id))
    scene.at(LATER + 1).tick(7_900, 8_100)
    [stop] = scene.sent()
    assert stop.tick_ns == scene.now * 1_000_000
    assert of(scene, order).reason == "left before its id was known" and of(scene, order).state is OrderState.UNKNOWN
    assert not [x for x in scene.effects if isinstance(x, ResolveOrder)], "its reply may still come"
    scene.at(LATER + 3).tick(7_900, 8_100)
    [look_up] = [x for x in scene.effects if isinstance(x, ResolveOrder)]
    assert look_up.sent_ms == of(scene, order).sent_ms > 0


def test_a_target_waits_while_an_exit_of_its_trade_is_not_settled() -> None:
    scene = Scene()
    order = placed(scene)
    exit_ = Order(
        f"{scene.trade().id}.x1", scene.trade().id, TICKER, "ask", Price(9_000), Count(100), "immediate_or_cancel",
        "exit", scene.now, OrderState.UNKNOWN,
    )  # fmt: skip
    scene.state.orders[exit_.client_order_id] = exit_
    turn = scene.do(e.Sending(scene.now, order.client_order_id))
    assert turn.answer is not None and not turn.answer.ok
