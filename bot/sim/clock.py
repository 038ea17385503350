"""Virtual time: a heap of callbacks, and tasks that may wait inside ordinary blocking code.

A task is a greenlet, so that `read_account` and the like run unchanged; the clock is its hub. gevent is not used.
"""

import heapq
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from greenlet import GreenletExit, getcurrent, greenlet

T = TypeVar("T")


class Clock:
    """Runs what is due in order of time, then of scheduling: the same order in every run."""

    def __init__(self, start_ms: int) -> None:
        self.now_ms = start_ms
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._scheduled = 0
        self._hub = getcurrent()
        self._waiting: dict[greenlet, None] = {}

    def at(self, when_ms: int, work: Callable[[], None]) -> None:
        self._scheduled += 1
        heapq.heappush(self._due, (max(when_ms, self.now_ms), self._scheduled, work))

    def after(self, delay_ms: int, work: Callable[[], None]) -> None:
        self.at(self.now_ms + delay_ms, work)

    def run(self, until_ms: int) -> None:
        """Do everything due up to `until_ms`, and stand there."""
        self._hub = getcurrent()
        due = self._due
        while due and due[0][0] <= until_ms:
            self.now_ms, _, work = heapq.heappop(due)
            work()
        self.now_ms = until_ms

    def ns(self) -> int:
        return self.now_ms * 1_000_000

    def ms(self) -> int:
        return self.now_ms

    def close(self) -> None:
        """End the tasks that still wait: what a waiting greenlet refers to is never collected otherwise."""
        self._due.clear()
        while self._waiting:
            self._waiting.popitem()[0].throw()

    # tasks

    def task(self, work: Callable[[], Any]) -> None:
        """Run `work` as a task, up to its first wait. Call from a callback."""
        greenlet(work, parent=self._hub).switch()

    def wait(self, reply: "Reply[T]") -> T:
        """Block the calling task until the reply is there."""
        if not reply.values:
            reply.waiter = getcurrent()
            self._waiting[reply.waiter] = None
            self._hub.switch()
            del self._waiting[reply.waiter]
        return reply.values[0]


class Host:
    """The machine's view of one program: running, frozen for a while (a closed lid, a stopped process), or dead."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.alive = True
        self.frozen_until = 0

    def run(self, work: Callable[[], Any]) -> None:
        """Do something in the program: now, once it is awake again, or never."""
        if not self.alive:
            return
        if self.clock.now_ms < self.frozen_until:
            self.clock.at(self.frozen_until, lambda: self.run(work))
        else:
            work()

    def after(self, ms: int, work: Callable[[], Any]) -> None:
        self.clock.after(ms, lambda: self.run(work))

    def spawn(self, work: Callable[[], Any]) -> None:
        """A task of the program, beginning after what is scheduled for now."""
        self.after(0, lambda: self.clock.task(work))


class Reply(Generic[T]):
    """What a task waits for. The first value counts, what comes later is dropped; nobody hears it in a dead program."""

    def __init__(self, host: Host) -> None:
        self.values: list[T] = []
        self.waiter: Any = None
        self._host = host

    def put(self, value: T) -> None:
        """Wake the waiter. Call from a callback of the clock."""
        self._host.run(lambda: self._wake(value))

    def _wake(self, value: T) -> None:
        if not self.values:
            self.values.append(value)
            if self.waiter is not None:
                self.waiter.switch()


def end_task() -> None:
    """End the calling task here, without a word: its program was killed."""
    raise GreenletExit
