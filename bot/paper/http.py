"""What REST handlers share: the request with its checked parameters, the error shapes, pages, token buckets."""

import base64
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from bot.paper.auth import Key
from bot.paper.model import Rejected

T = TypeVar("T")

STATUS = {
    "not_found": 404,
    "order_already_exists": 409,
    "fill_or_kill_insufficient_resting_volume": 409,
    "transfer_already_exists": 409,
    "exchange_paused": 503,
}
"""The status of a rejection, where it is not 400."""


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    cut: str = ""
    """Instead of a reply: 'lost' closes the connection, 'reset' resets it, 'hang' leaves it open for ever, 'restart'
    ends the process and starts it again after down_ms."""
    down_ms: int = 0


def json_answer(status: int, body: Any) -> Answer:
    return Answer(status, msgspec.json.encode(body), (("Content-Type", "application/json"),))


class Refusal(Exception):
    """Ends a request with a status and a body of one of the four error shapes (kalshi-api.md section 4.0)."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body


def nested(status: int, code: str, details: str = "") -> Refusal:
    return Refusal(status, {"error": error(code, details)})


def error(code: str, details: str = "") -> dict[str, str]:
    body = {"code": code, "message": code.replace("_", " ")}
    return body | {"details": details} if details else body


def rejected(reason: Rejected) -> Refusal:
    return nested(STATUS.get(reason.code, 400), reason.code, reason.details)


def malformed(details: str) -> Refusal:
    return Refusal(400, {"code": "bad_request", "message": "bad request", "details": details})


def too_many() -> Refusal:
    return Refusal(429, {"error": "too many requests"})


class Request(msgspec.Struct):
    method: str
    path: str
    """As sent, without the query."""
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    now_ms: int
    user_id: str = ""
    operation: str = ""
    params: dict[str, str] = {}
    key: Key | None = None
    """Who signed."""

    def text(self, name: str) -> str:
        """A query parameter, "" when absent."""
        return self.query.get(name, [""])[-1]

    def texts(self, name: str) -> list[str]:
        """A comma-separated or repeated query parameter."""
        return [part for value in self.query.get(name, []) for part in value.split(",") if part]

    def flag(self, name: str) -> bool:
        return self.text(name) == "true"

    def number(self, name: str, default: int, low: int = 0, high: int = 2**62) -> int:
        text = self.text(name)
        if not text:
            return default
        try:
            number = int(text)
        except ValueError:
            raise self.invalid(name, "number") from None
        if not low <= number <= high:
            raise self.invalid(name, "lte" if number > high else "gte")
        return number

    def required(self, name: str, *words: str) -> int:
        """A number that must be there, one of `words` if any."""
        if not self.text(name):
            raise self.invalid(name, "required")
        if words:
            self.one_of(name, *words)
        return self.number(name, 0)

    def one_of(self, name: str, *words: str) -> str:
        if self.text(name) not in ("", *words):
            raise self.invalid(name, "oneof")
        return self.text(name)

    def invalid(self, name: str, rule: str) -> Refusal:
        field = "".join(part.title() for part in name.split("_"))
        return Refusal(
            400,
            {
                "msg": f"Parameter validation failed for {self.operation}: Key: '{self.operation}Params.{field}' "
                f"Error:Field validation for '{field}' failed on the '{rule}' tag"
            },
        )

    def json(self, cls: type[T]) -> T:
        """The body as a typed object; a flat 400 when it does not decode."""
        try:
            return msgspec.json.decode(self.body, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as broken:
            raise malformed(f"json: {broken}") from None


def page(items: list[T], key: Callable[[T], str], request: Request, default: int, most: int, low: int = 0) -> Any:
    """(items of the requested page, cursor of the next): a cursor names the last item sent; one that names nothing
    starts again at the first page, as the exchange does."""
    limit = request.number("limit", default, low, most) or default
    after = ""
    with contextlib.suppress(ValueError):
        after = base64.urlsafe_b64decode(request.text("cursor")).decode()
    start = next((i + 1 for i, item in enumerate(items) if key(item) == after), 0) if after else 0
    part = items[start : start + limit]
    more = start + limit < len(items)
    return part, base64.urlsafe_b64encode(key(part[-1]).encode()).decode() if more and part else ""


class Bucket:
    """A token bucket: continuous refill per second up to a capacity."""

    def __init__(self, refill: int, capacity: int) -> None:
        self.refill = refill
        self.capacity = capacity
        self._tokens = float(capacity)
        self._at_ms = 0

    def take(self, cost: int, now_ms: int) -> bool:
        """Whether `cost` tokens were there; nothing is taken when they were not."""
        self._tokens = min(self.capacity, self._tokens + max(0, now_ms - self._at_ms) * self.refill / 1000)
        self._at_ms = now_ms
        if cost > self._tokens:
            return False
        self._tokens -= cost
        return True
