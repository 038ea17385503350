"""Order writes: one attempt each, over warm connections, and the exact meaning of every answer.

geventhttpclient gives the connections (TCP, TLS, certificates) and the response parser. Its own `request` is not used:
it sends a DELETE again when a connection breaks, and a write here is never repeated once a byte may have left.
"""

import select
import time
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from gevent.monkey import get_original
from geventhttpclient.connectionpool import ConnectionPool, SSLConnectionPool
from geventhttpclient.response import HTTPParseError, HTTPResponse

from bot.core.effects import AmendOrder, CancelOrder, PlaceOrder
from bot.core.units import Count, format_count, format_price
from bot.core.venue import Accepted, AlreadyExists, NotFound, NotSent, Outcome, Rejected, Unknown
from bot.kalshi import wire
from bot.kalshi.canary import Canary
from bot.kalshi.sign import HeaderStock, Signer

_poll = get_original("select", "poll")

_CONNECTIONS = 32
"""Most connections of one lane in use at once."""

_SPARES = 2
"""Warm connections kept by each lane, so that one is ready while the other is being pinged."""


class _Create(msgspec.Struct, omit_defaults=True):
    """Body of POST /portfolio/events/orders (kalshi-api.md 4.9)."""

    ticker: str
    client_order_id: str
    side: str
    count: str
    price: str
    time_in_force: str
    self_trade_prevention_type: str
    reduce_only: bool = False


class _Amend(msgspec.Struct):
    """Body of POST /portfolio/events/orders/{order_id}/amend (kalshi-api.md 4.9); `count` is the total."""

    ticker: str
    client_order_id: str
    side: str
    price: str
    count: str


class _AmendReply(msgspec.Struct):
    order_id: str
    remaining_count: str | None = None
    """Optional (kalshi-api.md 4.9). Without it, all of the order may rest."""


class _CreateReply(msgspec.Struct):
    order_id: str
    fill_count: str
    remaining_count: str
    client_order_id: str = ""


class _CancelReply(msgspec.Struct):
    order_id: str
    reduced_by: str


_read_create = wire.reader(_CreateReply)
_read_amend = wire.reader(_AmendReply)
_read_cancel = wire.reader(_CancelReply)


class _Lane:
    """The connections of one kind of traffic; a busy one never holds the next request, which opens another."""

    def __init__(
        self,
        host: str,
        port: int,
        secure: bool,
        connect_timeout: float,
        reply_timeout: float,
        clock_ns: Callable[[], int],
    ) -> None:
        self.reply_timeout = reply_timeout
        pool = SSLConnectionPool if secure else ConnectionPool
        self._factory = pool(host, port, host, port, size=_CONNECTIONS, connection_timeout=connect_timeout)
        self._clock_ns = clock_ns
        self._idle: deque[tuple[int, Any]] = deque()
        """(last used ns, socket), the most recently used last. A socket gets here only after a whole reply."""

    def take(self) -> Any:
        """A connection that was alive a moment ago, else a new one. OSError when none can be made."""
        while self._idle:
            _, sock = self._idle.pop()
            if _silent(sock):
                return sock
            self.drop(sock)
        return self._factory.get_socket()

    def give_back(self, sock: Any) -> None:
        self._idle.append((self._clock_ns(), sock))
        while len(self._idle) > _SPARES:
            self.drop(self._idle.popleft()[1])

    def drop(self, sock: Any) -> None:
        self._factory.release_socket(sock)

    def coldest(self, unused_s: float) -> Any | None:
        """A connection to ping: a missing spare, or the one unused longest if that is long enough."""
        if len(self._idle) < _SPARES:
            return self._factory.get_socket()
        used_ns, sock = self._idle[0]
        if self._clock_ns() - used_ns < unused_s * 1e9:
            return None
        self._idle.popleft()
        if _silent(sock):
            return sock
        self.drop(sock)
        return self._factory.get_socket()

    def close(self) -> None:
        while self._idle:
            self.drop(self._idle.pop()[1])
        self._factory.close()


def _silent(sock: Any) -> bool:
    """An idle connection is readable only when its peer has closed it (or sent what it should not)."""
    poll = _poll()
    poll.register(sock.fileno(), select.POLLIN)
    return not poll.poll(0)


