"""Nothing but bot/market_data asks Kalshi for market data: markets, events, series, milestones, order books."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.kalshi.rest import KalshiReads

ROOT = Path(__file__).parents[2]
CALLS = frozenset({"open_markets", "market", "milestones", "orderbooks", "series"})
"""What KalshiReads has for market data; `market` and `series` are common words, so what they are called on counts."""
COMMON = frozenset({"market", "series"})
PATHS = ("/markets", "/events", "/series", "/milestones", "/live_data", "/structured_targets")
MAY_CALL = ("bot/market_data/", "bot/kalshi/rest.py")
APART = ("bot/paper/", "bot/sim/", "bench/")
"""The exchange itself, its stand-in in the simulator, and measurements."""


def asked(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in CALLS:
            owner = ast.unparse(node.value)
            if node.attr not in COMMON or owner.rpartition(".")[2].strip("_") in ("reads", "client"):
                yield f"line {node.lineno}: {owner}.{node.attr}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(PATHS):
            yield f"line {node.lineno}: the path {node.value!r}"


def test_the_list_of_calls_is_that_of_the_client() -> None:
    assert all(callable(getattr(KalshiReads, name)) for name in CALLS)
    told = (ROOT / "bot/kalshi/rest.py").read_text()
    methods = [n for n in ast.walk(ast.parse(told)) if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]
    reading = {m.name for m in methods if any(path in ast.unparse(m) for path in PATHS)}
    assert reading == CALLS, "a new call for market data belongs into CALLS"


def test_only_market_data_calls_market_data() -> None:
    found = []
    for path in sorted([*(ROOT / "bot").rglob("*.py"), *(ROOT / "web").rglob("*.py")]):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith((*MAY_CALL, *APART, "web/api/")):
            found += [f"{name} {what}" for what in asked(path.read_text())]
    assert not found, "ask bot/market_data instead:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "reads.open_markets()",
        "self._reads.market('A')[0]",
        "bot.reads.orderbooks(['A'])",
        "call = reads.series",
        "session.get(origin + '/markets/orderbooks')",
    ],
)
def test_a_breach_is_seen(source: str) -> None:
    assert list(asked(source))
