"""What a mutation tester changed unseen in readings and books: differences, deposits, forgotten fills; NO as YES."""

from typing import Any

import msgspec
import pytest
from scene import T0, TICKER, Scene, market
from test_adopting import OURS, wiped
from test_exact_claims import by_hand, facts_of, notices
from test_recall import entering, resting
from test_resting import LATER, cancels, placed
from test_resting import resting as target_resting
from test_stop_rules import SIDES, scene_of

from bot.core import events as e
from bot.core import facts as f
from bot.core.effects import Notice, ResolveOrder
from bot.core.orders import OrderState
from bot.core.trades import TradeState
from bot.core.units import ONE, Count, Money, Price, format_count
from bot.core.venue import Accepted, NotSent, Rejected, Settlement, Transfer, Unknown, VenueFill, VenuePosition

CASH = 1_000_000_000


def held_of(scene: Scene, count: int) -> VenuePosition:
    return VenuePosition(TICKER, Count(count), Money(5_000_000), Money(7), Money(3))


def news(scene: Scene, **changes: Any) -> tuple[list[Any], list[Notice]]:
    """What a reading concludes about differences."""
    turn = scene.read(**changes)
    return [x for x in turn.facts if isinstance(x, f.Suspected | f.Difference)], notices(scene)


# differences


@pytest.mark.parametrize("gap", [-1, 1, -500])
@pytest.mark.parametrize("side", SIDES)
def test_a_position_difference_is_recorded_told_kept_up_to_date_and_resolved(side: str, gap: int) -> None:
    scene = scene_of(side)
    sign = 1 if side == "bid" else -1
    ours, key = sign * 2_000, f"position:{TICKER}"
    row = held_of(scene, ours + gap)
    scene.at(110)
    assert news(scene, positions=[row]) == ([f.Suspected(scene.now, key, scene.now)], [])
    scene.at(120)
    text = f"position: ours {format_count(ours)}, the exchange's {format_count(ours + gap)}"
    assert news(scene, positions=[row]) == (
        [
            f.Suspected(scene.now, key, 0),
            f.Difference(scene.now, "position", TICKER, ours, ours + gap, position=row),
        ],
        [Notice("alarm", "position_difference", text, TICKER)],
    )
    scene.at(130)
    assert news(scene, positions=[row]) == ([], []), "it is what it was"
    by_hand(scene.at(131), side, 300)
    ours += sign * 300
    row = held_of(scene, ours + gap)
    scene.at(140)
    assert news(scene, positions=[row]) == (
        [f.Difference(scene.now, "position", TICKER, ours, ours + gap, position=row)],
        [],
    )
    scene.at(150)
    assert news(scene, positions=[held_of(scene, ours)]) == (
        [f.Difference(scene.now, "position", TICKER, ours, ours, resolved=True)],
        [Notice("info", "difference_resolved", "position agrees again", TICKER)],
    )
    scene.at(160)
    assert news(scene) == ([], [])


@pytest.mark.parametrize("gap, theirs", [(1, "1000.000001"), (-1, "999.999999"), (5_000_000, "1005.000000")])
def test_a_cash_difference_is_recorded_told_and_resolved_and_names_no_market(gap: int, theirs: str) -> None:
    scene = Scene()
    key = "cash:account"
    scene.at(10)
    assert news(scene, cash=CASH + gap) == ([f.Suspected(scene.now, key, scene.now)], [])
    scene.at(20)
    assert news(scene, cash=CASH + gap) == (
        [f.Suspected(scene.now, key, 0), f.Difference(scene.now, "cash", "account", CASH, CASH + gap)],
        [Notice("alarm", "cash_difference", f"cash: ours 1000.000000, the exchange's {theirs}")],
    )
    by_hand(scene.at(25), "bid", 100)  # 0.40 dollars
    assert news(scene, cash=CASH + gap) == ([], []), "the reading may be from before that"
    scene.at(30)
    assert news(scene, cash=CASH - 400_000 + gap) == ([], [])
    scene.at(40)
    assert news(scene) == (
        [f.Difference(scene.now, "cash", "account", CASH - 400_000, CASH - 400_000, resolved=True)],
        [Notice("info", "difference_resolved", "cash agrees again")],
    )


