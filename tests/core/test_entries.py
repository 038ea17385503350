"""Entries: every gate and limit refuses with its reason, and exits are never asked."""

from typing import Any, get_args

import pytest
from scene import PARAMS, PLAN, RULES, T0, TICKER, Scene, market

from bot.core import commands
from bot.core import events as e
from bot.core.config import RISK
from bot.core.effects import CancelOrder, PlaceOrder
from bot.core.facts import OrderIntended, TradeOpened, TradingMode
from bot.core.state import dump, load, new_state
from bot.core.step import Rules, step
from bot.core.units import Count, Price


def refused(scene: Scene, **changes: Any) -> str:
    answer = scene.propose(**changes).answer
    assert answer is not None and not answer.ok and scene.sent() == []
    return answer.code


def limited(**limits: int) -> Scene:
    scene = Scene()
    scene.state.config.risk.update(limits)
    return scene


def test_an_entry_is_recorded_with_its_plan_before_it_is_sent() -> None:
    scene = Scene()
    turn = scene.propose()
    assert [type(x) for x in turn.facts] == [TradeOpened, OrderIntended]
    [order] = scene.sent()
    assert (order.purpose, order.count, order.price, order.reduce_only) == ("entry", 2_000, 8_800, False)
    assert scene.trade().plan == PLAN and scene.trade().rules_version == 1


@pytest.mark.parametrize(
    "limit, code",
    [
        ({"max_order_cost": 17_000_000}, "max_order_cost"),
        ({"max_market_exposure": 17_000_000}, "max_market_exposure"),
        ({"max_event_exposure": 17_000_000}, "max_event_exposure"),
        ({"max_total_exposure": 17_000_000}, "max_total_exposure"),
        ({"max_open_trades": 0}, "max_open_trades"),
    ],
)
def test_each_limit_refuses_by_its_name(limit: dict[str, int], code: str) -> None:
    assert refused(limited(**limit)) == code


def test_a_live_entry_counts_at_its_limit_price_with_its_fee_until_it_ends() -> None:
    scene = limited(max_total_exposure=30_000_000)
    scene.propose()
    assert refused(scene, ticker="KXNBAGAME-26NOV21LALNYK-LAL") == "max_total_exposure"


def test_both_markets_of_an_event_share_its_limit() -> None:
    scene = limited(max_event_exposure=20_000_000)
    scene.held()
    assert refused(scene, ticker="KXNBAGAME-26NOV21BOSDET-DET") == "max_event_exposure"


def test_cash_that_is_reserved_cannot_be_spent_again() -> None:
    scene = Scene()
    scene.state.cash = scene.state.baseline = Count(30_000_000)  # type: ignore[assignment]
    scene.propose()
    assert refused(scene, ticker="KXNBAGAME-26NOV21LALNYK-LAL") == "insufficient_cash"


def test_a_days_loss_at_its_limit_stops_entries_and_the_next_day_they_go_on() -> None:
    scene = limited(max_daily_loss=1_000_000)
    scene.held()
    scene.tick(7_900, 8_100)
    [out] = scene.sent()
    scene.reply(out, 2_000)
    scene.fill(out, 7_900, 2_000)
    other = "KXNBAGAME-26NOV21LALNYK-LAL"
    assert scene.state.day_realized < -1_000_000
    assert refused(scene, ticker=other) == "max_daily_loss"
    scene.state.day_realized = Count(0)  # type: ignore[assignment]  # a new day
    assert scene.propose(ticker=other).answer.ok


def test_one_bracket_for_each_market() -> None:
    scene = Scene()
    scene.held()
    assert refused(scene) == "market_owned"


def test_a_market_whose_stop_fired_rests_before_the_next_entry() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    [out] = scene.sent()
    scene.reply(out, 2_000)
    scene.fill(out, 7_900, 2_000)
    assert refused(scene.at(60)) == "cooldown"
    assert scene.at(301).propose().answer.ok


@pytest.mark.parametrize(
    "changes, code",
    [({"limit": 8_850}, "off_grid"), ({"count": 0}, "no_size"), ({"status": "inactive"}, "market_inactive")],
)
def test_a_proposal_that_cannot_be_an_order_is_refused(changes: dict[str, Any], code: str) -> None:
    assert refused(Scene(), **changes) == code


