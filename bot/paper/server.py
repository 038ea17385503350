"""The HTTP side: connections, authentication, rate limits, faults, and the table of endpoints."""

import socket as sockets
import struct
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

import gevent
import msgspec
from gevent.pywsgi import Input, WSGIHandler, WSGIServer

from bot.core.units import format_count, format_money
from bot.paper import frames, mishaps, odds_server, portfolio, public
from bot.paper.auth import Denied
from bot.paper.faults import read_plan
from bot.paper.http import Answer, Bucket, Refusal, Request, json_answer, malformed, nested, too_many
from bot.paper.venue import Venue

PREFIX = "/trade-api/v2"
STREAM = "/trade-api/ws/v2"
MAX_BODY = 4 << 20
DEFAULT_COST = 10

Handler = Callable[[Venue, Request], Any]


class Endpoint(NamedTuple):
    method: str
    path: str
    handler: Handler
    private: bool = False
    cost: int = DEFAULT_COST
    """Tokens; for a batch, per order."""
    write: bool = False
    status: int = 200
    fault: str = "read"


ORDERS = "/portfolio/events/orders"

ENDPOINTS = [
    Endpoint("GET", "/exchange/status", public.status),
    Endpoint("GET", "/exchange/schedule", public.schedule),
    Endpoint("GET", "/exchange/user_data_timestamp", public.user_data_timestamp),
    Endpoint("GET", "/series", public.series_list),
    Endpoint("GET", "/series/:series_ticker", public.series),
    Endpoint("GET", "/events", public.events),
    Endpoint("GET", "/events/:event_ticker", public.event),
    Endpoint("GET", "/markets", public.markets),
    Endpoint("GET", "/markets/trades", public.trades),
    Endpoint("GET", "/markets/orderbooks", public.orderbooks),
    Endpoint("GET", "/markets/:ticker", public.market),
    Endpoint("GET", "/markets/:ticker/orderbook", public.orderbook),
    Endpoint("GET", "/milestones", public.milestones),
    Endpoint("GET", "/milestones/:milestone_id", public.milestone),
    Endpoint("GET", "/structured_targets", public.targets),
    Endpoint("GET", "/structured_targets/:structured_target_id", public.target),
    Endpoint("GET", "/account/endpoint_costs", lambda venue, request: endpoint_costs()),
    Endpoint("GET", "/account/limits", portfolio.limits, private=True),
    Endpoint("GET", "/portfolio/balance", portfolio.balance, private=True),
    Endpoint("GET", "/portfolio/positions", portfolio.positions, private=True),
    Endpoint("GET", "/portfolio/fills", portfolio.fills, private=True),
    Endpoint("GET", "/portfolio/settlements", portfolio.settlements, private=True),
    Endpoint("GET", "/portfolio/orders", portfolio.order_list, private=True),
    Endpoint("GET", "/portfolio/orders/:order_id", portfolio.order, private=True, cost=2),
    Endpoint("POST", ORDERS, portfolio.create, True, write=True, status=201, fault="create"),
    Endpoint("DELETE", ORDERS, portfolio.cancel_all, True, cost=2, write=True, status=204, fault="cancel"),
    Endpoint("POST", f"{ORDERS}/batched", portfolio.batch_create, True, write=True, status=201, fault="create"),
    Endpoint("DELETE", f"{ORDERS}/batched", portfolio.batch_cancel, True, cost=2, write=True, fault="cancel"),
    Endpoint("DELETE", f"{ORDERS}/:order_id", portfolio.cancel, True, cost=2, write=True, fault="cancel"),
    Endpoint("POST", f"{ORDERS}/:order_id/amend", portfolio.amend, True, write=True, fault="create"),
    Endpoint("POST", f"{ORDERS}/:order_id/decrease", portfolio.decrease, True, write=True, fault="cancel"),
    Endpoint("POST", "/portfolio/orders", portfolio.removed, True, write=True),
    Endpoint("DELETE", "/portfolio/orders/:order_id", portfolio.removed, True, write=True),
    Endpoint("POST", "/portfolio/orders/:order_id/amend", portfolio.removed, True, write=True),
    Endpoint("POST", "/portfolio/orders/:order_id/decrease", portfolio.removed, True, write=True),
    Endpoint("POST", "/portfolio/orders/batched", portfolio.removed, True, write=True),
    Endpoint("DELETE", "/portfolio/orders/batched", portfolio.removed, True, write=True),
]

