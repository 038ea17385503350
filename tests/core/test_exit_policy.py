"""docs/exit-policy.md, line by line: in every bad state an exit does what the policy says."""

import re
from pathlib import Path

import msgspec
import pytest
from scene import PLAN, T0, TICKER, Scene, quote

from bot.core import events as e
from bot.core.effects import CancelOrder, Notice, PlaceOrder, ResolveOrder
from bot.core.orders import OrderState
from bot.core.state import Finding, load
from bot.core.trades import TradeState
from bot.core.units import Count, Money, Price
from bot.core.venue import AlreadyExists, NotFound, NotSent, Rejected, Settlement, Unknown, VenueOrder, VenuePosition

ROOT = Path(__file__).parents[2]
POLICY = ROOT / "docs" / "exit-policy.md"


def fired(scene: Scene) -> PlaceOrder:
    """A stop whose first exit order is on its way."""
    scene.held()
    scene.tick(7_900, 8_100)
    [order] = scene.sent()
    scene.do(e.Sending(scene.now, order.client_order_id))
    return order


def grid_down(price: int) -> int:
    return price // 100 * 100


def codes(scene: Scene) -> list[tuple[str, str]]:
    return [(x.level, x.code) for x in scene.effects if isinstance(x, Notice)]


def test_every_line_of_the_policy_names_a_test_that_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", POLICY.read_text())
    assert len(named) > 30
    for file, name in named:
        assert f"def {name}(" in (ROOT / file).read_text(), f"{file}::{name}"


