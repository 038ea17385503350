"""Every way a write can end is told apart: applied, refused, unknown, not sent. Nothing is ever sent twice."""

import json
import socket
import struct
import threading
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from loopback import Answers, Loopback, read_request, reply

from bot.core.effects import AmendOrder, CancelOrder, PlaceOrder
from bot.core.units import Count, Price
from bot.core.venue import Accepted, AlreadyExists, NotFound, NotSent, Rejected, Unknown
from bot.kalshi.orders import KalshiOrders
from bot.kalshi.sign import Signer

SIGNER = Signer("key-1", generate_private_key(65537, 2048))
ENTRY = PlaceOrder("c-1", "TICK-A", "bid", Price(5600), Count(2550), "good_till_canceled", "entry", "taker_at_cross")
EXIT = PlaceOrder("x.1", "TICK-A", "ask", Price(100), Count(100), "immediate_or_cancel", "exit", "maker", True)
CANCEL = CancelOrder("c-1", "o/1", "TICK-A")
AMEND = AmendOrder("c-1", "o/1", "TICK-A", "ask", Price(5600), Count(2550))
CREATED = b'{"order_id":"o-9","client_order_id":"c-1","fill_count":"1.50","remaining_count":"24.00","ts_ms":1,"new":[]}'


def orders(url, **more):
    return KalshiOrders(url, SIGNER, **{"reply_timeout": 2.0} | more)


def create(script, order=ENTRY, **more):
    with Loopback(script) as server:
        client = orders(server.url, **more)
        try:
            return client.create(order)
        finally:
            client.close()


def error(code, **more):
    return json.dumps({"error": {"code": code, "message": code, **more}}).encode()


def test_create_sends_the_documented_body_and_reads_the_order():
    answers = Answers(reply(201, CREATED))
    assert create(answers) == Accepted(order_id="o-9", filled=150, remaining=2400)
    line, headers, body = answers.requests[0]
    assert line == "POST /trade-api/v2/portfolio/events/orders HTTP/1.1"
    assert headers["kalshi-access-key"] == "key-1"
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {
        "ticker": "TICK-A",
        "client_order_id": "c-1",
        "side": "bid",
        "count": "25.50",
        "price": "0.5600",
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
    }


def test_an_exit_is_reduce_only_immediate_or_cancel():
    answers = Answers(reply(201, b'{"order_id":"o","fill_count":"1.00","remaining_count":"0.00"}'))
    assert create(answers, EXIT) == Accepted(order_id="o", filled=100, remaining=0)
    body = json.loads(answers.requests[0][2])
    assert (body["reduce_only"], body["time_in_force"], body["self_trade_prevention_type"], body["price"]) == (
        True,
        "immediate_or_cancel",
        "maker",
        "0.0100",
    )


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reply(200, CREATED), Accepted("o-9", 150, 2400)),
        (reply(409, error("order_already_exists")), AlreadyExists()),
        (
            reply(409, error("fill_or_kill_insufficient_resting_volume")),
            Rejected("fill_or_kill_insufficient_resting_volume", "fill_or_kill_insufficient_resting_volume", 409),
        ),
        (reply(400, error("invalid_price", details="x")), Rejected("invalid_price", "invalid_price / x", 400)),
        (reply(400, b'{"code":"bad_request","message":"bad request"}'), Rejected("bad_request", "bad request", 400)),
        (
            reply(400, b'{"msg":"Parameter validation failed"}'),
            Rejected("validation", "Parameter validation failed", 400),
        ),
        (reply(401, error("authentication_error")), Rejected("authentication_error", "authentication_error", 401)),
        (reply(403, b"<html>no"), Rejected("http_403", "<html>no", 403)),
        (reply(404, error("not_found")), Rejected("not_found", "not_found", 404)),
        (reply(429, b'{"error":"too many requests"}'), Rejected("too_many_requests", "too many requests", 429)),
    ],
)
def test_answers_that_prove_something(answer, outcome):
    assert create(Answers(answer)) == outcome


