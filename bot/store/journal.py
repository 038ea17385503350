"""The journal: every fact in order, on disk before anything is done about it; restart = snapshot + records.

`Journal` numbers and queues records; `SqliteDisk` makes a batch durable in one transaction (WAL, synchronous
FULL). Each opening takes a new epoch, so a process that was succeeded can no longer write.
"""

import os
import sqlite3
import struct
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from bot.store.committer import Committer
from bot.store.sqlite import StoreCorrupt, StoreError, connect, damaged, explained

KEPT_SNAPSHOTS = 3

STEPS = (
    """
    CREATE TABLE head (only INTEGER PRIMARY KEY CHECK (only = 1), epoch INTEGER NOT NULL, last_seq INTEGER NOT NULL);
    INSERT INTO head VALUES (1, 0, 0);
    CREATE TABLE records (
        seq INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE TABLE snapshots (
        seq INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, crc INTEGER NOT NULL, hash TEXT NOT NULL, state BLOB NOT NULL)
    """,
)

JournalError = StoreError
JournalCorrupt = StoreCorrupt


class Record(NamedTuple):
    seq: int
    body: bytes


class Snapshot(NamedTuple):
    """The state after record `seq`."""

    seq: int
    state: bytes
    hash: str


class Loaded(msgspec.Struct, frozen=True):
    """What a restart needs: the newest snapshot and every record after it. Without a snapshot `snapshot_seq` is 0."""

    snapshot: bytes | None
    snapshot_seq: int
    snapshot_hash: str
    records: list[tuple[int, bytes]]


class Disk(Protocol):
    """Where batches become durable. `commit` raises with nothing applied, and repeating it changes nothing."""

    lost: int
    """Records that were durable once and are not there any more; known after `open`."""

    def open(self) -> int:
        """Check everything and return the last seq on disk."""
        ...

    def load(self) -> Loaded: ...

    def commit(self, batch: Sequence[Record | Snapshot]) -> None: ...

    def close(self) -> None: ...


class Journal:
    """Append-only, numbered from 1 without holes. Call `open`, then `load`, then run `pump` as a greenlet."""

    def __init__(self, disk: Path | Disk, on_error: Callable[[Exception, int], None] = lambda error, waiting: None):
        """`disk` is the file, or a Disk of your own. `on_error` gets each failed commit and how many records wait."""
        self._disk: Disk = SqliteDisk(disk) if isinstance(disk, Path) else disk
        self._on_error = on_error
        self._snapshot_seq = 0
        self.last_seq = 0

    def open(self) -> None:
        """Check schema and integrity and take a new epoch. Raises JournalError, JournalCorrupt."""
        self.last_seq = self._disk.open()
        self.commits: Committer[Record | Snapshot] = Committer(self._disk.commit, self._on_error, self.last_seq)

    def load(self) -> Loaded:
        """The newest snapshot and the records after it. Raises JournalCorrupt; nothing is ever skipped."""
        loaded = self._disk.load()
        self._snapshot_seq = loaded.snapshot_seq
        return loaded

    def append(self, records: Sequence[bytes]) -> int:
        """Queue records in order and return the seq of the last, at once: never blocks, never yields."""
        first = self.last_seq + 1
        self.last_seq += len(records)
        self.commits.put([Record(seq, body) for seq, body in enumerate(records, first)])
        return self.last_seq

    def snapshot(self, seq: int, state: bytes, hash: str) -> None:
        """Queue the state after record `seq`. The last three are kept, and only the records after the oldest."""
        if seq > self.last_seq:
            raise ValueError(f"snapshot of record {seq}, but the last one is {self.last_seq}")
        self._snapshot_seq = seq
        self.commits.put([Snapshot(seq, state, hash)])

    @property
    def grown(self) -> int:
        """Records since the newest snapshot: what a restart has to replay."""
        return self.last_seq - self._snapshot_seq

    @property
    def durable_seq(self) -> int:
        """The last record on disk."""
        return self.commits.durable

    @property
    def lost(self) -> int:
        """How many records at the end were durable once and are gone: a log that was cut, an older copy put back."""
        return self._disk.lost

    @property
    def healthy(self) -> bool:
        """False from a failed commit until the next that succeeds."""
        return self.commits.healthy

    def wait(self, seq: int, timeout: float | None) -> bool:
        """Block the calling greenlet until record `seq` is durable; False after `timeout` seconds."""
        return self.commits.wait(seq, timeout)

    def pump(self) -> None:
        """Run as one greenlet until `close`."""
        self.commits.pump()

    def close(self) -> bool:
        """Flush and close. False when something could not be made durable."""
        flushed = self.commits.close()
        self._disk.close()
        return flushed


