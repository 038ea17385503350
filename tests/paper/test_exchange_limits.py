"""Limits and small rules of a WebSocket session of the paper exchange (kalshi-api.md sections 6.1, 6.2, 6.6)."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import websocket
from paper_client import Exchange, Socket
from still_exchange import BOS, DET

from bot.paper import session
from bot.paper.engine import Engine
from bot.paper.faults import Faults
from bot.paper.model import Event, Market, Rules, Series
from bot.paper.stream import Hub


class Wire:
    """A socket that only remembers."""

    def close(self) -> None: ...


def talk(rules: Rules | None = None) -> tuple[session.Session, Callable[..., Any]]:
    """A session on an engine with one market, and how to command it: gives the last reply."""
    engine = Engine(1, rules=rules)
    engine.add_series(Series("S", "series", "Sports"))
    engine.add_event(Event("EV", "S", "title", "sub"))
    engine.add_market(Market("EV-M", "EV", "t", "yes", "no", 0, 10**9, 10**9, 10**9), 0)
    hub = Hub(engine, Faults([]))
    made = session.Session(hub, Wire(), "ann", 1 << 20)
    sent: list[Any] = []
    made.send = lambda message, subscription=None: sent.append(json.loads(message))  # type: ignore[method-assign]

    def say(cmd: str, **params: Any) -> Any:
        made._command(json.dumps({"id": 1, "cmd": cmd, "params": params}).encode())
        return sent[-1]

    return made, say


def test_too_many_commands_in_a_second_get_error_27(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MAX_COMMANDS", 3)
    monkeypatch.setattr(session.time, "monotonic", lambda: 5.0)
    _, say = talk()
    kinds = [say("list_subscriptions")["type"] for _ in range(4)]
    assert kinds == ["ok", "ok", "ok", "error"] and say("list_subscriptions")["msg"]["code"] == 27
    monkeypatch.setattr(session.time, "monotonic", lambda: 6.0)
    assert say("list_subscriptions")["type"] == "ok"


def test_too_many_markets_get_error_26(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MAX_MARKETS", 2)
    _, say = talk()
    assert say("subscribe", channels=["trade"], market_tickers=["A", "B", "C"])["msg"]["code"] == 26
    assert say("subscribe", channels=["trade"], market_tickers=["A", "B"])["type"] == "subscribed"
    more = {"sids": [1], "action": "add_markets", "market_tickers": ["C"]}
    assert say("update_subscription", **more)["msg"]["code"] == 26


def test_unknown_tickers_are_ignored_or_refused_by_rule() -> None:
    _, say = talk()
    assert say("subscribe", channels=["trade"], market_tickers=["EV-M", "X"])["type"] == "subscribed"
    _, say = talk(Rules(unknown_tickers="refused"))
    assert say("subscribe", channels=["trade"], market_tickers=["EV-M", "X"])["msg"]["code"] == 11
    assert say("subscribe", channels=["trade"], market_tickers=["EV-M"])["type"] == "subscribed"


@pytest.fixture
def ws(still: Exchange) -> Socket:
    return still.socket()


def test_a_command_with_id_0_is_answered_without_one(ws: Socket) -> None:
    for cmd, params in (
        ("subscribe", {"channels": ["trade"], "market_tickers": [BOS]}),
        ("subscribe", {"channels": ["trade"], "market_tickers": [DET]}),
        ("list_subscriptions", {}),
        ("no_such", {}),
        ("unsubscribe", {"sids": [1]}),
    ):
        ws.ws.send(json.dumps({"id": 0, "cmd": cmd, "params": params}))
        assert "id" not in ws.next(), cmd


def test_a_key_that_may_not_read_gets_no_stream(still: Exchange) -> None:
    body = {"name": "w", "key_type": "ed25519", "scopes": ["write"]}
    made = still.call("POST", "/api_keys/generate", body).json()
    with (
        still.signing_as(made["api_key_id"], made["private_key"]),
        pytest.raises(websocket.WebSocketBadStatusException) as caught,
    ):
        still.socket()
    assert caught.value.status_code == 403


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("status=open&min_created_ts=1", 200),
        ("status=closed&min_created_ts=1", 400),
        ("status=open&max_close_ts=1", 400),
        ("min_close_ts=1", 200),
        ("status=settled&min_settled_ts=1", 200),
        ("status=unopened&min_settled_ts=1", 400),
        ("min_updated_ts=1", 200),
        ("min_updated_ts=1&mve_filter=exclude&series_ticker=KXNBAGAME", 200),
        ("min_updated_ts=1&series_ticker=KXNBAGAME", 400),
        ("min_updated_ts=1&status=open", 400),
        ("min_updated_ts=1&min_close_ts=1", 400),
        ("status=active", 400),
        ("limit=1001", 400),
    ],
)
def test_market_filters_that_exclude_each_other_are_refused(still: Exchange, query: str, status: int) -> None:
    assert still.call("GET", f"/markets?{query}").status_code == status


def test_real_world_objects_and_series_filter(still: Exchange) -> None:
    def found(path: str) -> int:
        return len(next(iter(still.get(path).values())))

    assert [found(f"/milestones?limit=5&competition={c}") for c in ("Pro%20Basketball%20(M)", "Pro%20Football")] == [
        1,
        0,
    ]
    assert found("/milestones?limit=5&source_id=x") == 0
    assert found("/milestones?limit=5&min_updated_ts=9999999999") == 0
    assert found("/structured_targets?competition=NHL") == 0
    shown = still.get("/series/KXNBAGAME?include_volume=true&include_product_metadata=true")["series"]
    assert shown["volume_fp"] == "0.00" and shown["product_metadata"] == {}
    assert still.get("/search/filters_by_sport")["filters_by_sports"]["Basketball"]["scopes"] == ["Game"]
