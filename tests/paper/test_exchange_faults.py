"""Every fault on demand, at a real exchange process: it does what its name says, and is counted."""

import json
import socket
import time
from collections.abc import Callable
from datetime import datetime
from statistics import median
from typing import Any

import msgspec
import pytest
import requests
import websocket
from paper_client import Exchange, Socket, until
from still_exchange import BOS

from bot.paper.faults import Fault, Faults, read_plan

BOOK = f"/markets/{BOS}/orderbook"


def plan(exchange: Exchange, *faults: dict[str, Any]) -> None:
    answer = exchange.session.post(exchange.ready["odds"] + "/_paper/faults", json=list(faults), timeout=10)
    assert answer.status_code == 204, answer.text


def counts(exchange: Exchange) -> list[tuple[int, int]]:
    rows = exchange.session.get(exchange.ready["odds"] + "/_paper/faults", timeout=10).json()
    return [(row["seen"], row["struck"]) for row in rows]


def placed(exchange: Exchange) -> int:
    return len(exchange.ledger()["orders"])


def subscribed(exchange: Exchange, *channels: str) -> Socket:
    ws = exchange.socket()
    ws.send("subscribe", channels=list(channels or ["orderbook_delta"]), market_tickers=[BOS], use_yes_price=True)
    for _ in channels or "1":
        assert ws.next()["type"] == "subscribed"
    if not channels or "orderbook_delta" in channels:
        assert ws.next()["type"] == "orderbook_snapshot"
    return ws


def moves(exchange: Exchange, *sizes: int) -> None:
    for size in sizes:
        exchange.tell("set_level", BOS, "bid", 4000, size * 100, "now")


def pings(ws: Socket, seconds: float) -> int:
    """Pongs that come back within the time, one a frame."""
    ws.ws.settimeout(seconds)
    ws.ws.ping("x")
    try:
        while ws.ws.recv_data_frame(control_frame=True)[0] != websocket.ABNF.OPCODE_PONG:
            pass
    except websocket.WebSocketTimeoutException:
        return 0
    return 1


# Requests


@pytest.mark.parametrize(
    ("kind", "after", "orders"),
    [
        ("lost_reply_before", False, 0),
        ("lost_reply_after", False, 1),
        ("reset", False, 0),
        ("reset", True, 1),
    ],
)
def test_a_lost_reply_hides_what_was_done(still: Exchange, kind: str, after: bool, orders: int) -> None:
    before = placed(still)
    plan(still, {"at": "create", "kind": kind, "times": 1, "after": after})
    with pytest.raises(OSError):
        still.order(BOS, "bid", "0.1000", "1.00")
    assert placed(still) - before == orders
    assert counts(still) == [(1, 1)]
    assert still.order(BOS, "bid", "0.1000", "1.00").status_code == 201


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("body", ["json", "html", "empty"])
def test_errors_come_with_json_html_or_nothing(still: Exchange, status: int, body: str) -> None:
    plan(still, {"at": "write", "kind": f"http_{status}", "times": 1, "body": body})
    before = placed(still)
    answer = still.order(BOS, "bid", "0.1000", "1.00")
    assert answer.status_code == status and placed(still) == before
    if status == 429:
        assert answer.json() == {"error": "too many requests"}
    elif body == "json":
        assert answer.json()["error"]["code"]
    else:
        assert answer.text.startswith("<html>") if body == "html" else answer.content == b""
        with pytest.raises(ValueError):
            answer.json()


def test_an_error_after_the_effect_leaves_an_order(still: Exchange) -> None:
    plan(still, {"at": "create", "kind": "http_503", "times": 1, "after": True})
    before = placed(still)
    assert still.order(BOS, "bid", "0.1000", "1.00", client_order_id="after-503").status_code == 503
    assert placed(still) == before + 1
    assert still.order(BOS, "bid", "0.1000", "1.00", client_order_id="after-503").status_code == 409


