"""Kalshi away, and the key revoked, while positions are held: all is served and marked stale, nothing is entered, the
stops say that they cannot see, and everything comes back by itself.

OUTAGE_SECONDS (600) says how long the proofs last; docs/market-data.md has their figures.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from quiet_stage import Stage, Staged

from bot.drill.quiet import ticker
from bot.drill.stage import exits, falls, level

SECONDS = float(os.environ.get("OUTAGE_SECONDS", "600"))
HELD, ALL = 3, 6
LISTED = ALL + 1
"""With the game that nobody trades."""
QUICK = {
    "WEBSOCKET_PRICE_CACHE_STALE_SECS": "4", "WEBSOCKET_RECONNECT_DELAY": "0.5", "WEBSOCKET_MAX_RECONNECT_DELAY": "1",
}  # fmt: skip


@contextmanager
def unreachable(stage: Stage) -> Iterator[None]:
    """The exchange stands still: connections stay half open, nothing is answered."""
    stage.exchange.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        stage.exchange.send_signal(signal.SIGCONT)


@contextmanager
def revoked(stage: Stage) -> Iterator[None]:
    """Every signed call is refused, and the stream is cut by its first frame."""
    stage.faults({"at": "any", "kind": "key_revoked"}, {"at": "ws", "kind": "reset"})
    stage.call([level(number, "bid", 5_000, 100) for number in range(ALL)])
    yield
    print(f"{sum(stage.seen())} attempts at the exchange")
    stage.faults()


def away(stage: Stage, seconds: float, stale_s: float) -> None:
    """Entries are wanted; none may leave."""
    program, entries, began = stage.program, len(stage.program.lines("ORDER entry")), time.monotonic()
    program.until(lambda: stage.markets()[0]["status"] == "stale", stale_s + 15, "the markets are not marked stale")
    marked_s = time.monotonic() - began
    program.until(lambda: len(program.lines("stale_price")) >= HELD, stale_s + 30, "nobody says that stops cannot see")
    told_s = time.monotonic() - began
    program.configure(risk={"max_open_trades": ALL})
    first, slowest = stage.markets(), 0.0
    before = first
    while time.monotonic() - began < seconds:
        time.sleep(min(1.0, seconds / 10))
        asked = time.monotonic()
        now = stage.markets()
        slowest = max(slowest, time.monotonic() - asked)
        assert now[0]["status"] == "stale" and now[0]["total_count"] == LISTED
        assert now[1] >= before[1], "its age grows"
        assert [m["last_ms"] for m in now[0]["markets"]] == [m["last_ms"] for m in first[0]["markets"]]
        before = now
    program.until(lambda: not program.get("status")["exchange"]["reachable"], 20, "no read has failed")
    status, page = program.get("status"), program.get("snapshot")["status"]
    assert before[1] >= seconds - 5, "the age is that of the last listing"
    assert status["market_data"]["status"] == page["market_data"]["status"] == "stale"
    assert program.get("health")["market_data"]["status"] == "stale"
    assert len(page["stream"]["stale_held"]) == HELD
    assert not page["stream"]["connected"]
    assert len(program.lines("ORDER entry")) == entries, "nothing is entered on old prices"
    assert len(program.lines("stale_price")) == HELD, "told once for each market"
    assert len(program.items("positions")) == HELD
    print(f"\naway for {seconds:.0f} s: marked stale after {marked_s:.1f} s, stops' statement after {told_s:.1f} s, "
          f"age at the end {before[1]} s, slowest answer {slowest * 1000:.0f} ms")  # fmt: skip


def back(stage: Stage, others: set[str], within_s: float) -> None:
    """The same process goes on by itself: the stops fire on what they could not see, then entries leave again."""
    program, since, began = stage.program, time.time(), time.monotonic()
    wanted: dict[str, Callable[[], Any]] = {
        "stops fired": lambda: len(exits(program, since)) >= HELD,
        "markets ok": lambda: stage.markets()[0]["status"] == "ok",
        "reconciled": lambda: program.get("status")["reconciliation"]["ok"],
        "books by stream": lambda: all(program.get(f"markets/{name}")["book"] for name in others),
        "told that prices are back": lambda: len(program.lines("fresh_price")) >= HELD,
        "entries again": lambda: {p["ticker"] for p in program.items("positions")} == others,
    }
    took: dict[str, float] = {}

    def all_of_them() -> bool:
        for name, holds in wanted.items():
            if name not in took and holds():
                took[name] = time.monotonic() - began
        return took.keys() == wanted.keys()

    program.until(all_of_them, within_s, f"of {', '.join(wanted)} only {took} came back")
    print("back after: " + ", ".join(f"{name} {s:.1f} s" for name, s in took.items()))
    assert "Traceback" not in program.log.read_text()


def go_through(
    stage: Stage, trouble: Callable[[Stage], AbstractContextManager[None]], seconds: float, stale_s: float
) -> None:
    stage.enter(HELD)
    held = {p["ticker"] for p in stage.program.items("positions")}
    others = {ticker(number) for number in range(ALL)} - held
    boot = stage.program.get("meta")["boot"]
    with trouble(stage):
        away(stage, seconds, stale_s)
        stage.call(falls([int(name.split("-")[1]) for name in held]))
    back(stage, others, 120)
    assert stage.program.get("meta")["boot"] == boot, "without a restart"


@pytest.mark.timeout(150)
def test_kalshi_unreachable_for_seconds(staged: Staged) -> None:
    go_through(staged(ALL, **QUICK), unreachable, 14, 4)


@pytest.mark.timeout(150)
def test_the_key_revoked_for_seconds(staged: Staged) -> None:
    stage = staged(ALL, **QUICK)
    go_through(stage, revoked, 10, 4)
    assert len(stage.program.lines("key_refused", "exits cannot be sent")) == 1
    assert stage.program.lines("key_accepted")


@pytest.mark.prove
@pytest.mark.timeout(SECONDS + 400)
def test_kalshi_unreachable_for_ten_minutes(staged: Staged) -> None:
    go_through(staged(ALL), unreachable, SECONDS, 60)


@pytest.mark.prove
@pytest.mark.timeout(SECONDS + 400)
def test_the_key_revoked_for_ten_minutes(staged: Staged) -> None:
    stage = staged(ALL)
    go_through(stage, revoked, SECONDS, 60)
    assert len(stage.program.lines("key_refused", "exits cannot be sent")) == 1
    assert stage.program.lines("key_accepted")
