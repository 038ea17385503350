"""A reading's parts are of different age: what may be missing from it is no difference, what cannot be is one."""

from scene import T0, TICKER, Scene

from bot.core import events as e
from bot.core.units import Count, Money, Price
from bot.core.venue import VenueFill, VenuePosition

OTHER = "KXNBAGAME-26NOV21LALNYK-LAL"


def bought(scene: Scene, seconds: float, number: int, ticker: str = OTHER) -> None:
    """One contract at half a dollar, of an order that is not ours: it moves position and cash all the same."""
    at_ms = T0 + round(seconds * 1000)
    row = VenueFill(f"m{number}", "theirs", "", ticker, "bid", Price(5_000), Count(100), Money(0), True, at_ms)
    scene.at(seconds).do(e.FillSeen(at_ms, row))


def lagging(scene: Scene, lag_s: float, **changes: object) -> None:
    scene.read(fresh_ms=round(scene.now - lag_s * 1000), **changes)  # type: ignore[arg-type]


def test_an_account_that_fills_all_the_time_still_reconciles() -> None:
    """Any fill of the last two seconds used to end every comparison: such an account never found a difference."""
    scene = Scene()
    wrong = VenuePosition(TICKER, Count(500), Money(1), Money(0), Money(0))
    for number in range(30):
        bought(scene, 10 + number, number)
        if number % 10 == 9:
            one_behind = VenuePosition(OTHER, Count(100 * number), Money(1), Money(0), Money(0))
            cash = (scene.state.cash or 0) + 500_000
            scene.at(10 + number + 0.1)
            lagging(scene, 1, positions=[one_behind, wrong], cash=cash)
    assert set(scene.state.findings) == {f"position:{TICKER}"}


def test_a_listing_that_lags_eight_seconds_is_no_difference() -> None:
    scene = Scene()
    for at in (10, 20):
        bought(scene, at - 5, at)
        scene.at(at)
        before = [VenuePosition(OTHER, Count(scene.state.position(OTHER).count - 100), Money(1), Money(0), Money(0))]
        lagging(scene, 8, positions=before, cash=(scene.state.cash or 0) + 500_000)
    assert (scene.state.findings, scene.state.suspects) == ({}, {})


def test_what_every_part_must_show_is_a_difference_though_something_newer_happened() -> None:
    scene = Scene()
    bought(scene, 5, 1)
    for at in (10, 20):
        bought(scene, at - 0.5, at)
        scene.at(at)
        lagging(scene, 1, positions=[])
    assert scene.state.findings[f"position:{OTHER}"].theirs == 0


def test_a_second_reading_no_fresher_than_the_first_confirms_nothing() -> None:
    scene = Scene()
    wrong = [VenuePosition(TICKER, Count(500), Money(1), Money(0), Money(0))]
    scene.at(10).read(positions=wrong)
    scene.at(20)
    lagging(scene, 9, positions=wrong)
    assert scene.state.findings == {}
    scene.at(30)
    lagging(scene, 9, positions=wrong)
    assert f"position:{TICKER}" in scene.state.findings


def test_a_difference_that_grows_is_told_again_with_its_new_amount() -> None:
    scene = Scene()
    for at in (10, 20):
        scene.at(at).read(cash=1_005_000_000)
    for at in (30, 40):
        scene.at(at).read(cash=1_007_000_000)
    finding = scene.state.findings["cash:account"]
    assert finding.theirs - finding.ours == 7_000_000
    scene.at(50).read()
    assert scene.state.findings == {}
