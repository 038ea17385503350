"""Orders of ours whose record was lost with the disk: cancelled, and what they fill is protected; others are left."""

import msgspec
import pytest
from scene import T0, TICKER, Scene, market

from bot.core import events as e
from bot.core.effects import CancelOrder, PlaceOrder, Reconcile
from bot.core.orders import OrderState, has_our_form
from bot.core.risk import exposure
from bot.core.trades import TradeState
from bot.core.units import Count, Money, Price
from bot.core.venue import Accepted, Unknown, VenueFill, VenueOrder, VenuePosition

OURS = "7f3a9c0b11aa-4.e"


def resting(client_order_id: str, filled: int = 0, updated_ms: int = T0 - 60_000, side: str = "bid") -> VenueOrder:
    rest = Count(1_000 - filled)
    return VenueOrder("v1", client_order_id, TICKER, side, Price(4_000), Count(1_000), Count(filled), rest, "resting",
                      T0 - 90_000, updated_ms)  # type: ignore[arg-type]  # fmt: skip


def fill(scene: Scene, count: int, client_order_id: str = "", number: int = 1, side: str = "bid") -> None:
    row = VenueFill(
        f"f{number}", "v1", client_order_id, TICKER, side, Price(4_000), Count(count), Money(0), False, scene.now
    )  # type: ignore[arg-type]
    scene.do(e.FillSeen(scene.now, row))


def cancels(scene: Scene) -> list[str]:
    return [x.order_id for x in scene.effects if isinstance(x, CancelOrder)]


def wiped() -> Scene:
    """An hour into its books, so that no unknown fill is taken for ours because of its time."""
    return Scene().at(3_600)


@pytest.mark.parametrize("name", ["0f3a-0.e", "b1-12.x3", "b1-12.t"])
def test_our_ids_are_known_by_their_form(name: str) -> None:
    assert has_our_form(name)


@pytest.mark.parametrize("name", ["", "theirs", "7b0c1a52-0d0e-4b8e-9d55-6a2f3c7e9f10", "b1-12", "b1-12.e.", "b1-x.e"])
def test_other_ids_are_not(name: str) -> None:
    assert not has_our_form(name)


def test_a_forgotten_order_of_ours_is_cancelled_and_its_market_taken() -> None:
    scene = wiped()
    scene.read(resting=(resting(OURS),), markets={TICKER: market()})
    assert cancels(scene) == ["v1"]
    assert (scene.trade().state, scene.trade().strategy) == (TradeState.OPENING, "adopted")
    scene.read = lambda **changes: Scene.read(scene, resting=(resting(OURS),))  # type: ignore[method-assign]
    answer = scene.at(3_610).propose().answer
    assert answer is not None and answer.code == "market_owned"
    assert cancels(scene) == [], "the proposal cancels nothing"
    scene.do(e.CancelReplied(scene.now, OURS, Accepted("v1", Count(0), Count(0), Count(1_000))))
    assert scene.state.orders[OURS].state is OrderState.CANCELLED and scene.trade().state is TradeState.ABORTED


def test_what_it_fills_before_its_cancel_has_a_stop_at_once() -> None:
    scene = wiped()
    scene.read(resting=(resting(OURS),), markets={TICKER: market()})
    fill(scene, 300)
    trade = scene.trade()
    assert (trade.open_count(), trade.state, trade.plan.stop) == (300, TradeState.OPEN, 3_000)
    scene.at(3_605).tick(3_000, 3_100)
    assert [o.count for o in scene.sent()] == [300]


def test_it_is_cancelled_again_as_long_as_it_rests() -> None:
    scene = wiped()
    for seconds in (3_600, 3_610, 3_620):
        scene.at(seconds).read(resting=(resting(OURS),), markets={TICKER: market()})
        assert cancels(scene) == ["v1"]


def test_one_that_has_just_changed_is_cancelled_and_joins_with_the_next_reading() -> None:
    """Its newest fill may be in the order and not yet in the listing of fills: counted twice or never."""
    scene = wiped()
    fill(scene, 200)
    changed = resting(OURS, filled=500, updated_ms=scene.now - 500)
    scene.read(resting=(changed,), markets={TICKER: market()})
    assert cancels(scene) == ["v1"] and scene.state.orders == {}
    scene.at(3_610)
    fill(scene, 300, number=2)
    scene.read(resting=(changed,), markets={TICKER: market()})
    assert (scene.state.orders[OURS].booked, scene.trade().open_count()) == (500, 500)


