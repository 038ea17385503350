"""What a mutation tester changed unseen: the NO side, the second of two, the exact price, id and time of an exit."""

import msgspec
import pytest
from scene import PLAN, T0, TICKER, Scene, market, quote
from test_resting import LATER, cancels, placed, resting
from test_stop_rules import SIDES, price, scene_of

from bot.core import events as e
from bot.core.effects import AmendOrder, Notice, PlaceOrder, ResolveOrder, Wake
from bot.core.resting import RESEND_MS
from bot.core.trades import ExitPlan
from bot.core.units import ONE, Count, Money, Price
from bot.core.venue import Rejected, Unknown, VenueFill, VenueOrder, VenuePosition


@pytest.mark.parametrize("side", SIDES)
def test_the_first_of_several_fills_that_nobody_claims_dates_the_look_up_of_a_forgotten_exit(side: str) -> None:
    scene = scene_of(side)
    scene.at(100).do(e.Boot(scene.now, "b2", scene.state.config))
    for at_s, count in ((98, 500), (97, 1_000), (99, 500)):
        row = VenueFill(f"x{at_s}", "X1", "", TICKER, "ask" if side == "bid" else "bid", Price(5_000), Count(count),
                        Money(0), True, T0 + at_s * 1_000)  # fmt: skip
        scene.do(e.FillSeen(scene.now, row))
    scene.read()
    scene.at(101).sweep(4_900, 5_100)
    assert scene.effects == [ResolveOrder(f"{scene.trade().id}.x1", TICKER, T0 + 97_000)]


def test_the_exit_after_a_forgotten_one_has_the_id_after_it() -> None:
    scene = scene_of("bid")
    trade_id = scene.trade().id
    scene.at(100).do(e.Boot(scene.now, "b2", scene.state.config))
    forgotten = PlaceOrder(f"{trade_id}.x1", TICKER, "ask", Price(7_000), Count(2_000), "immediate_or_cancel", "exit",
                           "maker")  # fmt: skip
    scene.at(99).fill(forgotten, 7_900, 500)
    seen = VenueOrder(f"x-{trade_id}.x1", f"{trade_id}.x1", TICKER, "ask", Price(7_000), Count(2_000), Count(500),
                      Count(0), "canceled", scene.now, scene.now)  # fmt: skip
    scene.at(101).do(e.OrderResolved(scene.now, f"{trade_id}.x1", seen, False))
    scene.at(102).tick(7_900, 8_100)
    assert [(x.client_order_id, x.count) for x in scene.sent()] == [(f"{trade_id}.x2", 1_500)]


@pytest.mark.parametrize("side", SIDES)
def test_a_stop_that_moved_is_told_as_a_price_of_the_side_held(side: str) -> None:
    scene = scene_of(side, trail=500)
    price(scene, 9_200)
    told = [x for x in scene.effects if isinstance(x, Notice)]
    assert told == [Notice("info", "stop_moved", "trailing: the stop is now 0.8700", TICKER)]


@pytest.mark.parametrize("side", SIDES)
def test_a_trailing_stop_between_two_prices_of_the_grid_stands_at_the_farther(side: str) -> None:
    scene = scene_of(side, stop=None, trail=550)
    price(scene, 8_600)
    stop = scene.trade().plan.stop
    assert stop == (8_000 if side == "bid" else ONE - 8_000)


def test_a_target_that_was_refused_is_tried_again_at_its_own_price() -> None:
    scene = Scene()
    scene.held(plan=msgspec.structs.replace(PLAN, time_exit_ms=None))
    scene.at(10).tick(9_500, 9_600)
    [first] = scene.sent()
    scene.do(e.Sending(scene.now, first.client_order_id))
    scene.do(e.CreateReplied(scene.now, first.client_order_id, Rejected("authentication_error", "", 401)))
    scene.at(12).tick(9_700, 9_800)
    assert [x.price for x in scene.sent()] == [9_500]


def test_no_entry_while_the_journal_cannot_be_written() -> None:
    scene = Scene()
    wanted = e.Proposal("test", market(), "bid", Price(8_800), Count(2_000), "immediate_or_cancel", PLAN, "why")
    turn = scene.do(e.Propose(scene.now, wanted, 0, False))
    assert turn.answer is not None and turn.answer.code == "journal_failing"


def other(ticker: str) -> e.Proposal:
    plan: ExitPlan = msgspec.structs.replace(PLAN, time_exit_ms=None)
    return e.Proposal("test", market(ticker), "bid", Price(8_800), Count(100), "immediate_or_cancel", plan, "why")


