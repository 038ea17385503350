"""Found in review: each test is a way in which money was left unwatched, or entries were stopped for ever."""

from scene import TICKER, Scene

from bot.core import events as e
from bot.core.config import Config
from bot.core.effects import CancelOrder, PlaceOrder
from bot.core.orders import OrderState
from bot.core.trades import TradeState
from bot.core.turn import Turn
from bot.core.units import Count, Money
from bot.core.venue import Accepted, AlreadyExists, NotSent, Rejected, Settlement, Unknown, VenueOrder

DAY_MS = 86_400_000


def fired_and_lost(scene: Scene) -> PlaceOrder:
    """A stop whose first exit order got no answer; its id went out again. Gives that order."""
    scene.held()
    scene.tick(7_900, 8_100)
    [first] = scene.sent()
    scene.do(e.Sending(scene.now, first.client_order_id))
    scene.at(5).do(e.CreateReplied(scene.now, first.client_order_id, Unknown("timeout")))
    [again] = scene.sent()
    assert again.client_order_id == first.client_order_id
    return first


def test_a_re_sent_exit_that_exists_already_does_not_hold_the_next_attempt() -> None:
    """The stop would wait for a reading: the same id went out every 250 ms, was refused each time, nothing was sold."""
    scene = Scene()
    first = fired_and_lost(scene)
    scene.do(e.CreateReplied(scene.now, first.client_order_id, AlreadyExists()))
    [second] = scene.sent()
    assert second.client_order_id != first.client_order_id and second.reduce_only


def test_after_a_restart_an_exit_that_exists_already_does_not_hold_the_next_attempt() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    [first] = scene.sent()
    config: Config = scene.state.config
    scene.at(60).do(e.Boot(scene.now, "b2", config))
    scene.sweep(7_900, 8_100)
    [again] = scene.sent()
    assert again.client_order_id == first.client_order_id
    scene.do(e.CreateReplied(scene.now, first.client_order_id, AlreadyExists()))
    [second] = scene.sent()
    assert second.client_order_id != first.client_order_id


def test_a_refused_re_send_proves_nothing_about_the_first_send() -> None:
    """The first send had filled; taken for refused, its fill found no trade and the trade was booked as lost."""
    scene = Scene()
    first = fired_and_lost(scene)
    scene.do(e.CreateReplied(scene.now, first.client_order_id, Rejected("too_many_requests", "", 429)))
    order = scene.state.orders[first.client_order_id]
    assert order.state is OrderState.UNKNOWN
    scene.fill(first, 7_900, 2_000, known=False)
    scene.sweep(7_900, 8_100)
    found = VenueOrder(
        f"x-{first.client_order_id}", first.client_order_id, TICKER, first.side, first.price, first.count,
        first.count, Count(0), "executed", scene.now, scene.now,
    )  # fmt: skip
    scene.do(e.OrderResolved(scene.now, first.client_order_id, found, False))
    trade = scene.trade()
    assert (trade.state, trade.exit_kind, trade.exited) == (TradeState.CLOSED, "stop", 2_000)


def test_a_refused_re_send_does_not_end_the_stop() -> None:
    scene = Scene()
    first = fired_and_lost(scene)
    scene.do(e.CreateReplied(scene.now, first.client_order_id, Rejected("invalid_price", "", 400)))
    assert scene.sent() == []
    scene.at(6.1).sweep(7_000, 7_200)
    [second] = scene.sent()
    assert second.client_order_id != first.client_order_id, "what was refused once is refused again"


def test_a_lost_day_stops_entries_until_midnight_only() -> None:
    """With nothing open nothing is realised, so yesterday's loss stopped every entry for ever."""
    scene = Scene()
    scene.do(e.Command(scene.now, "configure", "test", {"risk": {"max_daily_loss": "1", "cooldown": 0}}))
    scene.held()
    scene.tick(7_900, 8_100)
    [exit_order] = scene.sent()
    scene.reply(exit_order, 2_000)
    scene.fill(exit_order, 7_900, 2_000)
    assert scene.propose().answer.code == "max_daily_loss"  # type: ignore[union-attr]
    scene.at(DAY_MS / 1000)
    opened: Turn = scene.propose(close_ms=scene.now + DAY_MS)
    assert opened.answer is not None and opened.answer.ok, opened.answer


def test_flatten_reaches_a_trade_that_a_late_fill_re_opened_after_a_flatten() -> None:
    """The word was answered with 'leaving' and nothing was sold."""
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.reply(entry, 500, 1_500)
    scene.fill(entry, 8_800, 500)
    scene.do(e.Command(scene.now, "flatten", "test", {}))
    [leave] = scene.sent()
    scene.reply(leave, 500)
    scene.fill(leave, 8_700, 500)
    assert scene.trade().state is TradeState.CLOSED
    scene.at(2).fill(entry, 8_800, 100)
    assert scene.trade().state is TradeState.OPEN
    scene.do(e.Command(scene.now, "close", "test", {"ticker": TICKER}))
    assert len(scene.sent()) == 1


def test_a_trade_whose_position_settled_before_its_fill_was_known_ends() -> None:
    """It stayed open for ever: a settled market takes no orders, so nobody looked at it again."""
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Unknown("timeout")))
    scene.fill(entry, 8_800, 2_000, known=False)
    paid = Settlement(TICKER, "yes", Money(20_000_000), Money(0), Count(2_000), Count(0), scene.now)
    scene.at(20).read(settlements=(paid,))
    scene.order_seen(entry, "executed", 2_000, 0)
    scene.at(22).sweep(known=False)
    assert not scene.trade().live()


