"""The rules and settings a decision rests on: versioned, journaled, changed only as a whole."""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from bot.core.units import format_count, format_money, format_price, parse_count, parse_money, parse_price

Kind = Literal["price", "count", "money", "seconds", "number"]


class Param(msgspec.Struct, frozen=True):
    """One setting: its unit, default, allowed range (both ends included) and meaning. Values are ints in core units."""

    name: str
    kind: Kind
    default: int
    low: int
    high: int
    help: str

    def parse(self, text: Any) -> int:
        """The value from what a person sends (decimal string, or whole number). ValueError says what is allowed."""
        try:
            value = _READ[self.kind](text)
        except (ValueError, TypeError):
            raise ValueError(f"{self.name}: {text!r} is not a {self.kind}; {self.allowed()}") from None
        if not self.low <= value <= self.high:
            raise ValueError(f"{self.name}: {text!r} is out of range; {self.allowed()}")
        return value

    def show(self, value: int) -> str:
        return SHOW[self.kind](value)

    def allowed(self) -> str:
        return f"allowed: {self.show(self.low)} to {self.show(self.high)} ({self.kind})"


def _whole(text: Any) -> int:
    if isinstance(text, bool) or not isinstance(text, int | str):
        raise ValueError("not a whole number")
    return int(text)


_READ: dict[Kind, Callable[[Any], int]] = {
    "price": parse_price,
    "count": parse_count,
    "money": parse_money,
    "seconds": _whole,
    "number": _whole,
}
SHOW: dict[Kind, Callable[[int], str]] = {
    "price": format_price,
    "count": format_count,
    "money": format_money,
    "seconds": str,
    "number": str,
}

RISK: tuple[Param, ...] = (
    Param("max_order_cost", "money", 25_000_000, 1_000_000, 10_000_000_000, "most one entry may cost, fee included"),
    Param("max_market_exposure", "money", 50_000_000, 1_000_000, 10_000_000_000, "most at risk in one market"),
    Param("max_event_exposure", "money", 25_000_000, 1_000_000, 10_000_000_000, "most at risk in one event"),
    Param("max_series_exposure", "money", 200_000_000, 1_000_000, 100_000_000_000, "most at risk in one series"),
    Param("max_total_exposure", "money", 300_000_000, 1_000_000, 100_000_000_000, "most at risk in all"),
    Param("max_open_trades", "number", 10, 1, 500, "trades open at once"),
    Param("max_entry_rate", "number", 20, 1, 1_000, "entries decided within a minute"),
    Param(
        "max_daily_loss",
        "money",
        100_000_000,
        1_000_000,
        10_000_000_000,
        "loss of a UTC day, realised and unrealised, that turns entries off until it ends",
    ),
    Param("max_drawdown", "money", 150_000_000, 1_000_000, 100_000_000_000, "loss since the peak that ends entries"),
    Param("max_loss_streak", "number", 5, 1, 1_000, "losing trades in a row after which entries pause"),
    Param("max_rejects", "number", 5, 1, 1_000, "refused entries in a row after which entries pause"),
    Param("max_errors", "number", 6, 1, 1_000, "orders of unknown outcome within error_window that pause entries"),
    Param("error_window", "seconds", 300, 10, 3_600, "how long an order of unknown outcome counts"),
    Param("breaker_pause", "seconds", 900, 1, 86_400, "how long entries pause after losses, refusals or errors"),
    Param("max_quote_age", "seconds", 60, 1, 600, "an entry needs a quote at most this old"),
    Param("cooldown", "seconds", 300, 0, 86_400, "no new entry in a market this long after its stop fired"),
    Param("exit_bound", "price", 1_000, 100, 9_900, "how far beyond its trigger an exit may go at first"),
    Param("exit_escalate", "seconds", 3, 1, 600, "each time this passes without being flat the bound grows by itself"),
    Param("adopted_stop", "price", 1_000, 100, 9_900, "stop of a position found without a plan, below its cost"),
)


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`risk` and `strategy` hold every parameter by name, in core units."""

    version: int
    author: str
    risk: dict[str, int]
    strategy: dict[str, int]


def defaults(params: tuple[Param, ...]) -> dict[str, int]:
    return {p.name: p.default for p in params}


def changed(config: Config, strategy_params: tuple[Param, ...], change: dict[str, object], author: str) -> Config:
    """A new version with `change` ({"risk": {...}, "strategy": {...}}) applied.

    ValueError names every problem, and then nothing is applied.
    """
    problems: list[str] = []
    sections = {"risk": (RISK, dict(config.risk)), "strategy": (strategy_params, dict(config.strategy))}
    for section, values in change.items():
        if section not in sections or not isinstance(values, dict):
            problems.append(f"{section}: unknown section; allowed: risk, strategy (an object of names and values)")
            continue
        table, current = sections[section]
        by_name = {p.name: p for p in table}
        for name, text in values.items():
            if name not in by_name:
                problems.append(f"{section}.{name}: unknown; known: {', '.join(by_name)}")
                continue
            try:
                current[name] = by_name[name].parse(text)
            except ValueError as problem:
                problems.append(f"{section}.{problem}")
    if problems:
        raise ValueError("; ".join(problems))
    return Config(config.version + 1, author, sections["risk"][1], sections["strategy"][1])


def shown(config: Config, strategy_params: tuple[Param, ...]) -> dict[str, object]:
    """The settings as a page shows them: value, default, range and meaning of each."""

    def rows(table: tuple[Param, ...], values: dict[str, int]) -> dict[str, object]:
        return {
            p.name: {
                "value": p.show(values[p.name]),
                "kind": p.kind,
                "default": p.show(p.default),
                "low": p.show(p.low),
                "high": p.show(p.high),
                "help": p.help,
            }
            for p in table
        }

    return {
        "version": config.version,
        "author": config.author,
        "risk": rows(RISK, config.risk),
        "strategy": rows(strategy_params, config.strategy),
    }
