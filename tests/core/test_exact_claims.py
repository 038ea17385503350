"""What a mutation tester changed unseen: claims, accepted differences and readings, to the last figure; NO as YES."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from scene import T0, TICKER, Scene, market, quote
from test_adopting import OURS, wiped
from test_claiming import alarms, external, strange
from test_recall import entering

from bot.core import adopting, claiming, commands
from bot.core import events as e
from bot.core import facts as f
from bot.core.effects import CancelOrder, Notice
from bot.core.trades import ExitPlan, TradeState
from bot.core.turn import Answer, Turn
from bot.core.units import Count, Money, Price
from bot.core.venue import Quote, Settlement, Transfer, VenueFill, VenueOrder

LATER = "KXZ-26NOV21-A"
"""A market that sorts after the scene's."""


def say(
    scene: Scene, verb: str, at: Quote | None = None, about: bool = True, args: dict[str, Any] | None = None
) -> Answer:
    quotes = {} if at is None else {TICKER: at}
    word = e.Command(scene.now, verb, "anna", args or {}, quotes, market() if about else None)
    answer = scene.do(word).answer
    assert answer is not None and msgspec.convert(msgspec.to_builtins(answer), Answer) == answer
    return answer


def facts_of(turn: Turn, kind: type[Any]) -> list[Any]:
    return [x for x in turn.facts if isinstance(x, kind)]


def notices(scene: Scene) -> list[Notice]:
    return [x for x in scene.effects if isinstance(x, Notice)]


def by_hand(scene: Scene, side: str, count: int, ticker: str = TICKER, price: int = 4_000) -> Scene:
    row = VenueFill(f"h{len(scene.facts)}", f"theirs{len(scene.facts)}", "", ticker, side, Price(price), Count(count),
                    Money(0), True, scene.now)  # type: ignore[arg-type]  # fmt: skip
    scene.do(e.FillSeen(scene.now, row))
    return scene


def lost(side: str = "bid", from_s: float = 3_610) -> Scene:
    """3.00 of what somebody bought by hand are gone, and the finding says so."""
    scene = external(side=side)
    for at in (from_s, from_s + 10):
        scene.at(at).read(positions=[])
    assert f"position:{TICKER}" in scene.state.findings
    return scene


# Each is left at the price of its side: YES at 0.39, below its cost; NO at 0.50, below its cost of 0.60.
@pytest.mark.parametrize(
    "side, seen, stop, cost, what",
    [
        ("bid", (3_900, 4_100), 2_900, 1_200_000, "YES 3.00: stop 0.2900, target none"),
        ("ask", (4_800, 5_000), 6_000, 1_800_000, "NO 3.00: stop 0.4000, target none"),
    ],
)
def test_a_claim_is_recorded_with_cost_and_plan_and_told(
    side: Any, seen: tuple[int, int], stop: int, cost: int, what: str
) -> None:
    scene = external(side=side)
    known = len(scene.facts)
    assert say(scene, "claim", quote(*seen), args={"ticker": TICKER, "reason": "mine"}) == Answer(True, "claimed", what)
    plan = ExitPlan(Price(stop), None, None, Price(1_000), 3_000)
    assert scene.facts[known:] == [
        f.TradeOpened(scene.now, "b1-0", TICKER, side, "claimed", market(), plan, "claimed by anna", 1, Count(300),
                      Money(cost))
    ]  # fmt: skip
    assert scene.effects == [Notice("warning", "claimed", f"claimed by anna; {what}", TICKER)]
    assert (scene.trade().entered, scene.trade().entry_cost) == (300, cost)


@pytest.mark.parametrize("side, held, stop", [("bid", "0.01 YES", 3_000), ("ask", "0.01 NO", 5_000)])
def test_a_hundredth_of_a_contract_is_named_claimed_and_left_like_any_other_position(
    side: str, held: str, stop: int
) -> None:
    scene = external(1, side)
    assert f"nobody manages {held} in {TICKER}" in say(scene, "flatten").text
    assert say(scene, "claim", args={"ticker": TICKER}).ok
    assert (scene.trade().side, scene.trade().plan.stop) == (side, stop)
    assert say(scene, "flatten").text == commands.SAYS["flatten"]
    assert [(x.side, x.count) for x in scene.sent()] == [("ask" if side == "bid" else "bid", 1)]


