"""What a mutation tester changed unseen in replies: which news is stale, whose a fill is, what a look-up proves."""

import msgspec
import pytest
from scene import PLAN, T0, TICKER, Scene
from test_resting import LATER, accepted, amends, answered, cancels, of, placed, resting
from test_stop_rules import SIDES, scene_of

from bot.core import events as e
from bot.core.effects import Notice, PlaceOrder, Reconcile, ResolveOrder, Wake
from bot.core.facts import ExitAttempted
from bot.core.orders import OrderState
from bot.core.trades import TradeState
from bot.core.units import ONE, Count, Money, Price
from bot.core.venue import Accepted, NotFound, NotSent, Outcome, Rejected, Unknown, VenueFill, VenueOrder

OTHER = "KXNBAGAME-26NOV21BOSDET-DET"


def notes(scene: Scene) -> list[Notice]:
    return [x for x in scene.effects if isinstance(x, Notice)]


def entering(**changes: object) -> tuple[Scene, PlaceOrder]:
    """An entry whose bytes have left."""
    scene = Scene()
    scene.propose(**changes)  # type: ignore[arg-type]
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    return scene, entry


def leaving() -> tuple[Scene, PlaceOrder]:
    """A stop fires 5 s after the start; its first order has left."""
    scene = Scene()
    scene.held(plan=msgspec.structs.replace(PLAN, time_exit_ms=None))
    scene.at(5).tick(7_900, 8_100)
    [order] = scene.sent()
    scene.do(e.Sending(scene.now, order.client_order_id))
    return scene, order


def described(
    order: PlaceOrder, status: str, filled: int, remaining: int, name: str | None = None, at_ms: int = T0
) -> VenueOrder:
    return VenueOrder(
        f"x-{order.client_order_id}", order.client_order_id if name is None else name, order.ticker, order.side,
        order.price, order.count, Count(filled), Count(remaining), status, at_ms, at_ms,  # type: ignore[arg-type]
    )  # fmt: skip


# a refused order, and one that is given up


def test_an_entry_that_is_given_up_says_why() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Command(scene.now, "pause", "anna", {}))
    scene.do(e.Sending(scene.now, entry.client_order_id))
    assert notes(scene) == [Notice("info", "no_entry", "nothing bought: entries are off: PAUSED", TICKER)]


@pytest.mark.parametrize("status, again", [(429, "x1"), (400, "x2")])
def test_a_refused_resend_waits_a_second_and_only_a_rate_limit_keeps_the_id(status: int, again: str) -> None:
    scene, order = leaving()
    scene.do(e.CreateReplied(scene.now, order.client_order_id, Unknown("no reply")))
    assert [x.client_order_id for x in scene.sent()] == [order.client_order_id]
    scene.at(5.5).do(e.CreateReplied(scene.now, order.client_order_id, Rejected("busy", "", status)))
    assert [x for x in scene.effects if isinstance(x, Wake)] == [Wake(T0 + 6_500, TICKER)]
    scene.at(6.4).tick(7_900, 8_100)
    assert scene.sent() == []
    scene.at(6.5).tick(7_900, 8_100)
    assert [x.client_order_id for x in scene.sent()] == [f"{scene.trade().id}.{again}"]


def test_the_time_until_a_resend_was_refused_does_not_widen_the_bound() -> None:
    scene, order = leaving()
    scene.do(e.CreateReplied(scene.now, order.client_order_id, Unknown("no reply")))
    scene.at(5.5).do(e.CreateReplied(scene.now, order.client_order_id, Rejected("invalid_price", "", 400)))
    scene.at(8.4).sweep(known=False)
    assert [x.price for x in scene.sent()] == [6_900]


# amends


@pytest.mark.parametrize("event", [e.AmendReplied, e.CancelReplied])
def test_an_answer_about_an_order_that_is_forgotten_or_ended_changes_nothing(
    event: type[e.AmendReplied | e.CancelReplied],
) -> None:
    scene = Scene()
    scene.held()
    ended = next(iter(scene.state.orders))
    for name in ("gone", ended):
        turn = scene.do(event(scene.now, name, Unknown("no reply")))
        assert turn.facts == [] and turn.effects == []


