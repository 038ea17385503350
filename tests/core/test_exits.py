"""Stops, targets and time exits: when they fire, what they send, and that nothing sells more than is held."""

import msgspec
import pytest
from scene import PLAN, RULES, T0, TICKER, Scene, market, quote

from bot.core import events as e
from bot.core.effects import CancelOrder, PlaceOrder, ResolveOrder, Wake
from bot.core.step import step
from bot.core.trades import TradeState
from bot.core.units import Count, Money, Price
from bot.core.venue import Accepted, AlreadyExists, NotSent, Rejected, Unknown, VenueFill, VenueOrder


def test_a_filled_entry_is_protected_by_its_plan() -> None:
    scene = Scene()
    trade = scene.held()
    assert (trade.state, trade.open_count(), trade.plan) == (TradeState.OPEN, 2_000, PLAN)
    assert scene.state.position(TICKER).count == 2_000


@pytest.mark.parametrize("bid, fires", [(8_001, False), (8_000, True), (7_500, True)])
def test_a_stop_fires_when_the_bid_reaches_it(bid: int, fires: bool) -> None:
    scene = Scene()
    scene.held()
    scene.tick(bid, bid + 100)
    assert bool(scene.sent()) is fires


def test_the_ask_does_not_fire_a_long_stop() -> None:
    scene = Scene()
    scene.held()
    scene.tick(8_700, 7_000)
    assert scene.sent() == []


def test_a_stop_sends_a_reduce_only_immediate_or_cancel_for_all_that_is_held_inside_its_bound() -> None:
    scene = Scene()
    scene.held()
    scene.at(1).tick(7_900, 8_100)
    [order] = scene.sent()
    assert (order.side, order.count, order.price) == ("ask", 2_000, 6_900)
    assert order.reduce_only and order.time_in_force == "immediate_or_cancel" and order.self_trade_prevention == "maker"
    assert order.tick_ns == (T0 + 1_000) * 1_000_000


def test_a_stop_of_a_no_position_buys_back_at_the_ask() -> None:
    scene = Scene()
    plan = msgspec.structs.replace(PLAN, stop=Price(2_000), target=Price(500))
    scene.held(side="ask", price=1_200, plan=plan)
    assert scene.state.position(TICKER).count == -2_000
    scene.tick(1_900, 1_999)
    assert scene.sent() == []
    scene.tick(1_900, 2_000)
    [order] = scene.sent()
    assert (order.side, order.count, order.price) == ("bid", 2_000, 3_000)


def test_a_target_is_taken_at_its_price_or_better_and_stands_down_when_missed() -> None:
    scene = Scene()
    scene.held()
    scene.tick(9_600, 9_700)
    [order] = scene.sent()
    assert order.price == 9_500
    scene.at(0.5).reply(order, 0)
    scene.at(1).tick(9_400, 9_600)
    assert scene.trade().state is TradeState.OPEN
    scene.at(2).tick(8_000, 8_100)
    [stop] = scene.sent()
    assert stop.price == 7_000


def test_a_time_exit_fires_from_the_sweep_without_a_tick() -> None:
    scene = Scene()
    scene.held()
    scene.at(599).sweep(8_700, 8_800)
    assert scene.sent() == []
    scene.at(600).sweep(8_700, 8_800)
    assert [o.price for o in scene.sent()] == [7_700]


def test_a_time_exit_fires_when_no_price_may_be_trusted() -> None:
    scene = Scene()
    scene.held()
    scene.at(600).sweep(known=False)
    assert [o.price for o in scene.sent()] == [7_000]


def test_no_second_exit_is_sent_while_the_first_has_no_reply() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    assert len(scene.sent()) == 1
    for second in range(1, 6):
        scene.at(second).tick(7_800 - second * 10, 8_000)
        assert scene.sent() == []


def test_a_partly_filled_exit_is_repriced_for_the_rest_until_flat() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    [first] = scene.sent()
    scene.reply(first, 500)
    assert scene.sent() == [], "the reported fill is not booked yet and must not be sold again"
    scene.fill(first, 7_900, 500)
    scene.at(4).sweep(7_000, 7_200)
    [second] = scene.sent()
    assert (second.count, second.price) == (1_500, 5_900)
    scene.reply(second, 1_500)
    scene.fill(second, 7_000, 1_500)
    assert scene.trade().state is TradeState.CLOSED
    assert scene.state.position(TICKER).count == 0


def test_an_exit_retry_is_asked_for_without_waiting_for_a_tick() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    assert [w.at_ms for w in scene.effects if isinstance(w, Wake)] == [T0 + 250]


def test_an_unknown_exit_is_sent_again_at_once_with_the_same_id() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    [first] = scene.sent()
    scene.do(e.Sending(scene.now, first.client_order_id))
    scene.at(1).do(e.CreateReplied(scene.now, first.client_order_id, Unknown("timeout")))
    assert [o.client_order_id for o in scene.sent()] == [first.client_order_id]


