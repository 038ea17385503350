"""The paper exchange's WebSocket as a real process (kalshi-api.md section 6)."""

import json
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
import websocket
from paper_client import Exchange, Socket
from still_exchange import BOS, DET
from wire_schema import check_frame


@pytest.fixture
def exchange(start: Callable[..., Exchange]) -> Exchange:
    return start()


@pytest.fixture
def ws(exchange: Exchange) -> Iterator[Socket]:
    socket = exchange.socket()
    yield socket
    socket.ws.close()


def test_the_handshake_needs_a_signature(exchange: Exchange) -> None:
    for headers in ({}, exchange.headers("GET", "/trade-api/v2/ws")):
        with pytest.raises(websocket.WebSocketBadStatusException) as caught:
            websocket.create_connection(exchange.ready["ws"], header=[f"{k}: {v}" for k, v in headers.items()])
        assert caught.value.status_code == 401


def test_a_book_is_rebuilt_from_snapshot_and_deltas(exchange: Exchange, ws: Socket) -> None:
    exchange.tell("set_level", BOS, "bid", 5500, 12_000, "now")
    time.sleep(0.1)
    number = ws.send("subscribe", channels=["orderbook_delta"], market_tickers=[BOS, DET], use_yes_price=False)
    assert ws.next() == {"type": "subscribed", "id": number, "msg": {"channel": "orderbook_delta", "sid": 1}}
    books: dict[str, dict[str, dict[str, float]]] = {}
    seqs = []
    for _ in range(2):
        frame = ws.next()
        check_frame(frame)
        seqs.append(frame["seq"])
        sides = {"yes": frame["msg"]["yes_dollars_fp"], "no": frame["msg"]["no_dollars_fp"]}
        books[frame["msg"]["market_ticker"]] = {s: {p: float(n) for p, n in rows} for s, rows in sides.items()}
    exchange.tell("set_level", BOS, "ask", 5800, 30_050, "now")
    exchange.tell("set_level", BOS, "ask", 5900, 100, "now")
    exchange.tell("set_level", BOS, "bid", 5500, 11_000, "now")
    exchange.tell("set_level", BOS, "ask", 5900, 0, "now")
    exchange.order(BOS, "bid", "0.5800", "1.00", client_order_id="mine")
    exchange.order(BOS, "bid", "0.5600", "2.00")
    own = []
    for _ in range(6):
        frame = ws.next()
        check_frame(frame)
        seqs.append(frame["seq"])
        message = frame["msg"]
        levels = books[message["market_ticker"]][message["side"]]
        levels[message["price_dollars"]] = levels.get(message["price_dollars"], 0) + float(message["delta_fp"])
        own.append(message.get("client_order_id"))
    assert seqs == list(range(1, 9))
    assert own[:4] == [None] * 4 and own[4] == "mine"
    shown = exchange.get(f"/markets/{BOS}/orderbook")["orderbook_fp"]
    for side in ("yes", "no"):
        rows = {price: float(count) for price, count in shown[f"{side}_dollars"]}
        assert rows == {price: count for price, count in books[BOS][side].items() if count}


def test_yes_prices_on_request(exchange: Exchange, ws: Socket) -> None:
    exchange.tell("set_level", BOS, "ask", 5800, 30_050, "now")
    time.sleep(0.1)
    ws.send("subscribe", channels=["orderbook_delta"], market_ticker=BOS, use_yes_price=True)
    assert ws.until("orderbook_snapshot")["msg"]["no_dollars_fp"] == [["0.5800", "300.50"]]
    exchange.tell("set_level", BOS, "ask", 5900, 100, "now")
    assert ws.next()["msg"]["price_dollars"] == "0.5900"


