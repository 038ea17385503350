"""The paper exchange's engine: shards, order groups, pauses, disputes, changing grids and fees, open questions."""

from typing import Any

import pytest
from paper_floor import CLOSE, NOW, Floor, M

from bot.paper import groups, hours, orders
from bot.paper.ledger import Allocation
from bot.paper.model import Event, FeeChange, Halt, Market, NewOrder, Rejected, Rules

DOLLAR = 1_000_000
HOUR = 3_600_000


@pytest.fixture
def floor() -> Floor:
    return Floor()


# Shards


def test_an_order_needs_cash_on_its_own_shard() -> None:
    floor = Floor(shard=3)
    floor.refuses("insufficient_balance", "ann", "bid", 5000, 100)
    groups.transfer(floor.engine, "ann", 0, 3, 50 * DOLLAR, "", NOW)
    floor.send("ann", "bid", 5000, 9_000)
    assert (floor.ann.free(0), floor.ann.free(3)) == (950 * DOLLAR, 50 * DOLLAR - floor.ann.committed)
    with pytest.raises(Rejected, match="insufficient_balance"):
        groups.transfer(floor.engine, "ann", 3, 0, 10 * DOLLAR, "", NOW)
    floor.refuses("insufficient_balance", "ann", "bid", 5000, 1_000)


def test_fills_and_settlement_move_the_cash_of_the_markets_shard() -> None:
    floor = Floor(shard=3, settlement_timer_s=0)
    groups.transfer(floor.engine, "ann", 0, 3, 50 * DOLLAR, "", NOW)
    floor.crowd("ask", 4000, 1_000)
    order = floor.send("ann", "bid", 4000, 1_000)
    assert floor.ann.wallets == {0: 950 * DOLLAR, 3: 46 * DOLLAR - order.taker_fees}
    floor.engine.advance(CLOSE)
    floor.engine.determine(M, "yes", CLOSE)
    floor.engine.advance(CLOSE)
    assert floor.ann.wallets == {0: 950 * DOLLAR, 3: 56 * DOLLAR - order.taker_fees}


def test_a_transfer_id_is_good_once_and_nonsense_is_refused(floor: Floor) -> None:
    groups.transfer(floor.engine, "ann", 0, 1, DOLLAR, "once", NOW)
    for source, destination, amount, name, code in (
        (0, 1, DOLLAR, "once", "transfer_already_exists"),
        (0, 0, DOLLAR, "", "invalid_transfer"),
        (0, 1, 0, "", "invalid_transfer"),
        (0, 1, -DOLLAR, "", "invalid_transfer"),
        (2, 1, DOLLAR, "", "insufficient_balance"),
    ):
        with pytest.raises(Rejected) as caught:
            groups.transfer(floor.engine, "ann", source, destination, amount, name, NOW)
        assert caught.value.code == code
    assert floor.ann.wallets == {0: 999 * DOLLAR, 1: DOLLAR}


def test_a_target_allocation_is_kept_every_ten_seconds(floor: Floor) -> None:
    groups.allocate(floor.engine, "ann", Allocation({0: 60, 3: 40}), NOW)
    assert floor.ann.wallets == {0: 600 * DOLLAR, 3: 400 * DOLLAR}
    groups.transfer(floor.engine, "ann", 3, 0, 400 * DOLLAR, "", NOW + 1)
    floor.engine.advance(NOW + 9_999)
    assert floor.ann.wallets[3] == 0
    floor.engine.advance(NOW + 10_000)
    assert floor.ann.wallets[3] == 400 * DOLLAR
    groups.allocate(floor.engine, "ann", Allocation(), NOW + 10_000)
    groups.transfer(floor.engine, "ann", 3, 0, 400 * DOLLAR, "", NOW + 10_001)
    floor.engine.advance(NOW + 60_000)
    assert floor.ann.wallets[3] == 0
    with pytest.raises(Rejected, match="invalid_allocation"):
        groups.allocate(floor.engine, "ann", Allocation({0: 60}), NOW)


@pytest.mark.parametrize("reservation", ["none", "max", "sum"])
def test_an_allocation_leaves_what_resting_orders_bind(floor: Floor, reservation: Any) -> None:
    floor.send("ann", "bid", 5000, 100_000)
    bound = floor.ann.committed
    groups.allocate(floor.engine, "ann", Allocation({3: 100}, reservation), NOW)
    assert floor.ann.wallets == {0: bound, 3: 1_000 * DOLLAR - bound}


# Order groups


