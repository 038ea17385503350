"""Targets that rest in the book: placed after the entry, made the exit of their own contracts, never sold beside."""

import msgspec
import pytest
from scene import PLAN, T0, TICKER, Scene, market, quote

from bot.core import events as e
from bot.core.effects import AmendOrder, CancelOrder, PlaceOrder, ResolveOrder
from bot.core.orders import Order, OrderState
from bot.core.resting import SETTLED_IN_MS
from bot.core.trades import TradeState
from bot.core.units import Count, Money, Price
from bot.core.venue import Accepted, AlreadyExists, NotFound, NotSent, Rejected, Unknown, VenueOrder, VenuePosition

RESTS = msgspec.structs.replace(PLAN, rest_target=True)
LATER = SETTLED_IN_MS / 1000


def placed(scene: Scene) -> PlaceOrder:
    """2,000 held since a while; the order for the target is handed out."""
    scene.at(LATER).held(plan=RESTS)
    scene.tick(8_700, 8_900)
    [order] = scene.sent()
    return order


def resting(scene: Scene) -> PlaceOrder:
    order = placed(scene)
    scene.reply(order, 0, order.count)
    return order


def of(scene: Scene, order: PlaceOrder) -> Order:
    return scene.state.orders[order.client_order_id]


def amends(scene: Scene) -> list[AmendOrder]:
    return [x for x in scene.effects if isinstance(x, AmendOrder)]


def cancels(scene: Scene) -> list[str]:
    return [x.client_order_id for x in scene.effects if isinstance(x, CancelOrder)]


def answered(scene: Scene, order: PlaceOrder, outcome: object) -> None:
    scene.do(e.AmendReplied(scene.now, order.client_order_id, outcome))  # type: ignore[arg-type]


def accepted(order: PlaceOrder, remaining: int) -> Accepted:
    return Accepted(f"x-{order.client_order_id}", Count(0), Count(remaining))


def removed(order: PlaceOrder, count: int) -> Accepted:
    return Accepted(f"x-{order.client_order_id}", Count(0), Count(0), Count(count))


def test_a_target_rests_for_all_that_is_held_once_the_entry_has_ended() -> None:
    scene = Scene()
    order = placed(scene)
    assert (order.purpose, order.side, order.price, order.count) == ("target", "ask", 9_500, 2_000)
    assert order.time_in_force == "good_till_canceled" and not order.reduce_only
    scene.reply(order, 0, 2_000)
    scene.tick(8_600, 8_800)
    assert scene.sent() == []


def test_none_is_placed_when_the_plan_does_not_ask_for_it_while_the_entry_works_or_soon_after_a_start() -> None:
    scene = Scene()
    scene.at(LATER).held()
    scene.tick(8_700, 8_900)
    assert scene.sent() == []
    scene = Scene()
    scene.at(LATER).propose(plan=RESTS)
    [entry] = scene.sent()
    scene.reply(entry, 500, 1_500)
    scene.fill(entry, 8_800, 500)
    scene.tick(8_700, 8_900)
    assert scene.sent() == []
    scene = Scene()
    scene.at(1).held(plan=RESTS)
    scene.tick(8_700, 8_900)
    assert scene.sent() == [], "an exit of the life before may still arrive, and would sell beside it"


def test_a_target_that_rests_is_not_taken_on_the_tick_too_and_its_fill_closes_the_trade() -> None:
    scene = Scene()
    order = resting(scene)
    scene.tick(9_500, 9_600)
    assert scene.sent() == [] and scene.trade().state is TradeState.OPEN
    scene.fill(order, 9_500, 2_000)
    assert (scene.trade().state, scene.trade().exit_kind) == (TradeState.CLOSED, "target")


def test_a_target_that_was_refused_is_taken_on_the_tick() -> None:
    scene = Scene()
    order = placed(scene)
    scene.do(e.Sending(scene.now, order.client_order_id))
    scene.do(e.CreateReplied(scene.now, order.client_order_id, Rejected("insufficient_balance", "", 400)))
    scene.at(LATER + 1.1).tick(9_500, 9_600)
    [taken] = scene.sent()
    assert taken.reduce_only and taken.price == 9_500


