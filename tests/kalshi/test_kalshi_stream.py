"""The stream keeps its subscriptions, notices gaps and silence, answers pings, comes back with a fresh signature."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import RemoteProtocolError

from bot.kalshi.sign import Signer
from bot.kalshi.stream import Stream
from bot.kalshi.subscriptions import BOOKS

SIGNER = Signer("key-1", generate_private_key(65537, 2048))


class Connection:
    """The exchange's end of one WebSocket."""

    def __init__(self, sock: socket.socket, accept: bool):
        self.sock = sock
        self.protocol = WSConnection(ConnectionType.SERVER)
        self.events = []
        request = self.event(Request)
        self.headers = {name.decode().lower(): value.decode() for name, value in request.extra_headers}
        self.path = request.target
        answer = AcceptConnection() if accept else RejectConnection(status_code=401)
        sock.sendall(self.protocol.send(answer))

    def event(self, kind):
        """The next event of this kind; others are passed over."""
        while True:
            for event in self.events:
                if isinstance(event, kind):
                    self.events.remove(event)
                    return event
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError
            self.protocol.receive_data(data)
            self.events += list(self.protocol.events())

    def command(self):
        return json.loads(self.event(TextMessage).data)

    def send(self, *messages):
        self.sock.sendall(b"".join(self.protocol.send(TextMessage(data=json.dumps(m))) for m in messages))

    def subscribe_all(self, count):
        """Acknowledge `count` subscriptions with sids 1, 2, ... in their order."""
        for sid in range(1, count + 1):
            command = self.command()
            self.send(
                {
                    "type": "subscribed",
                    "id": command["id"],
                    "msg": {"channel": command["params"]["channels"][0], "sid": sid},
                }
            )


class FakeExchange:
    def __init__(self, *scripts: Callable[[Connection], None], accept: bool = True):
        self.scripts = list(scripts)
        self.accept = accept
        self.connections: list[Connection] = []
        self.faults: list[BaseException] = []

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self.listener.getsockname()[1]}/trade-api/ws/v2"
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()
        for connection in self.connections:
            connection.sock.close()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                sock.settimeout(10)
                try:
                    connection = Connection(sock, self.accept)
                    self.connections.append(connection)
                    if self.scripts:
                        self.scripts.pop(0)(connection)
                except (ConnectionError, RemoteProtocolError):
                    pass
                except Exception as error:
                    self.faults.append(error)


class Heard:
    """A listener that remembers, and lets the test wait for what it heard."""

    def __init__(self):
        self.said = []
        self.changed = threading.Condition()

    def note(self, *what):
        with self.changed:
            self.said.append(what)
            self.changed.notify_all()

    def connected(self):
        self.note("connected")

    def disconnected(self):
        self.note("disconnected")

    def gap(self, channel, tickers):
        self.note("gap", channel, tickers)

    def frame(self, frame, received_ns):
        self.note("frame", type(frame).__name__, frame.seq)

    def wait(self, condition, seconds=10):
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self.said), seconds), self.said


@contextlib.contextmanager
def streaming(exchange, channels, **more):
    lines = []
    stream = Stream(exchange.url, SIGNER, log=lines.append, **{"first_delay_s": 0.01} | more)
    for channel, tickers in channels.items():
        stream.want(channel, tickers)
    heard = Heard()
    thread = threading.Thread(target=stream.run, args=(heard,))
    thread.start()
    try:
        yield stream, heard, lines
    finally:
        stream.stop()
        thread.join(10)
        assert not thread.is_alive()
        assert exchange.faults == []


def delta(seq, sid=1, price="0.4000"):
    msg = {"market_ticker": "A", "price_dollars": price, "delta_fp": "1.00", "side": "yes", "ts_ms": 1}
    return {"type": "orderbook_delta", "sid": sid, "seq": seq, "msg": msg}


def snapshot(seq, ticker="A"):
    return {"type": "orderbook_snapshot", "sid": 1, "seq": seq, "msg": {"market_ticker": ticker}}


def test_frames_arrive_in_order_and_the_handshake_is_signed():
    def script(connection):
        connection.subscribe_all(1)
        connection.send(snapshot(1), *(delta(seq) for seq in range(2, 200)))
        connection.event(CloseConnection)

    with FakeExchange(script) as exchange, streaming(exchange, {BOOKS: frozenset("A")}) as (stream, heard, lines):
        heard.wait(lambda said: ("frame", "OrderbookDelta", 199) in said)
        assert [s[2] for s in heard.said if s[0] == "frame"] == list(range(1, 200))
        assert (stream.stats.gaps, stream.stats.bad_frames, stream.stats.frames) == (0, 0, 200)
        assert stream.subscribed() == {BOOKS: 1}
        headers = exchange.connections[0].headers
        assert headers["kalshi-access-key"] == "key-1"
        assert "origin" not in headers
        assert exchange.connections[0].path == "/trade-api/ws/v2"
    assert lines[1] == f"SUBSCRIBE {BOOKS} A"
    assert lines[-1] == "WebSocket disconnected: stopped"