def test_a_half_open_socket_accepts_and_never_answers(still: Exchange) -> None:
    plan(still, {"at": "read", "kind": "hang", "times": 1, "only": "/balance"})
    url, headers = still.ready["rest"] + "/portfolio/balance", still.headers("GET", "/trade-api/v2/portfolio/balance")
    with pytest.raises(requests.ReadTimeout):
        requests.get(url, headers=headers, timeout=0.4)
    assert still.get("/portfolio/balance")
    assert counts(still) == [(1, 1)]


def test_latency_has_a_median_and_a_tail() -> None:
    fault = Fault("read", "delay", delay_ms=80, p99_ms=800)
    faults = Faults([fault], seed=4)
    drawn = sorted(faults.delay_ms(fault) for _ in range(4000))
    assert 74 < median(drawn) < 86
    assert 650 < drawn[3960] < 1000
    assert Faults([fault], seed=4).delay_ms(fault) != Faults([fault], seed=5).delay_ms(fault)


@pytest.mark.parametrize("after", [False, True])
def test_a_delay_is_before_or_after_the_effect(still: Exchange, after: bool) -> None:
    plan(still, {"at": "create", "kind": "delay", "delay_ms": 300, "times": 1, "after": after})
    before = placed(still)
    body = {
        "ticker": BOS,
        "side": "bid",
        "price": "0.1000",
        "count": "1.00",
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "maker",
    }
    with pytest.raises(requests.ReadTimeout):
        requests.post(
            still.ready["rest"] + "/portfolio/events/orders",
            json=body,
            headers=still.headers("POST", "/trade-api/v2/portfolio/events/orders"),
            timeout=0.1,
        )
    assert placed(still) - before == after
    until(lambda: placed(still) == before + 1)


def test_the_clock_of_the_exchange_can_be_off(still: Exchange) -> None:
    plan(still, {"at": "any", "kind": "clock_skew", "delay_ms": -40_000})
    answer = still.call("GET", "/portfolio/balance")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "header_timestamp_expired")
    with pytest.raises(websocket.WebSocketBadStatusException):
        still.socket()
    assert still.call("GET", "/portfolio/balance", skew_ms=-40_000).status_code == 200
    plan(still)
    assert still.call("GET", "/portfolio/balance").status_code == 200


def test_a_key_is_revoked_and_restored_while_running(still: Exchange) -> None:
    open_socket = subscribed(still)
    plan(still, {"at": "any", "kind": "key_revoked"})
    for call in (still.call("GET", "/portfolio/balance"), still.order(BOS, "bid", "0.1000", "1.00")):
        assert (call.status_code, call.json()["error"]["details"]) == (401, "NOT_FOUND")
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        still.socket()
    assert caught.value.status_code == 401
    assert requests.get(still.ready["rest"] + BOOK, timeout=10).status_code == 200
    plan(still)
    assert still.get("/portfolio/balance")
    still.socket().ws.close()
    open_socket.ws.close()


@pytest.mark.parametrize("body", ["json", "html"])
def test_maintenance_answers_503_with_or_without_json(still: Exchange, body: str) -> None:
    plan(still, {"at": "any", "kind": "maintenance", "body": body})
    status = requests.get(still.ready["rest"] + "/exchange/status", timeout=10)
    assert status.status_code == still.order(BOS, "bid", "0.1000", "1.00").status_code == 503
    if body == "json":
        assert status.json()["exchange_active"] is status.json()["trading_active"] is False
        assert status.json()["exchange_estimated_resume_time"].endswith("Z")
    else:
        assert status.text.startswith("<html>")
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        still.socket()
    assert caught.value.status_code == 503
    plan(still)
    assert requests.get(still.ready["rest"] + "/exchange/status", timeout=10).json()["exchange_active"] is True


def test_an_answer_names_another_order_while_the_state_is_right(still: Exchange) -> None:
    plan(still)
    first, second = (still.order(BOS, "bid", "0.1000", "2.00").json()["order_id"] for _ in range(2))
    plan(still, {"at": "cancel", "kind": "wrong_order", "times": 1})
    answer = still.call("DELETE", f"/portfolio/events/orders/{first}?market_ticker={BOS}")
    assert answer.status_code == 200 and answer.json()["order_id"] != first
    orders = still.ledger()["orders"]
    assert (orders[first]["status"], orders[second]["status"]) == ("canceled", "resting")


