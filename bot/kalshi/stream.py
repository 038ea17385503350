"""The WebSocket v2 connection: connect, read, keep subscriptions in step, notice silence, connect again.

websocket-client does the handshake and the sending; the reading is ours (infra.md section 3). All of it runs in the
greenlet that calls `run`; other greenlets only change what is wanted.
"""

import random
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
from websocket import ABNF, WebSocket, WebSocketException

from bot.kalshi import framing
from bot.kalshi.canary import Canary
from bot.kalshi.frames import Control, Data, Error, OrderbookDelta, OrderbookSnapshot, Ticker, decode
from bot.kalshi.sign import Signer
from bot.kalshi.subscriptions import Command, Subscriptions
from bot.kalshi.wire import WireError

_SECOND = 1_000_000_000
ASK_NS = 7 * _SECOND
"""After this long without a byte we ping; the exchange, which pings every 10 s itself, answers (kalshi-api.md 6.1)."""

SILENCE_NS = 12 * _SECOND
"""A connection without a byte for this long, our ping unanswered, is dead."""

FIRST_DELAY_S, LONGEST_DELAY_S = 5.0, 60.0
_YIELD_FRAMES, _YIELD_NS = 64, 1_000_000
_A_MOMENT = 1e-6
"""Not 0: after sleep(0) gevent looks at sockets and timers only every 50th time, which held the hub for 25-50 ms."""

_WAITED_NS = 50_000
_RECEIVE_BYTES = 256 * 1024


class Listener(Protocol):
    """Who hears the stream; called in the reader's greenlet."""

    def connected(self) -> None: ...

    def frame(self, frame: Data, received_ns: int) -> None: ...

    def gap(self, channel: str, tickers: frozenset[str]) -> None:
        """Messages were lost: what is known from this channel is no longer certain. Books get new snapshots."""

    def disconnected(self) -> None: ...


class StreamStats(msgspec.Struct):
    """Counted since the start of the program, except the last four."""

    frames: int = 0
    bad_frames: int = 0
    gaps: int = 0
    resyncs: int = 0
    connects: int = 0
    rate: float = 0.0
    """Frames per second over the last second."""
    lag_ms: int = 0
    """Our clock minus the exchange's sending time of the last frame that gave one: delay plus clock difference."""
    connected_since_ns: int = 0
    """0 while there is no connection."""
    last_bytes_ns: int = 0


class _Lost(Exception):
    """The connection ended; the text says why."""


