"""Money and risk rules to the last unit: each test dies when its rule is altered by one (docs/defects.md)."""

import pytest
from scene import PLAN, T0, TICKER, Scene, market, quote

from bot.core import events as e
from bot.core import risk
from bot.core.effects import Notice
from bot.core.fees import fee
from bot.core.grid import Band, PriceGrid
from bot.core.positions import Position, apply_fill, closing_side, mark_value, settle
from bot.core.units import (
    ONE,
    Count,
    Money,
    Price,
    complement,
    format_count,
    format_money,
    parse_count,
    parse_money,
    parse_price,
)
from bot.core.venue import VenueFill

OTHER = "KXNBAGAME-26NOV21LALNYK-LAL"
TAPERED = PriceGrid((Band(Price(0), Price(1_000), Price(10)), Band(Price(1_000), Price(9_050), Price(100)),
                     Band(Price(9_050), ONE, Price(25))))  # fmt: skip
INNER = PriceGrid((Band(Price(200), Price(9_700), Price(100)),))


def fill(side: str, price: int, count: int, paid: int = 0) -> VenueFill:
    return VenueFill("t", "o", "", TICKER, side, Price(price), Count(count), Money(paid), True, T0)  # type: ignore[arg-type]


# units


def test_each_unit_has_its_own_scale_and_sign() -> None:
    assert (parse_price("0.29"), parse_count("12.5"), parse_money("-3.05")) == (2_900, 1_250, -3_050_000)
    assert parse_price("-0.0100") == -100 and parse_price("0.56000") == 5_600
    assert (format_count(1_234), format_money(-50_000)) == ("12.34", "-0.050000")
    assert complement(3_300) == 6_700


@pytest.mark.parametrize("text", ["0.123", "1.001"])
def test_a_count_finer_than_a_hundredth_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="finer than 2"):
        parse_count(text)


# grid


@pytest.mark.parametrize("price", [10, 990, 1_000, 1_100, 9_000, 9_050, 9_075, 9_975])
def test_prices_on_the_grid_are_valid_and_their_own_neighbours(price: int) -> None:
    assert TAPERED.valid(price) and TAPERED.down(price) == TAPERED.up(price) == price


@pytest.mark.parametrize("price, down, up", [(15, 10, 20), (1_050, 1_000, 1_100), (9_030, 9_000, 9_050),
                                             (9_060, 9_050, 9_075), (9_999, 9_975, 9_975), (1, 10, 10)])  # fmt: skip
def test_prices_off_the_grid_have_neighbours_on_it(price: int, down: int, up: int) -> None:
    assert not TAPERED.valid(price) and (TAPERED.down(price), TAPERED.up(price)) == (down, up)


def test_nothing_and_one_dollar_are_never_prices() -> None:
    assert not TAPERED.valid(0) and not TAPERED.valid(ONE)
    assert (TAPERED.lowest(), TAPERED.highest(), INNER.lowest(), INNER.highest()) == (10, 9_975, 200, 9_700)
    assert (INNER.down(100), INNER.up(9_900), INNER.down(9_900), INNER.up(100)) == (200, 9_700, 9_700, 200)
    assert INNER.valid(200) and INNER.valid(9_700) and not INNER.valid(9_800) and not INNER.valid(250)


# fees


def test_an_unknown_fee_type_is_charged_as_a_taker() -> None:
    assert fee("of the future", 1, 4_000, 1_000, taker=False) == fee("quadratic", 1, 4_000, 1_000, taker=True)


def test_a_fee_is_rounded_up_to_a_ten_thousandth_of_a_dollar_and_not_beyond() -> None:
    assert fee("quadratic", 1, 5_000, 1, taker=True) == 200, "0.000175 dollar"
    assert fee("quadratic", 1, 5_000, 400, taker=True) == 70_000, "exactly 0.07 dollar"


# positions


@pytest.mark.parametrize("side, price, cost", [("bid", 4_000, 4_000), ("ask", 6_000, 4_000)])
def test_adding_to_a_position_costs_and_realises_nothing(side: str, price: int, cost: int) -> None:
    held, _ = apply_fill(Position(TICKER), fill(side, price, 1_000))
    more, cash = apply_fill(held, fill(side, price, 500))
    assert (abs(more.count), more.cost, more.realized, cash) == (1_500, 1_500 * cost, 0, -500 * cost)


def test_one_contract_short_is_a_position_like_any_other() -> None:
    """Failure case 6: a genuine short of one contract collided with a sentinel."""
    short, cash = apply_fill(Position(TICKER), fill("ask", 6_000, 1, 7))
    assert (short.count, short.cost, cash) == (-1, 4_000, -4_007)
    assert mark_value(short, quote(5_000, 5_500)) == 4_500 and closing_side(short.count) == "bid"
    flat, back = apply_fill(short, fill("bid", 5_500, 1))
    assert (flat.count, flat.cost, flat.realized, back) == (0, 0, 500, 4_500)


