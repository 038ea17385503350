"""Kalshi games and bookmaker events: the right pair or none."""

import csv
import gzip
from datetime import datetime

import pytest

from bot.odds.client import BookOdds, OddsEvent
from bot.odds.matching import LEAGUES, MINUTE_MS, TEAMS, GameMarket, League, load_teams, match

HOUR = 60 * MINUTE_MS
START = 1_795_307_400_000


def odds(
    home: str, away: str, *, start: int = START, id: str = "e1", sport: str = "basketball_nba", draw: bool = False
):
    prices = {home: 1.5, away: 2.7} if not draw else {home: 2.1, away: 3.6, "Draw": 3.4}
    return OddsEvent(id, sport, start, home, away, tuple(BookOdds(name, 7, prices) for name in ("x", "y", "z")))


def game(event: str, *outcomes: tuple[str, str], start: int | None = START) -> list[GameMarket]:
    return [GameMarket(f"{event}-{code}", event, event.split("-")[0], title, start) for code, title in outcomes]


CELTICS = game("KXNBAGAME-26NOV21BOSDET", ("BOS", "Boston"), ("DET", "Detroit"))


def test_a_game_is_matched_whichever_side_is_at_home():
    for home, away in (("Detroit Pistons", "Boston Celtics"), ("Boston Celtics", "Detroit Pistons")):
        result = match(CELTICS, [odds("Utah Jazz", "Miami Heat", id="e0"), odds(home, away)])
        boston, detroit = (result.consensus[market.ticker] for market in CELTICS)
        assert not result.refused and result.links == {"KXNBAGAME-26NOV21BOSDET": "e1"}
        assert (boston.outcome, detroit.outcome) == ("Boston Celtics", "Detroit Pistons")
        assert boston.probability + detroit.probability == pytest.approx(1)
        assert (boston.probability > 0.5) == (home == "Boston Celtics")
        assert (boston.books, boston.updated_ms, boston.odds_event_id) == (("x", "y", "z"), 7, "e1")
        assert boston.commence_ms == START and boston.dispersion == 0


def test_a_soccer_game_has_three_outcomes():
    markets = game("KXEPLGAME-25NOV22LFCNFO", ("LFC", "Liverpool"), ("NFO", "Nottingham"), ("TIE", "Tie"))
    event = odds("Liverpool", "Nottingham Forest", sport="soccer_epl", draw=True)
    result = match(markets, [event])
    assert [result.consensus[market.ticker].outcome for market in markets] == ["Liverpool", "Nottingham Forest", "Draw"]
    assert sum(one.probability for one in result.consensus.values()) == pytest.approx(1)
    two_way = match(markets, [odds("Liverpool", "Nottingham Forest", sport="soccer_epl")])
    assert "fewer than three bookmakers" in two_way.refused["KXEPLGAME-25NOV22LFCNFO"]


@pytest.mark.parametrize(
    ("markets", "events", "reason"),
    [
        (CELTICS, [], "no bookmaker event has this pair"),
        (CELTICS, [odds("Detroit Pistons", "Boston Celtics", sport="basketball_wnba")], "no bookmaker event"),
        (CELTICS, [odds("Detroit Pistons", "Boston Celtics", start=START + 6 * HOUR)], "at another time"),
        (
            CELTICS,
            [odds("Detroit Pistons", "Boston Celtics"), odds("Boston Celtics", "Detroit Pistons", id="e2")],
            "2 bookmaker events fit it",
        ),
        (CELTICS[:1], [odds("Detroit Pistons", "Boston Celtics")], "do not name two teams"),
        (
            game("KXNBAGAME-X", ("BOS", "Boston"), ("DET", "Detroit"), start=None),
            [odds("Detroit Pistons", "Boston Celtics")],
            "its start is not known",
        ),
        (game("KXNBAGAME-X", ("BOS", "Boston"), ("XYZ", "Xanadu")), [], "NBA has no team XYZ"),
        (
            game("KXNBAGAME-X", ("BOS", "Boston"), ("DET", "Denver")),
            [odds("Detroit Pistons", "Boston Celtics")],
            "'Denver' is not Detroit Pistons, which DET stands for",
        ),
        (game("KXCPIYOY-X", ("T3", "Above 3 %")), [], "the series KXCPIYOY is not matched"),
    ],
)
def test_in_doubt_nothing_is_matched_and_the_reason_is_said(markets, events, reason):
    result = match(markets, events)
    assert not result.consensus and not result.links
    assert reason in result.refused[markets[0].event_ticker]


def test_the_two_games_of_a_double_header_are_told_apart_by_their_times():
    first = game("KXMLBGAME-26AUG071305ATLNYY", ("ATL", "Atlanta"), ("NYY", "New York Y"))
    second = game("KXMLBGAME-26AUG071905ATLNYY", ("ATL", "Atlanta"), ("NYY", "New York Y"), start=START + 6 * HOUR)
    names = {"home": "New York Yankees", "away": "Atlanta Braves", "sport": "baseball_mlb"}
    early, late = odds(**names, id="early"), odds(**names, id="late", start=START + 6 * HOUR + 10 * MINUTE_MS)
    result = match([*first, *second], [late, early])
    assert result.links == {first[0].event_ticker: "early", second[0].event_ticker: "late"}


