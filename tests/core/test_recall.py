"""An entry that was called back (stop, kill, flatten, cancel) is cancelled until that is proven, whatever follows."""

import pytest
from scene import PLAN, Scene, market

from bot.core import events as e
from bot.core.effects import CancelOrder, PlaceOrder, ResolveOrder
from bot.core.facts import OrderRecalled, decode, encode
from bot.core.folding import fold
from bot.core.orders import OrderState
from bot.core.state import dump, load
from bot.core.units import Count, Price
from bot.core.venue import Accepted, Rejected, Unknown, VenueOrder

WORDS = [
    ("kill", ("rearm",)),
    ("kill", ("rearm", "start")),
    ("stop", ("pause",)),
    ("stop", ("start",)),
    ("flatten", ("start",)),
]


def entering() -> tuple[Scene, PlaceOrder]:
    """An entry that may rest, decided and not sent yet."""
    scene = Scene()
    wanted = e.Proposal("test", market(), "bid", Price(8_800), Count(2_000), "good_till_canceled", PLAN, "why")
    scene.do(e.Propose(scene.now, wanted, 0))
    [entry] = scene.sent()
    return scene, entry


def say(scene: Scene, *verbs: str) -> None:
    for verb in verbs:
        answer = scene.do(e.Command(scene.now, verb, "you", {})).answer
        assert answer is not None and answer.ok


def resting(entry: PlaceOrder, at_ms: int) -> VenueOrder:
    """As the exchange lists it."""
    return VenueOrder(
        f"x-{entry.client_order_id}", entry.client_order_id, entry.ticker, entry.side, entry.price, entry.count,
        Count(0), entry.count, "resting", at_ms, at_ms,
    )  # fmt: skip


def cancels(scene: Scene) -> int:
    return sum(isinstance(x, CancelOrder) for x in scene.effects)


def restarted(scene: Scene) -> None:
    scene.state = load(dump(scene.state))
    scene.do(e.Boot(scene.now, "b2", scene.state.config))


@pytest.mark.parametrize("verb, later", WORDS)
@pytest.mark.parametrize("restart", [False, True])
def test_a_cancel_that_proved_nothing_is_repeated_with_each_reading(
    verb: str, later: tuple[str, ...], restart: bool
) -> None:
    scene, entry = entering()
    scene.reply(entry, 0, remaining=2_000)
    say(scene, verb)
    assert cancels(scene) == 1
    say(scene.at(2), *later)
    scene.at(5).do(e.CancelReplied(scene.now, entry.client_order_id, Unknown("timed out")))
    if restart:
        restarted(scene)
    seen = resting(entry, scene.now)
    scene.at(6).do(e.OrderResolved(scene.now, entry.client_order_id, seen, False))
    for seconds in (10, 20):
        scene.at(seconds).read(resting=(seen,))
        assert cancels(scene) == 1
    scene.at(21).do(e.CancelReplied(scene.now, entry.client_order_id, Accepted(seen.order_id, Count(0), Count(0))))
    assert not scene.state.orders[entry.client_order_id].live()


@pytest.mark.parametrize("verb, later", WORDS)
@pytest.mark.parametrize("restart", [False, True])
def test_an_entry_of_unknown_fate_is_cancelled_when_it_is_found(
    verb: str, later: tuple[str, ...], restart: bool
) -> None:
    scene, entry = entering()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.at(1).do(e.CreateReplied(scene.now, entry.client_order_id, Unknown("timed out")))
    say(scene, verb)
    assert [type(x) for x in scene.effects if isinstance(x, CancelOrder | ResolveOrder)] == [ResolveOrder]
    say(scene.at(2), *later)
    if restart:
        restarted(scene)
    scene.at(3).do(e.OrderResolved(scene.now, entry.client_order_id, resting(entry, scene.now), False))
    assert cancels(scene) == 1
    scene.at(10).read(resting=(resting(entry, scene.now),))
    assert cancels(scene) == 1


@pytest.mark.parametrize("verb, later", WORDS)
def test_an_entry_whose_bytes_are_leaving_is_cancelled_when_its_reply_comes(verb: str, later: tuple[str, ...]) -> None:
    scene, entry = entering()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    say(scene, verb, *later)
    name = f"x-{entry.client_order_id}"
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Accepted(name, Count(0), Count(2_000))))
    assert [x.order_id for x in scene.effects if isinstance(x, CancelOrder)] == [name]


