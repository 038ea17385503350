"""A damaged journal is refused with what to do, never loaded in part; what a crash leaves behind is no damage."""

import sqlite3
import subprocess
from pathlib import Path

import pytest
from test_journal import environment, filled, opened, python

from bot.store import sqlite as opening
from bot.store.history import History
from bot.store.journal import JournalCorrupt, JournalError, _crc
from bot.store.sqlite import FRAME_HEADER, WAL_HEADER


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


def test_a_snapshot_of_a_record_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """It was loaded, and the next records were skipped at each restart: they are not after it."""
    path = tmp_path / "journal.db"
    journal = opened(path)
    journal.append([b"a", b"b", b"c"])
    journal.snapshot(3, b"state", "hash")
    journal.close()
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO snapshots SELECT 9, epoch, ?, hash, state FROM snapshots", (_crc(9, 1, b"hashstate"),))
    db.close()
    with pytest.raises(JournalCorrupt, match="record 3 as the last, a snapshot is of record 9"):
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


def test_two_commits_from_a_bad_page_on_are_more_than_a_crash_leaves(tmp_path: Path) -> None:
    """The last but one was durable: an order may have left on its word."""
    path = left_by_a_crash(tmp_path, 3)
    wal = path.with_name("journal.db-wal")
    good = wal.read_bytes()
    frame = FRAME_HEADER.size + WAL_HEADER.unpack_from(good)[2]
    commits = [
        at for at in range(WAL_HEADER.size, len(good) - frame + 1, frame) if FRAME_HEADER.unpack_from(good, at)[1]
    ]
    for at, refused in ((commits[-2], True), (commits[-1], False)):
        wal.write_bytes(good[: at + 100] + bytes([good[at + 100] ^ 1]) + good[at + 101 :])
        if refused:
            with pytest.raises(JournalCorrupt, match="2 commits follow it"):
                opened(path)
        else:
            assert len(opened_and_loaded(path)) == 2


def cut_in_half(wal: Path) -> None:
    wal.write_bytes(wal.read_bytes()[: wal.stat().st_size // 2])


def zeroed_from_its_half(wal: Path) -> None:
    whole = wal.read_bytes()
    wal.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))


def removed(wal: Path) -> None:
    wal.unlink()


@pytest.mark.parametrize("damage", [cut_in_half, zeroed_from_its_half, removed])
def test_acknowledged_records_that_are_gone_are_counted_until_others_took_their_place(tmp_path: Path, damage) -> None:
    """Nothing in the file tells: 8 of 20 records were loaded, or none, and nobody heard of it."""
    path = left_by_a_crash(tmp_path, 20)
    path.with_name("journal.db-seq").write_bytes((tmp_path / "live.db-seq").read_bytes())
    damage(path.with_name("journal.db-wal"))
    for _ in range(2):
        journal = opened(path)
        kept = len(journal.load().records)
        assert kept < 20 and journal.lost == 20 - kept
        journal.close()
    journal = opened(path)
    journal.append([b"from here on"])
    assert journal.close()
    assert opened(path).lost == 0


def test_an_older_copy_put_back_has_lost_what_came_after_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    filled(path, 5)
    backup = path.read_bytes()
    filled(path, 5)
    path.write_bytes(backup)
    assert opened(path).lost == 5


def test_nothing_is_lost_after_a_crash_nor_where_a_journal_was_moved_away(tmp_path: Path) -> None:
    path = left_by_a_crash(tmp_path, 20)
    seq = path.with_name("journal.db-seq")
    for mark in (b"", b"garbage", b"%020d\n" % 19, b"%020d\n" % 20):  # it may lag behind, and it may be half written
        seq.write_bytes(mark)
        assert opened(path).lost == 0
    path.unlink()
    path.with_name("journal.db-wal").unlink(missing_ok=True)
    for _ in range(2):
        journal = opened(path)
        assert journal.lost == 0
        journal.close()


