"""An entry that provably was not applied is sent again: the same id, at most three times, while its signal holds."""

from typing import Any

import msgspec
import pytest
from scene import PLAN, T0, TICKER, Scene, market

from bot.core import events as e
from bot.core.effects import PlaceOrder, ResolveOrder, Wake
from bot.core.orders import AGAIN_MS
from bot.core.state import dump, load
from bot.core.units import Count, Money, Price
from bot.core.venue import NotSent, Outcome, Rejected, Settlement, Unknown

LIMITED = Rejected("too_many_requests", "", 429)
NO_WAY = NotSent("no connection: refused")


def entered(**changes: Any) -> tuple[Scene, PlaceOrder]:
    scene = Scene()
    tif = changes.pop("tif", "immediate_or_cancel")
    wanted = e.Proposal("t", market(), changes.pop("side", "bid"), Price(changes.pop("limit", 8_800)), Count(2_000),
                        tif, changes.pop("plan", PLAN), "why", **changes)  # fmt: skip
    scene.read()
    assert scene.do(e.Propose(scene.now, wanted, 0)).answer.ok  # type: ignore[union-attr]
    [entry] = scene.sent()
    return scene, entry


def answered(scene: Scene, entry: PlaceOrder, outcome: Outcome) -> int | None:
    """Send it and hear `outcome`; when the core wants to look at it again."""
    assert scene.do(e.Sending(scene.now, entry.client_order_id)).answer.ok  # type: ignore[union-attr]
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, outcome))
    return next((x.at_ms for x in scene.effects if isinstance(x, Wake)), None)


def look(scene: Scene, at_ms: int | None, bid: int | None = 8_700, ask: int | None = 8_800) -> list[PlaceOrder]:
    assert at_ms is not None
    scene.now = at_ms
    scene.sweep(bid, ask)
    return scene.sent()


def state(scene: Scene, entry: PlaceOrder) -> str:
    return str(scene.state.orders[entry.client_order_id].state)


@pytest.mark.parametrize("outcome", [LIMITED, NO_WAY, Rejected("exchange_paused", "", 409)])
def test_what_was_not_applied_is_sent_again_as_it_was_and_given_up_after_the_third_time(outcome: Outcome) -> None:
    scene, entry = entered()
    waits = []
    for _ in range(2):
        again_ms = answered(scene, entry, outcome)
        assert again_ms is not None and state(scene, entry) == "deferred" and TICKER in scene.state.live_trade
        waits.append(again_ms - scene.now)
        assert look(scene, again_ms - 1) == [] and look(scene, again_ms) == [entry]
        assert look(scene, again_ms) == [], "handed on once"
    assert AGAIN_MS <= waits[0] < 2 * AGAIN_MS <= waits[1] < 3 * AGAIN_MS
    assert answered(scene, entry, outcome) is None and state(scene, entry) == "rejected"
    assert scene.state.live_trade == {} and scene.state.rejects == 1


def test_it_holds_its_exposure_while_it_waits_and_a_fill_of_its_next_send_is_protected() -> None:
    scene, entry = entered()
    reserved = scene.state.orders[entry.client_order_id].reserved()
    again_ms = answered(scene, entry, LIMITED)
    assert scene.state.orders[entry.client_order_id].reserved() == reserved > 0
    [once_more] = look(scene, again_ms)
    scene.reply(once_more, 2_000)
    scene.fill(once_more, 8_800, 2_000)
    assert scene.trade().open_count() == 2_000
    scene.tick(7_900, 8_000)
    assert [x.purpose for x in scene.sent()] == ["exit"]


@pytest.mark.parametrize(
    "outcome", [Rejected("invalid_order", "", 400), Rejected("insufficient_balance", "", 400), Rejected("x", "", 401)]
)
def test_a_refusal_that_will_not_pass_is_the_end(outcome: Outcome) -> None:
    scene, entry = entered()
    assert answered(scene, entry, outcome) is None and state(scene, entry) == "rejected"


def test_what_may_have_been_applied_is_looked_up_and_not_sent_again() -> None:
    """503 says nothing about what was applied (kalshi-api.md: unknown)."""
    scene, entry = entered()
    assert answered(scene, entry, Unknown("503 exchange_unavailable")) is None
    assert state(scene, entry) == "unknown" and any(isinstance(x, ResolveOrder) for x in scene.effects)
    assert look(scene, scene.now + 1_000) == []