@pytest.mark.parametrize(
    "answer",
    [
        reply(201, b""),
        reply(201, b"{}"),
        reply(201, b'{"order_id":"","fill_count":"0.00","remaining_count":"1.00"}'),
        reply(201, CREATED.replace(b"c-1", b"c-2")),
        reply(201, CREATED.replace(b'"24.00"', b"24")),
        reply(201, CREATED.replace(b"24.00", b"24.001")),
        reply(201, CREATED[:-9]),
        reply(204, b""),
        reply(302, b"", "Location: http://127.0.0.1:1/\r\n"),
        reply(408, b"{}"),
        reply(409, b"<html>"),
        reply(500, error("internal_error")),
        reply(502, b"<html>bad gateway"),
        reply(503, error("exchange_unavailable")),
        reply(504, b""),
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 201 X\r\nContent-Length: 500\r\n\r\n{",
        b"HTTP/1.1 2",
    ],
)
def test_answers_that_prove_nothing_are_unknown(answer):
    def once(connection, number):
        read_request(connection)
        connection.sendall(answer)
        connection.close()

    assert isinstance(create(once), Unknown)


def test_silence_is_unknown_after_the_timeout():
    started = time.monotonic()
    outcome = create(lambda connection, number: time.sleep(3), reply_timeout=0.2)
    assert isinstance(outcome, Unknown)
    assert "0.2 s" in outcome.reason
    assert time.monotonic() - started < 2


def test_a_dribbled_reply_does_not_stretch_the_timeout():
    def dribble(connection, number):
        read_request(connection)
        for byte in reply(201, CREATED):
            connection.sendall(bytes([byte]))
            time.sleep(0.02)

    started = time.monotonic()
    assert isinstance(create(dribble, reply_timeout=0.3), Unknown)
    assert time.monotonic() - started < 1.5


def test_a_reset_after_the_request_is_unknown():
    def reset(connection, number):
        read_request(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    assert isinstance(create(reset), Unknown)


def test_a_refused_connection_is_not_sent():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    outcome = orders(f"http://127.0.0.1:{port}/trade-api/v2").create(ENTRY)
    assert isinstance(outcome, NotSent)


def test_an_unknown_host_is_not_sent():
    assert isinstance(orders("http://nowhere.invalid/trade-api/v2").create(ENTRY), NotSent)


def test_a_server_that_does_not_speak_tls_is_not_sent():
    with Loopback(Answers(reply(201, CREATED))) as server:
        outcome = orders(server.url.replace("http:", "https:")).create(ENTRY)
    assert isinstance(outcome, NotSent)


def test_a_connection_closed_while_idle_is_replaced_before_anything_is_sent():
    requests = []

    def one_each(connection, number):
        requests.append(read_request(connection)[0])
        connection.sendall(reply(201, CREATED))
        connection.close()

    with Loopback(one_each) as server:
        client = orders(server.url)
        for _ in range(3):
            assert isinstance(client.create(ENTRY), Accepted)
            time.sleep(0.05)
    assert len(requests) == 3


def test_a_broken_cancel_is_not_sent_again():
    requests = []

    def swallow(connection, number):
        requests.append(read_request(connection)[0])
        connection.close()

    with Loopback(swallow) as server:
        assert isinstance(orders(server.url).cancel(CANCEL), Unknown)
        time.sleep(0.1)
    assert len(requests) == 1


def test_one_connection_serves_many_writes_each_with_its_own_signature():
    answers = Answers(reply(201, CREATED))
    with Loopback(answers) as server:
        client = orders(server.url)
        client.create_headers.refresh()
        for _ in range(5):
            client.create(ENTRY)
        assert server.accepted == 1
    assert len({headers["kalshi-access-signature"] for _, headers, _ in answers.requests}) == 5


def test_interim_answers_are_passed_over():
    answers = Answers(b"HTTP/1.1 100 Continue\r\n\r\n" + reply(201, CREATED))
    assert create(answers) == Accepted("o-9", 150, 2400)


def test_a_slow_entry_does_not_hold_an_exit():
    release = threading.Event()

    def slow_entries(connection, number):
        while True:
            _, _, body = read_request(connection)
            if not body:
                return
            if b"reduce_only" not in body:
                release.wait(3)
            connection.sendall(reply(201, CREATED.replace(b"c-1", json.loads(body)["client_order_id"].encode())))

    with Loopback(slow_entries) as server:
        client = orders(server.url)
        entries = [threading.Thread(target=client.create, args=(ENTRY,)) for _ in range(3)]
        for entry in entries:
            entry.start()
        time.sleep(0.1)
        started = time.monotonic()
        assert isinstance(client.create(EXIT), Accepted)
        assert time.monotonic() - started < 1
        release.set()
        for entry in entries:
            entry.join()


def test_on_sent_tells_when_the_bytes_left_before_any_reply():
    sent = []

    def check(connection, number):
        read_request(connection)
        deadline = time.monotonic() + 2
        while not sent and time.monotonic() < deadline:
            time.sleep(0.005)
        connection.sendall(reply(201 if sent else 500, CREATED))

    before = time.time_ns()
    assert isinstance(create(check, on_sent=lambda name, ns: sent.append((name, ns))), Accepted)
    assert sent[0][0] == "c-1"
    assert before <= sent[0][1] <= time.time_ns()


def test_keep_warm_opens_two_connections_a_lane_and_pings_only_idle_ones():
    answers = Answers(reply(200))
    clock = [time.time_ns()]
    with Loopback(answers) as server:
        client = orders(server.url, clock_ns=lambda: clock[0])
        client.keep_warm()
        assert server.accepted == 4
        assert {line for line, _, _ in answers.requests} == {"GET /trade-api/v2/exchange/status HTTP/1.1"}
        client.keep_warm()
        assert len(answers.requests) == 4
        clock[0] += 11 * 10**9
        client.keep_warm()
        assert (len(answers.requests), server.accepted) == (8, 4)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reply(200, b'{"order_id":"o/1","reduced_by":"24.00","ts_ms":1}'), Accepted("o/1", 0, 0, 2400)),
        (reply(404, error("not_found")), NotFound()),
        (reply(429, b'{"error":"too many requests"}'), Rejected("too_many_requests", "too many requests", 429)),
        (reply(400, error("market_inactive")), Rejected("market_inactive", "market_inactive", 400)),
    ],
)
def test_cancel_answers(answer, outcome):
    answers = Answers(answer)
    with Loopback(answers) as server:
        assert orders(server.url).cancel(CANCEL) == outcome
    line = answers.requests[0][0]
    assert line == "DELETE /trade-api/v2/portfolio/events/orders/o%2F1?market_ticker=TICK-A HTTP/1.1"