def test_a_stop_amends_the_target_to_the_exits_limit_with_its_total_and_sends_nothing_beside_it() -> None:
    scene = Scene()
    order = resting(scene)
    scene.at(LATER + 5).tick(7_900, 8_100)
    [amend] = amends(scene)
    assert (amend.order_id, amend.side, amend.price, amend.count) == (f"x-{order.client_order_id}", "ask", 6_900, 2_000)
    assert amend.tick_ns == scene.now * 1_000_000
    assert scene.sent() == []


def test_what_rests_after_the_amend_is_cancelled_and_goes_out_as_an_exit_once_that_is_proven() -> None:
    scene = Scene()
    order = resting(scene)
    scene.at(LATER + 5).tick(7_900, 8_100)
    answered(scene, order, accepted(order, 1_500))
    assert cancels(scene) == [order.client_order_id] and scene.sent() == []
    scene.fill(order, 7_900, 500)
    scene.at(LATER + 5.1).do(e.CancelReplied(scene.now, order.client_order_id, removed(order, 1_500)))
    [rest] = scene.sent()
    assert (rest.count, rest.reduce_only) == (1_500, True)


@pytest.mark.parametrize("outcome", [Unknown("no reply"), NotSent("no connection"), NotFound(), Rejected("x", "", 429)])
def test_an_amend_that_proves_nothing_is_repeated_with_the_same_total_and_never_sold_beside(outcome: object) -> None:
    scene = Scene()
    order = resting(scene)
    scene.at(LATER + 5).tick(7_900, 8_100)
    answered(scene, order, outcome)
    assert scene.sent() == []
    scene.at(LATER + 6.5).tick(7_900, 8_100)
    assert [a.count for a in amends(scene)] == [2_000] and scene.sent() == []


def test_a_404_on_amend_is_looked_up_and_what_a_cancelled_target_left_goes_out() -> None:
    scene = Scene()
    order = resting(scene)
    scene.at(LATER + 5).tick(7_900, 8_100)
    answered(scene, order, NotFound())
    assert any(isinstance(x, ResolveOrder) for x in scene.effects)
    scene.at(LATER + 5.4).order_seen(order, "canceled", 0, 0)
    [rest] = scene.sent()
    assert (rest.count, rest.reduce_only) == (2_000, True)


def test_an_amends_reply_about_another_order_is_not_believed() -> None:
    scene = Scene()
    order = resting(scene)
    scene.at(LATER + 5).tick(7_900, 8_100)
    answered(scene, order, Accepted("another", Count(0), Count(0)))
    assert of(scene, order).state is OrderState.UNKNOWN and cancels(scene) == []


def test_a_stop_before_the_targets_record_is_durable_takes_it_back_and_sells_all() -> None:
    scene = Scene()
    order = placed(scene)
    scene.at(LATER + 1).tick(7_900, 8_100)
    [stop] = scene.sent()
    assert (stop.count, stop.reduce_only) == (2_000, True)
    turn = scene.do(e.Sending(scene.now, order.client_order_id))
    assert turn.answer is not None and not turn.answer.ok


def test_a_target_is_not_placed_when_its_trade_is_left_while_the_market_takes_no_orders() -> None:
    scene = Scene()
    order = placed(scene)
    scene.do(e.MarketChange(scene.now, TICKER, "inactive", ""))
    scene.do(e.Command(scene.now, "flatten", "operator", {}, {TICKER: quote(8_700, 8_900)}))
    turn = scene.do(e.Sending(scene.now, order.client_order_id))
    assert turn.answer is not None and not turn.answer.ok
    assert of(scene, order).state is OrderState.REJECTED


