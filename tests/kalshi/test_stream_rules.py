"""The stream's rules about time: what is asked at once, what is waited for how long, and whom the reader lets run."""

import threading
import time
from types import SimpleNamespace

import pytest
from test_kalshi_stream import SIGNER, FakeExchange, Heard, delta, snapshot, streaming
from wsproto.events import CloseConnection

from bot.kalshi.stream import Stream
from bot.kalshi.subscriptions import BOOKS
from bot.kalshi.wire import WireError


class Pauses(threading.Event):
    """Stands for the wait between two attempts: notes it, and ends the stream after so many."""

    def __init__(self, most):
        super().__init__()
        self.most = most
        self.said = []

    def wait(self, timeout=None):
        self.said.append(timeout)
        if len(self.said) == self.most:
            self.set()
        return self.is_set()


@pytest.mark.parametrize(("acknowledged", "pauses"), [(0, [1, 2, 4, 4]), (1, [1, 1, 1, 1])])
def test_only_a_connection_that_served_something_begins_the_pauses_anew(monkeypatch, acknowledged, pauses):
    def script(connection):
        connection.subscribe_all(acknowledged)
        connection.sock.close()

    monkeypatch.setattr("bot.kalshi.stream.random.uniform", lambda low, high: 1.0)
    with FakeExchange(*[script] * 4) as exchange:
        stream = Stream(exchange.url, SIGNER, first_delay_s=1.0, longest_delay_s=4.0)
        stream.want("fill", None)
        stream._stopping = Pauses(4)
        stream.run(Heard())
    assert stream._stopping.said == pauses


def test_stop_does_not_wait_for_the_next_attempt():
    with FakeExchange(accept=False) as exchange, streaming(exchange, {}, first_delay_s=15.0) as (_, _, lines):
        deadline = time.monotonic() + 10
        while not any("next attempt" in line for line in lines) and time.monotonic() < deadline:
            time.sleep(0.01)


def test_books_with_a_gap_are_asked_for_at_once():
    """The clock stands still: what waits for the watch of every second never comes."""

    def script(connection):
        connection.subscribe_all(1)
        connection.send(snapshot(1), delta(3))
        asked.append(connection.command()["params"]["action"])
        connection.send({"type": "trade", "sid": 9, "msg": {"market_ticker": "A"}})
        connection.event(CloseConnection)

    now_ns, asked = time.time_ns(), []
    wanted = {BOOKS: frozenset("A")}
    with FakeExchange(script) as exchange, streaming(exchange, wanted, clock_ns=lambda: now_ns) as (_, heard, _):
        heard.wait(lambda said: ("frame", "Trade", None) in said, 3)
    assert asked == ["get_snapshot"]


def test_a_message_whose_values_are_not_understood_is_a_gap():
    ready = threading.Event()

    def script(connection):
        connection.subscribe_all(1)
        ready.wait(10)
        connection.send(snapshot(1), delta(2), delta(3))
        connection.event(CloseConnection)

    def frame(what, received_ns):
        if what.seq == 2:
            raise WireError("a price of five digits")
        heard.note("frame", type(what).__name__, what.seq)

    with FakeExchange(script) as exchange, streaming(exchange, {BOOKS: frozenset("A")}) as (stream, heard, _):
        heard.frame = frame
        ready.set()
        heard.wait(lambda said: ("frame", "OrderbookDelta", 3) in said)
        assert heard.said.index(("gap", BOOKS, frozenset("A"))) < heard.said.index(("frame", "OrderbookDelta", 3))
        assert stream.stats.bad_frames == 1


def test_books_whose_snapshots_came_are_not_subscribed_anew():
    ahead = [0]

    def script(connection):
        connection.subscribe_all(1)
        connection.send(snapshot(1), delta(3))
        command = connection.command()
        connection.send({"type": "ok", "id": command["id"], "sid": 1, "seq": 4}, snapshot(5))
        heard.wait(lambda said: ("frame", "OrderbookSnapshot", 5) in said)
        ahead[0] = 6 * 10**9
        for seq in (6, 7):  # what is overdue is seen between the two
            connection.send(delta(seq))
            heard.wait(lambda said, seq=seq: ("frame", "OrderbookDelta", seq) in said)
        stream.want("fill", None)
        asked.append(connection.command()["cmd"])
        heard.note("asked")
        connection.event(CloseConnection)

    asked, wanted, clock_ns = [], {BOOKS: frozenset("A")}, lambda: time.time_ns() + ahead[0]
    with FakeExchange(script) as exchange, streaming(exchange, wanted, clock_ns=clock_ns) as (stream, heard, _):
        heard.wait(lambda said: ("asked",) in said)
    assert asked == ["subscribe"]


def test_a_command_that_is_not_answered_ends_the_connection():
    ahead = [0]

    def deaf(connection):
        connection.command()
        ahead[0] = 11 * 10**9
        connection.send({"type": "trade", "sid": 9, "msg": {"market_ticker": "A"}})
        connection.event(CloseConnection)

    with (
        FakeExchange(deaf, lambda connection: connection.event(CloseConnection)) as exchange,
        streaming(exchange, {"fill": None}, clock_ns=lambda: time.time_ns() + ahead[0]) as (_, heard, lines),
    ):
        heard.wait(lambda said: [s[0] for s in said].count("connected") == 2)
    assert any("no reply to a command on fill for 10 s" in line for line in lines), lines


def test_the_reader_lets_others_run_every_64_frames_and_every_millisecond(monkeypatch):
    slept, now_ns = [], [10**9]
    clock = SimpleNamespace(sleep=slept.append, monotonic_ns=lambda: now_ns[0])
    monkeypatch.setattr("bot.kalshi.stream.time", clock)
    stream = Stream("ws://127.0.0.1:1", SIGNER, clock_ns=lambda: 0)
    stream._yielded_ns = now_ns[0]
    for _ in range(640):
        stream._yield()
    assert len(slept) == 10 and all(0 < seconds < 1e-3 for seconds in slept)
    for _ in range(3):
        now_ns[0] += 1_000_000
        stream._yield()
    assert len(slept) == 13
