"""What a drill tells while it runs, and what it has shown at the end."""

import time
from typing import NamedTuple


class Check(NamedTuple):
    what: str
    passed: bool
    figure: str


class Score:
    def __init__(self) -> None:
        self.checks: list[Check] = []
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:7.1f} s  {text}", flush=True)

    def check(self, what: str, passed: bool, figure: str = "") -> None:
        self.checks.append(Check(what, passed, figure))

    def within(self, what: str, took_s: float, limit_s: float) -> None:
        """Told at once, because it is what one waits for."""
        self.say(f"{what}: {took_s:.2f} s")
        self.check(what, took_s <= limit_s, f"{took_s:.2f} s, at most {limit_s:g} s")

    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    def show(self) -> None:
        width = max(len(check.what) for check in self.checks)
        for check in self.checks:
            print(f"  {'ok' if check.passed else 'FAIL':<5} {check.what:<{width}}  {check.figure}".rstrip())
        print(f"{sum(check.passed for check in self.checks)} of {len(self.checks)} checks passed", flush=True)
