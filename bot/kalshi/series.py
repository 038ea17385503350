"""Fee facts of a series, and the changes of them that are announced (kalshi-api.md sections 4.2 and 8.1)."""

from collections.abc import Iterable
from datetime import datetime

import msgspec


class WireSeries(msgspec.Struct):
    ticker: str
    fee_type: str
    fee_multiplier: float
    category: str = ""


class SeriesReply(msgspec.Struct):
    series: WireSeries


class SeriesList(msgspec.Struct):
    series: list[WireSeries]


class WireFeeChange(msgspec.Struct):
    """Fees of a series from a moment on."""

    series_ticker: str
    fee_type: str
    fee_multiplier: float
    scheduled_ts: datetime


class FeeChanges(msgspec.Struct):
    series_fee_change_arr: list[WireFeeChange]


def in_force(series: WireSeries, changes: Iterable[WireFeeChange], now_s: float) -> WireSeries:
    """The series with what has changed by now (epoch seconds); the earliest change first."""
    for change in changes:
        if change.series_ticker == series.ticker and change.scheduled_ts.timestamp() <= now_s:
            series = msgspec.structs.replace(series, fee_type=change.fee_type, fee_multiplier=change.fee_multiplier)
    return series
