"""From a tick to the bytes of its exit order: core, door, executor and order client, against a server on loopback."""

import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import gevent
from gevent import monkey

from bench.result import Result

COUNT = 300


def measure() -> Iterator[Result]:
    """Runs in a child process, because it needs gevent's patches."""
    read, write = os.pipe()
    if os.fork() == 0:
        os.close(read)
        with os.fdopen(write, "w") as out:
            out.write("\n".join(f"{name} {us}" for name, us in _samples()))
        os._exit(0)
    os.close(write)
    samples: dict[str, list[float]] = {}
    with os.fdopen(read) as lines:
        for line in lines:
            name, us = line.rsplit(" ", 1)
            samples.setdefault(name, []).append(float(us))
    os.wait()
    for name, values in samples.items():
        yield Result(name, values)


def _samples() -> Iterator[tuple[str, float]]:
    listener = socket.create_server(("127.0.0.1", 0))
    if (server := os.fork()) == 0:
        from bench.orders import _serve

        _serve(listener)
    monkey.patch_all()
    try:
        for name, pause in (("tick to exit bytes, one after another", 0.0), ("tick to exit bytes, 20 ms apart", 0.02)):
            yield from ((name, us) for us in _run(listener.getsockname()[1], pause))
    finally:
        os.kill(server, 9)


def _run(port: int, pause: float) -> list[float]:
    from cryptography.hazmat.primitives.asymmetric import rsa

    from bot.core import events as e
    from bot.core.config import RISK, Config, defaults
    from bot.core.effects import PlaceOrder
    from bot.core.grid import CENT_GRID
    from bot.core.state import new_state
    from bot.core.step import Rules
    from bot.core.trades import ExitPlan
    from bot.core.units import Count, Money, Price
    from bot.core.venue import Accepted, Market, Quote, VenueFill
    from bot.kalshi.orders import KalshiOrders
    from bot.kalshi.sign import Signer
    from bot.run.door import Door
    from bot.run.executor import Executor, WriteBudget

    class Sink:
        last_seq = 0
        durable_seq = 0

        def append(self, records: list[bytes]) -> int:
            return 0

    sent: dict[str, int] = {}
    signer = Signer("key", rsa.generate_private_key(public_exponent=65537, key_size=2048))
    orders = KalshiOrders(f"http://127.0.0.1:{port}/trade-api/v2", signer, on_sent=lambda o, ns: sent.update({o: ns}))
    executor = Executor(WriteBudget(1e9, 1e9))

    def pump() -> None:
        while (job := executor.ready(0, 0)) is not None:
            if isinstance(job, PlaceOrder) and job.purpose == "exit":
                gevent.spawn(orders.create, job)

    config = Config(1, "bench", defaults(RISK) | {"max_open_trades": 500}, {})
    state = new_state(config, "RUNNING", 0)
    journal: Any = Sink()
    door = Door(
        state, Rules((), 10_000), journal, executor, on_work=pump, on_facts=lambda *_: None, on_notice=lambda n: None,
        on_wake=lambda w: None, on_reconcile=lambda: None, later=gevent.spawn,
    )  # fmt: skip
    now = time.time_ns() // 1_000_000
    door.handle(e.Boot(now, "b", config))
    door.handle(e.AccountRead(now, now, now, (), (), (), Money(10**12), (), {}))
    plan = ExitPlan(Price(8_000), Price(9_500), None, Price(1_000), 3_000)
    latencies = []
    orders.keep_warm()
    for n in range(COUNT):
        ticker, now = f"KXA-{n}-A", time.time_ns() // 1_000_000
        market = Market(ticker, f"KXA-{n}", "KXA", "t", "y", "Sports", "active", 0, now + 10**9, now + 10**9, None,
                        CENT_GRID, "quadratic", 1.0, 0, True, Count(0), "")  # fmt: skip
        door.handle(e.AccountRead(now, now, now, (), (), (), state.cash or Money(0), (), {}))
        wanted = e.Proposal("bench", market, "bid", Price(8_800), Count(100), "immediate_or_cancel", plan, "")
        answer = door.handle(e.Propose(now, wanted, 0)).answer
        assert answer is not None and answer.ok, answer
        entry = f"{answer.text}.e"
        door.handle(e.Sending(now, entry))
        door.handle(e.CreateReplied(now, entry, Accepted(f"x{n}", Count(100), Count(0))))
        fill = VenueFill(f"f{n}", f"x{n}", entry, ticker, "bid", Price(8_800), Count(100), Money(0), True, now)
        door.handle(e.FillSeen(now, fill))
        orders.create_headers.refresh()
        gevent.sleep(pause or 1e-6)
        received = time.time_ns()
        door.handle(
            e.Tick(
                received // 1_000_000,
                Quote(ticker, Price(7_900), Price(8_100), Count(100), Count(100), 0, received, "book"),
            )
        )
        exit_id = f"{answer.text}.x1"
        while exit_id not in sent:
            gevent.sleep(0)
        latencies.append((sent[exit_id] - received) / 1000)
        door.handle(e.Sending(now, exit_id))
        door.handle(e.CreateReplied(now, exit_id, Accepted(f"y{n}", Count(100), Count(0))))
        out = VenueFill(f"g{n}", f"y{n}", exit_id, ticker, "ask", Price(7_900), Count(100), Money(0), True, now)
        door.handle(e.FillSeen(now, out))
    return latencies
