"""When the exchange rests: the weekly trading pause, Thursdays 03:00 to 05:00 Eastern (kalshi-api.md section 4.1)."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

EASTERN = ZoneInfo("America/New_York")
THURSDAY, FROM, TO = 3, 3, 5


def pause_ends_ms(now_ms: int) -> int | None:
    """The end of the weekly pause that `now_ms` falls into; None outside of it."""
    now = datetime.fromtimestamp(now_ms / 1000, EASTERN)
    if now.weekday() != THURSDAY or not FROM <= now.hour < TO:
        return None
    return int(now.replace(hour=TO, minute=0, second=0, microsecond=0).timestamp()) * 1000


def next_pause_ms(now_ms: int) -> int:
    """The start of the first weekly pause after `now_ms`."""
    now = datetime.fromtimestamp(now_ms / 1000, EASTERN)
    start = now.replace(hour=FROM, minute=0, second=0, microsecond=0)
    start += timedelta(days=(THURSDAY - now.weekday()) % 7)
    if start <= now:
        start += timedelta(days=7)
    return int(start.timestamp()) * 1000