class Stream:
    """One WebSocket, kept connected until `stop`."""

    def __init__(
        self,
        url: str,
        signer: Signer,
        *,
        log: Callable[[str], None] = lambda line: None,
        clock_ns: Callable[[], int] = time.time_ns,
        first_delay_s: float = FIRST_DELAY_S,
        longest_delay_s: float = LONGEST_DELAY_S,
        connect_timeout: float = 5.0,
        canary: Canary | None = None,
        tap: Callable[[Data, bytes, int], None] | None = None,
    ) -> None:
        """`tap` hears each data frame that was understood, with its bytes as they came and when."""
        self.stats = StreamStats()
        self.canary = canary or Canary(log)
        self._tap = tap
        self._url = url
        self._path = urlsplit(url).path
        self._signer = signer
        self._log = log
        self._clock_ns = clock_ns
        self._first_delay_s = first_delay_s
        self._longest_delay_s = longest_delay_s
        self._connect_timeout = connect_timeout
        self._subscriptions = Subscriptions()
        self._socket: Any = None
        """A websocket.WebSocket while there is a connection; the library is not typed."""
        self._stopping = threading.Event()
        self._yielded_ns = 0
        self._unyielded = 0
        self._asked_ns = 0
        """When we last pinged."""

    @property
    def connected(self) -> bool:
        return self.stats.connected_since_ns > 0

    def subscribed(self) -> dict[str, int]:
        """Channel -> number of acknowledged markets."""
        return self._subscriptions.subscribed()

    def want(self, channel: str, tickers: frozenset[str] | None) -> None:
        """Deliver this channel for these markets; None for all of them, empty for nothing."""
        self._subscriptions.want(channel, tickers)
        self._send_commands()

    def resync(self, tickers: frozenset[str]) -> None:
        """Ask for new snapshots of these books."""
        self.stats.resyncs += 1
        self._subscriptions.resync(tickers)
        self._send_commands()

    def snapshots(self, tickers: frozenset[str]) -> None:
        """Ask for the present state of these books once more; nothing is wrong with them."""
        self._subscriptions.resync(tickers)
        self._send_commands()

    def run(self, listener: Listener) -> None:
        """Connect and read until `stop`. Reconnects after 5 s, doubling to 60 s while it keeps failing, with jitter."""
        delay = self._first_delay_s
        while not self._stopping.is_set():
            worked, reason = False, ""
            try:
                self._connect()
                listener.connected()
                self._read(listener)
            except (_Lost, OSError, WebSocketException, framing.FramingError) as error:
                worked = bool(self._subscriptions.subscribed())
                reason = " ".join(str(error).split())[:200] or type(error).__name__
            finally:
                was_connected = self._disconnect()
                if was_connected:
                    listener.disconnected()
            if self._stopping.is_set():
                self._log("WebSocket disconnected: stopped")
                return
            if worked:
                delay = self._first_delay_s
            pause = delay * random.uniform(0.8, 1.2)
            what = "disconnected" if was_connected else "could not connect"
            self._log(f"WebSocket {what}: {reason}; next attempt in {pause:.1f} s")
            self._stopping.wait(pause)
            delay = min(delay * 2, self._longest_delay_s)

    def stop(self) -> None:
        """End `run` soon."""
        self._stopping.set()
        if self._socket is not None:
            self._socket.abort()

    def _connect(self) -> None:
        headers = self._signer.headers("GET", self._path, self._clock_ns() // 1_000_000)
        self._subscriptions.reset()
        self._socket = WebSocket(skip_utf8_validation=True)
        self._socket.connect(
            self._url,
            header=[f"{name}: {value}" for name, value in headers.items()],
            timeout=self._connect_timeout,
            suppress_origin=True,
            redirect_limit=0,
            http_no_proxy=["*"],
        )
        self._socket.settimeout(1.0)
        now_ns = self._clock_ns()
        self.stats.connects += 1
        self.stats.connected_since_ns = self.stats.last_bytes_ns = now_ns
        self._log(f"WebSocket connected to {self._url}")
        self._send_commands()

    def _disconnect(self) -> bool:
        was_connected = self.connected
        self.stats.connected_since_ns = 0
        if self._socket is not None:
            self._socket.shutdown()
            self._socket = None
        return was_connected

    def _read(self, listener: Listener) -> None:
        receive = self._socket.sock.recv
        reader = framing.Framing()
        stats = self.stats
        second_ns, second_frames = self._clock_ns(), stats.frames
        while not self._stopping.is_set():
            asked_ns = self._clock_ns()
            try:
                data = receive(_RECEIVE_BYTES)
            except TimeoutError:
                data = None
            now_ns = self._clock_ns()
            if now_ns - asked_ns > _WAITED_NS:
                self._unyielded, self._yielded_ns = 0, time.monotonic_ns()
            if data:
                stats.last_bytes_ns = now_ns
                for opcode, payload in reader.messages(data):
                    if opcode == framing.TEXT:
                        self._text(listener, payload, now_ns)
                    else:
                        self._control(opcode, payload)
                    self._yield()
            elif data is not None:
                raise _Lost("closed without a close frame")
            if second_ns - now_ns > _SECOND:
                raise _Lost("the clock was set back: how long it is silent cannot be told")
            if now_ns - second_ns >= _SECOND:
                stats.rate = (stats.frames - second_frames) * _SECOND / (now_ns - second_ns)
                second_ns, second_frames = now_ns, stats.frames
                self._watch(now_ns)

    def _text(self, listener: Listener, payload: bytes, received_ns: int) -> None:
        stats = self.stats
        stats.frames += 1
        try:
            frame = decode(payload)
        except WireError as error:
            self._bad(payload, error)
            return
        sent_ms = frame.sending_ts_ms
        if frame.seq is not None and not self._subscriptions.in_order(frame.sid, frame.seq):
            self._gap(listener, frame.sid, frame.seq)
        if isinstance(frame, Control):
            self._reply(listener, frame, received_ns)
            return
        if isinstance(frame, OrderbookDelta | Ticker):
            sent_ms = sent_ms or frame.msg.ts_ms
        elif isinstance(frame, OrderbookSnapshot):
            self._subscriptions.snapshot_arrived(frame.msg.market_ticker)
        if sent_ms:
            stats.lag_ms = received_ns // 1_000_000 - sent_ms
        if self._tap is not None:
            self._tap(frame, payload, received_ns)
        try:
            listener.frame(frame, received_ns)
        except WireError as error:
            self._bad(payload, error)
            if frame.seq is not None:
                self._gap(listener, frame.sid, frame.seq)

    def _reply(self, listener: Listener, frame: Control, now_ns: int) -> None:
        if isinstance(frame, Error):
            self._log(f"WebSocket error {frame.msg.code} from the exchange: {frame.msg.msg[:200]}")
        lost = self._subscriptions.acknowledge(frame, now_ns)
        if lost is not None:
            listener.gap(*lost)
        self._send_commands()

    def _gap(self, listener: Listener, sid: int, seq: int) -> None:
        channel, tickers = self._subscriptions.gap(sid)
        self.stats.gaps += 1
        self._log(f"WebSocket gap on {channel} before message {seq}: {len(tickers)} markets read again")
        listener.gap(channel, tickers)
        if tickers:
            self.stats.resyncs += 1
            self._send_commands()

    def _bad(self, payload: bytes, error: WireError) -> None:
        self.stats.bad_frames += 1
        self.canary.saw("WebSocket", error, payload)

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == framing.PING:
            self._socket.send(payload, ABNF.OPCODE_PONG)
        elif opcode == framing.CLOSE:
            code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
            raise _Lost(f"closed by the exchange, code {code} {payload[2:].decode('utf-8', 'replace')}".strip())

    def _watch(self, now_ns: int) -> None:
        last_ns = self.stats.last_bytes_ns
        if now_ns - last_ns > SILENCE_NS:
            raise _Lost(f"silent for {SILENCE_NS // _SECOND} s")
        if now_ns - last_ns > ASK_NS and self._asked_ns < last_ns:
            self._asked_ns = now_ns
            self._socket.send(b"", ABNF.OPCODE_PING)
        if reason := self._subscriptions.overdue(now_ns):
            raise _Lost(reason)
        self._send_commands()

    def _send_commands(self) -> None:
        """Called by any greenlet. A failed send is left to the reader, which sees the same broken connection."""
        if not self.connected or self._socket is None:
            return
        commands: list[Command] = self._subscriptions.commands(self._clock_ns())
        for command in commands:
            try:
                self._socket.send(command.body, ABNF.OPCODE_TEXT)
            except (OSError, WebSocketException, AttributeError) as error:
                self._log(f"WebSocket command {command.text[:80]} could not be sent: {error}")
                return
            self._log(command.text if len(command.text) <= 300 else command.text[:300] + " ...")

    def _yield(self) -> None:
        """Let other greenlets run at least every 64 frames or 1 ms: a full socket never blocks by itself."""
        self._unyielded += 1
        now_ns = time.monotonic_ns()
        if self._unyielded >= _YIELD_FRAMES or now_ns - self._yielded_ns >= _YIELD_NS:
            time.sleep(_A_MOMENT)
            self._unyielded, self._yielded_ns = 0, time.monotonic_ns()
