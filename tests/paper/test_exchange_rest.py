"""The paper exchange's REST side as a real process: auth, reads, orders, errors, limits (kalshi-api.md)."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from paper_client import Exchange, until
from still_exchange import BOS, DET, EVENT
from wire_schema import check_answer

ORDERS = "/portfolio/events/orders"


@pytest.fixture
def market(still: Exchange) -> Exchange:
    """BOS with 0.55 x 120 bid and 0.58 x 300.50 asked by the crowd, and nothing else."""
    still.call("DELETE", ORDERS)
    still.tell("set_level", BOS, "bid", 5500, 12_000, "now")
    still.tell("set_level", BOS, "ask", 5800, 30_050, "now")
    want = {"yes_dollars": [["0.5500", "120.00"]], "no_dollars": [["0.4200", "300.50"]]}
    until(lambda: still.get(f"/markets/{BOS}/orderbook")["orderbook_fp"] == want)
    return still


def test_requests_are_let_in_by_signature_only(still: Exchange) -> None:
    path = "/trade-api/v2/portfolio/balance"
    good = still.headers("GET", path)
    cases: list[tuple[dict[str, str], dict[str, str]]] = [
        (
            still.headers("POST", path),
            {
                "code": "authentication_error",
                "message": "authentication_error",
                "details": "INCORRECT_API_KEY_SIGNATURE",
            },
        ),
        (still.headers("GET", path, salt=64), {"details": "INCORRECT_API_KEY_SIGNATURE"}),
        (good | {"KALSHI-ACCESS-SIGNATURE": "not base64!"}, {"details": "INCORRECT_API_KEY_SIGNATURE"}),
        (good | {"KALSHI-ACCESS-KEY": str(uuid.uuid4())}, {"details": "NOT_FOUND"}),
        (
            still.headers("GET", path, skew_ms=-30_000),
            {"code": "header_timestamp_expired", "message": "header timestamp expired"},
        ),
        (still.headers("GET", path, skew_ms=30_000), {"code": "header_timestamp_expired"}),
        ({}, {"code": "signature_is_missing_from_headers"}),
    ]
    for headers, expected in cases:
        answer = still.session.get(still.ready["rest"] + "/portfolio/balance", headers=headers, timeout=10)
        assert answer.status_code == 401
        assert expected.items() <= answer.json()["error"].items()
    assert still.call("GET", "/portfolio/balance?subaccount=0", skew_ms=5000).status_code == 200
    assert still.session.get(still.ready["rest"] + "/markets", timeout=10).status_code == 200


def test_every_answer_has_the_documented_form(market: Exchange) -> None:
    filled = market.order(DET, "bid", "0.4500", "5.00", client_order_id=str(uuid.uuid4())).json()
    market.order(BOS, "bid", "0.5800", "10.00")
    reads = {
        "/exchange/status": "",
        "/exchange/schedule": "",
        "/exchange/user_data_timestamp": "",
        "/series": "?category=Sports",
        "/series/{series_ticker}": "/series/KXNBAGAME",
        "/events": "?with_nested_markets=true&with_milestones=true&status=open&series_ticker=KXNBAGAME",
        "/events/{event_ticker}": f"/events/{EVENT}?with_nested_markets=true",
        "/markets": "?mve_filter=exclude",
        "/markets/{ticker}": f"/markets/{BOS}",
        "/markets/{ticker}/orderbook": f"/markets/{BOS}/orderbook?depth=5",
        "/markets/orderbooks": f"?tickers={BOS}&tickers={DET}",
        "/markets/trades": f"?ticker={BOS}",
        "/milestones": "?limit=100",
        "/milestones/{milestone_id}": "/milestones/m-1",
        "/structured_targets": "?ids=t-bos",
        "/structured_targets/{structured_target_id}": "/structured_targets/t-bos",
        "/account/limits": "",
        "/account/endpoint_costs": "",
        "/portfolio/balance": "",
        "/portfolio/positions": "?settlement_status=all",
        "/portfolio/fills": f"?ticker={BOS}",
        "/portfolio/settlements": "",
        "/portfolio/orders": "",
        "/portfolio/orders/{order_id}": f"/portfolio/orders/{filled['order_id']}",
    }
    for path, actual in reads.items():
        body = market.get(actual if actual.startswith("/") else path + actual)
        check_answer(f"GET {path}", 200, body)
        assert all(value != [] for name, value in body.items() if name not in ("settlements", "grants")), path


def test_reads_filter_and_page(market: Exchange) -> None:
    first = market.get("/markets", limit=1)
    second = market.get("/markets", limit=1, cursor=first["cursor"])
    assert [first["markets"][0]["ticker"], second["markets"][0]["ticker"]] == [BOS, DET] and second["cursor"] == ""
    assert [m["ticker"] for m in market.get("/markets", tickers=f"{DET},X")["markets"]] == [DET]
    assert market.get("/markets", status="closed")["markets"] == []
    assert market.get("/markets", limit=1, cursor="garbage!")["markets"] == first["markets"]
    shown = first["markets"][0]
    assert (shown["yes_bid_dollars"], shown["yes_ask_dollars"], shown["no_bid_dollars"], shown["no_ask_dollars"]) == (
        "0.5500",
        "0.5800",
        "0.4200",
        "0.4500",
    )


def test_an_order_goes_from_create_to_fill_position_and_cash(market: Exchange) -> None:
    before = market.ledger()
    made = market.order(BOS, "bid", "0.6000", "10.00", client_order_id="fill-" + str(uuid.uuid4()))
    check_answer(f"POST {ORDERS}", 201, made.json())
    assert made.status_code == 201
    assert (made.json()["fill_count"], made.json()["remaining_count"]) == ("10.00", "0.00")
    assert (made.json()["average_fill_price"], made.json()["average_fee_paid"]) == ("0.5800", "0.0171")
    order = market.get(f"/portfolio/orders/{made.json()['order_id']}")["order"]
    assert (order["status"], order["yes_price_dollars"], order["taker_fill_cost_dollars"]) == (
        "executed",
        "0.6000",
        "5.800000",
    )
    fill = market.get("/portfolio/fills", order_id=order["order_id"])["fills"][0]
    assert (fill["fee_cost"], fill["is_taker"], fill["yes_price_dollars"]) == ("0.170600", True, "0.5800")
    paid = float(before["cash"]) - float(market.ledger()["cash"])
    assert paid == pytest.approx(5.9706)
    assert market.get("/portfolio/balance")["balance_dollars"] == market.ledger()["cash"]


def test_resting_amending_decreasing_cancelling(market: Exchange) -> None:
    cid = str(uuid.uuid4())
    order_id = market.order(BOS, "ask", "0.7000", "10.00", client_order_id=cid).json()["order_id"]
    assert ["0.3000", "10.00"] in market.get(f"/markets/{BOS}/orderbook")["orderbook_fp"]["no_dollars"]
    change = {"ticker": BOS, "side": "ask", "price": "0.6900", "count": "12.00", "client_order_id": cid}
    amended = market.call("POST", f"{ORDERS}/{order_id}/amend", change)
    check_answer(f"POST {ORDERS}/{{order_id}}/amend", 200, amended.json())
    assert amended.json()["remaining_count"] == "12.00"
    less = market.call("POST", f"{ORDERS}/{order_id}/decrease", {"reduce_by": "2.00"})
    check_answer(f"POST {ORDERS}/{{order_id}}/decrease", 200, less.json())
    assert less.json()["remaining_count"] == "10.00"
    gone = market.call("DELETE", f"{ORDERS}/{order_id}?market_ticker={BOS}")
    check_answer(f"DELETE {ORDERS}/{{order_id}}", 200, gone.json())
    assert (gone.status_code, gone.json()["reduced_by"], gone.json()["order_id"]) == (200, "10.00", order_id)
    again = market.call("DELETE", f"{ORDERS}/{order_id}")
    assert (again.status_code, again.json()) == (404, {"error": {"code": "not_found", "message": "not found"}})
    assert market.get(f"/portfolio/orders/{order_id}")["order"]["status"] == "canceled"


def test_batches_answer_in_order_and_one_refusal_stops_nobody(market: Exchange) -> None:
    form = {
        "ticker": BOS,
        "side": "bid",
        "count": "1.00",
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "maker",
    }
    made = market.call(
        "POST", f"{ORDERS}/batched", {"orders": [form | {"price": p} for p in ("0.1000", "0.1050", "0.1100")]}
    )
    check_answer(f"POST {ORDERS}/batched", 201, made.json())
    good, bad, other = made.json()["orders"]
    assert made.status_code == 201 and bad["error"]["code"] == "invalid_price"
    gone = market.call(
        "DELETE", f"{ORDERS}/batched", {"orders": [{"order_id": i} for i in (good["order_id"], "x", other["order_id"])]}
    )
    check_answer(f"DELETE {ORDERS}/batched", 200, gone.json())
    assert [row["reduced_by"] for row in gone.json()["orders"]] == ["1.00", "0.00", "1.00"]
    for price in ("0.1000", "0.1100"):
        market.order(BOS, "bid", price, "1.00")
    swept = market.call("DELETE", ORDERS)
    assert (swept.status_code, swept.content) == (204, b"")
    assert market.get("/portfolio/orders", status="resting")["orders"] == []


BAD: list[tuple[dict[str, Any], int, str]] = [
    ({"price": "0.5550"}, 400, "invalid_price"),
    ({"price": "1.0000"}, 400, "invalid_price"),
    ({"price": "0.55001"}, 400, "invalid_price"),
    ({"price": "abc"}, 400, "invalid_price"),
    ({"count": "0.00"}, 400, "invalid_order_size"),
    ({"count": "-1.00"}, 400, "invalid_order_size"),
    ({"count": "1.001"}, 400, "invalid_order_size"),
    ({"ticker": "NOPE"}, 404, "not_found"),
    ({"count": "100000.00"}, 400, "insufficient_balance"),
    ({"price": "0.5800", "post_only": True}, 400, "invalid_order"),
    ({"reduce_only": True}, 400, "invalid_order"),
    ({"expiration_time": 5}, 400, "invalid_order"),
    (
        {"price": "0.5800", "count": "301.00", "time_in_force": "fill_or_kill"},
        409,
        "fill_or_kill_insufficient_resting_volume",
    ),
]


@pytest.mark.parametrize(("change", "status", "code"), BAD)
def test_bad_orders_are_refused_with_their_code(
    market: Exchange, change: dict[str, Any], status: int, code: str
) -> None:
    form = {"ticker": BOS, "side": "bid", "price": "0.5000", "count": "1.00"} | change
    before = market.ledger()
    answer = market.order(**form)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert market.ledger() == before


@pytest.mark.parametrize(
    "change",
    [{"price": 0.5}, {"count": 1}, {"side": "yes"}, {"time_in_force": "GTT"}, {"self_trade_prevention_type": "x"}],
)
def test_wrong_json_types_get_the_flat_body(market: Exchange, change: dict[str, Any]) -> None:
    answer = market.order(**({"ticker": BOS, "side": "bid", "price": "0.5000", "count": "1.00"} | change))
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_a_client_id_is_good_once(market: Exchange) -> None:
    cid = str(uuid.uuid4())
    made = market.order(BOS, "bid", "0.1000", "1.00", client_order_id=cid)
    assert made.json()["client_order_id"] == cid
    market.call("DELETE", f"{ORDERS}/{made.json()['order_id']}")
    again = market.order(BOS, "bid", "0.1000", "1.00", client_order_id=cid)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "order_already_exists")


def test_other_errors_have_their_shapes(market: Exchange) -> None:
    assert market.call("GET", "/markets?limit=1001").json() == {
        "msg": "Parameter validation failed for GetMarkets: Key: 'GetMarketsParams.Limit' "
        "Error:Field validation for 'Limit' failed on the 'lte' tag"
    }
    assert market.call("GET", "/milestones").status_code == 400
    assert market.call("GET", "/markets/NOPE").status_code == 404
    assert market.call("POST", "/portfolio/orders", {}).json()["error"]["code"] == "endpoint_removed"
    moved = market.session.get(market.ready["rest"] + "/markets/", allow_redirects=False, timeout=10)
    assert (moved.status_code, moved.headers["Location"]) == (301, "/trade-api/v2/markets")
    broken = market.session.post(
        market.ready["rest"] + ORDERS,
        data=b'{"ticker":',
        headers=market.headers("POST", "/trade-api/v2" + ORDERS),
        timeout=10,
    )
    assert (broken.status_code, broken.json()["code"]) == (400, "bad_request")


def test_an_empty_bucket_answers_429_and_places_nothing(start: Callable[..., Exchange]) -> None:
    exchange = start(tier="basic")
    limits = exchange.get("/account/limits")
    assert limits["write"] == {"refill_rate": 120, "bucket_capacity": 120}
    form = {
        "ticker": BOS,
        "side": "bid",
        "count": "1.00",
        "price": "0.1000",
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "maker",
    }
    answer = exchange.call("POST", f"{ORDERS}/batched", {"orders": [form] * 13})
    assert (answer.status_code, answer.json()) == (429, {"error": "too many requests"})
    assert not {"retry-after", "x-ratelimit-remaining"} & {name.lower() for name in answer.headers}
    assert exchange.ledger()["orders"] == {}
    assert exchange.call("POST", f"{ORDERS}/batched", {"orders": [form] * 12}).status_code == 201


def test_faults_strike_as_planned(start: Callable[..., Exchange]) -> None:
    exchange = start()

    def plan(kind: str, at: str = "create") -> None:
        url = exchange.ready["odds"] + "/_paper/faults"
        body = [{"at": at, "kind": kind, "every": 1, "times": 1}]
        assert exchange.session.post(url, json=body, timeout=10).status_code == 204

    def orders() -> int:
        return len(exchange.ledger()["orders"])

    for kind, placed in (("lost_reply_before", 0), ("lost_reply_after", 1), ("reset", 1)):
        plan(kind)
        with pytest.raises(OSError):
            exchange.order(BOS, "bid", "0.1000", "1.00")
        assert orders() == placed
    for kind, status in (("http_500", 500), ("http_429", 429)):
        plan(kind)
        assert exchange.order(BOS, "bid", "0.1000", "1.00").status_code == status
    plan("http_500", at="read")
    assert exchange.call("GET", "/portfolio/balance").status_code == 500
    assert exchange.order(BOS, "bid", "0.1000", "1.00").status_code == 201
    assert orders() == 2
