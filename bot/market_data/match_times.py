"""When the game of a market starts: the milestone, else the ticker, else the series' offset (matching.md section 2)."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from bot.core.venue import Market

Source = Literal["milestone", "ticker", "expiration"]

MINUTE_MS = 60_000
KEPT_MS = 3 * 86_400_000
"""What was known of a game is forgotten this long after its start."""

OFFSET_MIN = dict.fromkeys(("KXMLBGAME", "KXWNBAGAME", "KXAFLGAME"), 180) | dict.fromkeys(
    ("KXKBOGAME", "KXNPBGAME"), 240
)
"""Series -> minutes from the start to expected_expiration_time, where that was measured to be constant."""

_CLOCK = re.compile(r"-(\d{2})([A-Z]{3})(\d{2})(\d{2})(\d{2})[A-Z]")
_MONTHS = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"
_RANK: tuple[Source, ...] = ("milestone", "ticker", "expiration")


class MatchTime(msgspec.Struct, frozen=True):
    """Scheduled start of a game, and what says so."""

    start_ms: int
    source: Source


class MatchTimes:
    """Event ticker -> start. What a listing no longer tells stays known; a better source replaces a lesser one."""

    def __init__(self) -> None:
        self.known: dict[str, MatchTime] = {}
        """Replaced, never changed: whoever read it keeps what it was."""

    def learn(self, markets: Iterable[Market]) -> None:
        known = dict(self.known)
        for market in markets:
            found = match_time(market)
            old = known.get(market.event_ticker)
            if found is not None and (old is None or _RANK.index(found.source) <= _RANK.index(old.source)):
                known[market.event_ticker] = found
        self.known = known

    def forget(self, before_ms: int) -> None:
        self.known = {event: at for event, at in self.known.items() if at.start_ms >= before_ms - KEPT_MS}

    def joined(self, market: Market) -> Market:
        """The market with the start of its game, as far as it is known."""
        at = self.known.get(market.event_ticker)
        if at is None or at.start_ms == market.start_ms:
            return market
        return msgspec.structs.replace(market, start_ms=at.start_ms)


def match_time(market: Market) -> MatchTime | None:
    """The start as this market tells it; None when nothing does, or when it is not a game."""
    if market.start_ms is not None:
        return MatchTime(market.start_ms, "milestone")
    if market.category != "Sports":
        return None
    if (start_ms := _ticker_start(market.event_ticker)) is not None:
        return MatchTime(start_ms, "ticker")
    offset = OFFSET_MIN.get(market.series_ticker)
    if offset is not None and market.end_ms < market.close_ms:
        return MatchTime(market.end_ms - offset * MINUTE_MS, "expiration")
    return None


def _ticker_start(event_ticker: str) -> int | None:
    """From `-26SEP091940PITCWS`: US Eastern time, for games in Asia too."""
    found = _CLOCK.search(event_ticker)
    if found is None or (month := _MONTHS.find(found[2])) % 3:
        return None
    try:
        local = datetime(2000 + int(found[1]), month // 3 + 1, int(found[3]), int(found[4]), int(found[5]), tzinfo=UTC)
    except ValueError:
        return None
    return round((local + timedelta(hours=4 if _daylight_saving(local) else 5)).timestamp() * 1000)


def _daylight_saving(local: datetime) -> bool:
    """US rule since 2007: from the second Sunday of March to the first of November, 2 o'clock."""
    return _sunday(local.year, 3, 2) <= local < _sunday(local.year, 11, 1)


def _sunday(year: int, month: int, which: int) -> datetime:
    first = datetime(year, month, 1, 2, tzinfo=UTC)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (which - 1))
