"""What a set of runs has exercised: every fault at every kind of operation, every step of every table."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from bot.core import breakers, commands, orders, trades
from bot.run import lease
from bot.sim.faults import KINDS

TABLES: dict[str, Any] = {
    "order": orders, "trade": trades, "command": commands, "breaker": breakers, "lease": lease,
}  # fmt: skip

JUDGED_FROM = 200
"""Seeds: fewer cannot be expected to meet everything."""

steps: Counter[str] = Counter()


class Counted(dict[Any, Any]):
    """A transition table that counts which of its rows are used."""

    def __init__(self, name: str, table: Mapping[Any, Any]) -> None:
        super().__init__(table)
        self._names = {key: f"{name} {key[0]} {key[1]}" for key in table}

    def get(self, key: Any, default: Any = None) -> Any:
        if key in self:
            steps[self._names[key]] += 1
        return super().get(key, default)

    def __getitem__(self, key: Any) -> Any:
        steps[self._names[key]] += 1
        return super().__getitem__(key)


def watch() -> None:
    """Count from now on, in this process."""
    for name, module in TABLES.items():
        if not isinstance(module.TRANSITIONS, Counted):
            module.TRANSITIONS = Counted(name, module.TRANSITIONS)


def taken() -> Counter[str]:
    """What was counted since the last call."""
    counted = Counter(steps)
    steps.clear()
    return counted


def missing(injected: Mapping[str, int], used: Mapping[str, int]) -> list[str]:
    """Faults that never happened and table rows that were never used."""
    faults = [f"{op} {kind}" for op, kinds in KINDS.items() for kind in kinds]
    rows = [f"{name} {key[0]} {key[1]}" for name, module in TABLES.items() for key in module.TRANSITIONS]
    return [f for f in faults if not injected.get(f)] + [r for r in rows if not used.get(r)]
