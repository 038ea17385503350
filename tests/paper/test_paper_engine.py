"""The paper exchange's engine: matching, collateral, commands, life cycle (kalshi-api.md sections 4.9 and 5)."""

from typing import Any

import pytest
from paper_floor import CLOSE, NOW, Floor, M

from bot.paper import orders
from bot.paper.engine import SWEEP_AFTER_MS
from bot.paper.model import Order, Rejected, Side


@pytest.fixture
def floor() -> Floor:
    return Floor()


def test_orders_trade_by_price_then_time_at_the_makers_price(floor: Floor) -> None:
    late = floor.send("ann", "ask", 5600, 300)
    first = floor.send("ann", "ask", 5500, 200)
    second = floor.send("bob", "ask", 5500, 200)
    floor.engine.accounts["eve"] = floor.engine.add_account("eve", 10**9)
    taker = floor.send("eve", "bid", 5700, 500)
    assert [(t.price, t.count) for t in floor.log.trades] == [(5500, 200), (5500, 200), (5600, 100)]
    assert (first.status, second.status, late.remaining, taker.status) == ("executed", "executed", 200, "executed")
    assert taker.price == 5700 and taker.taker_cost == 5500 * 400 + 5600 * 100
    by_trade = {}
    for fill in floor.log.fills:
        by_trade.setdefault(fill.trade_id, []).append(fill.is_taker)
    assert all(sorted(sides) == [False, True] for sides in by_trade.values()) and len(by_trade) == 3


def test_members_queue_behind_the_crowd_that_was_there_first(floor: Floor) -> None:
    floor.crowd("bid", 5000, 500)
    mine = floor.send("ann", "bid", 5000, 100)
    floor.crowd("bid", 5000, 900)
    assert floor.engine.crowd_take(M, "ask", 5000, 500, NOW) == 500
    assert mine.filled == 0
    assert floor.engine.crowd_take(M, "ask", 5000, 150, NOW) == 150
    assert mine.status == "executed"
    assert floor.engine.depth(M) == ([(5000, 350)], [])


def test_a_crowd_level_shrinks_from_the_tail(floor: Floor) -> None:
    floor.crowd("bid", 5000, 500)
    mine = floor.send("ann", "bid", 5000, 100)
    floor.crowd("bid", 5000, 900)
    floor.crowd("bid", 5000, 200)
    floor.engine.crowd_take(M, "ask", 5000, 250, NOW)
    assert mine.filled == 50


def test_a_crowd_level_that_crosses_a_member_trades_and_the_rest_stays(floor: Floor) -> None:
    mine = floor.send("ann", "ask", 5000, 100)
    floor.crowd("ask", 5100, 700)
    floor.crowd("bid", 5200, 300)
    assert mine.status == "executed" and mine.maker_cost == 100 * 5000
    assert floor.engine.depth(M) == ([(5200, 200)], [])
    assert [t.price for t in floor.log.trades] == [5000]


def test_time_in_force(floor: Floor) -> None:
    floor.crowd("ask", 5500, 200)
    ioc = floor.send("ann", "bid", 5500, 500, time_in_force="immediate_or_cancel")
    assert (ioc.status, ioc.filled, ioc.remaining) == ("canceled", 200, 0)
    nothing = floor.send("ann", "bid", 5500, 500, time_in_force="immediate_or_cancel")
    assert (nothing.status, nothing.filled) == ("canceled", 0)
    floor.crowd("ask", 5500, 200)
    kill = {"time_in_force": "fill_or_kill", "client_order_id": "k"}
    floor.refuses("fill_or_kill_insufficient_resting_volume", "ann", "bid", 5500, 201, **kill)
    floor.refuses("order_already_exists", "ann", "bid", 5500, 100, **kill)
    done = floor.send("ann", "bid", 5500, 200, time_in_force="fill_or_kill")
    assert done.status == "executed"
    dated = floor.send("ann", "bid", 4000, 100, expiration_ms=NOW + 5000)
    floor.engine.advance(NOW + 4999)
    assert dated.status == "resting"
    floor.engine.advance(NOW + 5000)
    assert (dated.status, dated.reason) == ("canceled", "ExpiryCancel")
    floor.refuses("invalid_order", "ann", "bid", 4000, 100, expiration_ms=NOW)
    floor.refuses("invalid_order", "ann", "bid", 4000, 100, expiration_ms=NOW + 9, time_in_force="immediate_or_cancel")