@pytest.mark.parametrize(
    "outcome, code, text",
    [
        (Rejected("bad", "", 400), "amend_refused", "the exchange refuses to amend {} (bad): it is cancelled instead"),
        (Rejected("busy", "", 429), "amend_unproven", "amend of {} proves nothing: rejected"),
        (Unknown("no reply"), "amend_unproven", "amend of {} proves nothing: unknown"),
        (NotFound(), "amend_unproven", "amend of {} proves nothing: notfound"),
    ],
)
def test_an_amend_that_did_not_succeed_is_told_once_by_what_it_was(outcome: Outcome, code: str, text: str) -> None:
    scene = Scene()
    order = resting(scene)
    scene.at(LATER + 5).tick(7_900, 8_100)
    answered(scene, order, outcome)
    assert notes(scene) == [Notice("warning", code, text.format(order.client_order_id), TICKER)]


@pytest.mark.parametrize(
    "outcome, taken", [(Unknown("no reply"), False), (Rejected("busy", "", 429), False), (None, True)]
)
def test_only_an_amend_that_was_taken_lets_the_bound_grow(outcome: Outcome | None, taken: bool) -> None:
    scene = Scene()
    order = resting(scene)
    scene.at(LATER + 5).tick(7_900, 8_100)
    scene.at(LATER + 6)
    answered(scene, order, outcome or accepted(order, 2_000))
    assert [x.taken for x in scene.facts if isinstance(x, ExitAttempted)][-1] is taken
    scene.at(LATER + 8.5).sweep(known=False)
    assert [x.price for x in amends(scene)] == [5_900 if taken else 6_900]


# cancels


def test_a_cancel_that_was_answered_for_another_order_proves_nothing_and_is_told() -> None:
    scene = Scene()
    order = resting(scene)
    scene.do(e.CancelReplied(scene.now, order.client_order_id, Accepted("other", Count(0), Count(0), Count(2_000))))
    text = f"cancel of x-{order.client_order_id} was answered for other"
    assert notes(scene) == [Notice("alarm", "reply_mismatch", text, TICKER)]
    assert of(scene, order).state is OrderState.RESTING


def test_a_cancel_that_never_left_is_told_and_leaves_the_order_as_it_was() -> None:
    scene = Scene()
    order = resting(scene)
    scene.do(e.CancelReplied(scene.now, order.client_order_id, NotSent("no connection")))
    text = f"cancel of {order.client_order_id}: no connection"
    assert scene.effects == [Notice("warning", "cancel_not_sent", text, TICKER)]
    assert of(scene, order).state is OrderState.RESTING


@pytest.mark.parametrize("outcome, reason", [(NotFound(), "cancel: notfound"), (Unknown("late"), "cancel: unknown")])
def test_an_order_says_which_cancel_made_it_unknown(outcome: Outcome, reason: str) -> None:
    scene = Scene()
    order = resting(scene)
    scene.do(e.CancelReplied(scene.now, order.client_order_id, outcome))
    assert (of(scene, order).state, of(scene, order).reason) == (OrderState.UNKNOWN, reason)


# descriptions


def test_a_description_without_our_id_is_known_by_the_exchanges() -> None:
    scene, entry = entering()
    scene.reply(entry, 0, 2_000)
    scene.do(e.OrderSeen(scene.now, described(entry, "resting", 500, 1_500, name="")))
    assert scene.state.orders[entry.client_order_id].filled == 500


@pytest.mark.parametrize(
    "filled, remaining, status, left, after",
    [
        (500, 1_500, "canceled", 1_500, OrderState.CANCELLED),
        (500, 1_500, "canceled", 0, OrderState.CANCELLED),
        (2_000, 0, "canceled", 0, OrderState.FILLED),
    ],
)
def test_what_a_cancelled_order_filled_says_how_it_ended(
    filled: int, remaining: int, status: str, left: int, after: OrderState
) -> None:
    scene, entry = entering()
    scene.reply(entry, 0, 2_000)
    scene.order_seen(entry, status, filled, left)
    order = scene.state.orders[entry.client_order_id]
    assert (order.state, order.filled) == (after, filled)


