"""Compares the history in SQLite with Supabase's PostgreSQL, row by row and column by column.

Alone: `python tests/store/compare.py HISTORY_DB DSN` prints the differences and exits 1 if there are any.
"""

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

sys.path.insert(0, str(Path(__file__).parents[2]))

from bot.store.rows import TABLES, columns, payload


def compare(history_path: Path, pg_dsn: str) -> list[str]:
    """Differences, empty when both hold the same rows.

    Decisions are bounded in SQLite: older ones that only PostgreSQL still has are no difference.
    """
    differences: list[str] = []
    local = sqlite3.connect(history_path)
    remote = psycopg2.connect(pg_dsn)
    try:
        for row_type, table in TABLES.items():
            names = ("mode", *columns(row_type))
            keys = ("mode", *table.key.split(","))
            kept = local.execute(f"SELECT {', '.join(names)} FROM {table.name}").fetchall()
            ours = _by_key([{"mode": row[0], **payload(row_type, row[1:])} for row in kept], keys)
            with remote.cursor() as cursor:
                listed = sql.SQL(", ").join(map(sql.Identifier, names))
                cursor.execute(sql.SQL("select {} from public.{}").format(listed, sql.Identifier(table.name)))
                found = cursor.fetchall()
            theirs = _by_key([dict(zip(names, row, strict=True)) for row in found], keys)
            if len(theirs) != len(found):
                differences.append(f"{table.name}: a key occurs twice in PostgreSQL")
            if table.name == "decisions" and ours:
                oldest = min(row["at_ms"] for row in ours.values())
                theirs = {key: row for key, row in theirs.items() if key in ours or row["at_ms"] > oldest}
            differences += _differences(table.name, ours, theirs)
    finally:
        local.close()
        remote.close()
    return differences


def _by_key(rows: list[dict[str, Any]], keys: tuple[str, ...]) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {tuple(row[key] for key in keys): row for row in rows}


def _differences(
    table: str, ours: dict[tuple[Any, ...], dict[str, Any]], theirs: dict[tuple[Any, ...], dict[str, Any]]
) -> list[str]:
    found = [f"{table} {key}: missing in PostgreSQL" for key in ours.keys() - theirs.keys()]
    found += [f"{table} {key}: only in PostgreSQL" for key in theirs.keys() - ours.keys()]
    for key in ours.keys() & theirs.keys():
        for name, value in ours[key].items():
            other = theirs[key][name]
            if type(value) is not type(other) or value != other:
                found.append(f"{table} {key} {name}: SQLite {json.dumps(value)}, PostgreSQL {json.dumps(other)}")
    return sorted(found)


if __name__ == "__main__":
    lines = compare(Path(sys.argv[1]), sys.argv[2])
    print("\n".join(lines) or "equal")
    raise SystemExit(1 if lines else 0)
