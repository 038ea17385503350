"""Keeps the bookmakers' consensus of the games in the snapshot: reads what is older than an interval, then matches."""

import logging
import time
from collections.abc import Callable, Mapping

import gevent

from bot.core.venue import Market
from bot.odds.client import OddsClient, OddsError, OddsEvent
from bot.odds.matching import LEAGUES, Consensus, GameMarket, match
from bot.strategy.contract import Fair

log = logging.getLogger("OddsFeed")

METHOD = "multiplicative"

STALE_MS = 900_000
"""A reply of the service holds no older quote (odds-api.md section 3): older than this, odds are no evidence."""

_TURN_NS = 1_000_000
"""Matching lets others run this often."""

_A_MOMENT = 1e-6
"""Not 0: after sleep(0) gevent looks at sockets and timers only every 50th time."""


class OddsFeed:
    """`state` is off (no key), ok, or the kind of the last failure; key and quota failures stop asking for an hour."""

    def __init__(self, client: OddsClient | None, interval_s: float, clock_ms: Callable[[], int]) -> None:
        self.state = "ok" if client else "off"
        self.updated_ms = 0
        self.refused: Mapping[str, str] = {}
        self._client = client
        self._interval_ms = interval_s * 1000
        self._clock_ms = clock_ms
        self._read: dict[str, list[OddsEvent]] = {}
        self._asked_ms: dict[str, float] = {}
        self._links: Mapping[str, str] = {}
        self._consensus: Mapping[str, Consensus] = {}
        self._matched: tuple[list[GameMarket], list[list[OddsEvent]]] = ([], [])
        """What the consensus was made of; the same games and odds are not matched again."""

    @property
    def remaining(self) -> int | None:
        """Credits left, as the service last said."""
        return self._client.quota.remaining if self._client and self._client.quota else None

    def refresh(self, markets: Mapping[str, Market]) -> Mapping[str, Fair]:
        """The consensus of each market that could be matched. What could not be read keeps its last odds until they
        are stale."""
        if self._client is None:
            return {}
        games = [
            GameMarket(m.ticker, m.event_ticker, m.series_ticker, m.yes_title, m.start_ms)
            for m in markets.values()
            if m.series_ticker in LEAGUES
        ]
        sports = {LEAGUES[g.series_ticker].sport_key for g in games}
        for sport in sorted(sports):
            self._ask(self._client, sport)
        for sport in self._read.keys() - sports:
            del self._read[sport]
        if (games, list(self._read.values())) != self._matched:
            self._match(games)
        oldest_ms = self._clock_ms() - STALE_MS
        return {
            ticker: Fair(c.probability, len(c.books), c.dispersion, METHOD, c.updated_ms)
            for ticker, c in self._consensus.items()
            if c.updated_ms >= oldest_ms
        }

    def _match(self, games: list[GameMarket]) -> None:
        odds = list(self._read.values())
        found = match(games, [event for events in odds for event in events], self._links, turn=_turns())
        self.refused, self._links, self._consensus = found.refused, found.links, found.consensus
        self._matched = games, odds

    def _ask(self, client: OddsClient, sport: str) -> None:
        now = self._clock_ms()
        if now < self._asked_ms.get(sport, 0) + self._interval_ms:
            return
        self._asked_ms[sport] = now
        try:
            self._read[sport] = client.odds(sport)
        except OddsError as error:
            self.state = error.kind
            if error.kind in ("key", "quota"):
                self._asked_ms[sport] = now + 3_600_000
            log.warning("%s: %s", sport, error)
            return
        self.state, self.updated_ms = "ok", now
        left = "" if client.quota is None else f", {client.quota.remaining} credits left"
        log.info("%s: %d games%s", sport, len(self._read[sport]), left)


def _turns() -> Callable[[], None]:
    """Called often, it lets others run each millisecond."""
    since = time.monotonic_ns()

    def turn() -> None:
        nonlocal since
        if time.monotonic_ns() - since > _TURN_NS:
            gevent.sleep(_A_MOMENT)
            since = time.monotonic_ns()

    return turn
