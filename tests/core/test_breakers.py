"""Breakers: each is tripped, and each is tripped across a restart (failure case 25); deposits are no profit (38)."""

import pytest
from scene import PLAN, T0, TICKER, Scene, quote

from bot.core import breakers
from bot.core import events as e
from bot.core.effects import Notice
from bot.core.facts import Marked, OrderMoved
from bot.core.folding import fold
from bot.core.state import dump, load
from bot.core.trades import ExitPlan
from bot.core.units import Money, Price
from bot.core.venue import NotSent, Rejected, Unknown

LAKERS = "KXNBAGAME-26NOV21LALNYK-LAL"
MIDNIGHT = (T0 // 86_400_000 + 1) * 86_400_000
FAR = ExitPlan(Price(100), None, None, Price(1_000), 3_000)


def stage(**limits: int) -> Scene:
    scene = Scene()
    scene.state.config.risk.update(limits)
    return scene


def restarted(scene: Scene) -> Scene:
    scene.state = load(dump(scene.state))
    scene.do(e.Boot(scene.now, "b2", scene.state.config))
    scene.read()
    return scene


def lose(scene: Scene, number: int, price: int = 7_900) -> None:
    """Enter a market of its own at 0.88 and be stopped out, or leave at `price`."""
    ticker = f"KXNBAGAME-26NOV21GAME{number}-A"
    scene.propose(count=100, ticker=ticker)
    [entry] = scene.sent()
    scene.reply(entry, 100)
    scene.fill(entry, 8_800, 100)
    if price > 8_000:
        scene.tick(9_500, 9_600, ticker)
    else:
        scene.tick(7_900, 8_100, ticker)
    [out] = scene.sent()
    scene.reply(out, 100)
    scene.fill(out, price, 100)


def code(scene: Scene, ticker: str = LAKERS) -> str:
    answer = scene.propose(count=100, ticker=ticker).answer
    assert answer is not None
    return answer.code


def start(scene: Scene, *quotes: tuple[int, int]) -> str:
    seen = {TICKER: quote(*quotes[0], scene.now)} if quotes else {}
    answer = scene.do(e.Command(scene.now, "start", "you", {}, seen)).answer
    assert answer is not None
    return answer.code


def held(scene: Scene) -> Scene:
    """200 contracts at 0.88, with a stop far away, so that only the mark moves: two dollars with each cent."""
    room = 1_000_000_000
    scene.state.config.risk.update(max_order_cost=room, max_market_exposure=room, max_event_exposure=room)
    scene.held(count=20_000, plan=FAR)
    scene.sweep(8_800, 8_900)
    return scene


# daily loss


def test_a_loss_that_is_not_realised_yet_ends_entries_until_midnight_and_they_go_on_by_themselves() -> None:
    scene = held(stage(max_daily_loss=5_000_000))
    scene.at(10).sweep(8_560, 8_700)  # 4.80 and the fee of 0.01 before
    assert scene.state.mode == "RUNNING"
    scene.at(12).sweep(8_540, 8_700)
    assert (scene.state.mode, scene.state.mode_until_ms) == ("PAUSED", MIDNIGHT)
    assert scene.state.mode_reason == "max_daily_loss: 5.200000, the limit is 5.000000"
    assert [x.code for x in scene.effects if isinstance(x, Notice) and x.level == "alarm"] == ["max_daily_loss"]
    assert code(scene) == "not_running"
    restarted(scene)
    scene.now = MIDNIGHT - 1
    scene.sweep(8_540, 8_700)
    assert scene.state.mode == "PAUSED"
    scene.now = MIDNIGHT
    scene.sweep(8_540, 8_700)
    assert scene.state.mode == "RUNNING" and scene.state.day_open == -5_210_000


def test_start_is_refused_while_the_day_is_lost_and_taken_when_the_limit_is_raised() -> None:
    scene = held(stage(max_daily_loss=5_000_000))
    scene.at(2).sweep(8_000, 8_700)
    assert start(scene, (8_000, 8_700)) == "limit_reached"
    scene.do(e.Command(scene.now, "configure", "you", {"risk": {"max_daily_loss": "100"}}))
    assert start(scene, (8_000, 8_700)) == "start" and scene.state.mode == "RUNNING"
    scene.at(4).sweep(8_000, 8_700)
    assert scene.state.mode == "RUNNING"


def test_what_was_lost_yesterday_is_not_lost_today() -> None:
    scene = held(stage(max_daily_loss=5_000_000))
    scene.at(2).sweep(8_700, 8_800)
    scene.now = MIDNIGHT
    scene.sweep(8_560, 8_700)
    scene.now += 2_000
    scene.sweep(8_400, 8_500)
    assert scene.state.mode == "RUNNING", "4.80 yesterday, 3.20 today"
    scene.now += 2_000
    scene.sweep(8_300, 8_400)
    assert scene.state.mode == "PAUSED"


# drawdown


def test_a_drawdown_from_the_peak_ends_entries_until_the_operator_starts_them_also_after_a_restart() -> None:
    scene = held(stage(max_drawdown=10_000_000))
    scene.at(2).sweep(9_300, 9_400)
    assert scene.state.peak == 10_000_000 - 10_000
    restarted(scene)  # the peak is a fact
    scene.at(4).sweep(8_800, 8_900)
    assert scene.state.mode == "RUNNING", "exactly the limit"
    scene.at(6).sweep(8_790, 8_900)
    assert (scene.state.mode, scene.state.mode_until_ms) == ("PAUSED", 0)
    scene.now = MIDNIGHT + 1
    restarted(scene).sweep(8_790, 8_900)
    assert scene.state.mode == "PAUSED"
    assert start(scene, (8_790, 8_900)) == "start"
    assert scene.state.peak == -210_000, "counted anew from here"
    scene.now += 2_000
    scene.sweep(8_790, 8_900)
    assert scene.state.mode == "RUNNING"


def test_a_deposit_is_neither_profit_nor_a_new_peak() -> None:
    """Failure case 38: money was deposited, read as profit, and the drawdown began anew."""
    scene = held(stage(max_drawdown=10_000_000))
    peak = scene.state.peak
    for second in (10, 20, 30, 40):
        scene.at(second).read(cash=(scene.state.cash or 0) + 500_000_000)
        scene.sweep(8_800, 8_900)
    assert "cash:account" in scene.state.findings and scene.state.peak == peak
    scene.at(42).sweep(8_290, 8_400)
    assert scene.state.mode == "PAUSED"


def test_without_a_price_a_position_counts_at_its_stop_and_never_above_its_cost() -> None:
    scene = Scene()
    scene.held()
    assert breakers.profit_at(scene.state, {}) == 2_000 * (8_000 - 8_800) - 10_000
    scene.state.trades[scene.trade().id].plan = ExitPlan(Price(9_000), None, None, Price(100), 1)
    assert breakers.profit_at(scene.state, {}) == -10_000
    short = Scene()
    short.held(side="ask", price=1_200, plan=ExitPlan(Price(2_000), None, None, Price(1_000), 3_000))
    assert breakers.profit_at(short.state, {}) == 2_000 * (8_000 - 8_800) - 10_000
    assert breakers.profit_at(short.state, {TICKER: quote(1_000, 1_100)}) == 2_000 * 100 - 10_000


def test_equity_is_not_judged_on_a_part_of_the_prices() -> None:
    scene = held(stage(max_drawdown=1_000_000))
    scene.do(e.Sweep(scene.now, {}))
    assert scene.state.mode == "RUNNING"
    scene.at(60).sweep(known=False)  # known to have no price: it counts at its stop
    assert scene.state.mode == "PAUSED"


def test_the_peak_is_written_for_steps_and_not_for_every_sweep() -> None:
    scene = held(stage(max_drawdown=100_000_000))
    marks = len([x for x in scene.facts if isinstance(x, Marked)])
    for bid in range(8_801, 8_850):
        scene.sweep(bid, 8_900)
    assert len([x for x in scene.facts if isinstance(x, Marked)]) == marks
    scene.sweep(8_860, 8_900)
    assert scene.state.peak == 60 * 20_000 - 10_000
    scene.sweep(8_860 + 500, 9_400)
    assert scene.state.peak == 560 * 20_000 - 10_000


# counts


def test_losing_trades_in_a_row_pause_entries_for_as_long_as_is_set_and_the_count_begins_anew() -> None:
    scene = stage(max_loss_streak=3, breaker_pause=60)
    lose(scene, 1)
    lose(scene, 2)
    restarted(scene)
    lose(scene, 3)
    scene.do(e.Sweep(scene.now, {}))
    assert (scene.state.mode, scene.state.mode_until_ms) == ("PAUSED", scene.now + 60_000)
    assert scene.state.mode_actor == "breaker" and scene.state.loss_streak == 0
    assert code(scene.at(59.999)) == "not_running"
    assert code(scene.at(60)) == "entered", "an entry is judged at its own time, not at the last sweep's"


def test_a_winner_ends_the_row_and_a_trade_ended_by_others_is_no_part_of_it() -> None:
    scene = stage(max_loss_streak=3)
    lose(scene, 1)
    lose(scene, 2)
    lose(scene, 3, price=9_500)
    assert scene.state.loss_streak == 0
    lose(scene, 4)
    scene.held()
    scene.state.positions.pop(TICKER)
    scene.tick(8_700, 8_800)
    assert scene.state.live_trade == {} and scene.state.loss_streak == 1


@pytest.mark.parametrize("outcome", [Rejected("invalid_order", "", 400), Rejected("insufficient_balance", "", 400)])
def test_refused_entries_in_a_row_pause_entries_and_one_that_is_taken_ends_the_row(outcome: Rejected) -> None:
    scene = stage(max_rejects=2)
    for number, answer in enumerate((outcome, None, outcome, outcome)):
        scene.propose(count=100, ticker=f"KXNBAGAME-26NOV21GAME{number}-A")
        [entry] = scene.sent()
        if answer is None:
            scene.reply(entry, 0)
        else:
            scene.do(e.Sending(scene.now, entry.client_order_id))
            scene.do(e.CreateReplied(scene.now, entry.client_order_id, answer))
    assert scene.state.rejects == 2 and scene.state.mode == "RUNNING"
    assert code(scene) == "not_running" and scene.state.mode_reason.startswith("max_rejects: 2")


def test_an_entry_that_was_dropped_before_its_send_is_no_refusal() -> None:
    scene = stage(max_rejects=1)
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, NotSent("the program is stopping")))
    assert scene.state.rejects == 0


