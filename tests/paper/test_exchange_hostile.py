"""Bad input of every kind at a real exchange process: the documented error, never a crash, never half an order."""

import contextlib
import json
import socket
import struct
import time
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import requests
import websocket
from paper_client import Exchange, Socket
from still_exchange import BOS, DET, EVENT

from bot.paper.endpoints import ENDPOINTS, PREFIX
from bot.paper.session import ERRORS

ORDERS = "/portfolio/events/orders"
SIGNED = {"KALSHI-ACCESS-KEY", "KALSHI-ACCESS-TIMESTAMP", "KALSHI-ACCESS-SIGNATURE"}
FORM = {
    "ticker": BOS,
    "side": "bid",
    "count": "1.00",
    "price": "0.1000",
    "time_in_force": "good_till_canceled",
    "self_trade_prevention_type": "maker",
}
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 10**30, 1.5, 1e308, "", " ", "0", "-1.00", "1e3", "0.1", "1.00", "0.5600", "NaN",
    "١٢", "0.10000000000000000000001", "9" * 400, "x" * 5000, "\u0000", "\U0001f600", "yes", "ask", BOS, [], {}, [[]],
    ["1.00"],     {"a": {"b": []}}, "../../etc/passwd", "%s%n", "'; drop table record; --",
]  # fmt: skip


def alive(exchange: Exchange) -> bool:
    return exchange.process.poll() is None and exchange.get("/exchange/status")["exchange_active"] is True


def is_error(answer: requests.Response) -> bool:
    """One of the four shapes of kalshi-api.md section 4.0."""
    body = answer.json()
    error = body.get("error")
    return isinstance(error, str) or "code" in (error or body) or "msg" in body


def odd(random: Random, depth: int = 0) -> Any:
    if depth < 3 and random.random() < 0.2:
        if random.random() < 0.5:
            return [odd(random, depth + 1) for _ in range(random.randrange(4))]
        return {str(odd(random, 3)): odd(random, depth + 1) for _ in range(random.randrange(4))}
    return random.choice(ODD)


def garbled(random: Random, text: bytes) -> bytes:
    """Cut, doubled, with other bytes inside."""
    place = random.randrange(len(text) + 1)
    noise = random.randbytes(random.randrange(1, 9))
    return random.choice([text[:place], text[:place] + noise + text[place:], text + text, noise, b""])


def bodies(random: Random) -> bytes:
    form = dict(FORM)
    for _ in range(random.randrange(1, 4)):
        name = random.choice([*FORM, "client_order_id", "expiration_time", "post_only", "reduce_only", "order_group_id",
                              "exchange_index", "subaccount", "unknown"])  # fmt: skip
        if random.random() < 0.2:
            form.pop(name, None)
        else:
            form[name] = odd(random)
    text = json.dumps(form).encode()
    return garbled(random, text) if random.random() < 0.3 else text


@pytest.mark.parametrize("seed", range(3))
def test_fuzzed_orders_are_placed_whole_or_refused(still: Exchange, seed: int) -> None:
    random = Random(seed)
    url, seen = still.ready["rest"] + ORDERS, set()
    for _ in range(150):
        before = still.ledger()
        headers = still.headers("POST", PREFIX + ORDERS)
        answer = still.session.post(url, data=(body := bodies(random)), headers=headers, timeout=10)
        seen.add(answer.status_code)
        after = still.ledger()
        if answer.status_code == 201:
            made = answer.json()["order_id"]
            order = after["orders"].pop(made)
            assert order["ticker"] in (BOS, DET) and order["status"] in ("resting", "executed", "canceled"), body
            if order["status"] == "resting":
                path = f"{ORDERS}/{made}"
                assert still.call("DELETE", f"{path}?market_ticker={order['ticker']}").status_code == 200
        else:
            assert answer.status_code in (400, 404, 409), (answer.status_code, body)
            assert is_error(answer), body
        assert after["orders"] == before["orders"] and after["cash"] == before["cash"], body
    assert {201, 400} <= seen and alive(still)