def test_what_was_seen_once_and_was_gone_is_suspected_anew() -> None:
    scene, strange = Scene(), held_of(Scene(), 300)
    key = f"position:{TICKER}"
    for at, positions, since in ((10, [strange], T0 + 10_000), (20, [], 0), (30, [strange], T0 + 30_000)):
        scene.at(at)
        assert news(scene, positions=positions) == ([f.Suspected(scene.now, key, since)], [])
    scene.at(40)
    assert news(scene, positions=[]) == ([f.Suspected(scene.now, key, 0)], [])


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("at_s, suspected", [(1.999, False), (2, True)])
def test_a_reading_shows_every_fill_that_is_two_seconds_old(side: str, at_s: float, suspected: bool) -> None:
    """Position and cash as they were before it are no difference as long as the reading may be older."""
    scene = Scene()
    by_hand(scene, side, 300)
    found, told = news(scene.at(at_s), positions=[], cash=CASH)
    keys = [f"position:{TICKER}", "cash:account"] if suspected else []
    assert ([x.key for x in found], told) == (keys, [])


# deposits and withdrawals


def paid(number: int, amount: int, at_ms: int = T0 + 5_000, fee: int = 0) -> Transfer:
    return Transfer(f"p{number}", Money(amount), Money(fee), at_ms)


@pytest.mark.parametrize(
    "transfers, gap, booked",
    [
        ((paid(1, 7), paid(2, 90)), 97, [7, 90]),
        ((paid(1, 7), paid(2, 90), paid(3, -20)), 77, [7, 90, -20]),
        ((paid(1, 7), paid(2, 90)), 90, [90]),
        ((paid(1, 7, fee=2), paid(2, 90, fee=3)), 92, [5, 87]),
        ((paid(1, 7, at_ms=T0),), 7, [7]),
        ((paid(1, 7, at_ms=T0 - 1),), 7, []),
        ((paid(1, 7), paid(2, 90)), 96, []),
        ((paid(1, 1),), 1, [1]),
    ],
)
def test_the_transfers_that_are_exactly_what_our_books_lack_are_booked_and_leave_nothing_open(
    transfers: tuple[Transfer, ...], gap: int, booked: list[int]
) -> None:
    scene = Scene().at(10)
    turn = scene.read(cash=CASH + gap, transfers=transfers)
    assert [x.amount for x in facts_of(turn, f.CashMoved)] == booked
    suspected = [] if booked else [f.Suspected(scene.now, "cash:account", scene.now)]
    assert facts_of(turn, f.Suspected) == suspected


def test_a_transfer_that_an_agreeing_balance_does_not_need_is_not_booked() -> None:
    """It equals a fill so new that the reading might not have shown it; but it did."""
    scene = Scene()
    by_hand(scene.at(10), "bid", 100)
    turn = scene.read(transfers=(paid(1, 400_000), paid(2, -400_000)))
    assert facts_of(turn, f.CashMoved) == [] and facts_of(turn, f.Suspected) == []


# orders


def test_a_reading_knows_an_entry_by_its_own_id_while_its_exchange_id_is_not_known() -> None:
    scene, entry = entering()
    scene.at(0.3).do(e.Sending(scene.now, entry.client_order_id))
    scene.at(2).do(e.CreateReplied(scene.now, entry.client_order_id, Unknown("no reply")))
    scene.at(5).read()
    looked_up = [x for x in scene.effects if isinstance(x, ResolveOrder)]
    assert looked_up == [ResolveOrder(entry.client_order_id, TICKER, T0 + 300)], "since it was sent"
    scene.at(10).read(resting=(resting(entry, T0),))
    order = scene.state.orders[entry.client_order_id]
    assert (order.state, order.order_id, order.recall) == (OrderState.RESTING, f"x-{entry.client_order_id}", False)
    assert scene.effects == []


@pytest.mark.parametrize("at_s, state, reason", [(2, "resting", ""), (2.001, "unknown", "not in the listing of")])
def test_an_order_is_missed_in_a_listing_that_is_younger_than_its_last_news(
    at_s: float, state: str, reason: str
) -> None:
    scene, entry = entering()
    scene.reply(entry, 0, 2_000)
    scene.at(at_s).read()
    order = scene.state.orders[entry.client_order_id]
    assert (order.state, order.reason[:21]) == (state, reason)


def test_that_somebody_elses_order_is_gone_is_recorded_as_nothing_left() -> None:
    _, entry = entering()
    theirs = msgspec.structs.replace(resting(entry, T0), client_order_id="theirs")
    scene = Scene().at(10)
    scene.read(resting=(theirs,))
    turn = scene.at(20).read()
    assert facts_of(turn, f.Difference) == [f.Difference(scene.now, "order", theirs.order_id, 0, 0, resolved=True)]


