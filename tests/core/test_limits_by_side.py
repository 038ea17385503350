"""Limits and breakers count NO as they count YES, add what adds, and stop exactly where they say."""

import pytest
from scene import PLAN, T0, TICKER, Scene, market, quote

from bot.core import breakers, risk
from bot.core import events as e
from bot.core.effects import CancelOrder, Notice, PlaceOrder
from bot.core.facts import Marked
from bot.core.positions import Position
from bot.core.state import Finding
from bot.core.trades import ExitPlan
from bot.core.units import Count, Money, Price
from bot.core.venue import Rejected, VenueOrder

DOLLAR = 1_000_000
LAKERS = "KXNBAGAME-26NOV21LALNYK-LAL"
SHARD = {"3": Money(100 * DOLLAR)}


def use(uses: list[risk.Use], name: str) -> risk.Use:
    return next(u for u in uses if u.name == name)


def wanted(side: str, limit: int, ticker: str = TICKER) -> e.Proposal:
    return e.Proposal("t", market(ticker), side, Price(limit), Count(100), "immediate_or_cancel", PLAN, "")  # type: ignore[arg-type]


def theirs(side: str, ticker: str = TICKER) -> Finding:
    order = VenueOrder(
        "v1", "", ticker, side, Price(2_000), Count(150), Count(50), Count(100), "resting", T0, T0  # type: ignore[arg-type]
    )  # fmt: skip
    return Finding("order", "v1", 0, 100, T0, order)


# the cash of a shard


def committed(scene: Scene) -> int:
    return use(risk.uses(scene.state, scene.now), "insufficient_shard_cash").value


@pytest.mark.parametrize("side, limit, each", [("bid", 1_200, 1_200), ("ask", 1_200, 8_800)])
def test_an_entry_binds_its_price_on_its_own_side_and_its_fee_on_its_shard(side: str, limit: int, each: int) -> None:
    scene = Scene()
    scene.read(shards=SHARD)
    scene.propose(side, limit, 1_000, exchange_index=3)
    [order] = [o for o in scene.state.orders.values() if o.purpose == "entry"]
    assert order.fee_reserve > 0 and committed(scene) == each * 1_000 + order.fee_reserve


def test_entries_on_a_shard_add_up_and_exits_bind_nothing() -> None:
    scene = Scene()
    scene.read(shards={"0": Money(100 * DOLLAR)})
    scene.held(count=1_000)
    scene.at(60).read()
    scene.tick(7_900, 8_100)
    assert [o.purpose for o in scene.sent()] == ["exit"] and committed(scene) == 0
    scene.propose(ticker=LAKERS, count=100)
    one = committed(scene)
    scene.propose(ticker="KXNFLGAME-26NOV21NYGDAL-NYG", count=100)
    assert one > 0 and committed(scene) == 2 * one


def test_a_refused_entry_binds_nothing_on_its_shard() -> None:
    scene = Scene()
    scene.read(shards=SHARD)
    scene.propose(exchange_index=3)
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Rejected("insufficient_balance", "", 400)))
    assert committed(scene) == 0


def test_each_shard_is_shown_with_what_it_has() -> None:
    scene = Scene()
    scene.read(shards={"3": Money(7), "0": Money(5)})
    shown = [(u.by, u.limit) for u in risk.uses(scene.state, scene.now) if u.name == "insufficient_shard_cash"]
    assert shown == [("shard 0", 5), ("shard 3", 7)]


# what may be lost


def test_two_amounts_on_no_add_up_and_stand_beside_yes_in_their_market() -> None:
    scene = Scene()
    scene.state.positions[TICKER] = Position(TICKER, Count(-100), Money(3 * DOLLAR))
    scene.state.findings["order:v1"] = theirs("ask")
    found = risk.stakes(scene.state, wanted("ask", 1_200))
    assert found[TICKER].no == 3 * DOLLAR + 8_000 * 100 + risk.entry_cost(wanted("ask", 1_200))
    assert found[TICKER].yes == 0
    scene.state.findings["order:v1"] = theirs("bid")
    found = risk.stakes(scene.state, wanted("bid", 1_200))
    assert (found[TICKER].no, found[TICKER].yes) == (3 * DOLLAR, 200_000 + risk.entry_cost(wanted("bid", 1_200)))
    in_market = use(risk.uses(scene.state, scene.now, wanted("bid", 1_200)), "max_market_exposure")
    assert in_market.value == found[TICKER].no + found[TICKER].yes


