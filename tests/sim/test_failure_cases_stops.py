"""Failure cases of reference/failure-cases.md, played in the simulator: stops, halts, restarts and other programs."""

import pytest
from stage import GAME, OTHER, Stage, always

from bot.sim.faults import Fault


def holding(stage: Stage, count: int = 1_000, side: str = "bid", stop: int = 45) -> Stage:
    stage.enter(limit=52 if side == "bid" else 50, count=count, side=side, stop=stop)
    stage.run(1)
    assert stage.held() == (count if side == "bid" else -count)
    return stage


def test_case_6_a_short_of_one_contract() -> None:
    """Elsewhere it collided with the sentinel -1."""
    stage = holding(Stage(), count=100, side="ask", stop=58)
    assert stage.booked() == -100
    stage.price(57, 59).run(0.2)
    assert stage.held() == 0
    stage.books_equal()


def test_case_7_the_kill_switch_is_on_and_a_stop_is_due() -> None:
    """Elsewhere the stop was suppressed."""
    stage = holding(Stage())
    stage.program.command("kill", {})
    stage.run(5).price(44, 46).run(0.2)
    assert stage.held() == 0


def test_case_8_and_18_the_socket_is_silent() -> None:
    """Elsewhere the stop was skipped without a word, or positions flew blind: here the price is read."""
    stage = holding(Stage())
    stage.network.open("silence", 200_000)
    stage.price(44, 46).run(65)
    assert stage.held() == 0


def test_case_19_a_commit_stalls_for_30_s() -> None:
    """Elsewhere the whole loop froze, stops with it."""
    stage = holding(Stage())
    stage.plan([Fault("commit", 0, "slow", 30_000)])
    stage.program.command("configure", {"risk": {"cooldown": 5}})
    stage.run(1).price(44, 46).run(0.2)
    assert stage.held() == 0
    assert stage.enter(ticker=OTHER).ok
    stage.run(20)
    assert stage.held(OTHER) == 0, "an entry waits for the disk"


def test_entries_stop_while_the_journal_cannot_be_written_and_go_on_after() -> None:
    """An entry that waits for a full disk would leave when the disk is free again, on an old picture."""
    stage = holding(Stage())
    stage.network.open("disk_full", 10_000)
    stage.program.command("configure", {"risk": {"cooldown": 5}})
    stage.run(1)
    assert stage.enter(ticker=OTHER).code == "journal_failing"
    stage.price(44, 46).run(0.2)
    assert stage.held() == 0, "an exit waits for no disk"
    stage.run(20)
    assert stage.enter(ticker=OTHER).ok


def test_case_20_two_programs_overlap() -> None:
    """Elsewhere both traded: here the one that was succeeded can record nothing, so it enters nothing."""
    stage = holding(Stage())
    old = stage.program
    stage.boot()
    stage.run(3)
    new, stage.program = stage.program, old
    assert stage.enter(ticker=OTHER).ok
    stage.run(3)
    assert stage.held(OTHER) == 0
    stage.program = new
    assert stage.enter(ticker=OTHER).ok
    stage.run(3)
    assert stage.held(OTHER) == 1_000
    stage.price(44, 46).run(0.3)
    assert stage.held() == 0, "both may leave, the exchange caps it"
    old.kill()
    stage.books_equal()


def test_case_21_no_network_for_ten_minutes_with_a_resting_order_that_fills() -> None:
    """Elsewhere it was declared lost, then filled."""
    stage = Stage()
    stage.enter(limit=50, tif="good_till_canceled")
    stage.run(1)
    stage.network.open("outage", 600_000)
    stage.program.stream.disconnect(600_000)
    stage.run(60)
    stage.engine.crowd_take(GAME, "ask", 5_000, 40_000, stage.clock.now_ms)
    stage.run(500)
    assert stage.order(".e").live()
    stage.run(80)
    assert stage.booked() == 1_000
    assert stage.trade() is not None
    stage.price(44, 46).run(0.2)
    assert stage.held() == 0
    stage.books_equal()


def test_case_23_a_partial_fill_then_the_market_closes() -> None:
    """Elsewhere the remainder hung for ever."""
    stage = Stage()
    stage.enter(limit=51, tif="good_till_canceled")
    stage.run(1)
    stage.engine.crowd_take(GAME, "ask", 5_100, 400, stage.clock.now_ms)
    stage.run(1)
    assert stage.booked() == 400
    stage.settle("no")
    stage.run(15)
    assert not stage.order(".e").live()
    assert stage.trade() is None
    stage.books_equal()


def test_case_24_a_stop_looks_at_the_side_one_can_sell_at() -> None:
    """Elsewhere the exit was valued at the ask: it came late."""
    stage = holding(Stage())
    stage.price(45, 60).run(0.2)
    assert stage.held() == 0


def resting(stage: Stage) -> Stage:
    """1,000 bought at 0.52, the target at 0.60 rests, the program has settled in."""
    stage.run(36)
    stage.enter(count=1_000, target=60, rests=True)
    stage.run(3)
    stage.price(51, 53).run(3)
    assert stage.order(".t1").state == "resting"
    return stage


