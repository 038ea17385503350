"""The paper exchange as a detached process of its own in DATA_DIR/paper: started, found again, ended."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import requests

START_S = 30.0


class Venue(msgspec.Struct, frozen=True):
    """Where an exchange is and how to sign for it; what `python -m bot exchange` prints when ready, and its pid."""

    rest: str
    ws: str
    odds: str
    key_id: str
    private_key_path: str
    pid: int = 0


class PaperProblem(RuntimeError):
    """The paper exchange did not start; the text has its last words."""


def ensure(folder: Path, arguments: list[str]) -> Venue:
    """The running paper exchange of this folder, else a new one. It outlives this process (also its SIGKILL)."""
    folder.mkdir(parents=True, exist_ok=True)
    return _running(folder) or _start(folder, arguments)


def end(folder: Path, wait_s: float = 5.0) -> None:
    """SIGTERM to this folder's exchange, if it runs, and wait for it."""
    venue = _running(folder)
    if venue is None:
        return
    os.kill(venue.pid, signal.SIGTERM)
    deadline = time.monotonic() + wait_s
    while _is_ours(venue.pid, folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    (folder / "ready.json").unlink(missing_ok=True)


def _running(folder: Path) -> Venue | None:
    try:
        venue = msgspec.json.decode((folder / "ready.json").read_bytes(), type=Venue)
    except (OSError, msgspec.DecodeError):
        return None
    if not _is_ours(venue.pid, folder):
        return None
    try:
        with requests.Session() as session:
            session.trust_env = False
            session.get(f"{venue.rest}/exchange/status", timeout=2).raise_for_status()
    except requests.RequestException:
        return None
    return venue


def _is_ours(pid: int, folder: Path) -> bool:
    """Whether that process is a paper exchange of this folder (a pid may have been given to another since)."""
    command = _command_line(pid)
    return "bot exchange" in command and str(folder) in command


def _command_line(pid: int) -> str:
    """Empty when it has ended. From /proc where there is one: small Linux images have no ps."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    shown = subprocess.run(["ps", "-o", "args=", "-ww", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout


def _start(folder: Path, arguments: list[str]) -> Venue:
    command = [sys.executable, "-m", "bot", "exchange", "--data-dir", str(folder), *arguments]
    with (folder / "exchange.log").open("ab") as log, (folder / "ready.line").open("wb") as out:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, start_new_session=True,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        line = (folder / "ready.line").read_text()
        if line.endswith("\n"):
            venue = Venue(**{**json.loads(line), "pid": child.pid})
            draft = folder / "ready.new"
            draft.write_bytes(msgspec.json.encode(venue))
            draft.replace(folder / "ready.json")
            return venue
        if child.poll() is not None:
            raise PaperProblem(f"the paper exchange ended with code {child.returncode}: {_last_words(folder)}")
        time.sleep(0.05)
    child.terminate()
    raise PaperProblem(f"the paper exchange was not ready within {START_S:g} s: {_last_words(folder)}")


def _last_words(folder: Path) -> str:
    lines = (folder / "exchange.log").read_text(errors="replace").strip().splitlines()
    return " / ".join(lines[-3:]) or "it said nothing"