def test_what_rests_of_an_entry_whose_trade_is_being_left_is_cancelled_with_each_reading() -> None:
    scene, entry = entering()
    scene.reply(entry, 500, 1_500)
    scene.fill(entry, 8_800, 500)
    seen = msgspec.structs.replace(resting(entry, T0), filled=Count(500), remaining=Count(1_500))
    scene.at(5).read(resting=(seen,))
    assert cancels(scene) == [], "its trade is open"
    scene.at(6).tick(7_900, 8_100)
    assert cancels(scene) == [entry.client_order_id]
    scene.do(e.CancelReplied(scene.now, entry.client_order_id, NotSent("no connection")))
    for at in (10, 20):
        scene.at(at).read(resting=(seen,))
        assert cancels(scene) == [entry.client_order_id]


def test_a_target_is_withdrawn_with_each_reading_once_its_trade_has_ended_and_not_before() -> None:
    scene = Scene()
    order = target_resting(scene)
    seen = resting(order, T0)
    scene.at(LATER + 5).read(resting=(seen,))
    assert cancels(scene) == []
    done = Settlement(TICKER, "yes", Money(20_000_000), Money(0), Count(0), Count(0), scene.now)
    scene.at(LATER + 6).read(resting=(seen,), settlements=(done,))
    assert scene.state.live_trade == {}
    for at in (10, 20):
        scene.at(LATER + at).read(resting=(seen,))
        assert cancels(scene) == [order.client_order_id]


# what is forgotten, and what was there before


@pytest.mark.parametrize(
    "cooldown_s, at_s, before_s",
    [(300, 600, None), (300, 600.001, -2_999.999), (7_200, 10_800, 3_600), (3_601, 10_800, 7_199)],
)
def test_the_past_is_forgotten_every_ten_minutes_but_never_within_the_cooldown(
    cooldown_s: int, at_s: float, before_s: float | None
) -> None:
    scene = Scene()
    scene.state.config.risk["cooldown"] = cooldown_s
    turn = scene.at(at_s).read()
    expected = [] if before_s is None else [f.Forgotten(scene.now, T0 + round(before_s * 1_000))]
    assert facts_of(turn, f.Forgotten) == expected


@pytest.mark.parametrize("early_ms, before_ms", [(1, T0 - 60_000), (0, T0 + 3 * 86_400_000 - 3_600_000)])
def test_an_entry_that_is_not_settled_keeps_the_fills_since_it_was_decided_for_three_days(
    early_ms: int, before_ms: int
) -> None:
    scene, entry = entering()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Unknown("no reply")))
    scene.at(3 * 86_400 - early_ms / 1_000)
    turn = scene.read()
    assert facts_of(turn, f.Forgotten) == [f.Forgotten(scene.now, before_ms)]


def test_a_settlement_from_before_the_books_is_known_by_market_and_time() -> None:
    scene = Scene()
    scene.state.cash = None
    before = Settlement(TICKER, "yes", Money(20_000_000), Money(0), Count(0), Count(0), T0 - 5_000)
    old = VenueFill("o1", "v1", "", TICKER, "bid", Price(4_000), Count(100), Money(0), True, T0 - 9_000)
    turn = scene.at(10).read(cash=CASH, settlements=(before,), fills=(old,))
    assert facts_of(turn, f.SeenBefore) == [
        f.SeenBefore(scene.now, {"o1": T0 - 9_000}, {f"{TICKER}@{T0 - 5_000}": T0 - 5_000})
    ]
    turn = scene.at(20).read(settlements=(before,), fills=(old,))
    assert facts_of(turn, f.SettlementBooked) == [] and facts_of(turn, f.FillBooked) == []


# fills of orders whose record was lost


def stray(scene: Scene, side: str, count: int, name: str = OURS) -> VenueFill:
    row = VenueFill(f"s{len(scene.facts)}", "v1", name, TICKER, side, Price(4_000), Count(count), Money(0), True,
                    scene.now)  # type: ignore[arg-type]  # fmt: skip
    scene.do(e.FillSeen(scene.now, row))
    return row


@pytest.mark.parametrize("count", [1, 300])
@pytest.mark.parametrize("side, each", [("bid", 4_000), ("ask", 6_000)])
def test_a_forgotten_fill_becomes_a_trade_of_its_side_however_small(side: str, each: int, count: int) -> None:
    scene = wiped()
    row = stray(scene, side, count)
    turn = scene.at(3_601).read(markets={TICKER: market()})
    trade = scene.trade()
    assert (trade.side, trade.open_count(), trade.entry_cost) == (side, count, each * count)
    [adopted] = facts_of(turn, f.OrderAdopted)
    seen = adopted.order
    assert (seen.order_id, seen.client_order_id, seen.side, seen.price) == ("v1", OURS, side, 4_000)
    assert (seen.initial, seen.filled, seen.remaining, seen.status) == (count, count, 0, "executed")
    assert (seen.created_ms, seen.updated_ms, adopted.booked) == (row.at_ms, row.at_ms, 0)