def test_post_only_never_takes(floor: Floor) -> None:
    floor.crowd("ask", 5500, 200)
    assert floor.refuses("invalid_order", "ann", "bid", 5500, 100, post_only=True).details == "post only cross"
    assert floor.send("ann", "bid", 5400, 100, post_only=True).status == "resting"


def test_reduce_only_is_capped_by_the_position_and_never_opens(floor: Floor) -> None:
    floor.crowd("ask", 5500, 1000)
    floor.crowd("bid", 5300, 1000)
    exit_form = {"reduce_only": True, "time_in_force": "immediate_or_cancel"}
    floor.send("ann", "bid", 5500, 300)
    floor.refuses("invalid_order", "ann", "ask", 5300, 100, reduce_only=True)
    out = floor.send("ann", "ask", 5300, 1000, **exit_form)
    assert (out.status, out.filled, floor.ann.held(M)) == ("canceled", 300, 0)
    nothing = floor.send("ann", "ask", 5300, 100, **exit_form)
    assert (nothing.status, nothing.filled) == ("canceled", 0)
    assert floor.send("ann", "bid", 5500, 100, **exit_form).filled == 0


def test_self_trade_taker_at_cross_stops_the_taker(floor: Floor) -> None:
    floor.crowd("ask", 5400, 100)
    own = floor.send("ann", "ask", 5500, 100)
    taker = floor.send("ann", "bid", 5600, 300)
    assert (taker.status, taker.filled, taker.reason) == ("canceled", 100, "SelfTradeCancel")
    assert own.status == "resting"


def test_self_trade_maker_cancels_the_resting_order(floor: Floor) -> None:
    own = floor.send("ann", "ask", 5500, 100)
    floor.crowd("ask", 5600, 100)
    taker = floor.send("ann", "bid", 5600, 100, self_trade="maker")
    assert (own.status, own.reason, taker.status, taker.filled_value) == (
        "canceled",
        "SelfTradeCancel",
        "executed",
        560_000,
    )


def test_a_fill_or_kill_that_meets_its_own_order_works_like_an_immediate_or_cancel(floor: Floor) -> None:
    floor.crowd("ask", 5400, 100)
    floor.send("ann", "ask", 5500, 300)
    taker = floor.send("ann", "bid", 5500, 300, time_in_force="fill_or_kill")
    assert (taker.status, taker.filled) == ("canceled", 100)


@pytest.mark.parametrize(
    ("ranges", "good", "bad"),
    [
        ([(0, 10_000, 100)], [100, 5000, 9900], [0, 10_000, 5050, 1]),
        ([(0, 1000, 10), (1000, 9000, 100), (9000, 10_000, 10)], [10, 990, 1000, 8900, 9010, 9990], [1010, 8950, 5]),
        ([(0, 10_000, 1)], [1, 9999], [0, 10_000]),
    ],
)
def test_prices_must_lie_on_the_grid(ranges: list[tuple[int, int, int]], good: list[int], bad: list[int]) -> None:
    floor = Floor(price_ranges=ranges)
    for price in good:
        orders.cancel(floor.engine, "ann", floor.send("ann", "bid", price, 1).order_id, NOW)
    for price in bad:
        floor.refuses("invalid_price", "ann", "bid", price, 100)


def test_orders_are_refused_when_cash_less_commitments_does_not_carry_them(floor: Floor) -> None:
    first = floor.send("ann", "bid", 5000, 150_000)
    assert floor.ann.cash == 1_000_000_000
    assert floor.ann.committed == 150_000 * 5000 + 6_562_500
    floor.refuses("insufficient_balance", "ann", "ask", 5100, 60_000)
    orders.cancel(floor.engine, "ann", first.order_id, NOW)
    assert floor.ann.committed == 0
    assert floor.send("ann", "ask", 5100, 60_000).status == "resting"