def test_an_entry_that_waits_to_be_sent_is_not_sent_after_a_kill_that_was_taken_back() -> None:
    scene, entry = entering()
    say(scene, "kill", "rearm", "start")
    answer = scene.do(e.Sending(scene.now, entry.client_order_id)).answer
    assert answer is not None and (answer.ok, answer.code) == (False, "called_back")
    assert not scene.state.orders[entry.client_order_id].live() and not scene.state.live_trade


def test_an_entry_that_waits_for_its_second_send_is_not_sent_after_a_stop_that_was_taken_back() -> None:
    scene, entry = entering()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Rejected("too_many_requests", "", 429)))
    assert scene.state.orders[entry.client_order_id].state is OrderState.DEFERRED
    say(scene, "stop", "start")
    scene.at(1).sweep(8_700, 8_800)
    [again] = scene.sent()
    answer = scene.do(e.Sending(scene.now, again.client_order_id)).answer
    assert answer is not None and answer.code == "called_back"


def test_a_cancel_of_one_entry_is_repeated_until_it_is_proven_and_waits_for_one_that_is_not_found_yet() -> None:
    """It answered "cancelling", and let the entry rest when the cancel's own answer was lost."""
    scene, entry = entering()
    word = e.Command(scene.now, "cancel", "you", {"order": entry.client_order_id})
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Unknown("timed out")))
    answer = scene.do(word).answer
    assert answer is not None and answer.ok and "as soon as it is found: it is unknown" in answer.text
    scene.do(e.OrderResolved(scene.now, entry.client_order_id, resting(entry, scene.now), False))
    assert cancels(scene) == 1
    scene.at(5).do(e.CancelReplied(scene.now, entry.client_order_id, Unknown("timed out")))
    seen = resting(entry, scene.now)
    scene.at(6).do(e.OrderResolved(scene.now, entry.client_order_id, seen, False))
    scene.at(10).read(resting=(seen,))
    assert cancels(scene) == 1


def test_a_pause_calls_nothing_back() -> None:
    scene, entry = entering()
    scene.reply(entry, 0, remaining=2_000)
    say(scene, "pause")
    scene.at(10).read(resting=(resting(entry, scene.now),))
    assert cancels(scene) == 0 and not scene.state.orders[entry.client_order_id].recall
    say(scene, "start")
    scene.at(20).read(resting=(resting(entry, scene.now),))
    assert cancels(scene) == 0


def test_the_recall_is_recorded_once_and_replayed() -> None:
    scene, entry = entering()
    scene.reply(entry, 0, remaining=2_000)
    before = load(dump(scene.state))
    known = len(scene.facts)
    say(scene, "stop", "kill")
    recalls = [x for x in scene.facts if isinstance(x, OrderRecalled)]
    assert [x.client_order_id for x in recalls] == [entry.client_order_id]
    for fact in scene.facts[known:]:
        fold(before, decode(encode(fact)))
    assert dump(before) == dump(scene.state) and before.orders[entry.client_order_id].recall


def test_an_entry_that_a_version_before_called_back_without_a_record_is_recalled_at_the_start() -> None:
    scene, entry = entering()
    say(scene, "kill")
    scene.state.orders[entry.client_order_id].recall = False
    restarted(scene)
    scene.do(e.OrderResolved(scene.now, entry.client_order_id, resting(entry, scene.now), False))
    assert cancels(scene) == 1


@pytest.mark.parametrize("mode", ["RUNNING", "HALTED"])
def test_an_entry_that_was_called_absent_and_rests_all_the_same_is_cancelled_with_each_reading(mode: str) -> None:
    """Nobody else would: it is dead in our books, and a kill said that resting entries are cancelled."""
    scene, entry = entering()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Unknown("no reply")))
    scene.at(100).do(e.OrderResolved(scene.now, entry.client_order_id, None, absent=True))
    assert scene.state.orders[entry.client_order_id].state is OrderState.REJECTED
    if mode == "HALTED":
        say(scene, "kill")
    for second in (110, 120):
        scene.at(second).read(resting=(resting(entry, scene.now),))
        told = [(x.client_order_id, x.order_id) for x in scene.effects if isinstance(x, CancelOrder)]
        assert told == [(entry.client_order_id, f"x-{entry.client_order_id}")]
