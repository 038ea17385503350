"""Loops keep their rate, survive a crash, skip missed beats and can be woken."""

import gevent
import pytest

from bot.run.door import now_ms
from bot.run.loops import Loop


def run_for(loop: Loop, seconds: float) -> None:
    greenlet = gevent.spawn(loop.run)
    gevent.sleep(seconds)
    loop.stop()
    greenlet.join(2)
    assert greenlet.ready()


def test_a_loop_keeps_its_rate_although_its_work_takes_time() -> None:
    loop = Loop("Test", 0.1, lambda: gevent.sleep(0.05), lambda *_: None)
    run_for(loop, 1.05)
    assert 9 <= loop.runs <= 12


@pytest.mark.parametrize("crash", [ValueError, OSError, AssertionError])
def test_a_crash_is_reported_and_the_loop_goes_on(crash: type[Exception]) -> None:
    crashes: list[tuple[str, str]] = []

    def work() -> None:
        if loop.runs < 2:
            raise crash("made up")

    loop = Loop("Test", 0.02, work, lambda *crash: crashes.append(crash))
    run_for(loop, 0.5)
    assert crashes == [("Test", f"{crash.__name__}: made up")] * 2 and loop.crashes == 2
    assert loop.runs > 3 and loop.error == ""


def test_a_missed_beat_is_counted_and_not_caught_up() -> None:
    loop = Loop("Test", 0.05, lambda: gevent.sleep(0.26 if loop.runs == 0 else 0), lambda *_: None)
    run_for(loop, 0.5)
    assert loop.overruns >= 4
    assert loop.runs <= 7


def test_a_woken_loop_runs_at_once() -> None:
    loop = Loop("Test", 60, lambda: None, lambda *_: None)
    greenlet = gevent.spawn(loop.run)
    gevent.sleep(0.05)
    loop.wake()
    gevent.sleep(0.05)
    assert loop.runs == 2
    assert abs(loop.last_run_ms - now_ms()) < 5_000, "whether the bot is alive is judged by it"
    loop.stop()
    greenlet.join(2)
    assert greenlet.ready(), "an end waits for no beat"


def test_a_loop_that_is_woken_all_the_time_keeps_its_pause() -> None:
    loop = Loop("Test", 60, lambda: loop.wake(), lambda *_: None, pause_s=0.1)
    run_for(loop, 0.55)
    assert 3 <= loop.runs <= 7
