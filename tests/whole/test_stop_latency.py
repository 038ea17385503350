"""From a tick to the bytes of its exit, while all that could be in its way is: by the program's own measure, with the
same number of stops on the idle program beside it.

`pytest -s -m prove tests/whole/test_stop_latency.py`, on a quiet machine: on a busy one it measures the machine.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from bot.drill.quiet import ticker
from bot.drill.stage import RISK, STRATEGY, Stage, falls, level, recovers
from bot.kalshi.sign import Signer, load_key

STOPS = 200
APART_S = 0.03
UNDER_THE_HAMMER_MS = 12.0
OTHERWISE = 2.0
"""Times the idle 99th percentile."""

PAGES = """
import socket, selectors, sys
head = f"Host: x\\r\\nAuthorization: Bearer {sys.argv[2]}\\r\\n\\r\\n"
chosen = selectors.DefaultSelector()
for _ in range(20):
    page = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    page.sendall(f"GET /api/v1/stream HTTP/1.1\\r\\n{head}".encode())
    chosen.register(page, selectors.EVENT_READ)
while True:
    for key, _ in chosen.select():
        key.fileobj.recv(1 << 20)
"""
HAMMER = """
import socket, sys
request = f"GET /api/v1/status HTTP/1.1\\r\\nHost: x\\r\\nAuthorization: Bearer {sys.argv[2]}\\r\\n\\r\\n".encode()
page = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
while True:
    page.sendall(request)
    page.recv(1 << 16)
"""
SLOW_DISK = """
import sqlite3, sys, time
while True:
    for path in sys.argv[1:]:
        db = sqlite3.connect(path, isolation_level=None, timeout=30)
        db.execute("BEGIN IMMEDIATE")
        time.sleep(0.3)
        db.execute("ROLLBACK")
        db.close()