def test_a_group_stops_above_its_limit_within_fifteen_seconds(floor: Floor) -> None:
    group = groups.create(floor.engine, "ann", 500, 0, NOW)
    resting = floor.send("ann", "bid", 1000, 100, group_id=group.id)
    other = floor.send("ann", "bid", 1000, 100)
    floor.crowd("ask", 4000, 2_000)
    floor.send("ann", "bid", 4000, 500, group_id=group.id)
    assert (group.triggered, resting.status) == (False, "resting")
    late = NOW + 14_999
    cut = floor.send("ann", "bid", 4000, 300, late, group_id=group.id)
    assert (group.triggered, resting.status, other.status) == (True, "canceled", "resting")
    assert (cut.filled, cut.status) == (300, "executed")
    with pytest.raises(Rejected, match="exceeded_order_group_risk_limit"):
        floor.send("ann", "bid", 1000, 100, late, group_id=group.id)
    groups.reset(floor.engine, group, late)
    floor.send("ann", "bid", 4000, 500, late, group_id=group.id)
    assert not group.triggered


def test_what_a_group_matched_fifteen_seconds_ago_no_longer_counts(floor: Floor) -> None:
    group = groups.create(floor.engine, "ann", 500, 0, NOW)
    floor.crowd("ask", 4000, 2_000)
    floor.send("ann", "bid", 4000, 500, group_id=group.id)
    floor.send("ann", "bid", 4000, 500, NOW + 15_000, group_id=group.id)
    assert not group.triggered


def test_a_group_that_trips_ends_the_order_that_is_matching(floor: Floor) -> None:
    group = groups.create(floor.engine, "ann", 500, 0, NOW)
    for _ in range(3):
        floor.send("bob", "ask", 4000, 300)
    order = floor.send("ann", "bid", 4000, 900, group_id=group.id)
    assert (order.filled, order.status, floor.ann.committed) == (600, "canceled", 0)
    assert floor.engine.best(M) == (None, 0, 4000, 300)


def test_a_resting_maker_counts_for_its_group_too(floor: Floor) -> None:
    group = groups.create(floor.engine, "ann", 100, 0, NOW)
    maker = floor.send("ann", "bid", 4000, 900, group_id=group.id)
    floor.send("bob", "ask", 4000, 100)
    assert not group.triggered
    floor.send("bob", "ask", 4000, 100)
    assert (group.triggered, maker.filled, maker.status) == (True, 200, "canceled")


def test_a_lower_limit_trigger_and_delete_end_the_groups_orders(floor: Floor) -> None:
    group = groups.create(floor.engine, "ann", 500, 0, NOW)
    floor.crowd("ask", 4000, 2_000)
    floor.send("ann", "bid", 4000, 300, group_id=group.id)
    groups.set_limit(floor.engine, group, 300, NOW)
    assert not group.triggered
    groups.set_limit(floor.engine, group, 200, NOW)
    assert group.triggered
    for end in (groups.trigger, groups.delete):
        groups.reset(floor.engine, group, NOW)
        order = floor.send("ann", "bid", 1000, 100, group_id=group.id)
        end(floor.engine, group, NOW)
        assert order.status == "canceled"
    floor.refuses("order_group_not_found", "ann", "bid", 1000, 100, group_id=group.id)
    with pytest.raises(Rejected, match="invalid_contracts_limit"):
        groups.create(floor.engine, "ann", 99, 0, NOW)
    told = ["created", "matched", "limit_updated", "limit_updated", "triggered", "reset", "triggered", "reset"]
    assert floor.log.groups == [*told, "deleted"]


# Pauses


@pytest.mark.parametrize(("halt", "cancels"), [("trading", True), ("exchange", False)])
def test_a_halt_stops_what_it_says(floor: Floor, halt: Halt, cancels: bool) -> None:
    kept = floor.send("ann", "bid", 4000, 100)
    flagged = floor.send("ann", "bid", 4000, 100, cancel_on_pause=True)
    floor.engine.set_halt(halt, NOW)
    assert (kept.status, flagged.status, flagged.reason) == ("resting", "canceled", "HaltCancel")
    floor.refuses(f"{halt}_paused", "ann", "bid", 4000, 100)
    form: dict[str, Any] = {"ticker": M, "side": "bid", "price": 4000, "count": 200}
    with pytest.raises(Rejected, match=f"{halt}_paused"):
        orders.amend(floor.engine, "ann", kept.order_id, NOW, **form)
    floor.engine.set_level(M, "ask", 4000, 100, NOW)
    assert floor.engine.crowd_take(M, "ask", 1000, 100, NOW) == 0 and kept.filled == 0
    if cancels:
        orders.cancel(floor.engine, "ann", kept.order_id, NOW)
    else:
        with pytest.raises(Rejected, match="exchange_paused"):
            orders.cancel(floor.engine, "ann", kept.order_id, NOW)
    floor.engine.set_halt("", NOW)
    floor.send("ann", "bid", 4000, 100)