def test_a_gap_is_told_once_and_the_books_are_asked_for():
    def script(connection):
        connection.subscribe_all(1)
        connection.send(snapshot(1), delta(2), delta(4))
        command = connection.command()
        assert command["params"] == {"action": "get_snapshot", "sids": [1], "market_tickers": ["A"]}
        connection.send({"type": "ok", "id": command["id"], "sid": 1, "seq": 5}, snapshot(6), delta(7))
        connection.event(CloseConnection)

    with FakeExchange(script) as exchange, streaming(exchange, {BOOKS: frozenset("A")}) as (stream, heard, _):
        heard.wait(lambda said: ("frame", "OrderbookDelta", 7) in said)
        assert [s for s in heard.said if s[0] == "gap"] == [("gap", BOOKS, frozenset("A"))]
        assert stream.stats.gaps == 1


def test_a_frame_that_is_not_understood_is_counted_and_its_message_missed():
    def script(connection):
        connection.subscribe_all(1)
        connection.send(snapshot(1), {"type": "news", "sid": 1, "seq": 2, "msg": {}}, delta(3))
        connection.command()
        connection.event(CloseConnection)

    with FakeExchange(script) as exchange, streaming(exchange, {BOOKS: frozenset("A")}) as (stream, heard, lines):
        heard.wait(lambda said: ("frame", "OrderbookDelta", 3) in said)
        assert stream.stats.bad_frames == 1
        assert ("gap", BOOKS, frozenset("A")) in heard.said
        assert any("not understood" in line for line in lines)


def test_a_buffer_overflow_subscribes_anew():
    def script(connection):
        connection.subscribe_all(1)
        connection.send({"type": "error", "sid": 1, "seq": 1, "msg": {"code": 25, "msg": "overflow"}})
        command = connection.command()
        assert command["cmd"] == "subscribe"
        connection.send({"type": "subscribed", "id": command["id"], "msg": {"channel": BOOKS, "sid": 2}}, snapshot(1))
        connection.event(CloseConnection)

    with FakeExchange(script) as exchange, streaming(exchange, {BOOKS: frozenset("A")}) as (_, heard, _):
        heard.wait(lambda said: ("frame", "OrderbookSnapshot", 1) in said)
        assert ("gap", BOOKS, frozenset("A")) in heard.said


def test_pings_are_answered():
    def script(connection):
        connection.subscribe_all(1)
        connection.sock.sendall(connection.protocol.send(Ping(payload=b"heartbeat")))
        assert connection.event(Pong).payload == b"heartbeat"
        connection.send({"type": "trade", "sid": 1, "msg": {"market_ticker": "A"}})
        connection.event(CloseConnection)

    with FakeExchange(script) as exchange, streaming(exchange, {"fill": None}) as (_, heard, _):
        heard.wait(lambda said: ("frame", "Trade", None) in said)


@pytest.mark.parametrize("ending", ["close frame", "no close frame", "half a frame", "a masked frame"])
def test_a_lost_connection_comes_back_and_subscribes_again_with_a_new_signature(ending):
    def first(connection):
        connection.subscribe_all(2)
        if ending == "close frame":
            connection.sock.sendall(connection.protocol.send(CloseConnection(code=1012, reason="maintenance")))
        elif ending == "half a frame":
            connection.sock.sendall(b"\x81\x7e\x01\x00{")
        elif ending == "a masked frame":
            connection.sock.sendall(b"\x81\x81abcd{")
        connection.sock.close()

    def second(connection):
        connection.subscribe_all(2)
        connection.send(snapshot(1))
        connection.event(CloseConnection)

    wanted = {BOOKS: frozenset("A"), "fill": None}
    with FakeExchange(first, second) as exchange, streaming(exchange, wanted) as (stream, heard, lines):
        heard.wait(lambda said: ("frame", "OrderbookSnapshot", 1) in said)
        assert [s[0] for s in heard.said[:3]] == ["connected", "disconnected", "connected"]
        assert stream.stats.connects == 2
        signatures = {connection.headers["kalshi-access-signature"] for connection in exchange.connections}
        assert len(signatures) == 2
    if ending == "close frame":
        assert any("code 1012 maintenance" in line for line in lines)


