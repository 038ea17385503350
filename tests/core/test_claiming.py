"""The operator's word on what is not ours: claimed and accepted with what it names, refused when it has changed."""

from typing import Any

import pytest
from scene import T0, TICKER, Scene, market, quote

from bot.core import commands
from bot.core import events as e
from bot.core.effects import CancelOrder, Notice
from bot.core.state import state_hash
from bot.core.turn import Answer
from bot.core.units import Count, Money, Price
from bot.core.venue import Transfer, VenueFill, VenueOrder, VenuePosition


def say(scene: Scene, verb: str, **args: Any) -> Answer:
    prices = {TICKER: quote(3_900, 4_000)}
    about = market() if verb.startswith("claim") else None
    answer = scene.do(e.Command(scene.now, verb, "anna", args, prices, about)).answer
    assert answer is not None
    return answer


def external(count: int = 300, side: str = "bid") -> Scene:
    """A position that somebody traded by hand, an hour into the books."""
    scene = Scene().at(3_600)
    row = VenueFill("f1", "theirs", "", TICKER, side, Price(4_000), Count(count), Money(0), True, scene.now)  # type: ignore[arg-type]
    scene.do(e.FillSeen(scene.now, row))
    assert scene.state.trades == {}
    return scene


def alarms(scene: Scene) -> list[tuple[str, str]]:
    return [(x.ticker, x.text) for x in scene.effects if isinstance(x, Notice) and x.level == "alarm"]


@pytest.mark.parametrize("side, held", [("bid", "3.00 YES"), ("ask", "3.00 NO")])
def test_flatten_names_what_it_does_not_leave_until_that_is_claimed(side: str, held: str) -> None:
    """It answered "leaving every position", and said nothing of what somebody had bought by hand."""
    scene = external(side=side)
    what = f"nobody manages {held} in {TICKER} (claim it, then close it)"
    answer = say(scene, "flatten")
    assert answer.ok and f"NOT left, {what}" in answer.text
    assert alarms(scene) == [(TICKER, what)] and scene.sent() == []
    refused = say(scene, "close", ticker=TICKER)
    assert (refused.ok, refused.code, refused.text) == (False, "no_position", what)
    assert say(scene, "claim", ticker=TICKER).ok
    answer = say(scene, "flatten")
    assert answer.text == commands.SAYS["flatten"] and alarms(scene) == []
    assert [o.count for o in scene.sent()] == [300]


def test_flatten_names_what_was_bought_by_hand_beside_a_trade() -> None:
    scene = Scene()
    scene.held(2_000)
    for number, (side, left) in enumerate([("bid", "5.00 YES"), ("ask", "")]):
        count = Count(500 if side == "bid" else 900)  # sold again, and some of ours with it
        row = VenueFill(
            f"h{number}", f"theirs{number}", "", TICKER, side, Price(8_800), count, Money(0), True, scene.now
        )  # type: ignore[arg-type]
        scene.do(e.FillSeen(scene.now, row))
        answer = say(scene, "flatten")
        assert answer.ok and (f"{left} in {TICKER}" in answer.text if left else answer.text == commands.SAYS["flatten"])


def test_flatten_names_a_position_that_our_books_lack() -> None:
    scene = Scene()
    there = VenuePosition("KX-1-A", Count(-700), Money(2_000_000), Money(0), Money(0))
    for at in (10, 20, 30):
        scene.at(at).read(positions=[there])
    answer = say(scene, "flatten")
    assert "7.00 NO in KX-1-A (accept the difference, claim it, then close it)" in answer.text
    assert [ticker for ticker, _ in alarms(scene)] == ["KX-1-A"]


def test_flatten_takes_a_fill_of_an_entry_without_its_answer_for_its_own() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.fill(entry, 8_800, 2_000, known=False)
    assert say(scene, "flatten").text == commands.SAYS["flatten"] and alarms(scene) == []


def deposited(amount: int, **changes: Any) -> Scene:
    scene = Scene()
    for at in (10, 20):
        scene.at(at).read(cash=1_000_000_000 + amount, **changes)
    return scene


