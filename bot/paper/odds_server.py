"""The Odds API's counterpart: turns a source of odds into the answers of odds-api.md sections 2 and 3. No I/O."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import msgspec

from bot.paper.bookmakers import BOOKMAKERS

REGIONS = {"us", "us2", "us_dfs", "us_ex", "uk", "eu", "fr", "se", "au"}
FEATURED = {"h2h", "spreads", "totals", "outrights", "h2h_lay", "outrights_lay"}
REGION_OF = {book.key: book.region for book in BOOKMAKERS}
HELP = "https://the-odds-api.com/liveapi/guides/v4/api-error-codes.html"


class OddsSource(Protocol):
    def sports(self) -> list[dict[str, Any]]: ...

    def odds(self, sport_key: str, now_ms: int) -> list[dict[str, Any]]: ...


class Quota(msgspec.Struct):
    """Credits of the month; `last` is the cost of the latest call."""

    limit: int = 500_000
    used: int = 0
    last: int = 0

    def charge(self, cost: int) -> bool:
        """Book a call; False when the credits do not suffice."""
        self.last = 0
        if cost and self.used + cost > self.limit:
            return False
        self.used += cost
        self.last = cost
        return True


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Wanted(NamedTuple):
    """The parameters of /odds, read."""

    chosen: Callable[[str], bool]
    """Whether a bookmaker is asked for."""
    regions: int
    """Regions to pay for."""
    markets: list[str]
    american: bool


def answer(
    path: str, query: Mapping[str, str], source: OddsSource, quota: Quota, now_ms: int
) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body) of a GET below /v4. Any key is good except the word "invalid"."""
    status = 200
    quota.last = 0
    try:
        body = _body(path, query, source, quota, now_ms)
    except Refused as refusal:
        status = refusal.status
        body = {"message": str(refusal), "error_code": refusal.code, "details_url": HELP}
    headers = {
        "content-type": "application/json; charset=utf-8",
        "x-requests-remaining": str(quota.limit - quota.used),
        "x-requests-used": str(quota.used),
        "x-requests-last": str(quota.last),
    }
    return status, headers, msgspec.json.encode(body)


def _body(path: str, query: Mapping[str, str], source: OddsSource, quota: Quota, now_ms: int) -> Any:
    key = query.get("apiKey", "")
    if not key:
        raise Refused(401, "MISSING_KEY", "API key is missing. Pass it in the parameter apiKey.")
    if key == "invalid":
        raise Refused(401, "INVALID_KEY", "API key is not valid.")
    unix = _one_of(query, "dateFormat", ("iso", "unix"), "INVALID_DATE_FORMAT") == "unix"
    match path.strip("/").split("/"):
        case ["v4", "sports"]:
            return source.sports()
        case ["v4", "sports", sport, "events"]:
            events = _events(sport, query, source, now_ms)
            return [_dated({k: v for k, v in event.items() if k != "bookmakers"}, unix) for event in events]
        case ["v4", "sports", sport, "odds"]:
            wanted = _wanted(query)
            events = _events(sport, query, source, now_ms)
            if not quota.charge(len(wanted.markets) * wanted.regions if events else 0):
                raise Refused(401, "OUT_OF_USAGE_CREDITS", "Usage quota has been reached. It resets next month.")
            return [_dated(event | {"bookmakers": _offers(event, wanted)}, unix) for event in events]
    raise Refused(404, "NOT_FOUND", f"There is nothing at {path}.")