def test_silence_for_12_seconds_is_a_dead_connection_and_we_asked_before():
    ahead, asked = [0], []

    def silent(connection):
        connection.subscribe_all(1)
        connection.event(Ping)
        asked.append(stream.connected)
        ahead[0] = 13 * 10**9
        connection.event(CloseConnection)

    with (
        FakeExchange(silent, lambda connection: connection.event(CloseConnection)) as exchange,
        streaming(exchange, {"fill": None}, clock_ns=lambda: time.time_ns() + ahead[0]) as (stream, heard, lines),
    ):
        deadline = time.monotonic() + 10
        while not stream.subscribed() and time.monotonic() < deadline:
            time.sleep(0.01)
        ahead[0] = 8 * 10**9
        heard.wait(lambda said: [s[0] for s in said].count("connected") == 2)
    assert asked == [True], "one ping, while the connection still counted"
    assert any("silent for 12 s" in line for line in lines)


def test_a_clock_that_is_set_back_makes_a_new_connection():
    ahead = [0]

    def alive(connection):
        connection.subscribe_all(1)
        connection.event(CloseConnection)

    with (
        FakeExchange(alive, lambda connection: connection.event(CloseConnection)) as exchange,
        streaming(exchange, {"fill": None}, clock_ns=lambda: time.time_ns() + ahead[0]) as (_, heard, lines),
    ):
        heard.wait(lambda said: [s[0] for s in said].count("connected") == 1)
        ahead[0] = -3_600 * 10**9
        heard.wait(lambda said: [s[0] for s in said].count("connected") == 2)
    assert any("the clock was set back" in line for line in lines)


def test_a_quiet_exchange_that_answers_our_ping_stays_connected():
    ahead, heard_of = [0], threading.Event()

    def quiet(connection):
        connection.subscribe_all(1)
        for second in (8, 16, 24):
            heard_of.wait(10)
            heard_of.clear()
            ahead[0] = second * 10**9
            connection.event(Ping)
            connection.sock.sendall(connection.protocol.send(Pong(payload=b"")))
        connection.send({"type": "trade", "sid": 1, "msg": {"market_ticker": "A"}})
        connection.event(CloseConnection)

    with (
        FakeExchange(quiet) as exchange,
        streaming(exchange, {"fill": None}, clock_ns=lambda: time.time_ns() + ahead[0]) as (stream, heard, _),
    ):
        seen = 0
        deadline = time.monotonic() + 20
        while ("frame", "Trade", None) not in heard.said and time.monotonic() < deadline:
            if stream.subscribed() and stream.stats.last_bytes_ns > seen:
                seen = stream.stats.last_bytes_ns
                heard_of.set()
            time.sleep(0.01)
        assert ("frame", "Trade", None) in heard.said
        assert stream.stats.connects == 1


def test_a_refused_upgrade_waits_longer_each_time():
    with FakeExchange(accept=False) as exchange, streaming(exchange, {}) as (stream, heard, lines):
        deadline = time.monotonic() + 10
        while len(lines) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert heard.said == []
        assert not stream.connected
    pauses = [float(line.rpartition(" in ")[2].split()[0]) for line in lines if "next attempt" in line]
    assert all("could not connect" in line and "401" in line for line in lines[:4])
    assert pauses[3] >= pauses[0]


def test_wishes_while_connected_become_commands():
    def script(connection):
        connection.subscribe_all(1)
        connection.send(snapshot(1))
        command = connection.command()
        assert command["params"] == {"action": "add_markets", "sids": [1], "market_tickers": ["B"]}
        connection.send({"type": "ok", "id": command["id"], "sid": 1, "seq": 2}, snapshot(3, "B"))
        command = connection.command()
        assert command["cmd"] == "unsubscribe"
        connection.send({"type": "unsubscribed", "id": command["id"], "sid": 1, "seq": 4})
        connection.event(CloseConnection)

    with FakeExchange(script) as exchange, streaming(exchange, {BOOKS: frozenset("A")}) as (stream, heard, lines):
        heard.wait(lambda said: ("frame", "OrderbookSnapshot", 1) in said)
        stream.want(BOOKS, frozenset("AB"))
        heard.wait(lambda said: ("frame", "OrderbookSnapshot", 3) in said)
        stream.want(BOOKS, frozenset())
        heard.wait(lambda said: any(s[0] == "gap" for s in said))
        assert stream.subscribed() == {}
    assert f"ADD_MARKETS {BOOKS} B" in lines
    assert f"UNSUBSCRIBE {BOOKS}" in lines
