"""Found in review: a standby that cannot start after it took the lease says so, gives it back and tries again."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from bot import build
from bot.run.desk import Desk
from bot.run.lease import FileLease
from bot.settings import Settings


class Standby:
    """A program beside another one that trades; `start` does what the test says each time a bot is to be built."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tries: list[str] = []
        self.start: Callable[[], None] = lambda: None
        self.desk = Desk("paper")
        monkeypatch.setattr(build, "build", self._build)
        monkeypatch.setattr(build, "LEASE_POLL_S", 0.02)
        monkeypatch.setattr(build, "_quiet_garbage_collector", lambda: None)
        monkeypatch.setattr(build, "_print_way_in", lambda *_: None)
        settings = Settings.load({"DATA_DIR": str(folder)}, folder / "none")
        self.other = FileLease(settings.data_dir, "the first one")
        assert self.other.acquire()
        app: Any = SimpleNamespace(extensions={"tickstop": SimpleNamespace(stream=None)})
        self.program = build.Program(app, self.desk, settings)
        self.program.start()

    def _build(self, *_: Any, **__: Any) -> Any:
        self.tries.append(self.desk.standby_reason)
        self.start()
        return SimpleNamespace(run=lambda replayed: None), []

    def leads(self) -> bool:
        with gevent.Timeout(5, False):
            while self.desk.bot is None:
                gevent.sleep(0.01)
        return self.desk.bot is not None


@pytest.fixture
def standby(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Standby:
    return Standby(tmp_path, monkeypatch)


def test_a_takeover_that_fails_is_told_and_tried_again(standby: Standby) -> None:
    """The standby held the lease, watched nothing, and its page went on naming the process that had ended."""

    def fail() -> None:
        if len(standby.tries) < 3:
            raise build.StartError("made up")

    standby.start = fail
    standby.other.release()
    assert standby.leads()
    assert len(standby.tries) == 3 and "the first one" in standby.tries[0]
    assert "made up" in standby.tries[1]


def test_a_lease_that_cannot_be_asked_for_is_told_and_asked_for_again(
    standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One error of the disk ended the standby for good, without a word on its page."""
    lease = standby.program._lease
    acquire, asked = lease.acquire, list[int]()

    def broken() -> bool:
        asked.append(1)
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(lease, "acquire", broken)
    with gevent.Timeout(5, False):
        while not asked:
            gevent.sleep(0.01)
    gevent.sleep(0.01)
    assert "Too many open files" in standby.desk.standby_reason
    monkeypatch.setattr(lease, "acquire", acquire)
    standby.other.release()
    assert standby.leads()


@pytest.mark.parametrize("problem", [BrokenPipeError(32, "Broken pipe"), ValueError("I/O operation on closed file")])
def test_a_takeover_whose_terminal_is_gone_stays_one(
    standby: Standby, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    """The bot ran already; the lease was given back, and a second one was built beside it in the same process."""

    def gone(*_: object) -> None:
        raise problem

    monkeypatch.setattr(build, "_print_way_in", gone)
    standby.other.release()
    assert standby.leads()
    gevent.sleep(0.3)
    assert standby.program._lease.held and len(standby.tries) == 1