def test_fuzzed_changes_of_orders_leave_them_as_they_were(still: Exchange) -> None:
    random = Random(9)
    kept = still.order(BOS, "bid", "0.1000", "5.00").json()["order_id"]
    before = still.ledger()
    for _ in range(200):
        verb = random.choice(["amend", "decrease"])
        form = {"ticker": BOS, "side": "bid", "price": "0.1000", "count": "5.00", "reduce_by": None}
        for name in random.sample(list(form), 3):
            form[name] = odd(random)
        if verb == "amend" and (form["count"], form["price"]) == ("1.00", "0.5600"):
            continue
        path = f"{ORDERS}/{random.choice([kept, 'nope', '%2e%2e', 'é'])}/{verb}"
        answer = still.call("POST", path, form)
        if answer.status_code == 200:
            shown = answer.json()
            assert shown["order_id"] == kept
            still.call("DELETE", f"{ORDERS}/{kept}?market_ticker={BOS}")
            kept = still.order(BOS, "bid", "0.1000", "5.00").json()["order_id"]
            before = still.ledger()
            continue
        assert answer.status_code in (400, 401, 404, 409) and is_error(answer), (path, form, answer.text)
        assert still.ledger() == before, (path, form)
    still.call("DELETE", ORDERS)


def test_fuzzed_queries_and_paths_have_an_answer(still: Exchange) -> None:
    random = Random(3)
    names = ["limit", "cursor", "status", "ticker", "tickers", "event_ticker", "series_ticker", "min_ts", "max_ts",
             "depth", "ids", "start_ts", "end_ts", "period_interval", "market_tickers", "subaccount", "mve_filter",
             "with_nested_markets", "min_close_ts", "count_filter", "settlement_status", "order_id"]  # fmt: skip
    reads = [endpoint for endpoint in ENDPOINTS if endpoint.method == "GET"]
    real = [BOS, EVENT, "KXNBAGAME", "m-1", "t-bos"]
    seen = set()
    for endpoint in reads * 6:
        parts = [
            random.choice([*real, "NOPE", "%00", "%C3%A9", "a b"]) if part.startswith(":") else part
            for part in endpoint.path.split("/")
        ]
        path = "/".join(requests.utils.quote(part, safe="%") for part in parts)
        query = {name: str(odd(random, 3))[:3000] for name in random.sample(names, random.randrange(4))}
        headers = still.headers("GET", PREFIX + path)
        answer = still.session.get(still.ready["rest"] + path, params=query, headers=headers, timeout=10)
        seen.add(answer.status_code)
        assert answer.status_code in (200, 301, 400, 403, 404), (path, query, answer.text)
        assert answer.status_code in (200, 301) or is_error(answer), (path, query, answer.text)
    assert {200, 400, 404} <= seen and alive(still)


def test_fuzzed_signatures_are_refused(still: Exchange) -> None:
    random = Random(4)
    path = "/portfolio/balance"
    for _ in range(150):
        headers = still.headers("GET", PREFIX + path)
        name = random.choice(sorted(SIGNED))
        value = random.choice(
            [
                "",
                "0",
                "-5",
                "9" * 30,
                "x" * 4000,
                "é",
                headers[name][:-3],
                headers[name] + "=",
                headers[name].swapcase() + "a",
            ]
        )
        headers[name] = value.encode("utf-8").decode("latin-1")
        answer = still.session.get(still.ready["rest"] + path, headers=headers, timeout=10)
        assert answer.status_code == 401 and is_error(answer), (name, value)
    assert alive(still)


# Bytes


def raw(exchange: Exchange, *parts: bytes, pause: float = 0.0, wait: float = 5.0) -> bytes:
    """Send bytes, then read until the exchange closes or says nothing for a while."""
    with socket.create_connection(("127.0.0.1", int(exchange.ready["odds"].rpartition(":")[2])), timeout=wait) as wire:
        answer = b""
        try:
            for part in parts:
                wire.sendall(part)
                time.sleep(pause)
            while chunk := wire.recv(65_536):
                answer += chunk
        except OSError:
            pass
        return answer


def order_bytes(exchange: Exchange, body: bytes, *more: str) -> bytes:
    head = [f"POST {PREFIX}{ORDERS} HTTP/1.1", "Host: x", *more]
    head += [f"{name}: {value}" for name, value in exchange.headers("POST", PREFIX + ORDERS).items()]
    return "\r\n".join([*head, "", ""]).encode() + body


