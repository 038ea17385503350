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

    # tasks

    def spawn(self, work: Callable[[], Any]) -> None:
        """Run `work` as a task, beginning when everything scheduled for now before it is done."""
        task = greenlet(work, parent=self._hub)
        self.after(0, task.switch)

    def wait(self, reply: "Reply[T]") -> T:
        """Block the calling task until the reply is there."""
        if not reply.values:
            reply.waiter = getcurrent()
            self._hub.switch()
        return reply.values[0]


class Reply(Generic[T]):
    """What a task waits for. The first value counts, what comes later is dropped."""

    def __init__(self, alive: Callable[[], bool]) -> None:
        """`alive` tells whether the waiting program still runs; nobody hears a reply to a dead one."""
        self.values: list[T] = []
        self.waiter: Any = None
        self._alive = alive

    def put(self, value: T) -> None:
        """Wake the waiter. Call from a callback of the clock."""
        if self.values or not self._alive():
            return
        self.values.append(value)
        if self.waiter is not None:
            self.waiter.switch()


def end_task() -> None:
    """End the calling task here, without a word: its program was killed."""
    raise GreenletExit
