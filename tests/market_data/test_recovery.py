"""After a fault the next attempt is made; a right book goes on, a wrong one is silent until its snapshot."""

import pytest
from test_market_data import S, World

from bot.kalshi.rest import ReadFailed


@pytest.fixture
def world() -> World:
    world = World()
    world.data.follow(frozenset({"A"}), ())
    world.snapshot()
    return world


def test_after_a_discovery_that_failed_the_next_one_is_made(world: World) -> None:
    world.reads.failing = True
    with pytest.raises(ReadFailed):
        world.data.discover()
    world.reads.failing = False
    world.reads.listed = {"B": (6000, 6100)}
    world.data.discover()
    assert set(world.data.snapshot().markets) == {"B"}


def test_after_a_connect_prices_that_could_not_be_read_are_asked_for_until_they_are(world: World) -> None:
    world.data.follow(frozenset(), ("C",))
    world.data.connected()
    world.reads.failing = True
    world.data.confirm_stale(world.now)
    world.reads.failing, world.reads.books = False, {"C": (1000, 1100)}
    world.now += 1
    world.data.confirm_stale(world.now)
    quote = world.data.quote("C")
    assert quote is not None and quote.bid == 1000


def test_a_held_market_that_no_listing_knows_keeps_its_price_through_a_discovery(world: World) -> None:
    world.reads.listed = {"B": (6000, 6100)}
    world.data.discover()
    quote = world.data.fresh_quote("A", world.now)
    assert quote is not None and quote.bid == 4000


def test_a_status_that_the_stream_told_is_in_the_next_snapshot() -> None:
    world = World()
    world.reads.listed = {"A": (4000, 4200)}
    world.data.discover()
    assert world.data.snapshot().markets["A"].status == "active"
    world.frame("market_lifecycle_v2", event_type="deactivated", is_deactivated=True)
    assert world.data.snapshot().markets["A"].status == "inactive"


def test_a_book_that_goes_on_being_followed_goes_on_speaking(world: World) -> None:
    """Its subscription does not change, so no second snapshot would come."""
    world.data.follow(frozenset({"A", "B"}), ())
    world.delta("yes", "0.4100", "1.00")
    assert world.tops()[-1] == ("A", 4100, 4200, "book")


def test_a_book_that_the_ticker_contradicted_is_silent_until_its_snapshot(world: World) -> None:
    for _ in range(3):
        world.ticker("0.2000", "0.2200")
        world.now += 2 * S
    told = len(world.ticks)
    world.delta("yes", "0.4100", "1.00")
    assert len(world.ticks) == told
    world.snapshot("0.2100", "0.2200")
    assert world.tops()[-1] == ("A", 2100, 2200, "book")


def test_a_crossed_book_that_was_asked_for_is_not_asked_for_at_every_sweep(world: World) -> None:
    """A request that is renewed faster than it may be overdue never ends in a new subscription."""
    world.delta("yes", "0.4300", "1.00")
    for second in (3, 5, 7):
        world.data.confirm_stale(world.now + second * S)
    assert world.stream.resyncs == [frozenset({"A"})]


def test_a_reading_that_may_be_a_copy_from_before_does_not_contradict_a_book(world: World) -> None:
    world.reads.listed = {"A": (4000, 4200)}
    world.data.discover()
    world.now += 15 * S
    world.data._listing.listed_ns = world.now
    world.reads.books = {"A": (3000, 3100)}
    world.data.refresh(14_000)
    assert world.reads.asked == [["A"]] and world.stream.resyncs == []
    assert world.tops()[-1] == ("A", 4000, 4200, "book")


def test_a_reading_that_is_crossed_proves_nothing_against_a_book(world: World) -> None:
    world.reads.books = {"A": (5000, 3100)}
    world.now += 61 * S
    world.data.confirm_stale(world.now)
    assert world.reads.asked == [["A"]] and world.stream.resyncs == []
