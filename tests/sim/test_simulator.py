"""The simulator itself: repeatable everywhere, free of gevent, dense, and able to fail."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bot.core import exiting
from bot.core.state import TradingState
from bot.sim import coverage, run
from bot.sim.faults import KINDS, RATES, TIMED, Fault, draw_plan
from bot.sim.main import main, shrunk
from bot.sim.pace import DAY, DENSE
from bot.sim.run import simulate

ROOT = Path(__file__).parents[2]
DIGESTS = """
import sys
from bot.sim.run import simulate
print(*[simulate(seed, 3).digest for seed in (1, 2, 3)], *{"gevent"} & set(sys.modules))
"""


def digests(python: str, hash_seed: str) -> str:
    env = {**os.environ, "PYTHONHASHSEED": hash_seed}
    ran = subprocess.run([python, "-c", DIGESTS], cwd=ROOT, env=env, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_the_same_seed_gives_the_same_trace_under_any_hash_seed_and_without_gevent() -> None:
    once = digests(sys.executable, "1")
    assert once == digests(sys.executable, "2")
    assert "gevent" not in once
    assert len(set(once.split())) == 3


def test_the_same_seed_gives_the_same_trace_on_another_python(other_python: str) -> None:
    assert digests(other_python, "0") == digests(sys.executable, "0")


@pytest.mark.timeout(600)
def test_three_hundred_dense_runs_keep_every_promise_and_meet_every_fault_and_row(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["--seeds", "0:300", "--jobs", "2"])
    told = capsys.readouterr().out
    assert code == 0, told
    assert json.loads(told.splitlines()[-1])["seeds"] == 300


def test_a_run_with_too_few_steps_proves_nothing_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "pace_of", lambda minutes: msgspec.structs.replace(DENSE, least_steps=100_000))
    assert "proves little" in simulate(3, 1, plan=[]).violation
    assert main(["--seed", "3", "--minutes", "1"]) == 1


def test_an_hour_is_paced_like_a_trading_day_with_bounded_journal_and_state() -> None:
    result = simulate(2, 60)
    assert result.violation == ""
    assert result.largest["records of journal"] < 2_000
    assert result.largest["bytes of state"] < 1_000_000


def test_fewest_markets_are_open_at_night_and_most_in_the_afternoon() -> None:
    hour = 3_600_000
    open_ = [DAY.open_at(n * hour) for n in range(24)]
    assert (open_[4], open_[16]) == DAY.open and min(open_) == open_[4] and max(open_) == open_[16]
    assert {DENSE.open_at(n * hour) for n in range(24)} == {8}


def test_a_run_without_faults_trades_without_losing_anything() -> None:
    result = simulate(7, plan=[])
    assert result.violation == ""
    assert result.counts["fired stop"] > 10
    assert result.counts["sent entry"] > 30
    assert result.counts["boots"] == 1


def test_every_kind_of_fault_can_be_drawn() -> None:
    drawn = {(f.op, f.kind) for seed in range(300) for f in draw_plan(seed, 10)}
    assert drawn == {(op, kind) for op, kinds in KINDS.items() for kind in kinds}
    assert set(RATES) | set(TIMED) == set(KINDS)


def test_a_planted_defect_is_found_and_its_plan_shrinks(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exit sized by what the entry asked for, not by what is held."""

    monkeypatch.setattr(TradingState, "held", lambda state, trade: 3_000)
    monkeypatch.setattr(exiting.Trade, "open_count", lambda trade: 3_000 if trade.entered > trade.exited else 0)
    seed = next(seed for seed in range(20) if simulate(seed, 2).violation)
    plan = draw_plan(seed, 2)
    assert len(shrunk(seed, 2, plan)) < len(plan)


def test_coverage_names_what_never_happened() -> None:
    holes = coverage.missing({}, {})
    assert "create.exit lost_reply" in holes
    assert "order unknown absent" in holes
    everything = dict.fromkeys(holes, 1)
    assert coverage.missing(everything, everything) == []


def test_the_command_ends_with_one_line_of_whole_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "0:2", "--minutes", "1"]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(line) == {"seeds", "steps", "faults", "kills", "violations"}
    assert all(type(value) is int for value in line.values())
    assert line["seeds"] == 2
    assert line["violations"] == 0


def test_a_failing_seed_is_told_and_fails_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exiting, "drive", lambda turn, trade, tick_ns=0: None)
    assert main(["--seed", "7"]) == 1
    told = capsys.readouterr().out
    assert "seed 7: " in told
    assert "the stop of" in told
    assert json.loads(told.splitlines()[-1])["violations"] == 1


def test_a_fault_says_itself() -> None:
    assert str(Fault("create.exit", 3, "late", 250)) == "create.exit[3] late 250 ms"