def test_a_single_hundredth_of_a_contract_is_on_its_own_side() -> None:
    scene = Scene()
    scene.state.positions[TICKER] = Position(TICKER, Count(1), Money(90))
    assert risk.stakes(scene.state)[TICKER].yes == 90


def test_a_market_of_which_nothing_is_known_belongs_to_the_series_of_its_ticker() -> None:
    scene = Scene()
    scene.state.positions["KXFOO-1-A"] = Position("KXFOO-1-A", Count(100), Money(90))
    assert (risk.stakes(scene.state)["KXFOO-1-A"].series, risk.stakes(scene.state)["KXFOO-1-A"].event) == (
        "KXFOO",
        "KXFOO-1-A",
    )
    scene.held()
    scene.state.trades[scene.trade().id].market = market(series_ticker="OTHERWISE")
    assert risk.stakes(scene.state)[TICKER].series == "OTHERWISE"


def test_the_market_that_uses_most_is_named_and_none_where_nothing_is_at_stake() -> None:
    scene = Scene()
    assert use(risk.uses(scene.state, T0), "max_market_exposure").by == ""
    for ticker, cost in ((TICKER, 5), (LAKERS, 9), ("KXNFLGAME-26NOV21NYGDAL-NYG", 7)):
        scene.state.positions[ticker] = Position(ticker, Count(100), Money(cost))
    shown = use(risk.uses(scene.state, T0), "max_market_exposure")
    assert (shown.by, shown.value) == (LAKERS, 9)


# breakers

FAR = ExitPlan(Price(100), None, None, Price(1_000), 3_000)


def test_every_breaker_says_what_it_counts_in() -> None:
    kinds = {u.name: u.kind for u in breakers.uses(Scene().state, T0, {})}
    counts = dict.fromkeys(("max_loss_streak", "max_rejects", "max_errors"), "number")
    assert kinds == {"max_daily_loss": "money", "max_drawdown": "money", **counts}


def at_a_loss(limits: dict[str, int]) -> Scene:
    """100 contracts bought at 0.88, marked at 0.83: five dollars and the fee of a cent are lost."""
    scene = Scene()
    room = 1_000 * DOLLAR
    scene.state.config.risk.update(
        {**limits, "max_order_cost": room, "max_market_exposure": room, "max_event_exposure": room}
    )
    scene.held(count=10_000, plan=FAR)
    scene.sweep(8_800, 8_900)
    scene.do(e.Command(scene.now, "pause", "you", {}))
    scene.at(2).sweep(8_300, 8_400)
    return scene


def start(scene: Scene) -> str:
    answer = scene.do(e.Command(scene.now, "start", "you", {}, {TICKER: quote(8_300, 8_400, scene.now)})).answer
    assert answer is not None
    return answer.code


def test_start_is_taken_at_exactly_the_limit_of_the_day_and_of_the_drawdown() -> None:
    scene = at_a_loss({"max_daily_loss": 5_000_000, "max_drawdown": 5_000_000})
    assert (
        use(breakers.uses(scene.state, scene.now, {TICKER: quote(8_300, 8_400)}), "max_daily_loss").value == 5_000_000
    )
    assert start(scene) == "start" and scene.state.mode == "RUNNING"
    assert not any(isinstance(x, Notice) and x.code == "drawdown_accepted" for x in scene.effects)
    assert start(at_a_loss({"max_daily_loss": 4_999_999})) == "limit_reached"


def test_start_takes_a_drawdown_for_granted_says_so_and_keeps_where_the_day_began() -> None:
    scene = at_a_loss({"max_drawdown": 4_999_999})
    began = scene.state.day_open
    assert start(scene) == "start"
    assert scene.state.day_open == began and scene.state.peak == -5_010_000
    assert [x.code for x in scene.effects if isinstance(x, Notice)][:1] == ["drawdown_accepted"]
    later = at_a_loss({"max_drawdown": 4_999_999})
    later.now += 86_400_000
    assert start(later) == "start" and later.state.day_open == -5_010_000, "on another day it begins anew"


def large() -> Scene:
    """100 contracts at 0.88 with a stop far away: a dollar with each cent, a peak with each dollar."""
    scene = Scene()
    room = 1_000 * DOLLAR
    scene.state.config.risk.update(
        max_drawdown=100 * DOLLAR, max_order_cost=room, max_market_exposure=room, max_event_exposure=room
    )
    scene.held(count=10_000, plan=FAR)
    return scene


