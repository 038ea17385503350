"""One WebSocket connection: its subscriptions, its commands, its queue of outgoing frames.

Rules of kalshi-api.md sections 6.2, 6.4 and 6.6. Nothing here blocks but a session's own reader and writer.
"""

import time
from collections import deque
from typing import Any, Protocol

import gevent
import msgspec
from gevent.event import Event as Signal

from bot.paper.engine import Engine
from bot.paper.faults import Fault, Faults
from bot.paper.frames import CLOSE, PING, PONG, TEXT, Broken, Reader, frame

SEQUENCED = {"orderbook_delta", "trade", "market_lifecycle_v2", "multivariate_market_lifecycle", "order_group_updates"}
UNFILTERED = {"market_lifecycle_v2", "multivariate_market_lifecycle", "order_group_updates"}
CHANNELS = SEQUENCED | {"ticker", "fill", "user_orders", "market_positions"}
STALLED_S = 30
MAX_COMMANDS = 10_000
"""Per second and session."""
MAX_MARKETS = 500_000
"""Market subscriptions of a session."""

encode = msgspec.json.Encoder().encode

ERRORS = {
    1: "Unable to process message",
    2: "Params required",
    3: "Channels required",
    4: "Subscription IDs required",
    5: "Unknown command",
    7: "Unknown subscription ID",
    8: "Unknown channel name",
    11: "Invalid parameter",
    12: "Exactly one subscription ID is required",
    13: "Unsupported action",
    14: "Market Ticker required",
    15: "Action required",
    25: "Subscription buffer overflow",
    26: "Market subscription limit exceeded",
    27: "Too many requests",
}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Refused(Exception):
    """A command that is answered with an error frame."""

    def __init__(self, code: int) -> None:
        super().__init__(ERRORS[code])
        self.code = code


class Feed(Protocol):
    """What a session needs of the hub."""

    engine: Engine
    faults: Faults

    def leave(self, session: "Session") -> None: ...

    def index(self, sub: "Subscription", tickers: list[str] | None = None) -> None: ...

    def unindex(self, sub: "Subscription") -> None: ...

    def snapshot(self, sub: "Subscription", ticker: str, command: int = 0) -> None: ...

    def first_ticker(self, sub: "Subscription", ticker: str) -> None: ...


class Subscription:
    """One channel on one session; `tickers` None means every market."""

    def __init__(self, session: "Session", sid: int, channel: str, *, yes_price: bool, quiet_ack: bool) -> None:
        self.session = session
        self.sid = sid
        self.channel = channel
        self.tickers: dict[str, None] | None = {}
        self.yes_price = yes_price
        self.quiet_ack = quiet_ack
        self.seq = 0
        self._sequenced = channel in SEQUENCED

    def send(self, kind: str, body: bytes, command: int = 0) -> None:
        """Queue a message on this subscription with its own sid and, on sequenced channels, the next seq."""
        self.session.send(b'%b,"msg":%b}\n' % (self._head(kind, command), body), self)

    def ack(self, kind: str, command: int, body: bytes | None) -> None:
        tail = b"}\n" if body is None else b',"msg":' + body + b"}\n"
        self.session.send(self._head(kind, command, always=kind == "unsubscribed") + tail)

    def _head(self, kind: str, command: int, *, always: bool = False) -> bytes:
        head = f'{{"type":"{kind}","sid":{self.sid}'
        if command:
            head += f',"id":{command}'
        if always or self._sequenced:
            self.seq += 1
            head += f',"seq":{self.seq}'
        return f'{head},"sending_ts_ms":{now_ms()}'.encode()


