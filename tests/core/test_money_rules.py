"""Money and risk rules to the last unit: each test dies when its rule is altered by one (docs/defects.md)."""

import msgspec
import pytest
from scene import PLAN, T0, TICKER, Scene, market, quote

from bot.core import events as e
from bot.core import risk
from bot.core.effects import CancelOrder, Notice, Wake
from bot.core.fees import fee
from bot.core.grid import Band, PriceGrid
from bot.core.positions import Position, apply_fill, closing_side, mark_value, settle
from bot.core.trades import ExitPlan, Trade, TradeState, break_even, due
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
from bot.core.venue import Accepted, Unknown, VenueFill

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
    assert risk.exposure(scene.state) == {TICKER: 500 * 8_800 + 1_500 * 8_800 + reserve}
    assert risk.reserved(scene.state) == 1_500 * 8_800 + reserve


def _wanted(count: int, ticker: str = TICKER) -> e.Proposal:
    return e.Proposal("t", market(ticker), "bid", Price(8_800), Count(count), "immediate_or_cancel", PLAN, "")


@pytest.mark.parametrize(
    "name", ["max_order_cost", "max_market_exposure", "max_event_exposure", "max_total_exposure", "insufficient_cash"]
)
def test_a_limit_allows_exactly_its_value_and_not_a_millionth_more(name: str) -> None:
    for over in (0, 1):
        scene = Scene()
        cost = risk.entry_cost(_wanted(2_000))
        if name == "insufficient_cash":
            scene.state.cash = Money(cost - over)
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


# exits


def test_break_even_returns_what_was_paid_fees_included() -> None:
    def trade(side: str) -> Trade:
        held = Trade("b-1", TICKER, side, "t", market(), PLAN, T0)  # type: ignore[arg-type]
        held.entered, held.entry_cost, held.fees = Count(1_000), Money(8_800_000), Money(61_500)
        return held

    assert (break_even(trade("bid")), break_even(trade("ask"))) == (8_862, 10_000 - 8_862)
    assert break_even(Trade("b-1", TICKER, "bid", "t", market(), PLAN, T0)) is None


@pytest.mark.parametrize("side, stop, target", [("bid", 8_000, 9_500), ("ask", 2_000, 500)])
def test_each_rule_holds_from_its_own_price_on(side: str, stop: int, target: int) -> None:
    plan = ExitPlan(Price(stop), Price(target), T0 + 1_000, Price(1_000), 3_000)
    trade = Trade("b-1", TICKER, side, "t", market(), plan, T0)  # type: ignore[arg-type]
    worse, better = (-1, 1) if side == "bid" else (1, -1)
    cases = ((stop, "stop"), (stop + worse, "stop"), (stop + better, None), (target, "target"),
             (target + better, "target"), (target + worse, None), (None, None))  # fmt: skip
    for price, kind in cases:
        assert due(trade, price, T0) == kind  # type: ignore[arg-type]
    assert due(trade, None, T0 + 1_000) == "time" and due(trade, None, T0 + 999) is None


def test_a_stop_takes_over_from_a_target_that_is_being_tried() -> None:
    scene = Scene()
    scene.held()
    scene.tick(9_500, 9_600)
    [target] = scene.sent()
    scene.at(1).tick(7_900, 8_000)
    assert scene.trade().exit_kind == "stop" and scene.sent() == [], "the target's order has no answer yet"
    scene.reply(target, 0)
    [stop] = scene.sent()
    assert (stop.price, stop.count) == (6_900, 2_000)


def test_a_target_that_was_refused_while_its_price_is_gone_stands_down() -> None:
    scene = Scene()
    scene.held()
    scene.tick(9_500, 9_600)
    [target] = scene.sent()
    scene.reply(target, 0)
    scene.at(1).tick(9_400, 9_600)
    assert (scene.trade().state, scene.trade().exit_kind, scene.sent()) == (TradeState.OPEN, None, [])


def test_a_stop_keeps_driving_after_its_price_has_recovered() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    scene.reply(scene.sent()[0], 0)
    scene.at(1).tick(8_600, 8_700)
    assert scene.trade().exit_kind == "stop" and [o.count for o in scene.sent()] == [2_000]


def test_every_attempt_has_the_next_number_and_an_unknown_one_its_own_again() -> None:
    scene = Scene()
    trade = scene.held()
    scene.tick(7_900, 8_100)
    first = scene.sent()[0]
    scene.reply(first, 0)
    scene.at(1).tick(7_900, 8_100)
    second = scene.sent()[0]
    assert (first.client_order_id, second.client_order_id) == (f"{trade.id}.x1", f"{trade.id}.x2")
    scene.do(e.CreateReplied(scene.now, second.client_order_id, Unknown("timeout")))
    [again] = scene.sent()
    assert again.client_order_id == second.client_order_id and again.purpose == "exit"
    assert [(w.at_ms, w.ticker) for w in scene.effects if isinstance(w, Wake)] == [(T0 + 2_000, TICKER)]
    scene.at(1.9).tick(7_800, 8_000)
    assert scene.sent() == [], "an id is not sent again within a second"
    assert len(scene.at(2).tick(7_800, 8_000).effects) >= 1 and len(scene.sent()) == 1


