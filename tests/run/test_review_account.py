"""Found in review: a settlement that the exchange lists late is still found."""

from typing import Any

import msgspec
import pytest

from bot.core.events import AccountRead
from bot.core.state import new_state
from bot.core.units import Count, Money, Price
from bot.core.venue import Balance, Settlement, VenueFill, VenuePosition
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


@pytest.mark.parametrize("read_ms", [NOW - 10_000, NOW + 3_600_000])
def test_fills_are_read_from_before_the_last_reading_also_after_a_clock_was_set_back(read_ms: int) -> None:
    """The exchange's clock may be behind ours: a fill between the two was never read, and cash differed for ever."""
    state = new_state(default_config(Favourites()), "RUNNING", NOW)
    state.cash, state.read_ms = Money(0), read_ms
    reads = Reads()
    read_account(reads, state, lambda: NOW, lambda ticker: None)  # type: ignore[arg-type, return-value]
    assert NOW // 1000 - 120 <= reads.asked["fills"]["min_ts"] <= min(read_ms, NOW) // 1000 - 60


def test_the_age_of_a_reading_is_asked_before_its_parts_are_read() -> None:
    """Asked afterwards, it claims that the parts show what came while they were read."""
    state = new_state(default_config(Favourites()), "RUNNING", NOW)
    state.cash = Money(0)
    reads = Lagging(900)
    reads.balance = lambda: Balance(Money(0 * reads.clock()))  # type: ignore[method-assign]
    event = read_account(reads, state, reads.clock, lambda ticker: None)  # type: ignore[arg-type, return-value]
    assert event.fresh_ms == event.started_ms + 50 - 900


def test_what_entered_and_left_the_account_is_asked_for_while_its_cash_differs_and_only_then() -> None:
    """A deposit that nobody read stayed a difference, and entries stayed off until the operator accepted it."""
    state = new_state(default_config(Favourites()), "RUNNING", NOW)
    state.cash = Money(0)
    for suspects in (False, True):
        reads = Reads()
        if suspects:
            state.suspects["cash:account"] = 1  # type: ignore[assignment]
        read_account(reads, state, lambda: NOW, lambda ticker: None)  # type: ignore[arg-type, return-value]
        assert ("transfers" in reads.asked) is suspects


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


def test_the_books_begin_with_no_settlement_that_came_meanwhile() -> None:
    """Its payout was in the balance, and came once more when the settlement was listed: cash differed for ever."""
    reads = Lagging(900)
    paid = Settlement("T", "yes", Money(1_000_000), Money(0), Count(100), Count(0), NOW + 60)
    reads.settlements = lambda min_ts: [paid] if paid.settled_ms <= reads.now - reads.lag_ms else []  # type: ignore[method-assign, attr-defined]
    with pytest.raises(ReadFailed, match="changed while it was read"):
        first_reading(reads)


def test_the_markets_of_positions_that_are_found_are_read_with_the_first_reading() -> None:
    """Their stops need the terms: without them a found position stood unprotected until the next reading."""
    reads, asked = Lagging(900), list[str]()
    held = [VenuePosition(t, Count(n), Money(0), Money(0), Money(0)) for t, n in (("T", 5), ("U", -5), ("V", 0))]
    reads.positions = lambda: held  # type: ignore[method-assign, attr-defined]
    state = new_state(default_config(Favourites()), "RUNNING", NOW)

    def read_market(ticker: str) -> Any:
        asked.append(ticker)
        raise ReadFailed("timeout")

    assert read_account(reads, state, reads.clock, read_market).markets == {}  # type: ignore[arg-type]
    assert asked == ["T", "U"]


def test_fills_are_told_in_the_order_in_which_they_happened() -> None:
    """The exchange lists the newest first; the result of a trade depends on what was bought before it was sold."""
    state = new_state(default_config(Favourites()), "RUNNING", NOW)
    state.cash = Money(0)
    first = VenueFill("f1", "o", "", "T", "bid", Price(5_000), Count(100), Money(0), True, NOW - 9_000)
    later = msgspec.structs.replace(first, trade_id="f2", side="ask", at_ms=NOW - 8_000)
    reads = Lagging(900, (later, first))
    event = read_account(reads, state, reads.clock, lambda ticker: None)  # type: ignore[arg-type, return-value]
    assert event.fills == (first, later)


def test_however_fast_the_exchange_answers_its_listings_are_waited_for() -> None:
    """Forty questions of 2 ms were asked and given up: near the exchange, with much budget, books never began."""
    assert first_reading(Lagging(1_500, trip_ms=2)).fresh_ms


def test_listings_that_lag_too_far_are_no_reading() -> None:
    with pytest.raises(ReadFailed, match="books cannot begin yet"):
        first_reading(Lagging(30_000))
    with pytest.raises(ReadFailed, match="lag 65 s behind"):
        first_reading(Lagging(65_900))