@pytest.mark.parametrize("side, at_once, below", [("bid", "0.3900", "0.3800"), ("ask", "0.5900", "0.5800")])
def test_a_claims_plan_is_compared_with_the_price_its_side_is_left_at(side: str, at_once: str, below: str) -> None:
    scene = external(side=side)
    answer = say(scene, "claim", quote(3_900, 4_100), args={"ticker": TICKER, "stop": at_once})
    why = f"stop: has to be below {at_once}, the price now, or it would fire at once"
    assert answer == Answer(False, "invalid_plan", why)
    answer = say(scene, "claim", quote(3_900, 4_100), args={"ticker": TICKER, "stop": below})
    assert answer.ok and f"stop {below}," in answer.text


def test_a_claim_without_a_price_takes_what_needs_none() -> None:
    scene = external()
    answer = say(scene, "claim", args={"ticker": TICKER, "stop": "0.2000"})
    assert (answer.code, answer.text[:27]) == ("invalid_plan", "stop: there is no price now")
    assert say(scene, "claim", args={"ticker": TICKER, "time_exit_ms": scene.now + 1}).ok
    assert (scene.trade().plan.stop, scene.trade().plan.time_exit_ms) == (3_000, scene.now + 1)


def beside_an_entry() -> Scene:
    scene = Scene()
    scene.propose()
    strange(scene.at(10))
    return scene


def beside_an_entry_that_filled() -> Scene:
    scene = Scene()
    scene.held()
    return scene


def beside_a_position() -> Scene:
    scene = external()
    strange(scene)
    return scene


def stranger() -> Scene:
    scene = Scene().at(3_600)
    strange(scene)
    return scene


@pytest.mark.parametrize(
    "begin, verb, args, about, code, words",
    [
        (Scene, "claim", {}, True, "no_position", "no position"),
        (lost, "claim", {"ticker": TICKER}, True, "position_difference", TICKER),
        (beside_an_entry_that_filled, "claim", {"ticker": TICKER}, True, "market_owned", TICKER),
        (external, "claim", {"ticker": TICKER}, False, "no_market", TICKER),
        (Scene, "claim_order", {}, True, "no_order", "no resting order"),
        (beside_an_entry, "claim_order", {"order": "v1"}, True, "market_owned", TICKER),
        (beside_a_position, "claim_order", {"order": "v1"}, True, "market_owned", TICKER),
        (stranger, "claim_order", {"order": "v1"}, False, "no_market", TICKER),
        (Scene, "accept", {}, True, "no_difference", "open now: none"),
        (lost, "accept", {"difference": "cash:account"}, True, "no_difference", f"open now: position:{TICKER}"),
        (lost, "accept", {"difference": f"position:{TICKER}"}, True, "invalid_amount", "the difference is -3.00"),
        (
            lost, "accept", {"difference": f"position:{TICKER}", "amount": "3"}, True, "amount_changed",
            "the difference is -3.00 now, not 3.00",
        ),
    ],
)  # fmt: skip
def test_what_may_not_be_claimed_or_accepted_is_refused_and_changes_nothing(
    begin: Callable[[], Scene], verb: str, args: dict[str, Any], about: bool, code: str, words: str
) -> None:
    scene = begin()
    known = len(scene.facts)
    answer = say(scene, verb, quote(3_900, 4_100), about, args)
    assert (answer.ok, answer.code) == (False, code) and words in answer.text
    assert scene.facts[known:] == [] and scene.effects == []


