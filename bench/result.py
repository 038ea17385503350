"""What a measurement is, and how it is taken: many single timings, so that spread and tail are seen."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Result:
    """Microseconds of one call. `peer` names what stands beside it in the same run: a floor or an alternative."""

    name: str
    times_us: list[float]
    peer: str = ""
    note: str = ""

    @property
    def median_us(self) -> float:
        return median(self.times_us)

    @property
    def p99_us(self) -> float:
        return sorted(self.times_us)[int(len(self.times_us) * 0.99)]


def timed(name: str, call: Callable[[int], object], count: int, *, batch: int = 1, peer: str = "") -> Result:
    """Time `call(i)` for i below `count`; calls too short for the clock are timed `batch` at a time."""
    call(0)
    times = []
    for start in range(1, count + 1, batch):
        began = time.perf_counter_ns()
        for i in range(start, start + batch):
            call(i)
        times.append((time.perf_counter_ns() - began) / batch / 1000)
    return Result(name, times, peer)
