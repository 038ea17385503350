"""The life cycles as tables, unknown outcomes, fills in any order, and restarts."""

import itertools
from typing import get_args

import pytest
from scene import TICKER, Scene

from bot.core import events as e
from bot.core import orders, trades
from bot.core.config import RISK, Config, defaults
from bot.core.effects import Notice, PlaceOrder, ResolveOrder
from bot.core.facts import decode, encode
from bot.core.folding import fold
from bot.core.orders import OrderState
from bot.core.state import dump, load, new_state, state_hash
from bot.core.trades import TradeState
from bot.core.units import Count
from bot.core.venue import Accepted, AlreadyExists, NotFound, Rejected, Unknown


def codes(scene: Scene) -> list[str]:
    return [x.code for x in scene.effects if isinstance(x, Notice)]


def test_every_step_that_is_not_in_the_order_table_is_refused() -> None:
    for state, event in itertools.product(OrderState, get_args(orders.OrderEvent)):
        assert (orders.advance(state, event) is None) is ((state, event) not in orders.TRANSITIONS)


def test_an_ended_order_never_becomes_live_again() -> None:
    for (state, _), after in orders.TRANSITIONS.items():
        assert state in orders.LIVE or after not in orders.LIVE


def test_every_order_state_can_be_reached_and_left_only_as_the_table_says() -> None:
    reached = {OrderState.INTENT} | set(orders.TRANSITIONS.values())
    assert reached == set(OrderState)


def test_a_refused_step_leaves_the_state_unchanged_and_is_reported() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Rejected("invalid_price", "", 400)))
    before = dump(scene.state)
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Accepted("x", Count(0), entry.count)))
    assert dump(scene.state) == before and codes(scene) == ["order_step_refused"]


@pytest.mark.parametrize("outcome", [Unknown("timeout"), AlreadyExists(), NotFound()])
def test_an_entry_without_a_proof_is_unknown_keeps_its_reserve_and_is_looked_up(outcome: object) -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, outcome))  # type: ignore[arg-type]
    order = scene.state.orders[entry.client_order_id]
    assert order.state is OrderState.UNKNOWN and order.reserved() > 8_800 * 2_000
    assert [x.client_order_id for x in scene.effects if isinstance(x, ResolveOrder)] == [entry.client_order_id]
    assert not [x for x in scene.effects if isinstance(x, PlaceOrder)], "an entry is never sent again blindly"


def test_an_unknown_entry_that_filled_is_found_and_protected() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Unknown("reset")))
    scene.order_seen(entry, "executed", 2_000, 0)
    scene.fill(entry, 8_800, 2_000, known=False)
    assert scene.trade().state is TradeState.OPEN and scene.trade().open_count() == 2_000


def test_an_unknown_order_is_given_up_only_when_provably_absent() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Unknown("reset")))
    scene.do(e.OrderResolved(scene.now, entry.client_order_id, None, False))
    assert scene.state.orders[entry.client_order_id].state is OrderState.UNKNOWN
    scene.do(e.OrderResolved(scene.now, entry.client_order_id, None, True))
    assert scene.state.orders[entry.client_order_id].state is OrderState.REJECTED
    assert scene.trade().state is TradeState.ABORTED


@pytest.mark.parametrize("outcome", [Unknown("no reply"), AlreadyExists(), Rejected("busy", "", 429)])
def test_a_reply_after_the_proven_end_of_its_order_says_nothing(outcome: object) -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.order_seen(entry, "executed", 2_000, 0)
    turn = scene.do(e.CreateReplied(scene.now, entry.client_order_id, outcome))  # type: ignore[arg-type]
    assert turn.facts == [] and turn.effects == []


def test_an_order_called_dead_that_is_accepted_is_told() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.do(e.CreateReplied(scene.now, entry.client_order_id, Rejected("invalid_price", "", 400)))
    scene.reply(entry, 0, remaining=2_000)
    assert codes(scene) == ["order_step_refused"]


def test_a_reply_that_is_older_than_the_stream_takes_nothing_back() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.order_seen(entry, "resting", 500, 1_500)
    scene.reply(entry, 0, remaining=2_000)
    order = scene.state.orders[entry.client_order_id]
    assert codes(scene) == [] and order.state is OrderState.PARTLY_FILLED and order.filled == 500