def test_a_closed_market_is_refused() -> None:
    assert refused(Scene(), close_ms=T0) == "market_inactive"


def test_a_stale_quote_is_refused() -> None:
    scene = Scene()
    wanted = e.Proposal("test", market(), "bid", Price(8_800), Count(100), "immediate_or_cancel", PLAN, "why")
    assert scene.do(e.Propose(scene.now, wanted, 60_001)).answer.code == "stale_quote"
    assert scene.do(e.Propose(scene.now, wanted, 60_000)).answer.ok


def test_entries_stop_when_the_account_was_not_read_within_the_interval() -> None:
    scene = Scene()
    wanted = e.Proposal("test", market(), "bid", Price(8_800), Count(100), "immediate_or_cancel", PLAN, "why")
    assert scene.at(15.1).do(e.Propose(scene.now, wanted, 0)).answer.code == "not_reconciled"


@pytest.mark.parametrize("older", ["started_ms", "fresh_ms"])
def test_entries_stop_when_the_last_reading_shows_an_account_of_long_ago(older: str) -> None:
    """A reading may be slow, and its listings may lag up to 60 s: the interval counts from what all of it shows, with
    room for a clock that is ahead of the exchange's."""
    scene = Scene()
    wanted = e.Proposal("test", market(), "bid", Price(8_800), Count(100), "immediate_or_cancel", PLAN, "why")
    scene.at(60).read(**{older: scene.now - 45_001})
    assert scene.at(70).do(e.Propose(scene.now, wanted, 0)).answer.code == "not_reconciled"
    scene.at(71).read(**{older: scene.now - 45_000})
    assert scene.at(81).do(e.Propose(scene.now, wanted, 0)).answer.ok


@pytest.mark.parametrize("verb, mode", [("pause", "PAUSED"), ("stop", "REDUCING"), ("kill", "HALTED")])
def test_each_verb_turns_entries_off(verb: str, mode: str) -> None:
    scene = Scene()
    assert scene.do(e.Command(scene.now, verb, "test", {})).answer.ok
    assert scene.state.mode == mode and refused(scene) == "not_running"


def test_kill_is_one_step_and_coming_back_takes_two() -> None:
    scene = Scene()
    scene.do(e.Command(scene.now, "kill", "test", {}))
    assert not scene.do(e.Command(scene.now, "start", "test", {})).answer.ok
    scene.do(e.Command(scene.now, "rearm", "test", {}))
    assert scene.state.mode == "PAUSED"
    scene.do(e.Command(scene.now, "start", "test", {}))
    assert scene.state.mode == "RUNNING"


@pytest.mark.parametrize("verb, cancels", [("pause", 0), ("stop", 1), ("kill", 1), ("flatten", 1)])
def test_resting_entries_are_cancelled_by_id_where_the_verb_says_so(verb: str, cancels: int) -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.reply(entry, 0, remaining=2_000)
    scene.do(e.Command(scene.now, verb, "test", {}))
    assert len([x for x in scene.effects if isinstance(x, CancelOrder)]) == cancels


def test_a_verb_that_the_table_does_not_have_changes_nothing() -> None:
    scene = Scene()
    turn = scene.do(e.Command(scene.now, "rearm", "test", {}))
    assert turn.facts == [] and turn.answer is not None and not turn.answer.ok


def test_every_mode_can_be_killed() -> None:
    assert {mode for (mode, verb) in commands.TRANSITIONS if verb == "kill"} == set(get_args(TradingMode))


def test_settings_change_as_a_whole_or_not_at_all_and_carry_their_author() -> None:
    scene = Scene()
    bad = scene.do(e.Command(scene.now, "configure", "anna", {"risk": {"max_open_trades": 3, "max_order_cost": "x"}}))
    assert bad.facts == [] and bad.answer is not None and "max_order_cost" in bad.answer.text
    assert scene.state.config.risk["max_open_trades"] == 10
    scene.do(e.Command(scene.now, "configure", "anna", {"risk": {"max_open_trades": 3}}))
    config = scene.state.config
    assert (config.version, config.author, config.risk["max_open_trades"]) == (2, "anna", 3)


@pytest.mark.parametrize("param", RISK, ids=lambda p: p.name)
def test_every_setting_accepts_its_bounds_and_refuses_what_is_beyond(param: Any) -> None:
    for edge in (param.low, param.high, param.default):
        assert param.parse(param.show(edge)) == edge
    for beyond in (param.low - 1, param.high + 1):
        with pytest.raises(ValueError, match="allowed"):
            param.parse(param.show(beyond))


