"""Rules for all tests: how much of the slow proofs runs, that CI may not skip what needs the system, recorded data.

`pytest` runs no proof, `pytest -m prove` all of them, `pytest --proofs=120` the tests and then as many proofs as begin
within 120 s. Write a proof as many small parametrized cases, so that a share of it can run.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

RECORDED = Path(__file__).parents[2] / "shared" / "data"

STARTED = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--proofs", type=float, help="seconds for slow proofs (default: none, or all with -m prove)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    proofs = [item for item in items if item.get_closest_marker("prove")]
    tests = [item for item in items if not item.get_closest_marker("prove")]
    if config.getoption("--proofs") is not None or "prove" in config.getoption("markexpr"):
        items[:] = tests + proofs
    elif proofs:
        items[:] = tests
        config.hook.pytest_deselected(items=proofs)


def pytest_runtest_setup(item: pytest.Item) -> None:
    seconds = item.config.getoption("--proofs")
    if seconds is None or not item.get_closest_marker("prove"):
        return
    started = item.config.stash.setdefault(STARTED, time.monotonic())
    if time.monotonic() - started >= seconds:
        pytest.skip("no time left for this proof; `make prove` runs all of them")


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