def test_a_stop_while_the_targets_id_is_not_known_sends_the_same_id_again_as_an_exit() -> None:
    scene = Scene()
    order = placed(scene)
    scene.do(e.Sending(scene.now, order.client_order_id))
    scene.at(LATER + 1).tick(7_900, 8_100)
    [stop] = scene.sent()
    assert stop.client_order_id == order.client_order_id
    assert (stop.count, stop.price, stop.reduce_only, stop.time_in_force) == (2_000, 6_900, True, "immediate_or_cancel")
    scene.do(e.CreateReplied(scene.now, order.client_order_id, AlreadyExists()))
    assert scene.sent() == [], "the first one lives: only its own end frees its contracts"
    scene.do(e.CreateReplied(scene.now, order.client_order_id, accepted(order, 2_000)))
    assert [a.price for a in amends(scene)] == [6_900], "its id is known: amended without waiting"


def test_the_answer_to_a_second_send_changes_nothing_once_the_target_is_known() -> None:
    scene = Scene()
    order = placed(scene)
    scene.do(e.Sending(scene.now, order.client_order_id))
    scene.at(LATER + 1).tick(7_900, 8_100)
    scene.do(e.CreateReplied(scene.now, order.client_order_id, accepted(order, 2_000)))
    for outcome in (AlreadyExists(), Rejected("too_many_requests", "", 429), Unknown("no reply")):
        scene.do(e.CreateReplied(scene.now, order.client_order_id, outcome))
        assert of(scene, order).state is OrderState.RESTING


def test_absence_of_a_target_is_no_proof_while_another_send_of_its_id_may_be_under_way() -> None:
    scene = Scene()
    order = placed(scene)
    scene.do(e.Sending(scene.now, order.client_order_id))
    scene.do(e.CreateReplied(scene.now, order.client_order_id, Unknown("no reply")))
    scene.at(LATER + 40).tick(7_900, 8_100)
    scene.do(e.Sending(scene.now, order.client_order_id))
    scene.do(e.OrderResolved(scene.now, order.client_order_id, None, absent=True))
    assert of(scene, order).state is OrderState.UNKNOWN
    scene.at(LATER + 140).do(e.OrderResolved(scene.now, order.client_order_id, None, absent=True))
    assert of(scene, order).state is OrderState.REJECTED


def test_a_late_fill_of_the_entry_leaves_beside_the_target_and_never_more_than_is_held() -> None:
    scene = Scene()
    order = resting(scene)
    entry = next(o for o in scene.state.orders.values() if o.purpose == "entry")
    late = PlaceOrder(
        entry.client_order_id, TICKER, "bid", Price(8_800), Count(700), "immediate_or_cancel", "entry", "maker"
    )
    scene.fill(late, 8_800, 700)
    scene.at(LATER + 5).tick(7_900, 8_100)
    assert [a.count for a in amends(scene)] == [2_000]
    assert [o.count for o in scene.sent()] == [700]
    assert of(scene, order).count + 700 == scene.state.position(TICKER).count


def test_somebody_else_sells_and_the_target_is_cancelled_before_it_can_open_the_other_side() -> None:
    scene = Scene()
    order = resting(scene)
    other = PlaceOrder("hand", TICKER, "ask", Price(8_700), Count(800), "immediate_or_cancel", "exit", "maker")
    scene.fill(other, 8_700, 800, known=False)
    scene.at(LATER + 5).tick(8_700, 8_900)
    assert cancels(scene) == [order.client_order_id]
    scene.do(e.CancelReplied(scene.now, order.client_order_id, removed(order, 2_000)))
    scene.at(LATER + 7).tick(8_700, 8_900)
    [again] = scene.sent()
    assert (again.purpose, again.count) == ("target", 1_200) and again.client_order_id != order.client_order_id


def test_a_stop_after_somebody_else_sold_cancels_the_target_instead_of_amending_it() -> None:
    scene = Scene()
    order = resting(scene)
    other = PlaceOrder("hand", TICKER, "ask", Price(8_700), Count(800), "immediate_or_cancel", "exit", "maker")
    scene.fill(other, 8_700, 800, known=False)
    scene.at(LATER + 5).tick(7_900, 8_100)
    assert amends(scene) == [] and scene.sent() == [] and cancels(scene) == [order.client_order_id]


