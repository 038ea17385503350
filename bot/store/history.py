"""The trade history (DATA_DIR/history.db): orders, fills, trades, settlements, equity, decisions, audit.

Written in batches off the hub, each row with its outbox entry in one transaction; read in pages, newest first.
Putting a row again changes nothing, so a replay may put everything it sees.
"""

import base64
import binascii
import hashlib
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from bot.store import outbox
from bot.store.committer import Committer
from bot.store.history_schema import STEPS
from bot.store.outbox import Batch, Pending
from bot.store.rows import (
    TABLES,
    Audit,
    Decision,
    Row,
    Table,
    canonical,
    columns,
    from_values,
    payload,
    table_types,
    values,
)
from bot.store.sqlite import connect, explained

if TYPE_CHECKING:
    from gevent.threadpool import ThreadPool

KEPT_DECISIONS = 200_000
KEPT_DECISIONS_MS = 7 * 24 * 3600 * 1000
PRUNE_EVERY = 500
LARGEST_PAGE = 500

T = TypeVar("T")


class _Put(NamedTuple):
    number: int
    row_type: type[Row]
    row: Row


class _Sent(NamedTuple):
    number: int
    table: str
    entries: tuple[tuple[int, int], ...]


class _Refused(NamedTuple):
    number: int
    table: str
    entry: tuple[int, int]
    why: str


