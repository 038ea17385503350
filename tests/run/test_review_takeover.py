"""Found in review: a standby that cannot start after it took the lease says so, gives it back and tries again."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from bot import build
from bot.run.desk import Desk
from bot.run.lease import FileLease
from bot.settings import Settings


def test_a_takeover_that_fails_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The standby held the lease, watched nothing, and its page went on naming the process that had ended."""
    settings = Settings.load({"DATA_DIR": str(tmp_path)}, tmp_path / "none")
    tries: list[str] = []
    desk = Desk("paper")

    def start(*_: Any, **__: Any) -> Any:
        tries.append(desk.standby_reason)
        if len(tries) < 3:
            raise build.StartError("made up")
        return SimpleNamespace(run=lambda replayed: None), []

    monkeypatch.setattr(build, "build", start)
    monkeypatch.setattr(build, "LEASE_POLL_S", 0.02)
    monkeypatch.setattr(build, "_quiet_garbage_collector", lambda: None)
    monkeypatch.setattr(build, "_print_way_in", lambda *_: None)
    other = FileLease(settings.data_dir, "the first one")
    assert other.acquire()
    app: Any = SimpleNamespace(extensions={"tickstop": SimpleNamespace(stream=None)})
    program = build.Program(app, desk, settings)
    program.start()
    other.release()
    with gevent.Timeout(5, False):
        while desk.bot is None:
            gevent.sleep(0.01)
    assert len(tries) == 3 and "the first one" in tries[0]
    assert "made up" in tries[1] and desk.bot is not None
