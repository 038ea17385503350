"""The journal keeps every acknowledged record, in order, on slow, full and failing disks."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import gevent
import pytest

from bot.store.committer import LARGEST_BATCH, Committer
from bot.store.journal import Journal, JournalCorrupt, Record, Snapshot, SqliteDisk

ROOT = Path(__file__).parents[2]


def opened(path: Path) -> Journal:
    journal = Journal(path)
    journal.open()
    return journal


def filled(path: Path, count: int = 20, batch: int = 1) -> None:
    journal = opened(path)
    for first in range(1, count + 1, batch):
        journal.append([f"record {seq}".encode() for seq in range(first, first + batch)])
        assert journal.commits.drain()
    assert journal.close()


def python(code: str, *args: object) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code), *map(str, args)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_records_come_back_in_order_with_their_numbers(tmp_path: Path) -> None:
    filled(tmp_path / "journal.db", 5)
    journal = opened(tmp_path / "journal.db")
    loaded = journal.load()
    assert loaded.records == [(seq, f"record {seq}".encode()) for seq in range(1, 6)]
    assert (loaded.snapshot, loaded.snapshot_seq, loaded.snapshot_hash) == (None, 0, "")
    assert journal.append([b"next"]) == 6
    journal.close()


def test_a_restart_gets_the_newest_snapshot_and_the_records_after_it(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal.db")
    for seq in range(1, 51):
        assert journal.append([b"r%d" % seq]) == seq
        if seq % 10 == 0:
            journal.snapshot(seq, b"state %d" % seq, f"hash {seq}")
    journal.append([b"r51"])
    assert journal.close()
    loaded = opened(tmp_path / "journal.db").load()
    assert (loaded.snapshot, loaded.snapshot_seq, loaded.snapshot_hash) == (b"state 50", 50, "hash 50")
    assert loaded.records == [(51, b"r51")]


def test_three_snapshots_are_kept_and_older_records_go(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal.db")
    for seq in range(1, 101):
        journal.append([b"x"])
        if seq % 10 == 0:
            journal.snapshot(seq, b"s", "h")
            assert journal.commits.drain()
    assert journal.close()
    with sqlite3.connect(tmp_path / "journal.db") as db:
        assert [row[0] for row in db.execute("SELECT seq FROM snapshots ORDER BY seq")] == [80, 90, 100]
        assert [row[0] for row in db.execute("SELECT seq FROM records ORDER BY seq")] == list(range(81, 101))


def test_the_file_stays_bounded_while_snapshots_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"

    def size_after(turns: int) -> int:
        journal = opened(path)
        for _ in range(turns):
            seq = journal.append([b"x" * 500] * 200)
            journal.snapshot(seq, b"s" * 10_000, "h")
            assert journal.commits.drain()
        journal.close()
        return path.stat().st_size

    early = size_after(6)
    assert size_after(30) <= 1.2 * early


def test_a_snapshot_of_a_record_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="snapshot of record 3"):
        opened(tmp_path / "journal.db").snapshot(3, b"s", "h")


def test_a_killed_writer_loses_no_acknowledged_record(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    writer = subprocess.Popen(
        python(
            """
            import sys
            from pathlib import Path
            import gevent
            from bot.store.journal import Journal
            journal = Journal(Path(sys.argv[1]))
            journal.open()
            gevent.spawn(journal.pump)
            while True:
                seq = journal.append([b"a record of some length %d" % n for n in range(7)])
                assert journal.wait(seq, 10)
                print(seq, flush=True)
            """,
            path,
        ),
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    lines = [writer.stdout.readline() for _ in range(200)]
    writer.send_signal(signal.SIGKILL)
    lines += writer.stdout.readlines()
    assert writer.wait(10) == -signal.SIGKILL
    acknowledged = int([line for line in lines if line.endswith("\n")][-1])
    assert acknowledged >= 1400
    journal = opened(path)
    numbers = [seq for seq, _ in journal.load().records]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= acknowledged
    journal.close()


def test_a_process_that_was_succeeded_can_no_longer_write(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    errors: list[Exception] = []
    first = Journal(path, lambda error, waiting: errors.append(error))
    first.open()
    second = opened(path)
    first.append([b"from the past"])
    assert not first.commits.drain()
    assert "taken over" in str(errors[0])
    second.append([b"from the present"])
    assert second.commits.drain()
    assert second.load().records == [(1, b"from the present")]


class FlakyDisk(SqliteDisk):
    """Fails as told: before the commit (nothing applied) or after it (applied, but the caller is told otherwise)."""

    def __init__(self, path: Path, failures: list[str]) -> None:
        super().__init__(path)
        self.failures = failures

    def commit(self, batch: Sequence[Record | Snapshot]) -> None:
        failure = self.failures.pop(0) if self.failures else ""
        if failure == "before":
            raise OSError(28, "No space left on device")
        super().commit(batch)
        if failure == "after":
            raise OSError(5, "Input/output error")


def test_failed_commits_lose_nothing_and_keep_the_order(tmp_path: Path) -> None:
    waiting: list[int] = []
    disk = FlakyDisk(tmp_path / "journal.db", ["before", "after", "before", "after", "before", ""])
    journal = Journal(disk, lambda error, count: waiting.append(count))
    journal.open()
    expected = []
    for number in range(12):
        body = b"%d" % number
        seq = journal.append([body])
        expected.append((seq, body))
        committed = journal.commits.drain()
        assert journal.healthy == committed
        assert journal.durable_seq == (seq if committed else 0)
    assert waiting == [1, 2, 3, 4, 5]
    assert journal.load().records == expected
    assert journal.close()


def test_what_was_put_together_is_committed_together(tmp_path: Path) -> None:
    """A turn of the core that was cut at the largest batch and killed there left a trade whose stop could not fire."""
    journal = opened(tmp_path / "journal.db")
    for _ in range(LARGEST_BATCH // 3 + 1):
        journal.append([b"fill", b"protected", b"told"])
    first = journal.commits.begin()
    assert LARGEST_BATCH - 3 < len(first) <= LARGEST_BATCH and len(first) % 3 == 0
    assert journal.commits.waiting == 3 * (LARGEST_BATCH // 3 + 1)
    journal.commits.finish()
    journal.append([b"large"] * (LARGEST_BATCH + 1))
    assert len(journal.commits.begin()) == 3
    journal.commits.finish()
    assert len(journal.commits.begin()) == LARGEST_BATCH + 1
    journal.commits.finish()
    assert journal.close()


def test_records_are_durable_with_their_commit_also_beside_a_snapshot_of_an_earlier_one(tmp_path: Path) -> None:
    """A snapshot waits for the history, and is put after newer records: they were on disk, and an entry or the answer
    to a kill that waited for them went on waiting."""
    journal = opened(tmp_path / "journal.db")
    journal.append([b"one", b"two"])
    journal.append([b"three"])
    journal.snapshot(2, b"state", "hash")
    assert journal.commits.drain()
    assert journal.durable_seq == 3
    journal.snapshot(2, b"state", "hash")
    assert journal.commits.drain()
    assert journal.durable_seq == 3, "what is durable stays so"
    journal.close()


def test_what_is_committed_is_forced_to_the_disk(tmp_path: Path) -> None:
    """With NORMAL a power cut takes the newest commits: entries that were sent would have no record."""
    journal = opened(tmp_path / "journal.db")
    [synchronous] = journal._disk._db.execute("PRAGMA synchronous").fetchone()  # type: ignore[attr-defined]
    assert synchronous == 2, "FULL (https://www.sqlite.org/pragma.html#pragma_synchronous)"
    journal.close()


def test_a_record_that_would_leave_a_hole_is_refused(tmp_path: Path) -> None:
    """The next start would refuse the whole journal."""
    filled(tmp_path / "journal.db", 3)
    disk = SqliteDisk(tmp_path / "journal.db")
    assert disk.open() == 3
    with pytest.raises(JournalCorrupt, match="record 5 would follow record 3"):
        disk.commit([Record(5, b"x")])
    disk.commit([Record(4, b"x")])
    assert [seq for seq, _ in disk.load().records] == [1, 2, 3, 4]
    disk.close()


def test_a_failing_disk_is_asked_again_after_a_while_that_grows_to_five_seconds_and_then_begins_anew() -> None:
    """Else a disk that is well again after an hour keeps entries waiting, or one that is full is asked without rest."""
    fails = True

    def commit(batch: Sequence[tuple[int]]) -> None:
        if fails:
            raise OSError(28, "No space left on device")

    commits: Committer[tuple[int]] = Committer(commit, lambda *_: None)
    commits.put([(1,)])
    waits = []
    for _ in range(40):
        assert not commits.drain()
        waits.append(commits.retry_in_s)
    assert waits[:3] == [0.1, 0.2, 0.4] and waits[-1] == max(waits) == 5.0
    fails = False
    assert commits.drain() and commits.retry_in_s == 0.0
    fails = True
    commits.put([(2,)])
    assert not commits.drain() and commits.retry_in_s == 0.1


def test_the_writer_rests_between_its_tries_and_an_end_does_not_wait_for_the_next() -> None:
    tries: list[int] = []

    def commit(batch: Sequence[tuple[int]]) -> None:
        tries.append(1)
        raise OSError(28, "No space left on device")

    commits: Committer[tuple[int]] = Committer(commit, lambda *_: None)
    commits.put([(1,)])
    commits._failures = 20
    pump = gevent.spawn(commits.pump)
    gevent.sleep(0.3)
    assert len(tries) == 1
    with gevent.Timeout(2.0):
        assert not commits.close()
    pump.join(2.0)
    assert len(tries) == 2, "once more at the end"


def test_closing_with_a_full_disk_says_that_something_is_lost(tmp_path: Path) -> None:
    journal = Journal(FlakyDisk(tmp_path / "journal.db", ["before"] * 9))
    journal.open()
    journal.append([b"x"])
    assert not journal.close()


def test_a_slow_disk_does_not_hold_the_hub(tmp_path: Path) -> None:
    """A 30 s stall of the disk froze the whole loop elsewhere, stops with it (failure case 19)."""
    done = subprocess.run(
        python(
            """
            import sys, time
            from pathlib import Path
            from gevent import monkey, sleep, spawn
            monkey.patch_all()
            from gevent import monkey
            from bot.store.journal import Journal, SqliteDisk

            really_sleep = monkey.get_original("time", "sleep")

            class SlowDisk(SqliteDisk):
                def commit(self, batch):
                    really_sleep(2.0)
                    super().commit(batch)

            def worst_lateness(seconds):
                worst, end = 0.0, time.perf_counter() + seconds
                while time.perf_counter() < end:
                    before = time.perf_counter()
                    sleep(0.005)
                    worst = max(worst, time.perf_counter() - before - 0.005)
                return worst

            journal = Journal(SlowDisk(Path(sys.argv[1])))
            journal.open()
            committer = spawn(journal.pump)
            sleep(0.01)
            seq = journal.append([b"x" * 200] * 100)
            worst = worst_lateness(1.5)
            assert journal.durable_seq == 0
            before = time.perf_counter()
            journal.append([b"y"])
            appended = time.perf_counter() - before
            assert journal.wait(seq, 5)
            assert not journal.wait(seq + 1, 0.1)
            assert journal.close()
            print(worst, appended, journal.durable_seq)
            """,
            tmp_path / "journal.db",
        ),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    worst, appended, durable = map(float, done.stdout.split())
    assert worst < 2.0 / 4, "the hub was held for a good part of one commit"
    assert appended < 2.0 / 20
    assert durable == 101


def test_the_writer_retries_by_itself_when_the_disk_recovers(tmp_path: Path) -> None:
    done = subprocess.run(
        python(
            """
            import sys
            from pathlib import Path
            import gevent
            from bot.store.journal import Journal, SqliteDisk

            class FullDisk(SqliteDisk):
                full = True
                def commit(self, batch):
                    if self.full:
                        raise OSError(28, "No space left on device")
                    super().commit(batch)

            seen = []
            disk = FullDisk(Path(sys.argv[1]))
            journal = Journal(disk, lambda error, waiting: seen.append((type(error).__name__, waiting)))
            journal.open()
            gevent.spawn(journal.pump)
            gevent.sleep(0)
            for n in range(10):
                seq = journal.append([b"%d" % n])
            assert not journal.wait(seq, 0.5)
            assert not journal.healthy and seen and seen[0] == ("OSError", 10), seen
            disk.full = False
            assert journal.wait(seq, 10) and journal.healthy
            assert [body for _, body in journal.load().records] == [b"%d" % n for n in range(10)]
            assert journal.close()
            """,
            tmp_path / "journal.db",
        ),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_the_journal_needs_no_gevent_until_it_is_pumped(tmp_path: Path) -> None:
    done = subprocess.run(
        python(
            """
            import sys
            from pathlib import Path
            from bot.store.journal import Journal
            journal = Journal(Path(sys.argv[1]))
            journal.open()
            journal.append([b"x"])
            batch = journal.commits.begin()
            journal._disk.commit(batch)
            journal.commits.finish()
            assert journal.durable_seq == 1
            assert journal.close()
            assert "gevent" not in sys.modules
            """,
            tmp_path / "journal.db",
        ),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
