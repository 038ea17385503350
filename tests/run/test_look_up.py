"""The look-up of one unknown order: where it looks, and what it may conclude."""

from typing import Any, cast

from bot.core.events import OrderResolved
from bot.kalshi.rest import KalshiReads
from bot.run.account import look_up

NOW = 1_795_000_000_000
HOUR = 3_600_000


class Reads:
    """Listings that hold nothing younger or older than asked for."""

    def __init__(self, fresh_ms: int) -> None:
        self.fresh_ms = fresh_ms
        self.asked: list[int] = []

    def user_data_timestamp(self) -> int:
        return self.fresh_ms

    def orders(self, ticker: str, min_ts: int) -> list[Any]:
        self.asked.append(min_ts)
        return []


def test_it_reaches_back_to_processes_that_died_long_before() -> None:
    """A 409 on an exit's id named an order of an earlier life that had filled; a look-up of the last minute alone
    called it absent (simulator, seed 31)."""
    reads = Reads(NOW)
    look_up(cast(KalshiReads, reads), "t.x1", "A", NOW, lambda: NOW)
    assert reads.asked[0] * 1000 <= NOW - 24 * HOUR


def test_absent_only_in_listings_that_are_fresher_than_its_signature_could_live() -> None:
    for fresh_ms, absent in ((NOW + 29_999, False), (NOW + 30_000, True)):
        [event] = look_up(cast(KalshiReads, Reads(fresh_ms)), "t.e", "A", NOW, lambda: NOW)
        assert event == OrderResolved(NOW, "t.e", None, absent)
