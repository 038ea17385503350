"""What a reading of the account may conclude while orders are about (found by the simulator, seed 53)."""

from scene import TICKER, Scene

from bot.core import events as e
from bot.core.units import Count
from bot.core.venue import Accepted, Unknown, VenueOrder, VenuePosition


def entry_is(scene: Scene, outcome: object) -> None:
    scene.propose()
    entry = next(iter(scene.state.orders))
    scene.do(e.Sending(scene.now, entry))
    scene.do(e.CreateReplied(scene.now, entry, outcome))  # type: ignore[arg-type]


def rests() -> Scene:
    scene = Scene()
    entry_is(scene, Accepted("x-1", Count(0), Count(2_000)))
    return scene


def test_a_deposit_is_named_while_an_entry_rests() -> None:
    """A resting entry used to stop every comparison for as long as it rested."""
    scene = rests()
    cash = scene.state.cash or 0
    for seconds in (10, 20):
        scene.at(seconds).read(cash=cash + 5_000_000, resting=resting(scene))
    assert "cash:account" in scene.state.findings


def test_a_balance_less_what_a_resting_entry_binds_is_no_difference() -> None:
    scene = rests()
    cash = scene.state.cash or 0
    bound = sum(o.reserved() for o in scene.state.orders.values())
    assert bound
    for seconds in (10, 20):
        scene.at(seconds).read(cash=cash - bound, resting=resting(scene))
    assert not scene.state.findings


def test_a_strange_position_is_named_while_an_entry_rests_in_its_market() -> None:
    scene = rests()
    strange = [VenuePosition(TICKER, Count(300), 0, 0, 0)]  # type: ignore[arg-type]
    for seconds in (10, 20):
        scene.at(seconds).read(positions=strange, resting=resting(scene))
    assert f"position:{TICKER}" in scene.state.findings


def test_nothing_is_concluded_where_an_orders_outcome_is_open() -> None:
    scene = Scene()
    entry_is(scene, Unknown("timeout"))
    strange = [VenuePosition(TICKER, Count(300), 0, 0, 0)]  # type: ignore[arg-type]
    for seconds in (10, 20):
        scene.at(seconds).read(cash=0, positions=strange)
    assert not scene.state.findings


def resting(scene: Scene) -> tuple[VenueOrder, ...]:
    return tuple(
        VenueOrder(
            o.order_id, o.client_order_id, o.ticker, o.side, o.price, o.count, Count(0), o.count, "resting", 0, 0
        )
        for o in scene.state.orders.values()
    )
