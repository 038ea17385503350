"""A loop at a fixed rate, supervised: a crash is shown and the loop goes on; a missed beat is skipped."""

import logging
import time
import traceback
from collections.abc import Callable

import gevent
from gevent.event import Event


class Loop:
    """Calls `work` every `interval_s`, and at once when `wake` is called. Figures are for status and metrics.

    `pause_s` is the least time from the end of one call to the next, however often it is woken meanwhile.
    """

    def __init__(
        self,
        name: str,
        interval_s: float,
        work: Callable[[], None],
        on_crash: Callable[[str, str], None],
        pause_s: float = 0.0,
    ) -> None:
        self.name = name
        self.interval_s = interval_s
        self.pause_s = min(pause_s, interval_s / 2)
        self.runs = 0
        self.overruns = 0
        self.crashes = 0
        self.last_run_ms = 0
        self.duration_ms = 0.0
        self.late_ms = 0.0
        self.error = ""
        self._work = work
        self._on_crash = on_crash
        self._woken = Event()
        self._stopping = False

    def wake(self) -> None:
        """Run now instead of at the next beat."""
        self._woken.set()

    def stop(self) -> None:
        self._stopping = True
        self._woken.set()

    def run(self) -> None:
        """Run as one greenlet until `stop`."""
        logging.getLogger(self.name).info("runs every %g s", self.interval_s)
        beat = time.monotonic()
        while not self._stopping:
            self._woken.clear()  # before the work: a wake during it means once more
            self._once(max(time.monotonic() - beat, 0.0))
            if self.pause_s:
                gevent.sleep(self.pause_s)
            now = time.monotonic()
            missed = int((now - beat) // self.interval_s)
            self.overruns += missed
            beat += (missed + 1) * self.interval_s
            if not self._stopping and self._woken.wait(beat - now):
                beat = time.monotonic()

    def _once(self, late_s: float) -> None:
        started = time.monotonic()
        self.late_ms = late_s * 1000
        try:
            self._work()
            self.error = ""
        except Exception as crash:  # the supervisor: a crash must not end the loop, and must be seen
            self.crashes += 1
            self.error = f"{type(crash).__name__}: {crash}"
            logging.getLogger(self.name).error("crashed: %s\n%s", self.error, traceback.format_exc())
            self._on_crash(self.name, self.error)
        self.runs += 1
        self.last_run_ms = time.time_ns() // 1_000_000
        self.duration_ms = (time.monotonic() - started) * 1000

    def shown(self) -> dict[str, object]:
        return {
            "interval_s": self.interval_s,
            "last_run_ms": self.last_run_ms,
            "duration_ms": round(self.duration_ms, 3),
            "runs": self.runs,
            "overruns": self.overruns,
            "crashes": self.crashes,
            "late_ms": round(self.late_ms, 3),
            "error": self.error,
        }


class HubLag:
    """How late a 10 ms sleep wakes up: the one figure that shows somebody holding the hub. Keeps the last 1,000."""

    def __init__(self) -> None:
        self._late: list[float] = []
        self.worst_ms = 0.0

    def run(self) -> None:
        while True:
            started = time.monotonic()
            gevent.sleep(0.01)
            late = (time.monotonic() - started - 0.01) * 1000
            self.worst_ms = max(self.worst_ms, late)
            self._late.append(late)
            if len(self._late) > 1000:
                del self._late[:500]

    def p99_ms(self) -> float:
        late = sorted(self._late)
        return late[int(len(late) * 0.99)] if late else 0.0
