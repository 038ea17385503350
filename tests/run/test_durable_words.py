"""An operator's word is in force at once; the answer tells whether a restart would know it, and a kill outlives one."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gevent
import pytest
from test_review_run import alone, until

from bot.run import desk as desk_module
from bot.run import halt_file
from bot.run.bot import Bot
from bot.run.desk import Desk
from bot.run.halt_file import HaltFile


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "DURABLE_WITHIN_S", 0.2)


class Stage:
    """A folder, the bot that runs on it, and a disk that can be made to take nothing."""

    def __init__(self, folder: Path) -> None:
        self.halt = folder / "halt"
        self._folder = folder
        self._lock = sqlite3.connect(folder / "journal.db", isolation_level=None)
        self.start()

    def start(self) -> None:
        self.bot: Bot = alone(self._folder)
        self.bot.journal._disk._db.execute("PRAGMA busy_timeout=20")  # type: ignore[attr-defined]
        self.bot.run([])
        self.desk = Desk("paper")
        self.desk.bot = self.bot
        assert self.on_disk()

    def on_disk(self) -> bool:
        return until(lambda: self.bot.journal.durable_seq == self.bot.door.seq)

    def lock(self) -> None:
        self._lock.execute("BEGIN IMMEDIATE")

    def unlock(self) -> None:
        self._lock.execute("ROLLBACK")

    def killed(self) -> None:
        """SIGKILL: what is not on disk is gone."""
        gevent.killall(self.bot._greenlets)
        self.bot.journal._disk.close()
        self.bot.history.close()

    def say(self, verb: str) -> dict[str, Any]:
        return self.desk.command(verb, {}, "anna", f"{verb}-1")

    def sweeps(self, count: int = 3) -> None:
        loop = self.bot.loops["StopLossMonitor"]
        after = loop.runs + count
        assert until(lambda: loop.runs >= after)

    def end(self) -> None:
        if self._lock.in_transaction:
            self.unlock()
        self.bot.stop(0.2)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.end()
    stage._lock.close()


def test_an_answer_waits_until_its_word_is_on_disk(stage: Stage) -> None:
    answer = stage.say("pause")
    assert (answer["result"], answer["state"], answer["durable"]) == ("accepted", "PAUSED", True)
    assert stage.bot.journal.durable_seq >= stage.bot.state.facts
    assert "disk" not in answer["detail"]


def test_a_word_that_is_not_on_disk_says_so_and_holds_no_sweep(stage: Stage) -> None:
    stage.lock()
    waiting = gevent.spawn(stage.say, "pause")
    assert until(lambda: stage.bot.state.mode == "PAUSED")
    assert not waiting.ready(), "in force before its answer"
    stage.sweeps(1)
    answer = waiting.get(timeout=3)
    assert (answer["result"], answer["durable"]) == ("accepted", False)
    assert "not on disk yet: a restart would forget it" in answer["detail"]
    assert not stage.halt.exists()


def test_a_refusal_waits_for_nothing(stage: Stage) -> None:
    stage.lock()
    stage.say("pause")
    answer = stage.say("rearm")
    assert (answer["result"], answer["durable"]) == ("refused", True)
    assert "disk" not in answer["detail"]


@pytest.mark.parametrize("way", ["page", "file"])
def test_a_kill_that_the_journal_does_not_take_outlives_a_restart(stage: Stage, way: str) -> None:
    """`bot kill` said Halted, its file was removed at once, and the restart came back RUNNING."""
    stage.lock()
    if way == "page":
        answer = stage.say("kill")
        assert (answer["result"], answer["durable"]) == ("accepted", False)
        assert f"{stage.halt} makes a restart halt again" in answer["detail"]
    else:
        halt_file.write(stage.halt, "odd prices", 1)
        assert until(lambda: stage.bot.state.mode == "HALTED")
    stage.sweeps()
    assert stage.halt.exists()
    stage.killed()
    stage.unlock()
    with closing(sqlite3.connect(stage.halt.with_name("journal.db"))) as db:
        assert not db.execute("SELECT 1 FROM records WHERE instr(body, 'HALTED')").fetchone()
    stage.start()
    assert until(lambda: stage.bot.state.mode == "HALTED")
    assert until(lambda: not stage.halt.exists())
    assert stage.on_disk()


def test_a_re_arm_is_the_newer_word_while_the_file_waits_for_the_disk(stage: Stage) -> None:
    stage.lock()
    stage.say("kill")
    stage.say("rearm")
    stage.sweeps()
    assert stage.halt.exists() and stage.bot.state.mode == "PAUSED"
    halt_file.write(stage.halt, "once more", 2)
    assert until(lambda: stage.bot.state.mode == "HALTED"), "another file is another word"
    stage.unlock()
    assert until(lambda: not stage.halt.exists())
    assert stage.bot.journal.durable_seq >= 1 and stage.bot.state.mode == "HALTED"


def test_a_halt_file_that_was_obeyed_and_then_deleted_asks_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "halt"
    path.write_text('{"reason": "bot kill"}')
    file = HaltFile(path)
    assert file.asked() == "bot kill"
    file.obeyed(7)
    path.unlink()
    assert file.asked() is None


def test_a_halt_that_nothing_can_keep_says_so(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(halt_file, "write", full)
    stage.lock()
    answer = stage.say("kill")
    assert (answer["state"], answer["durable"]) == ("HALTED", False)
    assert "a restart would forget it" in answer["detail"]


def test_a_disk_that_hangs_while_a_kill_is_kept_holds_no_stop(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    here, written_in = threading.get_ident(), list[int]()
    monkeypatch.setattr(halt_file, "write", lambda *_: written_in.append(threading.get_ident()))
    stage.lock()
    stage.say("kill")
    assert len(written_in) == 1 and written_in[0] != here


def test_a_halt_file_is_whole_and_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut after the answer left an empty file, or none."""
    path, forced = tmp_path / "halt", list[bool]()
    fsync = os.fsync

    def force(number: int) -> None:
        forced.append(path.exists())
        fsync(number)

    monkeypatch.setattr(os, "fsync", force)
    halt_file.write(path, "odd prices", 1)
    assert forced == [False] and HaltFile(path).asked() == "odd prices"