def test_an_order_that_closes_a_position_needs_no_money(floor: Floor) -> None:
    floor.crowd("ask", 9900, 200_000)
    floor.send("ann", "bid", 9900, 100_900)
    assert floor.ann.cash < 1_100_000
    target = floor.send("ann", "ask", 9990 // 100 * 100 - 100, 0 + 100_900, post_only=True)
    assert target.status == "resting" and floor.ann.committed == 0
    floor.refuses("insufficient_balance", "ann", "ask", 5000, 10_000)


def test_orders_that_a_closed_position_no_longer_covers_go_when_cash_cannot_carry_them(floor: Floor) -> None:
    floor.crowd("ask", 9900, 200_000)
    floor.send("ann", "bid", 9900, 100_900)
    target = floor.send("ann", "ask", 9900, 100_900, post_only=True)
    floor.crowd("ask", 9900, 0)
    floor.crowd("bid", 100, 200_000)
    floor.send("ann", "ask", 100, 100_900, time_in_force="immediate_or_cancel", self_trade="maker", reduce_only=True)
    assert target.status == "canceled" and floor.ann.cash > 0


def test_the_worked_example_of_the_fact_sheet(floor: Floor) -> None:
    floor.crowd("ask", 4000, 10_000)
    floor.send("ann", "bid", 4000, 1000)
    floor.crowd("ask", 4000, 0)
    floor.crowd("bid", 5500, 10_000)
    floor.send("ann", "ask", 5500, 400)
    position = floor.ann.positions[M]
    assert (position.count, position.cost, position.realized, position.fees) == (600, 2_400_000, 600_000, 237_300)
    assert floor.ann.cash - 1_000_000_000 == -2_037_300


def test_crossing_zero_closes_then_opens(floor: Floor) -> None:
    floor.crowd("ask", 4000, 300)
    floor.send("ann", "bid", 4000, 300)
    floor.crowd("bid", 3900, 1000)
    before = floor.ann.cash
    order = floor.send("ann", "ask", 3900, 500)
    position = floor.ann.positions[M]
    assert (position.count, position.cost, position.realized) == (-200, 200 * 6100, -30_000)
    assert floor.ann.cash - before == 300 * 3900 - 200 * 6100 - order.taker_fees


def test_amend_decrease_keeps_the_place_in_the_queue(floor: Floor) -> None:
    mine = floor.send("ann", "bid", 5000, 300)
    floor.send("bob", "bid", 5000, 300)
    amend(floor, mine, 5000, 200)
    floor.engine.crowd_take(M, "ask", 5000, 200, NOW)
    assert mine.status == "executed"


@pytest.mark.parametrize(("price", "count"), [(5000, 400), (5000, 301)])
def test_amend_that_grows_goes_to_the_tail(floor: Floor, price: int, count: int) -> None:
    mine = floor.send("ann", "bid", 5000, 300)
    other = floor.send("bob", "bid", 5000, 300)
    amend(floor, mine, price, count)
    floor.engine.crowd_take(M, "ask", 5000, 300, NOW)
    assert (other.status, mine.filled) == ("executed", 0)


def test_amend_count_is_the_total(floor: Floor) -> None:
    mine = floor.send("ann", "bid", 5000, 300)
    floor.engine.crowd_take(M, "ask", 5000, 100, NOW)
    amend(floor, mine, 5100, 250)
    assert (mine.remaining, mine.initial, mine.price) == (150, 250, 5100)
    with pytest.raises(Rejected, match="invalid_amend_qty"):
        amend(floor, mine, 5100, 100)


def test_amend_may_cross_and_fill(floor: Floor) -> None:
    mine = floor.send("ann", "bid", 5000, 300)
    floor.crowd("ask", 5200, 100)
    amend(floor, mine, 5200, 300)
    assert (mine.filled, mine.remaining, mine.status) == (100, 200, "resting")
    assert floor.engine.depth(M) == ([(5200, 200)], [])


def test_a_refused_amend_leaves_the_order_as_it_was(floor: Floor) -> None:
    mine = floor.send("ann", "bid", 5000, 300, client_order_id="a", post_only=True)
    floor.crowd("ask", 5500, 100)
    committed = floor.ann.committed
    for code, change in {
        "invalid_price": {"price": 5050},
        "insufficient_balance": {"count": 900_000},
        "invalid_order": {"price": 5500},
        "order_side_mismatch": {"side": "ask"},
        "order_ticker_mismatch": {"ticker": "X"},
        "order_id_and_client_order_id_mismatch": {"client_order_id": "b"},
        "order_already_exists": {"new_client_order_id": "a"},
    }.items():
        form: dict[str, Any] = {"ticker": M, "side": "bid", "price": 5000, "count": 300} | change
        with pytest.raises(Rejected) as caught:
            orders.amend(floor.engine, "ann", mine.order_id, NOW, **form)
        assert caught.value.code == code
    assert (mine.price, mine.remaining, mine.status, floor.ann.committed) == (5000, 300, "resting", committed)
    assert floor.engine.depth(M)[0] == [(5000, 300)]


def test_decrease_and_cancel(floor: Floor) -> None:
    mine = floor.send("ann", "bid", 5000, 300)
    orders.decrease(floor.engine, "ann", mine.order_id, None, 100, NOW)
    assert mine.remaining == 200
    orders.decrease(floor.engine, "ann", mine.order_id, 50, 0, NOW)
    assert floor.engine.depth(M)[0] == [(5000, 50)]
    _, gone = orders.cancel(floor.engine, "ann", mine.order_id, NOW)
    assert (gone, mine.status, floor.engine.depth(M)[0]) == (50, "canceled", [])
    for order_id in (mine.order_id, "unknown"):
        with pytest.raises(Rejected, match="not_found"):
            orders.cancel(floor.engine, "ann", order_id, NOW)


def test_client_ids_are_used_up_for_ever(floor: Floor) -> None:
    mine = floor.send("ann", "bid", 5000, 300, client_order_id="x")
    orders.cancel(floor.engine, "ann", mine.order_id, NOW)
    floor.refuses("order_already_exists", "ann", "bid", 5000, 300, client_order_id="x")
    assert floor.send("bob", "bid", 5000, 300, client_order_id="x").status == "resting"
    floor.refuses("invalid_price", "ann", "bid", 5050, 300, client_order_id="y")
    assert floor.send("ann", "bid", 5000, 300, client_order_id="y").status == "resting"


def test_a_market_lives_from_created_to_settled(floor: Floor) -> None:
    engine, market = floor.engine, floor.engine.markets[M]
    floor.crowd("ask", 6000, 1000)
    floor.send("ann", "bid", 6000, 1000)
    floor.send("bob", "bid", 1000, 100)
    engine.set_close(M, NOW + 10, NOW + 5)
    engine.advance(NOW + 10)
    assert market.status == "closed" and floor.log.kinds == ["created", "close_date_updated"]
    resting = next(iter(floor.bob.orders))
    with pytest.raises(Rejected, match="market_inactive"):
        orders.cancel(engine, "bob", resting, NOW + 11)
    floor.refuses("market_inactive", "ann", "bid", 5000, 100, now_ms=NOW + 11)
    engine.advance(NOW + 10 + SWEEP_AFTER_MS)
    assert floor.bob.orders[resting].reason == "CloseCancel" and floor.log.cleared_at
    engine.determine(M, "yes", NOW + 5000)
    cash = floor.ann.cash
    engine.advance(NOW + 5000 + market.settlement_timer_s * 1000 - 1)
    assert floor.ann.cash == cash
    engine.advance(NOW + 10**9)
    engine.advance(NOW + 10**9)
    assert floor.ann.cash - cash == 10_000_000 and len(floor.ann.settlements) == 1
    assert (market.status, floor.ann.held(M), floor.ann.positions[M].settled) == ("finalized", 0, True)
    assert floor.log.kinds[2:] == ["determined", "settled"]
    assert floor.ann.positions[M].realized == 4_000_000


@pytest.mark.parametrize(
    ("side", "result", "value", "revenue"),
    [
        ("bid", "no", None, 0),
        ("ask", "no", None, 10_000_000),
        ("ask", "yes", None, 0),
        ("bid", "scalar", 2550, 2_550_000),
        ("ask", "scalar", 2555, 7_440_000),
    ],
)
def test_settlement_pays_the_side_that_is_held(side: Side, result: Any, value: int | None, revenue: int) -> None:
    floor = Floor()
    floor.crowd("bid" if side == "ask" else "ask", 5000, 1000)
    floor.send("ann", side, 5000, 1000)
    floor.engine.set_close(M, NOW, NOW)
    floor.engine.determine(M, result, NOW, value)
    cash = floor.ann.cash
    floor.engine.advance(NOW + 10**9)
    assert floor.ann.cash - cash == revenue == floor.ann.settlements[0].revenue


def test_pausing_keeps_orders_and_unpausing_cancels_them(floor: Floor) -> None:
    floor.crowd("bid", 4000, 100)
    stays = floor.send("ann", "bid", 5000, 100)
    goes = floor.send("ann", "bid", 5000, 100, cancel_on_pause=True)
    floor.engine.pause(M, NOW)
    assert (stays.status, goes.status) == ("resting", "canceled")
    floor.refuses("market_inactive", "ann", "bid", 5000, 100)
    floor.engine.unpause(M, NOW)
    assert stays.status == "canceled" and floor.engine.depth(M) == ([], [])
    assert floor.log.kinds[-2:] == ["deactivated", "activated"]


def test_a_postponed_close_reopens_a_closed_market(floor: Floor) -> None:
    floor.engine.advance(CLOSE)
    floor.engine.set_close(M, CLOSE + 1000, CLOSE + 1)
    assert floor.engine.markets[M].status == "active" and floor.log.kinds[-1] == "activated"
    floor.engine.advance(CLOSE + 1000)
    assert floor.engine.markets[M].status == "closed"


def test_a_removed_market_leaves_the_records(floor: Floor) -> None:
    floor.crowd("ask", 6000, 1000)
    floor.send("ann", "bid", 6000, 1000)
    with pytest.raises(ValueError, match="finalized"):
        floor.engine.remove_market(M)
    floor.engine.set_close(M, NOW, NOW)
    floor.engine.determine(M, "yes", NOW)
    floor.engine.advance(NOW + 10**9)
    floor.engine.remove_market(M)
    assert not floor.engine.markets and not floor.engine.events
    assert len(floor.ann.fills) == len(floor.ann.settlements) == 1


def test_frozen_history_is_not_moved_and_not_taken_twice() -> None:
    floor = Floor(frozen=True)
    floor.crowd("ask", 5500, 300)
    floor.crowd("bid", 5600, 100)
    assert floor.engine.depth(M) == ([(5600, 100)], [(5500, 300)]) and not floor.log.trades
    assert floor.send("ann", "bid", 5500, 200, time_in_force="immediate_or_cancel").filled == 200
    assert floor.engine.depth(M)[1] == [(5500, 300)]
    assert floor.send("ann", "bid", 5500, 200, time_in_force="immediate_or_cancel").filled == 100
    assert floor.send("bob", "bid", 5500, 200, time_in_force="immediate_or_cancel").filled == 0
    floor.crowd("ask", 5500, 250)
    assert floor.send("bob", "bid", 5500, 500, time_in_force="immediate_or_cancel").filled == 250


def test_frozen_history_fills_a_resting_member_when_the_recorded_book_crosses_it() -> None:
    floor = Floor(frozen=True)
    mine = floor.send("ann", "ask", 6000, 100)
    floor.crowd("bid", 6100, 400)
    assert mine.status == "executed" and floor.log.trades[0].price == 6000
    assert floor.engine.depth(M) == ([(6100, 400)], [])
    assert floor.send("bob", "ask", 6100, 400, time_in_force="immediate_or_cancel").filled == 300


def test_frozen_history_brings_a_member_forward_as_the_recorded_queue_trades() -> None:
    floor = Floor(frozen=True)
    floor.crowd("bid", 5000, 500)
    mine = floor.send("ann", "bid", 5000, 100)
    floor.engine.crowd_take(M, "ask", 5000, 300, NOW)
    floor.crowd("bid", 5000, 200)
    assert mine.filled == 0
    floor.engine.crowd_take(M, "ask", 5000, 250, NOW)
    assert mine.filled == 50


def amend(floor: Floor, order: Order, price: int, count: int) -> None:
    orders.amend(
        floor.engine, order.user_id, order.order_id, NOW, ticker=order.ticker, side=order.side, price=price, count=count
    )
