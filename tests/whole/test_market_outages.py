"""Kalshi away, and the key revoked, while positions are held: all is served and marked stale, nothing is entered, the
stops say that they cannot see, and everything comes back by itself.

OUTAGE_SECONDS (600) says how long the proofs last; docs/market-data.md has their figures.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from quiet_stage import Stage, Staged

from bot.drill.stage import exits, falls

SECONDS = float(os.environ.get("OUTAGE_SECONDS", "600"))
HELD, ALL = 3, 6
QUICK = {
    "WEBSOCKET_PRICE_CACHE_STALE_SECS": "4", "WEBSOCKET_RECONNECT_DELAY": "0.5", "WEBSOCKET_MAX_RECONNECT_DELAY": "1",
}  # fmt: skip
AWAY = ({"at": "any", "kind": "maintenance", "body": "html"}, {"at": "ws", "kind": "reset"})
REVOKED = ({"at": "any", "kind": "key_revoked"}, {"at": "ws", "kind": "reset"})


def away(stage: Stage, plan: tuple[dict[str, Any], ...], seconds: float, stale_s: float) -> None:
    """Kalshi as the plan says for so long. Entries are wanted; none may leave."""
    program = stage.program
    entries = len(program.lines("ORDER entry"))
    stage.faults(*plan)
    began = time.monotonic()
    program.until(lambda: stage.markets()[0]["status"] == "stale", stale_s + 15, "the markets are not marked stale")
    marked_s = time.monotonic() - began
    program.until(lambda: len(program.lines("stale_price")) >= HELD, stale_s + 15, "nobody says that stops cannot see")
    told_s = time.monotonic() - began
    program.configure(risk={"max_open_trades": ALL})
    first, slowest = stage.markets(), 0.0
    before = first
    while time.monotonic() - began < seconds:
        time.sleep(min(1.0, seconds / 10))
        asked = time.monotonic()
        now = stage.markets()
        slowest = max(slowest, time.monotonic() - asked)
        assert now[0]["status"] == "stale" and now[0]["total_count"] == ALL
        assert now[1] >= before[1], "its age grows"
        assert [m["last_ms"] for m in now[0]["markets"]] == [m["last_ms"] for m in first[0]["markets"]]
        before = now
    status, page = program.get("status"), program.get("snapshot")["status"]
    assert before[1] >= seconds - 5 - 12, "the age is that of the last listing"
    assert status["market_data"]["status"] == page["market_data"]["status"] == "stale"
    assert program.get("health")["market_data"]["status"] == "stale"
    assert len(page["stream"]["stale_held"]) == HELD and not page["exchange"]["reachable"]
    assert len(program.lines("ORDER entry")) == entries, "nothing is entered on old prices"
    assert len(program.lines("stale_price")) == HELD, "told once for each market"
    assert len(program.items("positions")) == HELD
    print(f"\naway for {seconds:.0f} s: marked stale after {marked_s:.1f} s, stops' statement after {told_s:.1f} s, "
          f"age at the end {before[1]} s, slowest answer {slowest * 1000:.0f} ms, "
          f"{sum(stage.seen())} attempts at the exchange")  # fmt: skip


def back(stage: Stage, within_s: float) -> None:
    """The prices fell while nobody could see it; then Kalshi is as before. The same process goes on by itself."""
    program = stage.program
    boot, since = program.get("meta")["boot"], time.time()
    held = {p["ticker"] for p in program.items("positions")}
    others = {m["ticker"] for m in stage.markets()[0]["markets"]} - held
    stage.call(falls(int(ticker.split("-")[1]) for ticker in held))
    stage.faults()
    began = time.monotonic()
    wanted: dict[str, Callable[[], Any]] = {
        "stops fired": lambda: len(exits(program, since)) >= HELD,
        "markets ok": lambda: stage.markets()[0]["status"] == "ok",
        "reconciled": lambda: program.get("status")["reconciliation"]["ok"],
        "books by stream": lambda: all(program.get(f"markets/{ticker}")["book"] for ticker in others),
        "prices fresh": lambda: len(program.lines("fresh_price")) >= HELD,
        "entries again": lambda: {p["ticker"] for p in program.items("positions")} == others,
    }
    took: dict[str, float] = {}

    def all_of_them() -> bool:
        for name, holds in wanted.items():
            if name not in took and holds():
                took[name] = time.monotonic() - began
        return took.keys() == wanted.keys()

    program.until(all_of_them, within_s, "it does not come back")
    print("back after: " + ", ".join(f"{name} {s:.1f} s" for name, s in took.items()))
    assert program.get("meta")["boot"] == boot, "without a restart"
    assert "Traceback" not in program.log.read_text()


@pytest.mark.timeout(150)
def test_the_key_revoked_for_seconds(staged: Staged) -> None:
    stage = staged(ALL, **QUICK)
    stage.enter(HELD)
    away(stage, REVOKED, 10, 4)
    assert len(stage.program.lines("key_refused", "exits cannot be sent")) == 1
    back(stage, 60)
    assert stage.program.lines("key_accepted")


@pytest.mark.timeout(150)
def test_kalshi_unreachable_for_seconds(staged: Staged) -> None:
    stage = staged(ALL, **QUICK)
    stage.enter(HELD)
    away(stage, AWAY, 10, 4)
    back(stage, 60)


@pytest.mark.prove
@pytest.mark.timeout(SECONDS + 400)
def test_kalshi_unreachable_for_ten_minutes(staged: Staged) -> None:
    stage = staged(ALL)
    stage.enter(HELD)
    away(stage, AWAY, SECONDS, 60)
    back(stage, 120)


@pytest.mark.prove
@pytest.mark.timeout(SECONDS + 400)
def test_the_key_revoked_for_ten_minutes(staged: Staged) -> None:
    stage = staged(ALL)
    stage.enter(HELD)
    away(stage, REVOKED, SECONDS, 60)
    assert len(stage.program.lines("key_refused", "exits cannot be sent")) == 1
    back(stage, 120)
    assert stage.program.lines("key_accepted")
