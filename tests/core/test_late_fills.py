"""Fills out of order: an entry's fill may be booked after the exits that already sold it (simulator, seeds 82 and 87)."""

from scene import Scene

from bot.core.trades import TradeState


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
