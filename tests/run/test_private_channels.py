"""What the channels told is kept until a reading that is newer; a lost frame does not stay for ever."""

from typing import Any

from bot.core.events import AccountRead
from bot.core.units import Count, Money, Price
from bot.core.venue import VenueOrder, VenuePosition
from bot.run.private_channels import PrivateChannels

NOW = 1_795_000_000_000


def position(count: int, ticker: str = "T") -> VenuePosition:
    return VenuePosition(ticker, Count(count), Money(0), Money(0), Money(0))


def order(status: Any, name: str = "o") -> VenueOrder:
    return VenueOrder(name, "", "T", "bid", Price(5_000), Count(10), Count(0), Count(10), status, NOW, NOW)


def reading(at_ms: int, *positions: VenuePosition, resting: tuple[VenueOrder, ...] = ()) -> AccountRead:
    return AccountRead(at_ms, at_ms, at_ms, resting, (), positions, Money(0), (), {})


def test_the_newest_frame_of_a_market_counts() -> None:
    channels = PrivateChannels()
    channels.saw(position(10), NOW)
    channels.saw(position(0), NOW + 1)
    assert channels.told()["T"].count == 0


def test_a_reading_replaces_what_is_older_than_all_its_parts_and_nothing_newer() -> None:
    channels = PrivateChannels()
    channels.saw(position(10), NOW)
    channels.saw(position(20, "U"), NOW + 9_000)
    channels.read(reading(NOW + 10_000, position(7), position(5, "U")))
    assert {t: told.count for t, told in channels.told().items()} == {"T": 7, "U": 20}
    channels.read(reading(NOW + 20_000))
    assert channels.told() == {}


def test_orders_rest_until_their_end_is_told_or_read() -> None:
    channels = PrivateChannels()
    channels.saw(order("resting"), NOW)
    channels.saw(order("resting", "p"), NOW)
    channels.saw(order("canceled"), NOW + 1)
    assert [o.order_id for o in channels.told()["T"].resting] == ["p"]
    channels.read(reading(NOW + 10_000))
    assert channels.told() == {}
