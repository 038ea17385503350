"""Limits of entries: the worst loss of an event, series, rate and the cash of a shard; each to its last unit."""

from typing import Any

import pytest
from scene import PLAN, T0, TICKER, Scene, market

from bot.core import events as e
from bot.core import risk
from bot.core.risk import Stake, worst_loss
from bot.core.units import Count, Money, Price
from bot.core.venue import VenuePosition

DETROIT = "KXNBAGAME-26NOV21BOSDET-DET"
LAKERS = "KXNBAGAME-26NOV21LALNYK-LAL"
DOLLAR = 1_000_000


def wanted(ticker: str = TICKER, side: str = "bid", limit: int = 8_800, count: int = 2_000, **facts: Any) -> e.Proposal:
    """Costs 17.60 dollars and its fee unless told otherwise."""
    return e.Proposal("t", market(ticker, **facts), side, Price(limit), Count(count), "immediate_or_cancel", PLAN, "")  # type: ignore[arg-type]


def use(scene: Scene, name: str, proposal: e.Proposal | None = None) -> risk.Use:
    return next(u for u in risk.uses(scene.state, scene.now, proposal) if u.name == name)


@pytest.mark.parametrize(
    "exclusive, stakes, worst",
    [
        (True, [(5, 0), (3, 0)], 8),  # YES on both: neither may win
        (True, [(0, 5), (0, 3)], 5),  # NO on both: at most one is lost
        (True, [(5, 0), (0, 3)], 8),  # B wins: both are lost
        (True, [(2, 9)], 9),
        (True, [(9, 2)], 9),
        (True, [(4, 0), (0, 3), (0, 2)], 7),
        (False, [(0, 5), (0, 3)], 8),
        (False, [(2, 9)], 11),
        (True, [], 0),
    ],
)
def test_an_event_can_lose_its_worst_outcome(exclusive: bool, stakes: list[tuple[int, int]], worst: int) -> None:
    assert worst_loss(Stake("E", "S", exclusive, yes, no) for yes, no in stakes) == worst