@pytest.mark.parametrize(
    "filled, remaining, status, seen, left",
    [
        (500, 1_500, "resting", 0, 2_000),
        (2_000, 0, "canceled", 0, 0),
        (2_000, 0, "canceled", 500, 0),
        (2_000, 0, "resting", 0, 2_000),
    ],
)
def test_a_description_older_than_the_reply_is_no_news_and_no_alarm(
    filled: int, remaining: int, status: str, seen: int, left: int
) -> None:
    scene, entry = entering()
    scene.reply(entry, filled, remaining)
    scene.order_seen(entry, status, seen, left)
    assert scene.effects == [] and scene.state.orders[entry.client_order_id].filled == filled


def test_what_an_exits_reply_said_is_sold_is_not_sold_again_for_an_older_description() -> None:
    scene, order = leaving()
    scene.do(e.CreateReplied(scene.now, order.client_order_id, Accepted("x1", Count(700), Count(0))))
    scene.do(e.OrderSeen(scene.now, described(order, "canceled", 0, 0)))
    assert scene.state.orders[order.client_order_id].outstanding() == 700
    scene.at(6).tick(7_900, 8_100)
    assert [x.count for x in scene.sent()] == [1_300]


def test_a_target_that_has_filled_is_not_cancelled_for_an_older_listing() -> None:
    scene = Scene()
    order = resting(scene)
    scene.fill(order, 9_500, 2_000)
    scene.order_seen(order, "resting", 0, 2_000)
    assert scene.effects == []


def test_a_target_is_amended_as_soon_as_its_description_names_it_and_not_by_the_next() -> None:
    scene = Scene()
    order = placed(scene)
    scene.do(e.Sending(scene.now, order.client_order_id))
    scene.do(e.CreateReplied(scene.now, order.client_order_id, Unknown("no reply")))
    scene.at(LATER + 5).tick(7_900, 8_100)
    assert amends(scene) == []
    scene.at(LATER + 5.1).order_seen(order, "resting", 0, 2_000)
    assert [(x.order_id, x.price, x.count) for x in amends(scene)] == [(f"x-{order.client_order_id}", 6_900, 2_000)]
    scene.at(LATER + 5.2).order_seen(order, "resting", 0, 2_000)
    assert scene.effects == []


@pytest.mark.parametrize(
    "filled, remaining, cancelled", [(0, 2_000, 0), (500, 1_500, 0), (0, 1_999, 1), (500, 1_499, 1)]
)
def test_a_target_that_rests_as_planned_is_left_alone(filled: int, remaining: int, cancelled: int) -> None:
    scene = Scene()
    order = resting(scene)
    scene.order_seen(order, "resting", filled, remaining)
    assert len(cancels(scene)) == cancelled


def test_an_entry_of_an_open_trade_is_not_cancelled_because_it_was_decreased_by_hand() -> None:
    scene, entry = entering()
    scene.reply(entry, 500, 1_500)
    scene.fill(entry, 8_800, 500)
    assert scene.trade().state is TradeState.OPEN
    scene.order_seen(entry, "resting", 500, 1_000)
    assert cancels(scene) == []


# look-ups


def test_a_look_up_names_when_the_order_left_and_tells_what_it_found() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    name = entry.client_order_id
    scene.at(0.3).do(e.Sending(scene.now, name))
    scene.at(2.3).do(e.CreateReplied(scene.now, name, Unknown("no reply")))
    assert [x for x in scene.effects if isinstance(x, ResolveOrder)] == [ResolveOrder(name, TICKER, T0 + 300)]
    seen = described(entry, "resting", 500, 1_500)
    scene.at(3).do(e.OrderResolved(scene.now, name, seen, False))
    assert notes(scene) == [Notice("info", "order_resolved", f"{name} found: resting, filled 5.00", TICKER)]
    scene.at(4).do(e.OrderResolved(scene.now, name, seen, False))
    assert scene.effects == []