def test_every_line_of_the_policy_has_a_proof() -> None:
    rows = [line for line in POLICY.read_text().splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    for row in rows:
        assert row.count("|") == 7, row
        assert row.startswith("| State") or "tests/" in row, f"no proof: {row}"


def test_an_exit_that_has_fired_goes_on_when_no_price_may_be_trusted() -> None:
    scene = Scene()
    scene.reply(fired(scene), 0)
    scene.at(1).sweep(known=False)
    assert [o.price for o in scene.sent()] == [6_900], "from the trigger it fired at"


def test_a_stop_without_a_trusted_price_waits_and_fires_with_the_first_one() -> None:
    scene = Scene()
    scene.held()
    scene.at(1).sweep(known=False)
    assert scene.sent() == []
    scene.at(2).sweep(7_000, 7_200)
    assert [o.price for o in scene.sent()] == [6_000]


def test_a_stop_fires_though_the_account_could_not_be_read_since_the_restart() -> None:
    scene = Scene()
    scene.held()
    scene.at(5).do(e.Boot(scene.now, "b2", scene.state.config))
    assert scene.state.reconciled_ms == 0
    scene.at(600).tick(7_900, 8_100)
    assert len(scene.sent()) == 1


@pytest.mark.parametrize("finding", [f"position:{TICKER}", "cash:account"])
def test_a_difference_stops_entries_and_no_exit(finding: str) -> None:
    scene = Scene()
    scene.held()
    scene.state.findings[finding] = Finding(finding.partition(":")[0], TICKER, 1, 2, T0)
    scene.tick(7_900, 8_100)
    assert [o.count for o in scene.sent()] == [2_000]


def test_no_more_is_sold_than_the_account_holds_in_that_market() -> None:
    """Somebody sold a part by hand: the exit takes what is left."""
    scene = Scene()
    scene.held()
    by_hand = PlaceOrder("hand", TICKER, "ask", PLAN.stop, Count(500), "good_till_canceled", "exit", "maker")  # type: ignore[arg-type]
    scene.fill(by_hand, 8_700, 500, known=False)
    scene.tick(7_900, 8_100)
    assert [o.count for o in scene.sent()] == [1_500]


@pytest.mark.parametrize("status", ["inactive", "closed", "determined", "disputed", "amended", "finalized"])
def test_nothing_is_sent_into_a_market_that_takes_no_orders_whatever_fired(status: str) -> None:
    scene = Scene()
    scene.held()
    scene.do(e.MarketChange(scene.now, TICKER, status))
    assert ("info", "market") in codes(scene)
    for event in (
        e.Tick(scene.now, quote(7_000, 7_100)),
        e.Sweep(T0 + 700_000, {TICKER: None}),
        e.Command(T0 + 700_000, "flatten", "you", {}, {TICKER: quote(7_000, 7_100)}),
    ):
        scene.do(event)
        assert scene.sent() == []
    assert scene.trade().live(), "and its stop is not given up"


def test_the_word_flatten_is_kept_over_a_pause_of_the_market() -> None:
    scene = Scene()
    scene.held()
    scene.do(e.MarketChange(scene.now, TICKER, "inactive"))
    scene.do(e.Command(scene.now, "flatten", "you", {}, {TICKER: quote(8_700, 8_800)}))
    scene.at(60).do(e.MarketChange(scene.now, TICKER, "active"))
    scene.at(61).tick(8_700, 8_800)
    assert [o.side for o in scene.sent()] == ["ask"]


def test_a_position_that_settles_ends_its_exit() -> None:
    scene = Scene()
    scene.reply(fired(scene), 0)
    scene.do(e.MarketChange(scene.now, TICKER, "determined", "no"))
    paid = Settlement(TICKER, "no", Money(0), Money(0), Count(2_000), Count(0), scene.now)
    scene.at(20).read(settlements=(paid,), positions=[])
    assert (scene.trade().state, scene.sent()) == (TradeState.CLOSED, [])
    scene.at(21).sweep(7_900, 8_100)
    assert scene.sent() == []


@pytest.mark.parametrize(
    "outcome, wait_s",
    [
        (Rejected("too_many_requests", "", 429), 1),
        (Rejected("unauthorized", "", 401), 1),
        (Rejected("exchange_paused", "", 400), 1),
        (NotSent("no connection"), 0.25),
    ],
)
def test_a_refused_exit_goes_out_again_with_the_next_id_and_the_operator_hears_of_it(
    outcome: Rejected | NotSent, wait_s: float
) -> None:
    scene = Scene()
    first = fired(scene)
    scene.do(e.CreateReplied(scene.now, first.client_order_id, outcome))
    assert ("warning", "order_rejected") in codes(scene) and scene.sent() == []
    assert [(w.at_ms - T0) / 1000 for w in scene.effects if type(w).__name__ == "Wake"] == [wait_s]
    scene.at(wait_s).sweep(7_900, 8_100)
    [second] = scene.sent()
    assert second.client_order_id != first.client_order_id and second.reduce_only


def test_an_outage_is_told_once_and_not_at_each_attempt() -> None:
    """Four warnings a second pushed everything else out of the event log."""
    scene = Scene()
    order, told = fired(scene), 0
    for step in range(1, 100):
        scene.do(e.CreateReplied(scene.now, order.client_order_id, NotSent("no connection")))
        told += codes(scene).count(("warning", "order_rejected"))
        scene.at(step * 0.3).sweep(7_900, 8_100)
        [order] = scene.sent()
    assert told == 1


def test_an_unknown_exit_is_told_looked_up_and_repeated_each_second() -> None:
    scene = Scene()
    first = fired(scene)
    scene.do(e.CreateReplied(scene.now, first.client_order_id, Unknown("timeout")))
    assert ("alarm", "order_unknown") in codes(scene)
    assert [x.client_order_id for x in scene.effects if isinstance(x, ResolveOrder)] == [first.client_order_id]
    sent = [o.client_order_id for o in scene.sent()]
    for second in (0.5, 1, 1.5, 2):
        scene.at(second).sweep(7_900, 8_100)
        sent += [o.client_order_id for o in scene.sent()]
    assert sent == [first.client_order_id] * 3


def test_an_exit_whose_end_is_proven_while_it_is_sent_again_alarms_nobody() -> None:
    scene = Scene()
    first = fired(scene)
    scene.do(e.CreateReplied(scene.now, first.client_order_id, Unknown("timeout")))
    scene.fill(first, 7_900, 2_000)
    turn = scene.do(e.Sending(scene.now, first.client_order_id))
    assert turn.facts == [] and turn.effects == [] and turn.answer is not None and turn.answer.ok


def test_an_exit_whose_earlier_life_is_booked_already_leaves_nothing_open() -> None:
    """Its fill was found first, without its id; then the id was used again and found to be that order (seed 77)."""
    scene = Scene()
    first = fired(scene)
    scene.state.order_ids["o-1"] = "o-1"
    scene.do(e.CreateReplied(scene.now, first.client_order_id, AlreadyExists()))
    seen = VenueOrder("o-1", first.client_order_id, TICKER, "ask", Price(7_000), Count(500), Count(500), Count(0),
                      "executed", scene.now, scene.now)  # fmt: skip
    scene.do(e.OrderResolved(scene.now, first.client_order_id, seen, False))
    order = scene.state.orders[first.client_order_id]
    assert order.state is OrderState.REJECTED and order.outstanding() == 0 and scene.state.order_ids["o-1"] == "o-1"


def test_an_exit_that_exists_already_is_never_called_absent() -> None:
    """Its record was lost in a kill after the send; the restart uses the id again, long after (simulator, seed 31)."""
    scene = Scene()
    first = fired(scene)
    scene.at(300).do(e.CreateReplied(scene.now, first.client_order_id, AlreadyExists()))
    assert any(isinstance(x, ResolveOrder) for x in scene.effects)
    scene.at(400).do(e.OrderResolved(scene.now, first.client_order_id, None, True))
    assert scene.state.orders[first.client_order_id].state is OrderState.UNKNOWN


def test_an_unknown_exit_that_never_arrived_is_followed_by_the_next() -> None:
    scene = Scene()
    first = fired(scene)
    scene.do(e.CreateReplied(scene.now, first.client_order_id, Unknown("timeout")))
    scene.at(70).do(e.OrderResolved(scene.now, first.client_order_id, None, True))
    [second] = scene.sent()
    assert second.client_order_id != first.client_order_id


@pytest.mark.parametrize("outcome", [NotFound(), Unknown("timeout"), Rejected("made_up", "", 400)])
def test_a_cancel_that_proves_nothing_leaves_the_entry_unknown_with_its_reserve(outcome: object) -> None:
    """Failure cases 10 and 30: booked as cancelled although it had filled."""
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.reply(entry, 0, remaining=2_000)
    scene.do(e.Command(scene.now, "kill", "you", {}))
    assert [x for x in scene.effects if isinstance(x, CancelOrder)]
    scene.do(e.CancelReplied(scene.now, entry.client_order_id, outcome))  # type: ignore[arg-type]
    order = scene.state.orders[entry.client_order_id]
    assert order.state is OrderState.UNKNOWN and order.reserved() > 0
    assert [x.client_order_id for x in scene.effects if isinstance(x, ResolveOrder)] == [entry.client_order_id]


def test_a_restart_in_the_middle_of_an_exit_goes_on_and_the_time_down_does_not_count() -> None:
    scene = Scene()
    first = fired(scene)
    scene.state = load(msgspec.json.encode(scene.state))
    scene.at(600).do(e.Boot(scene.now, "b2", scene.state.config))
    scene.sweep(7_000, 7_200)
    assert [o.client_order_id for o in scene.sent()] == [first.client_order_id]
    scene.do(e.CreateReplied(scene.now, first.client_order_id, AlreadyExists()))
    [second] = scene.sent()
    assert (second.client_order_id[-3:], second.price) == (".x2", 6_900), "no price has come with the reply"
    scene.reply(second, 0)
    scene.at(601).tick(7_000, 7_200)
    [third] = scene.sent()
    assert (third.client_order_id[-3:], third.price) == (".x3", 6_000), "the bound begins anew at the price seen"
    scene.reply(third, 0)
    scene.at(604).tick(6_500, 7_200)
    assert [o.price for o in scene.sent()] == [5_000], "and grows as ever while orders are taken"


@pytest.mark.parametrize("down_s", [3.5, 600])
def test_an_exit_between_two_attempts_begins_anew_after_a_restart(down_s: float) -> None:
    scene = Scene()
    scene.reply(fired(scene), 0)
    scene.at(down_s).do(e.Boot(scene.now, "b2", scene.state.config))
    scene.sweep(7_000, 7_200)
    assert [o.price for o in scene.sent()] == [6_000]


@pytest.mark.parametrize("until_s", [3.5, 900])
def test_the_time_of_a_pause_does_not_count_for_the_bound(until_s: float) -> None:
    scene = Scene()
    scene.reply(fired(scene), 0)
    scene.at(1).do(e.MarketChange(scene.now, TICKER, "inactive"))
    scene.at(until_s).do(e.MarketChange(scene.now, TICKER, "active"))
    scene.at(until_s + 0.3).sweep(known=False)
    [blind] = scene.sent()
    assert blind.price == 6_900, "from its trigger, one bound far, while no price may be trusted"
    scene.reply(blind, 0)
    scene.at(until_s + 1.5).tick(8_500, 8_600)
    [seeing] = scene.sent()
    assert seeing.price == 7_500 and scene.trade().exit_kind == "stop"
    scene.reply(seeing, 0)
    scene.at(until_s + 4.6).tick(8_500, 8_600)
    assert [o.price for o in scene.sent()] == [6_500]


@pytest.mark.parametrize("outcome", [NotSent("no connection"), Rejected("exchange_paused", "", 409)])
def test_attempts_the_exchange_did_not_take_do_not_widen_the_bound(outcome: NotSent | Rejected) -> None:
    scene = Scene()
    order = fired(scene)
    for second in range(1, 60):
        scene.do(e.CreateReplied(scene.now, order.client_order_id, outcome))
        seen = 7_900 - second * 50
        scene.at(second * 2).tick(seen, 8_100)
        [order] = scene.sent()
        assert order.price == grid_down(seen - 1_000)


def test_the_time_of_an_exit_without_an_answer_does_not_widen_the_bound() -> None:
    scene = Scene()
    order = fired(scene)
    scene.do(e.CreateReplied(scene.now, order.client_order_id, Unknown("no reply within 2 s")))
    for second in range(1, 121):
        scene.at(second).tick(7_900 - second * 10, 8_100)
        assert [o.client_order_id for o in scene.sent()] == [order.client_order_id]
    scene.do(e.CreateReplied(scene.now, order.client_order_id, AlreadyExists()))
    [second_order] = scene.sent()
    assert second_order.price == 6_900
    scene.reply(second_order, 0)
    scene.at(122).tick(6_000, 6_200)
    assert [o.price for o in scene.sent()] == [5_000]


def test_a_target_keeps_its_own_price_after_a_pause() -> None:
    scene = Scene()
    scene.held()
    scene.tick(9_600, 9_700)
    [order] = scene.sent()
    scene.do(e.CreateReplied(scene.now, order.client_order_id, NotSent("no connection")))
    scene.at(1).tick(9_700, 9_800)
    assert [o.price for o in scene.sent()] == [9_500]


def test_an_exit_of_a_found_position_is_sent_before_the_first_entry() -> None:
    scene = Scene.__new__(Scene)
    Scene.__init__(scene)
    scene.state.cash = None
    from scene import market

    found = VenuePosition(TICKER, Count(1_000), Money(8_500_000), Money(0), Money(0))
    scene.read(cash=700_000_000, positions=[found], markets={TICKER: market()})
    assert ("warning", "adopted") in codes(scene)
    scene.at(1).tick(7_400, 7_500)
    assert [o.count for o in scene.sent()] == [1_000]