def test_an_exit_that_already_exists_is_looked_up_and_the_next_attempt_goes_out() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    [first] = scene.sent()
    scene.do(e.Sending(scene.now, first.client_order_id))
    scene.at(1).do(e.CreateReplied(scene.now, first.client_order_id, AlreadyExists()))
    [second] = scene.sent()
    assert second.client_order_id != first.client_order_id and second.reduce_only


@pytest.mark.parametrize("outcome", [Rejected("exchange_unavailable", "", 400), NotSent("refused")])
def test_a_refused_exit_is_tried_again(outcome: Rejected | NotSent) -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    [first] = scene.sent()
    scene.do(e.Sending(scene.now, first.client_order_id))
    scene.at(0.1).do(e.CreateReplied(scene.now, first.client_order_id, outcome))
    assert scene.sent() == []
    scene.at(1.2).sweep(7_900, 8_100)
    assert len(scene.sent()) == 1


def test_the_bound_grows_with_time_down_to_the_lowest_price() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    prices = [scene.sent()[0].price]
    for second in (4, 7, 10, 13, 16, 19, 22, 25):
        scene.reply(scene.sent()[0], 0)
        scene.at(second).sweep(100, 9_900)
        prices.append(scene.sent()[0].price)
    assert prices == [6_900, 5_900, 4_900, 3_900, 2_900, 1_900, 900, 100, 100]


def test_an_empty_side_is_not_a_price_and_is_alarmed_after_its_confirmation() -> None:
    scene = Scene()
    scene.held()
    scene.tick(None, 8_800)
    assert scene.sent() == []
    turn = scene.at(2.1).sweep(None, 8_800)
    assert scene.sent() == []
    assert "quote_vanished" in [x.code for x in turn.effects if hasattr(x, "code")]
    again = scene.at(2.5).sweep(None, 8_800)
    assert "quote_vanished" not in [x.code for x in again.effects if hasattr(x, "code")], "one alarm, not one a sweep"
    scene.at(3).tick(8_700, 8_800)
    assert scene.trade().vanished_ms == 0 and not scene.trade().vanish_confirmed


def test_firing_cancels_what_is_left_of_the_entry() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.reply(entry, 500, remaining=1_500)
    scene.fill(entry, 8_800, 500)
    scene.tick(7_900, 8_100)
    assert [c.order_id for c in scene.effects if isinstance(c, CancelOrder)] == [f"x-{entry.client_order_id}"]
    assert [o.count for o in scene.sent()] == [500]


def test_a_late_entry_fill_after_the_exit_is_protected_again() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.reply(entry, 500, remaining=1_500)
    scene.fill(entry, 8_800, 500)
    scene.tick(7_900, 8_100)
    [out] = scene.sent()
    scene.reply(out, 500)
    scene.fill(out, 7_900, 500)
    assert scene.trade().state is TradeState.CLOSED
    scene.at(1).fill(entry, 8_800, 700)
    assert scene.trade().state is TradeState.OPEN
    scene.at(2).tick(7_900, 8_100)
    assert [o.count for o in scene.sent()] == [700]


@pytest.mark.parametrize("verb", ["pause", "stop", "kill"])
def test_stops_fire_in_every_halted_state(verb: str) -> None:
    scene = Scene()
    scene.held()
    scene.do(e.Command(scene.now, verb, "test", {}))
    scene.tick(7_900, 8_100)
    assert len(scene.sent()) == 1


def test_flatten_leaves_every_position_and_turns_entries_off() -> None:
    scene = Scene()
    scene.held()
    scene.do(e.Command(scene.now, "flatten", "test", {}))
    assert [o.side for o in scene.sent()] == ["ask"] and scene.state.mode == "REDUCING"
    assert scene.propose().answer.code == "not_running"


def test_nothing_is_sent_while_the_market_is_paused_and_the_stop_goes_on_after() -> None:
    scene = Scene()
    scene.held()
    scene.do(e.MarketChange(scene.now, TICKER, "inactive"))
    scene.tick(7_000, 7_100)
    assert scene.sent() == []
    scene.do(e.MarketChange(scene.now, TICKER, "active"))
    scene.at(1).tick(7_000, 7_100)
    assert len(scene.sent()) == 1