def test_crossing_zero_closes_first_and_opens_the_rest() -> None:
    long, _ = apply_fill(Position(TICKER), fill("bid", 4_000, 300))
    short, cash = apply_fill(long, fill("ask", 5_000, 500))
    assert (short.count, short.cost, short.realized) == (-200, 200 * 5_000, 300 * 1_000)
    assert cash == 300 * 5_000 - 200 * 5_000


def test_a_settled_position_is_gone_and_its_cost_is_realised() -> None:
    held = Position(TICKER, Count(1_000), Money(4_000_000), Money(50), Money(60))
    assert settle(held, Money(10_000_000)) == Position(TICKER, Count(0), Money(0), Money(6_000_050), Money(60))
    assert settle(held, Money(0)).realized == 50 - 4_000_000


def test_a_mark_is_what_leaving_would_bring_or_unknown() -> None:
    assert mark_value(Position(TICKER), None) == 0
    for count in (1, -1, 700, -700):
        assert mark_value(Position(TICKER, Count(count)), None) is None
        assert mark_value(Position(TICKER, Count(count)), quote(None, None)) is None
    assert mark_value(Position(TICKER, Count(1)), quote(6_000, None)) == 6_000
    assert mark_value(Position(TICKER, Count(-1)), quote(None, 6_100)) == 3_900


# exposure and limits


@pytest.mark.parametrize("side, limit, each", [("bid", 8_800, 8_800), ("ask", 1_200, 8_800), ("ask", 7_000, 3_000)])
def test_an_entry_costs_its_contracts_at_the_limit_on_its_own_side_with_the_highest_fee(
    side: str, limit: int, each: int
) -> None:
    wanted = e.Proposal("t", market(), side, Price(limit), Count(500), "immediate_or_cancel", PLAN, "")  # type: ignore[arg-type]
    highest = max(fee(market().fee_type, 1, p, 500, taker=True) for p in range(1, each + 1))
    assert risk.entry_fee(wanted) == highest
    assert risk.entry_cost(wanted) == each * 500 + highest