@pytest.mark.parametrize(
    "text",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GARBAGE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon here\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(3000)) + b"\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFFFF\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        bytes(range(256)) * 40,
        b"GET /trade-api/ws/v2 HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
)
def test_what_is_not_a_request_gets_an_error_or_a_closed_door(still: Exchange, text: bytes) -> None:
    answer = raw(still, text, wait=1.5)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answer[:200]
    assert alive(still)


def test_random_bytes_never_end_the_exchange(still: Exchange) -> None:
    random = Random(5)
    whole = order_bytes(still, json.dumps(FORM).encode(), f"Content-Length: {len(json.dumps(FORM))}")
    before = len(still.ledger()["orders"])
    for _ in range(60):
        raw(still, garbled(random, whole[: random.randrange(1, 120)]) + b"\r\n\r\n", wait=0.05)
    assert alive(still) and len(still.ledger()["orders"]) == before


def test_huge_bodies_are_turned_away_by_length_and_by_chunk(still: Exchange) -> None:
    answer = raw(still, order_bytes(still, b"", "Content-Length: 5000000"))
    assert answer.startswith(b"HTTP/1.1 413") and b"bad_request" in answer
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    answer = raw(still, order_bytes(still, chunk * 80, "Transfer-Encoding: chunked"))
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413")
    batch = json.dumps({"orders": [FORM] * 20_000})
    answer = still.call("POST", f"{ORDERS}/batched", json.loads(batch))
    assert answer.status_code == 429, "20,000 orders do not fit any bucket"
    assert alive(still)


def test_a_chunked_order_is_an_order(still: Exchange) -> None:
    body = json.dumps(FORM).encode()
    halves = [b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:40], body[40:])]
    text = order_bytes(still, b"".join(halves) + b"0\r\n\r\n", "Transfer-Encoding: chunked", "Connection: close")
    assert raw(still, text).startswith(b"HTTP/1.1 201")


def test_half_a_request_places_nothing_and_two_halves_one_order(start: Callable[..., Exchange]) -> None:
    exchange = start(request_timeout_s=1.0)
    body = json.dumps(FORM).encode()
    whole = order_bytes(exchange, body, f"Content-Length: {len(body)}", "Connection: close")
    for cut in (20, len(whole) - len(body), len(whole) - 1):
        with socket.create_connection(("127.0.0.1", int(exchange.ready["odds"].rpartition(":")[2]))) as wire:
            wire.sendall(whole[:cut])
    assert raw(exchange, whole[:60], whole[60:-20], whole[-20:], pause=0.2).startswith(b"HTTP/1.1 201")
    assert len(exchange.ledger()["orders"]) == 1


def test_slow_clients_are_shown_the_door_and_hold_up_nobody(start: Callable[..., Exchange]) -> None:
    exchange = start(request_timeout_s=0.6)
    port = int(exchange.ready["odds"].rpartition(":")[2])
    body = json.dumps(FORM).encode()
    slow_head = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
    slow_body = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    for wire in slow_head:
        wire.sendall(b"GET / HTTP/1.1\r\nX-")
    for wire in slow_body:
        wire.sendall(order_bytes(exchange, body[:-5], f"Content-Length: {len(body)}"))
    began = time.monotonic()
    for _ in range(5):
        for wire in slow_head:
            with contextlib.suppress(OSError):
                wire.sendall(b"a")
        assert alive(exchange)
    assert time.monotonic() - began < 5
    for wire, status in [(slow_head[0], b"400"), (slow_body[0], b"408")]:
        wire.settimeout(5)
        assert wire.recv(4096).startswith(b"HTTP/1.1 " + status)
    assert exchange.ledger()["orders"] == {}
    for wire in slow_head + slow_body:
        wire.close()


def test_many_idle_connections_and_too_many_sockets(start: Callable[..., Exchange]) -> None:
    exchange = start(ws_connections=3)
    port = int(exchange.ready["odds"].rpartition(":")[2])
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
    assert alive(exchange)
    sockets = [exchange.socket() for _ in range(3)]
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        exchange.socket()
    assert caught.value.status_code == 429
    sockets[0].ws.close()
    time.sleep(0.3)
    exchange.socket().ws.close()
    for wire in idle:
        wire.close()


# Frames


