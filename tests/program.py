"""The whole program as a person starts it, for end-to-end tests: gunicorn, the bot in it, its own paper exchange."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).parents[1]
TOKEN = "test-token-0123456789abcdef0123456789abcdef"
QUICK = {
    "min_to_end": 10, "max_to_end": 14_400, "time_exit": 4, "min_size": "5.00",
}  # fmt: skip
"""Strategy settings for a world that runs several times as fast as the default."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Program:
    """One DATA_DIR. `start` may be called again after `kill` or `stop`."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "run.log"
        self._settings = settings
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {TOKEN}"
        self.process: subprocess.Popen[bytes] | None = None

    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
        own = {"DATA_DIR": str(self.folder / "var"), "PORT": str(self.port), "API_TOKEN": TOKEN}
        return {**kept, **own, **self._settings}

    def start(self, wait_s: float = 40.0) -> "Program":
        command = [sys.executable, "-m", "gunicorn", "wsgi:app"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environ(), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        self.until(lambda: self.get("status")["state"] != "STANDBY", wait_s, "the program did not come up")
        return self

    def kill(self) -> None:
        """SIGKILL to master and worker; the paper exchange lives on."""
        assert self.process is not None
        workers = _children(self.process.pid)
        for pid in (self.process.pid, *workers):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        deadline = time.monotonic() + 5
        while any(Path(f"/proc/{pid}/exe").exists() for pid in workers) and time.monotonic() < deadline:
            time.sleep(0.01)

    def stop(self, wait_s: float = 30.0) -> int:
        """SIGTERM, as a platform or `make run` does; returns the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(wait_s)

    def end(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self.process is not None and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
        pid = self._paper_pid()
        if pid and Path(f"/proc/{pid}").exists() and b"exchange" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGTERM)

    def get(self, path: str) -> Any:
        reply = self._session.get(f"{self.url}/api/v1/{path}", timeout=5)
        reply.raise_for_status()
        return reply.json()

    def items(self, name: str) -> list[dict[str, Any]]:
        """A whole collection, all its pages."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.get(f"{name}?limit=100{f'&cursor={cursor}' if cursor else ''}")
            found += page["items"]
            cursor = page["next_cursor"]
            if not cursor:
                return found

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        return self._session.post(f"{self.url}/api/v1/{path}", json=body or {}, headers=headers, timeout=5).json()

    def configure(self, **sections: dict[str, Any]) -> None:
        reply = self._session.patch(f"{self.url}/api/v1/config", json=sections, timeout=5)
        assert reply.ok, reply.text

    def paper(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "var" / "paper" / "ready.json").read_text())
        return found

    def ledger(self) -> dict[str, Any]:
        """The paper exchange's own statement."""
        reply = self._session.get(f"{self.paper()['odds']}/_paper/ledger", timeout=5)
        reply.raise_for_status()
        found: dict[str, Any] = reply.json()
        return found

    def until(self, holds: Callable[[], Any], wait_s: float, otherwise: str) -> Any:
        """Poll until it holds. The program dying meanwhile ends the wait at once."""
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            assert self.process is None or self.process.poll() is None, f"the program ended: {self.tail()}"
            try:
                if found := holds():
                    return found
            except (requests.RequestException, KeyError):
                pass
            time.sleep(0.05)
        raise AssertionError(f"{otherwise} within {wait_s:g} s: {self.tail()}")

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def lines(self, *words: str) -> list[str]:
        """Log lines that hold all these words."""
        return [line for line in self.log.read_text(errors="replace").splitlines() if all(w in line for w in words)]

    def settle_down(self, wait_s: float = 60.0) -> None:
        """Leave everything, and wait until nothing is held and the books were compared."""
        self.post("bot/flatten")
        self.run_out(wait_s)

    def run_out(self, wait_s: float = 240.0) -> None:
        """Wait until every position has ended by itself and the books were compared."""
        self.until(lambda: not self.items("positions") and not self.items("orders"), wait_s, "positions remain")
        after = self.get("status")["server_ms"]
        self.until(lambda: self.get("status")["reconciliation"]["at_ms"] > after, 40, "not reconciled")

    def books(self) -> tuple[str, dict[str, str]]:
        """Cash and signed positions as the bot has them."""
        held = {p["ticker"]: p["count"] if p["side"] == "YES" else f"-{p['count']}" for p in self.items("positions")}
        return self.get("performance")["money"]["cash"], held

    def _paper_pid(self) -> int:
        try:
            return int(self.paper()["pid"])
        except (OSError, ValueError, KeyError):
            return 0


def _children(pid: int) -> list[int]:
    shown = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(text) for text in shown.stdout.split()]