def test_an_entry_whose_time_has_come_is_sent_again_though_one_before_it_waits() -> None:
    scene = Scene()
    tickers = ("KXA-26NOV21-A", "KXB-26NOV21-B", "KXC-26NOV21-C")
    for n, ticker in enumerate(tickers):
        scene.at(n).read()
        scene.do(e.Propose(scene.now, other(ticker), 0))
        [order] = scene.sent()
        scene.do(e.Sending(scene.now, order.client_order_id))
        scene.do(e.CreateReplied(scene.now, order.client_order_id, Rejected("too_many_requests", "", 429)))
    first, _, last = scene.state.orders.values()
    first.again_ms = T0 + 60_000
    scene.at(4.5).do(e.Sweep(scene.now, {tickers[2]: quote(8_700, 8_800, scene.now, ticker=tickers[2])}))
    assert [x.client_order_id for x in scene.sent()] == [last.client_order_id]


def test_an_entry_is_not_sent_again_at_the_moment_its_trade_is_to_be_left() -> None:
    scene = Scene()
    scene.propose(plan=msgspec.structs.replace(PLAN, time_exit_ms=T0 + 3_000))
    [order] = scene.sent()
    scene.do(e.Sending(scene.now, order.client_order_id))
    scene.do(e.CreateReplied(scene.now, order.client_order_id, Rejected("too_many_requests", "", 429)))
    scene.at(3).sweep(8_700, 8_800)
    assert scene.sent() == [] and not scene.state.live_trade


def test_a_target_that_rests_for_exactly_what_is_held_is_left_alone() -> None:
    scene = Scene()
    resting(scene)
    for second in range(1, 5):
        scene.at(LATER + second).tick(8_600, 8_800)
        assert cancels(scene) == [] and scene.effects == []


def test_a_target_that_is_too_large_is_looked_at_again_in_a_second() -> None:
    scene = Scene()
    resting(scene)
    hand = PlaceOrder("hand", TICKER, "ask", Price(8_700), Count(500), "immediate_or_cancel", "exit", "maker")
    scene.fill(hand, 8_700, 500, known=False)
    scene.read(positions=[VenuePosition(TICKER, Count(1_500), Money(0), Money(0), Money(0))])
    scene.at(LATER + 2).tick(8_600, 8_800)
    assert len(cancels(scene)) == 1
    assert [x.at_ms for x in scene.effects if isinstance(x, Wake)] == [scene.now + RESEND_MS]
    scene.at(LATER + 2.5).tick(8_500, 8_800)
    assert cancels(scene) == [], "one cancel a second"


@pytest.mark.parametrize("side", SIDES)
def test_a_target_that_is_the_exit_has_its_bound_anew_too_after_a_pause(side: str) -> None:
    """A minute of escalation would be worth nothing: the amend would go to the last price of the market."""
    scene = Scene()
    plan = msgspec.structs.replace(PLAN, time_exit_ms=None, rest_target=True)
    if side == "ask":
        plan = msgspec.structs.replace(plan, stop=Price(2_000), target=Price(500))
    scene.at(LATER).held(price=8_800 if side == "bid" else 1_200, side=side, plan=plan)
    price(scene, 8_700)
    [target] = scene.sent()
    scene.reply(target, 0, target.count)
    price(scene, 7_900)
    [first] = [x for x in scene.effects if isinstance(x, AmendOrder)]
    scene.at(LATER + 1).do(e.MarketChange(scene.now, TICKER, "inactive"))
    scene.at(LATER + 61).do(e.MarketChange(scene.now, TICKER, "active"))
    price(scene, 7_400)
    [again] = [x for x in scene.effects if isinstance(x, AmendOrder)]
    asked = [x if side == "bid" else ONE - x for x in (first.price, again.price)]
    assert asked == [6_900, 6_400]


def test_an_order_whose_answer_finds_nothing_to_leave_is_not_amended() -> None:
    """The operator's cancel of the target crosses with the stop: only the trade that is being left amends it."""
    scene = Scene()
    order = placed(scene)
    scene.do(e.Sending(scene.now, order.client_order_id))
    scene.do(e.CreateReplied(scene.now, order.client_order_id, Unknown("no reply")))
    scene.at(LATER + 1).order_seen(order, "resting", 0, order.count)
    assert not [x for x in scene.effects if isinstance(x, AmendOrder)]
