"""Rules for all tests: how much of the slow proofs runs, that CI may not skip what needs the system, recorded data.

`pytest` runs no proof, `pytest -m prove` all of them, `pytest --proofs=120` the tests and then as many proofs as begin
within 120 s; the files take turns then. Write a proof as many small parametrized cases, so that a share of it can run.
"""

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

RECORDED = Path(__file__).parents[2] / "shared" / "data"

STARTED = pytest.StashKey[float]()
LEFT_OUT = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--proofs", type=float, help="seconds for slow proofs (default: none, or all with -m prove)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    proofs = [item for item in items if item.get_closest_marker("prove")]
    tests = [item for item in items if not item.get_closest_marker("prove")]
    if config.getoption("--proofs") is not None:
        before: Counter[Path] = Counter()
        turns = {item: before.update([item.path]) or before[item.path] for item in proofs}
        items[:] = tests + sorted(proofs, key=turns.__getitem__)
    elif "prove" in config.getoption("markexpr"):
        items[:] = tests + proofs
    elif proofs:
        items[:] = tests
        config.hook.pytest_deselected(items=proofs)


def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Proofs that no longer begin in time are left out, and counted at the end; they are not skipped tests."""
    seconds = item.config.getoption("--proofs")
    if seconds is None or not item.get_closest_marker("prove"):
        return None
    started = item.config.stash.setdefault(STARTED, time.monotonic())
    if time.monotonic() - started < seconds:
        return None
    item.config.stash[LEFT_OUT] = item.config.stash.get(LEFT_OUT, 0) + 1
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if left_out := config.stash.get(LEFT_OUT, 0):
        terminalreporter.line(f"{left_out} proofs did not begin in time; `make prove` runs all of them")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call):
    report = yield
    if report.skipped and item.get_closest_marker("system") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr[2] if report.longrepr else ''}"
    return report


@pytest.fixture(scope="session")
def recorded() -> Callable[[str], Path]:
    """`recorded("team_names.csv")`: a path in the recorded data beside the checkout; the test is skipped without it."""

    def path(name: str) -> Path:
        if not (RECORDED / name).exists():
            pytest.skip(f"the recorded data {name} is not on this machine (it lies in ../shared/data)")
        return RECORDED / name

    return path


@pytest.fixture(scope="session")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter of another supported Python version, with the locked packages; skipped where there is none."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    for version in ("3.13", "3.12", "3.11"):
        known = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python{version}"))
        for python in filter(None, [*map(str, known), shutil.which(f"python{version}")]):
            works = subprocess.run([python, "-c", ""], capture_output=True, timeout=20).returncode == 0
            if version != here and works:
                return _with_packages(python, tmp_path_factory.mktemp("other_python"))
    pytest.skip("there is no second Python version on this machine")


def _with_packages(python: str, folder: Path) -> str:
    uv = Path(sys.executable).parent / "uv"
    there = str(folder / "bin" / "python")
    locked = ["--require-hashes", "-r", str(Path(__file__).parents[1] / "requirements.txt")]
    for command in ([python, "-m", "venv", "--without-pip", str(folder)],
                    [str(uv), "pip", "install", "-q", "--python", there, *locked]):  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        except FileNotFoundError:
            pytest.skip(f"{command[0]} is not installed: run `make test`")
        assert done.returncode == 0, done.stderr
    return there