FIXED = {(e.method, e.path): e for e in ENDPOINTS if ":" not in e.path}
PATTERNS = [(e.method, e.path.split("/"), e) for e in ENDPOINTS if ":" in e.path]


def endpoint_costs() -> dict[str, Any]:
    other = [e for e in ENDPOINTS if e.cost != DEFAULT_COST]
    return {
        "default_cost": DEFAULT_COST,
        "endpoint_costs": [{"method": e.method, "path": PREFIX + e.path, "cost": e.cost} for e in other],
    }


def find(method: str, path: str) -> tuple[Endpoint, dict[str, str]] | None:
    """The endpoint of a path below the prefix, with what its placeholders stand for."""
    if found := FIXED.get((method, path)):
        return found, {}
    parts = path.split("/")
    for verb, pattern, endpoint in PATTERNS:
        if verb == method and len(pattern) == len(parts):
            pairs = list(zip(pattern, parts, strict=True))
            if all(want.startswith(":") or want == part for want, part in pairs):
                return endpoint, {want[1:]: unquote(part) for want, part in pairs if want.startswith(":")}
    return None


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
        return json_answer(401, denied.body)


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
    if endpoint.private:
        venue.keys.check(request.method, request.path, request.headers, request.now_ms + skew_ms)
        request.user_id = venue.account.user_id
    if endpoint.private or "kalshi-access-key" in request.headers:
        _charge(venue.write if endpoint.write else venue.read, endpoint, request)
    body = endpoint.handler(venue, request)
    venue.state.flush()
    venue.hub.pulse(request.now_ms)
    made = Answer(endpoint.status) if body is None else json_answer(endpoint.status, body)
    if venue.faults.lag_ms and request.method == "GET":
        venue.faults.remember(mishaps.question(request), made, request.now_ms)
    return made


def _charge(bucket: Bucket, endpoint: Endpoint, request: Request) -> None:
    orders = 1
    if endpoint.path == f"{ORDERS}/batched":
        orders = len(request.json(portfolio.Batch).orders)
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
        case "POST", "/_paper/faults":
            try:
                venue.faults.install(read_plan(request.body), request.now_ms)
            except msgspec.DecodeError as broken:
                raise malformed(str(broken)) from None
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
            self.close_connection = True
            self._reply(json_answer(413, {"code": "bad_request", "message": "request body too large"}))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.wsgi_input.read()
        request = Request(self.command, path, parse_qs(query, keep_blank_values=True), headers, body, now_ms)
        if path == STREAM and headers.get("upgrade", "").lower() == "websocket":
            self._stream(venue, request)
            return
        self._reply(answer(venue, request))
        gevent.sleep(0)

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
    venue.keys.check("GET", STREAM, request.headers, request.now_ms + skew_ms)
    return Answer(101, frames.accept_key(request.headers.get("sec-websocket-key", "")).encode())


class Server(WSGIServer):  # type: ignore[misc]
    """Listens on loopback; port 0 takes a free one. Connections answer for themselves, without an application."""

    application = None

    def __init__(self, venue: Venue, port: int, restart: Callable[[int], None]) -> None:
        """`restart(down_ms)` ends the process and starts it anew; it does not return."""
        super().__init__(("127.0.0.1", port), None, handler_class=Connection, log=None, error_log=None, backlog=512)
        self.venue = venue
        self.restart = restart