@pytest.mark.parametrize("side, stop", [("bid", 2_900), ("ask", 7_000)])
def test_a_claimed_position_gets_the_default_plan_and_its_stop_works(side: str, stop: int) -> None:
    """NO at 0.60 leaves at 0.60 (the ask is 0.40): its stop is 0.10 below its lower price, in YES terms above."""
    scene = external(side=side)
    answer = say(scene, "claim", ticker=TICKER)
    assert answer.ok, answer
    trade = scene.trade()
    assert (trade.open_count(), trade.strategy) == (300, "claimed")
    assert trade.plan.stop == (stop if side == "bid" else 5_000)
    scene.at(3_610).tick(2_900, 7_000)
    assert [o.count for o in scene.sent()] == [300]
    assert scene.state.unclaimed == {}, "the trade has taken over the fills"


def test_a_pause_that_was_told_while_it_was_held_before_holds_no_stop_of_a_claimed_position_back() -> None:
    """Found by the simulator: that the pause was over was heard while nothing was held there, and not kept."""
    scene = external()
    scene.do(e.MarketChange(scene.now, TICKER, "inactive"))
    assert not scene.state.tradeable(TICKER) and scene.state.watched() == {TICKER}
    assert say(scene, "claim", ticker=TICKER).ok, "the reading for the claim says that it is active"
    scene.at(3_610).tick(2_900, 7_000)
    assert [o.count for o in scene.sent()] == [300]


def test_the_end_of_a_pause_is_kept_although_nothing_is_held_there_any_more() -> None:
    scene = external()
    scene.do(e.MarketChange(scene.now, TICKER, "inactive"))
    row = VenueFill("f2", "theirs", "", TICKER, "ask", Price(4_000), Count(300), Money(0), True, scene.now)
    scene.do(e.FillSeen(scene.now, row))
    scene.do(e.MarketChange(scene.now, TICKER, "active"))
    assert scene.state.tradeable(TICKER) and scene.state.watched() == set()


def test_a_claim_may_name_its_plan_and_is_refused_whole() -> None:
    scene = external()
    before = state_hash(scene.state)
    assert say(scene, "claim", ticker=TICKER, stop="0.3950").code == "invalid_plan"
    assert state_hash(scene.state) == before
    assert say(scene, "claim", ticker=TICKER, stop="0.3500", target="0.6000").ok
    assert (scene.trade().plan.stop, scene.trade().plan.target) == (3_500, 6_000)


def test_only_what_nobody_manages_is_claimed() -> None:
    scene = Scene()
    assert say(scene, "claim", ticker=TICKER).code == "no_position"
    scene.held()
    assert say(scene, "claim", ticker=TICKER).code == "market_owned"
    scene = external()
    unread = e.Command(scene.now, "claim", "anna", {"ticker": TICKER})
    answer = scene.do(unread).answer
    assert answer is not None and answer.code == "no_market"


def strange(scene: Scene) -> VenueOrder:
    order = VenueOrder("v1", "", TICKER, "bid", Price(4_000), Count(500), Count(0), Count(500), "resting", 0, 0)
    scene.read(resting=(order,))
    return order


def test_a_claimed_order_goes_on_resting_and_its_fills_are_protected() -> None:
    scene = Scene().at(3_600)
    order = strange(scene)
    assert say(scene, "claim_order", order="v2").code == "no_order"
    assert say(scene, "claim_order", order="v1").ok
    scene.at(3_610).read(resting=(order,))
    assert not [x for x in scene.effects if isinstance(x, CancelOrder)] and scene.state.findings == {}
    row = VenueFill("f1", "v1", "", TICKER, "bid", Price(4_000), Count(200), Money(0), True, scene.now)
    scene.do(e.FillSeen(scene.now, row))
    assert (scene.trade().open_count(), scene.trade().plan.stop) == (200, 3_000)


def test_somebody_elses_order_is_cancelled_on_the_operators_word() -> None:
    scene = Scene().at(3_600)
    strange(scene)
    assert say(scene, "cancel", order="v1").ok
    assert [x.order_id for x in scene.effects if isinstance(x, CancelOrder)] == ["v1"]


