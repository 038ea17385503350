"""An exit of unknown outcome is sent again each second: what is absent is judged from its last send."""

import pytest
from scene import TICKER, Scene
from test_resting import LATER, resting

from bot.core import events as e
from bot.core.effects import PlaceOrder
from bot.core.orders import OrderState
from bot.core.units import Count, Price
from bot.core.venue import Rejected, Unknown


def writes_unanswered(scene: Scene, order: PlaceOrder, start: float, seconds: int) -> None:
    """`order`, and each send of it again, leaves and is not answered within 2 s; readings go on."""
    scene.do(e.Sending(scene.now, order.client_order_id))
    for second in range(1, seconds + 1):
        scene.at(start + second).tick(7_800, 8_000)
        for again in scene.sent():
            assert again.client_order_id == order.client_order_id
            scene.do(e.Sending(scene.now, again.client_order_id))
        if second >= 2:
            scene.do(e.CreateReplied(scene.now, order.client_order_id, Unknown("no reply")))
        for again in scene.sent():
            scene.do(e.Sending(scene.now, again.client_order_id))


@pytest.mark.parametrize("beside", [False, True])
def test_an_exit_that_was_sent_again_is_not_absent_and_nothing_is_sold_in_its_place(beside: bool) -> None:
    scene = Scene()
    if beside:  # reduce-only caps nothing there: x2 on top of x1 and the target would open the other side
        resting(scene)
        entry = next(o for o in scene.state.orders.values() if o.purpose == "entry")
        bought = PlaceOrder(entry.client_order_id, TICKER, "bid", Price(8_800), Count(700), "immediate_or_cancel",
                            "entry", "taker_at_cross")  # fmt: skip
        scene.fill(bought, 8_800, 700)
    else:
        scene.at(LATER).held()
    start = LATER + 5
    scene.at(start).tick(7_900, 8_100)
    [first] = scene.sent()
    writes_unanswered(scene, first, start, 30)
    order = scene.state.orders[first.client_order_id]
    assert order.sent_ms == scene.now, "each send is recorded: it may arrive for as long as it is signed for"
    scene.at(start + 30.2).do(e.OrderResolved(scene.now, first.client_order_id, None, absent=True))
    assert order.state is OrderState.UNKNOWN and scene.sent() == []
    scene.at(start + 31).tick(7_800, 8_000)
    assert [x.client_order_id for x in scene.sent()] == [first.client_order_id]
    scene.fill(first, 7_800, first.count)
    assert scene.state.held(scene.trade()) == (2_000 if beside else 0)
    if not beside:
        assert (scene.trade().state, scene.trade().exit_kind) == ("closed", "stop")


def test_an_exit_that_is_not_sent_any_more_is_absent_once_its_last_send_cannot_arrive() -> None:
    scene = Scene()
    scene.at(1).held()
    scene.at(5).tick(7_900, 8_100)
    [first] = scene.sent()
    writes_unanswered(scene, first, 5, 10)
    scene.at(16).do(e.CreateReplied(scene.now, first.client_order_id, Rejected("invalid_price", "", 400)))
    order = scene.state.orders[first.client_order_id]
    for at, state in ((50, OrderState.UNKNOWN), (76, OrderState.REJECTED)):
        scene.at(at).do(e.OrderResolved(scene.now, first.client_order_id, None, absent=True))
        assert order.state is state