def test_a_new_peak_is_kept_when_it_is_a_hundredth_of_the_limit_higher_and_the_day_goes_on() -> None:
    scene = large()
    scene.sweep(8_800, 8_900)
    began, peak = scene.state.day_open, scene.state.peak
    scene.facts.clear()
    scene.at(2).sweep(8_899, 8_950)
    assert not [f for f in scene.facts if isinstance(f, Marked)], "99 cents: not yet"
    scene.at(4).sweep(8_900, 8_950)
    assert scene.state.peak == peak + DOLLAR and scene.state.day_open == began
    scene.at(6).sweep(8_700, 8_950)
    scene.now += 86_400_000
    scene.sweep(8_700, 8_950)
    assert scene.state.peak == peak + DOLLAR and scene.state.day_open == began - DOLLAR


def test_a_new_peak_during_the_day_leaves_open_whether_the_day_began_with_all_prices() -> None:
    scene = large()
    scene.propose(count=100, plan=FAR, ticker=LAKERS)
    [entry] = scene.sent()
    scene.reply(entry, 100)
    scene.fill(entry, 8_800, 100)

    def sweep(bid: int, elsewhere: int | None) -> None:
        both = (quote(bid, 9_500, scene.now), quote(elsewhere, 9_500, scene.now, ticker=LAKERS))
        scene.do(e.Sweep(scene.now, {x.ticker: x for x in both}))

    sweep(8_800, 8_800)
    began = scene.state.day_open
    scene.at(2)
    sweep(9_100, None)
    assert scene.state.peak > began + 2 * DOLLAR
    scene.at(4)
    sweep(9_150, 8_800)
    assert scene.state.day_open == began, "the peak of the day is not where it began"


def test_until_a_day_has_its_first_price_nothing_counts_as_lost_in_it() -> None:
    scene = at_a_loss({"max_daily_loss": 50 * DOLLAR})
    quotes = {TICKER: quote(8_300, 8_400)}
    assert use(breakers.uses(scene.state, scene.now, quotes), "max_daily_loss").value == 5 * DOLLAR
    tomorrow = scene.now + 86_400_000
    assert use(breakers.uses(scene.state, tomorrow, quotes), "max_daily_loss").value == 0


def test_a_short_position_without_a_price_counts_at_its_stop() -> None:
    scene = Scene()
    scene.held(side="ask", price=1_200, plan=ExitPlan(Price(3_000), None, None, Price(1_000), 3_000))
    assert breakers.profit_at(scene.state, {}) == -(3_000 - 1_200) * 2_000 - 10_000


def test_entries_that_go_on_by_themselves_say_so() -> None:
    scene = Scene()
    scene.state.config.risk["max_rejects"] = 1
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Rejected("insufficient_balance", "", 400)))
    scene.do(e.Sweep(scene.now, {}))
    assert scene.state.mode == "PAUSED"
    scene.now = scene.state.mode_until_ms
    scene.do(e.Sweep(scene.now, {}))
    assert [x.code for x in scene.effects if isinstance(x, Notice)] == ["entries_resumed"]
    assert (scene.state.mode, scene.state.mode_until_ms) == ("RUNNING", 0)


# targets of a position in NO


def test_a_target_of_a_no_position_rests_as_a_bid_and_is_taken_back_with_its_trade() -> None:
    scene = Scene()
    plan = ExitPlan(Price(2_000), Price(500), None, Price(1_000), 3_000, rest_target=True)
    scene.at(36).held(side="ask", price=1_200, plan=plan)
    scene.tick(1_100, 1_300)
    [order] = scene.sent()
    assert (order.purpose, order.side, order.price, order.client_order_id[-3:]) == ("target", "bid", 500, ".t1")
    scene.reply(order, 0, order.count)
    hand = PlaceOrder("hand", TICKER, "bid", Price(1_300), Count(2_000), "immediate_or_cancel", "exit", "maker")
    scene.fill(hand, 1_300, 2_000, known=False)
    scene.at(40).tick(1_100, 1_300)
    [cancel] = [x for x in scene.effects if isinstance(x, CancelOrder)]
    assert (cancel.client_order_id, cancel.order_id, cancel.ticker) == (
        order.client_order_id,
        f"x-{order.client_order_id}",
        TICKER,
    )
