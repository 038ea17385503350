"""Filters: pure functions from a sight to the reason not to trade it, or None; a strategy names its own, in order.

Prices are those of the side that the strategy would hold, so YES and NO are judged alike.
"""

from collections.abc import Callable, Iterable

import msgspec

from bot.core.units import ONE, Count, Price, format_count, format_price
from bot.core.venue import Quote, Side
from bot.strategy.contract import Sight, Skip

Filter = Callable[[Sight], Skip | None]


class Held(msgspec.Struct, frozen=True):
    """The top of the book in the terms of one side."""

    side: Side
    bid: Price
    ask: Price
    bid_size: Count
    ask_size: Count

    def __str__(self) -> str:
        return f"{'YES' if self.side == 'bid' else 'NO'} {format_price(self.bid)}/{format_price(self.ask)}"


def first(sight: Sight, filters: Iterable[Filter]) -> Skip | None:
    """The first reason not to trade; None when every filter lets it pass."""
    return next((skip for judge in filters if (skip := judge(sight)) is not None), None)


def favoured(quote: Quote | None) -> Held | None:
    """The likelier side of a two-sided book; None when a side is empty or nothing is known."""
    if quote is None or quote.bid is None or quote.ask is None:
        return None
    if quote.bid + quote.ask >= ONE:
        return Held("bid", quote.bid, quote.ask, quote.bid_size, quote.ask_size)
    return Held("ask", Price(ONE - quote.ask), Price(ONE - quote.bid), quote.ask_size, quote.bid_size)


def category(wanted: Iterable[str]) -> Filter:
    names = frozenset(wanted)

    def judge(sight: Sight) -> Skip | None:
        own = sight.market.category
        return None if own in names else Skip("category", f"{own or 'no category'} is not among {_listed(names)}")

    return judge


def series(wanted: Iterable[str]) -> Filter:
    names = frozenset(wanted)

    def judge(sight: Sight) -> Skip | None:
        own = sight.market.series_ticker
        return None if own in names else Skip("series", f"{own} is not among {_listed(names)}")

    return judge


def active(sight: Sight) -> Skip | None:
    status = sight.market.status
    return None if status == "active" else Skip("not_active", f"the market is {status}")


def two_sided(sight: Sight) -> Skip | None:
    if favoured(sight.quote) is None:
        return Skip("no_quote", "one side of the book is empty or not known")
    return None


def probability(above: int) -> Filter:
    """The mid price of the favoured side must be above this."""

    def judge(held: Held, sight: Sight) -> Skip | None:
        if held.bid + held.ask > 2 * above:
            return None
        return Skip("not_favoured", f"{_shown(held, sight)}: not above {format_price(above)}")

    return _of_favoured(judge)


def dear(most: int) -> Filter:
    """The favoured side's ask must not be above this."""

    def judge(held: Held, sight: Sight) -> Skip | None:
        return None if held.ask <= most else Skip("too_dear", f"{_shown(held, sight)}: over {format_price(most)}")

    return _of_favoured(judge)


def spread(most: int) -> Filter:
    def judge(held: Held, sight: Sight) -> Skip | None:
        if held.ask - held.bid <= most:
            return None
        return Skip("wide_spread", f"{_shown(held, sight)}: spread over {format_price(most)}")

    return _of_favoured(judge)


def liquidity(least_size: int, least_volume: int) -> Filter:
    """Contracts on both sides of the top, and traded in the last 24 hours."""

    def judge(held: Held, sight: Sight) -> Skip | None:
        if min(held.bid_size, held.ask_size) < least_size:
            sizes = f"{format_count(held.bid_size)} wanted, {format_count(held.ask_size)} on offer"
            return Skip("thin", f"{_shown(held, sight)}: {sizes}")
        volume = sight.market.volume_24h
        if volume < least_volume:
            return Skip("quiet", f"{_shown(held, sight)}: {format_count(volume)} traded in a day")
        return None

    return _of_favoured(judge)


def time_to_end(least_s: int, most_s: int) -> Filter:
    """To the estimated end of the market (DESIGN.md section 4)."""

    def judge(sight: Sight) -> Skip | None:
        left = to_end_s(sight)
        if left < least_s:
            return Skip("too_late", f"{left} s to the end: less than {least_s} s")
        return Skip("too_early", f"{left} s to the end: more than {most_s} s") if left > most_s else None

    return judge


def game_time(longest_s: int) -> Filter:
    """A game's start must be known, and not so long ago that the game should be over: put off, or not what it seems."""

    def judge(sight: Sight) -> Skip | None:
        market = sight.market
        if market.category != "Sports":
            return None
        if market.start_ms is None:
            return Skip("no_start_time", "nobody says when the game starts")
        since_s = (sight.now_ms - market.start_ms) // 1000
        if since_s > longest_s:
            return Skip("long_started", f"the game was to start {since_s} s ago: more than {longest_s} s")
        return None

    return judge


def to_end_s(sight: Sight) -> int:
    return (sight.market.end_ms - sight.now_ms) // 1000


def _of_favoured(judge: Callable[[Held, Sight], Skip | None]) -> Filter:
    def on_sight(sight: Sight) -> Skip | None:
        held = favoured(sight.quote)
        return judge(held, sight) if held is not None else two_sided(sight)

    return on_sight


def _shown(held: Held, sight: Sight) -> str:
    return f"{held}, {to_end_s(sight)} s to the end"


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "none"