def test_the_weekly_pause_is_thursday_three_to_five_eastern() -> None:
    thursday = 1_795_680_000_000  # 2026-11-26 08:00 UTC = 03:00 EST
    assert hours.pause_ends_ms(thursday - 1) is None
    assert hours.pause_ends_ms(thursday) == thursday + 2 * HOUR == hours.pause_ends_ms(thursday + 2 * HOUR - 1)
    assert hours.pause_ends_ms(thursday + 2 * HOUR) is None
    assert hours.pause_ends_ms(thursday + 24 * HOUR) is None
    assert hours.next_pause_ms(thursday - 1) == thursday
    assert hours.next_pause_ms(thursday) == thursday + 7 * 24 * HOUR
    summer = 1_784_188_800_000  # 2026-07-16 08:00 UTC = 04:00 EDT
    assert hours.pause_ends_ms(summer) == summer + HOUR


# Life of a market


def test_a_disputed_result_pays_what_the_amendment_says_after_a_new_timer() -> None:
    floor = Floor(settlement_timer_s=60)
    floor.crowd("ask", 4000, 100)
    floor.send("ann", "bid", 4000, 100)
    cash = floor.ann.cash
    floor.engine.advance(CLOSE)
    floor.engine.determine(M, "no", CLOSE)
    floor.engine.dispute(M, CLOSE + 30_000)
    floor.engine.advance(CLOSE + 90_000)
    assert (floor.engine.markets[M].status, floor.ann.settlements) == ("disputed", [])
    floor.engine.amend_result(M, "yes", CLOSE + 90_000)
    floor.engine.advance(CLOSE + 149_999)
    assert floor.engine.markets[M].status == "amended"
    floor.engine.advance(CLOSE + 150_000)
    assert (floor.engine.markets[M].status, floor.ann.cash - cash) == ("finalized", DOLLAR)
    with pytest.raises(ValueError, match="only a determined market"):
        floor.engine.dispute(M, CLOSE + 150_000)


def test_a_dispute_that_ends_before_the_first_timer_still_starts_it_anew() -> None:
    floor = Floor(settlement_timer_s=60)
    floor.engine.advance(CLOSE)
    floor.engine.determine(M, "no", CLOSE)
    floor.engine.dispute(M, CLOSE + 10_000)
    floor.engine.amend_result(M, "no", CLOSE + 20_000)
    floor.engine.advance(CLOSE + 79_999)
    assert floor.engine.markets[M].status == "amended"
    floor.engine.advance(CLOSE + 80_000)
    assert floor.engine.markets[M].status == "finalized"


