"""Targets that rest in the book, with the real program: taken, amended by the stop, kept over a SIGKILL."""

from pathlib import Path
from typing import Any

import pytest

from bot.drill.quiet import DEEP, ticker
from bot.drill.stage import RISK, STRATEGY, Stage, falls

TAKEN, STOPPED, KILLED = range(3)


def resting(stage: Stage) -> dict[str, Any]:
    """Our sell orders in the exchange's book, by market."""
    orders = stage.ledger()["orders"].values()
    return {o["ticker"]: o for o in orders if o["status"] == "resting" and str(o["client_order_id"]).find(".t") > 0}


@pytest.mark.prove
@pytest.mark.timeout(240)
def test_targets_rest_sell_once_and_are_the_stops_way_out_also_after_a_sigkill(tmp_path: Path) -> None:
    stage = Stage(tmp_path, 3)
    program = stage.program
    try:
        program.start().configure(
            risk={**RISK, "max_open_trades": 3}, strategy={**STRATEGY, "target_distance": "0.0500", "rest_target": 1}
        )
        stage.holds(3)
        program.post("bot/pause")
        program.until(lambda: len(resting(stage)) == 3, 90, "not every target rests")

        stage.call([("crowd_take", ticker(TAKEN), "bid", 9_900, 2 * DEEP)])
        program.until(lambda: len(program.items("positions")) == 2, 20, "the target was not taken")
        [trade] = [t for t in program.items("trades") if t["ticker"] == ticker(TAKEN)]
        assert trade["exit_kind"] == "target" and trade["exit_price"] >= "0.9600"

        stage.call(falls([STOPPED]))
        program.until(lambda: len(program.items("positions")) == 1, 20, "the stop did not leave")
        assert program.lines("AMEND", ticker(STOPPED)), "the target itself was the way out"

        program.kill()
        stage.call(falls([KILLED]))
        program.start()
        program.until(lambda: not program.items("positions"), 20, "the stop did not leave after the restart")
        assert program.lines("AMEND", ticker(KILLED))
        assert resting(stage) == {}
        program.until(lambda: not stage.books_differ(), 30, "the books differ")
    finally:
        stage.end()
