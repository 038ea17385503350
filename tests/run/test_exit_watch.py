"""What the shell tells about exits in bad times (docs/exit-policy.md)."""

from types import SimpleNamespace
from typing import Any

from bot.core.effects import Notice
from bot.run.market_watch import MarketWatch


def test_a_stop_that_cannot_see_is_told_once_and_its_return_too() -> None:
    stale: list[str] = []
    told: list[Notice] = []
    market_data: Any = SimpleNamespace(health=lambda: SimpleNamespace(stale_held=tuple(stale)))
    nothing: Any = None
    watch = MarketWatch(market_data, nothing, nothing, lambda: nothing, lambda event: None, told.append)
    for now in (["T-1"], ["T-1"], [], []):
        stale[:] = now
        watch.tell_staleness()
    assert [(n.level, n.code, n.ticker) for n in told] == [
        ("alarm", "stale_price", "T-1"),
        ("info", "fresh_price", "T-1"),
    ]
