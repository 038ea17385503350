"""The event log: the newest notices of the core and the program, bounded, and each also a log line."""

import logging
from collections import deque
from typing import Any

from bot.core.effects import Notice
from bot.run.door import now_ms

_LEVEL = {"info": logging.INFO, "warning": logging.WARNING, "alarm": logging.ERROR}
KEPT = 500

log = logging.getLogger("Tickstop")


class Notices:
    def __init__(self, boot: str) -> None:
        self._boot = boot
        self._count = 0
        self.kept: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.alarms = 0

    def add(self, notice: Notice) -> None:
        self._count += 1
        self.alarms += notice.level == "alarm"
        log.log(_LEVEL[notice.level], "%s %s %s", notice.code, notice.ticker, notice.text)
        self.kept.append(
            {
                "id": f"{self._boot}-{self._count:06d}",
                "at_ms": now_ms(),
                "level": notice.level,
                "code": notice.code,
                "text": notice.text,
                "ticker": notice.ticker,
            }
        )


class Spread:
    """The newest samples of one latency, in microseconds, for its median and 99th percentile."""

    def __init__(self, kept: int = 2_000) -> None:
        self._samples: deque[float] = deque(maxlen=kept)
        self.count = 0

    def add(self, value_us: float) -> None:
        self._samples.append(value_us)
        self.count += 1

    def at(self, share: float) -> float:
        """0 while there is none."""
        ordered = sorted(self._samples)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0

    def shown(self) -> dict[str, float]:
        return {"count": self.count, "p50": round(self.at(0.5), 1), "p99": round(self.at(0.99), 1)}
