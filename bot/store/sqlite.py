"""Opening our SQLite files: WAL, schema steps, and telling damage from a disk that is merely in the way."""

import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

WAL_HEADER = struct.Struct(">8I")
FRAME_HEADER = struct.Struct(">6I")

IN_THE_WAY = (
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
)  # fmt: skip
"""Results that say nothing about the file, only about what is around it (https://www.sqlite.org/rescode.html)."""


class StoreError(Exception):
    """A file in DATA_DIR cannot be used; the message says what to do."""


class StoreCorrupt(StoreError):
    """A file in DATA_DIR is damaged. It is never repaired or skipped silently."""


def connect(path: Path, steps: Sequence[str], *, synchronous: str) -> sqlite3.Connection:
    """Open or create `path`, check it whole and bring its schema to `len(steps)`.

    The connection may move between threads but must be used by one at a time. Transactions are explicit.
    """
    _check_wal(path)
    with explained(path):
        db = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            _check(db, path)
            if db.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
                raise StoreError(f"{path}: SQLite cannot use WAL here. Put DATA_DIR on a local disk.")
            db.execute(f"PRAGMA synchronous={synchronous}")
            db.execute("PRAGMA journal_size_limit=16777216")
            _upgrade(db, path, steps)
        except BaseException:
            db.close()
            raise
    return db


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """What SQLite raises, as a StoreError: a full disk or a lock is in the way, anything else is damage."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in IN_THE_WAY:
            raise damaged(path, str(error)) from error
        raise StoreError(
            f"{path}: cannot be used now ({error}). Leave the file where it is. Check that DATA_DIR exists, is "
            "writable by this user and has free space, end any other program that holds the file, then start again."
        ) from error


def damaged(path: Path, what: str) -> StoreCorrupt:
    return StoreCorrupt(
        f"{path} is damaged: {what}. Nothing was repaired. Stop every copy of the program, copy DATA_DIR somewhere "
        f"safe, then restore {path.name} from a backup; or move {path.name}, {path.name}-wal and {path.name}-shm away "
        "and start again: the bot then rebuilds its positions from the exchange."
    )


def _check(db: sqlite3.Connection, path: Path) -> None:
    verdict = db.execute("PRAGMA quick_check(3)").fetchall()
    if verdict != [("ok",)]:
        raise damaged(path, "; ".join(row[0] for row in verdict))


def _upgrade(db: sqlite3.Connection, path: Path, steps: Sequence[str]) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(steps):
        raise StoreError(
            f"{path} was written by a newer version of this program (schema {version}, this one knows {len(steps)}). "
            "Update the program, or give it another DATA_DIR."
        )
    for number in range(version, len(steps)):
        db.executescript(f"BEGIN IMMEDIATE; {steps[number]}; PRAGMA user_version={number + 1}; COMMIT;")


def _check_wal(path: Path) -> None:
    """Refuse a write-ahead log that lost a commit, before SQLite opens it.

    SQLite reads the log up to the first bad checksum, drops the rest without a word, and deletes it on close.
    A crash can leave one unfinished commit there. The next commit is begun only once the one before is on disk,
    so two or more commits after the bad frame mean damage. Format: https://www.sqlite.org/fileformat2.html section 4.
    """
    wal = path.with_name(path.name + "-wal")
    try:
        data = wal.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{wal}: cannot be read ({error}). Check the owner and mode of DATA_DIR.") from error
    if len(data) < WAL_HEADER.size + FRAME_HEADER.size:
        return
    magic, _, page_size, _, salt1, salt2, sum1, sum2 = WAL_HEADER.unpack_from(data)
    order = ">" if magic & 1 else "<"
    checksum = _wal_checksum(data[: WAL_HEADER.size - 8], order, (0, 0))
    if checksum != (sum1, sum2):
        raise damaged(path, "the header of its write-ahead log fails its checksum")
    whole, lost = True, 0
    for at in range(WAL_HEADER.size, len(data) - page_size - FRAME_HEADER.size + 1, page_size + FRAME_HEADER.size):
        _, pages, frame_salt1, frame_salt2, sum1, sum2 = FRAME_HEADER.unpack_from(data, at)
        if whole:
            page = data[at + FRAME_HEADER.size : at + FRAME_HEADER.size + page_size]
            checksum = _wal_checksum(data[at : at + 8] + page, order, checksum)
            whole = (frame_salt1, frame_salt2, sum1, sum2) == (salt1, salt2, *checksum)
        if not whole and (frame_salt1, frame_salt2) == (salt1, salt2):
            lost += pages > 0
    if lost > 1:
        raise damaged(path, f"a page in its write-ahead log fails its checksum and {lost} commits follow it")


def _wal_checksum(data: bytes, order: str, start: tuple[int, int]) -> tuple[int, int]:
    first, second = start
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
