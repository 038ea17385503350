"""The operator changes a trade's plan: in part, checked as a whole, journaled with its author."""

from typing import Any

import msgspec
import pytest
from scene import PLAN, T0, TICKER, Scene, quote

from bot.core import events as e
from bot.core.facts import PlanChanged
from bot.core.state import state_hash
from bot.core.turn import Turn
from bot.core.units import Price

NO_PLAN = msgspec.structs.replace(PLAN, stop=Price(2_000), target=Price(500))


def change(scene: Scene, bid: int | None = 8_700, ask: int | None = 8_800, **args: Any) -> Turn:
    seen = quote(bid, ask, scene.now)
    return scene.do(e.Command(scene.now, "plan", "ann", {"ticker": TICKER, **args}, {TICKER: seen}))


def text(turn: Turn) -> str:
    assert turn.answer is not None
    return f"{turn.answer.ok} {turn.answer.code}: {turn.answer.text}"


def test_what_a_change_names_is_changed_and_nothing_else_and_its_author_is_kept() -> None:
    scene = Scene()
    scene.held()
    turn = change(scene, stop="0.8500", trail="0.05", time_exit_ms=T0 + 60_000)
    plan = msgspec.structs.replace(PLAN, stop=8_500, trail=500, time_exit_ms=T0 + 60_000)
    assert turn.facts == [PlanChanged(T0, scene.trade().id, plan, "ann")] and turn.answer and turn.answer.ok
    assert scene.trade().plan == plan
    scene.tick(8_500, 8_700)
    assert [o.count for o in scene.sent()] == [2_000]


def test_prices_are_those_of_the_side_held() -> None:
    scene = Scene()
    scene.held(side="ask", price=1_200, plan=NO_PLAN)
    assert change(scene, 1_200, 1_300, stop="0.8200", target="0.9700").answer == scene.do(
        e.Command(T0, "plan", "ann", {"ticker": TICKER, "stop": "0.8200", "target": "0.9700"},
                  {TICKER: quote(1_200, 1_300)})
    ).answer  # fmt: skip
    assert (scene.trade().plan.stop, scene.trade().plan.target) == (1_800, 300)
    scene.tick(1_700, 1_800)
    assert [(o.side, o.count) for o in scene.sent()] == [("bid", 2_000)]


@pytest.mark.parametrize(
    "args, why",
    [
        ({"stop": "0.8700"}, "below 0.8700"),
        ({"stop": "0.9000"}, "below 0.8700"),
        ({"target": "0.8700"}, "above 0.8700"),
        ({"stop": "0.8550"}, "not a price of this market"),
        ({"target": "1.0000"}, "not a price of this market"),
        ({"stop": "cheap"}, "decimal string"),
        ({"stop": "0.80", "target": "0.12345"}, "finer than"),
        ({"trail": "0.0050"}, "a distance"),
        ({"trail": "-0.05"}, "a distance"),
        ({"break_even_after": "1.0000"}, "a distance"),
        ({"time_exit_ms": T0}, "a time to come"),
        ({"time_exit_ms": T0 + 86_400_001}, "the market's close"),
        ({"time_exit_ms": 10**30}, "the market's close"),
        ({"stop": "0.80", "stopp": "0.7"}, "unknown"),
        ({"stop": None}, "confirm"),
        ({"stop": None, "confirm": "yes"}, "confirm"),
        ({"stop": None, "confirm": "NO STOP", "trail": "0.05"}, "set it again"),
        ({}, "name what to change"),
        ({"confirm": "NO STOP"}, "name what to change"),
    ],
)
def test_a_change_that_would_fire_at_once_or_makes_no_sense_is_refused_whole(args: dict[str, Any], why: str) -> None:
    scene = Scene()
    scene.held()
    before = state_hash(scene.state)
    turn = change(scene, **args)
    assert why in text(turn) and text(turn).startswith("False")
    assert turn.facts == [] and state_hash(scene.state) == before


def test_without_a_price_stop_and_target_stay_as_they_are_and_the_rest_may_change() -> None:
    scene = Scene()
    scene.held()
    assert "no price now" in text(change(scene, None, 8_800, stop="0.10"))
    assert text(change(scene, None, 8_800, target=None, time_exit_ms=None)).startswith("True")
    assert (scene.trade().plan.target, scene.trade().plan.time_exit_ms) == (None, None)


def test_a_stop_is_taken_away_only_with_its_words() -> None:
    scene = Scene()
    scene.held()
    assert text(change(scene, stop=None, confirm="NO STOP")).startswith("True")
    scene.tick(1_000, 1_100)
    assert scene.trade().plan.stop is None and scene.sent() == []


def test_a_trade_that_is_being_left_or_is_not_there_keeps_its_plan() -> None:
    scene = Scene()
    assert "no live trade" in text(change(scene, stop="0.80"))
    scene.held()
    scene.tick(7_900, 8_000)
    assert "being left already" in text(change(scene, 7_900, 8_000, stop="0.50"))


def test_a_change_is_taken_in_every_mode_and_survives_a_restart() -> None:
    scene = Scene()
    scene.held()
    scene.do(e.Command(T0, "kill", "ann", {}))
    assert text(change(scene, stop="0.86")).startswith("True")
    scene.do(e.Boot(T0 + 5, "b2", scene.state.config))
    scene.tick(8_600, 8_700)
    assert len(scene.sent()) == 1
