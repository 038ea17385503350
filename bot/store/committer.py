"""Group commit off the hub: a queue in order, one batch under way, nothing lost when a commit fails.

The queue is a plain state machine (put, begin, finish, fail) that a simulator can drive; `pump` drives it
from a greenlet, with the commit in a thread of its own. gevent is imported only there.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from gevent.event import Event

T = TypeVar("T", bound=tuple[Any, ...])

FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 5.0
LARGEST_BATCH = 2_000
"""Items of one commit; what was put together is never parted: half a turn of the core is no state to restart from."""


class Committer(Generic[T]):
    """Commits items in the order they are put. An item is a tuple that begins with its number: ascending, but for a
    snapshot, which may come after records that are newer than what it is of."""

    def __init__(
        self,
        commit: Callable[[Sequence[T]], None],
        on_error: Callable[[Exception, int], None],
        durable: int = 0,
    ) -> None:
        """`commit` makes a batch durable or raises; committing a batch again must change nothing.

        `on_error` gets each failure and how many items wait.
        """
        self.durable = durable
        """Number of the last item that is on disk."""
        self.last = durable
        """Number of the last item put."""
        self.healthy = True
        self._commit = commit
        self._on_error = on_error
        self._queue: deque[Sequence[T]] = deque()
        self._under_way: list[T] = []
        self._failures = 0
        self._stopping = False
        self._work: Event | None = None
        self._waiters: list[tuple[int, Event]] = []

    @property
    def waiting(self) -> int:
        """Items accepted and not yet durable."""
        return len(self._under_way) + sum(len(items) for items in self._queue)

    @property
    def retry_in_s(self) -> float:
        """How long to wait before the next `begin`; 0 unless the last commit failed."""
        return min(FIRST_RETRY_S * 2 ** min(self._failures - 1, 10), LONGEST_RETRY_S) if self._failures else 0.0

    def put(self, items: Sequence[T]) -> None:
        """Queue items, to be committed together. Never blocks, never yields."""
        if not items:
            return
        self._queue.append(items)
        self.last = max(self.last, items[-1][0])
        if self._work is not None:
            self._work.set()

    def begin(self) -> Sequence[T]:
        """The next batch to commit; after `fail` the same one again. Empty when nothing waits."""
        if not self._under_way:
            batch: list[T] = []
            while self._queue and (not batch or len(batch) + len(self._queue[0]) <= LARGEST_BATCH):
                batch += self._queue.popleft()
            self._under_way = batch
        return self._under_way

    def finish(self) -> None:
        """The batch under way is durable."""
        self.durable = max(self.durable, *(number for number, *_ in self._under_way))
        self._under_way = []
        self._failures = 0
        self.healthy = True
        for number, reached in self._waiters:
            if number <= self.durable:
                reached.set()

    def fail(self, error: Exception) -> None:
        """The batch under way could not be committed; it stays first in line."""
        self._failures += 1
        self.healthy = False
        self._on_error(error, self.waiting)

    def drain(self) -> bool:
        """Commit everything here and now, in the caller's thread. False when a commit failed."""
        while batch := self.begin():
            try:
                self._commit(batch)
            except Exception as error:
                self.fail(error)
                return False
            self.finish()
        return True

    def pump(self) -> None:
        """Run as one greenlet: commit what is queued, in a thread of its own, until `close`."""
        from gevent.event import Event
        from gevent.threadpool import ThreadPool

        self._work = Event()
        pool = ThreadPool(1)
        try:
            while not self._stopping:
                self._work.clear()
                if not (batch := self.begin()):
                    self._work.wait()
                    continue
                try:
                    pool.apply(self._commit, (batch,))
                except Exception as error:
                    self.fail(error)
                    self._pause()
                else:
                    self.finish()
        finally:
            pool.join()
            pool.kill()
            self._work = None

    def _pause(self) -> None:
        from gevent import sleep

        waited = 0.0
        while waited < self.retry_in_s and not self._stopping:
            sleep(FIRST_RETRY_S)
            waited += FIRST_RETRY_S

    def wait(self, number: int, timeout: float | None) -> bool:
        """Block the calling greenlet until item `number` is durable; False after `timeout` seconds."""
        if self.durable >= number:
            return True
        from gevent.event import Event

        waiter = (number, Event())
        self._waiters.append(waiter)
        waiter[1].wait(timeout)
        self._waiters.remove(waiter)
        return self.durable >= number

    def flush(self, timeout: float | None) -> bool:
        """Make all that was put so far durable: wait for `pump`, or commit here when it does not run."""
        return self.drain() if self._work is None else self.wait(self.last, timeout)

    def close(self) -> bool:
        """End `pump` and commit the rest. False when something could not be made durable."""
        self._stopping = True
        while self._work is not None:
            from gevent import sleep

            self._work.set()
            sleep(0.005)
        return self.drain()
