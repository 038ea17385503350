"""Found in review: a settlement that the exchange lists late is still found."""

from typing import Any

import msgspec
import pytest

from bot.core.events import AccountRead
from bot.core.state import new_state
from bot.core.units import Count, Money, Price
from bot.core.venue import Balance, VenueFill
from bot.kalshi.rest import ReadFailed
from bot.run.account import read_account
from bot.run.bot import default_config
from bot.strategy.favourites import Favourites

NOW = 1_795_000_000_000


class Reads:
    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def balance(self) -> Balance:
        return Balance(Money(0))

    def user_data_timestamp(self) -> int:
        return NOW

    def __getattr__(self, name: str) -> Any:
        def read(**asked: Any) -> list[Any]:
            self.asked[name] = asked
            return []

        return read


def test_settlements_are_read_far_enough_back_for_one_that_is_listed_late() -> None:
    """One listed a minute after its time was never read: position and cash differed for ever, and entries stopped."""
    state = new_state(default_config(Favourites()), "RUNNING", NOW)
    state.cash, state.read_ms = Money(0), NOW - 10_000
    reads = Reads()
    read_account(reads, state, lambda: NOW, lambda ticker: None)  # type: ignore[arg-type, return-value]
    assert reads.asked["settlements"]["min_ts"] <= NOW // 1000 - 1_800
    assert reads.asked["fills"]["min_ts"] >= NOW // 1000 - 120


class Lagging(Reads):
    """A listing that shows everything but the last `lag_ms`, on a clock of its own."""

    def __init__(self, lag_ms: int, fills: tuple[VenueFill, ...] = (), trip_ms: int = 50) -> None:
        super().__init__()
        self.now, self.lag_ms, self.rows, self.trip_ms = NOW, lag_ms, fills, trip_ms

    def clock(self) -> int:
        self.now += self.trip_ms
        return self.now

    def user_data_timestamp(self) -> int:
        return self.clock() - self.lag_ms

    def fills(self, min_ts: int) -> list[VenueFill]:
        return [x for x in self.rows if x.at_ms <= self.now - self.lag_ms]


def first_reading(reads: Lagging) -> AccountRead:
    state = new_state(default_config(Favourites()), "RUNNING", NOW)
    return read_account(reads, state, reads.clock, lambda ticker: None)  # type: ignore[arg-type, return-value]


def test_the_books_begin_with_parts_of_one_moment() -> None:
    """A fill in the balance and not yet in the listing of fills was booked again, and cash differed for ever."""
    came_between = VenueFill("f", "o", "", "T", "bid", Price(5_000), Count(100), Money(0), True, NOW + 60)
    with pytest.raises(ReadFailed, match="changed while it was read"):
        first_reading(Lagging(900, (came_between,)))
    before = msgspec.structs.replace(came_between, at_ms=NOW - 10_000)
    assert first_reading(Lagging(900, (before,))).fills == (before,)


def test_however_fast_the_exchange_answers_its_listings_are_waited_for() -> None:
    """Forty questions of 2 ms were asked and given up: near the exchange, with much budget, books never began."""
    assert first_reading(Lagging(1_500, trip_ms=2)).fresh_ms


def test_listings_that_lag_too_far_are_no_reading() -> None:
    with pytest.raises(ReadFailed, match="books cannot begin yet"):
        first_reading(Lagging(30_000))
    with pytest.raises(ReadFailed, match="lag 65 s behind"):
        first_reading(Lagging(65_900))
