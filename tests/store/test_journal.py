"""The journal keeps every acknowledged record, in order, and refuses to load a damaged file."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from bot.store.journal import Journal, JournalCorrupt, JournalError, Record, Snapshot, SqliteDisk

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


def damage_body(db: sqlite3.Connection) -> None:
    db.execute("UPDATE records SET body = CAST('recorD 7' AS BLOB) WHERE seq = 7")


def delete_middle(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM records WHERE seq = 7")


def delete_last(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM records WHERE seq = 20")


def delete_first(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM records WHERE seq = 1")


def swap_two(db: sqlite3.Connection) -> None:
    db.executescript(
        "UPDATE records SET seq = 99 WHERE seq = 3; UPDATE records SET seq = 3 WHERE seq = 4;"
        "UPDATE records SET seq = 4 WHERE seq = 99"
    )


def delete_head(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM head")


def retype_body(db: sqlite3.Connection) -> None:
    db.execute("UPDATE records SET body = CAST(body AS TEXT) WHERE seq = 7")


@pytest.mark.parametrize(
    "damage", [damage_body, delete_middle, delete_last, delete_first, swap_two, delete_head, retype_body]
)
def test_a_changed_or_missing_record_is_refused_with_what_to_do(tmp_path: Path, damage) -> None:
    path = tmp_path / "journal.db"
    filled(path)
    with sqlite3.connect(path) as db:
        damage(db)
    db.close()
    for _ in range(2):
        with pytest.raises(JournalCorrupt, match=r"journal\.db is damaged: .*Stop every copy") as caught:
            opened(path)
        assert "backup" in str(caught.value)


def test_a_damaged_snapshot_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = opened(path)
    journal.append([b"x"])
    journal.snapshot(1, b"state", "hash")
    journal.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE snapshots SET hash = 'other'")
    db.close()
    with pytest.raises(JournalCorrupt, match="snapshot at record 1"):
        opened(path)


def test_no_flipped_byte_of_the_file_changes_what_is_loaded(tmp_path: Path) -> None:
    """Each byte sampled is either refused or without effect; never a different answer."""
    path = tmp_path / "journal.db"
    filled(path, 60, batch=60)
    good = path.read_bytes()
    expected = opened_and_loaded(path)
    refused = 0
    for at in range(0, len(good), 61):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])
        for name in ("journal.db-wal", "journal.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        try:
            assert opened_and_loaded(path) == expected, f"byte {at}"
        except JournalError:
            refused += 1
    assert refused > 10


def opened_and_loaded(path: Path) -> list[tuple[int, bytes]]:
    journal = opened(path)
    records = journal.load().records
    journal.close()
    return records


def left_by_a_crash(tmp_path: Path, commits: int) -> Path:
    """A journal whose commits are all still in its write-ahead log, as SIGKILL leaves it."""
    journal = opened(tmp_path / "live.db")
    for number in range(commits):
        journal.append([b"record %d" % number])
        assert journal.commits.drain()
    crashed = tmp_path / "journal.db"
    for suffix in ("", "-wal"):
        (tmp_path / f"journal.db{suffix}").write_bytes((tmp_path / f"live.db{suffix}").read_bytes())
    journal.close()
    return crashed


def test_a_flipped_byte_in_the_write_ahead_log_is_refused_each_time(tmp_path: Path) -> None:
    """SQLite alone drops every commit after the bad page and says nothing."""
    path = left_by_a_crash(tmp_path, 20)
    wal = path.with_name("journal.db-wal")
    good, good_db = wal.read_bytes(), path.read_bytes()
    for at in range(8, len(good) * 3 // 4, 4099):
        wal.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        path.write_bytes(good_db)
        for _ in range(2):
            with pytest.raises(JournalCorrupt, match="write-ahead log"):
                opened(path)


def test_a_write_ahead_log_cut_in_its_last_commit_is_an_ordinary_crash(tmp_path: Path) -> None:
    path = left_by_a_crash(tmp_path, 20)
    wal = path.with_name("journal.db-wal")
    wal.write_bytes(wal.read_bytes()[:-100])
    assert len(opened_and_loaded(path)) == 19


def test_a_last_commit_that_was_half_written_is_an_ordinary_crash(tmp_path: Path) -> None:
    """SQLite writes a frame's header before its page: a crash between them leaves a bad checksum at the end."""
    path = left_by_a_crash(tmp_path, 20)
    wal = path.with_name("journal.db-wal")
    data = wal.read_bytes()
    wal.write_bytes(data[:-4096] + bytes(4096))
    assert len(opened_and_loaded(path)) == 19


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"this is not a database, it is a letter to a friend" * 100)
    with pytest.raises(JournalCorrupt, match="not a database"):
        opened(path)


def test_a_missing_folder_is_an_error_but_no_damage(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="Check that DATA_DIR exists") as caught:
        opened(tmp_path / "absent" / "journal.db")
    assert not isinstance(caught.value, JournalCorrupt)


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    filled(path, 1)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(JournalError, match="newer version"):
        opened(path)


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
