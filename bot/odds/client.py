"""The Odds API v4 (odds-api.md): head-to-head decimal odds as typed values.

The key travels in the address, so no address, and no exception that holds one, ever leaves this module.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

import msgspec
import requests

BOOKS = "pinnacle,betfair_ex_eu,matchbook,lowvig,betonlineag,draftkings,fanduel,betmgm,betrivers,bovada"
"""Ten books are billed as one region (odds-api.md section 5)."""
TIMEOUT_S = (3.0, 10.0)

ErrorKind = Literal["key", "quota", "rate", "request", "reply", "outage"]
"""key and quota last until somebody acts; rate and outage pass; request and reply are defects."""

_KINDS: Mapping[str, ErrorKind] = {
    "OUT_OF_USAGE_CREDITS": "quota",
    "MISSING_KEY": "key",
    "INVALID_KEY": "key",
    "DEACTIVATED_KEY": "key",
    "EXCEEDED_FREQ_LIMIT": "rate",
}


class OddsError(Exception):
    """The odds could not be read. `code` is the service's error_code, '' when it gave none."""

    def __init__(self, kind: ErrorKind, message: str, code: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.kind, self.code, self.status = kind, code, status


@dataclass(frozen=True)
class BookOdds:
    """One bookmaker's decimal odds for each outcome of a game, by the outcome's name."""

    book: str
    updated_ms: int
    prices: Mapping[str, float]


@dataclass(frozen=True)
class OddsEvent:
    """A game. `commence_ms` moves (rain, the real start): `id` is its identity (odds-api.md section 6)."""

    id: str
    sport_key: str
    commence_ms: int
    home: str
    away: str
    books: tuple[BookOdds, ...]


class Quota(NamedTuple):
    """Credits as the last reply's headers gave them; the month's are renewed on its first day."""

    remaining: int
    used: int
    last_cost: int


class OddsClient:
    """Reads odds. Keeps the quota that the last reply reported in `quota`."""

    def __init__(self, base_url: str, key: str, session: requests.Session | None = None) -> None:
        self._base_url = base_url.rstrip("/")
        self._key = key
        if session is None:
            session = requests.Session()
            session.trust_env = False
        self._session = session
        self.quota: Quota | None = None

    def odds(self, sport_key: str) -> list[OddsEvent]:
        """All listed games of a sport, also those in play. Costs one credit. Raises OddsError."""
        parameters = {"apiKey": self._key, "bookmakers": BOOKS, "markets": "h2h", "oddsFormat": "decimal"}
        try:
            reply = self._session.get(
                f"{self._base_url}/v4/sports/{sport_key}/odds",
                params=parameters,
                timeout=TIMEOUT_S,
                allow_redirects=False,
            )
            status, headers, body = reply.status_code, reply.headers, reply.content
            failure = ""
        except requests.RequestException as error:
            failure = type(error).__name__
        if failure:  # raised here, outside the handler, so that the exception with the address is not attached
            raise OddsError("outage", f"The Odds API cannot be reached ({failure}).")
        self.quota = _quota(headers) or self.quota
        if status != 200:
            raise _error(status, body, self._key)
        return parse_odds(body)


class _Outcome(msgspec.Struct):
    name: str
    price: float


class _Market(msgspec.Struct):
    key: str
    outcomes: list[_Outcome]
    last_update: datetime | None = None


class _Book(msgspec.Struct):
    key: str
    markets: list[_Market]
    last_update: datetime | None = None


class _Event(msgspec.Struct):
    id: str
    sport_key: str
    commence_time: datetime
    home_team: str | None = None
    away_team: str | None = None
    bookmakers: list[_Book] = field(default_factory=list)


class _Failure(msgspec.Struct):
    message: str = ""
    error_code: str = ""


_EVENTS = msgspec.json.Decoder(list[_Event])
_FAILURE = msgspec.json.Decoder(_Failure)


def parse_odds(body: bytes) -> list[OddsEvent]:
    """The games in a reply of /odds with decimal odds. Books without head-to-head odds are left out."""
    try:
        events = _EVENTS.decode(body)
    except msgspec.DecodeError as error:
        raise OddsError("reply", f"The Odds API's reply is not understood: {error}.") from None
    return [
        OddsEvent(
            event.id,
            event.sport_key,
            _ms(event.commence_time),
            event.home_team,
            event.away_team,
            tuple(
                BookOdds(
                    book.key,
                    _ms(market.last_update or book.last_update or event.commence_time),
                    {outcome.name: outcome.price for outcome in market.outcomes},
                )
                for book in event.bookmakers
                for market in book.markets
                if market.key == "h2h"
            ),
        )
        for event in events
        if event.home_team and event.away_team
    ]


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _quota(headers: Mapping[str, str]) -> Quota | None:
    try:
        remaining, used, last = (int(float(headers[f"x-requests-{name}"])) for name in ("remaining", "used", "last"))
    except (KeyError, ValueError):
        return None
    return Quota(remaining, used, last)


def _error(status: int, body: bytes, key: str) -> OddsError:
    """Judged by error_code, not by status: spent credits come as 401 (odds-api.md section 3)."""
    try:
        failure = _FAILURE.decode(body)
    except msgspec.DecodeError:
        failure = _Failure()
    code = failure.error_code
    by_status: ErrorKind = "outage" if status >= 500 else "rate" if status == 429 else "request"
    if status in (401, 403) and not code:
        by_status = "key"
    message = failure.message.replace(key, "***") if key else failure.message
    return OddsError(_KINDS.get(code, by_status), f"The Odds API refused ({code or status}): {message}", code, status)


class _KeyScrubber(logging.Filter):
    """urllib3 logs each request's address at DEBUG."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if "apiKey=" in message:
            record.msg, record.args = re.sub(r"apiKey=[^&\s\"']+", "apiKey=***", message), None
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_KeyScrubber())
