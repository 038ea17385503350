"""The HTTP side: connections, authentication, rate limits, faults."""

import socket as sockets
import struct
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import parse_qs

import gevent
import msgspec
from gevent.pywsgi import Input, WSGIHandler, WSGIServer

from bot.core.units import format_count, format_money
from bot.paper import commands, frames, mishaps, odds_server
from bot.paper.auth import Denied, Key
from bot.paper.endpoints import ORDERS, PREFIX, Endpoint, find
from bot.paper.faults import read_plan
from bot.paper.http import Answer, Refusal, Request, json_answer, malformed, nested, too_many
from bot.paper.model import Halt
from bot.paper.venue import Venue

STREAM = "/trade-api/ws/v2"
MAX_BODY = 4 << 20
IDLE_S = 300
"""How long a connection may wait between requests."""
MOST_CONNECTIONS = 800
"""Beyond these new ones wait until others end."""


class Pause(msgspec.Struct):
    """What POST /_paper/halt takes: "trading", "exchange" or "" to go on, and for how long."""

    halt: Halt
    seconds: Annotated[float, msgspec.Meta(ge=0, le=10_000_000)] | None = None


def answer(venue: Venue, request: Request) -> Answer:
    """Serve one request; never raises for what a client sends."""
    if request.path.startswith("/_paper/"):
        return _refusable(_own, venue, request)
    if request.path.startswith("/v4/"):
        return _faulty("odds", venue, request, lambda skew_ms: _refusable(_odds, venue, request))
    return _refusable(_exchange, venue, request)


def _refusable(serve: Callable[..., Answer], *arguments: Any) -> Answer:
    try:
        return serve(*arguments)
    except Refusal as refusal:
        return json_answer(refusal.status, refusal.body)
    except Denied as denied:
        return json_answer(denied.status, denied.body)


def _faulty(at: str, venue: Venue, request: Request, serve: Callable[[int], Answer]) -> Answer:
    """Serve, unless a fault strikes."""
    fault = venue.faults.strike(at, request.path, request.now_ms) if venue.faults.plan else None
    return mishaps.meet(venue, fault, request, serve) if fault else serve(0)


def _exchange(venue: Venue, request: Request) -> Answer:
    path = request.path.removeprefix(PREFIX)
    if not request.path.startswith(PREFIX + "/"):
        raise nested(404, "not_found")
    if path.endswith("/"):
        return Answer(301, headers=(("Location", request.path.rstrip("/")),))
    found = find(request.method, path)
    if found is None:
        raise nested(404, "not_found")
    endpoint, request.params = found
    request.operation = "".join(part.title() for part in endpoint.handler.__name__.split("_"))
    request.operation = f"Get{request.operation}" if request.method == "GET" else request.operation
    return _faulty(
        endpoint.fault, venue, request, lambda skew_ms: _refusable(_served, venue, endpoint, request, skew_ms)
    )


def _served(venue: Venue, endpoint: Endpoint, request: Request, skew_ms: int) -> Answer:
    if endpoint.scope:
        key = venue.keys.check(request.method, request.path, request.headers, request.now_ms + skew_ms)
        key.allow(endpoint.scope)
        _check_subaccount(key, request)
        request.user_id = venue.account.user_id
    if endpoint.scope or "kalshi-access-key" in request.headers:
        _charge(venue, endpoint, request)
    body = endpoint.handler(venue, request)
    venue.beat(request.now_ms)
    return Answer(endpoint.status) if body is None else json_answer(endpoint.status, body)


def _check_subaccount(key: Key, request: Request) -> None:
    """There is the main account only; a key that is locked to another one may do nothing (section 2.5)."""
    if key.subaccount:
        raise Denied("permission_denied", "permission denied", "API key is restricted to a single subaccount", 403)
    if asked := request.number("subaccount", 0, 0, 63):
        raise nested(404, "not_found", f"subaccount {asked} does not exist")


def _charge(venue: Venue, endpoint: Endpoint, request: Request) -> None:
    """Take the tokens of a call: a batch pays per order, a single write may name a shard with a bucket of its own."""
    orders = 1
    bucket = venue.write if endpoint.write else venue.read
    if endpoint.path == f"{ORDERS}/batched":
        orders = len(request.json(commands.Batch).orders)
    elif endpoint.write and request.text("exchange_index"):
        bucket = venue.write_bucket(request.number("exchange_index", 0, -1, 100))
    elif endpoint.write and b'"exchange_index"' in request.body:
        bucket = venue.write_bucket(min(100, request.json(commands.Shard).exchange_index or 0))
    if not bucket.take(endpoint.cost * orders, request.now_ms):
        raise too_many()


def _odds(venue: Venue, request: Request) -> Answer:
    if venue.life.odds is None:
        raise nested(404, "not_found")
    query = {name: values[-1] for name, values in request.query.items()}
    status, headers, body = odds_server.answer(request.path, query, venue.life.odds, venue.quota, request.now_ms)
    return Answer(status, body, tuple(headers.items()))


def _own(venue: Venue, request: Request) -> Answer:
    """What Kalshi does not have: the ledger of truth, and faults. The server listens on loopback only."""
    match request.method, request.path:
        case "GET", "/_paper/ledger":
            return json_answer(200, ledger(venue))
        case "GET", "/_paper/faults":
            return json_answer(200, venue.faults.plan)
        case "POST", "/_paper/halt":
            asked = request.json(Pause)
            ends_ms = None if asked.seconds is None else request.now_ms + round(asked.seconds * 1000)
            venue.halt(asked.halt, request.now_ms, ends_ms)
            venue.beat(request.now_ms)
            return Answer(204)
        case "POST", "/_paper/faults":
            try:
                venue.faults.install(read_plan(request.body), request.now_ms)
            except msgspec.DecodeError as broken:
                raise malformed(str(broken)) from None
            venue.beat(request.now_ms)
            return Answer(204)
    raise nested(404, "not_found")


