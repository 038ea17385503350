"""Failure cases of reference/failure-cases.md, played in the simulator: orders, fills and what is not known of them."""

from stage import GAME, START_MS, Stage, always

from bot.core.orders import OrderState
from bot.sim.faults import Fault


def test_case_1_positions_cannot_be_read_while_stops_are_armed() -> None:
    """Elsewhere an error became "no positions": everything was marked settled and lost its stop."""
    stage = Stage()
    stage.enter()
    stage.run(1)
    stage.plan(always("read.positions", "server"))
    stage.run(60)
    assert stage.trade() is not None
    stage.price(44, 46).run(0.1)
    assert stage.held() == 0


def test_case_2_an_exit_times_out_and_the_price_falls_again() -> None:
    """Elsewhere the first sell was left resting, a second was sent, and both filled."""
    stage = Stage([Fault("create.exit", 0, "lost_request", 0), Fault("create.exit", 1, "late", 3_000)])
    stage.enter()
    stage.run(1).price(44, 46).run(4).price(40, 42).run(20)
    assert stage.sends("exit") >= 2
    assert stage.held() == 0
    stage.books_equal()


def test_case_4_the_reply_is_lost_the_order_filled_the_process_restarts() -> None:
    """Elsewhere: "rejected", or "ask a human"."""
    stage = Stage([Fault("create.entry", 0, "lost_reply", 0)])
    stage.enter()
    stage.run(0.3)
    assert stage.held() == 1_000
    stage.restart()
    stage.run(15)
    assert stage.order(".e").state is OrderState.FILLED
    assert stage.booked() == 1_000
    stage.price(44, 46).run(0.2)
    assert stage.held() == 0
    stage.books_equal()


def test_case_5_every_look_up_fails() -> None:
    """Elsewhere the fallback was "flat"."""
    stage = Stage([Fault("create.entry", 0, "lost_request", 0)])
    stage.enter()
    stage.run(1)
    stage.plan(always("read.timestamp", "server"))
    stage.run(60)
    entry = stage.order(".e")
    assert entry.state is OrderState.UNKNOWN
    assert entry.reserved() > 0
    assert not stage.enter().ok
    stage.faults.on = False
    stage.run(30)
    assert stage.order(".e").state is OrderState.REJECTED
    assert stage.trade() is None


def test_case_9_a_2xx_without_an_order() -> None:
    """Elsewhere it was treated as placed."""
    stage = Stage(
        [Fault("create.entry", 0, "garbled", 0), *always("frame.order", "dropped"), *always("frame.fill", "dropped")]
    )
    stage.enter()
    stage.run(0.15)
    assert stage.order(".e").state is OrderState.UNKNOWN
    stage.run(12)
    assert stage.order(".e").state is OrderState.FILLED
    stage.books_equal()


def test_case_10_a_cancel_fails_and_a_new_entry_is_wanted() -> None:
    """Elsewhere the requote followed at once, and both orders filled."""
    stage = Stage([Fault("cancel", 0, "lost_request", 0)])
    stage.enter(limit=50, tif="good_till_canceled")
    stage.run(1)
    answer = stage.program.command("cancel", {"order": stage.order(".e").client_order_id}).answer
    assert answer is not None and answer.ok
    stage.run(1)
    assert not stage.enter().ok
    stage.run(3.5)
    assert not stage.enter().ok, "nobody has answered yet"
    stage.run(12)
    assert stage.auditor.counts["sent cancel"] == 2 and stage.order(".e").state is OrderState.CANCELLED
    assert stage.enter().ok
    stage.books_equal()
    assert stage.held() == 1_000


def test_case_11_reconciling_200_times_equals_once() -> None:
    """Elsewhere the same orphan was added at each pass: 6 contracts became 423."""
    stage = Stage()
    stage.exchange.trade_by_hand(GAME, "bid", 5_200, 600, rests=True)
    stage.run(12)
    once = stage.booked()
    for _ in range(200):
        stage.program._wake_reconciler()
        stage.run(0.5)
    assert stage.booked() == once == 600
    stage.books_equal()


def test_case_12_a_settlement_is_booked_once_across_restarts() -> None:
    """Elsewhere the restart forgot settled markets and booked them again."""
    stage = Stage()
    stage.enter()
    stage.run(1)
    stage.settle("yes")
    stage.run(12)
    for _ in range(3):
        stage.restart()
        stage.run(12)
    assert stage.auditor.counts["SettlementBooked"] == 1
    stage.books_equal()


def test_case_13_the_exchange_shows_the_position_after_its_exit() -> None:
    """Elsewhere the lagging position was adopted with a new stop and sold again."""
    stage = Stage()
    stage.network.open("lag", 600_000)
    stage.enter()
    stage.run(3).price(44, 46).run(0.2)
    exits = stage.sends("exit")
    for _ in range(10):
        stage.program._wake_reconciler()
        stage.run(0.4)
    assert stage.trade() is None
    assert stage.sends("exit") == exits
    assert not stage.program.state.findings


