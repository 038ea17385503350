"""The bookmakers' consensus as the passes get it: matched once, dropped when old, never holding the others."""

import gevent
import pytest

from bot.core.grid import CENT_GRID
from bot.core.units import Count
from bot.core.venue import Market
from bot.odds import matching
from bot.odds.client import BookOdds, OddsError, OddsEvent
from bot.run import odds_feed
from bot.run.odds_feed import STALE_MS, OddsFeed

START = 1_795_307_400_000
NOW = START - 3_600_000


class Service:
    """Odds as they stand; `failing` while it cannot be reached."""

    quota = None

    def __init__(self, updated_ms: int) -> None:
        self.updated_ms = updated_ms
        self.failing = False

    def odds(self, sport: str) -> list[OddsEvent]:
        if self.failing:
            raise OddsError("outage", "away")
        prices = {"Detroit Pistons": 1.5, "Boston Celtics": 2.7}
        books = tuple(BookOdds(name, self.updated_ms, prices) for name in "xyz")
        return [OddsEvent("e1", sport, START, "Detroit Pistons", "Boston Celtics", books)]


def market(ticker: str, title: str) -> Market:
    return Market(
        ticker, ticker.rpartition("-")[0], "KXNBAGAME", "Boston at Detroit", title, "Sports", "active", 0,
        START + 10**9, START + 10**7, START, CENT_GRID, "quadratic", 1.0, 0, True, Count(100_000), "",
    )  # fmt: skip


GAME = {
    m.ticker: m
    for m in (market("KXNBAGAME-26NOV21BOSDET-BOS", "Boston"), market("KXNBAGAME-26NOV21BOSDET-DET", "Detroit"))
}


def feed(service: Service, now: list[int], interval_s: float = 300) -> OddsFeed:
    return OddsFeed(service, interval_s, lambda: now[0])  # type: ignore[arg-type]


def test_odds_that_cannot_be_renewed_are_used_for_fifteen_minutes_and_no_longer() -> None:
    now, service = [NOW], Service(NOW)
    odds = feed(service, now)
    assert odds.refresh(GAME).keys() == GAME.keys()
    service.failing = True
    now[0] = NOW + STALE_MS
    assert odds.refresh(GAME).keys() == GAME.keys() and odds.state == "outage"
    now[0] += 1
    assert odds.refresh(GAME) == {}
    service.failing, service.updated_ms = False, now[0]
    now[0] += 300_000
    assert odds.refresh(GAME).keys() == GAME.keys()


def test_a_service_that_answers_with_old_quotes_is_not_believed() -> None:
    assert feed(Service(NOW - STALE_MS - 1), [NOW]).refresh(GAME) == {}


def test_the_same_games_and_odds_are_matched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    matched: list[int] = []

    def counting(games, odds, links, *, turn):
        matched.append(len(games))
        return matching.match(games, odds, links, turn=turn)

    monkeypatch.setattr(odds_feed, "match", counting)
    now = [NOW]
    odds = feed(Service(NOW), now)
    for _ in range(3):
        odds.refresh(GAME)
    assert matched == [2]
    now[0] += 300_000
    odds.refresh(GAME)
    assert matched == [2], "the odds were read again and are the same"
    odds.refresh(dict(list(GAME.items())[:1]))
    assert matched == [2, 1]


def test_a_thousand_games_are_matched_without_holding_the_others() -> None:
    many = {
        ticker: market(ticker, title)
        for day in range(1_000)
        for ticker, title in ((f"KXNBAGAME-{day}BOSDET-BOS", "Boston"), (f"KXNBAGAME-{day}BOSDET-DET", "Detroit"))
    }
    turns = [0]

    def other() -> None:
        while True:
            turns[0] += 1
            gevent.sleep(0)

    greenlet = gevent.spawn(other)
    found = feed(Service(NOW), [NOW]).refresh(many)
    greenlet.kill()
    assert len(found) == 2_000 and turns[0] > 5
