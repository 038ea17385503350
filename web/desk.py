"""The one thing the web layer knows about the bot: the desk, which answers questions and takes commands."""

from typing import Any, Literal, Protocol, TypedDict

Page = dict[str, dict[str, Any]]
"""The whole page as collections of keyed values: page["positions"]["KX-1"], page["money"]["cash"]. Prices, money and
counts are decimal strings, times are integer milliseconds since 1970."""


class Listing(TypedDict):
    items: list[dict[str, Any]]
    next_cursor: str | None


class Answer(TypedDict):
    result: Literal["accepted", "refused"]
    code: str
    detail: str
    state: str
    durable: bool
    """False: accepted and in force, but not on disk yet; `detail` says what a restart would make of it."""


class Desk(Protocol):
    def page(self) -> Page:
        """The page now: cheap, and never changed after it was handed out."""

    def market(self, ticker: str) -> dict[str, Any] | None:
        """One market of the page's, with its order book; None when it is not in view."""

    def markets(self) -> tuple[str, bytes, int | None]:
        """All markets in view: a tag that changes with them, the JSON, and the age of what is known in seconds."""

    def listing(self, name: str, limit: int, cursor: str | None, filters: dict[str, str]) -> Listing:
        """A slice of a collection, newest first. ValueError when the cursor is not one of ours."""

    def view(self, name: str) -> dict[str, Any]:
        """One of meta, status, performance, risk, health, config."""

    def command(self, verb: str, args: dict[str, Any], actor: str, request_id: str) -> Answer:
        """Decide on a command; waits for the disk, without holding the hub. `request_id` names it in the record."""

    def metrics(self) -> bytes:
        """Prometheus text."""

    def alive(self) -> bool:
        """The loops tick."""

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether what the bot depends on answers, and the details."""