def test_a_fill_before_the_reply_is_applied_once() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.fill(entry, 8_800, 2_000, fill_id="one")
    scene.reply(entry, 2_000)
    scene.fill(entry, 8_800, 2_000, fill_id="one")
    assert scene.state.position(TICKER).count == 2_000 and scene.trade().open_count() == 2_000


def test_a_fill_whose_order_id_is_not_known_yet_counts_at_once_and_joins_its_trade_later() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.fill(entry, 8_800, 2_000, known=False)
    assert scene.state.position(TICKER).count == 2_000 and scene.trade().open_count() == 0
    scene.reply(entry, 2_000)
    assert scene.trade().open_count() == 2_000 and scene.trade().state is TradeState.OPEN


def test_an_entry_that_bought_nothing_ends_without_a_position() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.reply(entry, 0)
    assert scene.trade().state is TradeState.ABORTED and scene.state.live_trade == {}


def test_a_reading_without_a_resting_order_of_ours_makes_it_unknown_not_cancelled() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.reply(entry, 0, remaining=2_000)
    scene.at(10).read()
    assert scene.state.orders[entry.client_order_id].state is OrderState.UNKNOWN


def test_an_older_description_does_not_undo_what_is_known() -> None:
    scene = Scene()
    scene.held()
    entry = next(iter(scene.state.orders.values()))
    sent = PlaceOrder(
        entry.client_order_id, TICKER, "bid", entry.price, entry.count, "immediate_or_cancel", "entry", "maker"
    )
    scene.order_seen(sent, "resting", 0, 2_000)
    assert entry.state is OrderState.FILLED


def test_replaying_the_facts_gives_the_same_state_hash() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    [out] = scene.sent()
    scene.reply(out, 700)
    scene.fill(out, 7_900, 700, fee=5_000)
    config = Config(1, "default", defaults(RISK), dict(scene.state.config.strategy))
    again = new_state(config, "RUNNING", scene.state.mode_since_ms)
    for fact in scene.facts:
        fold(again, decode(encode(fact)))
    assert state_hash(again) == state_hash(scene.state)
    assert state_hash(load(dump(scene.state))) == state_hash(scene.state)


def test_after_a_restart_stops_are_armed_and_what_may_have_been_sent_is_unknown() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    [out] = scene.sent()
    state = load(dump(scene.state))
    scene.state = state
    scene.at(5).do(e.Boot(scene.now, "b2", scene.state.config))
    assert "armed" in codes(scene)
    assert state.orders[out.client_order_id].state is OrderState.UNKNOWN
    scene.at(6).tick(7_800, 8_000)
    assert [o.client_order_id for o in scene.sent()] == [out.client_order_id], "the same id, so it cannot be sold twice"


def test_entries_wait_for_a_reconciliation_after_a_restart() -> None:
    scene = Scene()
    scene.do(e.Boot(scene.now, "b2", scene.state.config))
    wanted = Scene().propose  # builds its own account: only the shape of a proposal is needed
    assert wanted().answer.ok
    from scene import PLAN, market

    proposal = e.Proposal("test", market(), "bid", 8_800, Count(100), "immediate_or_cancel", PLAN, "why")  # type: ignore[arg-type]
    turn = scene.do(e.Propose(scene.now, proposal, 0))
    assert turn.answer is not None and turn.answer.code == "not_reconciled"


def test_trade_steps_that_are_not_in_the_table_are_refused() -> None:
    for state, event in itertools.product(TradeState, get_args(trades.TradeEvent)):
        assert (trades.advance(state, event) is None) is ((state, event) not in trades.TRANSITIONS)


def test_an_entry_that_may_have_been_sent_is_looked_up_after_a_restart_and_never_sent_again() -> None:
    for sent in (False, True):
        scene = Scene()
        scene.propose()
        [entry] = scene.sent()
        if sent:
            scene.do(e.Sending(scene.now, entry.client_order_id))
        scene.at(5).do(e.Boot(scene.now, "b2", scene.state.config))
        assert scene.sent() == []
        assert [x.client_order_id for x in scene.effects if isinstance(x, ResolveOrder)] == [entry.client_order_id]
        assert scene.state.orders[entry.client_order_id].state is OrderState.UNKNOWN
        scene.read()
        assert scene.sent() == []
