"""The result that breakers judge: with which prices, and that no loss is missing in it."""

import pytest
from scene import T0, TICKER, Scene, quote

from bot.core import breakers
from bot.core import events as e
from bot.core.facts import Marked
from bot.core.state import dump, load
from bot.core.trades import ExitPlan
from bot.core.units import Count, Money, Price
from bot.core.venue import Settlement, VenueFill, VenuePosition

MIDNIGHT = (T0 // 86_400_000 + 1) * 86_400_000
HAND = "KXNBAGAME-26NOV21LALNYK-LAL"
ROOM = 1_000_000_000
HALF = ExitPlan(Price(4_500), None, None, Price(1_000), 3_000)


def winning(**limits: int) -> Scene:
    """50 contracts from 0.50, now at 0.94: 21.99 after the fee. At its stop it would be -2.51."""
    scene = Scene()
    scene.state.config.risk.update(
        max_order_cost=ROOM, max_market_exposure=ROOM, max_event_exposure=ROOM, max_total_exposure=ROOM, **limits
    )
    scene.held(5_000, 5_000, plan=HALF)
    scene.at(5).sweep(9_400, 9_500)
    assert (scene.state.peak, scene.state.mode) == (21_990_000, "RUNNING")
    return scene


def restarted(scene: Scene, second: float) -> Scene:
    scene.state = load(dump(scene.state))
    scene.at(second).do(e.Boot(scene.now, "b2", scene.state.config))
    return scene


# prices


def test_a_restart_judges_no_equity_before_the_first_price() -> None:
    """The stops' loop is the first to run: its first sweeps know no price, and that is no drawdown."""
    scene = restarted(winning(max_drawdown=20_000_000, max_daily_loss=15_000_000), 20)
    for second in (20, 22, 79):
        scene.at(second).sweep(known=False)
        assert scene.state.mode == "RUNNING"
    scene.at(79.5).sweep(9_400, 9_500)
    assert scene.state.mode == "RUNNING"


def test_without_any_price_for_a_minute_after_a_restart_a_position_counts_at_its_stop() -> None:
    scene = restarted(winning(max_drawdown=20_000_000), 20)
    scene.at(79.999).sweep(known=False)
    assert scene.state.mode == "RUNNING"
    scene.at(80).sweep(known=False)
    assert scene.state.mode_reason == "max_drawdown: 24.500000, the limit is 20.000000"


def test_an_empty_side_after_a_restart_is_known_and_judged() -> None:
    scene = restarted(winning(max_drawdown=20_000_000), 20)
    scene.at(22).sweep(None, 9_900)
    assert scene.state.mode_reason == "max_drawdown: 24.500000, the limit is 20.000000"


def test_a_new_day_waits_for_the_prices_it_begins_with() -> None:
    """At the stop the day would begin 24.50 too low, and its limit would be so much wider."""
    scene = winning(max_daily_loss=15_000_000)
    scene.now = MIDNIGHT + 1_000
    scene.sweep(known=False)
    assert scene.state.marked_day == T0 // 86_400_000
    scene.now += 4_000
    scene.sweep(9_400, 9_500)
    assert scene.state.day_open == 21_990_000
    scene.now += 2_000
    scene.sweep(4_600, 4_700)
    assert scene.state.mode_reason == "max_daily_loss: 24.000000, the limit is 15.000000"


def test_a_day_that_began_without_prices_is_corrected_by_the_first_full_set_of_them() -> None:
    scene = winning(max_daily_loss=15_000_000)
    scene.now = MIDNIGHT + 60_000
    scene.sweep(known=False)
    assert scene.state.day_open == -2_510_000
    scene.state = load(dump(scene.state))
    scene.now += 2_000
    scene.sweep(None, 9_500)
    assert scene.state.day_open == -2_510_000, "an empty side is no price"
    scene.now += 2_000
    scene.sweep(9_400, 9_500)
    assert scene.state.day_open == 21_990_000
    scene.now += 2_000
    scene.sweep(9_800, 9_900)
    assert scene.state.day_open == 21_990_000, "once"
    scene.now += 2_000
    scene.sweep(4_600, 4_700)
    assert scene.state.mode_reason == "max_daily_loss: 24.000000, the limit is 15.000000"


def test_a_day_that_began_without_prices_is_never_corrected_downwards() -> None:
    scene = winning(max_daily_loss=15_000_000)
    scene.now = MIDNIGHT + 60_000
    scene.sweep(known=False)
    scene.now += 2_000
    scene.do(e.Tick(scene.now, quote(1_000, 1_100, scene.now)))
    [out] = scene.sent()
    scene.reply(out, 5_000)
    scene.fill(out, 1_000, 5_000)
    scene.do(e.Sweep(scene.now, {}))
    assert scene.state.day_open == -2_510_000
    assert scene.state.mode_reason == "max_daily_loss: 17.500000, the limit is 15.000000"


def test_the_operators_start_on_a_new_day_without_prices_leaves_its_beginning_open() -> None:
    scene = winning(max_drawdown=20_000_000)
    scene.now = MIDNIGHT + 1_000
    answer = scene.do(e.Command(scene.now, "start", "you", {})).answer
    assert answer is not None and answer.ok
    assert [x for x in scene.facts if isinstance(x, Marked)][-1].unpriced
    scene.now += 2_000
    scene.sweep(9_400, 9_500)
    assert (scene.state.day_open, scene.state.peak) == (Money(21_990_000), Money(21_990_000))
    assert TICKER in scene.state.live_trade


# positions without a trade


def bought_by_hand() -> Scene:
    """100 contracts of another market, bought at 0.80 by somebody else; a market that our trades are not in."""
    scene = Scene().at(300)
    scene.state.config.risk.update(max_daily_loss=10_000_000)
    scene.do(e.Sweep(scene.now, {}))
    stranger(scene, "bid", 10_000, 8_000, HAND)
    return scene


def test_a_position_without_a_trade_counts_at_its_price() -> None:
    """It counted at cost until it was claimed: 70 dollars were lost and entries went on."""
    scene = bought_by_hand()
    scene.at(302).do(e.Sweep(scene.now, {HAND: quote(7_950, 8_100, scene.now, ticker=HAND)}))
    assert (scene.state.mode, breakers.profit_at(scene.state, {})) == ("RUNNING", 0)
    scene.at(304).do(e.Sweep(scene.now, {HAND: quote(1_000, 1_100, scene.now, ticker=HAND)}))
    assert scene.state.mode_reason == "max_daily_loss: 70.000000, the limit is 10.000000"


def test_equity_is_not_judged_without_the_price_of_a_position_without_a_trade() -> None:
    """A sweep of one market, as a retry asks for, would count it at cost: a peak that never was."""
    scene = bought_by_hand()
    scene.at(302).do(e.Sweep(scene.now, {HAND: quote(7_500, 7_600, scene.now, ticker=HAND)}))
    scene.state.peak = Money(-5_000_000)
    scene.at(304).do(e.Sweep(scene.now, {}))
    assert scene.state.peak == -5_000_000


# trades


def stranger(scene: Scene, side: str, count: int, price: int, ticker: str = TICKER) -> None:
    """Somebody else's fill on the account."""
    scene.fills += 1
    row = VenueFill(f"s{scene.fills}", "x", "", ticker, side, Price(price), Count(count), Money(0), True, scene.now)  # type: ignore[arg-type]
    scene.do(e.FillSeen(scene.now, row))


@pytest.mark.parametrize(
    "side, result, theirs, revenue, brought",
    [
        ("bid", "yes", ("bid", 5_000), 70_000_000, 20_000_000),
        ("bid", "yes", ("ask", 500), 15_000_000, 15_000_000),
        ("bid", "no", ("ask", 3_000), 10_000_000, 0),
        ("ask", "no", ("ask", 5_000), 70_000_000, 20_000_000),
        ("bid", "void", ("bid", 1_000), 13_200_000, 8_800_000),
    ],
)
def test_a_settlement_gives_a_trade_what_its_own_contracts_brought(
    side: str, result: str, theirs: tuple[str, int], revenue: int, brought: int
) -> None:
    """Somebody else's contracts in its market were profit of the trade, and ended a losing streak."""
    scene = Scene()
    scene.held(2_000, 8_800 if side == "bid" else 1_200, side=side)
    scene.at(300)
    stranger(scene, *theirs, price=8_000)
    held = scene.state.position(TICKER).count
    paid = Settlement(TICKER, result, Money(revenue), Money(0), Count(max(held, 0)), Count(max(-held, 0)), scene.now)
    cash = scene.state.cash or 0
    scene.read(settlements=(paid,), positions=[], cash=cash + revenue)
    assert scene.state.cash == cash + revenue
    assert scene.trade().pnl() == brought - 17_600_000 - 10_000


def sold(scene: Scene, price: int, count: int) -> None:
    scene.tick(7_900, 8_000)
    [out] = scene.sent()
    scene.reply(out, count)
    scene.fill(out, price, count)


@pytest.mark.parametrize("last, streak", [(7_800, 1), (9_990, 0)])
def test_a_trade_that_a_late_fill_re_opened_is_one_losing_trade(last: int, streak: int) -> None:
    scene = Scene()
    scene.propose(count=2_000)
    [entry] = scene.sent()
    scene.reply(entry, 2_000)
    scene.fill(entry, 8_800, 200)
    scene.at(1)
    sold(scene, 7_900, 200)
    assert scene.state.loss_streak == 1
    scene.at(2).fill(entry, 8_800, 1_800)
    assert scene.trade().live()
    scene.at(3)
    sold(scene, last, 1_800)
    assert (scene.trade().live(), scene.state.loss_streak) == (False, streak)


# differences that the operator accepts


def differs(scene: Scene, count: int, cost: int, cash: int = 0) -> None:
    """Three readings with this position, and so much more cash than our books have."""
    row = VenuePosition(TICKER, Count(count), Money(cost), Money(0), Money(0))
    for _ in range(3):
        scene.now += 10_000
        scene.read(positions=[row] if count else [], cash=(scene.state.cash or 0) + cash)


def accept(scene: Scene, difference: str, amount: str) -> None:
    args: dict[str, object] = {"difference": difference, "amount": amount}
    answer = scene.do(e.Command(scene.now, "accept", "anna", args)).answer
    assert answer is not None and answer.ok, answer


def lost_by_hand() -> Scene:
    """Ours are 20 contracts for 17.60; the exchange has none, and 2.00 more cash: sold at 0.10, and never told."""
    scene = Scene()
    scene.state.config.risk["max_daily_loss"] = 10_000_000
    scene.held(2_000, 8_800)
    scene.at(2).sweep(8_800, 8_900)
    differs(scene, 0, 0, cash=2_000_000)
    assert set(scene.state.findings) == {f"position:{TICKER}", "cash:account"}
    return scene


def test_contracts_that_are_accepted_as_gone_are_lost_but_for_the_cash_they_brought() -> None:
    """15.60 were lost, the result said 0.01, and entries went on at a limit of 10."""
    scene = lost_by_hand()
    accept(scene, f"position:{TICKER}", "-20.00")
    assert breakers.profit_at(scene.state, {}) == -17_600_000 - 10_000
    accept(scene, "cash:account", "2.00")
    state = scene.state = load(dump(scene.state))
    assert (breakers.profit_at(state, {}), state.day_realized) == (-15_610_000, -15_610_000)
    assert state.cash == 1_000_000_000 - 15_610_000 == state.baseline + state.realized
    scene.do(e.Sweep(scene.now, {TICKER: None}))
    assert state.mode_reason == "max_daily_loss: 15.600000, the limit is 10.000000"
    differs(scene, 0, 0, cash=2_000_000)
    accept(scene, "cash:account", "2.00")
    assert state.day_realized == -13_610_000 and state.gone_cost == 13_600_000


@pytest.mark.parametrize("cash, result", [(2_000_001, -17_600_000), (20_000_000, 0), (20_000_001, -17_600_000)])
def test_accepted_cash_makes_no_profit_and_what_contracts_cannot_have_brought_is_a_deposit(
    cash: int, result: int
) -> None:
    scene = lost_by_hand()
    if cash == 2_000_001:  # of another day
        accept(scene, f"position:{TICKER}", "-20.00")
        scene.now = MIDNIGHT
    differs(scene, 0, 0, cash=cash)
    if scene.now < MIDNIGHT:
        accept(scene, f"position:{TICKER}", "-20.00")
    accept(scene, "cash:account", f"{cash // 1_000_000}.{cash % 1_000_000:06}")
    assert scene.state.realized == result - 10_000


@pytest.mark.parametrize(
    "count, cost, lost",
    [
        (500, 4_400_000, 13_200_000),
        (500, 18_000_000, 0),
        (3_000, 26_400_000, 0),
        (3_000, 1_000_000, 0),
        (-2_000, 2_000_000, 17_600_000),
    ],
)
def test_what_the_exchange_has_of_ours_is_not_lost_and_what_it_has_more_is_no_result(
    count: int, cost: int, lost: int
) -> None:
    scene = Scene()
    scene.held(2_000, 8_800)
    differs(scene, count, cost)
    accept(scene, f"position:{TICKER}", f"{(count - 2_000) / 100:.2f}")
    assert scene.state.realized == -10_000 - lost
    assert scene.state.gone == (2_000 - max(count, 0) if lost else 0)


def test_no_of_ours_that_is_gone_is_lost_too() -> None:
    scene = Scene()
    scene.held(2_000, 1_200, side="ask")
    differs(scene, -500, 4_400_000)
    accept(scene, f"position:{TICKER}", "15.00")
    assert (scene.state.realized, scene.state.gone) == (-10_000 - 13_200_000, 1_500)
