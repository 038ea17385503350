"""The paper exchange over REST: every endpoint's form, keys, shards, groups, pauses, lag, tiers (kalshi-api.md)."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from paper_client import Exchange, until
from still_exchange import BOS, DET, EVENT

from bot.paper.endpoints import ENDPOINTS

ORDERS = "/portfolio/events/orders"
SERIES = "KXNBAGAME"
FORM = {"time_in_force": "good_till_canceled", "self_trade_prevention_type": "taker_at_cross"}


def quote(exchange: Exchange) -> None:
    exchange.tell("set_level", BOS, "bid", 5500, 12_000, "now")
    exchange.tell("set_level", BOS, "ask", 5800, 30_050, "now")
    until(lambda: len(exchange.get(f"/markets/{BOS}/orderbook")["orderbook_fp"]["no_dollars"]) == 1)


@pytest.fixture
def exchange(start: Callable[..., Exchange]) -> Exchange:
    made = start()
    quote(made)
    return made


def span(every: int, **more: str) -> str:
    now = int(time.time())
    query = {"start_ts": now - 3600, "end_ts": now + 90_000, "period_interval": every} | more
    return "&".join(f"{name}={value}" for name, value in query.items())


def test_every_read_has_its_documented_form_and_something_in_it(exchange: Exchange) -> None:
    """paper_client checks each reply against the schema; here each must also hold what was made before."""
    bought = exchange.order(BOS, "bid", "0.5800", "10.00").json()["order_id"]
    group = exchange.call("POST", "/portfolio/order_groups/create", {"contracts_limit": 5}).json()["order_group_id"]
    resting = exchange.order(BOS, "bid", "0.5500", "10.00", order_group_id=group).json()["order_id"]
    moved = {
        "source": "event_contract",
        "destination": "event_contract",
        "amount": 100,
        "destination_exchange_shard": 1,
    }
    transfer = exchange.call("POST", "/portfolio/intra_exchange_instance_transfer", moved).json()["transfer_id"]
    for change in (
        {"id": "1", "event_ticker": "", "fee_type": "quadratic", "fee_multiplier": 0.5},
        {"id": "2", "event_ticker": EVENT, "fee_type": None, "fee_multiplier": 2.0},
    ):
        exchange.tell("change_fees", change | {"series_ticker": SERIES, "scheduled_ms": 2**41}, "now")
    until(lambda: exchange.get("/events/fee_changes")["event_fee_changes"])
    tails = {
        "/series/:series_ticker": SERIES,
        "/series/:series_ticker/markets/:ticker/candlesticks": f"{SERIES}/markets/{BOS}/candlesticks?{span(1)}",
        "/series/:series_ticker/events/:ticker/candlesticks": f"{SERIES}/events/{EVENT}/candlesticks?{span(60)}",
        "/events": "?with_nested_markets=true&with_milestones=true&status=open",
        "/events/:event_ticker": f"{EVENT}?with_nested_markets=true",
        "/events/:event_ticker/metadata": f"{EVENT}/metadata",
        "/markets/orderbooks": f"?tickers={BOS}&tickers={DET}",
        "/markets/candlesticks": f"?{span(1440, market_tickers=f'{BOS},{DET}')}",
        "/markets/:ticker": BOS,
        "/markets/:ticker/orderbook": f"{BOS}/orderbook?depth=1",
        "/milestones": "?limit=5",
        "/milestones/:milestone_id": "m-1",
        "/structured_targets/:structured_target_id": "t-bos",
        "/portfolio/orders/queue_positions": f"?event_ticker={EVENT}",
        "/portfolio/orders/:order_id": bought,
        "/portfolio/orders/:order_id/queue_position": f"{resting}/queue_position",
        "/portfolio/order_groups/:order_group_id": group,
        "/portfolio/intra_exchange_instance_transfers/:transfer_id": transfer,
    }
    empty = {
        "/events/multivariate",
        "/multivariate_event_collections",
        "/historical/markets",
        "/historical/trades",
        "/historical/fills",
        "/historical/orders",
        "/historical/positions",
        "/portfolio/settlements",
        "/portfolio/deposits",
        "/portfolio/withdrawals",
        "/portfolio/subaccounts/transfers",
        "/portfolio/target_balance_allocation",
    }
    reads = [e.path for e in ENDPOINTS if e.method == "GET" and "historical/markets/:ticker" not in e.path]
    for path in reads:
        stem = path.partition("/:")[0]
        tail = tails.get(path, "")
        body = exchange.get(f"{stem}/{tail}" if tail and not tail.startswith("?") else path + tail)
        values = [value for name, value in body.items() if name not in ("cursor", "grants")]
        full = all(value not in ([], {}) for value in values)
        assert full != (path in empty), (path, body)


def test_candles_hold_what_traded_and_what_was_quoted(exchange: Exchange) -> None:
    exchange.order(BOS, "bid", "0.5800", "10.00")
    exchange.order(BOS, "ask", "0.5500", "5.00")
    rows = exchange.get(f"/series/{SERIES}/markets/{BOS}/candlesticks?{span(60)}")["candlesticks"]
    assert sum(float(row["volume_fp"]) for row in rows) == 15
    traded = [row for row in rows if row["volume_fp"] != "0.00"][-1]
    assert (traded["price"]["high_dollars"], traded["price"]["close_dollars"]) == ("0.5800", "0.5500")
    assert (traded["yes_bid"]["close_dollars"], traded["yes_ask"]["close_dollars"]) == ("0.5500", "0.5800")
    if len(rows) == 1:
        assert traded["price"]["mean_dollars"] == "0.5700"
    assert exchange.get(f"/markets/{BOS}")["market"]["volume_24h_fp"] == "15.00"
    for bad in (
        "start_ts=1&end_ts=2",
        "start_ts=1&end_ts=2&period_interval=5",
        "start_ts=9&end_ts=2&period_interval=1",
    ):
        path = f"/series/{SERIES}/markets/{BOS}/candlesticks?{bad}"
        assert exchange.call("GET", path).status_code == 400


# Keys


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_a_new_key_signs_within_its_scopes_until_it_is_deleted(exchange: Exchange, kind: str) -> None:
    body = {"name": "reader", "key_type": kind, "scopes": ["read", "write::trade"]}
    made = exchange.call("POST", "/api_keys/generate", body).json()
    with exchange.signing_as(made["api_key_id"], made["private_key"]):
        assert exchange.call("GET", "/portfolio/balance").status_code == 200
        assert exchange.order(BOS, "bid", "0.1000", "1.00").status_code == 201
        assert exchange.socket().ws.connected
        denied = exchange.call("DELETE", f"/api_keys/{made['api_key_id']}")
        assert (denied.status_code, denied.json()["error"]["code"]) == (403, "permission_denied")
        denied = exchange.call("POST", "/portfolio/intra_exchange_instance_transfer", {})
        assert denied.status_code == 403
    assert exchange.call("DELETE", f"/api_keys/{made['api_key_id']}").status_code == 204
    with exchange.signing_as(made["api_key_id"], made["private_key"]):
        gone = exchange.call("GET", "/portfolio/balance")
        assert (gone.status_code, gone.json()["error"]["details"]) == (401, "NOT_FOUND")


def test_a_key_of_another_subaccount_may_nothing_and_narrow_scopes_are_narrow(exchange: Exchange) -> None:
    for body, path, status in (
        ({"name": "a", "subaccount": 5}, "/portfolio/balance", 403),
        ({"name": "b", "scopes": ["read::portfolio_balance"]}, "/portfolio/balance", 200),
        ({"name": "b", "scopes": ["read::portfolio_balance"]}, "/portfolio/orders", 403),
        ({"name": "c", "scopes": ["write"]}, "/portfolio/orders", 403),
    ):
        made = exchange.call("POST", "/api_keys/generate", {"key_type": "ed25519"} | body).json()
        with exchange.signing_as(made["api_key_id"], made["private_key"]):
            assert exchange.call("GET", path).status_code == status, body


def test_keys_outlive_a_restart_and_the_first_may_be_ed25519(start: Callable[..., Exchange]) -> None:
    first = start(key_type="ed25519")
    body = {"name": "other", "key_type": "rsa"}
    made = first.call("POST", "/api_keys/generate", body).json()
    first.stop()
    second = start(key_type="ed25519")
    assert second.call("GET", "/portfolio/balance").status_code == 200
    with second.signing_as(made["api_key_id"], made["private_key"]):
        assert [key["name"] for key in second.get("/api_keys")["api_keys"]] == ["paper", "other"]


def test_nonsense_about_the_account_is_refused_and_changes_nothing(start: Callable[..., Exchange]) -> None:
    exchange = start(tier="premier")
    before = exchange.ledger()
    far = 10**30
    path = "/portfolio/intra_exchange_instance_transfer"
    move = {"source": "event_contract", "destination": "event_contract", "destination_exchange_shard": 1}
    cases: list[tuple[str, str, Any]] = [
        ("POST", path, move | {"amount": far}),
        ("POST", path, move | {"amount": "1"}),
        ("POST", path, move | {"amount": 1, "destination_exchange_shard": far}),
        ("POST", path, move | {"amount": 1, "source": "margined"}),
        ("POST", "/portfolio/order_groups/create", {"contracts_limit": far}),
        ("POST", "/portfolio/order_groups/create", {"contracts_limit_fp": "1e3"}),
        ("POST", "/portfolio/target_balance_allocation", {"allocations": [{"exchange_index": 0, "percent": 101}]}),
        ("POST", "/portfolio/target_balance_allocation", {"allocations": [{"exchange_index": 0, "percent": 50}] * 2}),
        (
            "POST",
            "/api_keys",
            {"name": "x", "public_key": "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----"},
        ),
        ("POST", "/api_keys", {"name": "", "public_key": ""}),
        ("POST", "/api_keys/generate", {"name": "x", "scopes": ["all"]}),
        ("POST", "/api_keys/generate", {"name": "x", "key_type": "dsa"}),
        ("GET", "/portfolio/balance?exchange_index=x", None),
        ("GET", "/portfolio/balance?subaccount=64", None),
        ("GET", "/portfolio/orders/queue_positions", None),
        ("GET", f"/markets/candlesticks?market_tickers={BOS}&start_ts={far}&end_ts=1&period_interval=1", None),
    ]
    for method, at, body in cases:
        assert exchange.call(method, at, body).status_code == 400, (at, body)
    url = exchange.ready["odds"] + "/_paper/halt"
    for body in ({"halt": "x"}, {"halt": "trading", "seconds": 1e300}, {"halt": "trading", "seconds": -1}):
        assert exchange.session.post(url, json=body, timeout=10).status_code == 400
    assert exchange.ledger() == before and exchange.get("/exchange/status")["trading_active"]


# Shards and money


def test_orders_find_their_shard_by_index_or_by_ticker(start: Callable[..., Exchange]) -> None:
    exchange = start(shard=3)
    assert exchange.order(BOS, "bid", "0.1000", "1.00").json()["error"]["code"] == "insufficient_balance"
    moved = {"source": "event_contract", "destination": "event_contract", "destination_exchange_shard": 3}
    name = str(uuid.uuid4())
    body = moved | {"amount": 1_000_000, "client_transfer_id": name}
    assert exchange.call("POST", "/portfolio/intra_exchange_instance_transfer", body).status_code == 200
    assert exchange.call("POST", "/portfolio/intra_exchange_instance_transfer", body).status_code == 409
    rows = exchange.get("/portfolio/balance")["balance_breakdown"]
    assert rows == [{"exchange_index": 0, "balance": "900.000000"}, {"exchange_index": 3, "balance": "100.000000"}]
    assert exchange.get("/portfolio/balance", exchange_index=3)["balance"] == 10_000

    def made(**more: Any) -> Any:
        return exchange.order(BOS, "bid", "0.1000", "1.00", **more)

    assert [made(exchange_index=i).status_code for i in (0, 3, -1)] == [404, 201, 201]
    order = made().json()["order_id"]
    for tail in ("", "?exchange_index=0", "?exchange_index=1"):
        assert exchange.call("DELETE", f"{ORDERS}/{order}{tail}").status_code == 404, tail
    assert exchange.call("DELETE", f"{ORDERS}/{order}?exchange_index=-1").status_code == 400
    wrong = exchange.call("DELETE", f"{ORDERS}/{order}?market_ticker={DET}")
    assert wrong.json()["error"]["code"] == "order_ticker_mismatch"
    assert exchange.call("POST", f"{ORDERS}/{order}/decrease", {"reduce_to": "0.50"}).status_code == 404
    less = exchange.call("POST", f"{ORDERS}/{order}/decrease", {"reduce_to": "0.50", "market_ticker": BOS})
    assert less.json()["remaining_count"] == "0.50"
    assert exchange.call("DELETE", f"{ORDERS}/{order}?market_ticker={BOS}").status_code == 200
    last = made().json()["order_id"]
    assert exchange.call("DELETE", f"{ORDERS}/{last}?exchange_index=3").status_code == 200
    before = exchange.get("/portfolio/balance")
    exchange.stop()
    after = start(shard=3).get("/portfolio/balance")
    assert after | {"updated_ts": 0} == before | {"updated_ts": 0}


def test_a_target_allocation_is_set_read_and_kept_over_a_restart(start: Callable[..., Exchange]) -> None:
    exchange = start()
    path = "/portfolio/target_balance_allocation"
    target = {"allocations": [{"exchange_index": 0, "percent": 25}, {"exchange_index": 3, "percent": 75}]}
    assert exchange.call("POST", path, target).json() == {}
    assert exchange.call("POST", path, {"allocations": [{"exchange_index": 0, "percent": 99}]}).status_code == 400
    exchange.stop()
    exchange = start()
    assert exchange.get(path) == target | {"resting_margin_reservation": "none"}
    assert exchange.get("/portfolio/balance", exchange_index=3)["balance_dollars"] == "750.000000"


def test_what_the_main_account_alone_cannot_do_is_refused(exchange: Exchange) -> None:
    assert exchange.call("GET", "/portfolio/positions?subaccount=7").status_code == 404
    assert exchange.order(BOS, "bid", "0.1000", "1.00", subaccount=7).status_code == 404
    netting = {"subaccount_number": 0, "enabled": False}
    assert exchange.call("PUT", "/portfolio/subaccounts/netting", netting).status_code == 200
    assert exchange.call("PUT", "/portfolio/subaccounts/netting", netting | {"enabled": True}).status_code == 400


# Tiers


def test_an_upgrade_needs_an_order_and_gives_fuller_buckets(start: Callable[..., Exchange]) -> None:
    exchange = start(tier="basic")
    assert exchange.call("POST", "/account/api_usage_level/upgrade").status_code == 403
    exchange.order(BOS, "bid", "0.1000", "1.00")
    assert exchange.call("POST", "/account/api_usage_level/upgrade").status_code == 201
    assert exchange.get("/account/limits")["usage_tier"] == "advanced"
    assert exchange.get("/account/limits")["write"] == {"refill_rate": 360, "bucket_capacity": 720}


def test_a_write_that_names_a_shard_has_that_shards_bucket(start: Callable[..., Exchange]) -> None:
    exchange = start(tier="basic")
    form = {"ticker": BOS, "side": "bid", "count": "1.00", "price": "0.1000"} | FORM
    assert exchange.call("POST", f"{ORDERS}/batched", {"orders": [form] * 12}).status_code == 201
    assert exchange.call("POST", ORDERS, form).status_code == 429
    assert exchange.call("POST", ORDERS, form | {"exchange_index": -1}).status_code == 429
    assert exchange.call("POST", ORDERS, form | {"exchange_index": 1}).status_code == 404


# Groups


def test_groups_over_rest_and_their_channel(exchange: Exchange) -> None:
    ws = exchange.socket()
    ws.send("subscribe", channels=["order_group_updates"])
    ws.until("subscribed")
    path = "/portfolio/order_groups"
    for body in ({}, {"contracts_limit": 5, "contracts_limit_fp": "6.00"}, {"contracts_limit": 0}):
        assert exchange.call("POST", f"{path}/create", body).status_code == 400
    made = exchange.call("POST", f"{path}/create", {"contracts_limit": 5, "contracts_limit_fp": "5.00"})
    group = made.json()["order_group_id"]
    order = exchange.order(BOS, "bid", "0.1000", "1.00", order_group_id=group).json()["order_id"]
    assert exchange.get(f"{path}/{group}")["orders"] == [order]
    assert exchange.get(f"/portfolio/orders/{order}")["order"]["order_group_id"] == group
    assert exchange.call("PUT", f"{path}/{group}/limit", {"contracts_limit_fp": "7.00"}).json() == {}
    exchange.order(BOS, "bid", "0.5800", "8.00", order_group_id=group)
    assert exchange.get(f"{path}/{group}")["orders"] == []
    refused = exchange.order(BOS, "bid", "0.1000", "1.00", order_group_id=group)
    assert refused.json()["error"]["code"] == "exceeded_order_group_risk_limit"
    for step in ("reset", "trigger"):
        assert exchange.call("PUT", f"{path}/{group}/{step}", {}).json() == {}
    assert exchange.call("DELETE", f"{path}/{group}").json() == {}
    assert exchange.call("GET", f"{path}/{group}").status_code == 404
    frames = [ws.next() for _ in range(6)]
    told = [(frame["msg"]["event_type"], frame["seq"]) for frame in frames]
    kinds = ["created", "limit_updated", "triggered", "reset", "triggered", "deleted"]
    assert told == [(kind, seq) for seq, kind in enumerate(kinds, 1)]
    assert frames[1]["msg"]["contracts_limit_fp"] == "7.00"


def test_groups_and_fees_outlive_a_kill(start: Callable[..., Exchange]) -> None:
    first = start()
    quote(first)
    change = {"id": "1", "series_ticker": SERIES, "event_ticker": EVENT, "fee_type": None, "fee_multiplier": 0.5}
    first.tell("change_fees", change | {"scheduled_ms": 0}, "now")
    path = "/portfolio/order_groups"
    group, gone = (first.call("POST", f"{path}/create", {"contracts_limit": 5}).json()["order_group_id"] for _ in "ab")
    order = first.order(BOS, "bid", "0.1000", "1.00", order_group_id=group).json()["order_id"]
    first.order(BOS, "bid", "0.5800", "4.00", order_group_id=group)
    first.call("DELETE", f"{path}/{gone}")
    first.kill()
    second = start()
    assert [one["id"] for one in second.get(path)["order_groups"]] == [group]
    assert second.get(f"{path}/{group}")["orders"] == [order]
    assert second.get(f"/events/{EVENT}")["event"]["fee_multiplier_override"] == 0.5
    quote(second)
    made = second.order(BOS, "bid", "0.5800", "2.00", order_group_id=group).json()
    assert (made["fill_count"], made["average_fee_paid"]) == ("2.00", "0.0086")
    assert second.get(f"{path}/{group}")["orders"] == [], "the window goes on over the kill"


# Pauses, lag, history


def test_a_halted_exchange_says_so_with_a_503_and_goes_on_by_itself(exchange: Exchange) -> None:
    resting = exchange.order(BOS, "bid", "0.1000", "1.00").json()["order_id"]
    exchange.own("/_paper/halt", {"halt": "trading", "seconds": 60})
    status = exchange.call("GET", "/exchange/status")
    assert (status.status_code, status.json()["trading_active"], status.json()["exchange_active"]) == (200, False, True)
    assert status.json()["exchange_estimated_resume_time"]
    assert exchange.order(BOS, "bid", "0.1000", "1.00").json()["error"]["code"] == "trading_paused"
    assert exchange.call("DELETE", f"{ORDERS}/{resting}").status_code == 200
    exchange.own("/_paper/halt", {"halt": "exchange", "seconds": 1})
    status = exchange.call("GET", "/exchange/status")
    assert (status.status_code, status.json()["exchange_active"]) == (503, False)
    assert exchange.order(BOS, "bid", "0.1000", "1.00").status_code == 503
    assert exchange.call("DELETE", ORDERS).status_code == 503
    until(lambda: exchange.call("GET", "/exchange/status").status_code == 200)
    assert exchange.order(BOS, "bid", "0.1000", "1.00").status_code == 201


def test_the_schedule_shows_the_weekly_pause_when_there_is_one(start: Callable[..., Exchange]) -> None:
    schedule = start(weekly_pause=True).get("/exchange/schedule")["schedule"]
    thursday = schedule["standard_hours"][0]["thursday"]
    assert [hours["open_time"] for hours in thursday] == ["00:00", "05:00"]
    assert len(schedule["maintenance_windows"]) == 1


def test_reads_lag_behind_writes_by_the_setting(start: Callable[..., Exchange]) -> None:
    exchange = start(read_lag_ms=1_000)
    order = exchange.order(BOS, "bid", "0.1000", "1.00").json()["order_id"]
    made = time.monotonic()
    assert exchange.call("GET", f"/portfolio/orders/{order}").status_code == 404
    assert exchange.get("/portfolio/orders")["orders"] == []
    until(lambda: exchange.call("GET", f"/portfolio/orders/{order}").status_code == 200)
    assert time.monotonic() - made > 0.9
    assert exchange.call("DELETE", f"{ORDERS}/{order}").status_code == 200
    assert exchange.get(f"/portfolio/orders/{order}")["order"]["status"] == "resting"
    assert exchange.call("DELETE", f"{ORDERS}/{order}").status_code == 404
    seen = lambda: exchange.get(f"/portfolio/orders/{order}")["order"]["status"] == "canceled"  # noqa: E731
    until(seen)


def test_what_is_old_moves_to_the_historical_tier(start: Callable[..., Exchange]) -> None:
    exchange = start(archive_after_ms=1_500)
    quote(exchange)
    order = exchange.order(BOS, "bid", "0.5800", "10.00").json()["order_id"]
    exchange.order(BOS, "bid", "0.1000", "1.00")
    assert exchange.get("/historical/fills")["fills"] == []
    until(lambda: exchange.get("/historical/fills")["fills"])
    assert exchange.get("/portfolio/fills")["fills"] == []
    assert [o["order_id"] for o in exchange.get("/historical/orders")["orders"]] == [order]
    assert exchange.call("GET", f"/portfolio/orders/{order}").status_code == 404
    assert [o["status"] for o in exchange.get("/portfolio/orders")["orders"]] == ["resting"]
    assert exchange.get("/historical/trades")["trades"] and not exchange.get("/markets/trades")["trades"]
    assert exchange.get("/historical/positions")["market_positions"] == []
    now = int(time.time() * 1000)
    exchange.tell("set_close", BOS, now - 1, now)
    exchange.tell("determine", BOS, "scalar", now, 5000)
    until(lambda: exchange.get("/portfolio/settlements")["settlements"])
    record = exchange.get("/portfolio/settlements")["settlements"][0]
    assert (record["market_result"], record["value"], record["revenue"]) == ("scalar", 50, 500)
    until(lambda: exchange.get("/historical/markets", tickers=BOS)["markets"])
    assert exchange.get(f"/historical/markets/{BOS}")["market"]["status"] == "finalized"
    assert exchange.call("GET", f"/markets/{BOS}").status_code == 404
    assert exchange.get("/historical/positions")["market_positions"][0]["ticker"] == BOS
    assert exchange.get("/portfolio/positions", settlement_status="all")["market_positions"] == []
    rows = exchange.get(f"/historical/markets/{BOS}/candlesticks?{span(1)}")["candlesticks"]
    assert sum(float(row["volume"]) for row in rows) == 10
    assert exchange.call("GET", f"/historical/markets/{DET}").status_code == 404


def test_a_balance_may_be_short_of_what_is_bound(start: Callable[..., Exchange]) -> None:
    exchange = start(rules={"balance_less_resting": True})
    exchange.order(BOS, "bid", "0.5000", "100.00")
    bound = exchange.get("/portfolio/summary/total_resting_order_value")["total_resting_order_value"]
    assert 5_000 < bound < 5_100
    assert exchange.get("/portfolio/balance")["balance"] in (100_000 - bound - 1, 100_000 - bound)


# Life cycle on the stream


def test_live_changes_of_a_market_are_told_and_shown(exchange: Exchange) -> None:
    ws = exchange.socket()
    ws.send("subscribe", channels=["market_lifecycle_v2", "multivariate_market_lifecycle"])
    ws.until("subscribed")
    ws.until("subscribed")
    exchange.tell("set_grid", BOS, "deci_cent", [[0, 10_000, 10]], "now")
    frame = ws.next()
    assert frame["msg"]["price_ranges"] == [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}]
    assert exchange.get(f"/markets/{BOS}")["market"]["price_level_structure"] == "deci_cent"
    assert exchange.order(BOS, "bid", "0.1010", "1.00").status_code == 201
    exchange.tell("set_strike", BOS, 5.5, "Boston by 6", "now")
    assert ws.next()["msg"]["floor_strike"] == 5.5
    change = {"id": "1", "series_ticker": SERIES, "event_ticker": EVENT, "fee_type": "quadratic", "fee_multiplier": 0.0}
    exchange.tell("change_fees", change | {"scheduled_ms": 0}, "now")
    assert ws.next()["msg"] == {"event_ticker": EVENT, "fee_type_override": "quadratic", "fee_multiplier_override": 0.0}
    assert exchange.order(BOS, "bid", "0.5800", "1.00").json()["average_fee_paid"] == "0.0000"
    assert exchange.get(f"/events/{EVENT}")["event"]["fee_multiplier_override"] == 0.0
    exchange.tell("set_close", DET, 0, "now")
    assert ws.next()["msg"]["event_type"] == "close_date_updated"
    exchange.tell("determine", DET, "no", "now")
    assert ws.next()["msg"]["event_type"] == "determined"
    assert ws.until("market_lifecycle_v2")["msg"]["event_type"] == "settled"