def test_closing_one_market_leaves_the_others() -> None:
    scene = Scene()
    scene.held()
    assert scene.do(e.Command(scene.now, "close", "test", {"ticker": "KXOTHER-1-A"})).answer.code == "no_position"
    scene.do(e.Command(scene.now, "close", "test", {"ticker": TICKER}))
    assert [x.side for x in scene.effects if isinstance(x, PlaceOrder)] == ["ask"]
    assert scene.state.mode == "RUNNING"


def test_a_defect_of_ours_stops_entries_and_leaves_stops_working(monkeypatch: pytest.MonkeyPatch) -> None:
    from bot.core import accounting

    scene = Scene()
    scene.held()

    def broken(*_: Any) -> None:
        raise KeyError("made up")

    monkeypatch.setattr(accounting, "market_changed", broken)
    turn = step(scene.state, e.MarketChange(scene.now, TICKER, "inactive"), RULES)
    assert isinstance(turn.defect, KeyError) and scene.state.mode == "PAUSED"
    scene.tick(7_900, 8_100)
    assert len(scene.sent()) == 1


def test_a_defect_of_ours_outlasts_the_pause_of_a_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    from bot.core import accounting

    scene = Scene()
    scene.state.rejects = 5
    scene.sweep()
    assert scene.state.mode == "PAUSED" and scene.state.mode_until_ms
    monkeypatch.setattr(accounting, "market_changed", lambda *_: 1 / 0)
    step(scene.state, e.MarketChange(scene.now, TICKER, "inactive"), RULES)
    scene.at(10_000).sweep()
    assert scene.state.mode == "PAUSED" and scene.state.mode_reason.startswith("defect")


def test_an_entry_still_waiting_when_kill_comes_is_never_sent() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.do(e.Command(scene.now, "kill", "test", {}))
    answer = scene.do(e.Sending(scene.now, entry.client_order_id)).answer
    assert answer is not None and answer.code == "not_running"
    assert scene.state.live_trade == {} and not scene.state.orders[entry.client_order_id].live()


def test_an_entry_whose_signal_lapsed_is_never_sent() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    assert scene.at(5.1).do(e.Sending(scene.now, entry.client_order_id)).answer.code == "lapsed"


def test_an_exit_is_never_too_late() -> None:
    scene = Scene()
    scene.held()
    scene.do(e.Command(scene.now, "kill", "test", {}))
    scene.tick(7_900, 8_100)
    [out] = scene.sent()
    assert scene.at(60).do(e.Sending(scene.now, out.client_order_id)).answer.ok


@pytest.mark.parametrize("by", ["client", "exchange"])
def test_an_order_is_cancelled_by_either_of_its_ids(by: str) -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.reply(entry, 0, remaining=2_000)
    name = entry.client_order_id if by == "client" else f"x-{entry.client_order_id}"
    assert scene.do(e.Command(scene.now, "cancel", "test", {"order": name})).answer.ok
    assert [c.client_order_id for c in scene.effects if isinstance(c, CancelOrder)] == [entry.client_order_id]
    assert scene.do(e.Command(scene.now, "cancel", "test", {"order": "nobody"})).answer.code == "no_order"


def test_real_money_is_traded_for_the_first_time_when_the_word_is_typed_and_a_restart_remembers() -> None:
    scene = Scene()
    scene.state = new_state(scene.state.config, "PAUSED", T0)
    rules = Rules(PARAMS, 10_000, "LIVE")

    def start(**args: object) -> str:
        answer = step(scene.state, e.Command(T0, "start", "you", dict(args)), rules).answer
        assert answer is not None
        return answer.code

    step(scene.state, e.Boot(T0, "b1", scene.state.config), rules)
    assert start() == "confirm" and start(confirm="live") == "confirm" and scene.state.mode == "PAUSED"
    assert start(confirm="LIVE") == "start" and scene.state.mode == "RUNNING"
    step(scene.state, e.Command(T0, "pause", "you", {}), rules)
    scene.state = load(dump(scene.state))
    step(scene.state, e.Boot(T0, "b2", scene.state.config), rules)
    assert scene.state.mode == "PAUSED" and start() == "start"