def test_what_is_held_and_what_may_still_be_bought_add_up_in_one_market() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.reply(entry, 500, remaining=1_500)
    scene.fill(entry, 8_800, 500)
    reserve = -(-risk.entry_fee(_wanted(2_000)) * 1_500 // 2_000)
    assert risk.exposure(scene.state) == 500 * 8_800 + 1_500 * 8_800 + reserve
    assert risk.reserved(scene.state) == 1_500 * 8_800 + reserve


def _wanted(count: int, ticker: str = TICKER) -> e.Proposal:
    return e.Proposal("t", market(ticker), "bid", Price(8_800), Count(count), "immediate_or_cancel", PLAN, "")


@pytest.mark.parametrize(
    "name",
    [
        "max_order_cost",
        "max_market_exposure",
        "max_event_exposure",
        "max_series_exposure",
        "max_total_exposure",
        "insufficient_cash",
        "insufficient_shard_cash",
    ],
)
def test_a_limit_allows_exactly_its_value_and_not_a_millionth_more(name: str) -> None:
    for over in (0, 1):
        scene = Scene()
        cost = risk.entry_cost(_wanted(2_000))
        if name == "insufficient_cash":
            scene.state.cash = Money(cost - over)
        elif name == "insufficient_shard_cash":
            scene.read(shards={"0": Money(cost - over), "3": Money(10**12)})
        else:
            scene.state.config.risk[name] = cost - over
        answer = scene.propose().answer
        assert answer is not None and answer.ok is not bool(over)
        if over:
            assert answer.code == name and format_money(cost) in answer.text and format_money(cost - 1) in answer.text


def test_a_days_loss_exactly_at_its_limit_still_allows_entries() -> None:
    scene = Scene()
    scene.state.day = T0 // 86_400_000
    limit = scene.state.config.risk["max_daily_loss"]
    scene.state.day_realized = Money(-limit)
    assert scene.propose().answer.ok  # type: ignore[union-attr]
    scene = Scene()
    scene.state.day, scene.state.day_realized = T0 // 86_400_000, Money(-limit - 1)
    assert scene.propose().answer.code == "max_daily_loss"  # type: ignore[union-attr]


def test_only_the_proposals_own_market_is_owned() -> None:
    """The gates look at this market, not at any."""
    scene = Scene()
    scene.held()
    assert scene.propose(ticker=OTHER).answer.ok  # type: ignore[union-attr]


def test_the_smallest_size_is_a_hundredth_of_a_contract() -> None:
    assert Scene().propose(count=1).answer.ok  # type: ignore[union-attr]


@pytest.mark.parametrize("age, ok", [(15_000, True), (15_001, False)])
def test_a_reading_may_be_as_old_as_the_interval_and_its_grace(age: int, ok: bool) -> None:
    scene = Scene()
    scene.now += age
    assert scene.do(e.Propose(scene.now, _wanted(100), 0)).answer.ok is ok  # type: ignore[union-attr]


def test_a_position_without_a_trade_and_a_market_that_was_halted_are_refused_there_only() -> None:
    scene = Scene()
    scene.state.positions[TICKER] = Position(TICKER, Count(100), Money(1))
    assert scene.propose().answer.code == "position_exists"  # type: ignore[union-attr]
    assert scene.propose(ticker=OTHER).answer.ok  # type: ignore[union-attr]
    scene = Scene()
    scene.state.status[TICKER] = "inactive"
    answer = scene.propose().answer
    assert answer is not None and (answer.code, answer.text) == ("market_inactive", "the market is inactive")


def test_an_earlier_order_that_is_not_settled_keeps_its_market_closed_for_entries() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    [out] = scene.sent()
    scene.reply(out, 2_000)
    scene.fill(out, 7_900, 2_000)
    next(iter(scene.state.orders.values())).booked = Count(1_900)
    assert scene.at(400).propose().answer.code == "order_outstanding"  # type: ignore[union-attr]


@pytest.mark.parametrize("after_ms, code", [(299_999, "cooldown"), (300_000, "entered")])
def test_a_cooldown_lasts_exactly_as_long_as_it_says(after_ms: int, code: str) -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    [out] = scene.sent()
    scene.reply(out, 2_000)
    scene.fill(out, 7_900, 2_000)
    scene.now += after_ms
    assert scene.propose().answer.code == code  # type: ignore[union-attr]


def test_a_large_fee_is_exact_and_tiny_grids_too() -> None:
    assert fee("quadratic", 1, 5_000, 100_000_000, taker=True) == 17_500_000_000, "a million contracts"
    fine = PriceGrid((Band(Price(1), ONE, Price(1)),))
    assert (fine.lowest(), fine.valid(1), fine.highest()) == (1, True, 9_999)
    odd = PriceGrid((Band(Price(25), Price(9_925), Price(100)),))
    assert odd.valid(125) and not odd.valid(75) and (odd.down(224), odd.up(126)) == (125, 225)


def test_a_day_begins_with_its_first_millisecond() -> None:
    scene = Scene()
    midnight = 20_776 * 86_400_000
    scene.state.day, scene.state.day_realized = 20_775, Money(-(10**12))
    assert risk.check_entry(scene.state, _wanted(1), midnight - 1).code == "max_daily_loss"  # type: ignore[union-attr]
    assert risk.check_entry(scene.state, _wanted(1), midnight) is None


def test_a_refusal_of_risk_is_a_refusal_with_its_numbers() -> None:
    scene = Scene()
    scene.state.positions[TICKER] = Position(TICKER, Count(5_000), Money(50_000_000))
    held = risk.check_entry(scene.state, _wanted(1), T0)
    assert held is not None and (held.ok, held.code) == (False, "max_market_exposure")
    scene = Scene()
    scene.state.config.risk["max_open_trades"] = 0
    many = risk.check_entry(scene.state, _wanted(1), T0)
    assert many is not None and (many.ok, many.text) == (False, "max_open_trades: 1 is over 0")


def test_an_entry_alone_is_at_risk_with_its_fee_to_the_last_unit() -> None:
    scene = Scene()
    turn = scene.propose()
    assert turn.answer is not None and turn.answer.text == scene.trade().id
    assert risk.exposure(scene.state) == risk.entry_cost(_wanted(2_000))


@pytest.mark.parametrize(
    "side, price, words", [("bid", 8_800, "YES 20.00 at up to 0.8800"), ("ask", 1_200, "NO 20.00 at up to 0.8800")]
)
def test_an_entry_is_told_in_the_words_of_the_side_it_buys(side: str, price: int, words: str) -> None:
    turn = Scene().propose(side, price)
    assert [(x.code, x.text, x.ticker) for x in turn.effects if isinstance(x, Notice)] == [
        ("entry", f"enter {words}: why", TICKER)
    ]


def test_nothing_is_entered_before_the_account_was_read() -> None:
    scene = Scene()
    scene.state.cash = None
    answer = scene.do(e.Propose(scene.now, _wanted(100), 0)).answer
    assert answer is not None and answer.code == "no_baseline"


def test_a_market_that_was_told_as_closed_is_refused_by_that_name() -> None:
    answer = Scene().propose(status="closed").answer
    assert answer is not None and answer.text == "the market is closed"
