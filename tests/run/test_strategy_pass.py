"""A pass refreshes first, decides on nothing stale, gives every market a verdict, and keeps the ages of its inputs."""

from types import MappingProxyType, SimpleNamespace
from typing import Any

import msgspec
import pytest

from bot.core.config import Config, defaults
from bot.core.events import Propose
from bot.core.grid import CENT_GRID
from bot.core.state import new_state
from bot.core.turn import Answer
from bot.core.units import Count, Price
from bot.core.venue import Market, Quote
from bot.market_data.match_times import MatchTime
from bot.market_data.snapshot import Snapshot
from bot.run.bot import default_config
from bot.run.market_rows import MarketRows
from bot.run.strategy_pass import REFRESH_MS, StrategyPass
from bot.strategy.favourites import Favourites

NOW = 1_795_000_000_000
S_NS = 1_000_000_000
NAMES = [f"T-{number}" for number in range(120)]


def market(ticker: str) -> Market:
    return Market(
        ticker, f"E-{ticker}", "S", "Title", "Yes", "Sports", "active", 0, NOW + 10**9, NOW + 600_000, NOW - 60_000,
        CENT_GRID, "quadratic", 1.0, 0, True, Count(0), "",
    )  # fmt: skip


class Feed:
    """Market data of a given age; a refresh makes it as old as the test says."""

    def __init__(self, quote_age_s: int, facts_age_s: int = 0) -> None:
        self.refreshed: list[int] = []
        self.status = "ok"
        self.age(quote_age_s, facts_age_s)

    def age(self, quote_age_s: int, facts_age_s: int) -> None:
        at_ns = NOW * 1_000_000 - quote_age_s * S_NS
        quotes = {t: Quote(t, Price(4_000), Price(4_100), Count(100), Count(100), 0, at_ns, "rest") for t in NAMES}
        self.shown = Snapshot(
            generated_ns=NOW * 1_000_000, markets={t: market(t) for t in NAMES}, quotes=quotes,
            confirmed_ns=dict.fromkeys(NAMES, at_ns), connected=True,
            discovered_ns=NOW * 1_000_000 - facts_age_s * S_NS,
            match_times=MappingProxyType({"E-T-0": MatchTime(NOW - 60_000, "milestone")}),
        )  # fmt: skip

    def refresh(self, max_age_ms: int) -> None:
        self.refreshed.append(max_age_ms)

    def snapshot(self) -> Snapshot:
        return self.shown

    def health(self) -> Any:
        return self


def run(feed: Feed, handle: Any = lambda event: pytest.fail("nothing to propose")) -> tuple[StrategyPass, list[Any]]:
    config: Config = default_config(Favourites())
    assert config.strategy == defaults(Favourites.params)
    state, put = new_state(config, "RUNNING", NOW), []
    passes = StrategyPass(
        Favourites(), feed, lambda markets: {}, handle, lambda: state,  # type: ignore[arg-type]
        lambda rows: put.extend(rows) or 0, lambda: NOW,
    )  # fmt: skip
    passes.run()
    return passes, put


def test_every_market_gets_a_verdict_with_the_ages_it_rested_on() -> None:
    feed = Feed(quote_age_s=5, facts_age_s=7)
    passes, put = run(feed)
    assert feed.refreshed == [REFRESH_MS]
    assert set(passes.verdicts) == {row.ticker for row in put} == set(NAMES)
    assert {v.reason for v in passes.verdicts.values()} == {"not_favoured"}
    numbers = put[0].numbers
    assert (numbers["quote_age_ms"], numbers["facts_age_ms"], numbers["quote_source"]) == (5_000, 7_000, "rest")
    assert (numbers["start_ms"], numbers["start_source"]) == (NOW - 60_000, "milestone")


@pytest.mark.parametrize(
    "ages, reason", [((60, 60), "not_favoured"), ((61, 0), "stale_quote"), ((0, 61), "stale_facts")]
)
def test_what_stays_stale_is_refused_as_stale(ages: tuple[int, int], reason: str) -> None:
    passes, _ = run(Feed(*ages))
    assert {v.reason for v in passes.verdicts.values()} == {reason}


@pytest.mark.parametrize("answer", [Answer(True, "", ""), Answer(False, "max_total_exposure", "too much")])
def test_what_the_core_says_of_a_proposal_is_its_verdict_and_it_is_told_the_age_of_the_quote(
    monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    proposed: list[Propose] = []
    wanted = SimpleNamespace(reason="wanted")
    monkeypatch.setattr(Favourites, "decide", lambda *_: wanted)
    passes, put = run(Feed(5), lambda event: proposed.append(event) or SimpleNamespace(answer=answer))
    assert {event.quote_age_ms for event in proposed} == {5_000} and len(proposed) == len(NAMES)
    expected = ("entered", "entered") if answer.ok else ("refused", "max_total_exposure")
    assert {(v.action, v.reason) for v in passes.verdicts.values()} == {expected}
    assert {(row.action, row.reason) for row in put} == {expected}


def test_rows_are_made_anew_only_where_something_changed_and_the_body_with_them() -> None:
    feed = Feed(5)
    passes, _ = run(feed)
    rows = MarketRows("b")
    first = rows.refresh(feed, passes, {})  # type: ignore[arg-type]
    tag, body = rows.tag, rows.body
    again = rows.refresh(feed, passes, {})  # type: ignore[arg-type]
    assert all(again[t] is first[t] for t in NAMES) and (rows.tag, rows.body) == (tag, body)
    held = rows.refresh(feed, passes, {"T-3": "trade"})  # type: ignore[arg-type]
    assert [t for t in NAMES if held[t] is not first[t]] == ["T-3"] and held["T-3"]["verdict"] == "held"
    assert rows.tag != tag
    told = msgspec.json.decode(rows.body)
    assert told["markets"] == list(held.values()) and (told["total_count"], told["enriched_count"]) == (120, 120)
    assert told["match_times"] == {"E-T-0": {"start_ms": NOW - 60_000, "source": "milestone"}}
    feed.status = "stale"
    rows.refresh(feed, passes, {"T-3": "trade"})  # type: ignore[arg-type]
    assert msgspec.json.decode(rows.body)["status"] == "stale"