def test_case_13_listings_lag_eight_seconds_through_entry_stop_and_deposit() -> None:
    """Fills newer than the listing outrank it; what the listing must show by then is a difference all the same."""
    stage = Stage()
    stage.network.open("long_lag", 600_000)
    for _ in range(6):
        stage.price(50, 52).enter()
        stage.run(3).price(44, 46).run(6)
    assert not stage.program.state.findings and stage.sends("exit") >= 4
    stage.exchange.move_cash(7_000_001)
    stage.run(40)
    assert set(stage.program.state.findings) == {"cash:account"}


def test_case_22_the_fill_arrives_before_the_reply() -> None:
    """Elsewhere the fill was dropped as unknown."""
    stage = Stage([Fault("create.entry", 0, "lost_reply", 0)])
    stage.enter()
    stage.run(0.3)
    assert stage.booked() == 1_000
    stage.run(6)
    assert stage.booked() == 1_000
    trade = stage.trade()
    assert trade is not None and trade.entered == 1_000
    stage.books_equal()


def test_case_30_a_cancel_answers_404_though_the_order_filled() -> None:
    """Elsewhere it was booked as cancelled."""
    stage = Stage(
        [Fault("cancel", 0, "slow", 300), *always("frame.order", "dropped"), *always("frame.fill", "dropped")]
    )
    stage.enter(limit=50, tif="good_till_canceled")
    stage.run(0.5)
    answer = stage.program.command("cancel", {"order": stage.order(".e").client_order_id}).answer
    assert answer is not None and answer.ok
    stage.engine.crowd_take(GAME, "ask", 5_000, 40_000, stage.clock.now_ms)
    assert stage.held() == 1_000
    stage.run(12)
    assert stage.order(".e").state is OrderState.FILLED
    assert stage.booked() == 1_000
    stage.books_equal()


def test_case_37_an_order_update_is_lost() -> None:
    """Elsewhere the finished order stayed live for ever."""
    stage = Stage()
    stage.enter(limit=50, tif="good_till_canceled")
    stage.run(0.5)
    stage.plan([*always("frame.order", "dropped"), *always("frame.fill", "dropped")])
    stage.engine.crowd_take(GAME, "ask", 5_000, 40_000, stage.clock.now_ms)
    stage.run(15)
    assert not stage.order(".e").live()
    stage.books_equal()


def test_the_disk_is_wiped_while_an_entry_rests() -> None:
    """Its later fill belonged to nobody: no stop, no trade, and the order rested on for ever."""
    for fills_first in (False, True):
        stage = Stage()
        stage.enter(limit=50, tif="good_till_canceled")
        stage.run(3)
        stage.program.kill()
        stage.file.wipe()
        stage.auditor.wiped()
        if fills_first:  # a part of it, while no program runs
            stage.engine.crowd_take(GAME, "ask", 5_000, 10_300, stage.clock.now_ms)
        stage.run(1)
        stage.boot()
        stage.run(16)
        assert not [o for o in stage.exchange.account.orders.values() if o.status == "resting"], "called back, proven"
        assert stage.held() == stage.booked() == (300 if fills_first else 0)
        trade = stage.trade()
        assert (trade.open_count() if trade else 0) == stage.held()
        stage.price(20, 22).run(1)
        assert stage.held() == 0, "the default plan's stop"
        stage.books_equal()


def test_the_disk_is_wiped_and_the_cancel_of_what_rests_comes_too_late() -> None:
    stage = Stage()
    stage.enter(limit=50, tif="good_till_canceled")
    stage.run(3)
    stage.program.kill()
    stage.file.wipe()
    stage.auditor.wiped()
    stage.plan(always("cancel", "lost_request"))
    stage.run(1)
    stage.boot()
    stage.run(2)
    stage.engine.crowd_take(GAME, "ask", 5_000, 40_000, stage.clock.now_ms)
    stage.run(1)
    trade = stage.trade()
    assert trade is not None and trade.open_count() == stage.held() == 1_000 and trade.plan.stop == 4_000
    stage.price(39, 41).run(1)
    assert stage.held() == 0


def test_an_entry_sent_before_the_disk_was_wiped_arrives_after_the_books_began() -> None:
    stage = Stage([Fault("create.entry", 0, "late", 3_000)])
    stage.enter()
    stage.run(1)
    stage.program.kill()
    stage.file.wipe()
    stage.auditor.wiped()
    stage.run(1)
    stage.boot()
    stage.run(4)
    assert stage.held() == 0
    stage.run(4)
    assert stage.held() == 1_000
    trade = stage.trade()
    assert trade is not None and trade.open_count() == 1_000 and trade.plan.stop == 4_200


def test_the_stage_begins_where_it_says() -> None:
    stage = Stage()
    assert stage.clock.now_ms == START_MS + 3_000
    assert stage.program.state.reconciled_ms