@pytest.mark.parametrize(
    "answer", [reply(200, b'{"order_id":"other","reduced_by":"1.00"}'), reply(200), reply(500), reply(204, b"")]
)
def test_cancel_answers_that_prove_nothing(answer):
    with Loopback(Answers(answer)) as server:
        assert isinstance(orders(server.url).cancel(CANCEL), Unknown)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reply(200, b'{"order_id":"o/1","fill_count":"1.50","remaining_count":"24.00"}'), Accepted("o/1", 0, 2400)),
        (reply(200, b'{"order_id":"o/1"}'), Accepted("o/1", 0, 2550)),
        (reply(404, error("not_found")), NotFound()),
        (reply(400, error("market_inactive")), Rejected("market_inactive", "market_inactive", 400)),
    ],
)
def test_amend_names_the_total_and_reads_what_rests(answer, outcome):
    answers = Answers(answer)
    with Loopback(answers) as server:
        assert orders(server.url).amend(AMEND) == outcome
    line, _, body = answers.requests[0]
    assert line == "POST /trade-api/v2/portfolio/events/orders/o%2F1/amend HTTP/1.1"
    sent = {"ticker": "TICK-A", "client_order_id": "c-1", "side": "ask", "price": "0.5600", "count": "25.50"}
    assert json.loads(body) == sent


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, b'{"order_id":"other","remaining_count":"1.00"}'),
        reply(200),
        reply(500),
        reply(200, b'{"order_id":"o/1","remaining_count":"x"}'),
    ],
)
def test_amend_answers_that_prove_nothing(answer):
    with Loopback(Answers(answer)) as server:
        assert isinstance(orders(server.url).amend(AMEND), Unknown)


def test_the_log_tells_the_order_and_no_secret():
    lines = []
    create(Answers(reply(201, CREATED)), log=lines.append)
    assert lines == [
        "ORDER entry TICK-A bid 25.50 @ 0.5600 good_till_canceled c-1: accepted o-9, filled 1.50, resting 24.00, "
        "removed 0.00"
    ]
