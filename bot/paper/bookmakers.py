"""What the bookmakers of the synthetic world quote: its games, seen a little late, each with a margin and an opinion.

Event objects are those of odds-api.md section 3 with decimal odds and the market h2h. Prices depend only on the seed,
the game and the time, so reading them does not disturb the world.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from bot.paper.contest import Contest, Outcome, between
from bot.paper.teams import LEAGUES


class Bookmaker(NamedTuple):
    key: str
    title: str
    region: str
    margin: float
    opinion: float
    """How far it strays from the truth, in log odds."""
    lag_s: float
    every_s: float
    """Seconds between updates, compressed like the games (the feed's 40 to 60)."""


BOOKMAKERS = (
    Bookmaker("pinnacle", "Pinnacle", "eu", 0.026, 0.02, 1.0, 4.0),
    Bookmaker("matchbook", "Matchbook", "eu", 0.014, 0.03, 1.0, 3.0),
    Bookmaker("onexbet", "1xBet", "eu", 0.048, 0.05, 3.0, 6.0),
    Bookmaker("marathonbet", "Marathon Bet", "eu", 0.042, 0.04, 3.0, 6.0),
    Bookmaker("lowvig", "LowVig.ag", "us", 0.024, 0.03, 2.0, 5.0),
    Bookmaker("betonlineag", "BetOnline.ag", "us", 0.040, 0.03, 2.0, 5.0),
    Bookmaker("draftkings", "DraftKings", "us", 0.045, 0.04, 2.0, 5.0),
    Bookmaker("fanduel", "FanDuel", "us", 0.046, 0.04, 2.0, 5.0),
    Bookmaker("betmgm", "BetMGM", "us", 0.050, 0.05, 4.0, 7.0),
    Bookmaker("betrivers", "BetRivers", "us", 0.056, 0.05, 4.0, 7.0),
    Bookmaker("bovada", "Bovada", "us", 0.050, 0.05, 4.0, 8.0),
    Bookmaker("betus", "BetUS", "us", 0.052, 0.06, 6.0, 10.0),
)
MISSING = 0.06
"""Chance that a bookmaker does not offer a game at all."""
SUSPENDED = 0.965
"""Above this chance of the favourite most bookmakers, and above 0.985 all of them, have taken a game down."""


class Bookmakers:
    """The world's source of odds."""

    def __init__(self, seed: int, speed: float, contests: Callable[[], list[Contest]]) -> None:
        self.seed = seed
        self.speed = speed
        self.contests = contests

    def sports(self) -> list[dict[str, Any]]:
        return [
            {
                "key": league.sport_key,
                "group": league.sport_group,
                "title": league.sport_title,
                "description": league.competition,
                "active": True,
                "has_outrights": False,
            }
            for league in LEAGUES
        ]

    def odds(self, sport_key: str, now_ms: int) -> list[dict[str, Any]]:
        """Every game of a sport that is not over, earliest start first."""
        leagues = {league.name: league for league in LEAGUES if league.sport_key == sport_key}
        games = [c for c in self.contests() if c.league in leagues and c.stage == "live"]
        return [
            {
                "id": uuid5(NAMESPACE_URL, f"odds/{game.event_ticker}").hex,
                "sport_key": sport_key,
                "sport_title": leagues[game.league].sport_title,
                "commence_time": iso(game.path.start_ms),
                "home_team": game.home,
                "away_team": game.away,
                "bookmakers": [quoted for book in BOOKMAKERS if (quoted := self._quote(book, game, now_ms))],
            }
            for game in sorted(games, key=lambda game: game.path.start_ms)
        ]

    def _quote(self, book: Bookmaker, game: Contest, now_ms: int) -> dict[str, Any] | None:
        mine = Random(f"{self.seed}/{game.event_ticker}/{book.key}")
        offers, nerve, lean = mine.random() >= MISSING, mine.random(), mine.gauss(0.0, book.opinion)
        every = book.every_s * 1000 / self.speed
        phase = Random(book.key).random() * every
        turn = math.floor((now_ms - phase) / every)
        stamp = round(turn * every + phase)
        seen = _seen(game, stamp - round(book.lag_s * 1000 / self.speed))
        if not offers or seen is None:
            return None
        lean += Random(f"{self.seed}/{game.event_ticker}/{book.key}/{turn}").gauss(0.0, book.opinion / 2)
        chances = _opinion(game.outcomes, *seen, lean)
        favourite = max(chances)
        if favourite > 0.985 or (favourite > SUSPENDED and nerve < 0.7):
            return None
        prices = [
            max(1.01, round(1 / (chance * (1 + book.margin / 2) + book.margin / 2 / len(chances)), 2))
            for chance in chances
        ]
        named = [{"name": o.name, "price": price} for o, price in zip(game.outcomes, prices, strict=True)]
        if len(named) == 2:
            named.sort(key=lambda outcome: str(outcome["name"]))
        updated = iso(stamp)
        market = {"key": "h2h", "last_update": updated, "outcomes": named}
        return {"key": book.key, "title": book.title, "last_update": updated, "markets": [market]}


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seen(game: Contest, ms: int) -> tuple[float, float] | None:
    """(mean, variance left) as they stood at a time; what is older than the memory reads as its oldest."""
    if not game.history:
        return None
    known = game.history[0]
    for moment in game.history:
        if moment[0] > ms:
            break
        known = moment
    return known[1], known[2]


def _opinion(outcomes: list[Outcome], mean: float, left: float, lean: float) -> list[float]:
    chances = [between(outcome.low, outcome.high, mean, left) for outcome in outcomes]
    first = min(max(chances[0], 1e-6), 1 - 1e-6)
    leaning = 1 / (1 + (1 - first) / first * math.exp(-lean))
    rest = (1 - leaning) / (1 - first)
    return [leaning, *(chance * rest for chance in chances[1:])]