class KalshiOrders:
    """Creates and cancels orders. Each call makes one attempt, blocks only its greenlet, and gives an Outcome."""

    def __init__(
        self,
        base_url: str,
        signer: Signer,
        *,
        on_sent: Callable[[str, int], None] = lambda client_order_id, sent_ns: None,
        connect_timeout: float = 3.0,
        reply_timeout: float = 5.0,
        exit_reply_timeout: float = 2.0,
        clock_ns: Callable[[], int] = time.time_ns,
        log: Callable[[str], None] = lambda line: None,
        canary: Canary | None = None,
    ) -> None:
        """`on_sent(client_order_id, time_ns)` is called when the kernel has taken a create request.

        An exit is given up sooner than an entry: it is sent again with the same id, and nothing is lost by that.
        """
        parts = urlsplit(base_url)
        secure = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if secure else 80)
        self._host = parts.netloc
        self._prefix = parts.path.rstrip("/")
        self._orders_path = f"{self._prefix}/portfolio/events/orders"
        self._signer = signer
        self._on_sent = on_sent
        self._clock_ns = clock_ns
        self._log = log
        self._canary = canary or Canary(log)
        self.create_headers = HeaderStock(signer, "POST", self._orders_path, clock_ns)
        """Call its refresh() about once a second."""
        self._exits = _Lane(host, port, secure, connect_timeout, exit_reply_timeout, clock_ns)
        self._others = _Lane(host, port, secure, connect_timeout, reply_timeout, clock_ns)

    def create(self, order: PlaceOrder) -> Outcome:
        """Send one order."""
        body = msgspec.json.encode(
            _Create(
                ticker=order.ticker,
                client_order_id=order.client_order_id,
                side=order.side,
                count=format_count(order.count),
                price=format_price(order.price),
                time_in_force=order.time_in_force,
                self_trade_prevention_type=order.self_trade_prevention,
                reduce_only=order.reduce_only,
            )
        )
        request = self._request("POST", self._orders_path, self.create_headers.take(), body)
        lane = self._exits if order.purpose == "exit" else self._others
        answer = self._exchange(lane, "POST", request, lambda ns: self._on_sent(order.client_order_id, ns))
        outcome = answer if isinstance(answer, Unknown | NotSent) else create_outcome(order, *answer)
        self._look(answer, outcome)
        what = f"{order.side} {format_count(order.count)} @ {format_price(order.price)} {order.time_in_force}"
        self._log(f"ORDER {order.purpose} {order.ticker} {what} {order.client_order_id}: {_told(outcome)}")
        return outcome

    def amend(self, order: AmendOrder) -> Outcome:
        """Give a resting order another price, as an exit: in the exits' lane, given up as soon."""
        path = f"{self._orders_path}/{quote(order.order_id, safe='')}/amend"
        headers = self._signer.headers("POST", path, self._clock_ns() // 1_000_000)
        body = msgspec.json.encode(
            _Amend(
                ticker=order.ticker,
                client_order_id=order.client_order_id,
                side=order.side,
                price=format_price(order.price),
                count=format_count(order.count),
            )
        )
        request = self._request("POST", path, headers, body)
        answer = self._exchange(self._exits, "POST", request, lambda ns: self._on_sent(order.client_order_id, ns))
        outcome = answer if isinstance(answer, Unknown | NotSent) else amend_outcome(order, *answer)
        self._look(answer, outcome)
        what = f"{order.side} {format_count(order.count)} @ {format_price(order.price)}"
        self._log(f"AMEND {order.ticker} {order.order_id} {order.client_order_id} to {what}: {_told(outcome)}")
        return outcome

    def cancel(self, order: CancelOrder) -> Outcome:
        """Cancel one order; the ticker lets the exchange find its shard (kalshi-api.md 1.4)."""
        path = f"{self._orders_path}/{quote(order.order_id, safe='')}"
        headers = self._signer.headers("DELETE", path, self._clock_ns() // 1_000_000)
        request = self._request("DELETE", f"{path}?market_ticker={quote(order.ticker, safe='')}", headers)
        answer = self._exchange(self._others, "DELETE", request)
        outcome = answer if isinstance(answer, Unknown | NotSent) else cancel_outcome(order, *answer)
        self._look(answer, outcome)
        self._log(f"CANCEL {order.ticker} {order.order_id} {order.client_order_id}: {_told(outcome)}")
        return outcome

    def _look(self, answer: tuple[int, bytes] | Unknown | NotSent, outcome: Outcome) -> None:
        """A success that could not be read is of another shape than we know."""
        if isinstance(answer, tuple) and answer[0] < 300 and isinstance(outcome, Unknown):
            self._canary.saw("order reply", f"{answer[0]} of another shape", answer[1])

    def keep_warm(self, unused_s: float = 10.0) -> None:
        """Keep two live connections in each lane: open what is missing, ping what was unused for long.

        Call every few seconds, not from a greenlet that must send orders. A failed ping is tried again next time.
        """
        request = self._request("GET", f"{self._prefix}/exchange/status", {})
        for lane in (self._exits, self._others):
            for _ in range(_SPARES):
                try:
                    sock = lane.coldest(unused_s)
                except OSError as error:
                    self._log(f"no connection for orders: {error}")
                    break
                if sock is None:
                    break
                try:
                    sock.sendall(request)
                    self._await_reply(lane, sock, "GET")
                except (OSError, HTTPParseError):
                    lane.drop(sock)

    def close(self) -> None:
        self._exits.close()
        self._others.close()

    def _request(self, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> bytes:
        fields = {"Host": self._host, "User-Agent": "tickstop", **headers}
        if body:
            fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body

    def _exchange(
        self, lane: _Lane, method: str, request: bytes, sent: Callable[[int], None] = lambda ns: None
    ) -> tuple[int, bytes] | Unknown | NotSent:
        """Send once, read the reply. Another connection is tried only while the kernel has taken no byte."""
        for _ in range(_SPARES + 1):
            try:
                sock = lane.take()
            except OSError as error:
                return NotSent(f"no connection: {error}")
            try:
                taken = sock.send(request)
            except OSError:
                lane.drop(sock)
                continue
            try:
                if taken < len(request):
                    sock.sendall(request[taken:])
                sent(self._clock_ns())
                return self._await_reply(lane, sock, method)
            except TimeoutError:
                lane.drop(sock)
                return Unknown(f"no complete reply within {lane.reply_timeout:g} s")
            except (OSError, HTTPParseError) as error:
                lane.drop(sock)
                return Unknown(f"connection lost before the reply was complete: {error}")
            except Exception as error:
                lane.drop(sock)
                return Unknown(f"our own fault after sending: {error!r}")
            except BaseException:
                lane.drop(sock)
                raise
        return NotSent("connections broke before anything was sent")

    def _await_reply(self, lane: _Lane, sock: Any, method: str) -> tuple[int, bytes]:
        reply = HTTPResponse(method)
        deadline = time.monotonic() + lane.reply_timeout
        while not (reply.message_complete and reply.get_code() >= 200):
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
            data = sock.recv(65536)
            if not data:
                raise ConnectionResetError("closed by the exchange")
            reply.feed(data)
        sock.settimeout(lane.reply_timeout)
        if reply.should_close():
            lane.drop(sock)
        else:
            lane.give_back(sock)
        return reply.get_code(), bytes(reply._body_buffer)


def create_outcome(order: PlaceOrder, status: int, body: bytes) -> Outcome:
    """What an answer to a create means (kalshi-api.md 4.9)."""
    if 200 <= status < 300:
        try:
            reply = _read_create(body)
            filled, remaining = wire.to_count(reply.fill_count), wire.to_count(reply.remaining_count)
        except ValueError as error:
            return Unknown(f"{status} without a readable order: {error}")
        if not reply.order_id or reply.client_order_id not in ("", order.client_order_id):
            return Unknown(f"{status} describes another order: {reply.order_id or 'no id'} {reply.client_order_id}")
        return Accepted(order_id=reply.order_id, filled=filled, remaining=remaining)
    return _refusal(status, body)


def amend_outcome(order: AmendOrder, status: int, body: bytes) -> Outcome:
    """What an answer to an amend means. What rests afterwards is its word; what filled, the fills tell."""
    if 200 <= status < 300:
        try:
            reply = _read_amend(body)
            remaining = order.count if reply.remaining_count is None else wire.to_count(reply.remaining_count)
        except ValueError as error:
            return Unknown(f"{status} without a readable order: {error}")
        if reply.order_id != order.order_id:
            return Unknown(f"{status} describes another order: {reply.order_id}")
        return Accepted(order_id=reply.order_id, filled=Count(0), remaining=remaining)
    return NotFound() if status == 404 else _refusal(status, body)


def cancel_outcome(order: CancelOrder, status: int, body: bytes) -> Outcome:
    """What an answer to a cancel means. 404 does not prove that the order was cancelled."""
    if 200 <= status < 300:
        try:
            reply = _read_cancel(body)
            reduced = wire.to_count(reply.reduced_by)
        except ValueError as error:
            return Unknown(f"{status} without a readable cancellation: {error}")
        if reply.order_id != order.order_id:
            return Unknown(f"{status} describes another order: {reply.order_id}")
        return Accepted(order_id=reply.order_id, filled=Count(0), remaining=Count(0), reduced=reduced)
    return NotFound() if status == 404 else _refusal(status, body)


def _refusal(status: int, body: bytes) -> Outcome:
    code, message = wire.error_of(status, body)
    if status == 409 and code == "order_already_exists":
        return AlreadyExists()
    if 400 <= status < 500 and status not in (408, 409):
        return Rejected(code=code, message=message, status=status)
    if status == 409 and not code.startswith("http_"):
        return Rejected(code=code, message=message, status=status)
    return Unknown(f"{status} {code} {message}".strip())


def _told(outcome: Outcome) -> str:
    if isinstance(outcome, Accepted):
        return (
            f"accepted {outcome.order_id}, filled {format_count(outcome.filled)}, "
            f"resting {format_count(outcome.remaining)}, removed {format_count(outcome.reduced)}"
        )
    if isinstance(outcome, Rejected):
        return f"rejected {outcome.status} {outcome.code} {outcome.message}"
    if isinstance(outcome, Unknown | NotSent):
        return f"{'UNKNOWN' if isinstance(outcome, Unknown) else 'not sent'}: {outcome.reason}"
    return "exists already" if isinstance(outcome, AlreadyExists) else "not found"
