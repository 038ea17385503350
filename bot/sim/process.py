"""A process of the bot on the simulated machine: it stands by until the lease is its own, then runs the program."""

from collections.abc import Callable

from bot.run.lease import Lease
from bot.sim.clock import Clock
from bot.sim.disk import File
from bot.sim.program import Program
from bot.store.journal import JournalError

POLL_MS = 500
AGAIN_MS = 5_000
"""As in bot.build: how often a standby asks, and how long it waits after a takeover that failed."""


class FileLock(Lease):
    """The lock on one DATA_DIR; whoever removes the lock file lets another in beside the holder."""

    def __init__(self, file: File) -> None:
        super().__init__()
        self.file = file

    def _lock(self) -> bool:
        if self.file.lock is not None:
            return False
        self.file.lock = self
        return True

    def _unlock(self) -> None:
        if self.file.lock is self:
            self.file.lock = None


class Process:
    """It lives until its program ends."""

    def __init__(self, clock: Clock, file: File, lead: Callable[["Process"], Program]) -> None:
        """`lead` starts the program; a JournalError means that the takeover failed."""
        self.clock = clock
        self.lease = FileLock(file)
        self.program: Program | None = None
        self._lead = lead
        self._ask()

    def _ask(self) -> None:
        if not self.lease.acquire():
            return self.clock.after(POLL_MS, self._ask)
        try:
            self.program = self._lead(self)
        except JournalError:
            self.lease.release()
            self.clock.after(AGAIN_MS, self._ask)
        return None
