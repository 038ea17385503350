"""A quiet exchange and the program on it: prices move, requests fail and processes die when the script says so."""

import json
import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from bot.drill.program import ROOT, NotInTime, Program
from bot.drill.quiet import ASK, BID, DEEP, ticker

RISK = {
    "max_order_cost": "5.000000", "cooldown": 0, "max_entry_rate": 1_000, "max_daily_loss": "10000.000000",
    "max_drawdown": "10000.000000", "max_loss_streak": 1_000, "max_rejects": 1_000, "max_errors": 1_000,
}  # fmt: skip
"""Limits so wide that trades go on and on: disasters are about what has been entered."""
STRATEGY = {"order_cost": "2.000000", "min_size": "1.00", "max_to_end": 86_400, "min_to_end": 5, "time_exit": 0}
QUICK = {"STRATEGY_LOOP_INTERVAL": "2", "RECONCILE_INTERVAL": "3", "MARKET_POLL_INTERVAL": "2"}

Call = tuple[str | int, ...]
"""A call on the exchange's engine: name and arguments (bot/drill/quiet.py)."""


class Stage:
    """The exchange runs from the beginning; the program when `start` or `enter` is called."""

    def __init__(self, folder: Path, markets: int, *, tier: str = "premier", **settings: str) -> None:
        command = [sys.executable, "-m", "bot.drill.quiet", "--data-dir", str(folder / "exchange"),
                   "--markets", str(markets), "--tier", tier]  # fmt: skip
        environ = {"PYTHONPATH": str(ROOT), "PATH": os.environ.get("PATH", "")}
        with (folder / "exchange.log").open("wb") as log:
            self.exchange = subprocess.Popen(
                command, cwd=folder, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        assert self.exchange.stdout is not None
        line = self.exchange.stdout.readline()
        if not line:
            raise NotInTime(f"the exchange did not start: {(folder / 'exchange.log').read_text()}")
        self.venue: dict[str, str] = json.loads(line)
        self.program = Program(
            folder, KALSHI_API_URL=self.venue["rest"], KALSHI_WS_URL=self.venue["ws"],
            KALSHI_KEY_ID=self.venue["key_id"], KALSHI_PRIVATE_KEY_PATH=self.venue["private_key_path"],
            ODDS_API_URL=self.venue["odds"], **(QUICK | settings),
        )  # fmt: skip

    def enter(self, positions: int) -> None:
        """Start the program and wait until it holds so many markets, each with its stop."""
        self.program.start().configure(risk={**RISK, "max_open_trades": positions}, strategy=STRATEGY)
        self.holds(positions)
        self.program.until(lambda: not self.program.items("orders"), 20, "orders remain")

    def holds(self, positions: int, wait_s: float = 60.0) -> None:
        self.program.until(lambda: len(self.program.items("positions")) == positions, wait_s, "not all were entered")

    def call(self, calls: list[Call]) -> float:
        """Calls on the exchange's engine, at once; when that was."""
        assert self.exchange.stdin is not None
        at = time.time()
        self.exchange.stdin.write(json.dumps(calls).encode() + b"\n")
        self.exchange.stdin.flush()
        return at

    def faults(self, *plan: dict[str, Any]) -> None:
        """What goes wrong from now on; without a plan nothing does."""
        requests.post(self.venue["odds"] + "/_paper/faults", json=list(plan), timeout=5).raise_for_status()

    def struck(self) -> list[dict[str, Any]]:
        """The plan with how many requests each line has `seen` and `struck`."""
        found: list[dict[str, Any]] = requests.get(self.venue["odds"] + "/_paper/faults", timeout=5).json()
        return found

    def ledger(self) -> dict[str, Any]:
        """The exchange's own statement."""
        found: dict[str, Any] = requests.get(self.venue["odds"] + "/_paper/ledger", timeout=5).json()
        return found

    def books_differ(self) -> str:
        """'' when the bot's cash and positions are the exchange's and it has compared them itself."""
        ledger, (cash, held) = self.ledger(), self.program.books()
        theirs = (ledger["cash"], ledger["positions"])
        if (cash, held) != theirs:
            return f"the bot has {cash} and {held}, the exchange {theirs[0]} and {theirs[1]}"
        reconciliation = self.program.get("status")["reconciliation"]
        return "" if reconciliation["ok"] and not reconciliation["differences"] else str(reconciliation)

    def end(self) -> None:
        self.program.end()
        self.exchange.terminate()
        try:
            self.exchange.wait(20)
        except subprocess.TimeoutExpired:
            self.exchange.kill()


def falls(numbers: range | list[int], to: int = 8_000, count: int = DEEP) -> list[Call]:
    """The bid goes from 0.90 to this price, by default under every stop."""
    return [c for n in numbers for c in (level(n, "bid", BID, 0), level(n, "bid", to, count))]


def recovers(numbers: range | list[int], since: int = 8_000) -> list[Call]:
    return [c for n in numbers for c in (level(n, "bid", since, 0), level(n, "bid", BID), level(n, "ask", ASK))]


def level(number: int, side: str, price: int, count: int = DEEP) -> Call:
    return ("set_level", ticker(number), side, price, count)


def exits(program: Program, since: float) -> list[float]:
    """Seconds from `since` until each accepted exit order was answered."""
    return _seconds(program.lines("ORDER exit", "accepted"), since)


def sales(program: Program, since: float) -> list[float]:
    """Seconds from `since` until each fill of an exit was booked: by the order's reply, or by its own message."""
    return _seconds(program.lines(" fill ", " exit ", "sold"), since)


def _seconds(lines: list[str], since: float) -> list[float]:
    return sorted(datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").timestamp() - since for line in lines)
