"""The start of a game comes from the best source there is, and stays known."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_market_data import market

from bot.market_data.match_times import KEPT_MS, MatchTime, MatchTimes, match_time

EASTERN = ZoneInfo("America/New_York")


def eastern_ms(*parts):
    return round(datetime(*parts, tzinfo=EASTERN).timestamp() * 1000)


def game(event, **fields):
    return market(f"{event}-PIT", event_ticker=event, series_ticker=event.partition("-")[0], **fields)


@given(st.datetimes(min_value=datetime(2024, 1, 1), max_value=datetime(2032, 12, 31)))
def test_the_time_in_a_ticker_is_us_eastern(local):
    """At the hour that a clock change skips or repeats no game starts."""
    if local.hour in (1, 2) and local.month in (3, 11):
        return
    event = f"KXMLBGAME-{local:%y%b%d%H%M}PITCWS".upper()
    at = eastern_ms(local.year, local.month, local.day, local.hour, local.minute)
    assert match_time(game(event)) == MatchTime(at, "ticker")


def test_a_milestone_wins_over_the_ticker_and_the_ticker_over_the_offset():
    event = "KXMLBGAME-26SEP091940PITCWS"
    assert match_time(game(event, start_ms=5)) == MatchTime(5, "milestone")
    assert match_time(game(event, end_ms=1)).source == "ticker"
    plain = game("KXMLBGAME-26SEP09PITCWS", end_ms=200 * 60_000, close_ms=10**9)
    assert match_time(plain) == MatchTime(20 * 60_000, "expiration")


@pytest.mark.parametrize(
    "other",
    [
        game("KXNBAGAME-26NOV21BOSDET", end_ms=1),
        game("KXMLBGAME-26SEP09PITCWS", end_ms=9_000_000),
        game("KXMLBGAME-26XXX091940PITCWS", end_ms=9_000_000),
        game("KXMLBGAME-26FEB301940PITCWS", end_ms=9_000_000),
        game("KXBTC15M-26NOV211200B", category="Crypto"),
    ],
)
def test_what_is_not_known_is_not_guessed(other):
    assert match_time(other) is None


def test_what_was_known_outlives_a_listing_that_no_longer_tells_it():
    times = MatchTimes()
    times.learn([game("KXNBAGAME-26NOV21BOSDET", start_ms=700)])
    times.learn([game("KXNBAGAME-26NOV21BOSDET")])
    assert times.joined(game("KXNBAGAME-26NOV21BOSDET")).start_ms == 700
    times.learn([game("KXNBAGAME-26NOV21BOSDET", start_ms=900)])
    assert times.known["KXNBAGAME-26NOV21BOSDET"] == MatchTime(900, "milestone")


def test_a_lesser_source_does_not_replace_a_better_one():
    times, event = MatchTimes(), "KXMLBGAME-26SEP091940PITCWS"
    times.learn([game(event, start_ms=700)])
    times.learn([game(event)])
    assert times.known[event] == MatchTime(700, "milestone")


def test_old_games_are_forgotten():
    times = MatchTimes()
    times.learn([game("KXNBAGAME-26NOV21BOSDET", start_ms=700)])
    times.forget(700 + KEPT_MS)
    assert times.known
    times.forget(701 + KEPT_MS)
    assert not times.known