class SqliteDisk:
    """One SQLite file. Opened at the start; after that only the commit thread uses the connection.

    Beside it stands a mark: the seq of the last commit, written after it and not forced to the disk. So it may lag
    behind in a crash, and never leads; a file that holds less than its mark has lost records.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mark = path.with_name(path.name + "-seq")
        self.epoch = 0
        self.lost = 0
        self._db: sqlite3.Connection | None = None

    def open(self) -> int:
        if not self.path.exists():  # the disk was wiped, or the journal moved away: another one begins
            self.mark.unlink(missing_ok=True)
        self._db = connect(self.path, STEPS, synchronous="FULL")
        try:
            with explained(self.path):
                self._verify(self._db)
                self._db.execute("UPDATE head SET epoch = epoch + 1")
                self.epoch, last_seq = self._head(self._db)
        except StoreError:
            self.close()
            raise
        self.lost = max(self._marked() - last_seq, 0)
        return last_seq

    def load(self) -> Loaded:
        db = self._opened()
        with explained(self.path):
            newest = db.execute("SELECT seq, hash, state FROM snapshots ORDER BY seq DESC LIMIT 1").fetchone()
            seq, hash, state = newest or (0, "", None)
            records = db.execute("SELECT seq, body FROM records WHERE seq > ? ORDER BY seq", (seq,)).fetchall()
        return Loaded(state, seq, hash, records)

    def commit(self, batch: Sequence[Record | Snapshot]) -> None:
        db = self._opened()
        try:
            db.execute("BEGIN IMMEDIATE")
            epoch, last_seq = self._head(db)
            if epoch != self.epoch:
                raise StoreError(
                    f"{self.path}: another copy of the program has taken over this journal (epoch {epoch}, ours is "
                    f"{self.epoch}). Only one may run on one DATA_DIR: stop this one."
                )
            fresh = [item for item in batch if isinstance(item, Record) and item.seq > last_seq]
            if fresh and fresh[0].seq != last_seq + 1:
                raise damaged(self.path, f"record {fresh[0].seq} would follow record {last_seq}")
            db.executemany(
                "INSERT INTO records VALUES (?, ?, ?, ?)",
                [(r.seq, epoch, _crc(r.seq, epoch, r.body), r.body) for r in fresh],
            )
            if fresh:
                db.execute("UPDATE head SET last_seq = ?", (fresh[-1].seq,))
            snapshots = [item for item in batch if isinstance(item, Snapshot)]
            if snapshots:
                self._keep(db, epoch, snapshots)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        if fresh:
            self._write_mark(fresh[-1].seq)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _keep(self, db: sqlite3.Connection, epoch: int, snapshots: Sequence[Snapshot]) -> None:
        db.executemany(
            "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?)",
            [
                (s.seq, self.epoch, _crc(s.seq, self.epoch, s.hash.encode() + s.state), s.hash, s.state)
                for s in snapshots
            ],
        )
        kept = db.execute("SELECT seq FROM snapshots ORDER BY seq DESC LIMIT ?", (KEPT_SNAPSHOTS,)).fetchall()
        db.execute("DELETE FROM snapshots WHERE seq < ?", kept[-1])
        db.execute("DELETE FROM records WHERE seq <= ?", kept[-1])

    def _verify(self, db: sqlite3.Connection) -> None:
        """Every record and snapshot is whole, in order, and none is missing up to the head."""
        epoch, last_seq = self._head(db)
        oldest = 0
        for seq, its_epoch, crc, hash, state in db.execute(
            "SELECT seq, epoch, crc, hash, state FROM snapshots ORDER BY seq DESC"
        ):
            if seq > last_seq:
                raise damaged(self.path, f"its head names record {last_seq} as the last, a snapshot is of record {seq}")
            if not isinstance(state, bytes) or crc != _crc(seq, its_epoch, hash.encode() + state):
                raise damaged(self.path, f"the snapshot at record {seq} fails its checksum")
            oldest = seq
        expected, floor = oldest + 1, 0
        for seq, its_epoch, crc, body in db.execute("SELECT seq, epoch, crc, body FROM records ORDER BY seq"):
            if seq != expected:
                raise damaged(self.path, f"record {expected} is missing, the next one is {seq}")
            if not isinstance(body, bytes) or crc != _crc(seq, its_epoch, body):
                raise damaged(self.path, f"record {seq} fails its checksum")
            if not floor <= its_epoch <= epoch:
                raise damaged(self.path, f"record {seq} carries epoch {its_epoch} between {floor} and {epoch}")
            expected, floor = seq + 1, its_epoch
        if expected != last_seq + 1:
            raise damaged(self.path, f"its head names record {last_seq} as the last, found {expected - 1}")

    def _write_mark(self, seq: int) -> None:
        with suppress(OSError):  # then it lags behind, and the next one may be written
            file = os.open(self.mark, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.pwrite(file, b"%020d\n" % seq, 0)
            finally:
                os.close(file)

    def _marked(self) -> int:
        try:
            return int(self.mark.read_bytes())
        except (OSError, ValueError):  # none yet, or a crash of the machine while it was written
            return 0

    def _head(self, db: sqlite3.Connection) -> tuple[int, int]:
        heads = db.execute("SELECT epoch, last_seq FROM head").fetchall()
        if len(heads) != 1:
            raise damaged(self.path, "its head is missing")
        epoch, last_seq = heads[0]
        return epoch, last_seq

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            raise StoreError(f"{self.path} is not open")
        return self._db


def _crc(seq: int, epoch: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(struct.pack("<QQ", seq, epoch)))
