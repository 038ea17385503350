"""The paper exchange: orders matched in the library and over REST, book updates to many subscribers, memory.

The exchange runs in a process of its own; clients are bare sockets, so that it is the exchange that is measured.
"""

import base64
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from bench.result import Result, timed
from bot.paper import orders
from bot.paper.engine import Engine
from bot.paper.exchange import run
from bot.paper.model import Event, Market, NewOrder, Series
from bot.paper.stream import Hub
from bot.paper.venue import Settings

DAY_MS = 86_400_000
LIBRARY, REST, SECONDS = 20_000, 2_000, 3.0
SUBSCRIBERS = (1, 10, 50)
AHEAD = 256 << 10
"""Bytes that the firehose lets wait for the slowest client."""
ORDER_PATH = "/trade-api/v2/portfolio/events/orders"


def measure() -> Iterator[Result]:
    yield _library()
    with tempfile.TemporaryDirectory() as folder:
        exchange = Exchange(Path(folder))
        try:
            yield exchange.orders()
            for count in SUBSCRIBERS:
                yield exchange.updates(count)
        finally:
            exchange.end()
    yield from _memory()


def _order(i: int) -> NewOrder:
    """Buys and sells in turn, each at once against the crowd."""
    side, price = (("bid", 6_000), ("ask", 4_000))[i % 2]
    return NewOrder(
        ticker="B-1", side=side, price=price, count=100, time_in_force="immediate_or_cancel", self_trade="maker"
    )  # type: ignore[arg-type]


def _library() -> Result:
    engine = Engine(1)
    _list(engine, 0)
    engine.add_account("u", 10**15)
    result = timed("library: order matched", lambda i: orders.create(engine, "u", _order(i), i), LIBRARY, batch=20)
    assert len(engine.accounts["u"].fills) == LIBRARY + 1
    return result


def _list(engine: Engine, now_ms: int) -> None:
    engine.add_series(Series("B", "Bench", "Sports"))
    engine.add_event(Event("B", "B", "Bench", ""))
    engine.add_market(Market("B-1", "B", "Bench", "y", "n", now_ms - 1, now_ms + DAY_MS, 10**13, 10**13), now_ms)
    engine.set_level("B-1", "ask", 5_100, 10**11, now_ms)
    engine.set_level("B-1", "bid", 4_900, 10**11, now_ms)


class Firehose:
    """A life that changes one level as often as the subscribers can read it."""

    done = False
    odds = None

    def start(self, engine: Engine, now_ms: int) -> None:
        _list(engine, now_ms)
        self.made = 0

    def advance(self, engine: Engine, now_ms: int) -> None:
        hub = next(listener for listener in engine.listeners if isinstance(listener, Hub))
        if not any(session.by_sid for session in hub.sessions):
            return
        end = time.monotonic() + 0.02
        while time.monotonic() < end and all(session.waiting < AHEAD for session in hub.sessions):
            self.made += 1
            engine.set_level("B-1", "bid", 1_000, 100 + self.made % 2 * 100, now_ms)

    def state(self) -> bytes:
        return b""

    def restore(self, blob: bytes, engine: Engine, now_ms: int) -> None: ...


class Exchange:
    def __init__(self, folder: Path) -> None:
        out, into = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.dup2(into, 1)
            settings = Settings(data_dir=folder, tier="unlimited", cash=10**15, pump_ms=1)
            os._exit(run(settings, Firehose(), "firehose", 1))
        os.close(into)
        with os.fdopen(out) as lines:
            self.ready = json.loads(lines.readline())
        port = int(self.ready["odds"].rpartition(":")[2])
        self.address = ("127.0.0.1", port)
        pem = Path(self.ready["private_key_path"]).read_bytes()
        self.key: Any = serialization.load_pem_private_key(pem, password=None)

    def end(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)

    def head(self, method: str, path: str) -> str:
        stamp = str(time.time_ns() // 1_000_000)
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
        signature = base64.b64encode(self.key.sign(f"{stamp}{method}{path}".encode(), pss, hashes.SHA256())).decode()
        return (
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nKALSHI-ACCESS-KEY: {self.ready['key_id']}\r\n"
            f"KALSHI-ACCESS-TIMESTAMP: {stamp}\r\nKALSHI-ACCESS-SIGNATURE: {signature}\r\n"
        )

    def orders(self) -> Result:
        """One connection, one order after the other; the signature is made once, the exchange checks it each time."""
        head = self.head("POST", ORDER_PATH)
        requests = []
        for side, price in (("bid", "0.6000"), ("ask", "0.4000")):
            body = json.dumps(
                {
                    "ticker": "B-1",
                    "side": side,
                    "price": price,
                    "count": "1.00",
                    "time_in_force": "immediate_or_cancel",
                    "self_trade_prevention_type": "maker",
                }
            )
            requests.append(
                f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            )
        with socket.create_connection(self.address) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def create(i: int) -> None:
                connection.sendall(requests[i % 2])
                answer = connection.recv(65_536)
                assert answer.startswith(b"HTTP/1.1 201") and b'"fill_count":"1.00"' in answer, answer

            return timed("REST: order matched", create, REST)

    def updates(self, count: int) -> Result:
        """Microseconds per book update while it goes to that many subscribers, taken every tenth of a second."""
        chosen = selectors.DefaultSelector()
        connections = [self._subscribe() for _ in range(count)]
        for connection in connections:
            chosen.register(connection, selectors.EVENT_READ)
        times, frames = [], 0
        began = mark = time.perf_counter()
        while mark < began + SECONDS:
            for key, _ in chosen.select(1):
                frames += key.fileobj.recv(1 << 20).count(b"}\n")  # type: ignore[union-attr]
            now = time.perf_counter()
            if now > mark + 0.1:
                times.append((now - mark) * 1e6 * count / frames)
                mark, frames = now, 0
        for connection in connections:
            connection.close()
        time.sleep(0.2)
        rate = 1e6 / median(times)
        return Result(f"WebSocket: update to {count}", times, note=f"{rate:,.0f}/s, {rate * count:,.0f} frames/s")

    def _subscribe(self) -> socket.socket:
        connection = socket.create_connection(self.address)
        upgrade = (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n"
        )
        connection.sendall((self.head("GET", "/trade-api/ws/v2") + upgrade).encode())
        answer = connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 101"), answer
        params = {"channels": ["orderbook_delta"], "market_tickers": ["B-1"], "use_yes_price": True}
        command = json.dumps({"id": 1, "cmd": "subscribe", "params": params}).encode()
        connection.sendall(bytes((0x81, 0x80 | 126)) + len(command).to_bytes(2, "big") + bytes(4) + command)
        return connection


def _memory() -> Iterator[Result]:
    """Resident memory of the process as users start it; the times are its start until it is ready."""
    for name, options in (("demo world", ["--world", "demo"]), ("5,000 markets", ["--markets", "5000"])):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "bot", "exchange", "--data-dir", folder, *options], stdout=subprocess.PIPE
            )
            try:
                assert process.stdout and process.stdout.readline()
                start_us = (time.perf_counter() - began) * 1e6
                time.sleep(10)
                shown = subprocess.run(["ps", "-o", "rss=", "-p", str(process.pid)], capture_output=True, text=True)
                yield Result(f"start: {name}", [start_us], note=f"{int(shown.stdout) / 1024:.0f} MB after 10 s")
            finally:
                process.terminate()
                process.wait()