@pytest.mark.parametrize("side, each, stop", [("bid", 3_000, 2_000), ("ask", 7_000, 4_000)])
def test_a_claimed_order_is_recorded_whole_and_what_it_fills_cost_its_own_price(
    side: Any, each: int, stop: int
) -> None:
    scene = Scene().at(3_600)
    order = VenueOrder("v1", "", TICKER, side, Price(3_000), Count(500), Count(0), Count(500), "resting", 0, 0)
    scene.read(resting=(order,))
    known = len(scene.facts)
    words = "v1: what it fills gets the default plan"
    assert say(scene, "claim_order", args={"order": "v1"}) == Answer(True, "claimed", words)
    plan = ExitPlan(Price(stop), None, None, Price(1_000), 3_000)
    assert scene.facts[known:] == [
        f.Difference(scene.now, "order", "v1", 0, 0, resolved=True),
        f.TradeOpened(scene.now, "b1-0", TICKER, side, "claimed", market(), plan, "claimed by anna", 1),
        f.OrderAdopted(scene.now, "v1", "b1-0", "entry", order, Count(0), False),
    ]
    assert scene.effects == [Notice("warning", "order_adopted", "v1: claimed by anna", TICKER)]
    row = VenueFill("f1", "v1", "", TICKER, side, Price(3_000), Count(200), Money(0), False, scene.now)
    scene.do(e.FillSeen(scene.now, row))
    assert (scene.trade().entered, scene.trade().entry_cost) == (200, 200 * each)


@pytest.mark.parametrize("side, gap, cost", [("bid", "-3.00", 1_200_000), ("ask", "3.00", 1_800_000)])
def test_an_accepted_loss_of_contracts_books_their_cost_and_names_market_and_result(
    side: str, gap: str, cost: int
) -> None:
    scene = lost(side)
    known = len(scene.facts)
    text = f"position difference of {gap} accepted (anna), booked as a result of -{cost // 1_000_000}.{cost % 10**6}"
    answer = say(scene, "accept", args={"difference": f"position:{TICKER}", "amount": gap})
    assert answer == Answer(True, "accepted", text)
    assert scene.facts[known:] == [
        f.PositionAdopted(scene.now, TICKER, Count(0), Money(0), Money(0), Money(0), lost=Money(cost)),
        f.Difference(scene.now, "position", TICKER, 0, 0, resolved=True),
    ]
    assert scene.effects == [Notice("warning", "difference_accepted", text, TICKER)]


@pytest.mark.parametrize("at_s", [7, 40_000])
@pytest.mark.parametrize(
    "gap, made_good", [(1, 1), (1_200_000, 1_200_000), (3_000_000, 1_200_000), (3_000_001, 0), (-1, 0)]
)
def test_accepted_cash_makes_good_what_was_lost_on_the_same_day_from_its_first_seconds_on(
    at_s: int, gap: int, made_good: int
) -> None:
    midnight_s = 86_400 - T0 // 1_000 % 86_400
    scene = lost(from_s=midnight_s - 20)
    scene.at(midnight_s + 1)
    assert say(scene, "accept", args={"difference": f"position:{TICKER}", "amount": "-3"}).ok
    cash = scene.state.cash
    assert cash is not None
    for at in (midnight_s + at_s - 3, midnight_s + at_s - 1):
        scene.at(at).read(cash=cash + gap)
    scene.at(midnight_s + at_s)
    known, amount = len(scene.facts), f"{'-' if gap < 0 else ''}{abs(gap) // 10**6}.{abs(gap) % 10**6:06d}"
    text = f"cash difference of {amount} accepted (anna)"
    text += f", booked as a result of {made_good // 10**6}.{made_good % 10**6:06d}" if made_good else ""
    answer = say(scene, "accept", args={"difference": "cash:account", "amount": amount})
    assert answer == Answer(True, "accepted", text)
    assert scene.facts[known] == f.CashMoved(scene.now, Money(gap), "", "anna", Money(made_good))
    assert scene.effects == [Notice("warning", "difference_accepted", text)]


@pytest.mark.parametrize(
    "amount, code, text",
    [
        (500_000_000, "deposit", "deposit of 500.000000: booked, no profit"),
        (-200_000_000, "withdrawal", "withdrawal of 200.000000: booked, no profit"),
    ],
)
def test_what_the_exchange_says_was_paid_in_or_out_is_told_by_its_name(amount: int, code: str, text: str) -> None:
    scene = Scene().at(10)
    paid = Transfer("p1", Money(amount), Money(0), T0 + 5_000)
    turn = scene.read(cash=1_000_000_000 + amount, transfers=(paid,))
    assert facts_of(turn, f.CashMoved) == [f.CashMoved(scene.now, Money(amount), "p1", "exchange")]
    assert notices(scene) == [Notice("info", code, text)]