@pytest.mark.parametrize(
    "side, limit, tif, bid, ask, goes",
    [
        ("bid", 8_800, "immediate_or_cancel", 8_700, 8_800, True),
        ("bid", 8_800, "immediate_or_cancel", 8_700, 8_900, False),
        ("bid", 8_800, "immediate_or_cancel", 8_700, None, False),
        ("ask", 1_200, "immediate_or_cancel", 1_200, 1_300, True),
        ("ask", 1_200, "immediate_or_cancel", 1_100, 1_300, False),
        ("bid", 8_800, "good_till_canceled", 8_700, 8_900, True),
    ],
)
def test_an_entry_is_dropped_when_the_price_it_wanted_has_gone(
    side: str, limit: int, tif: str, bid: int, ask: int | None, goes: bool
) -> None:
    plan = PLAN if side == "bid" else msgspec.structs.replace(PLAN, stop=Price(2_000), target=Price(500))
    scene, entry = entered(side=side, limit=limit, tif=tif, plan=plan)
    assert bool(look(scene, answered(scene, entry, LIMITED), bid, ask)) is goes
    assert (state(scene, entry) == "rejected") is not goes


def test_an_entry_is_dropped_when_no_price_may_be_trusted() -> None:
    scene, entry = entered(tif="good_till_canceled")
    again_ms = answered(scene, entry, LIMITED)
    assert again_ms is not None
    scene.now = again_ms
    scene.sweep(known=False)
    assert scene.sent() == [] and state(scene, entry) == "rejected"


def test_an_entry_whose_validity_ends_before_its_next_send_is_given_up_at_once() -> None:
    scene, entry = entered(valid_ms=AGAIN_MS - 1)
    assert answered(scene, entry, LIMITED) is None and state(scene, entry) == "rejected"


def test_an_entry_that_waited_too_long_in_the_queue_is_not_sent() -> None:
    scene, entry = entered(valid_ms=1_000)
    [once_more] = look(scene, answered(scene, entry, LIMITED))
    scene.now = T0 + 1_001
    answer = scene.do(e.Sending(scene.now, once_more.client_order_id)).answer
    assert answer is not None and answer.code == "lapsed"


def test_nothing_is_sent_again_while_entries_are_off() -> None:
    scene, entry = entered()
    again_ms = answered(scene, entry, LIMITED)
    scene.do(e.Command(scene.now, "kill", "you", {}))
    [once_more] = look(scene, again_ms)
    answer = scene.do(e.Sending(scene.now, once_more.client_order_id)).answer
    assert answer is not None and answer.code == "not_running" and state(scene, entry) == "rejected"


def test_an_entry_that_is_to_be_left_is_not_sent_again() -> None:
    scene, entry = entered()
    again_ms = answered(scene, entry, LIMITED)
    scene.do(e.Command(scene.now, "close", "you", {"ticker": TICKER}))
    assert look(scene, again_ms) == [] and state(scene, entry) == "rejected"


def test_nothing_is_sent_again_after_a_restart() -> None:
    scene, entry = entered()
    again_ms = answered(scene, entry, LIMITED)
    scene.state = load(dump(scene.state))
    scene.do(e.Boot(scene.now, "b2", scene.state.config))
    assert state(scene, entry) == "rejected" and scene.state.live_trade == {}
    assert look(scene, again_ms) == []


def test_one_job_too_many_sends_nothing() -> None:
    scene, entry = entered()
    answered(scene, entry, Unknown("no reply"))
    answer = scene.do(e.Sending(scene.now, entry.client_order_id)).answer
    assert answer is not None and answer.code == "not_waiting"


def test_an_exit_follows_its_own_rules() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_000)
    [out] = scene.sent()
    answered(scene, out, LIMITED)
    assert state(scene, out) == "rejected", "it goes out again with the next id (docs/exit-policy.md)"


def test_the_jitter_is_drawn_from_the_id() -> None:
    waits = set()
    for number in range(8):
        scene = Scene(f"boot{number}")
        scene.propose()
        [entry] = scene.sent()
        waits.add((answered(scene, entry, LIMITED) or 0) - scene.now)
    assert len(waits) > 5


def test_an_entry_whose_market_paid_out_meanwhile_is_given_up_and_holds_nothing_back() -> None:
    scene, entry = entered()
    assert answered(scene, entry, LIMITED)
    paid = Settlement(TICKER, "yes", Money(0), Money(0), Count(0), Count(0), scene.now)
    scene.read(settlements=(paid,))
    assert TICKER not in scene.state.live_trade and state(scene, entry) == "deferred"
    scene.at(10).do(e.Sweep(scene.now, {}))
    assert state(scene, entry) == "rejected"