def test_unknown_outcomes_within_the_window_pause_entries_and_older_ones_do_not_count() -> None:
    scene = stage(max_errors=2, error_window=60)
    for number, second in enumerate((0, 61, 62)):
        scene.at(second)
        assert code(scene, f"KXNBAGAME-26NOV21GAME{number}-A") == "entered"
        [entry] = scene.sent()
        scene.do(e.Sending(scene.now, entry.client_order_id))
        scene.do(e.CreateReplied(scene.now, entry.client_order_id, Unknown("no reply")))
        if number == 0:
            counted = [breakers.uses(scene.state, scene.now + ms, {})[-1].value for ms in (59_999, 60_000)]
            assert counted == [1, 0]
    assert code(scene) == "not_running" and scene.state.mode_reason.startswith("max_errors: 2")


# what a pause is


def test_a_pause_is_made_longer_by_another_breaker_and_never_shorter() -> None:
    scene = held(stage(max_daily_loss=5_000_000, max_loss_streak=1, breaker_pause=60, max_drawdown=20_000_000))
    lose(scene, 1)
    scene.propose(ticker=LAKERS)
    assert scene.state.mode_until_ms == scene.now + 60_000
    scene.at(2).sweep(8_500, 8_600)
    assert scene.state.mode_until_ms == MIDNIGHT and scene.state.mode_reason.startswith("max_daily_loss")
    scene.state.loss_streak = 1
    scene.at(4).sweep(8_500, 8_600)
    assert scene.state.mode_until_ms == MIDNIGHT
    scene.at(6).sweep(7_000, 7_100)
    assert scene.state.mode_until_ms == 0 and scene.state.mode_reason.startswith("max_drawdown")