def test_what_was_bought_by_hand_beside_an_entry_that_rests_is_named() -> None:
    scene, entry = entering()
    scene.reply(entry, 0, 2_000)
    by_hand(scene, "bid", 500)
    assert f"nobody manages 5.00 YES in {TICKER} (claim it" in say(scene, "flatten").text


def test_a_market_whose_entry_has_no_answer_hides_no_other_market() -> None:
    scene, entry = entering()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    by_hand(scene, "bid", 500)
    by_hand(scene, "bid", 300, LATER)
    say(scene, "flatten")
    assert alarms(scene) == [(LATER, f"nobody manages 3.00 YES in {LATER} (claim it, then close it)")]


def test_more_sold_by_hand_than_a_trade_holds_is_a_position_of_the_other_side() -> None:
    scene = Scene()
    scene.held(2_000)
    by_hand(scene, "ask", 2_500)
    assert f"NOT left, nobody manages 5.00 NO in {TICKER}" in say(scene, "flatten").text


@pytest.mark.parametrize(
    "verb, args, ticker",
    [
        ("claim", {"ticker": LATER}, LATER),
        ("claim", {}, ""),
        ("claim_order", {"order": "v1"}, TICKER),
        ("claim_order", {"order": "v2"}, ""),
        ("claim_order", {}, ""),
        ("close", {"ticker": TICKER, "order": "v1"}, ""),
    ],
)
def test_the_market_that_a_word_needs(verb: str, args: dict[str, object], ticker: str) -> None:
    assert claiming.wanted_market(stranger().state, verb, args) == ticker


@pytest.mark.parametrize("name, wanted", [(OURS, {TICKER}), ("theirs", set()), ("", set())])
def test_a_reading_asks_for_the_market_of_an_order_of_ours_that_was_forgotten(name: str, wanted: set[str]) -> None:
    scene = wiped()
    assert adopting.wanted_markets(scene.state, [forgotten(name)]) == wanted
    scene.state.order_ids["v1"] = name  # known after all
    assert adopting.wanted_markets(scene.state, [forgotten(name)]) == set()


def forgotten(name: str = OURS, updated_ms: int = 0, side: Any = "bid") -> VenueOrder:
    return VenueOrder(
        "v1", name, TICKER, side, Price(4_000), Count(1_000), Count(0), Count(1_000), "resting", 0, updated_ms
    )


@pytest.mark.parametrize("stale_ms, age_ms, joins", [(0, 2_000, True), (0, 1_999, False), (5_000, 6_000, True),
                                                     (5_000, 5_999, False)])  # fmt: skip
def test_a_forgotten_order_joins_once_every_part_of_the_reading_is_younger_than_its_last_change(
    stale_ms: int, age_ms: int, joins: bool
) -> None:
    scene = wiped()
    seen = forgotten(updated_ms=scene.now - age_ms)
    scene.read(resting=(seen,), markets={TICKER: market()}, fresh_ms=scene.now - stale_ms)
    assert (OURS in scene.state.orders) is joins
    assert [x for x in scene.effects if isinstance(x, CancelOrder)] == [CancelOrder(OURS, "v1", TICKER)]
    why = "ours, its record was lost: cancelled where it rests, its fills protected"
    told = [Notice("warning", "order_adopted", f"{OURS}: {why}", TICKER)] if joins else []
    assert notices(scene) == told


def test_a_forgotten_order_joins_the_live_trade_without_another_look_at_the_market() -> None:
    scene = Scene()
    trade = scene.held()
    scene.at(100).read(resting=(forgotten(side="ask"),))
    assert (scene.state.orders[OURS].trade_id, scene.state.orders[OURS].purpose) == (trade.id, "target")


