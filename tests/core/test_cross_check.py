"""Each sweep compares position, working exits and armed size with what the private channels told, without a request."""

from typing import Any

import pytest
from scene import T0, TICKER, Scene, quote

from bot.core import events as e
from bot.core.effects import Notice, Reconcile
from bot.core.units import Count, Money, Price
from bot.core.venue import VenueFill, VenueOrder


def sweeps(scene: Scene, since: float, told: e.Told, count: int = 4) -> list[Any]:
    """Every 2 s from `since` on; what was told and asked for in all."""
    effects: list[Any] = []
    for number in range(count):
        scene.at(since + 2 * number)
        prices = {TICKER: quote(8_800, 8_900, scene.now)} if scene.state.live_trade else {}
        scene.do(e.Sweep(scene.now, prices, {TICKER: told}))  # type: ignore[arg-type]
        effects += scene.effects
    return effects


def alarms(effects: list[Any]) -> list[str]:
    return [x.text for x in effects if isinstance(x, Notice) and x.code == "channel_difference"]


def rests(scene: Scene, name: str, side: str = "ask", count: int = 2_000) -> VenueOrder:
    size = Count(count)
    return VenueOrder(f"x-{name}", name, TICKER, side, Price(9_000), size, Count(0), size, "resting", 0, 0)  # type: ignore[arg-type]


def test_what_agrees_is_no_alarm_and_no_fact() -> None:
    scene = Scene()
    scene.held()
    sweeps(scene, 8, e.Told(Count(2_000)), 1)
    scene.facts.clear()
    assert sweeps(scene, 10, e.Told(Count(2_000))) == [] and scene.facts == []


def test_a_position_that_differs_longer_than_the_channels_lag_is_told_once_and_read_at_once() -> None:
    scene = Scene()
    scene.held()
    assert alarms(sweeps(scene, 10, e.Told(Count(500)), 2)) == []
    effects = sweeps(scene, 14, e.Told(Count(500)))
    assert alarms(effects) == ["position: ours 20.00, the channel's 5.00"]
    assert len([x for x in effects if isinstance(x, Reconcile)]) == 1
    assert f"channel:{TICKER}" in scene.state.findings
    sweeps(scene, 30, e.Told(Count(2_000)), 1)
    assert scene.state.findings == {}


def test_a_frame_that_comes_a_sweep_late_is_no_alarm() -> None:
    scene = Scene()
    scene.held()
    effects = sweeps(scene, 10, e.Told(Count(0)), 2) + sweeps(scene, 14, e.Told(Count(2_000)), 1)
    effects += sweeps(scene, 16, e.Told(Count(0)), 2)
    assert alarms(effects) == [] and list(scene.state.suspects) == [f"channel:{TICKER}"]


@pytest.mark.parametrize("count", [0, 500])
def test_an_order_that_our_books_call_ended_and_that_rests(count: int) -> None:
    scene = Scene()
    scene.held()
    entry = next(iter(scene.state.orders))
    effects = sweeps(scene, 10, e.Told(Count(2_000), (rests(scene, entry, "bid", 100),)))
    assert alarms(effects) == [f"order {entry} rests, our books call it ended"]


def test_exits_that_work_on_more_than_is_held() -> None:
    scene = Scene()
    scene.held()
    scene.at(5).tick(7_900, 8_100)
    [out] = scene.sent()
    scene.do(e.Sending(scene.now, out.client_order_id))
    scene.at(6)
    row = VenueFill("h1", "byhand", "", TICKER, "ask", Price(7_900), Count(1_500), Money(0), True, T0 + 6_000)
    scene.do(e.FillSeen(scene.now, row))
    told = e.Told(Count(500), (rests(scene, out.client_order_id),))
    effects = sweeps(scene, 10, told)
    assert alarms(effects) == ["exits of 20.00 work on a position of 5.00"]


def test_a_position_that_is_larger_than_its_trade_is_armed_in_part() -> None:
    scene = Scene()
    scene.held()
    scene.at(100)
    row = VenueFill("h1", "byhand", "", TICKER, "bid", Price(8_800), Count(500), Money(0), True, scene.now)
    scene.do(e.FillSeen(scene.now, row))
    assert alarms(sweeps(scene, 110, e.Told(Count(2_500)))) == ["exits are armed for 20.00 of 25.00"]


def test_somebody_elses_order_is_not_ours_to_compare() -> None:
    scene = Scene()
    scene.held()
    foreign = VenueOrder("v", "", TICKER, "ask", Price(9_000), Count(9_000), Count(0), Count(9_000), "resting", 0, 0)
    assert alarms(sweeps(scene, 10, e.Told(Count(2_000), (foreign,)))) == []


def test_a_difference_ends_when_its_market_is_paid() -> None:
    scene = Scene()
    scene.held()
    sweeps(scene, 10, e.Told(Count(500)))
    assert f"channel:{TICKER}" in scene.state.findings
    scene.do(e.MarketChange(scene.now, TICKER, "determined", "yes"))
    scene.at(30).do(e.Sweep(scene.now, {}, {TICKER: e.Told(Count(500))}))
    assert scene.state.findings == {} and scene.state.suspects == {}


def test_a_market_that_a_reading_took_out_of_what_is_told_holds_nothing_there() -> None:
    scene = Scene()
    sweeps(scene, 10, e.Told(Count(500)))
    assert f"channel:{TICKER}" in scene.state.findings
    scene.at(30).do(e.Sweep(scene.now, {}, {}))
    assert scene.state.findings == {} and scene.state.suspects == {}
    scene = Scene()
    scene.held()
    sweeps(scene, 10, e.Told(Count(500)))
    scene.at(30).do(e.Sweep(scene.now, {}, {}))
    assert f"channel:{TICKER}" in scene.state.findings, "we hold 20 there"


def test_after_a_restart_nothing_is_concluded_from_silence_before_the_first_reading() -> None:
    scene = Scene()
    sweeps(scene, 10, e.Told(Count(500)))
    scene.at(20).do(e.Boot(scene.now, "b2", scene.state.config))
    scene.at(21).do(e.Sweep(scene.now, {}, {}))
    assert f"channel:{TICKER}" in scene.state.findings


def test_no_entry_while_the_channels_differ() -> None:
    scene = Scene()
    sweeps(scene, 10, e.Told(Count(500)))
    scene.at(16).read()
    answer = scene.propose().answer
    assert answer is not None and answer.code == "channel_difference"


def test_a_look_at_one_market_is_no_check_of_the_channels() -> None:
    scene = Scene()
    scene.held()
    sweeps(scene, 10, e.Told(Count(500)))
    scene.at(30).do(e.Sweep(scene.now, {TICKER: quote(8_800, 8_900, scene.now)}))
    assert f"channel:{TICKER}" in scene.state.findings