def test_a_void_pays_both_sides_the_scalar_value() -> None:
    floor = Floor(settlement_timer_s=0)
    floor.send("ann", "bid", 5000, 100)
    floor.send("bob", "ask", 5000, 100)
    before = floor.ann.cash + floor.bob.cash
    floor.engine.advance(CLOSE)
    floor.engine.determine(M, "scalar", CLOSE, 5000)
    floor.engine.advance(CLOSE)
    record = floor.ann.settlements[0]
    assert (record.result, record.value, record.revenue) == ("scalar", 5000, DOLLAR // 2)
    assert floor.ann.cash + floor.bob.cash - before == DOLLAR


def test_the_grid_may_change_under_resting_orders(floor: Floor) -> None:
    old = floor.send("ann", "bid", 4500, 100)
    floor.engine.set_grid(M, "deci_cent", [(0, 10_000, 10)], NOW)
    assert (old.status, floor.log.kinds[-1]) == ("resting", "price_level_structure_updated")
    floor.send("ann", "bid", 4510, 100)
    floor.engine.set_grid(M, "coarse", [(0, 10_000, 1_000)], NOW)
    floor.refuses("invalid_price", "ann", "bid", 4500, 100)
    form: dict[str, Any] = {"ticker": M, "side": "bid", "price": 4500, "count": 50}
    assert orders.amend(floor.engine, "ann", old.order_id, NOW, **form).remaining == 50


GRIDS = {
    # (edge step, from where the centre begins, centre step) in price units: kalshi-api.md section 3.2
    "linear_cent": (100, 0, 100),
    "deci_cent": (10, 0, 10),
    "tapered_deci_cent": (10, 1_000, 100),
    "center_whole_edge_half_cent": (50, 1_000, 100),
    "center_whole_edge_quint_cent": (20, 1_000, 100),
    "center_half_edge_half_cent": (50, 0, 50),
    "center_half_edge_quint_cent": (20, 1_000, 50),
    "center_half_edge_deci_cent": (10, 1_000, 50),
    "center_quint_edge_quint_cent": (20, 0, 20),
    "center_quint_edge_deci_cent": (10, 1_000, 20),
    "center_centi_edge_centi_cent": (1, 0, 1),
    "center_deci_edge_centi_cent": (1, 100, 10),
}


@pytest.mark.parametrize("label", GRIDS)
def test_every_grid_takes_its_prices_and_no_others(floor: Floor, label: str) -> None:
    edge, border, centre = GRIDS[label]
    bands = [(0, border, edge), (border, 10_000 - border, centre), (10_000 - border, 10_000, edge)]
    floor.engine.set_grid(M, label, [band for band in bands if band[0] < band[1]], NOW)
    near = range(1, 10_000) if edge > 1 else [*range(1, 150), *range(4_900, 5_100), *range(9_850, 10_000)]
    for price in [0, *near, 10_000]:
        step = edge if price < border or price > 10_000 - border else centre
        if 0 < price < 10_000 and price % step == 0:
            order = floor.send("ann", "bid", price, 1)
            orders.cancel(floor.engine, "ann", order.order_id, NOW)
        else:
            floor.refuses("invalid_price", "ann", "bid", price, 1)


def test_changed_fees_hold_from_their_time_on_and_an_events_own_come_first(floor: Floor) -> None:
    floor.crowd("ask", 4000, 10_000)
    at = NOW + 1_000

    def fee(now_ms: int) -> int:
        return floor.send("ann", "bid", 4000, 1_000, now_ms, time_in_force="immediate_or_cancel").taker_fees

    floor.engine.change_fees(FeeChange("1", "S", "", "quadratic", 0.5, at), NOW)
    assert (fee(at - 1), fee(at)) == (168_000, 84_000)
    floor.engine.change_fees(FeeChange("2", "S", "EV", None, 2.0, at), at)
    assert (fee(at), floor.log.fees[0].event_ticker) == (336_000, "EV")
    floor.engine.change_fees(FeeChange("3", "S", "EV", None, None, at), at)
    assert fee(at) == 84_000


# Queue


def test_a_queue_position_counts_better_prices_and_earlier_orders(floor: Floor) -> None:
    floor.crowd("bid", 4100, 700)
    floor.crowd("bid", 4000, 300)
    first = floor.send("ann", "bid", 4000, 100)
    floor.crowd("bid", 4000, 400)
    second = floor.send("bob", "bid", 4000, 200)
    floor.crowd("ask", 4500, 50)
    ask = floor.send("ann", "ask", 4600, 100)
    book = floor.engine.books[M]
    assert [book.ahead(order) for order in (first, second, ask)] == [1_000, 1_200, 50]
    floor.engine.crowd_take(M, "ask", 4000, 800, NOW)
    assert [book.ahead(order) for order in (first, second)] == [200, 400]


# Open questions (kalshi-api.md section 11.3)


def test_open_questions_are_settings() -> None:
    floor = Floor(rules=Rules(sells_add_to_traded=True, partial_ioc_status="executed", cancel_all_lingers_s=60))
    floor.crowd("ask", 4000, 100)
    part = floor.send("ann", "bid", 4000, 200, time_in_force="immediate_or_cancel")
    assert (part.filled, part.status) == (100, "executed")
    floor.crowd("bid", 3000, 100)
    floor.send("ann", "ask", 3000, 100)
    assert floor.ann.positions[M].traded == 700_000
    orders.cancel_all(floor.engine, "ann", NOW)
    assert floor.send("ann", "bid", 1000, 100, NOW + 59_999).status == "canceled"
    assert floor.send("ann", "bid", 1000, 100, NOW + 60_000).status == "resting"


def test_markets_of_an_event_share_its_shard(floor: Floor) -> None:
    floor.engine.add_event(Event("EV2", "S", "t", "s", exchange_index=2))
    market = Market("EV2-A", "EV2", "t", "y", "n", NOW, CLOSE, CLOSE, CLOSE, exchange_index=0)
    floor.engine.add_market(market, NOW)
    assert market.exchange_index == 2
    new = NewOrder(
        ticker="EV2-A", side="bid", price=1000, count=100, time_in_force="good_till_canceled", self_trade="maker"
    )
    with pytest.raises(Rejected, match="insufficient_balance"):
        orders.create(floor.engine, "ann", new, NOW)
