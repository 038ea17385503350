"""DATA_DIR/halt: the word of `bot kill`, a person perhaps with other words in it; or a kill the journal did not take.

It is obeyed once by each program, and removed when the halt is on disk: until then a restart has to obey it again.
"""

import json
import logging
import os
from pathlib import Path

log = logging.getLogger("Tickstop")


def write(path: Path, reason: str, at_ms: int) -> None:
    """Ask whatever bot runs on this folder, or will, to halt. OSError when it cannot be written."""
    draft = path.with_name("halt.new")
    with draft.open("w") as file:
        file.write(json.dumps({"reason": reason, "at_ms": at_ms}) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


class HaltFile:
    """One program's dealings with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._obeyed: int | None = None
        """Which one was obeyed, by its time of change."""
        self._seq = 0
        """The journal record by which the halt is on disk."""

    def asked(self) -> str | None:
        """Why the bot is to halt; None when nobody asks for it, or it was obeyed."""
        changed = self._changed()
        if changed is None or changed == self._obeyed:
            return None
        try:
            return str(json.loads(self.path.read_text())["reason"])
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return "bot kill"

    def obeyed(self, seq: int) -> None:
        """The bot is halted; a re-arm from now on is the newer word, in this program."""
        self._obeyed, self._seq = self._changed(), seq

    def remove(self, durable_seq: int) -> None:
        """Once the halt is on disk."""
        if self._obeyed is None or durable_seq < self._seq:
            return
        try:
            self.path.unlink(missing_ok=True)
            self._obeyed = None
        except OSError as error:
            log.warning("%s cannot be removed, a restart halts again: %s", self.path, error)

    def _changed(self) -> int | None:
        """None when there is none."""
        try:
            return self.path.stat().st_mtime_ns
        except OSError:
            return None