class Session:
    """One connection: reads commands, queues frames, writes them."""

    def __init__(self, hub: Feed, sock: Any, user_id: str, limit: int) -> None:
        self.hub = hub
        self.user_id = user_id
        self.by_sid: dict[int, Subscription] = {}
        self.by_channel: dict[str, Subscription] = {}
        self._sock = sock
        self._limit = limit
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._wake = Signal()
        self._open = True
        self._second = self._commands = 0
        self._last_sid = 0
        self._writing_since: float | None = None
        self._mute = ""
        """'silent': only control frames go out; 'dead': nothing does (faults)."""
        self._held = b""
        """A frame that goes out after the next one (fault)."""
        self._late_until = 0.0

    @property
    def waiting(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._queued

    def run(self) -> None:
        """Serve the connection until it ends."""
        writer = gevent.spawn(self._write)
        reader = Reader()
        try:
            while self._open and (data := self._sock.recv(65_536)):
                for opcode, payload in reader.feed(data):
                    if opcode == CLOSE:
                        self._put(frame(CLOSE, payload), control=True)
                        return
                    if opcode == PING:
                        self._put(frame(PONG, payload), control=True)
                    elif opcode == TEXT:
                        self._command(payload)
        except (Broken, OSError):
            pass
        finally:
            self.hub.leave(self)
            self._open = False
            self._wake.set()
            writer.join(timeout=1)
            self.close()

    def close(self) -> None:
        self._open = False
        self._sock.close()

    def ping(self) -> None:
        """Send the heartbeat; a client that has not taken anything for long is cut off."""
        if self._writing_since and time.monotonic() - self._writing_since > STALLED_S:
            self.close()
        else:
            self._put(frame(PING, b"heartbeat"), control=True)

    def send(self, message: bytes, subscription: Subscription | None = None) -> None:
        """Queue a text message; data that no longer fits ends its subscription with error 25."""
        if subscription is None:
            self._put(frame(TEXT, message))
        elif self._queued + len(message) > self._limit:
            self._overflow(subscription)
        elif fault := self.hub.faults.plan and self.hub.faults.strike("ws", subscription.channel, now_ms()):
            self._struck(fault, message, subscription)
        else:
            self._put(frame(TEXT, message))
            if self._held:
                held, self._held = self._held, b""
                self._put(held)

    def _overflow(self, subscription: Subscription) -> None:
        self.drop(subscription)
        self._put(frame(TEXT, _error(25, sid=subscription.sid)))

    def _struck(self, fault: Fault, message: bytes, subscription: Subscription) -> None:
        match fault.kind:
            case "reset":
                self.close()
            case "silent" | "dead":
                self._mute = fault.kind
            case "overflow":
                self._overflow(subscription)
            case "garbage":
                self._put(frame(TEXT, message[: len(message) // 2]))
            case "reorder":
                self._held += frame(TEXT, message)
            case "duplicate":
                self._put(frame(TEXT, message) * 2)
            case "delay":
                self._late_until = time.monotonic() + self.hub.faults.delay_ms(fault) / 1000
                self._put(frame(TEXT, message))

    def drop(self, subscription: Subscription) -> None:
        self.hub.unindex(subscription)
        self.by_sid.pop(subscription.sid, None)
        self.by_channel.pop(subscription.channel, None)

    def _put(self, data: bytes, *, control: bool = False) -> None:
        if self._mute == "dead" or (self._mute and not control):
            return
        self._queue.append(data)
        self._queued += len(data)
        if len(self._queue) == 1:
            self._wake.set()

    def _write(self) -> None:
        try:
            while self._open or self._queue:
                self._wake.wait()
                self._wake.clear()
                while self._queue:
                    if (late := self._late_until - time.monotonic()) > 0:
                        gevent.sleep(late)
                    data = b"".join(self._queue)
                    self._queue.clear()
                    self._writing_since = time.monotonic()
                    self._sock.sendall(data)
                    self._writing_since = None
                    self._queued -= len(data)
        except OSError:
            self.close()

    # Commands

    def _command(self, payload: bytes) -> None:
        number = 0
        try:
            try:
                command = msgspec.json.decode(payload, type=dict[str, Any])
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                raise Refused(1) from None
            given = command.get("id", 0)
            number = given if isinstance(given, int) and given > 0 else 0
            name = command.get("cmd")
            self._count_command()
            if name == "list_subscriptions":
                listing = [{"channel": sub.channel, "sid": sub.sid} for sub in self.by_sid.values()]
                self.send(encode(_named("ok", number) | {"msg": listing}) + b"\n")
                return
            if name not in ("subscribe", "unsubscribe", "update_subscription"):
                raise Refused(5)
            params = command.get("params")
            if not isinstance(params, dict):
                raise Refused(2)
            if name == "subscribe":
                self._subscribe(number, params)
            elif name == "unsubscribe":
                self._unsubscribe(number, params)
            else:
                self._update(number, params)
        except Refused as refused:
            self.send(_error(refused.code, number=number))

    def _count_command(self) -> None:
        """Refuse commands beyond MAX_COMMANDS in one second."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._commands = second, 0
        self._commands += 1
        if self._commands > MAX_COMMANDS:
            raise Refused(27)

    def _subscribe(self, number: int, params: dict[str, Any]) -> None:
        channels = params.get("channels")
        if not isinstance(channels, list) or not channels:
            raise Refused(3)
        if any(not isinstance(channel, str) or channel not in CHANNELS for channel in channels):
            raise Refused(8)
        tickers = self._tickers(params)
        if "orderbook_delta" in channels and not tickers:
            raise Refused(14)
        for channel in channels:
            sub = self.by_channel.get(channel)
            wanted = None if channel in UNFILTERED else tickers
            if sub is None:
                sub = self._new(channel, params)
                message: dict[str, Any] = {"channel": channel, "sid": sub.sid}
                self.send(encode(_named("subscribed", number) | {"msg": message}) + b"\n")
                self._start(sub, wanted, params)
            else:
                fresh = self._fresh(sub, wanted)
                self._ok(sub, number, fresh)
                self._start(sub, fresh, params)

    def _new(self, channel: str, params: dict[str, Any]) -> Subscription:
        self._last_sid += 1
        yes_price = params.get("use_yes_price") is True
        sub = Subscription(
            self, self._last_sid, channel, yes_price=yes_price, quiet_ack=params.get("skip_ticker_ack") is True
        )
        self.by_sid[sub.sid] = sub
        self.by_channel[channel] = sub
        return sub

    def _fresh(self, sub: Subscription, wanted: list[str] | None) -> list[str] | None:
        """What a subscription does not cover yet; None is all markets."""
        if sub.tickers is None:
            return []
        return None if wanted is None else [ticker for ticker in wanted if ticker not in sub.tickers]

    def _start(self, sub: Subscription, wanted: list[str] | None, params: dict[str, Any]) -> None:
        """Let a subscription cover more markets (None: all) and send what comes first: every book; every ticker if
        that was asked for. A market's data begins with its book, and books go out no faster than the client reads."""
        books = sub.channel == "orderbook_delta"
        tickers = sub.channel == "ticker" and params.get("send_initial_snapshot") is True
        if not books:
            self._widen(sub, wanted)
        for ticker in list(self.hub.engine.markets) if wanted is None else wanted:
            if books and sub.sid in self.by_sid:
                self._widen(sub, [ticker])
                self.hub.snapshot(sub, ticker)
            elif tickers:
                self.hub.first_ticker(sub, ticker)
            self._let_drain()

    def _let_drain(self) -> None:
        """Wait while the client has much to take."""
        while self._open and self._queued > self._limit // 4:
            gevent.sleep(0.001)

    def _widen(self, sub: Subscription, wanted: list[str] | None) -> None:
        if wanted is None or sub.tickers is None:
            self.hub.unindex(sub)
            sub.tickers = None
            self.hub.index(sub)
        else:
            sub.tickers |= dict.fromkeys(wanted)
            self.hub.index(sub, wanted)

    def _unsubscribe(self, number: int, params: dict[str, Any]) -> None:
        sids = params.get("sids")
        if not isinstance(sids, list) or not sids:
            raise Refused(4)
        if any(not isinstance(sid, int) or sid not in self.by_sid for sid in sids):
            raise Refused(7)
        for sid in dict.fromkeys(sids):
            sub = self.by_sid[sid]
            self.drop(sub)
            sub.ack("unsubscribed", number, None)

    def _update(self, number: int, params: dict[str, Any]) -> None:
        sids = params.get("sids", [params["sid"]] if "sid" in params else [])
        if not isinstance(sids, list) or len(sids) != 1:
            raise Refused(12)
        sub = self.by_sid.get(sids[0]) if isinstance(sids[0], int) else None
        if sub is None:
            raise Refused(7)
        action = params.get("action")
        if action is None:
            raise Refused(15)
        allowed = {"add_markets", "delete_markets"} | ({"get_snapshot"} if sub.channel == "orderbook_delta" else set())
        if not isinstance(action, str) or action not in allowed or sub.channel in UNFILTERED:
            raise Refused(13)
        tickers = self._tickers(params)
        if not tickers:
            raise Refused(14)
        if action == "get_snapshot":
            for ticker in tickers:
                self.hub.snapshot(sub, ticker, number)
                self._let_drain()
        elif action == "add_markets":
            fresh = self._fresh(sub, tickers)
            self._ok(sub, number, fresh)
            self._start(sub, fresh, params)
        else:
            if sub.tickers is None:
                raise Refused(11)
            self.hub.unindex(sub)
            sub.tickers = {ticker: None for ticker in sub.tickers if ticker not in tickers}
            self.hub.index(sub)
            self._ok(sub, number)

    def _ok(self, sub: Subscription, number: int, fresh: list[str] | None = None) -> None:
        listing = {} if sub.quiet_ack else {"market_tickers": [*(sub.tickers or ()), *(fresh or ())]}
        sub.ack("ok", number, encode(listing))

    def _tickers(self, params: dict[str, Any]) -> list[str] | None:
        """The markets named in a command, without repeats; None when it names none."""
        named = params.get("market_tickers", params.get("market_ticker"))
        ids = params.get("market_ids", params.get("market_id"))
        if named is None and ids is not None:
            by_id = {market.market_id: ticker for ticker, market in self.hub.engine.markets.items()}
            named = [by_id.get(str(i), "") for i in (ids if isinstance(ids, list) else [ids])]
        if named is None or named == []:
            return None
        listed = [named] if isinstance(named, str) else named
        if not isinstance(listed, list) or not all(isinstance(ticker, str) for ticker in listed):
            raise Refused(11)
        if self.hub.engine.rules.unknown_tickers == "refused" and not self.hub.engine.markets.keys() >= set(listed):
            raise Refused(11)
        held = sum(len(sub.tickers or ()) for sub in self.by_sid.values())
        if held + len(listed) > MAX_MARKETS:
            raise Refused(26)
        return list(dict.fromkeys(listed))


def _named(kind: str, number: int) -> dict[str, Any]:
    """The head of a reply; a command with id 0 has none (kalshi-api.md section 6.2)."""
    return {"type": kind, "id": number} if number else {"type": kind}


def _error(code: int, *, number: int = 0, sid: int = 0) -> bytes:
    body = _named("error", number)
    if sid:
        body["sid"] = sid
    return encode(body | {"msg": {"code": code, "msg": ERRORS[code]}}) + b"\n"
