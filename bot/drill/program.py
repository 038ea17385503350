"""The whole program as a person starts it, in a folder of its own: gunicorn with the bot, driven over its API."""

import fcntl
import os
import secrets
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

ROOT = Path(__file__).parents[2]


class NotInTime(AssertionError):
    """Something that was waited for did not come; the text has the program's last words."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Program:
    """One DATA_DIR, settings of its own: none come from .env or from outside. `start` again after `kill` or `stop`."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.data = folder / "var"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "run.log"
        self.settings = {"API_TOKEN": secrets.token_hex(16), **settings}
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Connection"] = "close"  # an idle one would hold the program's end for its keep-alive time
        self.session.headers["Authorization"] = f"Bearer {self.settings['API_TOKEN']}"
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0

    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
        own = {"DATA_DIR": str(self.data), "PORT": str(self.port), "PYTHONPATH": str(ROOT)}
        return {**kept, **own, **self.settings}

    def launch(self) -> None:
        """Start it and return at once."""
        command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "wsgi:app"]
        self.started_at = time.time()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.environ(), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip

    def start(self, wait_s: float = 40.0) -> "Program":
        self.launch()
        self.until(lambda: self.get("status")["state"] != "STANDBY", wait_s, "the program did not come up")
        return self

    def kill(self) -> None:
        """SIGKILL to master and worker; the exchange lives on. Returns when the kernel has taken the lease back."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        deadline = time.monotonic() + 5
        while self._lease_is_held() and time.monotonic() < deadline:
            time.sleep(0.005)

    def stop(self, wait_s: float = 30.0) -> int:
        """SIGTERM, as a platform or Ctrl-C does; returns the exit code."""
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

    def get(self, path: str) -> Any:
        reply = self.session.get(f"{self.url}/api/v1/{path}", timeout=5)
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
        return self.session.post(f"{self.url}/api/v1/{path}", json=body or {}, headers=headers, timeout=5).json()

    def configure(self, **sections: dict[str, Any]) -> None:
        """Change settings of risk and strategy. ValueError says what was refused."""
        reply = self.session.patch(f"{self.url}/api/v1/config", json=sections, timeout=5)
        if not reply.ok:
            raise ValueError(reply.text)

    def until(self, holds: Callable[[], Any], wait_s: float, otherwise: str) -> Any:
        """Poll until it holds, else NotInTime. The program dying meanwhile ends the wait at once."""
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                raise NotInTime(f"the program ended: {self.tail()}")
            try:
                if found := holds():
                    return found
            except (requests.RequestException, KeyError):
                pass
            time.sleep(0.05)
        raise NotInTime(f"{otherwise} within {wait_s:g} s: {self.tail()}")

    def words(self) -> str:
        """Everything it has logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.words().splitlines()[-lines:])

    def lines(self, *words: str) -> list[str]:
        """Log lines that hold all these words."""
        return [line for line in self.words().splitlines() if all(w in line for w in words)]

    def books(self) -> tuple[str, dict[str, str]]:
        """Cash and signed positions as the bot has them."""
        held = {p["ticker"]: p["count"] if p["side"] == "YES" else f"-{p['count']}" for p in self.items("positions")}
        return self.get("performance")["money"]["cash"], held

    def _lease_is_held(self) -> bool:
        try:
            with (self.data / "bot.lock").open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False
