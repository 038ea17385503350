"""What the composition root decides by itself: how a new bot begins, on which files, and in what order it ends."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot import build
from bot.kalshi.rest import ReadFailed
from bot.kalshi.wire import AccountLimits
from bot.run.desk import Desk
from bot.run.paper_process import Venue
from bot.settings import Settings

LIMITS = AccountLimits("basic", 200, 400, 100, 150)


def settings(folder: Path, mode: str = "paper") -> Settings:
    key = {} if mode == "paper" else {"KALSHI_KEY_ID": "id", "KALSHI_PRIVATE_KEY": "pem"}
    return Settings.load({"DATA_DIR": str(folder), "MODE": mode, **key}, folder / "none")


def wired(folder: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the bot is made of, without an exchange."""
    reads: Any = SimpleNamespace(canary=None)
    monkeypatch.setattr(build, "_venue", lambda _: Venue("http://127.0.0.1:1", "ws://127.0.0.1:1", "", "id", ""))
    monkeypatch.setattr(build, "_signer", lambda *_: None)
    monkeypatch.setattr(build, "_connections", lambda *_: (reads, None, LIMITS))
    monkeypatch.setattr(build, "KalshiOrders", lambda *_, **__: None)
    monkeypatch.setattr(build, "MarketData", lambda *_, **__: None)
    monkeypatch.setattr(build, "Bot", lambda settings, state, **parts: SimpleNamespace(state=state, **parts))
    bot, _ = build.build(settings(folder, mode), lambda: None)
    bot.journal.close()
    bot.history.close()
    return bot


@pytest.mark.parametrize(
    "mode, begins, word", [("paper", "RUNNING", ""), ("demo", "PAUSED", ""), ("live", "PAUSED", "LIVE")]
)
def test_a_new_bot_trades_by_itself_on_paper_alone_and_real_money_takes_the_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, begins: str, word: str
) -> None:
    bot = wired(tmp_path, mode, monkeypatch)
    assert (bot.state.mode, bot.start_word, bot.history.mode) == (begins, word, mode)


def test_each_mode_has_books_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The positions of paper would be sold for money."""
    for mode in ("paper", "demo", "live"):
        wired(tmp_path, mode, monkeypatch)
    assert {p.name for p in tmp_path.glob("journal*.db")} == {f"journal-{m}.db" for m in ("paper", "demo", "live")}


def test_orders_are_paced_by_what_the_account_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = wired(tmp_path, "paper", monkeypatch).executor.budget
    assert (budget.refill_per_s, budget.capacity) == (100, 150)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_keeps_the_program_from_starting(status: int) -> None:
    def refuse() -> AccountLimits:
        raise ReadFailed("auth", status)

    reads: Any = SimpleNamespace(account_limits=refuse)
    with pytest.raises(build.StartError, match="refuses the key"):
        build._limits(reads)


def test_an_exchange_that_is_away_at_the_start_leaves_the_smallest_budgets() -> None:
    """The stops of what is held are armed all the same."""

    def away() -> AccountLimits:
        raise ReadFailed("connection")

    reads: Any = SimpleNamespace(account_limits=away)
    assert build._limits(reads).write_capacity == 100


def test_the_lease_is_given_up_when_the_bot_has_ended_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    stream = SimpleNamespace(close=lambda: happened.append("pages"))
    app: Any = SimpleNamespace(extensions={"tickstop": SimpleNamespace(stream=stream)})
    desk: Any = Desk("paper")
    program = build.Program(app, desk, settings(tmp_path))
    monkeypatch.setattr(build.paper_process, "end", lambda _: happened.append("exchange"))
    program.stop(1.0)
    assert happened == ["pages"], "the exchange belongs to the one that trades"
    assert program._lease.acquire()
    desk.bot = SimpleNamespace(stop=lambda _: happened.append(f"bot, lease held: {program._lease.held}"))
    program.stop(1.0)
    assert happened[1:] == ["pages", "bot, lease held: True", "exchange"] and not program._lease.held
