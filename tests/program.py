"""The whole program as a person starts it, for end-to-end tests: gunicorn, the bot in it, its own paper exchange."""

import json
import os
import signal
from pathlib import Path
from typing import Any

from bot.drill import program
from bot.drill.program import ROOT, free_port

__all__ = ["QUICK", "ROOT", "TOKEN", "Program", "free_port"]

TOKEN = "test-token-0123456789abcdef0123456789abcdef"
QUICK = {
    "min_to_end": 10, "max_to_end": 14_400, "time_exit": 4, "min_size": "5.00",
}  # fmt: skip
"""Strategy settings for a world that runs several times as fast as the default."""


class Program(program.Program):
    """With the paper exchange that it starts itself."""

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(folder, API_TOKEN=TOKEN, **settings)

    def end(self) -> None:
        super().end()
        pid = self._paper_pid()
        if pid and Path(f"/proc/{pid}").exists() and b"exchange" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGTERM)

    def paper(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.data / "paper" / "ready.json").read_text())
        return found

    def ledger(self) -> dict[str, Any]:
        """The paper exchange's own statement."""
        reply = self.session.get(f"{self.paper()['odds']}/_paper/ledger", timeout=5)
        reply.raise_for_status()
        found: dict[str, Any] = reply.json()
        return found

    def settle_down(self, wait_s: float = 60.0) -> None:
        """Leave everything, and wait until nothing is held and the books were compared."""
        self.post("bot/flatten")
        self.run_out(wait_s)

    def run_out(self, wait_s: float = 240.0) -> None:
        """Wait until every position has ended by itself and the books were compared."""
        self.until(lambda: not self.items("positions") and not self.items("orders"), wait_s, "positions remain")
        after = self.get("status")["server_ms"]
        self.until(lambda: self.get("status")["reconciliation"]["at_ms"] > after, 40, "not reconciled")

    def _paper_pid(self) -> int:
        try:
            return int(self.paper()["pid"])
        except (OSError, ValueError, KeyError):
            return 0
