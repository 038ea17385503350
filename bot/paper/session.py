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
from bot.paper.faults import Faults
from bot.paper.frames import CLOSE, PING, PONG, TEXT, Broken, Reader, frame

SEQUENCED = {"orderbook_delta", "trade", "market_lifecycle_v2", "multivariate_market_lifecycle", "order_group_updates"}
UNFILTERED = {"market_lifecycle_v2", "multivariate_market_lifecycle", "order_group_updates"}
CHANNELS = SEQUENCED | {"ticker", "fill", "user_orders", "market_positions"}
STALLED_S = 30

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
}


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

    def index(self, sub: "Subscription") -> None: ...

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

    def send(self, kind: str, body: bytes, command: int = 0) -> None:
        """Queue a message on this subscription with its own sid and, on sequenced channels, the next seq."""
        self.session.send(self._head(kind, command) + b',"msg":' + body + b"}\n", self)

    def ack(self, kind: str, command: int, body: bytes | None) -> None:
        tail = b"}\n" if body is None else b',"msg":' + body + b"}\n"
        self.session.send(self._head(kind, command, always=kind == "unsubscribed") + tail)

    def _head(self, kind: str, command: int, *, always: bool = False) -> bytes:
        head = f'{{"type":"{kind}","sid":{self.sid}'
        if command:
            head += f',"id":{command}'
        if always or self.channel in SEQUENCED:
            self.seq += 1
            head += f',"seq":{self.seq}'
        return f'{head},"sending_ts_ms":{time.time_ns() // 1_000_000}'.encode()


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
        self._last_sid = 0
        self._writing_since: float | None = None

    def run(self) -> None:
        """Serve the connection until it ends."""
        writer = gevent.spawn(self._write)
        reader = Reader()
        try:
            while self._open and (data := self._sock.recv(65_536)):
                for opcode, payload in reader.feed(data):
                    if opcode == CLOSE:
                        self._put(frame(CLOSE, payload))
                        return
                    if opcode == PING:
                        self._put(frame(PONG, payload))
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
            self._put(frame(PING, b"heartbeat"))

    def send(self, message: bytes, subscription: Subscription | None = None) -> None:
        """Queue a text message; data that no longer fits ends its subscription with error 25."""
        if subscription and self._queued + len(message) > self._limit:
            self.drop(subscription)
            self._put(frame(TEXT, _error(25, sid=subscription.sid)))
            return
        fault = self.hub.faults.strike("ws") if subscription else None
        if fault and fault.kind == "reset":
            self.close()
        elif not fault or fault.kind != "drop":
            self._put(frame(TEXT, message))

    def drop(self, subscription: Subscription) -> None:
        self.hub.unindex(subscription)
        self.by_sid.pop(subscription.sid, None)
        self.by_channel.pop(subscription.channel, None)

    def _put(self, data: bytes) -> None:
        self._queue.append(data)
        self._queued += len(data)
        self._wake.set()

    def _write(self) -> None:
        try:
            while self._open or self._queue:
                self._wake.wait()
                self._wake.clear()
                while self._queue:
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
            if name == "list_subscriptions":
                listing = [{"channel": sub.channel, "sid": sub.sid} for sub in self.by_sid.values()]
                self.send(encode({"type": "ok", "id": number, "msg": listing}) + b"\n")
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
                self.send(encode({"type": "subscribed", "id": number, "msg": message}) + b"\n")
                self._fill(sub, wanted, params, number)
            else:
                before = sub.tickers
                fresh = [t for t in wanted or () if before is not None and t not in before]
                self._widen(sub, wanted)
                self._ok(sub, number)
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

    def _fill(self, sub: Subscription, wanted: list[str] | None, params: dict[str, Any], number: int) -> None:
        self._widen(sub, wanted)
        self._start(sub, list(self.hub.engine.markets) if wanted is None else wanted, params)

    def _widen(self, sub: Subscription, wanted: list[str] | None) -> None:
        """Let a subscription cover more markets; None is all of them."""
        self.hub.unindex(sub)
        if wanted is None or sub.tickers is None:
            sub.tickers = None
        else:
            sub.tickers |= dict.fromkeys(wanted)
        self.hub.index(sub)

    def _start(self, sub: Subscription, tickers: list[str], params: dict[str, Any]) -> None:
        """What a subscription sends first: every book; on request every ticker."""
        if sub.channel == "orderbook_delta":
            for ticker in tickers:
                self.hub.snapshot(sub, ticker)
        elif sub.channel == "ticker" and params.get("send_initial_snapshot") is True:
            for ticker in tickers:
                self.hub.first_ticker(sub, ticker)

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
        elif action == "add_markets":
            fresh = [ticker for ticker in tickers if sub.tickers is not None and ticker not in sub.tickers]
            self._widen(sub, tickers)
            self._ok(sub, number)
            self._start(sub, fresh, params)
        else:
            if sub.tickers is None:
                raise Refused(11)
            self.hub.unindex(sub)
            sub.tickers = {ticker: None for ticker in sub.tickers if ticker not in tickers}
            self.hub.index(sub)
            self._ok(sub, number)

    def _ok(self, sub: Subscription, number: int) -> None:
        listing = {} if sub.quiet_ack else {"market_tickers": list(sub.tickers or ())}
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
        return list(dict.fromkeys(listed))


def _error(code: int, *, number: int = 0, sid: int = 0) -> bytes:
    body: dict[str, Any] = {"type": "error"}
    if number:
        body["id"] = number
    if sid:
        body["sid"] = sid
    return encode(body | {"msg": {"code": code, "msg": ERRORS[code]}}) + b"\n"