def test_an_entry_that_was_never_applied_is_told() -> None:
    scene, entry = entering()
    name = entry.client_order_id
    scene.do(e.CreateReplied(scene.now, name, Unknown("no reply")))
    scene.do(e.OrderResolved(scene.now, name, None, True))
    assert notes(scene)[0] == Notice("info", "order_absent", f"{name} was never applied", TICKER)


def test_a_cancel_that_proved_nothing_is_repeated_with_a_reading_not_with_each_look_up() -> None:
    scene, entry = entering()
    scene.reply(entry, 0, 2_000)
    scene.do(e.Command(scene.now, "stop", "anna", {}))
    assert cancels(scene) == [entry.client_order_id]
    scene.do(e.CancelReplied(scene.now, entry.client_order_id, NotFound()))
    scene.do(e.OrderResolved(scene.now, entry.client_order_id, described(entry, "resting", 0, 2_000), False))
    assert scene.state.orders[entry.client_order_id].state is OrderState.RESTING and cancels(scene) == []


@pytest.mark.parametrize("second, after", [(64.999, OrderState.UNKNOWN), (65, OrderState.REJECTED)])
def test_an_exit_is_absent_a_minute_after_it_was_sent_and_not_before(second: float, after: OrderState) -> None:
    scene, order = leaving()
    scene.do(e.CreateReplied(scene.now, order.client_order_id, Unknown("no reply")))
    scene.at(second).do(e.OrderResolved(scene.now, order.client_order_id, None, True))
    assert scene.state.orders[order.client_order_id].state is after


def test_the_look_up_of_an_order_that_is_forgotten_changes_nothing() -> None:
    scene = Scene()
    scene.held()
    turn = scene.do(e.OrderResolved(scene.now, "b0-7.x1", None, True))
    assert turn.facts == [] and turn.effects == []


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("left", [0, 1])
def test_a_trade_is_closed_elsewhere_only_when_nothing_at_all_is_left(side: str, left: int) -> None:
    scene = scene_of(side)
    trade = scene.trade()
    scene.at(100).do(e.Boot(scene.now, "b2", scene.state.config))
    row = VenueFill("h1", "hand", "", TICKER, "ask" if side == "bid" else "bid", Price(5_000), Count(2_000 - left),
                    Money(0), True, scene.now)  # fmt: skip
    scene.do(e.FillSeen(scene.now, row))
    scene.do(e.OrderResolved(scene.now, f"{trade.id}.x1", None, True))
    assert trade.live() is bool(left)


# fills


def unclaimed(scene: Scene, side: str = "bid", name: str = "", at_ms: int | None = None) -> Notice:
    """A fill of an order that nobody knows; what is told of it."""
    row = VenueFill(f"u{scene.fills}", "v9", name, TICKER, side, Price(8_800), Count(100), Money(0), True,
                    scene.now if at_ms is None else at_ms)  # type: ignore[arg-type]  # fmt: skip
    scene.fills += 1
    scene.do(e.FillSeen(scene.now, row))
    [note] = notes(scene)
    return note


def reconciles(scene: Scene) -> bool:
    return any(isinstance(x, Reconcile) for x in scene.effects)


@pytest.mark.parametrize(
    "at_s, stray",
    [(3_600, False), (3_600.001, True), (4_200, True), (4_260, True), (4_260.001, False)],
)
def test_a_fill_may_be_of_a_lost_record_from_the_last_reading_to_a_minute_after_the_loss(
    at_s: float, stray: bool
) -> None:
    scene = Scene().at(3_600)
    scene.read()
    scene.at(4_200).do(e.Boot(scene.now, "b2", scene.state.config, 12))
    scene.at(4_300)
    unclaimed(scene, at_ms=T0 + round(at_s * 1_000))
    assert reconciles(scene) is stray