def test_case_31_the_stop_fires_while_its_target_rests() -> None:
    """Elsewhere the target stayed in the book after the position was gone, and opened the other side."""
    stage = resting(Stage())
    stage.price(44, 46).run(1)
    assert stage.held() == 0 and stage.sends("amend") >= 1
    stage.price(70, 72).run(5)
    assert stage.held() == 0 and not [o for o in stage.exchange.account.orders.values() if o.status == "resting"]
    stage.books_equal()


def test_case_31_the_target_fills_while_its_stop_is_under_way() -> None:
    """Half of the target is taken, unseen yet, when the stop fires: what both sell together is what was held."""
    stage = resting(Stage(always("frame.fill", "late", 5_000)))
    stage.price(60, 62, size=500).run(0.01)
    assert stage.held() == 500 and stage.booked() == 1_000
    stage.price(44, 46).run(8)
    assert stage.held() == 0 and stage.sends("amend") >= 1
    stage.price(70, 72).run(5)
    assert stage.held() == 0
    stage.books_equal()


def test_case_32_the_send_of_a_firing_stop_times_out() -> None:
    """Elsewhere the stop was marked rejected for good: one try, no more."""
    stage = holding(Stage(always("create.exit", "lost_request", times=3)))
    stage.price(44, 46).run(12)
    assert stage.sends("exit") == 4
    assert stage.held() == 0


@pytest.mark.parametrize("end", ["stop", "kill", "halt"])
def test_case_33_a_stop_outlives_every_end(end: str) -> None:
    """Elsewhere a halt, a hold or a clean exit cancelled the stops with everything else, and none came back."""
    stage = holding(Stage())
    stage.run(1)
    if end == "halt":
        stage.program.command("kill", {})
        stage.run(1)
    if end == "stop":
        stage.program.stop()
        stage.run(4)
        stage.boot()
    else:
        stage.restart()
    stage.run(0.5).price(44, 46).run(0.2)
    assert stage.held() == 0


@pytest.mark.parametrize("word, later", [("kill", "rearm"), ("stop", "start"), ("stop", "pause")])
def test_an_entry_that_was_called_back_ends_though_its_cancel_was_lost_and_the_word_taken_back(
    word: str, later: str
) -> None:
    stage = Stage([Fault("cancel", 0, "lost_request", 0)])
    stage.enter(limit=50, tif="good_till_canceled")
    stage.run(2).program.command(word, {})
    stage.run(2).program.command(later, {})
    stage.run(35)
    assert stage.order(".e").state == "cancelled"
    stage.books_equal()


def test_case_34_one_exits_reply_is_slow() -> None:
    """Elsewhere the loop awaited it, and every other stop waited too."""
    stage = holding(Stage([Fault("create.exit", 0, "slow", 1_900)]))
    stage.enter(ticker=OTHER)
    stage.run(1)
    stage.price(44, 46).price(44, 46, OTHER).run(0.15)
    assert stage.held(OTHER) == 0
    assert stage.held() == 1_000
    stage.run(4)
    assert stage.held() == 0


def test_case_35_no_entry_rule_holds_an_exit() -> None:
    """Elsewhere a rate rule vetoed the stop."""
    stage = holding(Stage())
    stage.program.executor.budget.tokens = -500.0
    stage.program.command("configure", {"risk": {"max_daily_loss": "1", "max_order_cost": "1"}})
    stage.price(44, 46).run(0.2)
    assert stage.held() == 0


def test_case_36_only_part_of_an_exit_fills() -> None:
    """Elsewhere the remainder ended the stop."""
    stage = holding(Stage(), count=3_000)
    stage.price(44, 46, size=500)
    for _ in range(12):
        stage.run(1).price(44, 46, size=500)
    assert stage.held() == 0
    assert stage.sends("exit") >= 6
    stage.books_equal()


def test_case_38_a_deposit_is_a_finding() -> None:
    """Elsewhere it was read as profit."""
    stage = holding(Stage())
    stage.exchange.move_cash(10_000_001)
    stage.run(35)
    assert stage.auditor.books.named["cash:account"][1] - stage.auditor.books.named["cash:account"][0] == 10_000_001
    assert stage.program.state.realized <= 0
    assert not stage.enter(ticker=OTHER).ok
    stage.program.command("accept", {"difference": "cash:account", "amount": "10.000001"})
    stage.run(15)
    assert stage.program.state.realized <= 0
    assert stage.program.state.cash == stage.exchange.account.cash
    assert stage.enter(ticker=OTHER).ok


def test_a_deposit_that_the_exchange_names_stops_nothing() -> None:
    stage = holding(Stage())
    stage.exchange.move_cash(10_000_000)
    stage.run(35)
    assert "cash:account" not in stage.auditor.books.named and stage.program.state.realized <= 0
    assert stage.program.state.cash == stage.exchange.account.cash
    assert stage.enter(ticker=OTHER).ok


def test_a_wiped_disk_leaves_the_position_with_a_stop() -> None:
    """Exits outlive everything, also the journal: the default plan is armed from the exchange's positions."""
    stage = holding(Stage())
    stage.program.kill()
    stage.file.wipe()
    stage.auditor.wiped()
    stage.run(1)
    stage.boot()
    stage.run(3)
    trade = stage.trade()
    assert trade is not None and trade.plan.stop is not None
    stage.price(trade.plan.stop // 100 - 1, 60).run(0.3)
    assert stage.held() == 0