class History:
    """One file for one mode of trading. Call `open`, then run `pump` as a greenlet; all calls from one thread."""

    def __init__(
        self,
        path: Path,
        mode: Literal["paper", "demo", "live"] = "paper",
        remote: str = "",
        on_error: Callable[[Exception, int], None] = lambda error, waiting: None,
    ) -> None:
        """`mode` stamps every row, so that paper never mixes with live. `remote` is the URL of the remote store:
        rows put while it is set go to its outbox, and a new URL gets the whole history.
        """
        self.path = path
        self.mode = mode
        self.remote = remote
        self.commits: Committer[_Put | _Sent | _Refused] = Committer(self._commit, on_error)
        self._number = 0
        self._outbox_number = 0
        self._decisions = 0
        self._db: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._pool: ThreadPool | None = None

    def open(self) -> None:
        """Raises StoreError, StoreCorrupt."""
        self._db = connect(self.path, STEPS, synchronous="FULL")
        with explained(self.path):
            self._outbox_number = outbox.open_outbox(self._db, self.remote)
            self._prune(self._db)
        self._reader = sqlite3.connect(f"file:{quote(str(self.path))}?mode=ro", uri=True, check_same_thread=False)

    def put(self, *rows: Row) -> int:
        """Queue rows to insert or bring up to date; returns a number for `wait`. Never blocks, never yields.

        Of a row that may change the higher version wins; a fact stays as it was first put. ValueError when a row
        does not hold what its type says: a defect of the caller.
        """
        for row in rows:
            self._number += 1
            copy = msgspec.json.decode(msgspec.json.encode(row), type=type(row))
            self.commits.put([_Put(self._number, type(row), copy)])
        return self._number

    def wait(self, number: int, timeout: float | None) -> bool:
        """Block the calling greenlet until what `put` numbered is durable; False after `timeout` seconds."""
        return self.commits.wait(number, timeout)

    def pump(self) -> None:
        """Run as one greenlet until `close`."""
        self.commits.pump()

    @property
    def healthy(self) -> bool:
        return self.commits.healthy

    def close(self) -> bool:
        """Flush and close. False when something could not be made durable."""
        flushed = self.commits.close()
        if self._pool is not None:
            self._pool.join()
            self._pool.kill()
        for db in (self._reader, self._db):
            if db is not None:
                db.close()
        return flushed

    def page(
        self, table: str, limit: int = 50, cursor: str | None = None, filters: Mapping[str, Any] | None = None
    ) -> tuple[list[Row], str | None]:
        """Rows newest first and the cursor of the next page, None at the end. Rows put meanwhile repeat nothing.

        Filters: columns of Table.filters by value (None finds open ends), `since_ms` (inclusive) and `until_ms`
        (exclusive). ValueError for a table, filter or cursor that does not exist.
        """
        row_type = table_types().get(table)
        if row_type is None:
            raise ValueError(f"no table {table!r}: there are {', '.join(table_types())}")
        kept = TABLES[row_type]
        conditions, arguments = _conditions(kept, filters or {})
        if cursor is not None:
            conditions.append(f"({kept.time}, row) < (?, ?)")
            arguments += _position(cursor)
        limit = max(1, min(limit, LARGEST_PAGE))
        query = (
            f"SELECT row, {', '.join(columns(row_type))} FROM {table} WHERE {' AND '.join(['mode = ?', *conditions])} "
            f"ORDER BY {kept.time} DESC, row DESC LIMIT ?"
        )
        found = self._read(lambda db: db.execute(query, (self.mode, *arguments, limit + 1)).fetchall())
        rows = [from_values(row_type, kept_values) for _, *kept_values in found[:limit]]
        if len(found) <= limit:
            return rows, None
        return rows, _cursor(getattr(rows[-1], kept.time), found[limit - 1][0])

    def verify_audit(self) -> str:
        """Empty when every audit row follows from the one before it; else what does not."""
        query = f"SELECT {', '.join(columns(Audit))} FROM audit WHERE mode = ? ORDER BY position"
        previous = ""
        found = self._read(lambda db: db.execute(query, (self.mode,)).fetchall())
        for position, kept_values in enumerate(found, 1):
            row = Audit(**payload(Audit, kept_values))
            if (row.position, row.previous, row.hash) != (position, previous, self._audit_hash(row)):
                return f"audit row {row.id} does not follow from the one before it (position {position})"
            previous = row.hash
        return ""

    def next_batch(self, limit: int, without: Collection[str] = ()) -> Batch | None:
        """The next rows to deliver (bot.store.outbox)."""
        return self._read(lambda db: outbox.next_batch(db, limit, without))

    def pending(self) -> Pending:
        """How much is not delivered yet."""
        return self._read(outbox.pending)

    def mark_sent(self, batch: Batch) -> bool:
        """The remote store has these rows. True once that is on disk."""
        self._number += 1
        self.commits.put([_Sent(self._number, TABLES[batch.row_type].name, batch.entries)])
        return self.commits.flush(10.0)

    def mark_refused(self, batch: Batch, why: str) -> bool:
        """The remote store will not take this one row: keep it, pass it over until the next start."""
        self._number += 1
        self.commits.put([_Refused(self._number, TABLES[batch.row_type].name, batch.entries[0], why)])
        return self.commits.flush(10.0)

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query in the reading thread; the hub runs on."""
        from gevent.threadpool import ThreadPool

        if self._reader is None:
            raise ValueError(f"{self.path} is not open")
        if self._pool is None:
            self._pool = ThreadPool(1)
        result: T = self._pool.apply(query, (self._reader,))
        return result

    def _commit(self, batch: Sequence[_Put | _Sent | _Refused]) -> None:
        db = self._db
        if db is None:
            raise ValueError(f"{self.path} is not open")
        try:
            db.execute("BEGIN IMMEDIATE")
            for item in batch:
                if isinstance(item, _Put):
                    self._write(db, item.row_type, item.row)
                elif isinstance(item, _Sent):
                    outbox.mark_sent(db, item.table, item.entries)
                else:
                    outbox.mark_refused(db, item.table, item.entry, item.why)
            if self._decisions >= PRUNE_EVERY:
                self._prune(db)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _write(self, db: sqlite3.Connection, row_type: type[Row], row: Row) -> None:
        if isinstance(row, Audit):
            row = self._chained(db, row)
        self._decisions += row_type is Decision
        written = db.execute(_upsert(row_type), (self.mode, *values(row))).fetchone()
        if written is not None and self.remote:
            self._outbox_number += 1
            outbox.enqueue(db, TABLES[row_type].name, written[0], self._outbox_number)

    def _chained(self, db: sqlite3.Connection, row: Audit) -> Audit:
        last = db.execute(
            "SELECT position, hash FROM audit WHERE mode = ? ORDER BY position DESC LIMIT 1", (self.mode,)
        ).fetchone()
        position, previous = last or (0, "")
        row = msgspec.structs.replace(row, position=position + 1, previous=previous)
        return msgspec.structs.replace(row, hash=self._audit_hash(row))

    def _audit_hash(self, row: Audit) -> str:
        facts = [self.mode, *msgspec.structs.astuple(row)[:-1]]
        return hashlib.sha256(canonical(facts).encode()).hexdigest()

    def _prune(self, db: sqlite3.Connection) -> None:
        """Keep 7 days and 200,000 rows of decisions; those beyond are given up also when not delivered yet."""
        self._decisions = 0
        newest_row, newest_ms = db.execute("SELECT max(row), max(at_ms) FROM decisions").fetchone()
        if newest_row is None:
            return
        bounds = (newest_row - KEPT_DECISIONS, newest_ms - KEPT_DECISIONS_MS)
        gone = "SELECT row FROM decisions WHERE row <= ? OR at_ms < ?"
        db.execute(f"DELETE FROM outbox WHERE tbl = 'decisions' AND row IN ({gone})", bounds)
        db.execute("DELETE FROM decisions WHERE row <= ? OR at_ms < ?", bounds)


def _upsert(row_type: type[Row]) -> str:
    """Insert; on the same key the higher version wins, a fact stays. Returns the row number if anything changed."""
    table = TABLES[row_type]
    names = ("mode", *columns(row_type))
    insert = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    if not table.versioned:
        return f"{insert} ON CONFLICT (mode, {table.key}) DO NOTHING RETURNING row"
    changes = ", ".join(f"{name} = excluded.{name}" for name in names)
    return (
        f"{insert} ON CONFLICT (mode, {table.key}) DO UPDATE SET {changes} "
        f"WHERE excluded.version > {table.name}.version RETURNING row"
    )


def _conditions(table: Table, filters: Mapping[str, Any]) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    arguments: list[Any] = []
    for name, value in filters.items():
        if name in ("since_ms", "until_ms"):
            conditions.append(f"{table.time} {'>=' if name == 'since_ms' else '<'} ?")
        elif name in table.filters:
            conditions.append(f"{name} IS ?")
        else:
            raise ValueError(f"{table.name} has no filter {name!r}: there are {', '.join(table.filters)}")
        arguments.append(value)
    return conditions, arguments


def _cursor(time: int, row: int) -> str:
    return base64.urlsafe_b64encode(f"{time}.{row}".encode()).decode()


def _position(cursor: str) -> list[int]:
    try:
        time, row = base64.urlsafe_b64decode(cursor.encode("ascii")).decode("ascii").split(".")
        return [int(time), int(row)]
    except (ValueError, binascii.Error) as error:
        raise ValueError("that cursor is not one of ours; start again from the first page") from error
