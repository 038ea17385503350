"""The lease: exactly one process runs the bot. On one machine it is a locked file in DATA_DIR.

The kernel drops the lock when its holder dies, however it dies, so there is nothing to expire or to clean up.
"""

import fcntl
import os
from enum import StrEnum
from pathlib import Path
from typing import Literal


class LeaseState(StrEnum):
    STANDBY = "standby"
    HELD = "held"


LeaseEvent = Literal["taken", "refused", "released"]

TRANSITIONS: dict[tuple[LeaseState, LeaseEvent], LeaseState] = {
    (LeaseState.STANDBY, "taken"): LeaseState.HELD,
    (LeaseState.STANDBY, "refused"): LeaseState.STANDBY,
    (LeaseState.HELD, "released"): LeaseState.STANDBY,
}
"""A takeover that failed releases the lease too. Who lost it to a removed lock file finds out from the journal."""


class Lease:
    """One process's claim; what is locked, and how, is said by a subclass."""

    def __init__(self) -> None:
        self.state = LeaseState.STANDBY

    @property
    def held(self) -> bool:
        """Whether this object holds the lease."""
        return self.state is LeaseState.HELD

    def acquire(self) -> bool:
        """Take the lease without waiting. True when it is ours, also when it already was."""
        if not self.held:
            self._move("taken" if self._lock() else "refused")
        return self.held

    def release(self) -> None:
        """Give the lease up; nothing when it is not held."""
        if self.held:
            self._unlock()
            self._move("released")

    def _move(self, event: LeaseEvent) -> None:
        self.state = TRANSITIONS[self.state, event]

    def _lock(self) -> bool:
        raise NotImplementedError

    def _unlock(self) -> None:
        raise NotImplementedError


class FileLease(Lease):
    """At most one holder for each DATA_DIR. `name` is what others read about the holder, e.g. 'web.1 pid 123'."""

    def __init__(self, data_dir: Path, name: str) -> None:
        super().__init__()
        self.path = data_dir / "bot.lock"
        self._name = name
        self._file = -1

    def _lock(self) -> bool:
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(file, 0)
            os.pwrite(file, self._name.encode(), 0)
        except BlockingIOError:
            os.close(file)
            return False
        except OSError:
            os.close(file)  # else it keeps the lock, and this process is refused by itself
            raise
        self._file = file
        return True

    def _unlock(self) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)

    def holder(self) -> str:
        """The name of the last holder: the present one when `acquire` was refused. '' when it was released."""
        try:
            return self.path.read_text(errors="replace")
        except FileNotFoundError:
            return ""
