"""The whole program on the paper exchange: it trades, its books equal the exchange's ledger, it survives SIGKILL."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.program import QUICK, Program

FAST = {"PAPER_SPEED": "4", "STRATEGY_LOOP_INTERVAL": "3", "RECONCILE_INTERVAL": "3", "MARKET_POLL_INTERVAL": "3"}


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path, **FAST)
    yield program
    program.end()


def closed(program: Program) -> list[dict[str, Any]]:
    """Ended trades that held something."""
    return [t for t in program.items("trades") if t["closed_ms"] and t["count"] != "0.00"]


def assert_books_equal(program: Program) -> None:
    cash, held = program.books()
    ledger = program.ledger()
    assert (cash, held) == (ledger["cash"], {t: c for t, c in ledger["positions"].items() if float(c)})
    reconciliation = program.get("status")["reconciliation"]
    assert reconciliation["ok"] and reconciliation["differences"] == []


def assert_risk_is_shown(risk: dict[str, Any]) -> None:
    """Every limit has its use, its limit and the headroom between them; the cash of each shard is among them."""
    assert risk["state"] == "RUNNING" and risk["until_ms"] is None
    limits = risk["limits"]
    names = {name.partition(" ")[0] for name in limits}
    assert names >= {
        "max_event_exposure",
        "max_series_exposure",
        "insufficient_shard_cash",
        "max_drawdown",
        "max_errors",
    }
    for row in limits.values():
        assert float(row["headroom"]) == pytest.approx(float(row["limit"]) - float(row["value"]))
    assert int(limits["max_open_trades"]["value"]) > 0 and float(limits["max_total_exposure"]["value"]) > 0
    assert limits["max_event_exposure"]["by"] and limits["max_event_exposure"]["limit"] == "25.000000"


@pytest.mark.timeout(300)
def test_it_enters_protects_and_leaves_and_its_books_equal_the_ledger(program: Program) -> None:
    program.start().configure(strategy=QUICK)
    program.until(lambda: program.lines("protected"), 60, "no protected position")
    assert_risk_is_shown(program.get("risk"))
    program.until(lambda: closed(program), 120, "no trade was closed")
    program.settle_down()
    assert_books_equal(program)
    assert program.lines("alarm") == [] and "Traceback" not in program.log.read_text()


@pytest.mark.timeout(300)
def test_after_sigkill_the_position_is_armed_before_anything_is_sent(program: Program) -> None:
    """Trades that stay open (no target, far stop), durable for a second, so that the kill finds them held.

    Their stops were moved by hand, and are found where they were put.
    """
    stay = {"target_distance": "0.0000", "time_exit": 0, "stop_distance": "0.5000", "min_to_end": 45}
    program.start().configure(strategy=QUICK | stay)
    program.until(lambda: program.lines("protected"), 60, "no protected position")
    time.sleep(1)
    answers = [program.post(f"positions/{p['ticker']}/plan", {"stop": "0.3100"}) for p in program.items("positions")]
    assert any(answer.get("code") == "plan_changed" for answer in answers), answers
    time.sleep(1)
    held = {p["ticker"]: (p["stop"], p["target"]) for p in program.items("positions")}
    assert ("0.3100", None) in held.values()
    program.kill()
    log_before = len(program.log.read_text().splitlines())
    program.start()
    later = program.log.read_text().splitlines()[log_before:]
    armed = next(i for i, line in enumerate(later) if " armed " in line)
    sent = [i for i, line in enumerate(later) if "ORDER" in line]
    assert not sent or armed < sent[0]
    kept = {p["ticker"]: (p["stop"], p["target"]) for p in program.items("positions")}
    assert (
        held
        and kept.items() >= {t: plan for t, plan in held.items() if t in kept}.items()
        and kept.keys() & held.keys()
    )
    program.settle_down()
    assert_books_equal(program)


@pytest.mark.prove
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", range(20))
def test_books_equal_the_ledger_over_seeds(tmp_path: Path, seed: int, record_property: Any) -> None:
    """Odd seeds hold to settlement (no target, no time exit); every trade ends by its own rules."""
    program = Program(tmp_path, PAPER_SEED=str(seed), **FAST)
    try:
        hold = {"target_distance": "0.0000", "time_exit": 0} if seed % 2 else {}
        program.start().configure(risk={"max_loss_streak": 1_000}, strategy=QUICK | hold)
        program.until(lambda: len(closed(program)) >= 10, 200, "too few trades were closed")
        program.post("bot/pause")
        program.run_out()
        assert_books_equal(program)
        trades = closed(program)
        kinds = Counter(t["exit_reason"] for t in trades)
        losing = sum(t["pnl"].startswith("-") for t in trades)
        latency = program.get("status")["latency_us"]
        print(f"\nseed {seed}: {len(trades)} trades {dict(kinds)}, {losing} losing, tick to sent {latency}")
        assert "Traceback" not in program.log.read_text()
    finally:
        program.end()
