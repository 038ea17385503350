"""Each filter gives its reason or nothing, at its limit lets pass, and judges YES and NO alike."""

from typing import Any

import msgspec
import pytest
from test_favourites import MARKET, NOW

from bot.core.units import Count
from bot.core.venue import Quote
from bot.strategy import filters
from bot.strategy.contract import Sight


def sight(bid: int | None = 8_900, ask: int | None = 9_000, size: int = 5_000, **facts: Any) -> Sight:
    quote = Quote(MARKET.ticker, bid, ask, Count(size), Count(size), NOW, NOW * 1_000_000, "book")  # type: ignore[arg-type]
    return Sight(msgspec.structs.replace(MARKET, **facts), quote, None, NOW)


def mirrored(seen: Sight) -> Sight:
    quote = seen.quote
    assert quote is not None and quote.bid is not None and quote.ask is not None
    turned = msgspec.structs.replace(
        quote, bid=10_000 - quote.ask, ask=10_000 - quote.bid, bid_size=quote.ask_size, ask_size=quote.bid_size
    )
    return msgspec.structs.replace(seen, quote=turned)


@pytest.mark.parametrize(
    "judge, passes, fails, reason",
    [
        (filters.active, sight(), sight(status="inactive"), "not_active"),
        (filters.two_sided, sight(), sight(bid=None), "no_quote"),
        (filters.category(["Sports"]), sight(), sight(category="Crypto"), "category"),
        (filters.series(["KXNBAGAME"]), sight(), sight(series_ticker="KXNFLGAME"), "series"),
        (filters.probability(8_949), sight(), sight(bid=8_898), "not_favoured"),
        (filters.dear(9_000), sight(), sight(ask=9_001), "too_dear"),
        (filters.spread(100), sight(), sight(ask=9_001), "wide_spread"),
        (filters.liquidity(5_000, 1_000), sight(), sight(size=4_999), "thin"),
        (filters.liquidity(5_000, 1_000), sight(), sight(volume_24h=Count(999)), "quiet"),
        (filters.time_to_end(600, 600), sight(), sight(end_ms=NOW + 599_000), "too_late"),
        (filters.time_to_end(600, 600), sight(), sight(end_ms=NOW + 601_000), "too_early"),
        (filters.game_time(7_200), sight(), sight(start_ms=NOW - 7_201_000), "long_started"),
        (filters.game_time(7_200), sight(start_ms=NOW + 10**9), sight(start_ms=None), "no_start_time"),
        (filters.game_time(0), sight(start_ms=None, category="Crypto"), sight(), "long_started"),
    ],
)
def test_each_filter_passes_at_its_limit_and_names_its_reason_beyond(
    judge: filters.Filter, passes: Sight, fails: Sight, reason: str
) -> None:
    assert judge(passes) is None
    skip = judge(fails)
    assert skip is not None and skip.reason == reason and skip.detail


@pytest.mark.parametrize(
    "judge", [filters.probability(8_949), filters.dear(9_000), filters.spread(100), filters.liquidity(5_000, 0)]
)
@pytest.mark.parametrize("seen", [sight(), sight(bid=8_898), sight(ask=9_001), sight(size=4_999)])
def test_yes_and_no_are_judged_alike(judge: filters.Filter, seen: Sight) -> None:
    yes, no = judge(seen), judge(mirrored(seen))
    assert (yes and yes.reason) == (no and no.reason)


def test_filters_that_need_a_price_say_so_when_there_is_none() -> None:
    for judge in (filters.probability(1), filters.dear(1), filters.spread(1), filters.liquidity(1, 1)):
        skip = judge(sight(ask=None))
        assert skip is not None and skip.reason == "no_quote"


def test_the_first_reason_counts() -> None:
    seen = sight(status="inactive", category="Crypto")
    skip = filters.first(seen, [filters.two_sided, filters.category(["Sports"]), filters.active])
    assert skip is not None and skip.reason == "category"
    assert filters.first(sight(), [filters.two_sided, filters.active]) is None
