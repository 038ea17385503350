"""Exit rules to the last unit and millisecond: each test dies when its rule is altered by one (docs/defects.md)."""

import msgspec
import pytest
from scene import PLAN, T0, TICKER, Scene, market, quote

from bot.core import events as e
from bot.core.effects import CancelOrder, Notice, Wake
from bot.core.positions import Position
from bot.core.trades import ExitPlan, Trade, TradeState, break_even, due
from bot.core.units import (
    Count,
    Money,
    Price,
)
from bot.core.venue import Accepted, Unknown


def test_break_even_returns_what_was_paid_and_the_fee_of_leaving() -> None:
    def trade(side: str) -> Trade:
        held = Trade("b-1", TICKER, side, "t", market(), PLAN, T0)  # type: ignore[arg-type]
        held.entered, held.entry_cost, held.fees = Count(1_000), Money(8_800_000), Money(61_500)
        return held

    assert (break_even(trade("bid")), break_even(trade("ask"))) == (8_929, 10_000 - 8_929)
    assert break_even(Trade("b-1", TICKER, "bid", "t", market(), PLAN, T0)) is None


@pytest.mark.parametrize("side, stop, target", [("bid", 8_000, 9_500), ("ask", 2_000, 500)])
def test_each_rule_holds_from_its_own_price_on(side: str, stop: int, target: int) -> None:
    plan = ExitPlan(Price(stop), Price(target), T0 + 1_000, Price(1_000), 3_000)
    trade = Trade("b-1", TICKER, side, "t", market(), plan, T0)  # type: ignore[arg-type]
    worse, better = (-1, 1) if side == "bid" else (1, -1)
    cases = ((stop, "stop"), (stop + worse, "stop"), (stop + better, None), (target, "target"),
             (target + better, "target"), (target + worse, None), (None, None))  # fmt: skip
    for price, kind in cases:
        assert due(trade, price, T0) == kind  # type: ignore[arg-type]
    assert due(trade, None, T0 + 1_000) == "time" and due(trade, None, T0 + 999) is None


def test_a_stop_takes_over_from_a_target_that_is_being_tried() -> None:
    scene = Scene()
    scene.held()
    scene.tick(9_500, 9_600)
    [target] = scene.sent()
    scene.at(1).tick(7_900, 8_000)
    assert scene.trade().exit_kind == "stop" and scene.sent() == [], "the target's order has no answer yet"
    scene.reply(target, 0)
    [stop] = scene.sent()
    assert (stop.price, stop.count) == (6_900, 2_000)


def test_a_target_that_was_refused_while_its_price_is_gone_stands_down() -> None:
    scene = Scene()
    scene.held()
    scene.tick(9_500, 9_600)
    [target] = scene.sent()
    scene.reply(target, 0)
    scene.at(1).tick(9_400, 9_600)
    assert (scene.trade().state, scene.trade().exit_kind, scene.sent()) == (TradeState.OPEN, None, [])


def test_a_stop_keeps_driving_after_its_price_has_recovered() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    scene.reply(scene.sent()[0], 0)
    scene.at(1).tick(8_600, 8_700)
    assert scene.trade().exit_kind == "stop" and [o.count for o in scene.sent()] == [2_000]


def test_every_attempt_has_the_next_number_and_an_unknown_one_its_own_again() -> None:
    scene = Scene()
    trade = scene.held()
    scene.tick(7_900, 8_100)
    first = scene.sent()[0]
    scene.reply(first, 0)
    scene.at(1).tick(7_900, 8_100)
    second = scene.sent()[0]
    assert (first.client_order_id, second.client_order_id) == (f"{trade.id}.x1", f"{trade.id}.x2")
    scene.do(e.CreateReplied(scene.now, second.client_order_id, Unknown("timeout")))
    [again] = scene.sent()
    assert again.client_order_id == second.client_order_id and again.purpose == "exit"
    assert [(w.at_ms, w.ticker) for w in scene.effects if isinstance(w, Wake)] == [(T0 + 2_000, TICKER)]
    scene.at(1.9).tick(7_800, 8_000)
    assert scene.sent() == [], "an id is not sent again within a second"
    assert len(scene.at(2).tick(7_800, 8_000).effects) >= 1 and len(scene.sent()) == 1


def test_fills_reported_and_not_booked_are_not_sold_again() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    [out] = scene.sent()
    scene.reply(out, 1_999)
    assert scene.sent() == []
    scene.at(1).tick(7_900, 8_100)
    assert [o.count for o in scene.sent()] == [1], "one hundredth of a contract is known to be left"


def test_the_smallest_position_is_watched_and_left() -> None:
    scene = Scene()
    scene.held(count=1)
    scene.tick(7_900, 8_100)
    assert [o.count for o in scene.sent()] == [1]


def test_a_trade_without_a_fill_has_nothing_to_leave() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.reply(entry, 0, remaining=2_000)
    scene.tick(7_900, 8_100)
    assert scene.sent() == [] and scene.trade().state is TradeState.OPENING


@pytest.mark.parametrize("side, price, stop", [("bid", 8_800, 100), ("ask", 1_200, 9_900)])
def test_a_time_exit_without_stop_and_price_goes_to_the_end_of_its_own_side(side: str, price: int, stop: int) -> None:
    scene = Scene()
    plan = msgspec.structs.replace(PLAN, stop=None, target=None)
    scene.held(side=side, price=price, plan=plan)
    scene.at(600).sweep(known=False)
    assert [o.price for o in scene.sent()] == [stop]