def test_a_link_outlives_a_start_that_creeps_away_and_is_not_given_to_a_ghost():
    links = match(CELTICS, [odds("Detroit Pistons", "Boston Celtics")]).links
    late = odds("Detroit Pistons", "Boston Celtics", start=START + 9 * HOUR)
    ghost = odds("Detroit Pistons", "Boston Celtics", id="ghost")
    assert match(CELTICS, [ghost, late], links).consensus[CELTICS[0].ticker].odds_event_id == "e1"
    gone = match(CELTICS, [ghost], links)
    assert not gone.consensus and "no longer listed" in gone.refused[CELTICS[0].event_ticker]


def test_short_names_with_letters_and_oddly_spelled_clubs_are_known():
    for league, code, title, name in [
        ("MLB", "CWS", "Chicago WS", "Chicago White Sox"),
        ("MLB", "ATH", "A's", "Athletics"),
        ("NFL", "NO", "New Orleans", "New Orleans Saints"),
        ("NFL", "LAR", "Los Angeles R", "Los Angeles Rams"),
        ("NBA", "NYK", "New York K", "New York Knicks"),
        ("NHL", "STL", "St. Louis", "St Louis Blues"),
        ("NHL", "MTL", "Montreal", "Montréal Canadiens"),
    ]:
        series = next(series for series, known in LEAGUES.items() if known.name == league)
        other = next(place[1] for place in TEAMS if place[0] == league and place[1] not in (code, "AL", "NL"))
        rival = TEAMS[league, other]
        markets = game(f"{series}-X", (code, title), (other, min(rival.kalshi_names)))
        result = match(markets, [odds(name, rival.odds_name, sport=LEAGUES[series].sport_key)])
        assert result.consensus[markets[0].ticker].outcome == name, (result.refused, title)


def test_a_table_that_contradicts_itself_is_refused(tmp_path):
    path = tmp_path / "teams.csv"
    path.write_text("league,kalshi_code,kalshi_name,odds_name\nNBA,LA,Los Angeles,A\nNBA,LA,Los Angeles,B\n")
    with pytest.raises(ValueError, match="is both A and B"):
        load_teams(path)


def test_every_team_of_the_synthetic_world_is_known():
    world = pytest.importorskip("bot.paper.teams")
    for league in world.LEAGUES:
        assert LEAGUES[league.series].sport_key == league.sport_key
        for team in league.teams:
            assert TEAMS[league.name, team.code].odds_name == team.name
            assert team.city in TEAMS[league.name, team.code].kalshi_names


def test_recorded_games_are_matched_with_the_event_they_belong_to(recorded):
    with recorded("matched_kalshi_us_books_202607/events.csv").open() as file:
        pairs = [row for row in csv.DictReader(file) if row["kalshi_event"].split("-")[0] in LEAGUES]
    with gzip.open(recorded("matched_kalshi_us_books_202607/matched.csv.gz"), "rt") as file:
        tickers = {(row["kalshi_event"], row["kalshi_ticker"]) for row in csv.DictReader(file)}
    right: dict[str, str] = {}
    markets: list[GameMarket] = []
    events: dict[str, OddsEvent] = {}
    for row in pairs:
        event, series = row["kalshi_event"], row["kalshi_event"].split("-")[0]
        teams = {ticker for of, ticker in tickers if of == event}
        if len(teams) != 2:
            continue
        start, commence = (_ms(row[name]) for name in ("kalshi_start_utc", "commence_time"))
        for ticker in teams:
            title = min(TEAMS[LEAGUES[series].name, ticker.rpartition("-")[2]].kalshi_names)
            markets.append(GameMarket(ticker, event, series, title, start))
        sport = LEAGUES[series].sport_key
        id = row["odds_event_id"]
        events[id] = odds(row["home_team"], row["away_team"], start=commence, id=id, sport=sport)
        right[event] = id
    result = match(markets, events.values())
    assert len(right) > 80
    wrong = {event: id for event, id in result.links.items() if right[event] != id}
    assert not wrong
    assert len(result.links) >= 0.95 * len(right), result.refused


def test_pairs_that_a_public_bot_got_wrong_are_refused(recorded):
    colleges = {series: League("NCAA", "basketball_ncaab") for series in ("KXNCAAMBGAME", "KXNCAAWBGAME")}
    names: dict[tuple[str, str], str] = {}
    with recorded("team_names.csv").open() as file:
        for row in csv.DictReader(file):
            if row["league"] in ("NCAAM", "NCAAW"):
                names.setdefault(("NCAA", row["kalshi_code"]), row["odds_api_name"])
    with recorded("known_bad_pairs.csv").open() as file:
        bad = list(csv.DictReader(file))
    assert len(bad) == 4
    for row in bad:
        series, segment, code = row["kalshi_ticker"].split("-")
        rival = segment[7:].replace(code, "", 1)
        table = load_table({**names, ("NCAA", code): names.get(("NCAA", code), code), ("NCAA", rival): "Rivals"})
        markets = game(f"{series}-{segment}", (code, table["NCAA", code].odds_name), (rival, "Rivals"))
        wrong = odds(row["odds_api_name"], "Rivals", sport="basketball_ncaab")
        result = match(markets, [wrong], leagues=colleges, teams=table)
        assert not result.consensus and result.refused, row


def load_table(names):
    from bot.odds.matching import Team

    return {place: Team(name, frozenset({name})) for place, name in names.items()}


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