def test_a_position_closed_outside_ends_the_trade_without_an_order() -> None:
    scene = Scene()
    scene.held()
    foreign = scene.fill.__self__  # the scene itself

    other = PlaceOrder("manual", TICKER, "ask", Price(8_700), Count(2_000), "good_till_canceled", "exit", "maker")
    foreign.fill(other, 8_700, 2_000, known=False)
    scene.at(2).tick(7_900, 8_100)
    assert scene.sent() == []
    assert (scene.trade().state, scene.trade().exit_kind) == (TradeState.CLOSED, "external")


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("after", [5, 60])
def test_a_fill_of_an_exit_that_a_crash_forgot_joins_its_trade(ours: bool, after: int) -> None:
    """SIGKILL between the send of a stop and its record: the fill read afterwards carries no id of ours (kill test,
    seed 1). Before anybody else is believed to have sold, the id that the stop must have had is looked up."""
    scene = Scene()
    scene.held()
    scene.at(after).do(e.Boot(scene.now, "b2", scene.state.config))
    forgotten = PlaceOrder(f"{scene.trade().id}.x1", TICKER, "ask", Price(7_000), Count(2_000), "immediate_or_cancel",
                           "exit", "maker")  # fmt: skip
    left_ms = T0 + (after - 1) * 1_000
    scene.at(after - 1).fill(forgotten, 7_900, 2_000, known=False)
    scene.read()
    scene.at(after + 1).sweep(7_900, 8_100)
    assert scene.effects == [ResolveOrder(forgotten.client_order_id, TICKER, left_ms)]
    assert scene.trade().live()
    scene.at(after + 2).tick(7_800, 8_100)
    assert scene.effects == [], "nothing is held: nothing is sold"
    seen = VenueOrder(f"x-{forgotten.client_order_id}", forgotten.client_order_id, TICKER, "ask", Price(7_000),
                      Count(2_000), Count(2_000), Count(0), "executed", left_ms, left_ms)  # fmt: skip
    scene.at(after + 30).do(e.OrderResolved(scene.now, forgotten.client_order_id, seen if ours else None, not ours))
    scene.tick(7_800, 8_100)
    trade = scene.trade()
    assert (trade.state, trade.exit_kind) == (TradeState.CLOSED, "stop" if ours else "external")
    assert trade.exited == (2_000 if ours else 0) and (not scene.state.unclaimed) is ours
    assert scene.sent() == []


def test_a_cancel_reply_that_names_another_order_proves_nothing() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.reply(entry, 0, remaining=2_000)
    scene.do(e.CancelReplied(scene.now, entry.client_order_id, Accepted("x-other", Count(0), Count(0), Count(2_000))))
    assert scene.state.orders[entry.client_order_id].live()


def test_a_market_in_which_nothing_is_held_costs_a_tick_nothing() -> None:
    scene = Scene()
    scene.held()
    turn = scene.tick(100, 200, ticker="KXOTHER-1-A")
    assert turn.facts == [] and turn.effects == []
    assert market().ticker == TICKER


def test_flatten_reaches_what_an_entry_under_way_still_brings() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.do(e.Command(scene.now, "flatten", "test", {}))
    scene.at(0.2).reply(entry, 2_000)
    scene.fill(entry, 8_800, 2_000)
    scene.at(0.5).tick(8_700, 8_800)
    assert [(o.side, o.count) for o in scene.sent()] == [("ask", 2_000)]


def test_a_defect_in_one_trade_leaves_the_sweep_of_the_others() -> None:
    scene = Scene()
    scene.held(count=1_000)
    broken = scene.trade()
    other = "KXNBAGAME-26NOV22LALNYK-LAL"
    assert other > broken.ticker
    scene.propose(count=1_000, ticker=other)
    [entry] = scene.sent()
    scene.reply(entry, 1_000)
    scene.fill(entry, 8_800, 1_000)
    broken.state = TradeState.OPENING  # a state that no exit can be fired from
    low = {t: quote(7_900, 8_100, scene.now, ticker=t) for t in (broken.ticker, other)}
    turn = step(scene.state, e.Sweep(scene.now, low), RULES)
    assert isinstance(turn.defect, KeyError) and scene.state.mode == "PAUSED"
    assert [x.ticker for x in turn.effects if isinstance(x, PlaceOrder)] == [other]


def test_what_was_sold_and_bought_back_by_somebody_else_while_it_was_looked_up_stays_protected() -> None:
    scene = Scene()
    trade = scene.held()
    scene.at(5).do(e.Boot(scene.now, "b2", scene.state.config))
    scene.read()
    sold = VenueFill("h1", "his", "", TICKER, "ask", Price(8_700), Count(2_000), Money(0), True, scene.now)
    scene.do(e.FillSeen(scene.now, sold))
    scene.at(7).sweep(8_700, 8_800)
    [asked] = [x for x in scene.effects if isinstance(x, ResolveOrder)]
    scene.do(e.FillSeen(scene.now, msgspec.structs.replace(sold, trade_id="h2", order_id="his too", side="bid")))
    scene.do(e.OrderResolved(scene.now, asked.client_order_id, None, True))
    assert scene.state.live_trade == {TICKER: trade.id}
    scene.at(9).tick(7_900, 8_100)
    assert [x.count for x in scene.sent()] == [2_000]