def ledger(venue: Venue) -> dict[str, Any]:
    """The member's books in decimal strings; `settled_pnl` is payout minus cost over all settlements, fees apart."""
    account = venue.account
    return {
        "cash": format_money(account.cash),
        "positions": {t: format_count(p.count) for t, p in account.positions.items() if p.count},
        "orders": {
            order.order_id: {
                "client_order_id": order.client_order_id,
                "ticker": order.ticker,
                "side": order.side,
                "status": order.status,
                "filled": format_count(order.filled),
                "remaining": format_count(order.remaining),
            }
            for order in account.orders.values()
        },
        "fills_count": len(account.fills),
        "fees": format_money(sum(position.fees for position in account.positions.values())),
        "settlements_count": len(account.settlements),
        "settled_pnl": format_money(sum(record.revenue - record.cost for record in account.settlements)),
        "realized_pnl": format_money(sum(position.realized for position in account.positions.values())),
    }


class Connection(WSGIHandler):  # type: ignore[misc]
    """One keep-alive connection; answers are built here, not through WSGI."""

    server: "Server"

    def get_environ(self) -> dict[str, Any]:
        self.expects = self.headers.get("expect", "").lower() == "100-continue"
        chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        self.wsgi_input = Input(
            self.rfile, self.content_length, socket=self.socket if self.expects else None, chunked_input=chunked
        )
        return {}

    def handle(self) -> None:
        self.socket.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        super().handle()

    def handle_one_response(self) -> None:
        venue = self.server.venue
        path, _, query = self.path.partition("?")
        now_ms = venue.now_ms()
        if (self.content_length or 0) > MAX_BODY:
            self._turn_away(413, "request body too large")
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = None
        with gevent.Timeout(venue.settings.request_timeout_s, False):
            body = self.wsgi_input.read(MAX_BODY + 1)
        if body is None:
            self._turn_away(408, "request body took too long")
            return
        if len(body) > MAX_BODY:
            self._turn_away(413, "request body too large")
            return
        request = Request(self.command, path, parse_qs(query, keep_blank_values=True), headers, body, now_ms)
        if path == STREAM and headers.get("upgrade", "").lower() == "websocket":
            self._stream(venue, request)
            return
        self._reply(answer(venue, request))
        gevent.sleep(0)

    def read_requestline(self) -> str:
        with gevent.Timeout(IDLE_S, False):
            return str(super().read_requestline())
        return ""

    def read_request(self, raw_requestline: str) -> bool:
        with gevent.Timeout(self.server.venue.settings.request_timeout_s, ValueError("headers took too long")):
            return bool(super().read_request(raw_requestline))

    def _turn_away(self, status: int, why: str) -> None:
        self.close_connection = True
        self._reply(json_answer(status, {"code": "bad_request", "message": why}))

    def handle_error(self, t: Any, v: Any, tb: Any) -> None:
        self.close_connection = True
        super().handle_error(t, v, tb)

    def log_request(self) -> None: ...

    def _reply(self, answer: Answer) -> None:
        if answer.cut:
            self._cut(answer)
            return
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        if answer.status != 204:
            lines.append(f"Content-Length: {len(answer.body)}")
        if self.close_connection:
            lines.append("Connection: close")
        self.socket.sendall("\r\n".join([*lines, "\r\n"]).encode("latin-1") + answer.body)

    def _cut(self, answer: Answer) -> None:
        self.close_connection = True
        if answer.cut == "reset":
            self.socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
        elif answer.cut == "hang":
            while self.socket.recv(65_536):
                pass
        elif answer.cut == "restart":
            self.server.restart(answer.down_ms)

    def _stream(self, venue: Venue, request: Request) -> None:
        """Upgrade to a WebSocket; kalshi-api.md section 2.7: always signed."""
        self.close_connection = True
        answer = _faulty("handshake", venue, request, lambda skew_ms: _refusable(_upgrade, venue, request, skew_ms))
        if answer.status != 101:
            self._reply(answer)
            return
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self.socket.sendall(head + b"Sec-WebSocket-Accept: " + answer.body + b"\r\n\r\n")
        venue.hub.serve(self.socket, venue.account.user_id, venue.settings.ws_buffer)


def _upgrade(venue: Venue, request: Request, skew_ms: int) -> Answer:
    venue.keys.check("GET", STREAM, request.headers, request.now_ms + skew_ms).allow("read")
    if not request.headers.get("sec-websocket-key"):
        raise malformed("Sec-WebSocket-Key is missing")
    if len(venue.hub.sessions) >= venue.settings.ws_connections:
        raise too_many()
    return Answer(101, frames.accept_key(request.headers.get("sec-websocket-key", "")).encode())


class Server(WSGIServer):  # type: ignore[misc]
    """Listens on loopback; port 0 takes a free one. Connections answer for themselves, without an application."""

    application = None

    def __init__(self, venue: Venue, port: int, restart: Callable[[int], None]) -> None:
        """`restart(down_ms)` ends the process and starts it anew; it does not return."""
        super().__init__(
            ("127.0.0.1", port),
            None,
            handler_class=Connection,
            log=None,
            error_log=None,
            backlog=512,
            spawn=MOST_CONNECTIONS,
        )
        self.venue = venue
        self.restart = restart
