"""A journal that cannot be written is an alarm on the page, told once, and so is its return."""

from collections.abc import Sequence

from bot.core.effects import Notice
from bot.run.store_watch import StoreWatch
from bot.store.journal import Journal, Loaded


class FullDisk:
    full = True

    def open(self) -> int:
        return 0

    def load(self) -> Loaded:
        return Loaded(None, 0, "", [])

    def commit(self, batch: Sequence[object]) -> None:
        if self.full:
            raise OSError("no space left on device")

    def close(self) -> None:
        pass


def test_a_failing_journal_is_told_once_and_its_return_too() -> None:
    disk, told = FullDisk(), list[Notice]()
    journal = Journal(disk)
    journal.open()
    watch = StoreWatch(journal, None, None, told.append)  # type: ignore[arg-type]
    watch.look()
    journal.append([b"a", b"b"])
    for _ in range(3):
        assert not journal.commits.drain()
        watch.look()
    assert [(n.level, n.code) for n in told] == [("alarm", "journal_failing")]
    assert "2 records wait" in told[0].text
    disk.full = False
    assert journal.commits.drain()
    watch.look()
    watch.look()
    assert [n.code for n in told] == ["journal_failing", "journal_works"]
