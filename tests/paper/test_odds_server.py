"""The paper odds answer like The Odds API (odds-api.md sections 2 and 3)."""

import json
from typing import Any

import pytest

from bot.paper.engine import Engine
from bot.paper.odds_server import Quota, answer
from bot.paper.world import World

NOW = 1_790_000_000_000
SPORTS = ["basketball_nba", "americanfootball_nfl", "icehockey_nhl", "baseball_mlb", "soccer_epl"]


@pytest.fixture(scope="module")
def world() -> World:
    engine, world = Engine(3), World("demo", 3, 1.0)
    world.start(engine, NOW)
    for step in range(100):
        world.advance(engine, NOW + step * 100)
    return world


def get(world: World, path: str, quota: Quota | None = None, **query: str) -> tuple[int, dict[str, str], Any]:
    query = {"apiKey": "any", **query}
    status, headers, body = answer(path, query, world.odds, quota or Quota(), NOW + 10_000)
    return status, headers, json.loads(body)


def every(world: World, **query: str) -> list[dict]:
    found = []
    for sport in SPORTS:
        status, _, events = get(world, f"/v4/sports/{sport}/odds", **query)
        assert status == 200
        found += events
    return found


def test_sports_are_free_and_in_season(world: World) -> None:
    quota = Quota()
    status, headers, sports = get(world, "/v4/sports", quota)
    assert status == 200
    assert [sport["key"] for sport in sports] == SPORTS
    assert all(set(s) == {"key", "group", "title", "description", "active", "has_outrights"} for s in sports)
    assert headers["x-requests-used"] == headers["x-requests-last"] == "0"


def test_events_have_exactly_the_recorded_fields(world: World) -> None:
    events = every(world, regions="us,eu")
    assert len(events) == world.games
    for event in events:
        assert set(event) == {
            "id",
            "sport_key",
            "sport_title",
            "commence_time",
            "home_team",
            "away_team",
            "bookmakers",
        }
        assert len(event["id"]) == 32 and int(event["id"], 16)
        names = {event["home_team"], event["away_team"]} | ({"Draw"} if event["sport_key"] == "soccer_epl" else set())
        for book in event["bookmakers"]:
            assert set(book) == {"key", "title", "last_update", "markets"}
            (market,) = book["markets"]
            assert set(market) == {"key", "last_update", "outcomes"}
            assert {outcome["name"] for outcome in market["outcomes"]} == names
            if len(names) == 2:
                assert [o["name"] for o in market["outcomes"]] == sorted(names)
            assert book["last_update"] <= "2026-09-21T14:13:30Z"
    assert len({event["id"] for event in events}) == len(events)


def test_games_in_play_stay_listed(world: World) -> None:
    starts = [event["commence_time"] for event in every(world, regions="us,eu")]
    assert min(starts) < "2026-09-21T14:13:20Z" < max(starts)


def test_regions_and_bookmakers_choose_and_cost(world: World) -> None:
    quota = Quota(limit=100)
    _, headers, events = get(world, "/v4/sports/basketball_nba/odds", quota, regions="us,eu", markets="h2h,totals")
    assert (headers["x-requests-last"], headers["x-requests-used"], headers["x-requests-remaining"]) == ("4", "4", "96")
    keys = {book["key"] for event in events for book in event["bookmakers"]}
    assert {"pinnacle", "lowvig", "betonlineag", "draftkings", "fanduel", "betmgm"} <= keys
    european = {book["key"] for event in every(world, regions="eu") for book in event["bookmakers"]}
    assert "pinnacle" in european and "draftkings" not in european
    _, headers, events = get(
        world, "/v4/sports/basketball_nba/odds", quota, bookmakers="pinnacle,fanduel", regions="us"
    )
    assert {book["key"] for event in events for book in event["bookmakers"]} == {"pinnacle", "fanduel"}
    assert headers["x-requests-last"] == "1"
    _, _, events = get(world, "/v4/sports/basketball_nba/odds", regions="us", markets="spreads")
    assert all(event["bookmakers"] == [] for event in events)