def test_a_fill_of_a_forgotten_order_asks_for_a_reading_and_is_protected_by_it() -> None:
    scene = wiped()
    fill(scene, 300, OURS)
    assert [x for x in scene.effects if isinstance(x, Reconcile)]
    scene.read(markets={TICKER: market()})
    assert (scene.trade().open_count(), scene.trade().plan.stop) == (300, 3_000)
    fill(scene, 200, number=2)
    assert scene.trade().open_count() == 500


def test_a_fill_within_a_minute_of_the_books_beginning_may_be_of_a_lost_order() -> None:
    scene = Scene().at(40)
    fill(scene, 300)
    scene.read(markets={TICKER: market()})
    assert scene.trade().open_count() == 300


def test_a_strangers_fill_is_left_without_a_plan() -> None:
    scene = wiped()
    fill(scene, 300)
    assert not [x for x in scene.effects if isinstance(x, Reconcile)]
    scene.read(markets={TICKER: market()})
    assert scene.state.trades == {} and scene.state.position(TICKER).count == 300


def test_a_strangers_order_is_left_alone_counted_in_exposure_and_keeps_entries_out_of_its_market() -> None:
    scene = wiped()
    scene.read(resting=(resting("theirs"),), markets={TICKER: market()})
    assert cancels(scene) == [] and exposure(scene.state) == 4_000_000
    scene.read = lambda **changes: Scene.read(scene, resting=(resting("theirs"),))  # type: ignore[method-assign]
    answer = scene.propose().answer
    assert answer is not None and answer.code == "external_order"


def test_a_fill_of_an_entry_whose_reply_is_missing_is_that_entrys_own() -> None:
    """It was taken for a forgotten order's, and the entry waited for its fill for ever (found by the simulator)."""
    scene = Scene()
    scene.propose(limit=4_000, count=300)
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Unknown("timeout")))
    fill(scene, 300)
    scene.read(markets={TICKER: market()})
    assert list(scene.state.orders) == [entry.client_order_id]
    described = msgspec.structs.replace(resting(entry.client_order_id), status="executed", filled=Count(300),
                                        initial=Count(300), remaining=Count(0))  # fmt: skip
    scene.do(e.OrderResolved(scene.now, entry.client_order_id, described, False))
    assert scene.state.orders[entry.client_order_id].outstanding() == 0 and scene.trade().open_count() == 300


def test_what_was_bought_and_sold_by_hand_joins_no_later_trade() -> None:
    """The sale was taken for the exit of a trade that came after it: it held less than nothing (simulator, seed 37)."""
    scene = Scene().at(5)
    fill(scene, 300)
    fill(scene, 300, number=2, side="ask")
    scene.at(40).propose(limit=4_000, count=200)
    [entry] = scene.sent()
    scene.reply(entry, 0, 200)
    scene.at(42).read(markets={TICKER: market()}, resting=(resting_entry(entry),))
    assert list(scene.state.orders) == [entry.client_order_id] and scene.trade().open_count() == 0


def resting_entry(entry: PlaceOrder) -> VenueOrder:
    return VenueOrder(f"x-{entry.client_order_id}", entry.client_order_id, TICKER, entry.side, entry.price, entry.count,
                      Count(0), entry.count, "resting", T0, T0)  # fmt: skip


def test_a_forgotten_fill_beside_an_entry_of_the_other_side_is_protected_once_that_has_ended() -> None:
    """Found by the simulator: it counted as expected while the entry's fate was open, and nobody read the account."""
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Unknown("no reply")))
    fill(scene, 300, side="ask")
    assert any(isinstance(x, Reconcile) for x in scene.effects)
    scene.at(40).do(e.OrderResolved(scene.now, entry.client_order_id, None, absent=True))
    assert any(isinstance(x, Reconcile) for x in scene.effects), "now it can have a trade of its own"
    scene.read(positions=[VenuePosition(TICKER, Count(-300), Money(0), Money(0), Money(0))], markets={TICKER: market()})
    trade = scene.state.trade_at(TICKER)
    assert trade is not None and trade.plan.stop is not None
    assert (trade.side, trade.open_count(), trade.state) == ("ask", 300, TradeState.OPEN)


def test_an_order_adopted_by_one_fill_does_not_wait_for_those_from_before_the_books() -> None:
    """Found by the simulator (seed 9996): it hid every difference of cash for good."""
    scene = Scene()
    fill(scene, 300, OURS)
    scene.read(positions=[VenuePosition(TICKER, Count(300), Money(0), Money(0), Money(0))], markets={TICKER: market()})
    order = scene.state.orders[OURS]
    seen = VenueOrder("v1", OURS, TICKER, "bid", Price(4_000), Count(1_000), Count(1_000), Count(0), "executed", T0, T0)
    scene.do(e.OrderSeen(scene.now, seen))
    assert order.count == 300 and order.outstanding() == 0
