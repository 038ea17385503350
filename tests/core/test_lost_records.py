"""Records of the journal are lost: entries wait for the operator, what the exchange shows is protected."""

import pytest
from scene import T0, TICKER, Scene, market

from bot.core import events as e
from bot.core.adopting import wanted_markets
from bot.core.effects import CancelOrder, Notice, Reconcile
from bot.core.trades import ExitPlan
from bot.core.units import Count, Money, Price
from bot.core.venue import VenueFill, VenueOrder

AN_HOUR = 3_600
OTHER = "KXNBAGAME-26NOV21BOSDET-DET"


def fill(number: int, at_s: float, side: str = "bid", count: int = 1_000, ticker: str = TICKER) -> VenueFill:
    """Of an order that the journal does not know; the listing names no client order id."""
    at_ms = T0 + round(at_s * 1000)
    return VenueFill(
        f"u{number}", f"v{number}", "", ticker, side, Price(8_800), Count(count), Money(0), True, at_ms  # type: ignore[arg-type]
    )  # fmt: skip


def restart(scene: Scene, lost: int) -> list[str]:
    """Ten minutes later; its alarms."""
    scene.at(AN_HOUR + 600).do(e.Boot(scene.now, "b2", scene.state.config, lost))
    return [x.code for x in scene.effects if isinstance(x, Notice) and x.level == "alarm"]


def an_hour_old() -> Scene:
    scene = Scene().at(AN_HOUR)
    scene.read()
    return scene


def read(scene: Scene, *fills: VenueFill, resting: tuple[VenueOrder, ...] = ()) -> None:
    """With the markets that a reading asks for."""
    cash = (scene.state.cash or 0) - sum(f.price * f.count * (1 if f.side == "bid" else -1) for f in fills)
    held = [p for p in scene.state.positions.values() if p.count]
    markets = {t: market(t) for t in wanted_markets(scene.state, list(resting))}
    scene.read(cash=cash, positions=held, fills=fills, resting=resting, markets=markets)


def test_entries_wait_for_the_operator_who_is_told() -> None:
    scene = an_hour_old()
    assert restart(scene, lost=12) == ["journal_lost"]
    assert scene.state.mode == "PAUSED" and "last 12 records" in scene.state.mode_reason
    answer = scene.do(e.Command(scene.now, "start", "anna", {})).answer
    assert answer is not None and answer.ok and scene.state.mode == "RUNNING"


def test_nothing_is_said_when_nothing_is_lost() -> None:
    scene = an_hour_old()
    assert restart(scene, lost=0) == [] and scene.state.mode == "RUNNING"


def test_a_halt_stays_a_halt_and_a_breakers_pause_does_not_end_by_itself() -> None:
    scene = an_hour_old()
    scene.do(e.Command(scene.now, "kill", "anna", {}))
    restart(scene, lost=3)
    assert scene.state.mode == "HALTED"
    scene = an_hour_old()
    scene.state.mode, scene.state.mode_until_ms = "PAUSED", scene.now + 1_000_000
    restart(scene, lost=3)
    assert (scene.state.mode, scene.state.mode_until_ms) == ("PAUSED", 0)


def test_what_was_bought_in_the_lost_time_has_a_stop_as_soon_as_its_fills_are_found() -> None:
    """Its fills were taken for somebody else's, and nobody watched them."""
    scene = an_hour_old()
    restart(scene, lost=12)
    read(scene, fill(1, AN_HOUR + 30))
    assert any(isinstance(x, Reconcile) for x in scene.effects), "its market is asked for at once"
    read(scene)
    trade = scene.state.trade_at(TICKER)
    assert trade is not None and (trade.open_count(), trade.plan.stop) == (1_000, 7_800)
    scene.tick(7_700, 7_900)
    assert [o.count for o in scene.sent()] == [1_000]


def test_a_trade_that_is_still_known_keeps_its_plan_and_is_not_sold_again_when_its_exit_was_lost() -> None:
    scene = an_hour_old()
    trade = scene.held(1_000, plan=ExitPlan(Price(8_000), Price(9_500), None, Price(1_000), 3_000))
    restart(scene, lost=12)
    scene.tick(8_500, 8_700)
    assert scene.sent() == [] and scene.state.live_trade == {TICKER: trade.id}
    read(scene, fill(1, AN_HOUR + 30, side="ask"))
    scene.tick(7_700, 7_900)
    assert scene.sent() == [], "nothing is held any more"


@pytest.mark.parametrize("client_order_id, cancelled", [("7f3a9c0b11aa-4.e", ["v1"]), ("theirs", [])])
def test_an_entry_of_ours_that_was_forgotten_is_called_back(client_order_id: str, cancelled: list[str]) -> None:
    scene = an_hour_old()
    restart(scene, lost=12)
    at_ms = T0 + AN_HOUR * 1000 + 30_000
    order = VenueOrder(
        "v1",
        client_order_id,
        TICKER,
        "bid",
        Price(8_800),
        Count(1_000),
        Count(0),
        Count(1_000),
        "resting",
        at_ms,
        at_ms,
    )
    read(scene, resting=(order,))
    assert [x.order_id for x in scene.effects if isinstance(x, CancelOrder)] == cancelled


def test_what_somebody_traded_by_hand_before_or_long_after_is_left_alone() -> None:
    scene = an_hour_old()
    scene.do(e.FillSeen(scene.now, fill(1, AN_HOUR - 60)))
    restart(scene, lost=12)
    read(scene)
    scene.at(AN_HOUR + 900)
    read(scene, fill(2, AN_HOUR + 890, ticker=OTHER))
    read(scene)
    assert scene.state.trades == {}
