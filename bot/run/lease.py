"""The lease on one machine: a locked file in DATA_DIR, so that exactly one process runs the bot.

The kernel drops the lock when its holder dies, however it dies, so there is nothing to expire or to clean up.
"""

import fcntl
import os
from pathlib import Path


class FileLease:
    """At most one holder for each DATA_DIR. `name` is what others read about the holder, e.g. 'web.1 pid 123'."""

    def __init__(self, data_dir: Path, name: str) -> None:
        self.path = data_dir / "bot.lock"
        self._name = name
        self._file: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lease."""
        return self._file is not None

    def acquire(self) -> bool:
        """Take the lease without waiting. True when it is ours, also when it already was."""
        if self._file is not None:
            return True
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        os.ftruncate(file, 0)
        os.pwrite(file, self._name.encode(), 0)
        self._file = file
        return True

    def holder(self) -> str:
        """The name of the last holder: the present one when `acquire` was refused. '' when it was released."""
        try:
            return self.path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def release(self) -> None:
        """Give the lease up; nothing when it is not held."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None