def test_an_entry_that_rests_after_the_kill_is_cancelled() -> None:
    """Killed between the bytes and the reply: the entry was left resting and could still buy."""
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.do(e.Command(scene.now, "kill", "test", {}))
    assert not [x for x in scene.effects if isinstance(x, CancelOrder)]
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Accepted("x-1", Count(0), Count(2_000))))
    assert [x.order_id for x in scene.effects if isinstance(x, CancelOrder)] == ["x-1"]


def test_an_entry_that_rests_after_its_stop_fired_is_cancelled() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.fill(entry, 8_800, 500)
    order = scene.state.orders[entry.client_order_id]
    assert order.order_id, "the fill named it"
    scene.tick(7_900, 8_100)
    assert [x for x in scene.effects if isinstance(x, CancelOrder)]


def test_a_resting_entry_whose_cancel_did_not_get_through_is_cancelled_again() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.reply(entry, 0, 2_000)
    scene.do(e.Command(scene.now, "kill", "test", {}))
    assert [x for x in scene.effects if isinstance(x, CancelOrder)]
    resting = VenueOrder(
        f"x-{entry.client_order_id}", entry.client_order_id, TICKER, entry.side, entry.price, entry.count,
        Count(0), entry.count, "resting", scene.now, scene.now,
    )  # fmt: skip
    scene.at(10).read(resting=(resting,))
    assert [x for x in scene.effects if isinstance(x, CancelOrder)]


def test_a_cooldown_longer_than_an_hour_is_kept() -> None:
    scene = Scene()
    scene.do(e.Command(scene.now, "configure", "test", {"risk": {"cooldown": 14_400}}))
    scene.held()
    scene.tick(7_900, 8_100)
    [exit_order] = scene.sent()
    scene.reply(exit_order, 2_000)
    scene.fill(exit_order, 7_900, 2_000)
    for hours in (1, 2, 3):
        scene.at(hours * 3_600).read()
    assert scene.propose(close_ms=scene.now + DAY_MS).answer.code == "cooldown"  # type: ignore[union-attr]


def test_a_stop_in_an_empty_book_neither_eats_the_budget_nor_heaps_up_orders() -> None:
    """Four exits a second into a book without bids, for hours: 40 tokens a second, and every tick walked them all."""
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    sent = scene.sent()
    for step in range(1, 241):
        for order in scene.sent():
            scene.reply(order, 0)
            sent += scene.sent()
        scene.at(step * 0.25).sweep(None, 8_100)
        sent += scene.sent()
    assert len(sent) <= 35, "about one every two seconds"
    assert len(scene.state.orders_of(scene.trade().id)) <= 12


def test_a_stop_goes_at_once_when_an_empty_side_comes_back() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    scene.reply(scene.sent()[0], 0)
    scene.at(1).tick(None, 8_100)
    scene.reply(scene.sent()[0], 0)
    assert scene.at(1.3).tick(None, 8_000) and scene.sent() == []
    scene.at(1.4).tick(7_700, 8_100)
    assert len(scene.sent()) == 1


def test_an_outage_leaves_no_heap_of_orders_that_never_left() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    for step in range(1, 200):
        for order in scene.sent():
            scene.do(e.CreateReplied(scene.now, order.client_order_id, NotSent("no connection")))
        scene.at(step * 0.3).tick(7_900, 8_100)
    assert scene.trade().exit_attempt > 100
    assert len(scene.state.orders) <= 12


def test_a_trade_pushed_aside_by_a_late_fill_of_an_older_one_is_watched_again() -> None:
    """When the older one ended, the market had no live trade any more and the newer one's stop was never looked at."""
    scene = Scene()
    scene.propose()
    [old] = scene.sent()
    scene.do(e.Sending(scene.now, old.client_order_id))
    scene.do(e.CreateReplied(scene.now, old.client_order_id, Rejected("made_up", "", 400)))
    scene.at(1).propose()
    [new] = scene.sent()
    scene.reply(new, 2_000)
    scene.fill(new, 8_800, 2_000)
    scene.fill(old, 8_800, 2_000)
    assert scene.state.position(TICKER).count == 4_000
    for seconds in (2, 3, 4, 5):
        scene.at(seconds).tick(7_900, 8_100)
        for order in scene.sent():
            scene.reply(order, order.count)
            scene.fill(order, 7_900, order.count)
    assert scene.state.position(TICKER).count == 0
    assert not any(trade.live() for trade in scene.state.trades.values())


def test_a_fill_of_an_exit_taken_for_refused_ends_the_trade() -> None:
    """The trade stayed open with nothing in it: its market was owned for ever."""
    scene = Scene()
    scene.held()
    scene.tick(9_500, 9_600)
    [target] = scene.sent()
    scene.do(e.Sending(scene.now, target.client_order_id))
    scene.do(e.CreateReplied(scene.now, target.client_order_id, Rejected("made_up", "", 400)))
    assert scene.trade().state is TradeState.OPEN
    scene.at(1).fill(target, 9_500, 2_000)
    assert not scene.trade().live()
    assert scene.trade().pnl() == 2_000 * 700 - 10_000