def test_the_mark_never_leads(tmp_path: Path, monkeypatch) -> None:
    """It is written when the commit is done: else a kill between the two would look like a loss."""
    path = tmp_path / "journal.db"
    journal = opened(path)
    marked: list[bytes] = []

    def on_disk(file: int, mark: bytes, at: int) -> int:
        with sqlite3.connect(path) as other:
            assert other.execute("SELECT max(seq) FROM records").fetchone() == (int(mark),)
        marked.append(mark)
        return len(mark)

    monkeypatch.setattr("bot.store.journal.os.pwrite", on_disk)
    for _ in range(3):
        journal.append([b"one", b"two"])
        assert journal.commits.drain()
    assert [int(mark) for mark in marked] == [2, 4, 6]
    journal.close()


def test_a_mark_that_cannot_be_written_fails_no_commit(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = opened(path)
    path.with_name("journal.db-seq").mkdir()
    journal.append([b"x"])
    assert journal.close()
    assert opened(path).lost == 0


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


def locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> sqlite3.Connection:
    """Somebody else holds the file for writing, and nobody waits for him."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    connect = sqlite3.connect
    monkeypatch.setattr(opening.sqlite3, "connect", lambda path, **more: connect(path, **{**more, "timeout": 0.01}))
    return other


def test_a_journal_that_somebody_holds_is_no_damage_and_is_left_where_it_is(tmp_path: Path, monkeypatch) -> None:
    """It was called damaged, with the advice to move it away: every stop of the account would have been forgotten."""
    path = tmp_path / "journal.db"
    filled(path)
    other = locked(path, monkeypatch)
    with pytest.raises(JournalError, match=r"locked.*Leave the file where it is.*end any other program") as caught:
        opened(path)
    assert not isinstance(caught.value, JournalCorrupt)
    other.close()
    assert len(opened_and_loaded(path)) == 20


def test_a_history_that_somebody_holds_is_no_damage(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "history.db"
    history = History(path)
    history.open()
    history.close()
    other = locked(path, monkeypatch)
    with pytest.raises(JournalError, match=r"locked.*Leave the file where it is") as caught:
        History(path).open()
    assert not isinstance(caught.value, JournalCorrupt)
    other.close()


def test_a_full_disk_at_the_start_is_no_damage(tmp_path: Path) -> None:
    """However little can still be written."""
    path = tmp_path / "journal.db"
    filled(path, 60, batch=60)
    start = """
        import resource, signal, sys
        from pathlib import Path
        from bot.store.journal import JournalCorrupt, JournalError, Journal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        for kilobytes in range(0, 48, 8):
            resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, resource.RLIM_INFINITY))
            try:
                Journal(Path(sys.argv[1])).open()
                print("opened")
            except JournalError as error:
                print("damaged" if isinstance(error, JournalCorrupt) else "in the way", error)
    """
    done = subprocess.run(python(start, path), env=environment(), capture_output=True, text=True, timeout=60)
    said = done.stdout.splitlines()
    assert len(said) == 6 and not done.stderr, done.stderr
    assert not [line for line in said if "damaged" in line], said
    refused = [line for line in said if line.startswith("in the way")]
    assert refused and all("has free space" in line and "Leave the file where it is" in line for line in refused), said
    assert len(opened_and_loaded(path)) == 60


@pytest.mark.parametrize(
    "code", ["FULL", "IOERR", "IOERR_WRITE", "BUSY_SNAPSHOT", "CANTOPEN", "READONLY", "CORRUPT", "NOTADB"]
)
def test_a_disk_that_is_in_the_way_is_not_called_damage(tmp_path: Path, code: str) -> None:
    """Whoever is told so moves the journal away, and the stops with it."""
    error = sqlite3.OperationalError("made up")
    error.sqlite_errorcode = getattr(sqlite3, f"SQLITE_{code}")
    with pytest.raises(JournalError) as caught, opening.explained(tmp_path / "journal.db"):
        raise error
    assert isinstance(caught.value, JournalCorrupt) is (code in ("CORRUPT", "NOTADB"))


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    filled(path, 1)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(JournalError, match="newer version"):
        opened(path)