def test_every_channel_sends_its_documented_frames(exchange: Exchange, ws: Socket) -> None:
    channels = [
        "orderbook_delta",
        "ticker",
        "trade",
        "fill",
        "user_orders",
        "market_positions",
        "market_lifecycle_v2",
    ]
    ws.send("subscribe", channels=channels, market_tickers=[BOS], send_initial_snapshot=True)
    exchange.tell("set_level", BOS, "ask", 5800, 30_050, "now")
    time.sleep(0.15)
    made = exchange.order(BOS, "bid", "0.5800", "10.00", client_order_id="x").json()
    exchange.tell("set_close", BOS, 1, "now")
    exchange.tell("determine", BOS, "yes", "now")
    frames: list[dict[str, Any]] = []
    while not any(f["type"] == "market_lifecycle_v2" and f["msg"]["event_type"] == "settled" for f in frames):
        frames.append(ws.next())
    data = [frame for frame in frames if frame["type"] not in ("subscribed", "ok")]
    for frame in data:
        check_frame(frame)
    by_type: dict[str, list[dict[str, Any]]] = {}
    for frame in data:
        by_type.setdefault(frame["type"], []).append(frame["msg"])
    assert by_type["fill"][0]["order_id"] == made["order_id"] == by_type["user_order"][0]["order_id"]
    assert by_type["fill"][0]["trade_id"] == by_type["trade"][0]["trade_id"]
    assert [m["position_fp"] for m in by_type["market_position"]] == ["10.00", "0.00"]
    assert [m["event_type"] for m in by_type["market_lifecycle_v2"]] == ["close_date_updated", "determined", "settled"]
    assert by_type["orderbook_snapshot"][-1]["no_dollars_fp"] == []
    ledger = exchange.ledger()
    assert (ledger["settlements_count"], ledger["settled_pnl"], ledger["positions"]) == (1, "4.200000", {})
    settled = exchange.get("/portfolio/settlements")["settlements"][0]
    assert (settled["revenue"], settled["market_result"], settled["fee_cost"]) == (1000, "yes", "0.170600")


def test_tickers_come_at_most_every_100_ms_and_only_on_change(exchange: Exchange, ws: Socket) -> None:
    ws.send("subscribe", channels=["ticker"], market_tickers=[BOS])
    ws.next()
    for count in range(1, 41):
        exchange.tell("set_level", BOS, "bid", 5500, count * 100, "now")
        time.sleep(0.01)
    frames = [ws.next()]
    while frames[-1]["msg"]["yes_bid_size_fp"] != "40.00":
        frames.append(ws.next())
    times = [frame["msg"]["ts_ms"] for frame in frames]
    assert len(frames) < 20 and all(b - a >= 100 for a, b in pairwise(times))


def test_subscribing_again_widens_the_subscription(ws: Socket) -> None:
    ws.send("subscribe", channels=["orderbook_delta"], market_tickers=[BOS])
    assert [ws.next()["type"], ws.next()["type"]] == ["subscribed", "orderbook_snapshot"]
    number = ws.send("subscribe", channels=["orderbook_delta"], market_tickers=[BOS, DET])
    ack = ws.next()
    assert (ack["type"], ack["id"], ack["sid"], ack["seq"]) == ("ok", number, 1, 2)
    assert ack["msg"] == {"market_tickers": [BOS, DET]}
    frame = ws.next()
    assert (frame["type"], frame["seq"], frame["msg"]["market_ticker"]) == ("orderbook_snapshot", 3, DET)


def test_updating_listing_and_unsubscribing(ws: Socket) -> None:
    ws.send("subscribe", channels=["orderbook_delta", "ticker"], market_tickers=[BOS])
    assert [ws.next()["type"] for _ in range(3)] == ["subscribed", "orderbook_snapshot", "subscribed"]
    ws.send("update_subscription", sids=[1], action="add_markets", market_tickers=[DET])
    assert (ws.next()["seq"], ws.next()["seq"]) == (2, 3)
    number = ws.send("update_subscription", sid=1, action="get_snapshot", market_tickers=[BOS])
    again = ws.next()
    assert (again["type"], again["seq"], again["id"]) == ("orderbook_snapshot", 4, number)
    ws.send("update_subscription", sids=[1], action="delete_markets", market_tickers=[BOS])
    assert ws.next()["msg"] == {"market_tickers": [DET]}
    ws.send("update_subscription", sids=[2], action="add_markets", market_tickers=[DET])
    assert "seq" not in ws.next()
    ws.send("list_subscriptions")
    assert ws.next()["msg"] == [{"channel": "orderbook_delta", "sid": 1}, {"channel": "ticker", "sid": 2}]
    number = ws.send("unsubscribe", sids=[1])
    gone = ws.next()
    assert (gone["type"], gone["id"], gone["sid"], gone["seq"]) == ("unsubscribed", number, 1, 6)


