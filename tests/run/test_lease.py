"""One holder for each DATA_DIR, whatever happens to it."""

import os
import signal
import subprocess
import sys

import pytest

from bot.run.lease import TRANSITIONS, FileLease, LeaseState

HOLD = """
import sys, time
from pathlib import Path
from bot.run.lease import FileLease
print(FileLease(Path(sys.argv[1]), "other pid").acquire(), flush=True)
time.sleep(60)
"""


def test_only_one_holds_the_lease_and_the_others_learn_who(tmp_path):
    first, second = FileLease(tmp_path, "web.1 pid 1"), FileLease(tmp_path, "web.2 pid 2")
    assert first.acquire() and first.acquire() and first.held
    assert not second.acquire() and not second.held
    assert second.holder() == "web.1 pid 1"


def test_a_lease_moves_as_its_table_says(tmp_path):
    first, second = FileLease(tmp_path, "a"), FileLease(tmp_path, "b")
    assert first.acquire() and first.state is TRANSITIONS[LeaseState.STANDBY, "taken"]
    assert not second.acquire() and second.state is TRANSITIONS[LeaseState.STANDBY, "refused"]
    first.release()
    assert first.state is TRANSITIONS[LeaseState.HELD, "released"] and second.acquire()


def test_a_released_lease_goes_to_the_next(tmp_path):
    first, second = FileLease(tmp_path, "a longer name than the other"), FileLease(tmp_path, "b")
    second.release()
    assert first.acquire() and not second.acquire()
    first.release()
    first.release()
    assert second.holder() == "" and second.acquire() and not first.acquire()
    assert first.holder() == "b"


def test_nobody_has_held_a_new_lease(tmp_path):
    assert FileLease(tmp_path, "a").holder() == ""


def test_the_lease_of_a_killed_process_is_free_at_once(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "True\n"
        mine = FileLease(tmp_path, "mine")
        assert not mine.acquire() and mine.holder() == "other pid"
        other.send_signal(signal.SIGKILL)
        other.wait(10)
    assert mine.acquire() and mine.holder() == "mine"


def test_a_program_that_the_holder_starts_does_not_keep_the_lease(tmp_path):
    lease = FileLease(tmp_path, "a")
    assert lease.acquire()
    with subprocess.Popen(["sleep", "60"]) as child:
        lease.release()
        assert FileLease(tmp_path, "b").acquire()
        child.kill()


def test_a_lease_that_could_not_be_taken_whole_can_be_taken_later(tmp_path, monkeypatch):
    """On a full disk the name could not be written: the lock stayed with a file that nobody knew, and this process was
    refused by itself for ever."""

    def full(*_):
        raise OSError(28, "No space left on device")

    lease = FileLease(tmp_path, "a")
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        lease.acquire()
    assert not lease.held
    monkeypatch.undo()
    assert lease.acquire() and lease.holder() == "a"


def test_the_lock_file_is_private(tmp_path):
    lease = FileLease(tmp_path, "a")
    lease.acquire()
    assert os.stat(lease.path).st_mode & 0o077 == 0
