"""Which history rows still have to reach the remote store. It names rows; their content is read when it is sent.

A row that changes while it is on its way gets a new number, so marking the old number as sent leaves it waiting.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from bot.store.rows import TABLES, Row, columns, payload


class Batch(msgspec.Struct, frozen=True):
    """Rows of one table to deliver, oldest first."""

    row_type: type[Row]
    entries: tuple[tuple[int, int], ...]
    """(row, number) of each, as `mark_sent` wants them."""
    rows: list[dict[str, Any]]
    """What to send, the same keys in each."""


class Pending(msgspec.Struct, frozen=True):
    waiting: int
    refused: int
    """Rows the remote store will not take as they are; kept, tried again at each start."""


def open_outbox(db: sqlite3.Connection, url: str) -> int:
    """Start with every row waiting when the remote store is new; forget the outbox when there is none.

    Returns the highest number in use.
    """
    (known,) = db.execute("SELECT url FROM remote").fetchone()
    if url != known:
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM outbox")
        if url:
            for table in TABLES.values():
                db.execute(f"INSERT INTO outbox SELECT '{table.name}', row, row, '' FROM {table.name}")
        db.execute("UPDATE remote SET url = ?", (url,))
        db.execute("COMMIT")
    db.execute("UPDATE outbox SET refused = '' WHERE refused <> ''")
    (highest,) = db.execute("SELECT coalesce(max(n), 0) FROM outbox").fetchone()
    return int(highest)


def enqueue(db: sqlite3.Connection, table: str, row: int, number: int) -> None:
    """The row is new or changed."""
    db.execute("INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, '')", (table, row, number))


def next_batch(db: sqlite3.Connection, limit: int, without: Iterable[str]) -> Batch | None:
    """Up to `limit` waiting rows of the table whose oldest has waited longest, leaving out the tables named."""
    oldest: list[tuple[int, str, type[Row]]] = []
    for row_type, table in TABLES.items():
        if table.name not in without:
            first = db.execute("SELECT min(n) FROM outbox WHERE tbl = ? AND refused = ''", (table.name,)).fetchone()[0]
            if first is not None:
                oldest.append((first, table.name, row_type))
    if not oldest:
        return None
    _, name, row_type = min(oldest, key=lambda entry: entry[:2])
    wanted = ", ".join(f"t.{column}" for column in columns(row_type))
    found = db.execute(
        f"SELECT o.row, o.n, t.mode, {wanted} FROM outbox o JOIN {name} t ON t.row = o.row "
        "WHERE o.tbl = ? AND o.refused = '' ORDER BY o.n LIMIT ?",
        (name, limit),
    ).fetchall()
    return Batch(
        row_type,
        tuple((row, n) for row, n, *_ in found),
        [{"mode": mode, **payload(row_type, values)} for _, _, mode, *values in found],
    )


def mark_sent(db: sqlite3.Connection, table: str, entries: Sequence[tuple[int, int]]) -> None:
    """Forget these rows, except those that changed since."""
    db.executemany("DELETE FROM outbox WHERE tbl = ? AND row = ? AND n = ?", [(table, *entry) for entry in entries])


def mark_refused(db: sqlite3.Connection, table: str, entry: tuple[int, int], why: str) -> None:
    db.execute("UPDATE outbox SET refused = ? WHERE tbl = ? AND row = ? AND n = ?", (why or "refused", table, *entry))


def pending(db: sqlite3.Connection) -> Pending:
    waiting, refused = db.execute(
        "SELECT coalesce(sum(refused = ''), 0), coalesce(sum(refused <> ''), 0) FROM outbox"
    ).fetchone()
    return Pending(waiting, refused)
