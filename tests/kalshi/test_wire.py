"""Facts of a market as the wire tells them: which start counts, and which price steps make sense."""

from datetime import UTC, datetime

import pytest

from bot.core.units import Price
from bot.kalshi.wire import WireError, WireMilestone, WireRange, game_starts, grid


def test_the_milestone_that_is_about_the_event_tells_its_start() -> None:
    own = WireMilestone(datetime.fromtimestamp(100, UTC), primary_event_tickers=["E"])
    other = WireMilestone(datetime.fromtimestamp(200, UTC), ["F"], related_event_tickers=["E", "G"])
    for listed in ([own, other], [other, own]):
        assert game_starts(listed) == {"E": 100_000, "F": 200_000, "G": 200_000}


def test_bands_of_prices_may_come_in_any_order() -> None:
    bands = [WireRange("0.9000", "1.0000", "0.0010"), WireRange("0.0000", "0.9000", "0.0100")]
    for told in (bands, bands[::-1]):
        found = grid(told)
        assert [found.valid(Price(price)) for price in (8950, 8900, 9010, 9015)] == [False, True, True, False]
    assert grid(bands) == grid(bands[::-1])


@pytest.mark.parametrize("bands", [[], [WireRange("0.0000", "1.0000", "0.0000")]])
def test_a_grid_without_steps_is_not_understood(bands: list[WireRange]) -> None:
    with pytest.raises(WireError):
        grid(bands)
