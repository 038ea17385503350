"""Connections of order writes: what a broken, slow or abandoned one means for its order and for the next."""

import time

import gevent
import pytest
from loopback import Answers, Loopback, reply
from test_orders import AMEND, CANCEL, CREATED, ENTRY, EXIT, orders

from bot.core.venue import Accepted, Unknown
from bot.kalshi import orders as module


def silent(connection, number):
    time.sleep(3)


def silent_at_first(connection, number):
    """The first connection never answers; the others do."""
    if number == 0:
        silent(connection, number)
    Answers(reply(201, CREATED))(connection, number)


class Faulty:
    """A connection whose `send` is another."""

    def __init__(self, sock, send):
        self._sock = sock
        self.send = lambda data: send(sock, data)

    def __getattr__(self, name):
        return getattr(self._sock, name)


def first_send(monkeypatch, send):
    """The first connection that is taken sends in this way."""
    take, ways = module._Lane.take, [send]
    monkeypatch.setattr(module._Lane, "take", lambda lane: Faulty(take(lane), ways.pop()) if ways else take(lane))


@pytest.fixture
def one_connection(monkeypatch):
    """A lane may have one connection in use: whatever is not given up holds the next order for ever."""
    monkeypatch.setattr(module, "_CONNECTIONS", 1)


def test_an_exit_and_its_amendment_are_given_up_sooner_than_an_entry():
    with Loopback(silent) as server:
        client = orders(server.url, reply_timeout=0.3, exit_reply_timeout=0.1)
        reasons = [client.create(EXIT).reason, client.amend(AMEND).reason, client.create(ENTRY).reason]
    assert [reason.rpartition(" within ")[2] for reason in reasons] == ["0.1 s", "0.1 s", "0.3 s"]


def test_an_order_that_the_kernel_takes_in_parts_leaves_whole_and_once(monkeypatch):
    first_send(monkeypatch, lambda sock, data: sock.send(data[:30]))
    answers = Answers(reply(201, CREATED))
    with Loopback(answers) as server:
        assert isinstance(orders(server.url).create(ENTRY), Accepted)
    assert [line for line, _, _ in answers.requests] == ["POST /trade-api/v2/portfolio/events/orders HTTP/1.1"]


def test_a_connection_that_breaks_before_a_byte_left_is_replaced_and_given_up(monkeypatch, one_connection):
    def broken(sock, data):
        raise BrokenPipeError

    first_send(monkeypatch, broken)
    answers = Answers(reply(201, CREATED))
    with Loopback(answers) as server, gevent.Timeout(2):
        assert isinstance(orders(server.url).create(ENTRY), Accepted)
    assert len(answers.requests) == 1


def test_a_fault_of_ours_after_the_bytes_left_is_unknown(one_connection):
    def faulty(client_order_id, sent_ns):
        raise RuntimeError("ours")

    with Loopback(Answers(reply(201, CREATED))) as server, gevent.Timeout(2):
        client = orders(server.url, on_sent=faulty)
        outcomes = [client.create(ENTRY), client.create(ENTRY)]
    assert all(isinstance(outcome, Unknown) for outcome in outcomes)


def test_a_connection_whose_reply_did_not_come_in_time_is_not_used_again(one_connection):
    with Loopback(silent_at_first) as server, gevent.Timeout(2):
        client = orders(server.url, reply_timeout=0.2)
        assert isinstance(client.create(ENTRY), Unknown)
        assert isinstance(client.create(ENTRY), Accepted)
        assert server.accepted == 2


def test_a_connection_whose_order_was_abandoned_is_not_used_again(one_connection):
    with Loopback(silent_at_first) as server, gevent.Timeout(2):
        client = orders(server.url)
        with gevent.Timeout(0.1, False):
            client.create(ENTRY)
        assert isinstance(client.create(ENTRY), Accepted)
        assert server.accepted == 2


def test_a_connection_that_the_exchange_will_close_is_not_used_again():
    with Loopback(Answers(reply(201, CREATED, "Connection: close\r\n"))) as server:
        client = orders(server.url)
        assert all(isinstance(client.create(ENTRY), Accepted) for _ in range(2))
        assert server.accepted == 2


def test_a_connection_whose_ping_was_not_answered_is_not_kept():
    with Loopback(silent) as server:
        client = orders(server.url, reply_timeout=0.05, exit_reply_timeout=0.05)
        client.keep_warm()
        client.keep_warm()
        assert server.accepted == 8


def test_a_connection_is_pinged_when_it_was_unused_for_as_long_as_is_said():
    answers, clock = Answers(reply(200)), [time.time_ns()]
    with Loopback(answers) as server:
        client = orders(server.url, clock_ns=lambda: clock[0])
        client.keep_warm(10.0)
        clock[0] += 9 * 10**9
        client.keep_warm(10.0)
        assert len(answers.requests) == 4


def test_an_amendment_tells_when_its_bytes_left():
    sent = []
    with Loopback(Answers(reply(200, b'{"order_id":"o/1"}'))) as server:
        orders(server.url, on_sent=lambda name, ns: sent.append(name)).amend(AMEND)
    assert sent == ["c-1"]


def test_a_signature_covers_the_path_without_its_query(monkeypatch):
    signed = []
    with Loopback(Answers(reply(200))) as server:
        client = orders(server.url)
        headers = client._signer.headers
        monkeypatch.setattr(client._signer, "headers", lambda *what: signed.append(what[:2]) or headers(*what))
        client.cancel(CANCEL)
    assert signed == [("DELETE", "/trade-api/v2/portfolio/events/orders/o%2F1")]
