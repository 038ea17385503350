"""What market data shows to the rest of the program: immutable, and honest about its age."""

from collections.abc import Mapping

import msgspec

from bot.core.venue import Market, Quote
from bot.market_data.match_times import MatchTime


class Snapshot(msgspec.Struct, frozen=True):
    """All markets and quotes at one moment. The mappings are never changed after publication."""

    generated_ns: int
    markets: Mapping[str, Market]
    quotes: Mapping[str, Quote]
    confirmed_ns: Mapping[str, int]
    """When each quote was last known to be so: its last message, or the last read that agreed."""
    connected: bool
    discovered_ns: int = 0
    """Last complete discovery; 0 before the first."""
    match_times: Mapping[str, MatchTime] = {}
    """Event ticker -> scheduled start of its game."""

    stale_ms: int = 60_000
    """What is older is not to be decided on."""

    def facts_age_ms(self, now_ns: int) -> int:
        """Since the markets themselves (status, close, fees, grid) were last listed completely."""
        return max(0, (now_ns - self.discovered_ns) // 1_000_000)

    def age_ms(self, ticker: str, now_ns: int) -> int | None:
        """Age of a market's quote; None when there is none."""
        confirmed = self.confirmed_ns.get(ticker)
        return None if confirmed is None else max(0, (now_ns - confirmed) // 1_000_000)


class Health(msgspec.Struct, frozen=True):
    """For status page and log."""

    status: str
    """ok, stale (Kalshi has not listed its markets for too long) or empty (it never did)."""
    age_seconds: int | None
    """Since the markets were last listed; None before that."""
    connected: bool
    connected_since_ns: int
    last_bytes_ns: int
    frames: int
    frames_per_second: float
    lag_ms: int
    bad_frames: int
    gaps: int
    resyncs: int
    refused: int
    """Prices that cannot be: crossed, or off the market's grid."""
    reconnects: int
    subscriptions: Mapping[str, int]
    markets: int
    quotes: int
    live_books: int
    stale_held: tuple[str, ...]
    """Held markets whose quote is older than the limit, or missing."""
    discovered_ns: int
    """Last complete discovery; 0 before the first."""