def _events(sport: str, query: Mapping[str, str], source: OddsSource, now_ms: int) -> list[dict[str, Any]]:
    keys = [known["key"] for known in source.sports()]
    if sport != "upcoming" and sport not in keys:
        raise Refused(404, "UNKNOWN_SPORT", "Unknown sport")
    first = _time(query, "commenceTimeFrom", "INVALID_COMMENCE_TIME_FROM")
    last = _time(query, "commenceTimeTo", "INVALID_COMMENCE_TIME_TO")
    ids = set(query["eventIds"].split(",")) if query.get("eventIds") else None
    if ids and not all(len(i) == 32 and set(i) <= set("0123456789abcdef") for i in ids):
        raise Refused(422, "INVALID_EVENT_IDS", "eventIds must be ids of 32 hexadecimal digits, separated by commas.")
    if sport == "upcoming":
        events = [event for key in keys for event in source.odds(key, now_ms)]
        events.sort(key=lambda event: event["commence_time"])
        live = [event for event in events if _seconds(event["commence_time"]) * 1000 <= now_ms]
        return live + events[len(live) : len(live) + 8]
    return [
        event
        for event in source.odds(sport, now_ms)
        if (ids is None or event["id"] in ids)
        and (first is None or _seconds(event["commence_time"]) >= first)
        and (last is None or _seconds(event["commence_time"]) <= last)
    ]


def _wanted(query: Mapping[str, str]) -> Wanted:
    markets = (query.get("markets") or "h2h").split(",")
    if not set(markets) <= FEATURED:
        raise Refused(422, "INVALID_MARKET", f"markets must be among {', '.join(sorted(FEATURED))}.")
    if "outrights" in markets:
        raise Refused(422, "INVALID_MARKET_COMBO", "These sports have no outrights.")
    american = _one_of(query, "oddsFormat", ("decimal", "american"), "INVALID_ODDS_FORMAT") == "american"
    if query.get("bookmakers"):
        books = set(query["bookmakers"].split(","))
        if not all(book and book.replace("_", "").isalnum() for book in books):
            raise Refused(422, "INVALID_BOOKMAKERS", "bookmakers must be keys of bookmakers, separated by commas.")
        return Wanted(books.__contains__, -(-len(books) // 10), markets, american)
    if not query.get("regions"):
        raise Refused(422, "MISSING_REGION", "Pass regions or bookmakers.")
    regions = set(query["regions"].split(","))
    if not regions <= REGIONS:
        raise Refused(422, "INVALID_REGION", f"regions must be among {', '.join(sorted(REGIONS))}.")
    return Wanted(lambda book: REGION_OF[book] in regions, len(regions), markets, american)


def _offers(event: dict[str, Any], wanted: Wanted) -> list[dict[str, Any]]:
    """The asked bookmakers with the asked markets; one that has none of these is left out."""
    offers = []
    for book in event["bookmakers"]:
        markets = [
            market | {"outcomes": [_priced(outcome, wanted.american) for outcome in market["outcomes"]]}
            for market in book["markets"]
            if market["key"] in wanted.markets
        ]
        if markets and wanted.chosen(book["key"]):
            offers.append(book | {"markets": markets})
    return offers


def _priced(outcome: dict[str, Any], american: bool) -> dict[str, Any]:
    if not american:
        return outcome
    gain = outcome["price"] - 1
    return outcome | {"price": round(gain * 100) if gain >= 1 else -round(100 / gain)}


def _dated(event: dict[str, Any], unix: bool) -> dict[str, Any]:
    """The event with its times as epoch seconds where asked."""
    if not unix:
        return event
    dated = event | {"commence_time": _seconds(event["commence_time"])}
    if "bookmakers" in event:
        dated["bookmakers"] = [
            book
            | {
                "last_update": _seconds(book["last_update"]),
                "markets": [m | {"last_update": _seconds(m["last_update"])} for m in book["markets"]],
            }
            for book in event["bookmakers"]
        ]
    return dated


def _one_of(query: Mapping[str, str], name: str, values: tuple[str, str], code: str) -> str:
    value = query.get(name) or values[0]
    if value not in values:
        raise Refused(422, code, f"{name} must be {' or '.join(values)}.")
    return value


def _time(query: Mapping[str, str], name: str, code: str) -> int | None:
    text = query.get(name)
    if not text:
        return None
    try:
        return _seconds(text)
    except ValueError:
        raise Refused(422, code, f"{name} must look like 2026-11-21T20:00:00Z.") from None


def _seconds(text: str) -> int:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return int(moment.timestamp())