def test_fills_reported_and_not_booked_are_not_sold_again() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    [out] = scene.sent()
    scene.reply(out, 1_999)
    assert scene.sent() == []
    scene.at(1).tick(7_900, 8_100)
    assert [o.count for o in scene.sent()] == [1], "one hundredth of a contract is known to be left"


def test_the_smallest_position_is_watched_and_left() -> None:
    scene = Scene()
    scene.held(count=1)
    scene.tick(7_900, 8_100)
    assert [o.count for o in scene.sent()] == [1]


def test_a_trade_without_a_fill_has_nothing_to_leave() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.reply(entry, 0, remaining=2_000)
    scene.tick(7_900, 8_100)
    assert scene.sent() == [] and scene.trade().state is TradeState.OPENING


@pytest.mark.parametrize("side, price, stop", [("bid", 8_800, 100), ("ask", 1_200, 9_900)])
def test_a_time_exit_without_stop_and_price_goes_to_the_end_of_its_own_side(side: str, price: int, stop: int) -> None:
    scene = Scene()
    plan = msgspec.structs.replace(PLAN, stop=None, target=None)
    scene.held(side=side, price=price, plan=plan)
    scene.at(600).sweep(known=False)
    assert [o.price for o in scene.sent()] == [stop]


def test_firing_cancels_live_entries_with_an_id_and_nothing_else() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.reply(entry, 500, remaining=1_500)
    scene.fill(entry, 8_800, 500)
    scene.tick(7_900, 8_100)
    cancel = next(x for x in scene.effects if isinstance(x, CancelOrder))
    assert cancel == CancelOrder(entry.client_order_id, f"x-{entry.client_order_id}", TICKER)
    scene.do(e.CancelReplied(scene.now, entry.client_order_id,
                             Accepted(cancel.order_id, Count(0), Count(0), Count(1_500))))  # fmt: skip
    scene.at(5).do(e.Command(scene.now, "close", "you", {"ticker": TICKER}))
    assert not [x for x in scene.effects if isinstance(x, CancelOrder)], "it has ended"


def test_a_vanished_side_asks_for_another_look_and_is_believed_after_two_seconds_exactly() -> None:
    scene = Scene()
    scene.held()
    scene.tick(None, 8_800)
    assert [(w.at_ms, w.ticker) for w in scene.effects if isinstance(w, Wake)] == [(T0 + 2_000, TICKER)]
    scene.at(1.999).sweep(None, 8_800)
    assert not scene.trade().vanish_confirmed
    scene.at(2).sweep(None, 8_800)
    assert scene.trade().vanish_confirmed


def test_a_tick_of_another_market_moves_nothing_and_the_latency_mark_travels_with_the_exit() -> None:
    scene = Scene()
    scene.held()
    scene.at(1).tick(9_500, 9_600)
    assert scene.sent()[0].tick_ns == (T0 + 1_000) * 1_000_000
    scene = Scene()
    scene.held()
    scene.at(1).sweep(7_900, 8_000)
    assert scene.sent()[0].tick_ns == 0, "a sweep is no tick"


def test_a_closed_trade_tells_who_closed_it() -> None:
    scene = Scene()
    scene.held()
    scene.state.positions[TICKER] = Position(TICKER)
    turn = scene.at(1).tick(8_700, 8_800)
    assert ("warning", "closed_elsewhere", TICKER) in [
        (x.level, x.code, x.ticker) for x in turn.effects if hasattr(x, "code")
    ]


def test_a_large_fee_is_exact_and_tiny_grids_too() -> None:
    assert fee("quadratic", 1, 5_000, 100_000_000, taker=True) == 17_500_000_000, "a million contracts"
    fine = PriceGrid((Band(Price(1), ONE, Price(1)),))
    assert (fine.lowest(), fine.valid(1), fine.highest()) == (1, True, 9_999)
    odd = PriceGrid((Band(Price(25), Price(9_925), Price(100)),))
    assert odd.valid(125) and not odd.valid(75) and (odd.down(224), odd.up(126)) == (125, 225)


def test_a_day_begins_with_its_first_millisecond() -> None:
    scene = Scene()
    midnight = 20_776 * 86_400_000
    scene.state.day, scene.state.day_realized = 20_776, Money(-(10**12))
    assert risk.check_entry(scene.state, _wanted(1), midnight).code == "max_daily_loss"  # type: ignore[union-attr]
    assert risk.check_entry(scene.state, _wanted(1), midnight - 1) is None


def test_a_refusal_of_risk_is_a_refusal_with_its_numbers() -> None:
    scene = Scene()
    scene.state.positions[TICKER] = Position(TICKER, Count(5_000), Money(50_000_000))
    held = risk.check_entry(scene.state, _wanted(1), T0)
    assert held is not None and (held.ok, held.code) == (False, "max_market_exposure")
    scene = Scene()
    scene.state.config.risk["max_open_trades"] = 0
    many = risk.check_entry(scene.state, _wanted(1), T0)
    assert many is not None and (many.ok, many.text) == (False, "0 trades are open, the limit")


