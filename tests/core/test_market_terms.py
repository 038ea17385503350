"""The terms of a live market may change (kalshi-api.md 3.2): the exits of what is held keep to them as they are now."""

import msgspec
import pytest
from scene import PLAN, T0, TICKER, Scene, quote
from test_resting import LATER, RESTS, cancels, removed

from bot.core import events as e
from bot.core.facts import TermsChanged
from bot.core.grid import CENT_GRID, Band, PriceGrid
from bot.core.state import dump, load
from bot.core.trades import ExitPlan
from bot.core.units import Count, Price
from bot.core.venue import Rejected

FINE = PriceGrid((Band(Price(0), Price(10_000), Price(10)),))
HELD = msgspec.structs.replace(PLAN, time_exit_ms=None, target=Price(9_550))


def entered(scene: Scene, side: str = "bid", plan: ExitPlan = HELD) -> Scene:
    """2,000 held in a market with a tenth of a cent between prices."""
    price = 8_800 if side == "bid" else 1_200
    scene.propose(side, price, plan=plan, grid=FINE)
    [entry] = scene.sent()
    scene.reply(entry, 2_000)
    scene.fill(entry, price, 2_000)
    return scene


def to_whole_cents(scene: Scene) -> None:
    scene.do(e.MarketChange(scene.now, TICKER, "active", "", T0 + 86_400_000, CENT_GRID))


@pytest.mark.parametrize(
    ("side", "bid", "ask", "before", "after"),
    [("bid", 7_450, 7_600, 6_450, 6_400), ("bid", 80, 900, 10, 100),
     ("ask", 2_400, 2_550, 3_550, 3_600), ("ask", 9_100, 9_920, 9_990, 9_900)],
)  # fmt: skip
def test_the_next_exit_is_on_the_cent_after_the_market_went_to_whole_cents(
    side: str, bid: int, ask: int, before: int, after: int
) -> None:
    plan = HELD if side == "bid" else msgspec.structs.replace(HELD, stop=Price(2_000), target=Price(450))
    scene = entered(Scene().at(1), side, plan)
    scene.at(2).tick(bid, ask)
    [first] = scene.sent()
    assert first.price == before
    scene.do(e.Sending(scene.now, first.client_order_id))
    scene.do(e.CreateReplied(scene.now, first.client_order_id, Rejected("invalid_price", "", 400)))
    to_whole_cents(scene)
    scene.at(3.1).tick(bid, ask)
    [second] = scene.sent()
    assert second.price == after and second.count == 2_000


def test_a_refused_price_is_followed_by_a_whole_cent_although_nobody_told_of_new_prices() -> None:
    scene = entered(Scene().at(1))
    scene.at(2).tick(7_450, 7_600)
    [first] = scene.sent()
    scene.do(e.Sending(scene.now, first.client_order_id))
    scene.do(e.CreateReplied(scene.now, first.client_order_id, Rejected("invalid_price", "", 400)))
    scene.at(3.1).tick(7_450, 7_600)
    [second] = scene.sent()
    assert second.price == 6_400
    scene = entered(Scene().at(1))
    scene.at(2).tick(7_450, 7_600)
    [first] = scene.sent()
    scene.do(e.Sending(scene.now, first.client_order_id))
    scene.do(e.CreateReplied(scene.now, first.client_order_id, Rejected("too_many_requests", "", 429)))
    assert scene.trade().market.grid == FINE, "another refusal says nothing of prices"


def test_a_target_that_rests_or_is_to_rest_at_a_refused_price_goes_to_the_cent() -> None:
    plan = msgspec.structs.replace(RESTS, target=Price(9_550))
    scene = entered(Scene().at(LATER), plan=plan)
    scene.tick(8_700, 8_900)
    [order] = scene.sent()
    scene.do(e.Sending(scene.now, order.client_order_id))
    scene.do(e.CreateReplied(scene.now, order.client_order_id, Rejected("invalid_price", "", 400)))
    scene.at(LATER + 10).tick(8_700, 8_900)
    [anew] = scene.sent()
    assert anew.price == 9_600
    scene = entered(Scene().at(LATER), plan=plan)
    scene.tick(8_700, 8_900)
    [order] = scene.sent()
    scene.reply(order, 0, 2_000)
    scene.at(LATER + 2).tick(7_450, 7_600)
    scene.do(e.AmendReplied(scene.now, order.client_order_id, Rejected("invalid_price", "", 400)))
    assert cancels(scene) == [order.client_order_id]
    scene.do(e.CancelReplied(scene.now, order.client_order_id, removed(order, 2_000)))
    assert [(x.price, x.count) for x in scene.sent()] == [(6_400, 2_000)]


def test_a_target_goes_to_the_next_better_price_that_there_is() -> None:
    for side, target, better, bid, ask in (("bid", 9_550, 9_600, 9_600, 9_700), ("ask", 450, 400, 300, 400)):
        plan = HELD if side == "bid" else msgspec.structs.replace(HELD, stop=Price(2_000), target=Price(target))
        scene = entered(Scene().at(1), side, plan)
        to_whole_cents(scene)
        assert scene.trade().plan.target == better
        scene.at(2).tick(bid, ask)
        assert [x.price for x in scene.sent()] == [better]


def test_a_target_that_is_being_taken_stays_within_its_own_price() -> None:
    scene = entered(Scene().at(1))
    scene.at(2).tick(9_560, 9_700)
    [first] = scene.sent()
    assert first.price == 9_550
    scene.reply(first, 500)
    scene.fill(first, 9_560, 500)
    to_whole_cents(scene)
    scene.at(3).tick(9_600, 9_700)
    assert [(x.price, x.count) for x in scene.sent()] == [(9_600, 1_500)], "not 0.9500"


