"""SIGKILL to the real program at random and at named points, under load: no order lost or doubled, no position without
its stop, and the books are the exchange's each time. The exchange is a process of its own and lives on.

Nothing in the program knows of this: a kill is timed from outside, by what is seen of the journal's file, of the log,
and of the exchange, which holds back a reply (or the effect of an order) so that the program dies in between.
"""

import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import requests

from bot.core.config import RISK as RISK_PARAMS
from bot.core.config import Config, defaults
from bot.core.facts import decode
from bot.core.folding import fold
from bot.core.orders import OrderState
from bot.core.state import TradingState, load, new_state
from bot.core.trades import TradeState
from bot.drill.quiet import DEEP, ticker
from bot.drill.stage import RISK, STRATEGY, Stage, level, recovers

MARKETS = 24
ONE_TRADE = 2.0
"""Contracts that one entry buys: more in a market is a duplicate, less than none an oversell."""
SWIFT = {"STRATEGY_LOOP_INTERVAL": "1", "RECONCILE_INTERVAL": "1", "MARKET_POLL_INTERVAL": "2"}
IN_TIME_S = 15.0
EXPECTED = {"order_unknown", "stale_price"}
"""Alarms that belong to it: a reply is lost on purpose; the first price comes a moment after arming."""


class Load:
    """Prices fall under the stops and come back all the time, in deep and in thin books."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage = stage
        self.fallen: set[int] = set()
        self._random = random.Random(seed)
        self._on = threading.Event()
        self._idle = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def go_on(self) -> None:
        self._idle.clear()
        self._on.set()

    def rest(self) -> None:
        """Returns when the last change is out."""
        self._on.clear()
        self._idle.wait(5)

    def end(self) -> None:
        self._ended = True
        self._on.set()
        self._thread.join(5)

    def fall(self, number: int, thin: bool) -> None:
        """To 0.80 in a deep book, or half a trade at 0.80 and the rest below."""
        calls = [level(number, "bid", 9_000, 0), level(number, "bid", 8_000, 100 if thin else DEEP)]
        self.stage.call([*calls, level(number, "bid", 7_600)])
        self.fallen.add(number)

    def _run(self) -> None:
        while not self._ended:
            if not self._on.is_set():
                self._idle.set()
                self._on.wait()
                continue
            number = self._random.randrange(MARKETS)
            if number in self.fallen:
                self.stage.call([level(number, "bid", 7_600, 0), *recovers([number])])
                self.fallen.discard(number)
            elif len(self.fallen) < MARKETS // 2:
                self.fall(number, thin=self._random.random() < 0.5)
            time.sleep(0.05)


class Killing:
    """One exchange and the program that dies on it again and again."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.stage = Stage(folder, MARKETS, tier="unlimited", **SWIFT)
        self.program = self.stage.program
        self.journal = self.program.data / "journal-paper.db"
        self.random = random.Random(seed)
        self.load = Load(self.stage, seed)
        self.armed_s: list[float] = []
        self.protected_s: list[float] = []
        self.caught: Counter[str] = Counter()
        self.kills: Counter[str] = Counter()
        self._ids: set[str] = set()

    def begin(self) -> None:
        self.program.start().configure(risk=RISK | {"max_open_trades": MARKETS}, strategy=STRATEGY)
        self.stage.holds(MARKETS)

    def end(self) -> None:
        self.load.end()
        self.stage.end()

    def kill(self, point: str) -> None:
        """Under load to the named point, SIGKILL, and again until it stands; then everything is compared."""
        self.load.go_on()
        time.sleep(self.random.uniform(0.1, 0.4))
        began = time.monotonic()
        POINTS[point](self)
        self.program.kill()
        print(f"{point} {time.monotonic() - began:.2f}", end=" ", flush=True)
        self.kills[point] += 1
        self.stage.faults()
        self.caught.update(list(self._found_dead()) or ["nothing under way"])
        self.program.launch()
        self._await_armed()
        self.load.rest()
        self._compare()
        print(
            f"armed {self.armed_s[-1]:.2f} equal {self.protected_s[-1]:.2f} total {time.monotonic() - began:.2f}",
            flush=True,
        )

    # what is watched

    def await_log(self, *words: str) -> None:
        """The next line with these words, since now."""
        seen = len(self.program.lines(*words))
        self.wait(lambda: len(self.program.lines(*words)) > seen, 0.001)

    def wait(self, holds: Callable[[], Any], pause_s: float) -> None:
        deadline = time.monotonic() + IN_TIME_S
        while not holds():
            assert time.monotonic() < deadline, f"the point was not reached: {self.program.tail()}"
            time.sleep(pause_s)

    def held(self) -> set[int]:
        """Markets in which the exchange has a position for us."""
        positions = self.stage.ledger()["positions"]
        return {n for n in range(MARKETS) if ticker(n) in positions}

    def working(self) -> list[dict[str, Any]]:
        """Orders under way, but for entries that are only not yet proven to have failed."""
        return [o for o in self.program.items("orders") if not _reserved(o)]

    def wal(self) -> int:
        return os.stat(f"{self.journal}-wal").st_mtime_ns

    def records(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True)

    # what is compared

    def _await_armed(self) -> None:
        """From the start of the process to the line that says so."""
        started = len(self.program.lines("open trades armed"))
        self.program.until(lambda: len(self.program.lines("open trades armed")) > started, 40, "stops were not armed")
        line = self.program.lines("open trades armed")[-1]
        self.armed_s.append(datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").timestamp() - self.program.started_at)

    def _found_dead(self) -> Iterator[str]:
        """What the kill left between journal and exchange: which boundary it really struck."""
        state, ledger = _state(self.journal), self.stage.ledger()
        theirs = {o["client_order_id"] for o in ledger["orders"].values()}
        open_orders = [o for o in state.orders.values() if o.state in (OrderState.INTENT, OrderState.SENDING)]
        if any(o.purpose == "entry" and o.client_order_id not in theirs for o in open_orders):
            yield "entry durable, not at the exchange"
        if any(o.purpose == "entry" and o.client_order_id in theirs for o in open_orders):
            yield "entry at the exchange, its reply not journaled"
        if any(o.purpose == "exit" for o in open_orders) or any(t.state is TradeState.EXITING for t in _live(state)):
            yield "exit under way"
        if theirs - state.orders.keys() - self._ids:
            yield "exit at the exchange, not journaled"
        held = {t: f"{p.count / 100:.2f}" for t, p in state.positions.items() if p.count}
        if held != ledger["positions"]:
            yield "fill at the exchange, not journaled"
        self._ids |= theirs | state.orders.keys()

    def _compare(self) -> None:
        """Every stop that is due has fired, every position has its stop, the books are equal, nothing is double."""
        armed_at = self.program.started_at + self.armed_s[-1]
        fallen = {ticker(n) for n in self.load.fallen}
        wrong = "the program did not answer"
        while time.time() < armed_at + IN_TIME_S:
            try:
                wrong = self._wrong(fallen)
            except (requests.RequestException, KeyError):
                wrong = "the program did not answer"
            if not wrong:
                break
            time.sleep(0.05)
        assert not wrong, f"{wrong}\n{self.program.tail()}"
        self.protected_s.append(time.time() - armed_at)
        errors = {line.split()[4] for line in self.program.lines(" ERROR ")} - EXPECTED
        assert not errors and not self.program.lines("Traceback"), f"{errors}: {self.program.tail(60)}"

    def _wrong(self, fallen: set[str]) -> str:
        """'' when all is well."""
        ledger = self.stage.ledger()
        over = {t: count for t, count in ledger["positions"].items() if not 0 <= float(count) <= ONE_TRADE}
        assert not over, f"oversold or bought twice: {over}"
        if fallen & ledger["positions"].keys():
            return f"stops that have not fired: {fallen & ledger['positions'].keys()}"
        rows = self.program.items("positions")
        naked = ledger["positions"].keys() - {r["ticker"] for r in rows if r["protected"] and r["stop"]}
        if naked:
            return f"no stop: {naked}"
        theirs = {o["client_order_id"] for o in ledger["orders"].values()}
        if live := [o for o in self.program.items("orders") if o["client_order_id"] in theirs or not _reserved(o)]:
            return f"orders that are not settled: {live}"
        return self.stage.books_differ()

    def audit(self, proven: bool) -> dict[str, int]:
        """At the end: history and ledger name the same orders and the same fills. With `proven`: once the program has
        proven of each order that never arrived that it did not (30 s after its signature)."""
        if proven:
            self.program.until(lambda: not self.program.items("orders"), 60, "an order stays unknown")
        self.program.until(lambda: not self.stage.books_differ(), 20, "the books differ")
        assert self.program.stop() == 0
        ledger = self.stage.ledger()
        with sqlite3.connect(self.program.data / "history.db") as db:
            ours = dict(db.execute("SELECT client_order_id, state FROM orders").fetchall())
            fills = db.execute("SELECT count(*), count(DISTINCT trade_id) FROM fills").fetchone()
        theirs = [o["client_order_id"] for o in ledger["orders"].values()]
        assert len(theirs) == len(set(theirs)), "an order was placed twice"
        assert set(theirs) <= ours.keys(), f"not ours: {set(theirs) - ours.keys()}"
        ended = {"rejected", "intent"} | (
            set() if proven else {"unknown"}
        )  # intent: died before it was durable or sent
        lost = {i: state for i, state in ours.items() if i not in set(theirs) and state not in ended}
        assert not lost, f"lost: {lost}"
        assert fills == (ledger["fills_count"], ledger["fills_count"]), "each fill once"
        return {"orders": len(theirs), "fills": ledger["fills_count"]}


def _state(path: Path) -> TradingState:
    """What a restart would find, read without touching it."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        seq, blob = db.execute("SELECT seq, state FROM snapshots ORDER BY seq DESC LIMIT 1").fetchone() or (0, None)
        bodies = db.execute("SELECT body FROM records WHERE seq > ? ORDER BY seq", (seq,)).fetchall()
    state = load(blob) if blob else new_state(Config(1, "test", defaults(RISK_PARAMS), {}), "RUNNING", 0)
    for (body,) in bodies:
        fold(state, decode(body))
    return state


def _reserved(order: dict[str, Any]) -> bool:
    """An entry that is not proven to have failed yet: its exposure is kept, it is never sent again."""
    return bool(order["state"] == "unknown" and order["purpose"] == "entry")


def _live(state: TradingState) -> list[Any]:
    return [trade for trade in state.trades.values() if trade.live()]


def at_any_time(k: Killing) -> None:
    time.sleep(k.random.uniform(0, 1.5))


def in_a_journal_write(k: Killing) -> None:
    """The journal's file has just been written to: its transaction is under way."""
    before, deadline = k.wal(), time.monotonic() + IN_TIME_S
    while k.wal() == before:
        assert time.monotonic() < deadline


def after_a_commit(k: Killing) -> None:
    """A record has just become durable: what it announces is not sent yet."""
    db, deadline = k.records(), time.monotonic() + IN_TIME_S
    newest = "SELECT max(seq) FROM records"
    before = db.execute(newest).fetchone()
    while db.execute(newest).fetchone() == before:
        assert time.monotonic() < deadline
    db.close()


def an_entry(k: Killing, **fault: Any) -> None:
    """The next create is an entry: nothing falls any more, and one that was left comes back."""
    k.load.rest()
    k.wait(lambda: not k.working() and not k.held() & k.load.fallen, 0.02)
    unknown = {o["ticker"] for o in k.program.items("orders")}
    free = sorted(n for n in k.load.fallen if ticker(n) not in unknown)
    if not free:
        free = sorted(k.held())[:1]
        k.load.fall(free[0], thin=False)
        k.wait(lambda: free[0] not in k.held(), 0.02)
    k.stage.faults({"times": 1, **fault})
    k.stage.call([level(n, "bid", 7_600, 0) for n in free] + recovers(free))
    k.load.fallen -= set(free)
    k.wait(lambda: k.stage.struck()[0]["struck"] == 1, 0.002)


def an_exit(k: Killing, **fault: Any) -> None:
    """The next create is an exit: a price falls."""
    k.load.rest()
    k.wait(lambda: not k.working() and k.held() - k.load.fallen, 0.02)
    k.stage.faults({"times": 1, **fault})
    k.load.fall(k.random.choice(sorted(k.held() - k.load.fallen)), thin=k.random.random() < 0.5)
    k.wait(lambda: k.stage.struck()[0]["struck"] == 1, 0.002)


def entry_done_reply_late(k: Killing) -> None:
    an_entry(k, at="create", kind="delay", delay_ms=1_000, after=True)


def entry_arrives_later(k: Killing) -> None:
    """It has left, and takes effect only when the program is up again."""
    an_entry(k, at="create", kind="delay", delay_ms=2_500)


def entry_reply_lost(k: Killing) -> None:
    """It learns of the fill from the private channel alone, or not at all."""
    an_entry(k, at="create", kind="lost_reply_after")


def exit_done_reply_late(k: Killing) -> None:
    an_exit(k, at="create", kind="delay", delay_ms=1_000, after=True)


def exit_arrives_later(k: Killing) -> None:
    an_exit(k, at="create", kind="delay", delay_ms=2_500)


def exit_partly_filled(k: Killing) -> None:
    """Half of it is sold, the rest is to be priced anew."""
    k.load.rest()
    k.wait(lambda: not k.working() and k.held() - k.load.fallen, 0.02)
    number = k.random.choice(sorted(k.held() - k.load.fallen))
    k.load.fall(number, thin=True)
    k.wait(lambda: k.stage.ledger()["positions"].get(ticker(number)) != "2.00", 0)


def _restarted(k: Killing) -> None:
    k.program.kill()
    k.program.launch()


def starting_before_armed(k: Killing) -> None:
    _restarted(k)
    k.await_log("restored")


def starting_after_armed(k: Killing) -> None:
    _restarted(k)
    k.await_log("open trades armed")


def starting_at_any_time(k: Killing) -> None:
    _restarted(k)
    time.sleep(k.random.uniform(0.05, 2.0))


def in_a_snapshot(k: Killing) -> None:
    """The last snapshot, at an orderly end: killed when the journal's file is written to, or just after."""
    assert k.program.process is not None
    k.load.rest()
    os.kill(k.program.process.pid, signal.SIGTERM)
    k.await_log("stopping")
    k.program.until(lambda: k.wal(), 1, "no journal")
    time.sleep(k.random.uniform(0, 0.1))


POINTS: dict[str, Callable[[Killing], None]] = {
    point.__name__: point
    for point in (
        at_any_time, in_a_journal_write, after_a_commit, entry_done_reply_late, entry_arrives_later,
        entry_reply_lost, exit_done_reply_late, exit_arrives_later, exit_partly_filled, starting_before_armed,
        starting_after_armed, starting_at_any_time, in_a_snapshot,
    )
}  # fmt: skip


@pytest.fixture
def killing(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Killing]:
    one = Killing(tmp_path, request.node.callspec.params["seed"])
    yield one
    one.end()


def ordeal(killing: Killing, kills: int, seed: int, *, proven: bool) -> None:
    names = list(POINTS)
    killing.begin()
    for number in range(kills):
        killing.kill(names[(seed * kills + number) % len(names)])
    told = killing.audit(proven)
    armed = killing.armed_s
    print(f"\n{kills} kills: {dict(killing.kills)}\nfound dead: {dict(killing.caught)}\n{told}")
    print(f"start to stops armed: median {median(armed):.2f} s, max {max(armed):.2f} s; "
          f"then books equal, stops fired: median {median(killing.protected_s):.2f} s, "
          f"max {max(killing.protected_s):.2f} s")  # fmt: skip


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [0])
def test_twenty_kills_lose_nothing(killing: Killing, seed: int) -> None:
    ordeal(killing, 20, seed, proven=False)


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(1, 15))
def test_three_hundred_kills_lose_nothing(killing: Killing, seed: int) -> None:
    """280 more, at every point."""
    ordeal(killing, 20, seed, proven=True)
