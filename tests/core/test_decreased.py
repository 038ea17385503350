"""An order of ours that somebody decreased by hand: what a cancel of it took away says nothing about what filled."""

from scene import TICKER, Scene, quote
from test_resting import LATER, cancels, of, removed, resting

from bot.core import events as e
from bot.core.effects import PlaceOrder, ResolveOrder
from bot.core.orders import OrderState
from bot.core.state import dump, load
from bot.core.trades import TradeState
from bot.core.venue import NotFound


def resolves(scene: Scene) -> list[str]:
    return [x.client_order_id for x in scene.effects if isinstance(x, ResolveOrder)]


def cancelled_by_hand_and_here(scene: Scene) -> PlaceOrder:
    """A target for 20.00 of which 4.00 are left in the book, and nobody told us; then the target is moved here."""
    order = resting(scene)
    scene.at(LATER + 5)
    moved = {"ticker": TICKER, "target": "0.96"}
    scene.do(e.Command(scene.now, "plan", "operator", moved, {TICKER: quote(8_700, 8_900, scene.now)}))
    scene.tick(8_700, 8_900)
    assert cancels(scene) == [order.client_order_id]
    scene.do(e.CancelReplied(scene.now, order.client_order_id, removed(order, 400)))
    return order


def test_the_stop_sells_all_of_a_position_whose_target_was_decreased_by_hand() -> None:
    scene = Scene()
    order = cancelled_by_hand_and_here(scene)
    assert of(scene, order).outstanding() == 1_600, "the exchange's word, until its description of the order says more"
    assert resolves(scene) == [order.client_order_id]
    scene.order_seen(order, "canceled", 0, 0)
    assert (of(scene, order).state, of(scene, order).outstanding()) == (OrderState.CANCELLED, 0)
    scene.tick(7_000, 7_200)
    assert [x.count for x in scene.sent()] == [2_000]


def test_a_stop_under_way_goes_on_for_the_rest_as_soon_as_the_description_comes() -> None:
    scene = Scene()
    order = cancelled_by_hand_and_here(scene)
    scene.at(LATER + 6).tick(7_000, 7_200)
    [some] = scene.sent()
    assert some.count == 400, "what a fill may have sold is not sold twice"
    scene.reply(some, 400)
    scene.fill(some, 7_000, 400)
    scene.at(LATER + 7).order_seen(order, "canceled", 0, 0)
    [rest] = scene.sent()
    assert rest.count == 1_600


def test_what_a_cancel_claims_is_looked_up_again_until_its_fills_are_here_or_denied() -> None:
    scene = Scene()
    order = cancelled_by_hand_and_here(scene)
    for at in (10, 20):
        scene.at(LATER + at).read()
        assert resolves(scene) == [order.client_order_id]
    scene.fill(order, 9_500, 1_600)
    scene.at(LATER + 30).read()
    assert resolves(scene) == []
    assert scene.trade().open_count() == 400


def test_less_than_what_is_booked_is_never_believed_and_a_corrected_figure_survives_a_restart() -> None:
    scene = Scene()
    order = cancelled_by_hand_and_here(scene)
    scene.fill(order, 9_500, 100)
    scene.order_seen(order, "canceled", 0, 0)
    assert (of(scene, order).filled, of(scene, order).booked) == (1_600, 100)
    scene.order_seen(order, "canceled", 100, 0)
    assert (of(scene, order).filled, of(scene, order).outstanding()) == (100, 0)
    assert load(dump(scene.state)).orders[order.client_order_id].outstanding() == 0


def test_a_target_seen_decreased_is_cancelled_and_placed_anew_for_all_that_is_held() -> None:
    scene = Scene()
    order = resting(scene)
    scene.order_seen(order, "resting", 0, 400)
    assert cancels(scene) == [order.client_order_id]
    scene.do(e.CancelReplied(scene.now, order.client_order_id, removed(order, 400)))
    scene.order_seen(order, "canceled", 0, 0)
    scene.at(LATER + 10).tick(8_700, 8_900)
    [anew] = scene.sent()
    assert (anew.purpose, anew.count) == ("target", 2_000)


def test_a_target_that_was_decreased_and_sold_out_leaves_the_rest_to_the_next() -> None:
    scene = Scene()
    order = resting(scene)
    scene.fill(order, 9_500, 400)
    scene.order_seen(order, "executed", 400, 0)
    scene.at(LATER + 10).tick(8_700, 8_900)
    [anew] = scene.sent()
    assert (anew.purpose, anew.count) == ("target", 1_600)


def test_an_entry_decreased_by_hand_and_called_back_ends_without_a_fill() -> None:
    scene = Scene()
    scene.at(1).propose()
    [entry] = scene.sent()
    scene.reply(entry, 0, 2_000)
    scene.at(5).do(e.CancelReplied(scene.now, entry.client_order_id, removed(entry, 400)))
    assert resolves(scene) == [entry.client_order_id]
    scene.order_seen(entry, "canceled", 0, 0)
    assert scene.trade().state is TradeState.ABORTED and not scene.state.live_trade


def test_a_decreased_target_whose_cancel_proves_nothing_is_settled_by_its_description() -> None:
    scene = Scene()
    order = resting(scene)
    scene.order_seen(order, "resting", 0, 400)
    scene.do(e.CancelReplied(scene.now, order.client_order_id, NotFound()))
    assert resolves(scene) == [order.client_order_id]
    scene.order_seen(order, "canceled", 0, 0)
    assert of(scene, order).outstanding() == 0