def test_firing_cancels_live_entries_with_an_id_and_nothing_else() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.reply(entry, 500, remaining=1_500)
    scene.fill(entry, 8_800, 500)
    scene.tick(7_900, 8_100)
    cancel = next(x for x in scene.effects if isinstance(x, CancelOrder))
    assert cancel == CancelOrder(entry.client_order_id, f"x-{entry.client_order_id}", TICKER)
    scene.do(e.CancelReplied(scene.now, entry.client_order_id,
                             Accepted(cancel.order_id, Count(0), Count(0), Count(1_500))))  # fmt: skip
    scene.at(5).do(e.Command(scene.now, "close", "you", {"ticker": TICKER}))
    assert not [x for x in scene.effects if isinstance(x, CancelOrder)], "it has ended"


def test_a_vanished_side_asks_for_another_look_and_is_believed_after_two_seconds_exactly() -> None:
    scene = Scene()
    scene.held()
    scene.tick(None, 8_800)
    assert [(w.at_ms, w.ticker) for w in scene.effects if isinstance(w, Wake)] == [(T0 + 2_000, TICKER)]
    scene.at(1.999).sweep(None, 8_800)
    assert not scene.trade().vanish_confirmed
    scene.at(2).sweep(None, 8_800)
    assert scene.trade().vanish_confirmed


def test_a_tick_of_another_market_moves_nothing_and_the_latency_mark_travels_with_the_exit() -> None:
    scene = Scene()
    scene.held()
    scene.at(1).tick(9_500, 9_600)
    assert scene.sent()[0].tick_ns == (T0 + 1_000) * 1_000_000
    scene = Scene()
    scene.held()
    scene.at(1).sweep(7_900, 8_000)
    assert scene.sent()[0].tick_ns == 0, "a sweep is no tick"


def test_a_closed_trade_tells_who_closed_it() -> None:
    scene = Scene()
    scene.held()
    scene.state.positions[TICKER] = Position(TICKER)
    turn = scene.at(1).tick(8_700, 8_800)
    assert ("warning", "closed_elsewhere", TICKER) in [
        (x.level, x.code, x.ticker) for x in turn.effects if hasattr(x, "code")
    ]


def test_an_entry_without_an_answer_holds_back_no_exit() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.fill(entry, 8_800, 500)
    scene.tick(7_900, 8_100)
    assert [o.count for o in scene.sent()] == [500], "its reply has not come"
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Unknown("timeout")))
    scene.fill(entry, 8_800, 500)
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Unknown("timeout")))
    scene.tick(7_900, 8_100)
    assert [(o.purpose, o.count) for o in scene.sent()] == [("exit", 500)]


def test_an_exit_reported_as_filled_in_full_is_not_sent_again_while_its_fills_are_on_their_way() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    [out] = scene.sent()
    scene.reply(out, 2_000)
    for second in (1, 2, 3):
        scene.at(second).tick(7_800, 8_000)
        assert scene.sent() == []


def test_a_target_that_came_back_too_soon_sends_nothing_and_makes_room_for_the_stop() -> None:
    scene = Scene()
    scene.held()
    scene.tick(9_500, 9_600)
    scene.reply(scene.sent()[0], 0)
    assert scene.trade().state is TradeState.OPEN
    scene.at(0.1).tick(9_500, 9_600)
    assert (scene.trade().state, scene.sent()) == (TradeState.EXITING, []), "250 ms between two orders of one trade"
    scene.at(0.15).tick(9_400, 9_600)
    assert (scene.trade().state, scene.trade().exit_kind) == (TradeState.OPEN, None)
    scene.at(0.2).tick(9_500, 9_600)
    scene.at(0.22).tick(7_900, 8_000)
    assert [(o.price, o.tick_ns) for o in scene.sent()] == [(6_900, (T0 + 220) * 1_000_000)], "a stop waits for nothing"


def test_the_order_that_a_later_tick_sends_carries_that_ticks_time() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    scene.reply(scene.sent()[0], 0)
    scene.at(1).tick(7_800, 8_000)
    assert [o.tick_ns for o in scene.sent()] == [(T0 + 1_000) * 1_000_000]


def test_nothing_fires_in_a_market_that_takes_no_orders() -> None:
    scene = Scene()
    scene.held()
    scene.do(e.MarketChange(scene.now, TICKER, "inactive"))
    scene.at(1).tick(7_000, 7_100)
    assert scene.trade().state is TradeState.OPEN


@pytest.mark.parametrize("price, words", [(7_900, "0.7900"), (None, "no price")])
def test_an_exit_is_told_with_the_price_it_saw_and_what_is_open(price: int | None, words: str) -> None:
    scene = Scene()
    scene.held(plan=msgspec.structs.replace(PLAN, time_exit_ms=T0))
    turn = scene.sweep(price, 8_100) if price else scene.sweep(known=False)
    kind = "stop" if price else "time"
    assert [(x.code, x.text, x.ticker) for x in turn.effects if isinstance(x, Notice)] == [
        (f"exit_{kind}", f"{kind} fired at {words}, 20.00 open", TICKER)
    ]


def test_a_vanished_quote_is_told_with_its_market_and_how_long() -> None:
    scene = Scene()
    scene.held()
    scene.tick(None, 8_800)
    turn = scene.at(2.5).sweep(None, 8_800)
    assert [(x.text, x.ticker) for x in turn.effects if isinstance(x, Notice)] == [
        ("no price to leave at for 2500 ms", TICKER)
    ]


def test_an_exit_that_no_tick_caused_carries_no_ticks_time() -> None:
    scene = Scene()
    scene.held()
    scene.do(e.Command(scene.now, "close", "you", {"ticker": TICKER}, {TICKER: quote(8_700, 8_800)}))
    [first] = scene.sent()
    scene.do(e.CreateReplied(scene.now, first.client_order_id, Unknown("timeout")))
    [again] = scene.sent()
    assert (first.tick_ns, again.tick_ns) == (0, 0)
