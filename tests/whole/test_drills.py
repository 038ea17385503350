"""`python -m bot drill`: each disaster is staged for real, and the program comes through; live settings are refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from bot.drill.drills import DRILLS
from bot.drill.main import main
from bot.drill.score import Score

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


def test_the_command_line_knows_them() -> None:
    done = subprocess.run([sys.executable, "-m", "bot", "drill"], capture_output=True, text=True)
    assert done.returncode == 0 and "crash-while-holding" in done.stdout