def test_margins_are_those_of_the_recorded_books(world: World) -> None:
    over = sorted(
        sum(1 / outcome["price"] for outcome in market["outcomes"]) - 1
        for event in every(world, regions="us")
        for book in event["bookmakers"]
        for market in book["markets"]
        if all(1.1 < outcome["price"] < 10 for outcome in market["outcomes"])
    )
    assert 0.035 < over[len(over) // 2] < 0.055
    assert over[0] > 0


def test_american_odds_and_unix_dates(world: World) -> None:
    query = {"regions": "us,eu"}
    for plain, other in zip(every(world, **query), every(world, oddsFormat="american", **query), strict=True):
        for book, same in zip(plain["bookmakers"], other["bookmakers"], strict=True):
            pairs = zip(book["markets"][0]["outcomes"], same["markets"][0]["outcomes"], strict=True)
            for decimal, american in pairs:
                price = american["price"]
                assert isinstance(price, int) and abs(price) >= 100
                gain = price / 100 if price > 0 else -100 / price
                assert gain == pytest.approx(decimal["price"] - 1, rel=0.01)
    _, _, events = get(world, "/v4/sports/baseball_mlb/odds", dateFormat="unix", **query)
    assert all(isinstance(event["commence_time"], int) for event in events)
    assert all(isinstance(book["last_update"], int) for event in events for book in event["bookmakers"])


def test_events_can_be_chosen_by_id_and_time(world: World) -> None:
    path = "/v4/sports/basketball_nba/events"
    _, headers, events = get(world, path)
    assert headers["x-requests-last"] == "0"
    assert "bookmakers" not in events[0]
    assert get(world, path, eventIds=events[1]["id"])[2] == [events[1]]
    moment = events[1]["commence_time"]
    assert get(world, path, commenceTimeTo=moment)[2] == [e for e in events if e["commence_time"] <= moment]
    assert get(world, path, commenceTimeFrom=moment)[2] == [e for e in events if e["commence_time"] >= moment]


def test_upcoming_is_what_is_on_and_the_next_eight(world: World) -> None:
    _, _, events = get(world, "/v4/sports/upcoming/odds", regions="us")
    assert len({event["sport_key"] for event in events}) > 1
    assert sum(event["commence_time"] > "2026-09-21T14:13:30Z" for event in events) <= 8


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("/v4/sports", {"apiKey": ""}, 401, "MISSING_KEY"),
        ("/v4/sports", {"apiKey": "invalid"}, 401, "INVALID_KEY"),
        ("/v4/sports/tennis_atp/odds", {"regions": "us"}, 404, "UNKNOWN_SPORT"),
        ("/v4/sports/baseball_mlb/odds", {}, 422, "MISSING_REGION"),
        ("/v4/sports/baseball_mlb/odds", {"regions": "mars"}, 422, "INVALID_REGION"),
        ("/v4/sports/baseball_mlb/odds", {"regions": "us", "markets": "player_points"}, 422, "INVALID_MARKET"),
        ("/v4/sports/baseball_mlb/odds", {"regions": "us", "markets": "outrights"}, 422, "INVALID_MARKET_COMBO"),
        ("/v4/sports/baseball_mlb/odds", {"bookmakers": "a,,b"}, 422, "INVALID_BOOKMAKERS"),
        ("/v4/sports/baseball_mlb/odds", {"regions": "us", "oddsFormat": "fraction"}, 422, "INVALID_ODDS_FORMAT"),
        ("/v4/sports/baseball_mlb/odds", {"regions": "us", "dateFormat": "x"}, 422, "INVALID_DATE_FORMAT"),
        ("/v4/sports/baseball_mlb/odds", {"regions": "us", "eventIds": "12"}, 422, "INVALID_EVENT_IDS"),
        ("/v4/sports/baseball_mlb/events", {"commenceTimeFrom": "now"}, 422, "INVALID_COMMENCE_TIME_FROM"),
        ("/v4/elsewhere", {}, 404, "NOT_FOUND"),
    ],
)
def test_refusals_carry_the_code(world: World, path: str, query: dict, status: int, code: str) -> None:
    got, _, body = get(world, path, **query)
    assert (got, body["error_code"]) == (status, code)
    assert set(body) == {"message", "error_code", "details_url"}


def test_used_up_credits_are_a_401_and_cost_nothing(world: World) -> None:
    quota = Quota(limit=3)
    assert get(world, "/v4/sports/baseball_mlb/odds", quota, regions="us,eu")[0] == 200
    status, headers, body = get(world, "/v4/sports/baseball_mlb/odds", quota, regions="us,eu")
    assert (status, body["error_code"]) == (401, "OUT_OF_USAGE_CREDITS")
    assert (headers["x-requests-remaining"], headers["x-requests-last"]) == ("1", "0")
    assert get(world, "/v4/sports/baseball_mlb/events", quota)[0] == 200
