"""The look-up of one unknown order: where it looks, and what it may conclude."""

from typing import Any, cast

from bot.core.events import FillSeen, OrderResolved
from bot.core.units import Count, Money, Price
from bot.core.venue import VenueFill, VenueOrder
from bot.kalshi.rest import KalshiReads
from bot.run.account import look_up

NOW = 1_795_000_000_000
HOUR = 3_600_000


class Reads:
    """Listings that hold nothing younger or older than asked for. Each question takes a minute."""

    def __init__(self, fresh_ms: int, *orders: VenueOrder, fills: tuple[VenueFill, ...] = ()) -> None:
        self.fresh_ms = fresh_ms
        self.asked: list[int] = []
        self._orders = orders
        self._fills = fills

    def user_data_timestamp(self) -> int:
        return self.fresh_ms

    def orders(self, ticker: str, min_ts: int) -> list[Any]:
        self.asked.append(min_ts)
        self.fresh_ms += 60_000
        return [o for o in self._orders if o.ticker == ticker]

    def fills(self, ticker: str, min_ts: int) -> list[VenueFill]:
        self.asked.append(min_ts)
        return [f for f in self._fills if f.ticker == ticker]


def order(order_id: str, client_order_id: str, filled: int = 0) -> VenueOrder:
    return VenueOrder(
        order_id, client_order_id, "A", "bid", Price(5_000), Count(300), Count(filled), Count(300 - filled),
        "resting", NOW, NOW,
    )  # fmt: skip


def fill(trade_id: str, order_id: str) -> VenueFill:
    return VenueFill(trade_id, order_id, "", "A", "bid", Price(5_000), Count(100), Money(0), True, NOW)


def found(reads: Reads, name: str) -> list[FillSeen | OrderResolved]:
    return look_up(cast(KalshiReads, reads), name, "A", NOW, lambda: NOW)


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


def test_the_age_of_a_listing_is_asked_before_it_is_read() -> None:
    """Asked afterwards, it says nothing of what was listed: an order that lives was called absent."""
    [event] = found(Reads(NOW), "t.e")
    assert event == OrderResolved(NOW, "t.e", None, False)


def test_an_order_that_somebody_placed_without_a_client_id_is_found_by_the_exchanges() -> None:
    """Taken over by the operator, it goes by that name; not found, it was called absent while it rested."""
    reads = Reads(NOW + 60_000, order("x1", ""))
    assert found(reads, "x1") == [OrderResolved(NOW, "x1", order("x1", ""), False)]


def test_fills_of_that_order_alone_are_told_after_its_description_names_it_also_while_the_rest_rests() -> None:
    partly = order("x1", "t.e", filled=100)
    reads = Reads(NOW, order("x2", "t.f"), partly, fills=(fill("f1", "x1"), fill("f2", "x2")))
    assert found(reads, "t.e") == [OrderResolved(NOW, "t.e", partly, False), FillSeen(NOW, fill("f1", "x1"))]
    assert max(reads.asked) * 1000 <= NOW - 24 * HOUR, "its fills are as old as an order may be"
