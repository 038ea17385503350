"""Kalshi's official SDK, unchanged, against the exchange as a process: every call, every reply through its models."""

import fcntl
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from paper_client import ROOT, Exchange

HERE = Path(__file__).parent
CURRENT, OLD = "3.34.0", "3.2.0"
METHODS = 76
"""Of the SDK's client that the whole drive calls; what it leaves out is named in drive_sdk.py."""


def sdk_python(python: str, version: str) -> str:
    """An interpreter with the SDK, kept under var/; skips where it cannot be made."""
    folder = ROOT / "var" / "sdk" / f"{version}-{Path(python).name}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            wanted = f"kalshi-python-sync=={version}"
            steps = [[python, "-m", "venv", str(folder)], [f"{folder}/bin/pip", "install", "-q", wanted]]
            for step in steps:
                made = subprocess.run(step, capture_output=True, text=True, timeout=300)
                if made.returncode:
                    words = made.stderr.strip().splitlines()[-1:]
                    pytest.skip(f"{wanted} cannot be installed here: {words}")
            (folder / "done").touch()
    return f"{folder}/bin/python"


def current_python() -> str:
    for name in ("python3.13", *sorted(Path.home().glob(".pyenv/versions/3.13*/bin/python3.13"))):
        found = shutil.which(name)
        asked = [found or "", "-c", "import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 13))"]
        if found and subprocess.run(asked, capture_output=True).returncode == 0:
            return found
    pytest.skip("Python 3.13 is not here: the official SDK needs it")


def drive(python: str, script: str, exchange: Exchange, *mode: str) -> Any:
    done = subprocess.run(
        [python, str(HERE / script), json.dumps(exchange.ready), *mode], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def exchange(start: Callable[..., Exchange], folder: Path, speed: str = "1") -> Exchange:
    options = ["--seed", "3", "--speed", speed, "--tier", "premier"]
    return start("-m", "bot", "exchange", "--data-dir", str(folder / "venue"), *options)


def test_the_official_sdk_reads_and_trades(start: Callable[..., Exchange], tmp_path: Path) -> None:
    python = sdk_python(current_python(), CURRENT)
    drive(python, "drive_sdk.py", exchange(start, tmp_path), "quick")


@pytest.mark.prove
def test_the_official_sdk_makes_every_call(start: Callable[..., Exchange], tmp_path: Path) -> None:
    python = sdk_python(current_python(), CURRENT)
    assert drive(python, "drive_sdk.py", exchange(start, tmp_path, "120"), "all")["methods"] == METHODS


@pytest.mark.prove
def test_the_old_sdk_learns_that_the_writes_of_v1_are_gone(start: Callable[..., Exchange], tmp_path: Path) -> None:
    python = sdk_python(sys.executable, OLD)
    drive(python, "drive_old_sdk.py", exchange(start, tmp_path))
