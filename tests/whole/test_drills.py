"""`python -m bot drill`: each disaster is staged for real, and the program comes through; live settings are refused."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.core.effects import Notice
from bot.drill.drills import DRILLS, agree
from bot.drill.main import main
from bot.drill.program import Program
from bot.drill.score import Score
from bot.run.notices import Notices

FAST = ("flash-crash", "lost-reply")


def come_through(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name]) == 0
    told = capsys.readouterr().out
    assert DRILLS[name].about in told and "FAIL" not in told and "checks passed" in told
    print(told)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", FAST)
def test_a_drill_is_told_and_passed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    come_through(name, capsys)


@pytest.mark.prove
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", sorted(DRILLS.keys() - set(FAST)))
def test_every_drill_is_passed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    come_through(name, capsys)


def test_without_a_name_the_drills_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(DRILLS)
    assert main(["nonsense"]) == 2 and "no drill 'nonsense'" in capsys.readouterr().err


def test_live_settings_are_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("MODE=demo\nKALSHI_KEY_ID=id\nKALSHI_PRIVATE_KEY=key\n")
    (tmp_path / ".env").chmod(0o600)
    assert main(["flash-crash"]) == 2
    assert "MODE is demo" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [tmp_path / ".env"]


def test_one_failed_check_fails_the_drill(capsys: pytest.CaptureFixture[str]) -> None:
    score = Score()
    score.check("one", True)
    score.within("two", 3.0, 2.0)
    score.show()
    assert not score.passed()
    told = capsys.readouterr().out
    assert "FAIL  two" in told and "3.00 s, at most 2 s" in told and "1 of 2 checks passed" in told


class Agreeing:
    """A stage whose books agree: what is left to look at is the program's log."""

    def __init__(self, folder: Path) -> None:
        self.program = Program(folder)

    def books_differ(self) -> str:
        return ""

    def ledger(self) -> dict[str, Any]:
        return {"cash": "1000.000000", "positions": {}}


@pytest.mark.parametrize(
    "code, text, passes",
    [
        ("closed", "stop: result -1.00 after fees", True),
        ("loop_crashed", "Reconciler: KeyError: 'x'", False),
        ("defect", "defect on Tick: KeyError: 'x'", False),
    ],
)
def test_a_defect_in_the_log_fails_the_drill(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, code: str, text: str, passes: bool
) -> None:
    """Only crashes of loops were looked for: an alarm of the core's own defect passed."""
    stage, score = Agreeing(tmp_path), Score()
    Notices("b").add(Notice("info" if passes else "alarm", code, text))
    stage.program.log.write_text("".join(f"ERROR   {record.getMessage()}\n" for record in caplog.records))
    assert text in stage.program.words() or passes
    agree(stage, score)  # type: ignore[arg-type]
    assert score.passed() is passes
    assert passes or text in score.checks[-1].figure


def test_the_command_line_knows_them() -> None:
    done = subprocess.run([sys.executable, "-m", "bot", "drill"], capture_output=True, text=True)
    assert done.returncode == 0 and "crash-while-holding" in done.stdout