@pytest.mark.parametrize(
    ("cmd", "params", "code"),
    [
        ("subscribe", {}, 3),
        ("subscribe", {"channels": ["nope"]}, 8),
        ("subscribe", {"channels": ["orderbook_delta"]}, 14),
        ("unsubscribe", {}, 4),
        ("unsubscribe", {"sids": [9]}, 7),
        ("update_subscription", {"action": "add_markets"}, 12),
        ("update_subscription", {"sids": [1, 2], "action": "add_markets"}, 12),
        ("update_subscription", {"sids": [9], "action": "add_markets"}, 7),
        ("update_subscription", {"sids": [1]}, 15),
        ("update_subscription", {"sids": [1], "action": "get_snapshot", "market_tickers": [BOS]}, 13),
        ("update_subscription", {"sids": [1], "action": "add_markets"}, 14),
        ("dance", {}, 5),
    ],
)
def test_wrong_commands_get_their_error(ws: Socket, cmd: str, params: dict[str, Any], code: int) -> None:
    ws.send("subscribe", channels=["ticker"], market_tickers=[BOS])
    ws.next()
    number = ws.send(cmd, **params)
    frame = ws.next()
    assert (frame["type"], frame["id"], frame["msg"]["code"]) == ("error", number, code)


def test_broken_frames_get_error_1_and_a_missing_params_error_2(ws: Socket) -> None:
    ws.ws.send("{")
    assert ws.next()["msg"]["code"] == 1
    ws.ws.send(json.dumps({"id": 1, "cmd": "subscribe"}))
    assert ws.next()["msg"]["code"] == 2


def test_client_pings_are_answered(ws: Socket) -> None:
    ws.ws.ping("hello")
    opcode, payload = ws.ws.recv_data(control_frame=True)
    assert (opcode, payload) == (websocket.ABNF.OPCODE_PONG, b"hello")


def test_a_slow_reader_loses_its_subscription_with_error_25(start: Callable[..., Exchange]) -> None:
    exchange = start(ws_buffer=20_000)
    slow = exchange.socket()
    slow.send("subscribe", channels=["orderbook_delta"], market_tickers=[BOS])
    slow.until("orderbook_snapshot")
    for price in range(100, 9900, 100):
        exchange.tell("set_level", BOS, "bid", price, 100, "now")
    time.sleep(0.2)
    for _ in range(120):
        exchange.tell("unpause", BOS, "now")
        exchange.tell("pause", BOS, "now")
        exchange.tell("unpause", BOS, "now")
        for price in range(100, 9900, 100):
            exchange.tell("set_level", BOS, "bid", price, 100, "now")
    exchange.order(DET, "bid", "0.1000", "1.00")
    time.sleep(1)
    while (frame := slow.next())["type"] != "error":
        assert frame["type"].startswith("orderbook")
    assert (frame["msg"]["code"], frame["sid"]) == (25, 1)
    slow.send("list_subscriptions")
    assert slow.until("ok")["msg"] == []


@pytest.mark.prove
def test_the_server_pings_every_ten_seconds(ws: Socket) -> None:
    ws.ws.settimeout(15)
    opcode, payload = ws.ws.recv_data(control_frame=True)
    assert (opcode, payload) == (websocket.ABNF.OPCODE_PING, b"heartbeat")