def test_an_accepted_deposit_lets_entries_go_on_and_is_no_profit() -> None:
    scene = deposited(500_000_000)
    assert say(scene, "accept", difference="cash:account", amount="499.999999").code == "amount_changed"
    assert say(scene, "accept", difference="cash:account", amount="much").code == "invalid_amount"
    assert say(scene, "accept", difference="cash:account", amount="500").ok
    state = scene.state
    assert (state.cash, state.baseline, state.realized) == (1_500_000_000, 1_500_000_000, 0)
    answer = scene.propose().answer
    assert answer is not None and answer.ok
    assert say(scene, "accept", difference="cash:account", amount="500").code == "no_difference"


def test_an_accepted_withdrawal_is_no_loss() -> None:
    scene = deposited(-250_000_000)
    assert say(scene, "accept", difference="cash:account", amount="-250").ok
    assert (scene.state.cash, scene.state.baseline, scene.state.realized) == (750_000_000, 750_000_000, 0)


def test_an_accepted_position_is_the_exchanges_and_can_then_be_claimed() -> None:
    scene = Scene()
    theirs = [VenuePosition(TICKER, Count(500), Money(2_000_000), Money(0), Money(0))]
    for at in (10, 20):
        scene.at(at).read(positions=theirs)
    assert say(scene, "claim", ticker=TICKER).code == "no_position"
    assert say(scene, "accept", difference=f"position:{TICKER}", amount="4").code == "amount_changed"
    assert say(scene, "accept", difference=f"position:{TICKER}", amount="5").ok
    assert scene.state.position(TICKER).cost == 2_000_000 and scene.state.findings == {}
    assert say(scene, "claim", ticker=TICKER).ok and scene.trade().open_count() == 500


def test_a_deposit_that_the_exchange_names_needs_no_word() -> None:
    named = Transfer("d1", Money(500_000_000), Money(0), Scene().now + 5_000)
    scene = deposited(500_000_000, transfers=(named,))
    assert (scene.state.findings, scene.state.suspects) == ({}, {})
    assert (scene.state.cash, scene.state.baseline, scene.state.realized) == (1_500_000_000, 1_500_000_000, 0)
    for at in (30, 40):
        scene.at(at).read(cash=2_000_000_000, transfers=(named,))
    assert "cash:account" in scene.state.findings, "one deposit explains once"


def test_a_withdrawal_with_its_fee_is_explained_and_an_older_deposit_explains_nothing() -> None:
    out = Transfer("w1", Money(-200_000_000), Money(2_000_000), Scene().now + 5_000)
    scene = deposited(-202_000_000, transfers=(out,))
    assert scene.state.findings == {} and scene.state.cash == 798_000_000
    before = Transfer("d0", Money(500_000_000), Money(0), Scene().now - 5_000)
    assert deposited(500_000_000, transfers=(before,)).state.findings


def test_a_position_that_was_traded_since_its_difference_was_found_is_accepted_as_it_is_now() -> None:
    """The figure of the finding was taken for the position: what was sold since was held again in our books."""
    scene = Scene().at(3_600)

    def theirs(count: int) -> tuple[VenuePosition, ...]:
        return (VenuePosition(TICKER, Count(count), Money(count * 4_000), Money(0), Money(0)),)

    for _ in range(3):
        scene.at((scene.now - T0) / 1000 + 10).read(positions=theirs(500))
    assert scene.state.findings[f"position:{TICKER}"].theirs == 500
    bought = VenueFill("f1", "theirs", "", TICKER, "bid", Price(4_000), Count(200), Money(0), True, scene.now)
    scene.at((scene.now - T0) / 1000 + 10).do(e.FillSeen(scene.now, bought))
    assert say(scene, "accept", difference=f"position:{TICKER}", amount="5.00").code == "amount_changed"
    scene.at((scene.now - T0) / 1000 + 10).read(positions=theirs(700))
    assert say(scene, "accept", difference=f"position:{TICKER}", amount="5.00").ok
    assert scene.state.position(TICKER).count == 700 and not scene.state.findings
