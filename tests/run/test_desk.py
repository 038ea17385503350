"""The real desk over a real bot: what it says of health, and what it refuses (the tests of web stand one in)."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_review_run import alone, until

from bot.run.bot import Bot
from bot.run.desk import Desk
from bot.run.door import now_ms


@pytest.fixture
def bot(tmp_path: Path) -> Iterator[Bot]:
    bot = alone(tmp_path)
    yield bot
    bot.stop(0.2)


def desk_of(bot: Bot) -> Desk:
    desk = Desk("paper")
    desk.bot = bot
    return desk


def test_where_no_bot_runs_every_word_is_refused() -> None:
    answer = Desk("paper").command("kill", {}, "anna", "r1")
    assert (answer["result"], answer["code"]) == ("refused", "standby"), "an operator would believe it halted"
    assert not Desk("paper").ready()[0]


def test_it_is_alive_while_the_sweep_runs_and_no_longer(bot: Bot) -> None:
    desk, loop = desk_of(bot), bot.loops["StopLossMonitor"]
    bot.run([])
    assert until(lambda: loop.runs > 0) and desk.alive()
    bot.loops["StopLossMonitor"].stop()
    loop.last_run_ms = now_ms() - 5_000 - round(loop.interval_s * 1000) - 1
    assert not desk.alive()


def test_it_is_ready_only_when_every_check_holds(bot: Bot) -> None:
    desk = desk_of(bot)
    feed = SimpleNamespace(connected=True, stale_held=())
    bot.market_data.health = lambda: feed  # type: ignore[method-assign]
    bot.state.reconciled_ms = now_ms()
    bot.loops["StopLossMonitor"].last_run_ms = now_ms()
    assert desk.ready()[0], desk.ready()
    feed.connected = False
    assert not desk.ready()[0]
    feed.connected, bot.reconcile_error = True, "timeout"
    assert not desk.ready()[0]
    bot.reconcile_error, bot.journal.commits.healthy = "", False
    assert not desk.ready()[0]
    bot.journal.commits.healthy, bot.history.commits.healthy = True, False
    assert not desk.ready()[0]
    bot.history.commits.healthy, bot.state.reconciled_ms = True, 0
    assert not desk.ready()[0]
    bot.state.reconciled_ms, bot.loops["StopLossMonitor"].last_run_ms = now_ms(), now_ms() - 60_000
    assert not desk.ready()[0]