def test_a_moved_target_is_cancelled_proven_and_placed_anew() -> None:
    scene = Scene()
    order = resting(scene)
    quotes = {TICKER: quote(8_700, 8_900)}
    args = {"ticker": TICKER, "target": "0.97"}
    turn = scene.at(LATER + 5).do(e.Command(scene.now, "plan", "operator", args, quotes))
    assert turn.answer is not None and turn.answer.ok
    scene.tick(8_700, 8_900)
    assert cancels(scene) == [order.client_order_id] and scene.sent() == []
    scene.order_seen(order, "canceled", 0, 0)
    scene.at(LATER + 7).tick(8_700, 8_900)
    assert [(o.purpose, o.price) for o in scene.sent()] == [("target", 9_700)]


def test_kill_leaves_the_target_resting_and_flatten_leaves_by_it() -> None:
    scene = Scene()
    order = resting(scene)
    scene.do(e.Command(scene.now, "kill", "operator", {}, {}))
    assert cancels(scene) == []
    scene.at(LATER + 5).do(e.Command(scene.now, "flatten", "operator", {}, {TICKER: quote(8_700, 8_900)}))
    assert [a.client_order_id for a in amends(scene)] == [order.client_order_id] and scene.sent() == []


def test_after_a_restart_the_target_is_still_the_exit_of_its_contracts() -> None:
    scene = Scene()
    order = resting(scene)
    scene.at(LATER + 20).do(e.Boot(scene.now, "b2", scene.state.config))
    scene.tick(7_900, 8_100)
    assert [a.client_order_id for a in amends(scene)] == [order.client_order_id] and scene.sent() == []


def test_a_target_that_an_earlier_life_amended_and_forgot_is_cancelled() -> None:
    scene = Scene()
    order = resting(scene)
    seen = msgspec.structs.replace(order, price=Price(6_900))
    scene.at(LATER + 20).order_seen(seen, "resting", 0, 2_000)
    assert cancels(scene) == [order.client_order_id]


def test_a_target_found_after_the_disk_was_lost_is_cancelled_and_counts_until_that_is_proven() -> None:
    scene = Scene()
    scene.state.cash = None
    stray = VenueOrder(
        "x-old", "b0-7.t1", TICKER, "ask", Price(9_500), Count(2_000), Count(0), Count(2_000), "resting", T0 - 90_000,
        T0 - 90_000,
    )  # fmt: skip
    found = VenuePosition(TICKER, Count(2_000), Money(2_000 * 8_800), Money(0), Money(0))
    scene.at(60).read(1_000_000_000, [found], resting=(stray,), markets={TICKER: market()})
    assert cancels(scene) == ["b0-7.t1"]
    stop = scene.trade().plan.stop
    assert stop is not None
    scene.at(61).tick(stop, stop + 200)
    assert [a.order_id for a in amends(scene)] == ["x-old"] and scene.sent() == []


def test_the_operator_asks_for_a_target_that_rests_and_needs_a_target() -> None:
    scene = Scene()
    scene.at(LATER).held(plan=msgspec.structs.replace(PLAN, target=None))
    quotes = {TICKER: quote(8_700, 8_900)}
    for args in ({"rest_target": True}, {"rest_target": "yes"}, {"rest_target": None}):
        turn = scene.do(e.Command(scene.now, "plan", "operator", {"ticker": TICKER, **args}, quotes))
        assert turn.answer is not None and turn.answer.code == "invalid_plan"
    args = {"ticker": TICKER, "rest_target": True, "target": "0.95"}
    scene.do(e.Command(scene.now, "plan", "operator", args, quotes))
    scene.tick(8_700, 8_900)
    assert [o.purpose for o in scene.sent()] == ["target"]