def test_stale_reads_show_the_past_and_say_so(still: Exchange) -> None:
    plan(still)
    made = still.order(BOS, "bid", "0.1000", "2.00").json()["order_id"]
    plan(still, {"at": "read", "kind": "stale", "delay_ms": 1500, "only": "/portfolio/"})
    path = f"/portfolio/orders/{made}"
    still.get(path)
    assert still.call("DELETE", f"/portfolio/events/orders/{made}?market_ticker={BOS}").status_code == 200
    assert still.get(path)["order"]["status"] == "resting"
    assert still.call("DELETE", f"/portfolio/events/orders/{made}?market_ticker={BOS}").status_code == 404
    stamp = datetime.fromisoformat(still.get("/exchange/user_data_timestamp")["as_of_time"])
    assert time.time() - stamp.timestamp() >= 1.5
    assert until(lambda: still.get(path)["order"]["status"] == "canceled")


def test_the_odds_feed_fails_too(still: Exchange) -> None:
    plan(still, {"at": "odds", "kind": "http_500", "body": "html", "times": 1})
    assert requests.get(still.ready["odds"] + "/v4/sports", timeout=10).status_code == 500
    assert requests.get(still.ready["odds"] + "/v4/sports", timeout=10).status_code == 404
    assert counts(still) == [(1, 1)]


@pytest.mark.parametrize("after", [False, True])
def test_the_process_restarts_and_remembers(start: Callable[..., Exchange], after: bool) -> None:
    exchange = start()
    kept = exchange.order(BOS, "bid", "0.1000", "1.00", client_order_id="kept").json()["order_id"]
    ws = subscribed(exchange)
    plan(exchange, {"at": "create", "kind": "restart", "times": 1, "delay_ms": 300, "after": after})
    with pytest.raises(OSError):
        exchange.order(BOS, "bid", "0.1000", "1.00", client_order_id="struck")
    with pytest.raises((OSError, websocket.WebSocketException)):
        while ws.ws.recv():
            pass
        raise ConnectionResetError
    exchange.session.close()

    def back() -> Any:
        try:
            return exchange.ledger()["orders"]
        except OSError:
            return None

    orders = until(back, 20)
    assert orders[kept]["status"] == "resting"
    assert sorted(order["client_order_id"] for order in orders.values()) == ["kept", "struck"][: 1 + after]
    assert counts(exchange) == [(1, 1)], "the plan and its counts outlive the restart"
    assert exchange.order(BOS, "bid", "0.1000", "1.00").status_code == 201


# Frames


def sequence(ws: Socket, count: int) -> list[int]:
    return [ws.next()["seq"] for _ in range(count)]


@pytest.mark.parametrize(
    ("kind", "seqs"), [("drop", [2, 4, 5]), ("duplicate", [2, 3, 3, 4, 5]), ("reorder", [2, 4, 3, 5])]
)
def test_frames_are_lost_repeated_and_reordered(still: Exchange, kind: str, seqs: list[int]) -> None:
    plan(still)
    ws = subscribed(still)
    plan(still, {"at": "ws", "kind": kind, "every": 2, "times": 1, "only": "orderbook_delta"})
    moves(still, 1, 2, 3, 0)
    assert sequence(ws, len(seqs)) == seqs
    assert counts(still)[0][1] == 1
    ws.ws.close()


def test_a_silent_feed_answers_pings_and_says_nothing(still: Exchange) -> None:
    plan(still)
    ws = subscribed(still)
    plan(still, {"at": "ws", "kind": "silent", "times": 1})
    moves(still, 1, 2, 0)
    time.sleep(0.1)
    assert pings(ws, 5) == 1
    plan(still)
    other = subscribed(still)
    moves(still, 5, 0)
    assert sequence(other, 2) == [2, 3]
    ws.ws.settimeout(0.3)
    with pytest.raises(websocket.WebSocketTimeoutException):
        ws.next()
    ws.ws.close()
    other.ws.close()


