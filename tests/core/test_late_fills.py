"""Fills and lists out of order: news that comes after what it explains (simulator, seeds 82, 87 and 197)."""

from scene import T0, TICKER, Scene, market

from bot.core import events as e
from bot.core.effects import Notice
from bot.core.state import new_state
from bot.core.trades import TradeState
from bot.core.units import Count, Money
from bot.core.venue import Rejected, Settlement, VenuePosition


def test_an_entry_fill_that_its_exits_already_covered_does_not_re_open_the_trade() -> None:
    """The trade used to stay live for ever, holding nothing: its market could not be entered again."""
    scene = Scene()
    scene.propose(count=2_000)
    [entry] = scene.sent()
    scene.reply(entry, 2_000)
    scene.fill(entry, 8_800, 1_500, fill_id="first")
    scene.at(1).tick(7_900, 8_100)
    [stop] = scene.sent()
    scene.reply(stop, 1_500)
    scene.fill(stop, 7_900, 2_000, fill_id="sold")  # a restart forgot that this exit was sized with the fill below
    assert scene.trade().state is TradeState.CLOSED
    scene.fill(entry, 8_800, 500, fill_id="late")
    assert scene.trade().state is TradeState.CLOSED
    assert not scene.state.live_trade


def test_an_entry_fill_that_nothing_covers_is_protected_again() -> None:
    scene = Scene()
    scene.propose(count=2_000)
    [entry] = scene.sent()
    scene.reply(entry, 2_000)
    scene.fill(entry, 8_800, 1_500, fill_id="first")
    scene.at(1).tick(7_900, 8_100)
    [stop] = scene.sent()
    scene.reply(stop, 1_500)
    scene.fill(stop, 7_900, 1_500, fill_id="sold")
    scene.fill(entry, 8_800, 500, fill_id="late")
    assert scene.trade().state is TradeState.OPEN
    assert scene.state.live_trade


def test_a_position_that_was_paid_already_is_not_adopted_from_a_lagging_list() -> None:
    """It stayed a live trade for ever, in a market that had settled (simulator, seed 197)."""
    scene = Scene()
    fresh = new_state(scene.state.config, "RUNNING", T0)
    scene.state = fresh
    lagging = [VenuePosition(TICKER, Count(700), Money(4_000_000), Money(0), Money(0))]
    paid = Settlement(TICKER, "no", Money(0), Money(0), Count(700), Count(0), T0 - 1_000)
    scene.read(positions=lagging, settlements=(paid,), markets={TICKER: market(status="finalized")})
    assert not fresh.live_trade
    assert fresh.position(TICKER).count == 0


def test_an_exit_that_was_refused_here_and_filled_for_the_process_before_us_ends_the_trade() -> None:
    """Both sent the same id (simulator, seed 7069): its fills say so, and no step of its table is asked for."""
    scene = Scene()
    scene.held()
    scene.at(1).tick(7_900, 8_100)
    [stop] = scene.sent()
    scene.do(e.Sending(scene.now, stop.client_order_id))
    scene.do(e.CreateReplied(scene.now, stop.client_order_id, Rejected("too_many_requests", "", 429)))
    scene.fill(stop, 7_900, 2_000)
    assert [x.code for x in scene.effects if isinstance(x, Notice) and x.level == "alarm"] == ["fill_on_rejected"]
    assert scene.trade().state is TradeState.CLOSED
    scene.order_seen(stop, "executed", 2_000, 0)
    assert not scene.effects and scene.state.position(TICKER).count == 0
