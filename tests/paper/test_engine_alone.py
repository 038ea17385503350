"""The engine and its worlds as a library: no I/O, no gevent, virtual time, the same trace everywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

DAY = """
import hashlib, sys
from bot.core.units import format_money
from bot.paper import orders
from bot.paper.engine import Engine
from bot.paper.model import Listener, NewOrder, Rejected
from bot.paper.world import World

world_name, markets = sys.argv[1], int(sys.argv[2])
hours, STEP_MS = float(sys.argv[3]), int(sys.argv[4])
BEGIN_MS = 1_795_262_400_000

class Trace(Listener):
    def __init__(self):
        self.hash, self.counts = hashlib.sha256(), {}
    def note(self, kind, *told):
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.hash.update(repr((kind, *told)).encode())
    def book(self, market, side, price, delta, order, now_ms):
        self.note("book", market.ticker, side, price, delta, now_ms)
    def trade(self, trade):
        self.note("trade", trade.trade_id, trade.ticker, trade.price, trade.count, trade.taker_side, trade.ms)
    def lifecycle(self, market, kind, now_ms):
        self.note(kind, market.ticker, market.result, market.settlement_value, now_ms)
    def fill(self, fill):
        self.note("fill", fill.order_id, fill.price, fill.count, fill.fee, fill.position)
    def settlement(self, user_id, settlement):
        self.note("paid", settlement.ticker, settlement.revenue, settlement.fee)

engine, trace = Engine(7), Trace()
engine.listeners.append(trace)
account = engine.add_account("member", 1_000_000_000)
world = World(world_name, 7, 1.0, markets=markets)
world.start(engine, BEGIN_MS)
for step in range(1, round(hours * 3_600_000 / STEP_MS) + 1):
    now_ms = BEGIN_MS + step * STEP_MS
    world.advance(engine, now_ms)
    if step % 20 == 0:
        tickers = [t for t, m in engine.markets.items() if m.status == "active"]
        ticker = tickers[step * 7919 % len(tickers)]
        bid, _, ask, _ = engine.best(ticker)
        if ask is not None and ask < 10_000:
            try:
                new = NewOrder(ticker=ticker, side="bid", price=ask, count=100, time_in_force="immediate_or_cancel",
                               self_trade="maker", client_order_id=f"c{step}")
                orders.create(engine, "member", new, now_ms)
            except Rejected as reason:
                trace.note("refused", reason.code)
loaded = [name for name in ("gevent", "socket", "ssl", "sqlite3", "threading", "asyncio") if name in sys.modules]
assert "gevent" not in loaded and "socket" not in loaded and "sqlite3" not in loaded, loaded
print(trace.hash.hexdigest(), format_money(account.cash), sorted(trace.counts.items()))
"""


def run(python: str, hash_seed: str, world: str, markets: int, hours: float, step_ms: int = 1_000) -> str:
    done = subprocess.run(
        [python, "-c", DAY, world, str(markets), str(hours), str(step_ms)],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("world", ["demo", "stress"])
def test_a_seed_makes_the_same_trace_under_any_hash_seed(world: str) -> None:
    hours = 0.05 if world == "demo" else 0.01
    first, second = (run(sys.executable, hash_seed, world, 60, hours) for hash_seed in ("1", "4711"))
    assert first == second
    assert "trade" in first and "fill" in first and "book" in first


def test_a_seed_makes_the_same_trace_on_another_python(other_python: str) -> None:
    assert run(other_python, "1", "demo", 30, 0.15) == run(sys.executable, "2", "demo", 30, 0.15)


@pytest.mark.prove
def test_a_whole_day_passes_in_virtual_time_and_twice_alike() -> None:
    first = run(sys.executable, "1", "demo", 20, 24, 15_000)
    assert first == run(sys.executable, "2", "demo", 20, 24, 15_000)
    assert all(kind in first for kind in ("created", "determined", "settled", "paid", "deactivated"))
