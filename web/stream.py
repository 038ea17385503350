"""The live stream: one fan-out in this process, numbered frames, resume, and a bounded queue for each browser.

A browser gets a snapshot, then keyed changes. Frame ids are `<boot>-<seq>` and ascend. A browser that is slow gets the
newest value of each key; one that is far behind, or returns with an id that is no longer kept, gets a new snapshot.
Nothing here yields while it publishes, so under gevent a page and its number always belong together.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from flask_sse import Message
from gevent.event import Event

from web.desk import Page
from web.diff import diff

HELLO = b": tickstop\nretry:2000\n\n"
HEARTBEAT_S = 15.0


class StreamsFull(Exception):
    """As many streams are open as we allow."""


class Frame(NamedTuple):
    seq: int
    key: Hashable
    data: bytes


def encode(event: str, data: Any, frame_id: str | None = None) -> bytes:
    """One server-sent event in flask-sse's format. JSON stays ASCII: a line separator in a title must not cut it."""
    return str(Message(json.dumps(data, separators=(",", ":")), type=event, id=frame_id)).encode()


class Stream:
    """Fans pages and events out to every open browser."""

    def __init__(
        self,
        page: Callable[[], Page],
        boot: str,
        *,
        limit: int = 32,
        kept: int = 4000,
        queue: int = 1000,
        heartbeat_s: float = HEARTBEAT_S,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.boot = boot
        self.limit = limit
        self.queue = queue
        self.heartbeat_s = heartbeat_s
        self.now = now
        self.closed = False
        self._source = page
        self._page: Page | None = None
        self._seq = 0
        self._ring: deque[Frame] = deque(maxlen=kept)
        self._clients: set[Client] = set()
        self._snapshot: tuple[int, str] = (-1, "")

    def __len__(self) -> int:
        return len(self._clients)

    def publish_page(self, page: Page) -> None:
        """Send what changed since the page before."""
        before, self._page = self._page, page
        if before is None:
            return
        for change in diff(before, page):
            self._emit("delta", change, (change["coll"], change["key"]))

    def publish(self, event: str, data: Any) -> None:
        """Send one event of its own; it is never conflated."""
        self._emit(event, data, self._seq + 1)

    def snapshot(self) -> tuple[str, str]:
        """The id of the newest frame and the page at that frame as JSON."""
        if self._page is None:
            self._page = self._source()
        if self._snapshot[0] != self._seq:
            self._snapshot = (self._seq, json.dumps(self._page, separators=(",", ":")))
        return self._id(self._seq), self._snapshot[1]

    def open(self, last_id: str | None, allowed: Callable[[], bool] = lambda: True) -> "Client":
        """A new browser's stream of bytes, resumed after `last_id` when the frames since are still kept."""
        if self.closed or len(self._clients) >= self.limit:
            raise StreamsFull
        client = Client(self, allowed)
        missed = self._since(last_id)
        if missed is None:
            client.restart()
        else:
            client.sent = self._seq - len(missed)
            for frame in missed:
                client.put(frame)
        self._clients.add(client)
        return client

    def leave(self, client: "Client") -> None:
        self._clients.discard(client)

    def close(self) -> None:
        """End all streams with `bye`; browsers come back by themselves."""
        self.closed = True
        for client in self._clients:
            client.wake.set()

    def _emit(self, event: str, data: Any, key: Hashable) -> None:
        self._seq += 1
        frame = Frame(self._seq, key, encode(event, data, self._id(self._seq)))
        self._ring.append(frame)
        for client in self._clients:
            client.put(frame)

    def _since(self, last_id: str | None) -> list[Frame] | None:
        """The frames after `last_id`; None when we cannot know them all."""
        boot, _, number = (last_id or "").rpartition("-")
        if boot != self.boot or not (number.isascii() and number.isdigit()):
            return None
        missing = self._seq - int(number)
        if not 0 <= missing <= len(self._ring):
            return None
        return list(islice(self._ring, len(self._ring) - missing, None))

    def _id(self, seq: int) -> str:
        return f"{self.boot}-{seq}"


class Client:
    """One browser: the newest pending frame of each key, in the order of their ids; iterating yields bytes to send."""

    def __init__(self, stream: Stream, allowed: Callable[[], bool]) -> None:
        self.wake = Event()
        self.sent = 0
        self._stream = stream
        self._allowed = allowed
        self._pending: dict[Hashable, Frame] = {}
        self._whole = False

    def put(self, frame: Frame) -> None:
        if self._whole:
            return
        self._pending.pop(frame.key, None)
        self._pending[frame.key] = frame
        if len(self._pending) > self._stream.queue:
            self.restart()
        self.wake.set()

    def restart(self) -> None:
        """Forget what is pending: the next thing sent is a whole snapshot."""
        self._pending.clear()
        self._whole = True
        self.wake.set()

    def close(self) -> None:
        self._stream.leave(self)

    def __iter__(self) -> Iterator[bytes]:
        yield HELLO
        tick_at = time.monotonic()
        while True:
            if self._stream.closed:
                yield self._take() + encode("bye", {"reason": "restart", "retry_ms": 3000})
                return
            chunk = self._take()
            if time.monotonic() >= tick_at:
                if not self._allowed():
                    yield encode("bye", {"reason": "signed_out"})
                    return
                chunk += self._tick()
                tick_at = time.monotonic() + self._stream.heartbeat_s
            if chunk:
                yield chunk
            self.wake.wait(max(0.0, tick_at - time.monotonic()))

    def _take(self) -> bytes:
        self.wake.clear()
        if self._whole:
            self._whole = False
            frame_id, page = self._stream.snapshot()
            self.sent = int(frame_id.rpartition("-")[2])
            return str(Message(page, type="snapshot", id=frame_id)).encode()
        frames, self._pending = self._pending, {}
        if frames:
            self.sent = next(reversed(frames.values())).seq
        return b"".join(frame.data for frame in frames.values())

    def _tick(self) -> bytes:
        return encode("tick", {"server_ms": int(self._stream.now() * 1000), "seq": self.sent})