def test_somebody_elses_order_is_told_once_and_recorded_as_often_as_it_changes() -> None:
    scene = Scene()
    order = VenueOrder("v1", "", TICKER, "bid", Price(4_000), Count(500), Count(0), Count(500), "resting", 0, 0)
    less = msgspec.structs.replace(order, filled=Count(200), remaining=Count(300))
    told = Notice("warning", "external_order", "resting order v1 is not ours: left alone", TICKER)
    for at, seen, news in ((10, order, [told]), (20, order, []), (30, less, []), (40, less, [])):
        turn = scene.at(at).read(resting=(seen,))
        changed = at in (10, 30)
        record = f.Difference(scene.now, "order", "v1", 0, seen.remaining, order=seen)
        assert (facts_of(turn, f.Difference), notices(scene)) == ([record] if changed else [], news), at


def test_only_news_of_a_market_where_something_is_held_is_kept_and_it_names_its_market() -> None:
    scene = Scene()
    scene.held()
    for ticker, status in ((TICKER, "active"), (LATER, "inactive"), (TICKER, "on fire")):
        turn = scene.do(e.MarketChange(scene.now, ticker, status))
        assert (turn.facts, turn.effects) == ([], []), (ticker, status)
    for status, result, text in (
        ("inactive", "", "market is inactive"),
        ("determined", "yes", "market is determined yes"),
    ):
        turn = scene.do(e.MarketChange(scene.now, TICKER, status, result))
        assert turn.facts == [f.MarketMoved(scene.now, TICKER, status)]
        assert turn.effects == [Notice("info", "market", text, TICKER)]


@pytest.mark.parametrize("side, result", [("bid", "yes"), ("ask", "no")])
def test_a_settlement_is_told_with_what_it_paid_and_the_trades_result(side: str, result: str) -> None:
    scene = Scene()
    scene.held(price=8_800 if side == "bid" else 1_200, side=side, plan=ExitPlan(None, None, None, Price(1_000), 3_000))
    paid = Settlement(TICKER, result, Money(20_000_000), Money(0), Count(0), Count(0), T0 + 90_000)
    assert scene.state.cash is not None
    scene.at(100).read(cash=scene.state.cash + 20_000_000, settlements=(paid,), positions=[])
    assert notices(scene) == [
        Notice("info", "settled", f"settled {result}, paid 20.000000", TICKER),
        Notice("info", "closed", "settlement: result 2.390000 after fees", TICKER),
    ]


@pytest.mark.parametrize("early_ms, booked", [(0, 1), (1, 0)])
def test_a_settlement_as_old_as_what_was_forgotten_last_is_booked_and_none_before(early_ms: int, booked: int) -> None:
    scene = Scene()
    at_ms = scene.state.forgotten_ms - early_ms
    paid = Settlement(LATER, "no", Money(0), Money(0), Count(0), Count(0), at_ms)
    assert len(facts_of(scene.at(10).read(settlements=(paid,)), f.SettlementBooked)) == booked


def test_a_settlement_ends_a_trade_whose_entry_filled_after_its_exit_without_an_alarm() -> None:
    """A forgotten order of ours sold first: the entry's fill left nothing to hold, so the trade was never open."""
    scene, entry = entering()
    scene.reply(entry, 0, 2_000)
    mine = VenueOrder(f"x-{entry.client_order_id}", entry.client_order_id, TICKER, "bid", entry.price, entry.count,
                      Count(0), entry.count, "resting", T0, T0)  # fmt: skip
    scene.at(100).read(resting=(mine, forgotten(side="ask")))
    for number, (order_id, side, price) in enumerate((("v1", "ask", 4_000), (mine.order_id, "bid", 8_800))):
        row = VenueFill(f"g{number}", order_id, "", TICKER, side, Price(price), Count(300), Money(0), False,
                        scene.now)  # type: ignore[arg-type]  # fmt: skip
        scene.do(e.FillSeen(scene.now, row))
    assert (scene.trade().state, scene.trade().entered, scene.trade().open_count()) == (TradeState.OPENING, 300, 0)
    paid = Settlement(TICKER, "yes", Money(0), Money(0), Count(0), Count(0), scene.now + 5_000)
    scene.at(110).read(settlements=(paid,))
    assert scene.trade().state is TradeState.ABORTED and alarms(scene) == []
