"""What a mutation tester changed unseen in the check of the channels, and in the state when the clock is set back."""

from typing import Any

import pytest
from scene import PLAN, T0, TICKER, Scene, quote
from test_adopting import wiped
from test_cross_check import alarms, rests, sweeps
from test_exact_books import PATIENT, by_hand, forgotten_target

from bot.core import events as e
from bot.core.effects import Notice
from bot.core.units import Count, Price
from bot.core.venue import Unknown, VenueOrder

FIRST = "KXA-26NOV21-A"
"""A market that comes before TICKER."""


def told(scene: Scene, since: float, count: int = 3, **positions: int) -> list[Any]:
    """Sweeps, every 2 s, in which the channels tell of these markets; all effects."""
    effects: list[Any] = []
    names = {"first": FIRST, "ours": TICKER}
    for number in range(count):
        scene.at(since + 2 * number)
        prices = {TICKER: quote(8_800, 8_900, scene.now)} if scene.state.live_trade else {}
        said = {names[name]: e.Told(Count(held)) for name, held in positions.items()}
        scene.do(e.Sweep(scene.now, prices, said))  # type: ignore[arg-type]
        effects += scene.effects
    return effects


def test_a_difference_is_told_with_its_market_exactly_when_the_lag_is_over_and_when_it_ends() -> None:
    scene = Scene()
    scene.held()
    assert alarms(told(scene, 10, 2, ours=500)) == []
    effects = told(scene, 14, 1, ours=500)
    text = "position: ours 20.00, the channel's 5.00"
    assert Notice("alarm", "channel_difference", text, TICKER) in effects
    finding = scene.state.findings[f"channel:{TICKER}"]
    assert (finding.ours, finding.theirs) == (2_000, 500)
    text = "nothing that the private channels say differs any more"
    assert told(scene, 16, 1, ours=2_000) == [Notice("info", "channel_agrees", text, TICKER)]


def test_a_market_suspected_once_and_not_told_of_any_more_begins_anew() -> None:
    scene = Scene()
    told(scene, 10, 1, ours=500)
    told(scene, 12, 1)
    assert scene.state.suspects == {}
    assert alarms(told(scene, 60, 2, ours=500)) == []


def test_a_difference_in_one_market_hides_none_in_the_next() -> None:
    scene = Scene()
    assert len(alarms(told(scene, 10, first=500))) == 1
    assert len(alarms(told(scene, 20, first=500, ours=700))) == 1
    assert set(scene.state.findings) == {f"channel:{FIRST}", f"channel:{TICKER}"}


def test_after_a_restart_silence_about_one_market_hides_no_difference_in_the_next() -> None:
    scene = Scene()
    told(scene, 10, first=500)
    scene.at(20).do(e.Boot(scene.now, "b2", scene.state.config))
    assert alarms(told(scene, 21, ours=700)) == ["position: ours 0.00, the channel's 7.00"]
    assert f"channel:{FIRST}" in scene.state.findings


# what rests


def row(order_id: str, client_order_id: str, side: str = "bid", count: int = 100) -> VenueOrder:
    size = Count(count)
    return VenueOrder(order_id, client_order_id, TICKER, side, Price(8_000), size, Count(0), size, "resting", 0, 0)  # type: ignore[arg-type]


def test_an_order_that_rests_though_our_books_call_it_ended_is_known_by_either_id() -> None:
    scene = Scene()
    scene.held()
    entry = next(iter(scene.state.orders))
    for since, rows, name in (
        (10, (row(f"x-{entry}", ""),), f"x-{entry}"),
        (30, (row("v9", "b0-3.e"),), "b0-3.e"),
        (50, (row("v8", "theirs"), row("v7", entry)), entry),
    ):
        effects = sweeps(scene, since, e.Told(Count(2_000), rows))
        assert alarms(effects) == [f"order {name} rests, our books call it ended"]
        sweeps(scene, since + 10, e.Told(Count(2_000)), 1)


def test_what_still_rests_of_an_entry_is_no_exit() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.reply(entry, 500, 1_500)
    scene.fill(entry, 8_800, 500)
    said = e.Told(Count(500), (rests(scene, entry.client_order_id, "bid", 1_500),))
    assert alarms(sweeps(scene, 10, said)) == []


def test_exits_that_work_count_together() -> None:
    scene = wiped()
    scene.held(plan=PATIENT)
    both = (forgotten_target(1), forgotten_target(2))
    scene.at(3_610).read(resting=both)
    effects = sweeps(scene, 3_612, e.Told(Count(2_000), both))
    assert alarms(effects) == ["exits of 30.00 work on a position of 20.00"]


@pytest.mark.parametrize("count", [1, 500])
def test_what_somebody_bought_beside_an_entry_that_has_not_filled_is_not_armed(count: int) -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.reply(entry, 0, 2_000)
    by_hand(scene, "bid", count)
    shown = f"{count / 100:.2f}"
    assert alarms(sweeps(scene, 10, e.Told(Count(count)))) == [f"exits are armed for 0.00 of {shown}"]


# the clock


def test_a_clock_that_is_set_back_is_told_with_by_how_much() -> None:
    scene = Scene().at(7_200)
    scene.sweep()
    scene.read()
    scene.at(3_600).sweep()
    text = "the clock was set back by 3600 s or more: stops go on"
    assert Notice("warning", "clock_set_back", text) in scene.effects


def test_what_was_suspected_of_a_time_that_lies_ahead_is_told_after_the_lag() -> None:
    scene = Scene().at(7_200)
    scene.read()
    told(scene, 7_200, 1, ours=500)
    assert alarms(told(scene, 3_600, 1, ours=500)) == []
    assert scene.state.suspects == {f"channel:{TICKER}": T0 + 3_599_999}
    scene.at(3_602).read(positions=[])
    assert len(alarms(told(scene, 3_604, 1, ours=500))) == 1


def test_orders_that_became_unknown_before_a_clock_was_set_back_still_count() -> None:
    scene = Scene()
    for second in (3_500, 7_000):
        scene.at(second).propose(plan=PLAN if second < 4_000 else PATIENT, ticker=f"KX{second}-26NOV21-X")
        [entry] = scene.sent()
        scene.do(e.Sending(scene.now, entry.client_order_id))
        scene.do(e.CreateReplied(scene.now, entry.client_order_id, Unknown("no reply")))
    scene.at(3_600).sweep()
    assert scene.state.errors == [T0 + 3_500_000, T0 + 3_599_999]


def test_nothing_is_concluded_from_silence_between_a_clock_that_was_set_back_and_the_next_reading() -> None:
    scene = Scene().at(7_190)
    scene.read()
    told(scene, 7_192, ours=500)
    told(scene, 3_600, 1)
    assert f"channel:{TICKER}" in scene.state.findings and scene.state.reconciled_ms == 0
    scene.at(3_610).read()
    told(scene, 3_612, 1)
    assert scene.state.findings == {}