def test_a_dead_socket_answers_no_ping_and_stays_open(still: Exchange) -> None:
    plan(still)
    ws = subscribed(still)
    plan(still, {"at": "ws", "kind": "dead", "times": 1})
    moves(still, 1, 0)
    time.sleep(0.1)
    assert pings(ws, 0.5) == 0
    assert ws.ws.connected
    ws.ws.close(timeout=0)


def test_broken_frames_resets_and_overflows(still: Exchange) -> None:
    plan(still)
    ws = subscribed(still)
    plan(still, {"at": "ws", "kind": "garbage", "times": 1})
    moves(still, 1)
    with pytest.raises(json.JSONDecodeError):
        ws.next()
    plan(still, {"at": "ws", "kind": "overflow", "times": 1})
    moves(still, 2)
    frame = ws.next()
    assert (frame["type"], frame["sid"], frame["msg"]["code"]) == ("error", 1, 25)
    ws.send("subscribe", channels=["orderbook_delta"], market_tickers=[BOS])
    assert ws.next() == {"type": "subscribed", "id": 2, "msg": {"channel": "orderbook_delta", "sid": 2}}
    assert ws.next()["type"] == "orderbook_snapshot"
    plan(still, {"at": "ws", "kind": "reset", "times": 1})
    moves(still, 0)
    with pytest.raises((OSError, websocket.WebSocketException)):
        ws.next()


def test_frames_come_late_and_in_order(still: Exchange) -> None:
    plan(still)
    ws = subscribed(still)
    plan(still, {"at": "ws", "kind": "delay", "times": 1, "delay_ms": 400})
    began = time.monotonic()
    moves(still, 1, 2, 0)
    assert sequence(ws, 3) == [2, 3, 4]
    assert time.monotonic() - began > 0.35
    ws.ws.close()


@pytest.mark.parametrize("kind", ["http_502", "hang", "reset"])
def test_the_handshake_fails(still: Exchange, kind: str) -> None:
    plan(still, {"at": "handshake", "kind": kind, "times": 1, "body": "html"})
    with pytest.raises((websocket.WebSocketException, OSError, socket.timeout)):
        headers = [f"{k}: {v}" for k, v in still.headers("GET", "/trade-api/ws/v2").items()]
        websocket.create_connection(still.ready["ws"], header=headers, timeout=0.4)
    assert counts(still) == [(1, 1)]
    still.socket().ws.close()


# The plan


def test_a_plan_is_deterministic_by_seed_and_each_line_has_its_own_chance() -> None:
    def strikes(seed: int, *more: Fault) -> list[int]:
        faults = Faults([Fault("read", "delay", chance=0.3), *more], seed)
        return [i for i in range(200) if (hit := faults.strike("read", "/x", 0)) and hit.kind == "delay"]

    assert strikes(1) == strikes(1) == strikes(1, Fault("read", "reset", chance=0.5)) != strikes(2)
    assert 35 < len(strikes(1)) < 85


def test_windows_and_ranges() -> None:
    faults = Faults([Fault("write", "reset", after_s=1, for_s=2), Fault("any", "hang", every=3, only="/orders")])
    faults.install(faults.plan, 10_000)
    hits = [faults.strike("cancel", "/x", now) for now in (10_999, 11_000, 12_999, 13_000)]
    assert [hit and hit.kind for hit in hits] == [None, "reset", "reset", None]
    assert [bool(faults.strike("handshake", "/orders", 20_000)) for _ in range(6)] == [False, False, True] * 2
    assert not faults.strike("ws", "/orders", 20_000) and not faults.strike("odds", "/orders", 20_000)


@pytest.mark.parametrize(
    "line",
    [
        {"at": "ws", "kind": "http_500"},
        {"at": "read", "kind": "drop"},
        {"at": "read", "kind": "delay", "every": 0},
        {"at": "read", "kind": "delay", "chance": 2},
        {"at": "read", "kind": "delay", "delay": 3},
        {"at": "nowhere", "kind": "delay"},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(still: Exchange, line: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        read_plan(json.dumps([line]))
    answer = still.session.post(still.ready["odds"] + "/_paper/faults", json=[line], timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