def test_an_entry_alone_is_at_risk_with_its_fee_to_the_last_unit() -> None:
    scene = Scene()
    turn = scene.propose()
    assert turn.answer is not None and turn.answer.text == scene.trade().id
    assert risk.exposure(scene.state) == {TICKER: risk.entry_cost(_wanted(2_000))}


def test_an_entry_without_an_answer_holds_back_no_exit() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.fill(entry, 8_800, 500)
    scene.tick(7_900, 8_100)
    assert [o.count for o in scene.sent()] == [500], "its reply has not come"
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Unknown("timeout")))
    scene.fill(entry, 8_800, 500)
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Unknown("timeout")))
    scene.tick(7_900, 8_100)
    assert [(o.purpose, o.count) for o in scene.sent()] == [("exit", 500)]


def test_an_exit_reported_as_filled_in_full_is_not_sent_again_while_its_fills_are_on_their_way() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    [out] = scene.sent()
    scene.reply(out, 2_000)
    for second in (1, 2, 3):
        scene.at(second).tick(7_800, 8_000)
        assert scene.sent() == []


def test_a_target_that_came_back_too_soon_sends_nothing_and_makes_room_for_the_stop() -> None:
    scene = Scene()
    scene.held()
    scene.tick(9_500, 9_600)
    scene.reply(scene.sent()[0], 0)
    assert scene.trade().state is TradeState.OPEN
    scene.at(0.1).tick(9_500, 9_600)
    assert (scene.trade().state, scene.sent()) == (TradeState.EXITING, []), "250 ms between two orders of one trade"
    scene.at(0.15).tick(9_400, 9_600)
    assert (scene.trade().state, scene.trade().exit_kind) == (TradeState.OPEN, None)
    scene.at(0.2).tick(9_500, 9_600)
    scene.at(0.22).tick(7_900, 8_000)
    assert [(o.price, o.tick_ns) for o in scene.sent()] == [(6_900, (T0 + 220) * 1_000_000)], "a stop waits for nothing"


def test_the_order_that_a_later_tick_sends_carries_that_ticks_time() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    scene.reply(scene.sent()[0], 0)
    scene.at(1).tick(7_800, 8_000)
    assert [o.tick_ns for o in scene.sent()] == [(T0 + 1_000) * 1_000_000]


def test_nothing_fires_in_a_market_that_takes_no_orders() -> None:
    scene = Scene()
    scene.held()
    scene.do(e.MarketChange(scene.now, TICKER, "inactive"))
    scene.at(1).tick(7_000, 7_100)
    assert scene.trade().state is TradeState.OPEN


@pytest.mark.parametrize(
    "side, price, words", [("bid", 8_800, "YES 20.00 at up to 0.8800"), ("ask", 1_200, "NO 20.00 at up to 0.8800")]
)
def test_an_entry_is_told_in_the_words_of_the_side_it_buys(side: str, price: int, words: str) -> None:
    turn = Scene().propose(side, price)
    assert [(x.code, x.text, x.ticker) for x in turn.effects if isinstance(x, Notice)] == [
        ("entry", f"enter {words}: why", TICKER)
    ]


@pytest.mark.parametrize("price, words", [(7_900, "0.7900"), (None, "no price")])
def test_an_exit_is_told_with_the_price_it_saw_and_what_is_open(price: int | None, words: str) -> None:
    scene = Scene()
    scene.held(plan=msgspec.structs.replace(PLAN, time_exit_ms=T0))
    turn = scene.sweep(price, 8_100) if price else scene.sweep(known=False)
    kind = "stop" if price else "time"
    assert [(x.code, x.text, x.ticker) for x in turn.effects if isinstance(x, Notice)] == [
        (f"exit_{kind}", f"{kind} fired at {words}, 20.00 open", TICKER)
    ]


def test_a_vanished_quote_is_told_with_its_market_and_how_long() -> None:
    scene = Scene()
    scene.held()
    scene.tick(None, 8_800)
    turn = scene.at(2.5).sweep(None, 8_800)
    assert [(x.text, x.ticker) for x in turn.effects if isinstance(x, Notice)] == [
        ("no price to leave at for 2500 ms", TICKER)
    ]


def test_nothing_is_entered_before_the_account_was_read() -> None:
    scene = Scene()
    scene.state.cash = None
    answer = scene.do(e.Propose(scene.now, _wanted(100), 0)).answer
    assert answer is not None and answer.code == "no_baseline"


def test_a_market_that_was_told_as_closed_is_refused_by_that_name() -> None:
    answer = Scene().propose(status="closed").answer
    assert answer is not None and answer.text == "the market is closed"


def test_an_exit_that_no_tick_caused_carries_no_ticks_time() -> None:
    scene = Scene()
    scene.held()
    scene.do(e.Command(scene.now, "close", "you", {"ticker": TICKER}, {TICKER: quote(8_700, 8_800)}))
    [first] = scene.sent()
    scene.do(e.CreateReplied(scene.now, first.client_order_id, Unknown("timeout")))
    [again] = scene.sent()
    assert (first.tick_ns, again.tick_ns) == (0, 0)