"""


class Trial:
    """So many positions, stopped one after the other and entered again."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.count = count
        self.stage: Stage

    def open(self, markets: int = 0, tier: str = "premier", **settings: str) -> None:
        calm = {"STRATEGY_LOOP_INTERVAL": "5", "RECONCILE_INTERVAL": "10", "MARKET_POLL_INTERVAL": "4"}
        self.stage = Stage(self.folder, max(markets, self.count), tier=tier, **(calm | settings))
        dull = range(self.count, markets)
        self.stage.call([c for n in dull for c in (level(n, "bid", 9_000, 0), level(n, "bid", 3_000))])
        risk = {**RISK, "max_open_trades": self.count}
        self.stage.program.start().configure(risk=risk, strategy=STRATEGY)

    def stops(self, meanwhile: Callable[["Trial"], AbstractContextManager[None]]) -> dict[str, float]:
        """Milliseconds from tick to bytes over STOPS stops, with this going on while the prices fall."""
        for _ in range(STOPS // self.count):
            self.stage.holds(self.count, 120)
            time.sleep(0.5)
            with meanwhile(self):
                for number in range(self.count):
                    self.stage.call(falls([number]))
                    time.sleep(APART_S)
            self.stage.program.until(lambda: not self.stage.program.items("positions"), 60, "positions remain")
            self.stage.call(recovers(range(self.count)))
        shown = self.stage.program.get("status")["latency_us"]
        return {"count": shown["count"], "p50": shown["p50"] / 1000, "p99": shown["p99"] / 1000}

    def restart(self, settings: dict[str, str]) -> None:
        assert self.stage.program.stop() == 0
        self.stage.program.settings |= settings
        self.stage.program.start()


@contextmanager
def beside(code: str, *arguments: str, count: int = 1) -> Iterator[None]:
    """Processes that run this meanwhile."""
    started = [subprocess.Popen([sys.executable, "-c", code, *arguments]) for _ in range(count)]
    try:
        yield
        assert all(process.poll() is None for process in started), "one of them ended"
    finally:
        for process in started:
            process.kill()
            process.wait()


def nothing(trial: Trial) -> AbstractContextManager[None]:
    return nullcontext()


def hangs(first: bool = False, **fault: Any) -> Callable[[Trial], AbstractContextManager[None]]:
    """Requests that are never answered; `first`: the prices fall once one hangs."""

    @contextmanager
    def hanging(trial: Trial) -> Iterator[None]:
        trial.stage.faults({"kind": "hang", **fault})
        if first:
            trial.stage.program.until(lambda: trial.stage.struck()[0]["struck"], 30, "nothing hung")
        yield
        struck = trial.stage.struck()[0]["struck"]
        trial.stage.faults()
        assert struck, "nothing hung"

    return hanging


@contextmanager
def the_budget_spent(trial: Trial) -> Iterator[None]:
    """33 exits a second of 10 tokens each, on an account with 120 tokens a second."""
    yield
    assert trial.stage.program.lines("ORDER exit", "rejected 429"), "the budget was not spent"


@contextmanager
def a_slow_disk(trial: Trial) -> Iterator[None]:
    """Another process holds the write locks of journal and history, 300 ms each in turn."""
    data = trial.stage.program.data
    with beside(SLOW_DISK, str(data / "journal-paper.db"), str(data / "history.db")):
        yield


def _web(code: str, count: int = 1) -> Callable[[Trial], AbstractContextManager[None]]:
    return lambda trial: beside(
        code, str(trial.stage.program.port), trial.stage.program.settings["API_TOKEN"], count=count
    )


@contextmanager
def an_own_bid_resting(trial: Trial) -> Iterator[None]:
    """At the price at which each stop will sell; the exchange cancels it, not the exit."""
    venue, batch = trial.stage.venue, time.time_ns()
    signer = Signer(venue["key_id"], load_key(venue["private_key_path"]))
    path = "/trade-api/v2/portfolio/events/orders"
    for number in range(trial.count):
        order = {
            "ticker": ticker(number), "client_order_id": f"own-{batch}-{number}", "side": "bid", "price": "0.8000",
            "count": "1.00", "time_in_force": "good_till_canceled", "self_trade_prevention_type": "maker",
        }  # fmt: skip
        headers = signer.headers("POST", path, time.time_ns() // 1_000_000)
        requests.post(venue["odds"] + path, json=order, headers=headers, timeout=5).raise_for_status()
    yield
    ours = trial.stage.program
    ours.until(lambda: not ours.items("positions"), 60, "positions remain")
    own = [o for o in trial.stage.ledger()["orders"].values() if str(o["client_order_id"]).startswith(f"own-{batch}-")]
    assert {o["status"] for o in own} == {"canceled"} and len(own) == trial.count


@dataclass(frozen=True)
class Condition:
    """`needs`: from the beginning; `settings`: of the restarted program; `meanwhile`: while the prices fall."""

    meanwhile: Callable[[Trial], AbstractContextManager[None]] = nothing
    settings: dict[str, str] = field(default_factory=dict)
    needs: dict[str, Any] = field(default_factory=dict)
    count: int = 100


HAMMERED = "an HTTP client hammering"
CONDITIONS = {
    "a strategy pass running": Condition(settings={"STRATEGY_LOOP_INTERVAL": "1"}, needs={"markets": 600}),
    "the journal's disk slowed": Condition(a_slow_disk),
    "20 pages connected": Condition(_web(PAGES)),
    HAMMERED: Condition(_web(HAMMER)),
    "the write budget spent": Condition(
        the_budget_spent, needs={"tier": "basic", "STRATEGY_LOOP_INTERVAL": "10"}, count=40
    ),
    "the odds feed hanging": Condition(
        hangs(first=True, at="odds"),
        settings={"ODDS_API_KEY": "key", "ODDS_POLL_INTERVAL": "10", "STRATEGY_LOOP_INTERVAL": "2"},
    ),
    "an own bid resting": Condition(an_own_bid_resting),
    "an UNKNOWN exit pending": Condition(hangs(at="create", every=10)),
}


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_stop_leaves_in_time_whatever_else_goes_on(tmp_path: Path, condition: str) -> None:
    given = CONDITIONS[condition]
    trial = Trial(tmp_path, given.count)
    try:
        trial.open(**given.needs)
        idle = trial.stops(nothing)
        trial.restart(given.settings)
        busy = trial.stops(given.meanwhile)
        limit = UNDER_THE_HAMMER_MS if condition == HAMMERED else OTHERWISE * idle["p99"]
        print(f"\n| {condition} | {idle['p50']:.2f} | {idle['p99']:.2f} | {busy['p50']:.2f} | {busy['p99']:.2f} "
              f"| {limit:.2f} | {busy['count']:.0f} |")  # fmt: skip
        assert min(idle["count"], busy["count"]) >= STOPS / 2
        assert busy["p99"] <= limit
    finally:
        trial.stage.end()
