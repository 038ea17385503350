"""The same program against recorded real markets: every frame applied, no gap, the final book as recorded."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.program import QUICK, ROOT, Program

pytestmark = pytest.mark.timeout(300)


class Replayed:
    """A paper exchange that replays a file, and the program trading on it."""

    def __init__(self, folder: Path, file: Path, speed: str) -> None:
        command = [sys.executable, "-m", "bot", "exchange", "--port", "0", "--data-dir", str(folder / "exchange"),
                   "--replay", str(file), "--speed", speed]  # fmt: skip
        with (folder / "exchange.log").open("wb") as log:
            self.exchange = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.exchange.stdout is not None
        self.venue = json.loads(self.exchange.stdout.readline())
        self.program = Program(
            folder, KALSHI_API_URL=self.venue["rest"], KALSHI_WS_URL=self.venue["ws"],
            KALSHI_KEY_ID=self.venue["key_id"], KALSHI_PRIVATE_KEY_PATH=self.venue["private_key_path"],
            STRATEGY_LOOP_INTERVAL="2", RECONCILE_INTERVAL="3", MARKET_POLL_INTERVAL="2",
        )  # fmt: skip

    def end(self) -> None:
        self.program.end()
        self.exchange.terminate()
        self.exchange.wait(20)

    def ledger(self) -> dict[str, Any]:
        reply = self.program.session.get(f"{self.venue['odds']}/_paper/ledger", timeout=5)
        found: dict[str, Any] = reply.json()
        return found


@pytest.fixture
def replayed(tmp_path: Path) -> Iterator[Callable[[Path, str], Replayed]]:
    started: list[Replayed] = []

    def start(file: Path, speed: str) -> Replayed:
        started.append(Replayed(tmp_path, file, speed))
        return started[-1]

    yield start
    for one in started:
        one.end()


def test_the_bots_books_end_as_the_recorded_ones(
    replayed: Callable[[Path, str], Replayed], recorded: Callable[[str], Path]
) -> None:
    folder = recorded("ws_mlb_20260807")
    program = replayed(folder / "ws_mlb_20260807.jsonl.gz", "4").program.start()
    expected = json.loads((folder / "expected_final_book.json").read_text())["after_last_frame"]

    def wrong() -> list[str]:
        return [
            ticker for ticker, book in expected.items() if not _equal(program.get(f"markets/{ticker}")["book"], book)
        ]

    program.until(lambda: not wrong(), 60, "the books differ from the recorded ones")
    stream = program.get("status")["stream"]
    assert (stream["gaps"], stream["bad_frames"]) == (0, 0) and stream["frames"] > 250


def _equal(book: dict[str, Any] | None, expected: dict[str, Any]) -> bool:
    if book is None:
        return False
    asks = [[f"{1 - float(price):.4f}", count] for price, count in expected["no_top5"]]
    counts = (len(book["bids"]), len(book["asks"]))
    return (book["bids"][:5], book["asks"][:5]) == (expected["yes_top5"], asks) and counts == (
        expected["n_yes"], expected["n_no"],
    )  # fmt: skip


def test_it_trades_a_recorded_crypto_quarter_hour_and_its_books_equal_the_ledger(
    replayed: Callable[[Path, str], Replayed], recorded: Callable[[str], Path]
) -> None:
    stage = replayed(recorded("ws_btc15m_202605/btc15m_20260511T053741Z.jsonl.gz"), "10")
    program = stage.program.start()
    program.configure(strategy=QUICK | {"max_to_end": 2_592_000})
    program.until(lambda: program.lines("protected"), 100, "it never entered")
    program.until(lambda: program.get("status")["stream"]["frames"] > 40_000, 120, "the recording did not play")
    program.settle_down()
    cash, held = program.books()
    assert (cash, held) == (stage.ledger()["cash"], {})
    stream = program.get("status")["stream"]
    assert (stream["gaps"], stream["bad_frames"]) == (0, 0)
    assert program.get("status")["reconciliation"]["ok"]
