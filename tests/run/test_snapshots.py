"""The journal stays small: a snapshot lets go of the records before it, in a crash loop and beside a broken history."""

import sqlite3
from contextlib import closing
from pathlib import Path

import gevent
import pytest
from test_review_run import alone, until

from bot.core.events import MarketChange
from bot.run import bot as bot_module
from bot.run.bot import Bot
from bot.run.door import now_ms


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bot_module, "LONGEST_REPLAY", 50)


def counted(folder: Path, table: str) -> int:
    with closing(sqlite3.connect(folder / "journal.db")) as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def write(bot: Bot, records: int) -> None:
    for number in range(records):
        bot.door.state.status.setdefault("T-1", "active")
        bot.door.handle(MarketChange(now_ms(), "T-1", ("inactive", "active")[number % 2]))
    assert bot.journal.wait(bot.door.seq, 5.0)


def die(bot: Bot) -> None:
    """Nothing is closed in order."""
    gevent.killall(bot._greenlets)


def test_a_program_that_dies_again_and_again_does_not_let_the_journal_grow(tmp_path: Path) -> None:
    """The first snapshot came after five minutes of life: never, in a loop of shorter ones."""
    for _ in range(10):
        bot = alone(tmp_path)
        grown = bot.journal.grown
        bot.run([])
        if grown > 50:
            assert until(lambda bot=bot: bot.journal.grown < 50)  # type: ignore[misc]
        write(bot, 40)
        die(bot)
    assert counted(tmp_path, "snapshots") == 3
    assert counted(tmp_path, "records") < 300


def test_a_history_that_cannot_be_written_does_not_let_the_journal_grow(tmp_path: Path) -> None:
    bot = alone(tmp_path)
    bot.history._db.execute("PRAGMA busy_timeout=20")  # type: ignore[union-attr]
    with closing(sqlite3.connect(tmp_path / "history.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        bot.run([])
        bot.command("pause", {}, "anna", "r1")
        write(bot, 20)
        bot._snapshot(0.2)
        write(bot, 20)
        assert counted(tmp_path, "snapshots") == 0, "its rows come first while the journal is small"
        write(bot, 20)
        bot._snapshot(0.2)
        assert until(lambda: counted(tmp_path, "snapshots") == 1)
    bot.stop(0.2)