def test_a_target_that_rests_between_the_cents_is_placed_anew_on_one() -> None:
    scene = Scene().at(LATER)
    entered(scene, plan=msgspec.structs.replace(RESTS, target=Price(9_550)))
    scene.tick(8_700, 8_900)
    [order] = scene.sent()
    scene.reply(order, 0, 2_000)
    to_whole_cents(scene)
    scene.at(LATER + 2).tick(8_700, 8_900)
    assert cancels(scene) == [order.client_order_id]
    scene.do(e.CancelReplied(scene.now, order.client_order_id, removed(order, 2_000)))
    scene.at(LATER + 10).tick(8_700, 8_900)
    assert [(x.price, x.count) for x in scene.sent()] == [(9_600, Count(2_000))]


def test_terms_are_recorded_once_survive_a_restart_and_are_what_a_new_plan_is_checked_by() -> None:
    scene = entered(Scene().at(1))
    to_whole_cents(scene)
    assert [x.grid for x in scene.facts if isinstance(x, TermsChanged)] == [CENT_GRID]
    turn = scene.do(e.MarketChange(scene.now, TICKER, "active", "", T0 + 86_400_000, CENT_GRID))
    assert turn.facts == []
    scene.do(e.MarketChange(scene.now, TICKER, "inactive"))
    assert scene.trade().market.grid == CENT_GRID, "what is not told stays"
    scene.state = load(dump(scene.state))
    scene.do(e.Boot(scene.now, "b2", scene.state.config))
    change = {"ticker": TICKER, "target": "0.9650"}
    turn = scene.do(e.Command(scene.now, "plan", "operator", change, {TICKER: quote(8_700, 8_900, scene.now)}))
    assert turn.answer is not None and "is not a price of this market" in turn.answer.text


def closes(scene: Scene, at_ms: int, status: str = "active") -> None:
    scene.do(e.MarketChange(scene.now, TICKER, status, "", at_ms))


def test_a_time_exit_that_the_close_was_moved_before_is_as_long_before_the_new_close() -> None:
    scene = Scene()
    scene.at(1).held()
    assert scene.trade().market.end_ms - T0 == 620_000 and scene.trade().plan.time_exit_ms == T0 + 600_000
    closes(scene, T0 + 300_000)
    assert scene.trade().plan.time_exit_ms == T0 + 280_000
    scene.state = load(dump(scene.state))
    for second, leaves in ((279, False), (280, True)):
        scene.at(second).sweep(8_700, 8_900)
        assert bool(scene.sent()) is leaves
    assert scene.trade().exit_kind == "time"


def test_each_time_the_close_comes_nearer_the_time_exit_keeps_its_distance() -> None:
    plan = msgspec.structs.replace(PLAN, time_exit_ms=T0 + 560_000)
    scene = Scene()
    scene.at(1).held(plan=plan)
    for close in (500_000, 400_000):
        closes(scene, T0 + close)
        assert scene.trade().plan.time_exit_ms == T0 + close - 60_000
    closes(scene, T0 + 350_000)
    assert scene.trade().plan.time_exit_ms == T0 + 340_000, "before the close still: nothing is moved that holds"


def test_a_time_exit_at_the_close_goes_some_sweeps_before_it() -> None:
    scene = Scene()
    scene.at(1).held(plan=msgspec.structs.replace(PLAN, time_exit_ms=T0 + 900_000))
    closes(scene, T0 + 900_000)
    assert scene.trade().plan.time_exit_ms == T0 + 880_000


def test_a_close_that_holds_the_time_exit_or_has_passed_moves_nothing() -> None:
    scene = Scene()
    scene.at(400).held()
    for close in (700_000, 300_000, 200_000_000):
        closes(scene, T0 + close)
        assert scene.trade().plan.time_exit_ms == T0 + 600_000
    scene = Scene()
    scene.at(1).held(plan=HELD)
    closes(scene, T0 + 300_000)
    assert scene.trade().plan.time_exit_ms is None, "what is held to settlement is not left by the clock"


def test_a_later_time_exit_is_taken_once_the_close_was_moved_back() -> None:
    scene = Scene()
    scene.at(1).held()
    closes(scene, T0 + 200_000_000)
    change = {"ticker": TICKER, "time_exit_ms": T0 + 150_000_000}
    turn = scene.do(e.Command(scene.now, "plan", "operator", change, {TICKER: quote(8_700, 8_900, scene.now)}))
    assert turn.answer is not None and turn.answer.ok, turn.answer
    assert scene.trade().plan.time_exit_ms == T0 + 150_000_000


def test_a_time_exit_far_from_the_end_is_not_due_at_once_when_the_close_is_moved_just_before_it() -> None:
    """End in five hours, leave in two, close moved to a minute before that: it was to be three hours before the end."""
    scene = Scene()
    plan = msgspec.structs.replace(PLAN, time_exit_ms=T0 + 7_200_000)
    scene.propose(plan=plan, end_ms=T0 + 18_000_000)
    [entry] = scene.sent()
    scene.reply(entry, 2_000)
    scene.fill(entry, 8_800, 2_000)
    scene.at(600)
    closes(scene, T0 + 7_140_000)
    assert scene.trade().plan.time_exit_ms == T0 + 7_120_000
