"""Market data of the whole program: stops by REST alone, no price reads with the socket on, and pages that cost the
exchange nothing."""

import time
from typing import Any

import pytest
import requests
from quiet_stage import Staged

from bot.drill.quiet import ticker
from bot.drill.stage import exits, falls

pytestmark = pytest.mark.timeout(240)

POSITIONS = 50


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