@pytest.mark.parametrize("verb, mode", [("pause", "PAUSED"), ("stop", "REDUCING"), ("kill", "HALTED")])
def test_the_operators_word_does_not_end_by_itself_and_no_breaker_changes_it(verb: str, mode: str) -> None:
    scene = stage(max_loss_streak=1, breaker_pause=60)
    lose(scene, 1)
    scene.propose()
    assert scene.state.mode_until_ms
    scene.do(e.Command(scene.now, verb, "you", {}))
    scene.state.loss_streak = 1
    scene.at(100_000).do(e.Sweep(scene.now, {}))
    assert (scene.state.mode, scene.state.mode_until_ms, scene.state.mode_actor) == (mode, 0, "you")


def test_start_ends_a_pause_of_counts_at_once() -> None:
    scene = stage(max_loss_streak=1, breaker_pause=60)
    lose(scene, 1)
    scene.propose()
    assert scene.state.mode == "PAUSED" and start(scene) == "start"
    assert code(scene) == "entered"


def test_no_breaker_holds_a_stop() -> None:
    scene = stage(max_daily_loss=1_000_000)
    scene.held()
    scene.sweep(8_800, 8_900)
    scene.at(2).sweep(8_100, 8_200)
    assert scene.state.mode == "PAUSED"
    scene.tick(7_900, 8_000)
    assert [order.purpose for order in scene.sent()] == ["exit"]
    assert PLAN.stop == 8_000


def test_every_breaker_says_how_near_it_is() -> None:
    scene = Scene()
    scene.sweep()
    held(scene)
    shown = {
        use.name: (use.value, use.limit) for use in breakers.uses(scene.state, scene.now, {TICKER: quote(8_700, 8_800)})
    }
    assert shown["max_daily_loss"] == (2_010_000, 100_000_000)
    assert shown["max_drawdown"] == (2_010_000, 150_000_000)
    assert shown["max_loss_streak"] == (0, 5) and shown["max_rejects"] == (0, 5) and shown["max_errors"] == (0, 6)
    assert scene.state.day_open == Money(0)


# books written before there were breakers


def test_a_journal_older_than_the_breakers_settings_is_replayed() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    blob = dump(scene.state)
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Unknown("no reply")))
    old = load(blob)
    for name in set(old.config.risk) - {"max_order_cost", "max_drawdown"}:
        del old.config.risk[name]
    old.errors = [T0 - 3_600_000]
    for fact in [x for x in scene.facts if isinstance(x, OrderMoved)]:
        fold(old, fact)
    assert old.errors == scene.state.errors == [T0], "and an hour later it is forgotten"


def test_what_was_lost_before_the_first_mark_is_no_drawdown() -> None:
    scene = stage()
    scene.state.realized = Money(-400_000_000)
    scene.sweep()
    assert scene.state.mode == "RUNNING" and scene.state.peak == -400_000_000
