"""The history in Supabase equals the one in SQLite, row by row, although every fifth request is refused."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import QUICK, ROOT, Program

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]
sys.path.insert(0, str(ROOT / "tests" / "store"))


@pytest.fixture
def gateway() -> Iterator[dict[str, str]]:
    command = [sys.executable, str(ROOT / "tests" / "store" / "gateway.py"), "--port", "0", "--refuse-every", "5"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith("{"):
        pytest.skip(f"no PostgreSQL on this machine: {line}")
    yield json.loads(line)
    process.terminate()
    process.wait(30)


def test_supabase_holds_what_sqlite_holds(tmp_path: Path, gateway: dict[str, str]) -> None:
    from compare import compare

    program = Program(
        tmp_path, PAPER_SPEED="4", STRATEGY_LOOP_INTERVAL="3", RECONCILE_INTERVAL="3", MARKET_POLL_INTERVAL="3",
        SUPABASE_URL=gateway["url"], SUPABASE_SECRET_KEY=gateway["key"],
    )  # fmt: skip
    try:
        program.start().configure(strategy=QUICK)
        program.until(lambda: len([t for t in program.items("trades") if t["closed_ms"]]) >= 4, 150, "too few trades")
        program.settle_down()
        assert program.stop() == 0
        differences = compare(tmp_path / "var" / "history.db", gateway["dsn"])
        assert differences == []
    finally:
        program.end()
