"""The live stream: one fan-out in this process, numbered frames, resume, and the newest value of each key.

A browser gets a snapshot, then keyed changes. Frame ids are `<boot>-<seq>` and ascend. The frames of the last while are
kept once, for all; each browser only remembers how far it is. One that is behind gets the newest frame of each key, one
that is so far behind that frames are missing gets a new snapshot. A page with many changes is published in turns, so
that nobody waits for it; between two turns the page that is kept is the one its number says.
"""

import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import gevent
import msgspec
from gevent.event import Event

from web.desk import Page
from web.diff import Change, diff

HELLO = b": tickstop\nretry:2000\n\n"
HEARTBEAT_S = 15.0

_AT_ONCE = 100
"""Changes published before the others have their turn: about half a millisecond."""

_A_MOMENT = 1e-6
"""Not 0: after sleep(0) gevent looks at sockets and timers only every 50th time."""


class StreamsFull(Exception):
    """As many streams are open as we allow."""


class Frame(NamedTuple):
    seq: int
    key: Hashable
    data: bytes


def encode(event: str, data: bytes, frame_id: str | None = None) -> bytes:
    """One server-sent event as flask-sse's Message writes it, at a tenth of its cost; `data` is JSON on one line."""
    number = f"id:{frame_id}\n" if frame_id else ""
    return b"event:%s\ndata:%s\n%s\n" % (event.encode(), data, number.encode())


class Stream:
    """Fans pages and events out to every open browser."""

    def __init__(
        self,
        page: Callable[[], Page],
        boot: str,
        *,
        limit: int = 32,
        kept: int = 5000,
        heartbeat_s: float = HEARTBEAT_S,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.boot = boot
        self.limit = limit
        self.heartbeat_s = heartbeat_s
        self.now = now
        self.closed = False
        self._source = page
        self._page: Page | None = None
        self._seq = 0
        self._kept: deque[Frame] = deque(maxlen=kept)
        self._clients: set[Client] = set()
        self._snapshot: tuple[int, bytes] = (-1, b"")
        self._batch: tuple[int, int, bytes] = (0, 0, b"")

    def __len__(self) -> int:
        return len(self._clients)

    def publish_page(self, page: Page) -> None:
        """Send what changed since the page before. One caller at a time; others run meanwhile when much changed."""
        changes = diff(self._page, page) if self._page is not None else []
        while len(changes) > _AT_ONCE:
            some, changes = changes[:_AT_ONCE], changes[_AT_ONCE:]
            self._page = _changed(self._page or {}, some)
            self._keep_all(some)
            gevent.sleep(_A_MOMENT)
        self._page = page
        self._keep_all(changes)
        self._wake()

    def publish(self, event: str, data: Any) -> None:
        """Send one event of its own; it is never left out for a newer one."""
        self._keep(event, data, self._seq + 1)
        self._wake()

    def snapshot(self) -> tuple[str, bytes]:
        """The id of the newest frame and the page at that frame as JSON."""
        if self._page is None:
            self._page = self._source()
        if self._snapshot[0] != self._seq:
            self._snapshot = (self._seq, msgspec.json.encode(self._page))
        return self._id(self._seq), self._snapshot[1]

    def open(self, last_id: str | None, allowed: Callable[[], bool] = lambda: True) -> "Client":
        """A new browser's stream of bytes, going on after `last_id` when that is an id of ours."""
        if self.closed or len(self._clients) >= self.limit:
            raise StreamsFull
        boot, _, number = (last_id or "").rpartition("-")
        ours = boot == self.boot and number.isascii() and number.isdigit() and int(number) <= self._seq
        client = Client(self, int(number) if ours else None, allowed)
        self._clients.add(client)
        return client

    def leave(self, client: "Client") -> None:
        self._clients.discard(client)

    def close(self) -> None:
        """End all streams with `bye`; browsers come back by themselves."""
        self.closed = True
        self._wake()

    def after(self, sent: int | None) -> tuple[int, bytes]:
        """What a browser that has frame `sent` needs next, and the number of the last frame in it."""
        missing = self._seq - sent if sent is not None else None
        if missing is None or missing > len(self._kept):
            frame_id, page = self.snapshot()
            return self._seq, encode("snapshot", page, frame_id)
        if self._batch[:2] != (sent, self._seq):
            newest: dict[Hashable, Frame] = {}
            for frame in islice(self._kept, len(self._kept) - missing, None):
                newest.pop(frame.key, None)
                newest[frame.key] = frame
            self._batch = (self._seq - missing, self._seq, b"".join(frame.data for frame in newest.values()))
        return self._seq, self._batch[2]

    def _keep_all(self, changes: list[Change]) -> None:
        for change in changes:
            self._keep("delta", change, (change["coll"], change["key"]))

    def _keep(self, event: str, data: Any, key: Hashable) -> None:
        self._seq += 1
        self._kept.append(Frame(self._seq, key, encode(event, msgspec.json.encode(data), self._id(self._seq))))

    def _wake(self) -> None:
        for client in self._clients:
            client.wake.set()

    def _id(self, seq: int) -> str:
        return f"{self.boot}-{seq}"


def _changed(page: Page, changes: list[Change]) -> Page:
    """A copy of the page with these changes; the rows themselves are shared."""
    after = dict(page)
    for coll in {change["coll"] for change in changes}:
        after[coll] = dict(page.get(coll, {}))
    for change in changes:
        if change["op"] == "upsert":
            after[change["coll"]][change["key"]] = change["v"]
        else:
            after[change["coll"]].pop(change["key"], None)
    return after


class Client:
    """One browser; iterating yields the bytes to send. `sent` is the last frame it has, None before a snapshot."""

    def __init__(self, stream: Stream, sent: int | None, allowed: Callable[[], bool]) -> None:
        self.wake = Event()
        self._stream = stream
        self._sent = sent
        self._allowed = allowed

    def close(self) -> None:
        self._stream.leave(self)

    def __iter__(self) -> Iterator[bytes]:
        yield HELLO
        tick_at = time.monotonic()
        while True:
            self.wake.clear()
            self._sent, chunk = self._stream.after(self._sent)
            if self._stream.closed:
                yield chunk + encode("bye", b'{"reason":"restart","retry_ms":3000}')
                return
            if time.monotonic() >= tick_at:
                if not self._allowed():
                    yield encode("bye", b'{"reason":"signed_out"}')
                    return
                chunk += self._tick(self._sent)
                tick_at = time.monotonic() + self._stream.heartbeat_s
            if chunk:
                yield chunk
            self.wake.wait(max(0.0, tick_at - time.monotonic()))

    def _tick(self, seq: int) -> bytes:
        return encode("tick", msgspec.json.encode({"server_ms": int(self._stream.now() * 1000), "seq": seq}))