@pytest.mark.parametrize("side", SIDES)
def test_a_forgotten_fill_joins_the_live_trade_of_its_side_without_another_look_at_the_market(side: str) -> None:
    scene = scene_of(side)
    stray(scene.at(3_600), side, 300)
    scene.at(3_601).read()
    assert (scene.trade().open_count(), scene.state.unclaimed) == (2_300, {})


@pytest.mark.parametrize("side", SIDES)
def test_a_forgotten_fill_whose_contracts_are_gone_again_adds_nothing_to_the_trade(side: str) -> None:
    scene = scene_of(side)
    stray(scene.at(3_600), side, 300)
    by_hand(scene, "ask" if side == "bid" else "bid", 300)
    scene.at(3_601).read()
    assert (scene.trade().open_count(), OURS in scene.state.orders) == (2_000, False)


@pytest.mark.parametrize("side", SIDES)
def test_a_forgotten_fill_of_the_other_side_is_no_part_of_the_trade(side: str) -> None:
    scene = scene_of(side)
    stray(scene.at(3_600), "ask" if side == "bid" else "bid", 2_300)
    scene.at(3_601).read()
    assert OURS not in scene.state.orders and scene.trade().exited == 0


# the books


@pytest.mark.parametrize("side", SIDES)
def test_fees_and_results_add_up_over_several_fills(side: str) -> None:
    """20.00 at 0.88 for a fee of 0.01; 7.00 left at 0.90 for 0.02, then 3.00 at 0.80 for 0.03."""
    scene = scene_of(side)
    scene.do(e.Command(scene.now, "flatten", "anna", {}))
    [out] = scene.sent()
    for price, count, fee in ((9_000, 700, 20_000), (8_000, 300, 30_000)):
        scene.fill(out, price if side == "bid" else ONE - price, count, fee)
    assert scene.state.fees == 60_000
    assert scene.state.realized == scene.state.day_realized == 140_000 - 240_000 - 60_000
    assert scene.trade().reason == "why"


def test_what_the_stream_said_is_filled_outlasts_a_reply_that_knows_less() -> None:
    scene, entry = entering()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.order_seen(entry, "resting", 500, 1_500)
    name = f"x-{entry.client_order_id}"
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Accepted(name, Count(0), Count(0))))
    order = scene.state.orders[entry.client_order_id]
    assert (order.state, order.filled, order.outstanding()) == (OrderState.CANCELLED, 500, 500)


def test_what_is_reported_as_filled_outlasts_that_its_order_is_missed() -> None:
    scene, entry = entering()
    scene.reply(entry, 500, 1_500)
    scene.at(5).read()
    order = scene.state.orders[entry.client_order_id]
    assert (order.state, order.filled, order.booked) == (OrderState.UNKNOWN, 500, 0)


def test_each_target_has_the_next_number() -> None:
    scene = Scene()
    order = placed(scene)
    assert order.client_order_id == f"{scene.trade().id}.t1"
    scene.do(e.Sending(scene.now, order.client_order_id))
    scene.do(e.CreateReplied(scene.now, order.client_order_id, Rejected("insufficient_balance", "", 400)))
    scene.at(LATER + 10).tick(8_700, 8_900)
    assert [x.client_order_id for x in scene.sent()] == [f"{scene.trade().id}.t2"]


def test_a_target_that_stands_down_leaves_no_trace_of_its_exit() -> None:
    scene = Scene()
    trade = scene.held()
    scene.at(5).tick(9_500, 9_600)
    [out] = scene.sent()
    scene.reply(out, 0)
    assert trade.state is TradeState.OPEN
    assert (trade.exit_kind, trade.exit_trigger, trade.exit_fired_ms, trade.exit_held_ms) == (None, None, 0, 0)


def test_a_trade_that_a_late_fill_opens_again_has_not_ended() -> None:
    scene, entry = entering()
    scene.reply(entry, 0)
    assert (scene.trade().state, scene.trade().closed_ms) == (TradeState.ABORTED, scene.now)
    scene.at(1).fill(entry, 8_800, 2_000)
    assert (scene.trade().state, scene.trade().closed_ms) == (TradeState.OPEN, 0)
