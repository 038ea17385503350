"""A journal of a newer version is refused with what to do, whatever it is that this version does not know."""

import json
from pathlib import Path
from typing import Any

import pytest

from bot.core.facts import Booted, PlanChanged, encode
from bot.core.state import dump, hash_of, new_state
from bot.core.trades import ExitPlan
from bot.core.units import Price
from bot.run.bot import default_config
from bot.run.restore import restore
from bot.store.journal import Journal, JournalError
from bot.strategy.favourites import Favourites

NOW = 1_795_000_000_000
CONFIG = default_config(Favourites())
PLAN = ExitPlan(Price(8_000), Price(9_500), NOW + 600_000, Price(1_000), 3_000)


def with_more(body: bytes, *place: str) -> bytes:
    """A newer version wrote one field more, there."""
    whole = json.loads(body)
    part: Any = whole
    for name in place:
        part = part[name]
    part["second_stop"] = 7_000
    return json.dumps(whole).encode()


def left_behind(path: Path, *records: bytes, snapshot: bytes = b"") -> Journal:
    journal = Journal(path / "journal.db")
    journal.open()
    journal.append(records)
    if snapshot:
        journal.snapshot(len(records), snapshot, hash_of(snapshot))
    assert journal.close()
    return Journal(path / "journal.db")


@pytest.mark.parametrize(
    "record",
    [
        with_more(encode(Booted(NOW, "b"))),
        with_more(encode(PlanChanged(NOW, "t", PLAN, "anna")), "plan"),
        b'{"type":"SecondStop","at_ms":1}',
    ],
    ids=["a field of a fact", "a field of a plan", "a fact"],
)
def test_records_of_a_newer_version_are_refused_and_lose_nothing(tmp_path: Path, record: bytes) -> None:
    journal = left_behind(tmp_path, record)
    with pytest.raises(JournalError, match=r"written by a newer version .*start the newest version"):
        restore(journal, CONFIG, "RUNNING", NOW)
    assert journal.load().records == [(1, record)]


def test_a_snapshot_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    newer = with_more(dump(new_state(CONFIG, "RUNNING", NOW)))
    journal = left_behind(tmp_path, encode(Booted(NOW, "b")), snapshot=newer)
    with pytest.raises(JournalError, match=r"written by a newer version .*second_stop"):
        restore(journal, CONFIG, "RUNNING", NOW)


def test_a_snapshot_whose_hash_is_not_the_recorded_one_is_refused(tmp_path: Path) -> None:
    """Its bytes are whole; the state is not the one that was kept, and its stops may not be."""
    path = tmp_path / "journal.db"
    journal = Journal(path)
    journal.open()
    journal.append([encode(Booted(NOW, "b"))])
    journal.snapshot(1, dump(new_state(CONFIG, "RUNNING", NOW)), hash_of(b"another"))
    assert journal.close()
    with pytest.raises(JournalError, match="another hash than recorded"):
        restore(Journal(path), CONFIG, "RUNNING", NOW)
