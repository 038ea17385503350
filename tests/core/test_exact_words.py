"""What a mutation tester changed unseen: the operator's words and settings, by their codes, records and limits."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from scene import PARAMS, PLAN, T0, TICKER, Scene, market, quote
from test_recall import entering
from test_replanning import NO_PLAN
from test_resting import RESTS, placed, resting

from bot.core import commands
from bot.core import events as e
from bot.core import facts as f
from bot.core.config import RISK, Config, defaults, shown
from bot.core.effects import CancelOrder, Notice, PlaceOrder, ResolveOrder
from bot.core.turn import Answer, Turn
from bot.core.units import Count, Price
from bot.core.venue import Quote, Unknown, VenueOrder

SEEN = {"bid": quote(8_700, 8_900), "ask": quote(1_100, 1_300)}
"""Prices now, where a trade of that side was entered."""
CLOSE_MS = market().close_ms


def say(scene: Scene, verb: str, at: Quote | None = SEEN["bid"], **args: Any) -> Turn:
    """The word and what it did; its answer is of the types that it declares."""
    turn = scene.do(e.Command(scene.now, verb, "ann", args, {} if at is None else {TICKER: at}))
    assert turn.answer is not None and msgspec.convert(msgspec.to_builtins(turn.answer), Answer) == turn.answer
    return turn


def notices(turn: Turn) -> list[Notice]:
    return [x for x in turn.effects if isinstance(x, Notice)]


def held(side: str = "bid", count: int = 2_000) -> Scene:
    scene = Scene()
    if side == "bid":
        scene.held(count)
    else:
        scene.held(count, 1_200, "ask", NO_PLAN)
    return scene


def halted() -> Scene:
    scene = Scene()
    say(scene, "kill")
    return scene


def stopped() -> Scene:
    scene = held()
    scene.tick(7_900, 8_100)
    return scene


def target_unsent() -> Scene:
    scene = Scene()
    placed(scene)
    return scene


@pytest.mark.parametrize(
    "begin, verb, args, code, words",
    [
        (halted, "start", {}, "not_in_this_state", "start: re-arm first, the state is HALTED (kill by ann)"),
        (Scene, "rearm", {}, "not_in_this_state", "rearm: not possible now, the state is RUNNING (first start)"),
        (Scene, "close", {}, "no_position", "there is no live trade in "),
        (Scene, "close", {"ticker": TICKER}, "no_position", f"there is no live trade in {TICKER}"),
        (held, "plan", {"stop": "0.80"}, "no_position", "there is no live trade in "),
        (Scene, "plan", {"ticker": TICKER}, "no_position", f"there is no live trade in {TICKER}"),
        (stopped, "plan", {"ticker": TICKER, "stop": "0.5"}, "leaving", f"{TICKER} is being left already: stop"),
        (
            held, "plan", {"ticker": TICKER}, "nothing_to_change",
            "name what to change: stop, target, trail, break_even_after, time_exit_ms, rest_target",
        ),
        (
            held, "plan", {"ticker": TICKER, "stop": None}, "confirm",
            "without a stop nothing limits the loss: add confirm 'NO STOP'",
        ),
        (Scene, "cancel", {}, "no_order", "there is no live order with this id"),
        (
            target_unsent, "cancel", {"order": "b1-0.t1"}, "not_confirmed",
            "the order is intent: its exchange id is not known yet",
        ),
    ],
)  # fmt: skip
def test_a_word_that_cannot_be_followed_is_refused_by_its_code_and_changes_nothing(
    begin: Callable[[], Scene], verb: str, args: dict[str, Any], code: str, words: str
) -> None:
    turn = say(begin(), verb, **args)
    assert turn.answer == Answer(False, code, words)
    assert turn.facts == [] and turn.effects == []


@pytest.mark.parametrize("verb, level", [("pause", "info"), ("stop", "info"), ("kill", "warning"), ("start", "info")])
def test_a_word_is_told_with_its_author_and_a_kill_as_a_warning(verb: str, level: Any) -> None:
    turn = say(Scene(), verb)
    assert turn.answer == Answer(True, verb, commands.SAYS[verb])
    assert turn.effects == [Notice(level, verb, f"{commands.SAYS[verb]} (ann)")]


def test_a_pause_that_is_repeated_is_no_new_pause() -> None:
    """A change of the mode begins the counts of losses and refusals anew, and the page shows since when it is so."""
    scene = Scene()
    assert say(scene, "pause").facts == [f.ModeChanged(T0, "PAUSED", "pause by ann", "ann")]
    assert say(scene.at(60), "pause").facts == []
    assert scene.state.mode_since_ms == T0


def test_flatten_answers_by_its_code() -> None:
    assert say(held(), "flatten").answer == Answer(True, "flatten", commands.SAYS["flatten"])


@pytest.mark.parametrize("side, trigger, limit", [("bid", 8_700, 7_700), ("ask", 1_300, 2_300)])
@pytest.mark.parametrize("verb", ["close", "flatten"])
def test_a_trade_is_left_from_the_price_of_its_side_and_once(verb: str, side: str, trigger: int, limit: int) -> None:
    scene = held(side)
    args = {"ticker": TICKER} if verb == "close" else {}
    turn = say(scene, verb, SEEN[side], **args)
    assert [x for x in turn.facts if isinstance(x, f.ExitFired)] == [
        f.ExitFired(T0, scene.trade().id, "flatten", Price(trigger))
    ]
    assert [(x.price, x.count) for x in scene.sent()] == [(limit, 2_000)]
    if verb == "close":
        assert turn.answer == Answer(True, "close", f"leaving {TICKER}")
    assert say(scene, verb, quote(1_000, 8_600), **args).facts == [] and scene.sent() == []


def test_without_a_price_a_trade_is_left_from_its_stop() -> None:
    scene = held()
    say(scene, "close", None, ticker=TICKER)
    assert scene.trade().exit_trigger == 8_000 and [x.price for x in scene.sent()] == [7_000]


def test_a_hundredth_of_a_contract_is_left_at_once() -> None:
    scene = held(count=1)
    say(scene, "close", ticker=TICKER)
    assert [x.count for x in scene.sent()] == [1]


def test_a_trade_whose_stop_fired_is_left_by_the_word_from_the_price_now() -> None:
    scene = stopped()
    turn = say(scene, "close", quote(7_000, 7_200), ticker=TICKER)
    assert turn.facts[0] == f.ExitFired(T0, scene.trade().id, "flatten", Price(7_000))


def test_an_entry_under_way_is_left_as_soon_as_it_fills_and_the_plan_says_by_whom() -> None:
    scene, _ = entering()
    turn = say(scene.at(1), "close", ticker=TICKER)
    plan = msgspec.structs.replace(PLAN, time_exit_ms=scene.now)
    assert turn.facts == [f.PlanChanged(scene.now, "b1-0", plan, "ann")]


def test_a_changed_plan_is_answered_and_told_with_its_market_and_author() -> None:
    scene = held()
    turn = say(scene, "plan", None, ticker=TICKER, time_exit_ms=None)
    what = "YES 20.00: stop 0.8000, target 0.9500"
    assert turn.answer == Answer(True, "plan_changed", what)
    assert turn.effects == [Notice("info", "plan_changed", f"{what} (ann)", TICKER)]


def test_a_cancelled_target_is_taken_on_the_tick_and_a_second_cancel_changes_no_plan() -> None:
    scene = Scene()
    order = resting(scene)
    name = order.client_order_id
    turn = say(scene, "cancel", order=name)
    plan = msgspec.structs.replace(RESTS, rest_target=False)
    assert turn.facts == [f.PlanChanged(scene.now, "b1-0", plan, "ann")]
    assert turn.effects == [CancelOrder(name, f"x-{name}", TICKER)]
    words = f"cancelling {name}; the target is taken on the tick from now on"
    assert turn.answer == Answer(True, "cancel", words)
    turn = say(scene, "cancel", order=f"x-{name}")
    assert (turn.facts, turn.effects) == ([], [CancelOrder(name, f"x-{name}", TICKER)])
    assert turn.answer == Answer(True, "cancel", f"cancelling {name}")


def test_a_cancelled_exit_leaves_the_target_of_its_plan_alone() -> None:
    scene = Scene()
    scene.held(plan=RESTS)
    scene.tick(7_900, 8_100)
    [order] = scene.sent()
    scene.do(e.Sending(scene.now, order.client_order_id))
    scene.fill(order, 7_900, 500)
    turn = say(scene, "cancel", order=order.client_order_id)
    assert (turn.facts, turn.effects) == (
        [], [CancelOrder(order.client_order_id, f"x-{order.client_order_id}", TICKER)]
    )  # fmt: skip
    assert turn.answer == Answer(True, "cancel", f"cancelling {order.client_order_id}")


def resting_entry() -> tuple[Scene, PlaceOrder]:
    scene, entry = entering()
    scene.reply(entry, 0, 2_000)
    return scene, entry


@pytest.mark.parametrize("begin, when", [(entering, ", as soon as it is found: it is intent"), (resting_entry, "")])
def test_a_cancelled_entry_is_answered_with_what_it_waits_for(
    begin: Callable[[], tuple[Scene, PlaceOrder]], when: str
) -> None:
    scene, entry = begin()
    turn = say(scene, "cancel", order=entry.client_order_id)
    assert turn.answer == Answer(True, "cancel", f"cancelling {entry.client_order_id}{when}")


def test_the_cancel_of_somebody_elses_order_says_that_it_is_not_ours() -> None:
    scene = Scene()
    theirs = VenueOrder("v1", "", TICKER, "bid", Price(4_000), Count(500), Count(0), Count(500), "resting", 0, 0)
    scene.read(resting=(theirs,))
    turn = say(scene, "cancel", order="v1")
    assert turn.effects == [CancelOrder("v1", "v1", TICKER)]
    words = "cancelling v1, which is not ours: the next reading says whether it is gone"
    assert turn.answer == Answer(True, "cancel", words)


def test_an_entry_of_unknown_fate_that_is_called_back_is_looked_up_from_when_it_was_sent() -> None:
    scene, entry = entering()
    scene.at(1).do(e.Sending(scene.now, entry.client_order_id))
    scene.at(2).do(e.CreateReplied(scene.now, entry.client_order_id, Unknown("timed out")))
    turn = say(scene.at(3), "stop")
    assert ResolveOrder(entry.client_order_id, TICKER, T0 + 1_000) in turn.effects


@pytest.mark.parametrize(
    "side, change, names",
    [
        ("bid", {"stop": "cheap", "target": "dear"}, ("stop: expected a decimal", "target: expected a decimal")),
        ("bid", {"trail": "wide"}, ("trail: expected a decimal",)),
        ("bid", {"break_even_after": 500}, ("break_even_after: expected a decimal",)),
        ("bid", {"trail": "0.0099"}, ("trail: a distance",)),
        ("bid", {"time_exit_ms": "soon"}, ("time_exit_ms: a time to come",)),
        ("bid", {"time_exit_ms": True}, ("time_exit_ms: a time to come",)),
        ("bid", {"time_exit_ms": CLOSE_MS + 1}, ("time_exit_ms: a time to come",)),
        ("ask", {"stop": "0.8700"}, ("stop: has to be below 0.8700",)),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_with_every_problem(
    side: str, change: dict[str, Any], names: tuple[str, ...]
) -> None:
    turn = say(held(side), "plan", SEEN[side], ticker=TICKER, **change)
    assert turn.answer is not None and turn.answer.code == "invalid_plan" and turn.facts == []
    assert len(turn.answer.text.split("; ")) == len(names)
    for name, problem in zip(names, turn.answer.text.split("; "), strict=True):
        assert problem.startswith(name)


@pytest.mark.parametrize("side", ["bid", "ask"])
@pytest.mark.parametrize("change", [{"time_exit_ms": CLOSE_MS}, {"time_exit_ms": T0 + 1}, {"trail": 100}])
def test_the_ends_of_what_a_plan_may_be_are_allowed_on_either_side_and_need_no_price(
    side: str, change: dict[str, int]
) -> None:
    scene = held(side)
    sent = {k: "0.0100" if k == "trail" else v for k, v in change.items()}
    turn = say(scene, "plan", quote(None, None), ticker=TICKER, **sent)
    assert turn.answer is not None and turn.answer.ok, turn.answer
    assert msgspec.structs.asdict(scene.trade().plan).items() >= change.items()


def configured(**args: Any) -> Turn:
    return say(Scene(), "configure", **args)


def test_settings_of_risk_and_strategy_are_changed_together_and_by_whom() -> None:
    turn = configured(risk={"max_open_trades": "3", "cooldown": 60}, strategy={"edge": "0.02"})
    risk = {**defaults(RISK), "max_open_trades": 3, "cooldown": 60}
    assert turn.facts == [f.ConfigChanged(T0, Config(2, "ann", risk, {"edge": 200}))]
    assert turn.answer == Answer(True, "configured", "settings version 2")
    assert notices(turn) == [Notice("info", "configured", "settings version 2 by ann")]


@pytest.mark.parametrize("value", [True, 1.5, None, [3]])
def test_a_whole_number_is_an_int_or_its_digits(value: Any) -> None:
    turn = configured(risk={"max_open_trades": value})
    words = f"risk.max_open_trades: {value!r} is not a number; allowed: 1 to 500 (number)"
    assert turn.answer == Answer(False, "invalid_config", words) and turn.facts == []


def test_every_problem_of_a_change_of_settings_is_named_and_nothing_is_changed() -> None:
    turn = configured(
        shell={"rm": "1"}, risk=7, strategy={"speed": "1", "edge": "2.00", "luck": "1"},
    )  # fmt: skip
    section = "unknown section; allowed: risk, strategy (an object of names and values)"
    words = (
        f"shell: {section}", f"risk: {section}", "strategy.speed: unknown; known: edge",
        "strategy.edge: '2.00' is out of range; allowed: 0.0000 to 0.1000 (price)",
        "strategy.luck: unknown; known: edge",
    )  # fmt: skip
    assert turn.answer == Answer(False, "invalid_config", "; ".join(words)) and turn.facts == []


def test_settings_are_shown_each_with_its_own_value_default_and_range() -> None:
    config = Config(7, "ann", {**defaults(RISK), "max_open_trades": 3}, {"edge": 200})
    page = msgspec.convert(shown(config, PARAMS), dict[str, Any])
    assert (page["version"], page["author"], list(page["risk"])) == (7, "ann", [p.name for p in RISK])
    assert page["strategy"] == {
        "edge": {
            "value": "0.0200", "kind": "price", "default": "0.0100", "low": "0.0000", "high": "0.1000",
            "help": "made up for tests",
        }
    }  # fmt: skip
    assert page["risk"]["max_open_trades"] == {
        "value": "3", "kind": "number", "default": "10", "low": "1", "high": "500", "help": "trades open at once",
    }  # fmt: skip
