"""Market data of the whole program: stops by REST alone, no price reads with the socket on, honest while Kalshi is
away or refuses the key, and pages that cost the exchange nothing."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from bot.drill import stage as drill
from bot.drill.quiet import ticker
from bot.drill.stage import RISK, STRATEGY, exits, falls

pytestmark = pytest.mark.timeout(240)

POSITIONS = 50


class Stage(drill.Stage):
    """A quiet exchange and the program on it."""

    def seen(self) -> list[int]:
        """How many requests each line of the plan has counted."""
        return [row["seen"] for row in self.struck()]

    def markets(self) -> tuple[dict[str, Any], int]:
        """The whole snapshot and its age in seconds."""
        reply = self.program.session.get(f"{self.program.url}/api/v1/markets", timeout=5)
        reply.raise_for_status()
        return reply.json(), int(reply.headers["Age"])


Staged = Callable[..., Stage]


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[Staged]:
    stages: list[Stage] = []

    def start(markets: int, **settings: str) -> Stage:
        stages.append(Stage(tmp_path, markets, **settings))
        return stages[-1]

    yield start
    for stage in stages:
        stage.end()


def counted(only: str) -> dict[str, Any]:
    """A fault that never strikes: it counts the reads whose path holds this."""
    return {"at": "read", "kind": "delay", "only": only, "every": 10**9}


def test_by_rest_alone_each_of_fifty_stops_fires_within_a_sweep_and_a_round_trip(staged: Staged) -> None:
    stage = staged(POSITIONS, WEBSOCKET_ENABLED="false")
    stage.enter(POSITIONS)
    moved = stage.call(falls(range(POSITIONS)))
    stage.program.until(lambda: len(exits(stage.program, moved)) >= POSITIONS, 20, "not every stop fired")
    took = exits(stage.program, moved)
    print(f"\n50 stops by REST: first {took[0]:.3f} s, last {took[-1]:.3f} s after the price moved")
    assert took[POSITIONS - 1] < 2.0 + 1.0
    stage.program.until(lambda: not stage.program.items("positions"), 20, "positions remain")
    assert stage.program.get("status")["reconciliation"]["differences"] == []
    assert stage.program.lines("gap") == [] and "Traceback" not in stage.program.log.read_text()


def test_with_the_socket_on_fifty_stops_fire_without_one_price_read(staged: Staged) -> None:
    stage = staged(POSITIONS)
    stage.enter(POSITIONS)
    program = stage.program
    program.until(lambda: program.get("status")["stream"]["connected"], 20, "no stream")
    stage.faults(counted("/orderbook"), counted("/markets/"))
    moved = stage.call(falls(range(POSITIONS)))
    program.until(lambda: len(exits(program, moved)) >= POSITIONS, 20, "not every stop fired")
    took = exits(program, moved)
    print(f"\n50 stops by stream: first {took[0]:.3f} s, last {took[-1]:.3f} s after the price moved")
    assert stage.seen() == [0, 0]
    assert took[POSITIONS - 1] < 1.5
    kept = program.folder / "var" / "recordings"
    program.until(lambda: kept.exists() and list(kept.iterdir()), 10, "held markets are not recorded")


def test_twenty_pages_cost_the_exchange_nothing(staged: Staged) -> None:
    stage = staged(10, STRATEGY_LOOP_INTERVAL="600", MARKET_POLL_INTERVAL="5", RECONCILE_INTERVAL="5")
    program = stage.program.start()
    program.until(lambda: program.get("status")["reconciliation"]["ok"], 30, "never reconciled")

    def requests_in(seconds: float, busy: bool) -> int:
        stage.faults({"at": "any", "kind": "delay", "every": 10**9})
        headers = {"Authorization": f"Bearer {program.settings['API_TOKEN']}"}
        pages = [requests.get(f"{program.url}/api/v1/stream", headers=headers, stream=True, timeout=20)
                 for _ in range(20 if busy else 0)]  # fmt: skip
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if busy:
                for path in ("markets", "snapshot", "status", f"markets/{ticker(0)}", "opportunities"):
                    program.get(path)
            time.sleep(0.05)
        for page in pages:
            page.close()
        return stage.seen()[0]

    alone, refreshed = requests_in(10, False), requests_in(10, True)
    print(f"\nrequests in 10 s: {alone} alone, {refreshed} with 20 pages")
    assert 0 < refreshed <= alone * 1.5, (
        "20 pages that ask 100 times a second would cost hundreds; beats may differ by one"
    )


def away(stage: Stage, plan: list[dict[str, Any]]) -> None:
    """Kalshi as the plan says until the markets are stale; then as before. The program lives through it."""
    program = stage.program
    decided = program.lines("ORDER entry")
    stage.faults(*plan)
    program.until(lambda: stage.markets()[0]["status"] == "stale", 40, "the markets are not marked stale")
    before = stage.markets()
    assert before[0]["total_count"] == 6 and program.get("health")["market_data"]["status"] == "stale"
    program.configure(risk={"max_open_trades": 6})
    time.sleep(5)
    after = stage.markets()
    assert after[1] > before[1], "its age grows"
    assert [m["last_ms"] for m in after[0]["markets"]] == [m["last_ms"] for m in before[0]["markets"]]
    program.until(lambda: program.lines("stale_price"), 20, "nobody says that stops cannot see")
    assert program.lines("ORDER entry") == decided, "nothing is entered on old prices"
    assert len(program.items("positions")) == 3


def back(stage: Stage) -> None:
    program = stage.program
    stage.faults()
    program.until(lambda: stage.markets()[0]["status"] == "ok", 60, "the markets stay stale")
    program.until(lambda: program.get("status")["reconciliation"]["ok"], 30, "not reconciled again")
    program.until(lambda: program.lines("fresh_price"), 30, "prices did not come back")
    moved = stage.call(falls(range(6)))
    program.until(lambda: len(exits(program, moved)) >= 3, 20, "the stops do not fire")


PATIENT = {
    "WEBSOCKET_PRICE_CACHE_STALE_SECS": "4", "WEBSOCKET_RECONNECT_DELAY": "0.5", "WEBSOCKET_MAX_RECONNECT_DELAY": "1",
}  # fmt: skip


def enter_three(stage: Stage) -> None:
    stage.program.start().configure(risk=RISK | {"max_open_trades": 3}, strategy=STRATEGY)
    stage.program.until(lambda: len(stage.program.items("positions")) == 3, 60, "nothing was entered")


@pytest.mark.prove
def test_while_kalshi_is_away_all_is_marked_stale_and_it_comes_back_by_itself(staged: Staged) -> None:
    stage = staged(6, **PATIENT)
    enter_three(stage)
    away(stage, [{"at": "any", "kind": "maintenance", "body": "html"}, {"at": "ws", "kind": "reset"}])
    back(stage)


@pytest.mark.prove
def test_a_revoked_key_is_an_alarm_and_a_restored_one_is_taken_up(staged: Staged) -> None:
    stage = staged(6, **PATIENT)
    enter_three(stage)
    away(stage, [{"at": "any", "kind": "key_revoked"}, {"at": "ws", "kind": "reset"}])
    assert stage.program.lines("key_refused")
    back(stage)
    assert stage.program.lines("key_accepted")
