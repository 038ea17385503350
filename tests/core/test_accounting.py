"""Books: cash and positions to the last unit, settlements once, differences found, deposits named."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scene import T0, TICKER, Scene, market

from bot.core import events as e
from bot.core.fees import fee
from bot.core.positions import Position, apply_fill, mark_value
from bot.core.trades import TradeState
from bot.core.units import Count, Money, Price, format_money, format_price, parse_count, parse_money, parse_price
from bot.core.venue import Quote, Settlement, VenueFill, VenueOrder, VenuePosition

SIDES = st.sampled_from(["bid", "ask"])
FILLS = st.lists(st.tuples(SIDES, st.integers(1, 9_999), st.integers(1, 5_000), st.integers(0, 90_000)), max_size=30)


def fill(side: str, price: int, count: int, cost: int = 0) -> VenueFill:
    return VenueFill("t", "o", "", TICKER, side, Price(price), Count(count), Money(cost), True, T0)  # type: ignore[arg-type]


def settlement(revenue: int, settled_ms: int = T0 + 5_000, result: str = "yes", ticker: str = TICKER) -> Settlement:
    return Settlement(ticker, result, Money(revenue), Money(0), Count(0), Count(0), settled_ms)


@given(FILLS)
def test_cash_cost_and_realised_always_add_up(fills: list[tuple[str, int, int, int]]) -> None:
    position, cash, paid = Position(TICKER), 0, 0
    for side, price, count, cost in fills:
        position, change = apply_fill(position, fill(side, price, count, cost))
        cash, paid = cash + change, paid + cost
    assert cash == position.realized - position.cost - paid
    assert position.cost >= 0 and (position.count != 0 or position.cost == 0)


@given(FILLS)
def test_buying_no_is_selling_yes_with_every_price_mirrored(fills: list[tuple[str, int, int, int]]) -> None:
    yes, no, yes_cash, no_cash = Position(TICKER), Position(TICKER), 0, 0
    for side, price, count, cost in fills:
        yes, change = apply_fill(yes, fill(side, price, count, cost))
        yes_cash += change
        no, change = apply_fill(no, fill("ask" if side == "bid" else "bid", 10_000 - price, count, cost))
        no_cash += change
    assert (yes_cash, yes.cost, yes.realized, yes.count) == (no_cash, no.cost, no.realized, -no.count)


def test_the_worked_example_of_the_fact_sheet() -> None:
    position, first = apply_fill(Position(TICKER), fill("bid", 4_000, 1_000, 168_000))
    position, second = apply_fill(position, fill("ask", 5_500, 400, 69_300))
    assert (position.count, position.cost, position.realized, position.fees) == (600, 2_400_000, 600_000, 237_300)
    assert first + second == -2_037_300


@pytest.mark.parametrize(
    "kind, multiplier, price, count, taker, expected",
    [
        ("quadratic", 1, 5_200, 100, True, "0.017500"),
        ("quadratic", 1, 9_900, 100, True, "0.000700"),
        ("quadratic", 1, 4_000, 1_000, True, "0.168000"),
        ("quadratic_with_maker_fees", 1, 4_000, 1_000, False, "0.042000"),
        ("quadratic_with_maker_fees", 1, 500, 10_000, False, "0.083200"),
        ("quadratic", 1, 3_301, 3, True, "0.000500"),
        ("quadratic", 0.5, 4_000, 1_000, True, "0.084000"),
        ("quadratic_with_combo_maker_fees", 1, 4_000, 1_000, False, "0.084000"),
        ("quadratic", 1, 4_000, 1_000, False, "0.000000"),
    ],
)
def test_fees_equal_the_table_of_the_fact_sheet(
    kind: str, multiplier: float, price: int, count: int, taker: bool, expected: str
) -> None:
    assert format_money(fee(kind, multiplier, price, count, taker=taker)) == expected


def test_a_position_is_marked_at_the_side_it_can_be_left_at() -> None:
    seen = Quote(TICKER, Price(8_600), Price(9_000), Count(100), Count(100), T0, T0, "book")
    assert mark_value(Position(TICKER, Count(100)), seen) == 860_000
    assert mark_value(Position(TICKER, Count(-100)), seen) == 100_000
    empty = Quote(TICKER, None, Price(9_000), Count(0), Count(100), T0, T0, "book")
    assert mark_value(Position(TICKER, Count(100)), empty) is None


def test_the_books_begin_with_the_account_as_found_and_its_positions_get_a_plan() -> None:
    scene = Scene.__new__(Scene)
    Scene.__init__(scene)
    fresh = Scene()
    fresh.state.cash = None
    found = VenuePosition(TICKER, Count(1_000), Money(8_500_000), Money(0), Money(50_000))
    fresh.read(cash=700_000_000, positions=[found], markets={TICKER: market()})
    trade = fresh.state.trade_at(TICKER)
    assert fresh.state.cash == 700_000_000 and trade is not None
    assert (trade.open_count(), trade.plan.stop, trade.strategy) == (1_000, 7_500, "adopted")
    fresh.at(1).tick(7_400, 7_500)
    assert [o.count for o in fresh.sent()] == [1_000]


def test_a_settlement_is_booked_once_however_often_it_is_read() -> None:
    scene = Scene()
    scene.held()
    before = scene.state.cash
    for second in (10, 20, 30):
        scene.at(second).read(settlements=(settlement(20_000_000),))
    assert before is not None and scene.state.cash == before + 20_000_000
    assert scene.state.position(TICKER).count == 0
    assert (scene.trade().state, scene.trade().exit_kind) == (TradeState.CLOSED, "settlement")
    assert scene.trade().pnl() == 20_000_000 - 17_600_000 - 10_000


def test_a_settlement_of_a_sibling_market_leaves_ours_alone() -> None:
    scene = Scene()
    scene.held()
    scene.at(10).read(settlements=(settlement(0, ticker="KXNBAGAME-26NOV21BOSDET-DET"),))
    assert scene.state.position(TICKER).count == 2_000 and scene.trade().live()


def test_a_missed_fill_is_taken_from_the_reading() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.reply(entry, 2_000)
    missed = VenueFill(
        "late", f"x-{entry.client_order_id}", "", TICKER, "bid", Price(8_800), Count(2_000), Money(9_000), True, T0
    )
    for second in (10, 20, 30):
        scene.at(second).read(fills=(missed,))
    assert scene.state.position(TICKER).count == 2_000 and scene.trade().state is TradeState.OPEN


def test_a_difference_counts_when_it_outlasts_read_lag_and_stops_entries_in_that_market_only() -> None:
    scene = Scene()
    scene.at(10).read(positions=[VenuePosition(TICKER, Count(500), Money(1), Money(0), Money(0))])
    assert scene.state.findings == {}
    scene.at(20).read(positions=[VenuePosition(TICKER, Count(500), Money(1), Money(0), Money(0))])
    assert [f.kind for f in scene.state.findings.values()] == ["position"]
    wrong = [VenuePosition(TICKER, Count(500), Money(1), Money(0), Money(0))]
    assert propose_with(scene, wrong, TICKER) == "position_difference"
    assert propose_with(scene, wrong, "KXNBAGAME-26NOV21LALNYK-LAL") == "entered"


def propose_with(scene: Scene, positions: list[VenuePosition], ticker: str) -> str:
    from scene import PLAN

    wanted = e.Proposal("test", market(ticker), "bid", Price(8_800), Count(100), "immediate_or_cancel", PLAN, "why")
    scene.read(positions=positions)
    answer = scene.do(e.Propose(scene.now, wanted, 0)).answer
    assert answer is not None
    return answer.code


def test_a_difference_that_goes_away_is_resolved() -> None:
    scene = Scene()
    wrong = [VenuePosition(TICKER, Count(500), Money(1), Money(0), Money(0))]
    for second in (10, 20):
        scene.at(second).read(positions=wrong)
    scene.at(30).read(positions=[])
    assert scene.state.findings == {} and scene.state.suspects == {}


def test_the_exchange_still_showing_an_exited_position_is_no_difference() -> None:
    scene = Scene()
    scene.held()
    scene.at(60).tick(7_900, 8_100)
    [out] = scene.sent()
    scene.reply(out, 2_000)
    scene.fill(out, 7_900, 2_000)
    lagging = [VenuePosition(TICKER, Count(2_000), Money(17_600_000), Money(0), Money(0))]
    for second in (60.5, 61.0, 61.5):
        scene.at(second).read(positions=lagging)
    assert scene.state.findings == {} and scene.state.suspects == {}
    assert scene.state.live_trade == {}, "it is not adopted again"


def test_a_deposit_is_a_finding_and_never_profit() -> None:
    scene = Scene()
    realized = scene.state.realized
    for second in (10, 20):
        scene.at(second).read(cash=1_500_000_000)
    assert scene.state.realized == realized and scene.state.cash == 1_000_000_000
    assert [(f.kind, f.theirs - f.ours) for f in scene.state.findings.values()] == [("cash", 500_000_000)]
    scene.at(21)
    wanted = scene.propose
    scene.read = lambda **changes: Scene.read(scene, cash=1_500_000_000)  # type: ignore[method-assign]
    answer = wanted().answer
    assert answer is not None and answer.code == "cash_difference"


def test_a_foreign_order_is_reported_once_and_left_alone() -> None:
    scene = Scene()
    foreign = VenueOrder("theirs", "", TICKER, "bid", Price(100), Count(10), Count(0), Count(10), "resting", T0, T0)
    for second in (10, 20, 30):
        scene.at(second).read(resting=(foreign,))
    assert [f.key for f in scene.state.findings.values()] == ["theirs"]
    scene.at(40).read()
    assert scene.state.findings == {}


def test_ended_trades_leave_the_state_after_their_time() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    [out] = scene.sent()
    scene.reply(out, 2_000)
    scene.fill(out, 7_900, 2_000)
    scene.at(3 * 3_600).read()
    assert (scene.state.orders, scene.state.trades, scene.state.fill_ids) == ({}, {}, {})


@given(st.integers(1, 9_999))
def test_every_price_round_trips(price: int) -> None:
    assert parse_price(format_price(price)) == price == int(Decimal(format_price(price)) * 10_000)


@pytest.mark.parametrize("text", ["", ".", "1.23456", "1e3", "0,5", " 1", "+1", "1.", "٣", "--1", "nan"])
def test_what_is_not_a_decimal_string_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_price(text)
    with pytest.raises(ValueError):
        parse_count(text)


def test_numbers_are_refused_where_strings_belong() -> None:
    with pytest.raises(ValueError):
        parse_money(5.0)  # type: ignore[arg-type]


def test_a_found_position_that_already_trades_below_its_stop_is_not_sold_at_once() -> None:
    scene = Scene()
    scene.state.cash = None
    found = VenuePosition(TICKER, Count(1_000), Money(8_500_000), Money(0), Money(0))
    seen = Quote(TICKER, Price(6_000), Price(6_100), Count(100), Count(100), T0, T0, "rest")
    scene.read(cash=700_000_000, positions=[found], markets={TICKER: market()}, quotes={TICKER: seen})
    scene.at(1).tick(6_000, 6_100)
    assert scene.sent() == [] and scene.trade().plan.stop == 5_000
    scene.at(2).tick(5_000, 5_100)
    assert [o.count for o in scene.sent()] == [1_000]
