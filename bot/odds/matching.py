"""Which bookmaker event a Kalshi game is (matching.md section 3). When in doubt it refuses, and says why.

Teams come from the suffixes of the event's market tickers by our table teams.csv, never from titles; the pair is
unordered. A link once made is kept by the bookmakers' id, because their starting times move.
"""

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bot.odds.client import OddsEvent
from bot.odds.devig import consensus

MINUTE_MS = 60_000
WINDOW_MS = 300 * MINUTE_MS
CLOCK_WINDOW_MS = 100 * MINUTE_MS
"""For tickers with the starting time in them: such leagues play the same pair twice on a day."""

_CLOCK = re.compile(r"-\d{2}[A-Z]{3}\d{2}\d{4}[A-Z]")
_SHORT = re.compile(r" [A-Z]{1,2}$")


class League(NamedTuple):
    """A league and where its odds are."""

    name: str
    sport_key: str
    tie: bool = False


LEAGUES: Mapping[str, League] = {
    "KXNBAGAME": League("NBA", "basketball_nba"),
    "KXWNBAGAME": League("WNBA", "basketball_wnba"),
    "KXNFLGAME": League("NFL", "americanfootball_nfl"),
    "KXNHLGAME": League("NHL", "icehockey_nhl"),
    "KXMLBGAME": League("MLB", "baseball_mlb"),
    "KXEPLGAME": League("EPL", "soccer_epl", tie=True),
}
"""By series ticker. Only these are matched."""


class Team(NamedTuple):
    """A team's name in the odds, and its names on Kalshi (`yes_sub_title`)."""

    odds_name: str
    kalshi_names: frozenset[str]


@dataclass(frozen=True)
class GameMarket:
    """A market of a game on Kalshi. `start_ms` is the scheduled start (the milestone's), None when unknown."""

    ticker: str
    event_ticker: str
    series_ticker: str
    yes_sub_title: str
    start_ms: int | None


@dataclass(frozen=True)
class Consensus:
    """What the bookmakers believe of one market: the probability that its YES comes true, and where that is from."""

    ticker: str
    probability: float
    books: tuple[str, ...]
    dispersion: float
    commence_ms: int
    updated_ms: int
    odds_event_id: str
    outcome: str


@dataclass(frozen=True)
class Matches:
    """The result for a set of markets: a consensus by market ticker, or a reason by event ticker."""

    consensus: Mapping[str, Consensus]
    refused: Mapping[str, str]
    links: Mapping[str, str]
    """Bookmaker event id by event ticker; give it back at the next call."""


def load_teams(path: Path) -> dict[tuple[str, str], Team]:
    """The table of names, by league and Kalshi's code."""
    teams: dict[tuple[str, str], Team] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            place = row["league"], row["kalshi_code"]
            known = teams.get(place, Team(row["odds_name"], frozenset()))
            if known.odds_name != row["odds_name"]:
                raise ValueError(f"{path.name}: {place} is both {known.odds_name} and {row['odds_name']}")
            teams[place] = Team(known.odds_name, known.kalshi_names | {row["kalshi_name"]})
    return teams


TEAMS = load_teams(Path(__file__).with_name("teams.csv"))


def match(
    markets: Iterable[GameMarket],
    odds: Iterable[OddsEvent],
    links: Mapping[str, str] | None = None,
    *,
    leagues: Mapping[str, League] = LEAGUES,
    teams: Mapping[tuple[str, str], Team] = TEAMS,
    turn: Callable[[], None] = lambda: None,
) -> Matches:
    """Match games with bookmaker events and price their markets. Give all markets of each event.

    `turn` is called after each game: many games are some work, and others may want to run.
    """
    pairs: dict[tuple[str, frozenset[str]], list[OddsEvent]] = {}
    for event in odds:
        pairs.setdefault((event.sport_key, frozenset((event.home, event.away))), []).append(event)
    games: dict[str, list[GameMarket]] = {}
    for market in markets:
        games.setdefault(market.event_ticker, []).append(market)
    priced: dict[str, Consensus] = {}
    refused: dict[str, str] = {}
    made: dict[str, str] = dict(links or {})
    for ticker, game in games.items():
        turn()
        league = leagues.get(game[0].series_ticker)
        outcomes = _outcomes(game, league, teams) if league else f"the series {game[0].series_ticker} is not matched"
        if league is None or isinstance(outcomes, str):
            refused[ticker] = str(outcomes)
            continue
        same = pairs.get((league.sport_key, frozenset(outcomes.values()) - {"Draw"}), [])
        found = _find(game[0], same, made.get(ticker))
        if isinstance(found, str):
            refused[ticker] = found
            continue
        made[ticker] = found.id
        fair = consensus(found.books, frozenset({found.home, found.away, *(("Draw",) if league.tie else ())}))
        if fair is None:
            refused[ticker] = "fewer than three bookmakers quote it"
            continue
        for market in game:
            name = outcomes[market.ticker]
            priced[market.ticker] = Consensus(
                market.ticker,
                fair.probabilities[name],
                fair.books,
                fair.dispersion[name],
                found.commence_ms,
                fair.updated_ms,
                found.id,
                name,
            )
    return Matches(priced, refused, {ticker: made[ticker] for ticker in games if ticker in made})


def _outcomes(game: list[GameMarket], league: League, teams: Mapping[tuple[str, str], Team]) -> dict[str, str] | str:
    """The odds' name of each market's outcome, or why there is none."""
    names: dict[str, str] = {}
    for market in game:
        code = market.ticker.rpartition("-")[2]
        if league.tie and code == "TIE":
            names[market.ticker] = "Draw"
            continue
        team = teams.get((league.name, code))
        if team is None:
            return f"{league.name} has no team {code} in our table"
        if not _fits(market.yes_sub_title, team):
            return f"{market.yes_sub_title!r} is not {team.odds_name}, which {code} stands for"
        names[market.ticker] = team.odds_name
    if len(set(names.values()) - {"Draw"}) != 2 or len(set(names.values())) != len(names):
        return "its markets do not name two teams"
    return names


def _fits(title: str, team: Team) -> bool:
    """Whether Kalshi's short name is in the table, or is a city (and a letter or two) that begins the full name."""
    city = _SHORT.sub("", title)
    return title in team.kalshi_names or f"{team.odds_name} ".startswith(f"{city} ")


def _find(market: GameMarket, same: list[OddsEvent], linked: str | None) -> OddsEvent | str:
    """The one bookmaker event, of those of this pair, at this time, or why there is not exactly one."""
    if linked is not None:
        return next((event for event in same if event.id == linked), "its bookmaker event is no longer listed")
    if market.start_ms is None:
        return "its start is not known"
    window = CLOCK_WINDOW_MS if _CLOCK.search(market.event_ticker) else WINDOW_MS
    near = [event for event in same if abs(event.commence_ms - market.start_ms) <= window]
    if len(near) == 1:
        return near[0]
    if near:
        return f"{len(near)} bookmaker events fit it"
    return "bookmakers list the pair at another time" if same else "no bookmaker event has this pair"
