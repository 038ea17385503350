"""Without a stream our own fills are read by cursor; each is told once or more often, never left out."""

from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from bot.core.events import FillSeen, MarketChange
from bot.core.grid import CENT_GRID
from bot.core.positions import Position
from bot.core.state import new_state
from bot.core.units import Count, Money, Price
from bot.core.venue import VenueFill
from bot.kalshi.rest import ReadFailed
from bot.run.bot import default_config
from bot.run.door import now_ms
from bot.run.market_watch import OVERLAP_MS, MarketWatch
from bot.strategy.favourites import Favourites


class Feed:
    connected_now = False

    def confirm_stale(self, now_ns: int) -> None: ...


class Paused(Feed):
    """Markets as a reading finds them; the others cannot be read."""

    connected_now = True

    def __init__(self, statuses: dict[str, str]) -> None:
        self.statuses = statuses
        self.asked: list[str] = []

    def confirm_market(self, ticker: str) -> Any:
        self.asked.append(ticker)
        if ticker not in self.statuses:
            raise ReadFailed("timeout")
        return SimpleNamespace(ticker=ticker, status=self.statuses[ticker], result="", close_ms=9, grid=CENT_GRID)


class Reads:
    def __init__(self) -> None:
        self.asked: list[int] = []
        self.listed: list[VenueFill] = []
        self.failing = False

    def fills(self, min_ts: int) -> list[VenueFill]:
        self.asked.append(min_ts)
        if self.failing:
            raise ReadFailed("timeout")
        return self.listed


def fill(number: int, at_ms: int) -> VenueFill:
    return VenueFill(f"t{number}", "o", "", "T", "bid", Price(5_000), Count(100), Money(0), True, at_ms)


def scene() -> tuple[MarketWatch, Reads, Feed, Any, list[Any]]:
    state = new_state(default_config(Favourites()), "RUNNING", now_ms())
    state.cash = Money(1)
    state.live_trade = {"T": "trade"}
    told: list[Any] = []
    reads, feed = Reads(), Feed()
    return MarketWatch(feed, reads, None, lambda: state, told.append, told.append), reads, feed, state, told  # type: ignore[arg-type]


def test_fills_are_read_from_the_newest_one_on_with_overlap_and_told_in_order() -> None:
    watch, reads, _, _, told = scene()
    later = now_ms() + 60_000
    reads.listed = [fill(2, later), fill(1, later - 5)]
    watch.confirm()
    watch.confirm()
    assert [event.fill.trade_id for event in told if isinstance(event, FillSeen)] == ["t1", "t2", "t1", "t2"]
    assert reads.asked[1] == (later - OVERLAP_MS) // 1000


def test_a_failed_reading_moves_no_cursor() -> None:
    watch, reads, _, _, told = scene()
    reads.failing = True
    watch.confirm()
    reads.failing = False
    watch.confirm()
    assert told == [] and reads.asked[0] == reads.asked[1]


def test_nothing_is_read_with_a_stream_or_before_the_baseline_or_with_nothing_open() -> None:
    watch, reads, feed, state, _ = scene()
    feed.connected_now = True
    watch.confirm()
    feed.connected_now, state.cash = False, None
    watch.confirm()
    state.cash, state.live_trade = Money(1), {}
    watch.confirm()
    assert reads.asked == []


def test_fills_of_an_order_that_may_still_fill_are_read_although_no_trade_lives() -> None:
    watch, reads, _, state, _ = scene()
    state.live_trade = {}
    state.orders["o"] = SimpleNamespace(outstanding=lambda: 1)
    watch.confirm()
    assert len(reads.asked) == 1


def test_a_position_that_no_trade_manages_is_followed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The result that breakers judge needs its price."""
    watch, _, _, state, _ = scene()
    followed: list[frozenset[str]] = []
    feed = SimpleNamespace(
        snapshot=lambda: SimpleNamespace(quotes={}), follow=lambda held, watched: followed.append(held)
    )
    monkeypatch.setattr(watch, "_market_data", feed)
    monkeypatch.setattr(watch, "_passes", SimpleNamespace(verdicts={}))
    state.positions["BARE"] = Position("BARE", Count(100), Money(1))
    watch.follow()
    assert followed == [frozenset({"T", "BARE"})]


def test_whether_a_paused_market_with_a_trade_still_is_paused_is_read_in_turn() -> None:
    _, reads, _, state, told = scene()
    feed = Paused({"A": "inactive", "C": "active"})
    watch = MarketWatch(feed, reads, None, lambda: state, told.append, told.append)  # type: ignore[arg-type]
    state.live_trade = dict.fromkeys("ABCD", "trade")
    state.status = {"A": "inactive", "B": "inactive", "C": "inactive", "D": "active"}
    for _ in range(4):
        watch.confirm()
    assert feed.asked == ["A", "B", "C", "A"]
    assert [(x.ticker, x.status) for x in told if isinstance(x, MarketChange)] == [
        ("A", "inactive"), ("C", "active"), ("A", "inactive"),
    ]  # fmt: skip
    assert {(x.close_ms, x.grid) for x in told if isinstance(x, MarketChange)} == {(9, CENT_GRID)}


def test_many_fills_at_once_are_followed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stop's fills sorted all candidates anew, three times a stop, while the next stop waited."""
    watch = MarketWatch.__new__(MarketWatch)
    watch._following, followed = False, []
    monkeypatch.setattr(watch, "follow", lambda: followed.append(1), raising=False)
    for _ in range(30):
        watch.follow_soon()
    assert followed == [], "the exits leave first"
    gevent.sleep(0.1)
    assert followed == [1]
    watch.follow_soon()
    gevent.sleep(0.1)
    assert followed == [1, 1]


class Listed(Feed):
    """Every market that is asked for is active again."""

    connected_now = True

    def discover(self) -> None: ...

    def market(self, ticker: str) -> Any:
        return SimpleNamespace(ticker=ticker, status="active", result="", close_ms=9, grid=CENT_GRID)


def test_a_market_that_was_paused_is_asked_for_although_nothing_is_held_there_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch, _, _, state, told = scene()
    state.status.update({"PAUSED-1": "inactive", "OVER-1": "finalized"})
    monkeypatch.setattr(watch, "_market_data", Listed())
    monkeypatch.setattr(watch, "follow", lambda: None)
    watch.discover()
    asked = [(x.ticker, x.status, x.close_ms, x.grid) for x in told if isinstance(x, MarketChange)]
    seen = ("active", 9, CENT_GRID)
    assert asked == [("PAUSED-1", *seen), ("T", *seen)], "the held one, and the paused one, with their terms"