@pytest.mark.parametrize("at_ms, stray", [(T0 + 60_000, True), (T0 + 60_001, False)])
def test_a_fill_may_be_of_the_life_before_until_a_minute_after_the_books_began(at_ms: int, stray: bool) -> None:
    scene = Scene().at(90)
    unclaimed(scene, at_ms=at_ms)
    assert reconciles(scene) is stray


@pytest.mark.parametrize("side", SIDES)
def test_what_leaves_a_trade_of_the_life_before_is_looked_up_and_what_adds_to_it_is_read(side: str) -> None:
    scene = scene_of(side)
    out = "ask" if side == "bid" else "bid"
    scene.at(3_600)
    unclaimed(scene, out, "b0-7.x1")
    assert reconciles(scene), "this life knows its own exits: it may be of an entry"
    scene.do(e.Boot(scene.now, "b2", scene.state.config))
    unclaimed(scene, out, "b0-7.x2")
    assert not reconciles(scene)
    unclaimed(scene, side, "b0-8.e")
    assert reconciles(scene)


def test_a_fill_is_expected_only_while_an_order_of_its_market_and_side_waits_for_its_id() -> None:
    scene, entry = entering()
    assert unclaimed(scene).level == "info"
    assert unclaimed(scene, "ask").level == "warning"
    scene.reply(entry, 0, 2_000)
    assert unclaimed(scene).level == "warning", "its exchange id is known: this is of another"
    scene, entry = entering(ticker=OTHER)
    assert unclaimed(scene).level == "warning", "another market"
    scene, entry = entering()
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Rejected("invalid_price", "", 400)))
    assert unclaimed(scene).level == "warning", "refused"


# ends


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    "prices, at_s, kind",
    [((8_000, 8_001), 100, "stop"), ((9_500, 9_500), 100, "target"), ((9_000, 9_000), 100, "flatten"),
     ((9_000, 9_000), 900, "time")],
)  # fmt: skip
def test_why_a_trade_left_is_told_from_its_price_where_the_record_of_it_was_lost(
    side: str, prices: tuple[int, int], at_s: float, kind: str
) -> None:
    """Prices of the side held; the average lies between them."""
    scene = Scene()
    plan = msgspec.structs.replace(PLAN, stop=Price(2_000), target=Price(500)) if side == "ask" else PLAN
    trade = scene.held(price=8_800 if side == "bid" else 1_200, side=side, plan=plan)
    scene.at(at_s).do(e.Boot(scene.now, "b2", scene.state.config))
    out = "ask" if side == "bid" else "bid"
    exit_ = PlaceOrder(
        f"{trade.id}.x1", TICKER, out, Price(7_000), Count(2_000), "immediate_or_cancel", "exit", "maker"
    )  # type: ignore[arg-type]
    for price in prices:
        scene.fill(exit_, price if side == "bid" else ONE - price, 1_000, known=False)
    scene.do(e.OrderResolved(scene.now, exit_.client_order_id, described(exit_, "executed", 2_000, 0), False))
    assert (trade.state, trade.exit_kind) == (TradeState.CLOSED, kind)


def test_an_operators_close_stays_one_though_its_price_was_the_targets_and_is_told_with_its_result() -> None:
    scene = Scene()
    scene.held()
    scene.at(5).do(e.Command(scene.now, "flatten", "anna", {}))
    [order] = scene.sent()
    scene.reply(order, 2_000)
    scene.fill(order, 9_600, 2_000)
    assert scene.trade().exit_kind == "flatten"
    assert notes(scene)[-1] == Notice("info", "closed", "flatten: result 1.590000 after fees", TICKER)


def test_a_protection_names_the_hour_of_the_time_exit() -> None:
    scene = Scene()
    scene.held(plan=msgspec.structs.replace(PLAN, time_exit_ms=T0 + 42_805_000))  # T0 is 11:06:40
    text = "YES 20.00: stop 0.8000, target 0.9500, leave at 23:00:05 UTC"
    assert notes(scene)[-1] == Notice("info", "protected", text, TICKER)