def test_fuzzed_commands_get_an_error_frame_with_their_id(still: Exchange) -> None:
    random = Random(6)
    ws = still.socket()
    for number in range(1, 400):
        command: dict[str, Any] = {
            "id": number,
            "cmd": random.choice(["subscribe", "unsubscribe", "update_subscription", "list_subscriptions", "x", None]),
        }
        names = ["channels", "market_tickers", "market_ticker", "sids", "sid", "action", "market_ids", "use_yes_price"]
        command["params"] = {name: odd(random) for name in random.sample(names, random.randrange(5))}
        if random.random() < 0.3:
            command["params"] = odd(random)
        ws.ws.send(json.dumps(command))
        frame = ws.next()
        assert frame["id"] == number and frame["type"] in ("error", "ok"), (command, frame)
        if frame["type"] == "error":
            assert frame["msg"]["msg"] == ERRORS[frame["msg"]["code"]]
    ws.ws.close()
    assert alive(still)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '"x"', "[" * 100_000, '{"id":', '{"id":1e999,"cmd":5}', "\U0001f600", '{"id":-1}'],
)
def test_text_that_is_no_command_gets_error_1_or_5(still: Exchange, text: str) -> None:
    ws = still.socket()
    ws.ws.send(text)
    assert ws.next()["msg"]["code"] in (1, 5)
    ws.ws.close()


def frame(opcode: int, payload: bytes, *, final: bool = True, masked: bool = True, size: int | None = None) -> bytes:
    length = len(payload) if size is None else size
    head = struct.pack("!BBQ", (0x80 if final else 0) | opcode, (0x80 if masked else 0) | 127, length)
    return head + (bytes(4) if masked else b"") + payload


LIST = json.dumps({"id": 5, "cmd": "list_subscriptions"}).encode()


@pytest.mark.parametrize(
    "data",
    [
        frame(1, LIST, masked=False),
        frame(1, b"", size=2**62),
        frame(1, b"x" * 70_000, final=False) * 20,
        frame(1, b"\xff\xfe") + frame(8, b""),
        frame(3, LIST) + frame(8, b""),
        frame(0xB, LIST) + frame(8, b""),
        frame(0, LIST) + frame(8, b""),
        frame(9, b"p" * 5000) + frame(8, b"\x03\xe8bye"),
        frame(8, b"x"),
        bytes(range(256)) * 30,
    ],
)
def test_broken_frames_end_their_own_connection_only(still: Exchange, data: bytes) -> None:
    other, ws = still.socket(), still.socket()
    ws.ws.sock.sendall(data)
    ws.ws.settimeout(5)
    closed = False
    try:
        while not closed:
            closed = ws.ws.sock.recv(65_536) == b""
    except ConnectionError:
        closed = True
    assert closed
    assert list_subscriptions(other) == []
    other.ws.close()


def list_subscriptions(ws: Socket) -> Any:
    ws.send("list_subscriptions")
    return ws.next()["msg"]


def test_fragments_and_control_frames_between_them_make_one_command(still: Exchange) -> None:
    ws = still.socket()
    ws.ws.sock.sendall(frame(1, LIST[:9], final=False) + frame(9, b"p") + frame(0, LIST[9:]))
    assert ws.next() == {"type": "ok", "id": 5, "msg": []}
    ws.ws.close()


def test_books_larger_together_than_the_buffer_arrive_one_after_the_other(start: Callable[..., Exchange]) -> None:
    exchange = start(ws_buffer=4_000)
    for ticker in (BOS, DET):
        for cent in range(1, 50):
            exchange.tell("set_level", ticker, "bid", cent * 100, 100, "now")
            exchange.tell("set_level", ticker, "ask", 10_000 - cent * 100, 100, "now")
    time.sleep(0.3)
    ws = exchange.socket()
    ws.send("subscribe", channels=["orderbook_delta"], market_tickers=[BOS, DET])
    frames = [ws.next() for _ in range(3)]
    assert [frame["type"] for frame in frames] == ["subscribed", "orderbook_snapshot", "orderbook_snapshot"]
    assert sum(len(json.dumps(frame)) for frame in frames) > 4_000
    exchange.tell("set_level", DET, "bid", 100, 0, "now")
    assert ws.next()["seq"] == 3
    ws.ws.close()