def test_brute_force_over_outcomes_never_finds_a_larger_loss() -> None:
    """By its own arithmetic: every outcome with at most one YES, what is lost in it, gains left aside."""
    for code in range(5**4):
        amounts = [code // 5**n % 5 for n in range(4)]
        pairs = [(amounts[0], amounts[1]), (amounts[2], amounts[3])]
        outcomes = [None, 0, 1]
        lost = max(sum(no if winner == n else yes for n, (yes, no) in enumerate(pairs)) for winner in outcomes)
        assert worst_loss(Stake("E", "S", True, yes, no) for yes, no in pairs) == lost


def test_no_on_both_sides_of_a_game_counts_once_where_the_markets_exclude_each_other() -> None:
    scene = Scene()
    scene.state.config.risk["max_event_exposure"] = 20 * DOLLAR
    scene.held(side="ask", price=1_200)
    assert scene.propose("ask", 1_200, ticker=DETROIT).answer.ok  # type: ignore[union-attr]
    assert use(scene, "max_event_exposure").value == risk.entry_cost(wanted(side="ask", limit=1_200))
    assert use(scene, "max_total_exposure").value == use(scene, "max_event_exposure").value


def test_where_they_may_both_end_yes_everything_counts() -> None:
    scene = Scene()
    scene.state.config.risk["max_event_exposure"] = 20 * DOLLAR
    scene.held(side="ask", price=1_200)
    answer = scene.propose("ask", 1_200, ticker=DETROIT, exclusive=False).answer
    assert answer is not None and answer.code == "max_event_exposure"
    assert answer.text.startswith("max_event_exposure (KXNBAGAME-26NOV21BOSDET): 35.")


def test_a_position_of_nobody_counts_in_the_event_and_series_of_its_ticker_and_excludes_nothing() -> None:
    scene = Scene()
    scene.state.positions[DETROIT] = scene.state.position(DETROIT).__class__(DETROIT, Count(-100), Money(5 * DOLLAR))
    scene.state.positions["OTHER-1-A"] = scene.state.position("OTHER-1-A").__class__("OTHER-1-A", Count(1), Money(7))
    entry = wanted(side="ask", limit=1_200)
    assert use(scene, "max_event_exposure", entry).value == 5 * DOLLAR + risk.entry_cost(entry)
    assert use(scene, "max_series_exposure", entry).value == 5 * DOLLAR + risk.entry_cost(entry)
    assert use(scene, "max_total_exposure", entry).value == 5 * DOLLAR + risk.entry_cost(entry) + 7


def test_a_series_adds_up_its_events_and_no_other_series() -> None:
    scene = Scene()
    scene.state.config.risk["max_series_exposure"] = 20 * DOLLAR
    scene.held()
    answer = scene.propose(ticker=LAKERS).answer
    assert answer is not None and (answer.code, "KXNBAGAME" in answer.text) == ("max_series_exposure", True)
    assert scene.propose(ticker="KXNFLGAME-26NOV21NYGDAL-NYG").answer.ok  # type: ignore[union-attr]
    assert use(scene, "max_series_exposure").by == "KXNFLGAME", (
        "the series that uses most of it: here with a fee to come"
    )


def test_so_many_entries_in_a_minute_and_no_more() -> None:
    scene = Scene()
    scene.state.config.risk["max_entry_rate"] = 2
    scene.propose(count=100)
    assert scene.at(59).propose(count=100, ticker=LAKERS).answer.ok  # type: ignore[union-attr]
    third = "KXNFLGAME-26NOV21NYGDAL-NYG"
    assert scene.at(59.999).propose(count=100, ticker=third).answer.code == "max_entry_rate"  # type: ignore[union-attr]
    assert scene.at(60).propose(count=100, ticker=third).answer.ok  # type: ignore[union-attr]


def test_cash_on_another_shard_buys_nothing() -> None:
    """Kalshi says insufficient_balance although the sum looks fine (kalshi-api.md 1.4)."""
    scene = Scene()
    scene.read(shards={"0": Money(990 * DOLLAR), "3": Money(10 * DOLLAR)})
    answer = scene.propose(exchange_index=3).answer
    assert answer is not None and answer.code == "insufficient_shard_cash" and "shard 3" in answer.text
    assert scene.propose(exchange_index=2).answer.code == "insufficient_shard_cash", "a shard without cash"  # type: ignore[union-attr]
    assert scene.propose().answer.ok  # type: ignore[union-attr]


def test_what_was_spent_since_the_last_reading_is_not_on_the_shard_any_more() -> None:
    scene = Scene()
    scene.read(shards={"3": Money(20 * DOLLAR)})
    scene.propose(exchange_index=3)
    [entry] = scene.sent()
    scene.reply(entry, 2_000)
    scene.fill(entry, 8_800, 2_000)
    assert scene.propose(ticker=LAKERS, exchange_index=3).answer.code == "insufficient_shard_cash"  # type: ignore[union-attr]
    scene.at(2.001).read(shards={"3": Money(20 * DOLLAR)})  # paid for, and filled up again
    assert scene.propose(ticker=LAKERS, exchange_index=3).answer.ok  # type: ignore[union-attr]


def test_an_account_that_does_not_tell_its_shards_is_held_to_its_cash() -> None:
    assert Scene().propose(exchange_index=3).answer.ok  # type: ignore[union-attr]


def test_every_limit_says_what_uses_it_most() -> None:
    scene = Scene()
    assert {u.value for u in risk.uses(scene.state, T0)} == {0}
    scene.held()
    shown = {u.name: (u.value, u.by) for u in risk.uses(scene.state, scene.now)}
    assert shown["max_market_exposure"] == (17_600_000, TICKER)
    assert shown["max_event_exposure"] == (17_600_000, "KXNBAGAME-26NOV21BOSDET")
    assert shown["max_order_cost"] == (0, TICKER) and shown["max_open_trades"] == (1, "")
    assert shown["max_entry_rate"] == (1, "") and shown["insufficient_cash"] == (0, "")


def test_a_position_that_our_books_lack_is_in_the_exposure_of_its_event_and_in_all() -> None:
    scene = Scene()
    strange = [VenuePosition(DETROIT, Count(100_000), Money(900 * DOLLAR), Money(0), Money(0))]
    for second in (10, 20):
        scene.at(second).read(positions=strange)
    assert f"position:{DETROIT}" in scene.state.findings
    assert risk.exposure(scene.state) == 900 * DOLLAR
    scene.state.config.risk["max_total_exposure"] = 30 * DOLLAR
    answer = scene.do(e.Propose(scene.now, wanted(), 0)).answer
    assert answer is not None and answer.code == "max_event_exposure"
    assert use(scene, "max_total_exposure", wanted()).value == 900 * DOLLAR + risk.entry_cost(wanted())


@pytest.mark.parametrize("count, cost, counted", [(500, 5, 18), (5_000, 44, 44), (-300, 20, 20), (-300, 2, 18)])
def test_where_a_position_differs_the_dearer_one_counts(count: int, cost: int, counted: int) -> None:
    """Ours are 20 contracts for 18 dollars; NO of theirs is not set against YES of ours, nor added to it."""
    scene = Scene()
    scene.held(price=9_000)
    other = [VenuePosition(TICKER, Count(count), Money(cost * DOLLAR), Money(0), Money(0))]
    for second in (10, 20):
        scene.at(second).read(positions=other)
    assert f"position:{TICKER}" in scene.state.findings
    assert use(scene, "max_market_exposure").value == risk.exposure(scene.state) == counted * DOLLAR
