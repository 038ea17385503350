"""Favourites: what it buys, what it leaves and why; YES and NO are mirror images."""

from typing import Any

import msgspec
import pytest

from bot.core.config import defaults
from bot.core.events import Proposal
from bot.core.grid import CENT_GRID, Band, PriceGrid
from bot.core.units import Count, Price
from bot.core.venue import Market, Quote
from bot.strategy.contract import Sight, Skip
from bot.strategy.favourites import PARAMS, Favourites

NOW = 1_795_000_000_000
MARKET = Market(
    ticker="KXNBAGAME-26NOV21BOSDET-BOS", event_ticker="KXNBAGAME-26NOV21BOSDET", series_ticker="KXNBAGAME",
    title="Boston at Detroit", yes_title="Boston", category="Sports", status="active", open_ms=0,
    close_ms=NOW + 10**9, end_ms=NOW + 600_000, start_ms=NOW - 7_200_000, grid=CENT_GRID, fee_type="quadratic",
    fee_multiplier=1.0, exchange_index=0, exclusive=True, volume_24h=Count(1_000), result="",
)  # fmt: skip


def decide(bid: int | None, ask: int | None, size: int = 100_000, **changes: Any) -> Proposal | Skip:
    values = defaults(PARAMS) | {k: v for k, v in changes.items() if k in defaults(PARAMS)}
    facts = {k: v for k, v in changes.items() if k in Market.__struct_fields__}
    seen = Quote(MARKET.ticker, bid, ask, Count(size), Count(size), NOW, NOW * 1_000_000, "book")  # type: ignore[arg-type]
    return Favourites().decide(Sight(msgspec.structs.replace(MARKET, **facts), seen, None, NOW), values)


def entry(bid: int, ask: int, **changes: Any) -> Proposal:
    decision = decide(bid, ask, **changes)
    assert isinstance(decision, Proposal), decision
    return decision


def test_it_buys_yes_of_a_favourite_with_stop_target_and_time_exit() -> None:
    p = entry(8_900, 9_000)
    assert (p.side, p.limit, p.plan.stop, p.plan.target) == ("bid", 9_000, 8_200, 9_400)
    assert p.plan.time_exit_ms == MARKET.end_ms - 20_000


def test_it_buys_no_when_no_is_the_favourite() -> None:
    p = entry(1_000, 1_100)
    assert (p.side, p.limit, p.plan.stop, p.plan.target) == ("ask", 1_000, 1_800, 600)


@pytest.mark.parametrize("bid, ask", [(8_900, 9_000), (8_600, 8_800), (9_100, 9_300)])
def test_yes_and_no_are_mirror_images(bid: int, ask: int) -> None:
    yes, no = entry(bid, ask), entry(10_000 - ask, 10_000 - bid)
    assert (yes.count, yes.limit, yes.plan.stop, yes.plan.target) == (
        no.count, 10_000 - no.limit, 10_000 - (no.plan.stop or 0), 10_000 - (no.plan.target or 0),
    )  # fmt: skip


@pytest.mark.parametrize(
    "bid, ask, changes, reason",
    [
        (None, 9_000, {}, "no_quote"),
        (8_400, 8_600, {}, "not_favoured"),
        (9_500, 9_600, {}, "too_dear"),
        (8_500, 9_000, {}, "wide_spread"),
        (8_900, 9_000, {"size": 2_499}, "thin"),
        (8_900, 9_000, {"min_volume": 1_001}, "quiet"),
        (8_900, 9_000, {"end_ms": NOW + 59_000}, "too_late"),
        (8_900, 9_000, {"end_ms": NOW + 14_401_000}, "too_early"),
        (8_900, 9_000, {"status": "inactive"}, "not_active"),
        (8_900, 9_000, {"order_cost": 900_000}, "no_size"),
        (8_900, 9_000, {"start_ms": None}, "no_start_time"),
        (8_900, 9_000, {"start_ms": NOW - 21_601_000}, "long_started"),
    ],
)
def test_each_filter_gives_its_reason(bid: int | None, ask: int, changes: dict[str, Any], reason: str) -> None:
    decision = decide(bid, ask, **changes)
    assert isinstance(decision, Skip) and decision.reason == reason


def test_the_limit_values_of_the_filters_are_allowed() -> None:
    entry(8_700, 9_000)
    entry(8_900, 9_000, size=2_500)
    entry(8_900, 9_000, end_ms=NOW + 60_000)
    entry(9_400, 9_500)


def test_size_is_what_the_order_cost_buys_fee_included_and_no_more_than_is_offered() -> None:
    assert entry(8_900, 9_000).count == 2_200  # 22 * (0.90 + 0.0063) = 19.94 of 20 dollars
    assert entry(8_900, 9_000, size=1_550, min_size=100).count == 1_500


def test_a_target_beyond_one_dollar_is_left_out() -> None:
    assert entry(9_400, 9_500, target_distance=600).plan.target is None


def test_prices_are_on_the_markets_grid() -> None:
    grid = PriceGrid((Band(Price(0), Price(1_000), Price(10)), Band(Price(1_000), Price(9_000), Price(100)),
                      Band(Price(9_000), Price(10_000), Price(10))))  # fmt: skip
    p = entry(8_900, 9_010, grid=grid)
    assert grid.valid(p.limit) and grid.valid(p.plan.stop or 0) and grid.valid(p.plan.target or 0)
