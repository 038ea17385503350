"""Drives every call a trading bot uses with the official SDK, unchanged, against a running exchange.

Run by test_official_sdk.py under a Python that the SDK installs on: `python drive_sdk.py READY MODE`, where READY is
the exchange's ready line and MODE `quick` or `all`. Every reply must be of the type the SDK promises (its models
check each field); a call that the SDK offers and this script neither makes nor names as left out fails it.
"""

import inspect
import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kalshi_python_sync as sdk
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

LEFT_OUT = {
    # Requests for quotes, block trades, futures commission merchants, combos, promotions, forecasts, live scores and
    # further subaccounts: no bot of ours uses them (kalshi-api.md section 4.15).
    "CommunicationsApi",
    "FcmApi",
    "IncentiveProgramsApi",
    "LiveDataApi",
    "create_market_in_multivariate_event_collection",
    "get_multivariate_event_collection",
    "get_event_forecast_percentiles_history",
    "apply_subaccount_transfer",
    "create_subaccount",
}
FORM = {"time_in_force": "good_till_canceled", "self_trade_prevention_type": "taker_at_cross"}


class Venue:
    """The SDK's client; remembers what was called and checks the type of each reply."""

    def __init__(self, host: str, key_id: str, pem: str) -> None:
        configuration = sdk.Configuration(host=host)
        configuration.api_key_id = key_id
        configuration.private_key_pem = pem
        self.client = sdk.KalshiClient(configuration)
        self.called: dict[str, int] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)
        promised = inspect.signature(method).return_annotation

        def call(*arguments: Any, **named: Any) -> Any:
            reply = method(*arguments, **named)
            self.called[name] = self.called.get(name, 0) + 1
            if promised is None:
                assert reply is None, f"{name} gave {reply!r}"
            else:
                assert isinstance(reply, promised), f"{name} gave {type(reply)}, not {promised}"
            return reply

        return call

    def not_called(self) -> set[str]:
        """Methods of the SDK's API classes that were neither called nor left out."""
        offered = set()
        for kind in (value for name, value in vars(sdk).items() if name.endswith("Api") and name not in LEFT_OUT):
            for name, method in vars(kind).items():
                whole = not name.endswith(("_with_http_info", "_without_preload_content"))
                if inspect.isfunction(method) and not name.startswith("_") and whole:
                    offered.add(name)
        return offered - self.called.keys() - LEFT_OUT


def refused(status: int, call: Callable[[], Any]) -> str:
    """The body of a call that must be refused."""
    try:
        call()
    except sdk.ApiException as refusal:
        assert refusal.status == status, (refusal.status, refusal.body)
        return str(refusal.body)
    raise AssertionError(f"not refused with {status}")


def until(check: Callable[[], Any], seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.1)
    return value


def exchange_and_markets(venue: Venue) -> Any:
    """The public reads; returns an open market with both sides quoted."""
    status = venue.get_exchange_status()
    assert status.exchange_active and status.exchange_index_statuses
    assert venue.get_exchange_schedule().schedule.standard_hours
    assert venue.get_user_data_timestamp().as_of_time
    series = venue.get_series_list(category="Sports").series[0]
    assert venue.get_series(series.ticker).series.ticker == series.ticker
    venue.get_series_fee_changes(show_historical=True)
    events = venue.get_events(status="open", with_nested_markets=True, with_milestones=True, limit=200)
    assert events.events and events.events[0].markets and events.milestones
    event = events.events[0]
    assert venue.get_event(event.event_ticker, with_nested_markets=True).event.title == event.title
    assert venue.get_event_metadata(event.event_ticker).market_details
    venue.get_event_fee_changes()
    assert venue.get_multivariate_events().events == []
    venue.get_multivariate_event_collections()
    first = venue.get_markets(limit=10, status="open", mve_filter="exclude")
    second = venue.get_markets(limit=10, status="open", mve_filter="exclude", cursor=first.cursor)
    assert first.markets and second.markets
    if any(m.ticker == first.markets[-1].ticker for m in venue.get_markets(limit=1000, status="open").markets):
        assert {m.ticker for m in first.markets}.isdisjoint(m.ticker for m in second.markets)

    def quoted() -> list[Any]:
        found = venue.get_markets(limit=1000, status="open").markets
        return [m for m in found if float(m.yes_bid_size_fp) and float(m.yes_ask_size_fp)]

    market = max(until(quoted), key=lambda m: m.expected_expiration_time)
    assert venue.get_market(market.ticker).market.ticker == market.ticker
    book = venue.get_market_orderbook(market.ticker, depth=5).orderbook_fp
    assert book.yes_dollars or book.no_dollars
    both = [market.ticker, first.markets[0].ticker]
    assert [one.ticker for one in venue.get_market_orderbooks(both).orderbooks] == both
    milestone = venue.get_milestones(limit=100).milestones[0]
    assert venue.get_milestone(milestone.id).milestone.title == milestone.title
    target = venue.get_structured_targets(page_size=10).structured_targets[0]
    assert venue.get_structured_target(target.id).structured_target.name == target.name
    assert venue.get_filters_for_sports().sport_ordering
    assert venue.get_tags_for_series_categories().tags_by_categories
    return market


def trading(venue: Venue, market: Any) -> str:
    """Orders of every kind and what the account shows of them; returns the id of an executed order."""
    ticker, cid = market.ticker, str(uuid.uuid4())
    made = venue.create_order_v2(
        ticker=ticker, side="bid", count="5.00", price="0.0100", client_order_id=cid, post_only=True, **FORM
    )
    assert made.remaining_count == "5.00" and made.client_order_id == cid
    again = {"ticker": ticker, "side": "bid", "count": "5.00", "price": "0.0100", "client_order_id": cid} | FORM
    assert "order_already_exists" in refused(409, lambda: venue.create_order_v2(**again))
    assert venue.get_order(made.order_id).order.status == "resting"
    assert float(venue.get_order_queue_position(made.order_id).queue_position_fp) >= 0
    assert venue.get_order_queue_positions(market_tickers=ticker).queue_positions
    amended = venue.amend_order_v2(made.order_id, ticker=ticker, side="bid", price="0.0100", count="4.00")
    assert amended.remaining_count == "4.00"
    assert venue.decrease_order_v2(made.order_id, reduce_by="1.00").remaining_count == "3.00"
    assert venue.cancel_order_v2(made.order_id, market_ticker=ticker).reduced_by == "3.00"
    assert "not_found" in refused(404, lambda: venue.cancel_order_v2(made.order_id))
    assert venue.get_order(made.order_id).order.status == "canceled"

    now = {"time_in_force": "immediate_or_cancel", "self_trade_prevention_type": "maker"}

    def buy() -> Any:
        made = venue.create_order_v2(ticker=ticker, side="bid", count="3.00", price="0.9900", **now)
        return made if float(made.fill_count) else None

    def sell() -> bool:
        venue.create_order_v2(ticker=ticker, side="ask", count="9.00", price="0.0100", reduce_only=True, **now)
        held = venue.get_positions(ticker=ticker, settlement_status="all").market_positions
        return bool(held[0].position_fp == "0.00")

    taken = until(buy)
    assert taken.average_fill_price and taken.average_fee_paid
    fill = venue.get_fills(order_id=taken.order_id).fills[0]
    assert fill.is_taker and fill.book_side == "bid"
    assert venue.get_positions(ticker=ticker).market_positions[0].position_fp == taken.fill_count
    until(sell)
    refused(400, lambda: venue.create_order_v2(ticker=ticker, side="bid", count="1.00", price="0.5555", **FORM))
    whole = {"time_in_force": "fill_or_kill", "self_trade_prevention_type": "maker"}
    much = {"ticker": ticker, "side": "bid", "count": "100.00", "price": "0.0100"} | whole
    assert "insufficient_resting_volume" in refused(409, lambda: venue.create_order_v2(**much))

    orders = [{"ticker": ticker, "side": "bid", "count": "1.00", "price": p} | FORM for p in ("0.0100", "0.0101")]
    batch = venue.batch_create_orders_v2(orders=orders).orders
    assert batch[0].order_id and batch[1].error.code == "invalid_price"
    gone = venue.batch_cancel_orders_v2(orders=[{"order_id": batch[0].order_id}, {"order_id": "nobody's"}]).orders
    assert [one.reduced_by for one in gone] == ["1.00", "0.00"]
    venue.create_order_v2(ticker=ticker, side="bid", count="1.00", price="0.0100", expiration_time=2**31, **FORM)
    venue.cancel_all_orders()
    assert venue.get_orders(status="resting").orders == []
    assert len(venue.get_orders(limit=1000).orders) >= 5
    assert any(trade.ticker == ticker for trade in venue.get_trades(ticker=ticker).trades)
    assert venue.get_balance().balance_breakdown[0].balance
    return str(taken.order_id)


def groups(venue: Venue, market: Any) -> None:
    group = venue.create_order_group(contracts_limit=10).order_group_id
    order = {"ticker": market.ticker, "side": "bid", "count": "1.00", "price": "0.0100", "order_group_id": group} | FORM
    made = venue.create_order_v2(**order)
    assert venue.get_order_group(group).orders == [made.order_id]
    assert venue.get_order_groups().order_groups[0].id == group
    venue.update_order_group_limit(group, contracts_limit_fp="20.00")
    venue.trigger_order_group(group)
    assert venue.get_order_group(group).orders == []
    refused(400, lambda: venue.create_order_v2(**order))
    venue.reset_order_group(group)
    venue.create_order_v2(**order)
    venue.delete_order_group(group)
    assert venue.get_order(made.order_id).order.status == "canceled"


def account(venue: Venue, host: str) -> None:
    limits = venue.get_account_api_limits()
    assert limits.read.refill_rate and venue.get_account_endpoint_costs().endpoint_costs
    venue.get_account_api_usage_level_volume_progress()
    venue.upgrade_account_api_usage_level()
    for name, scopes in (("reader", ["read"]), ("trader", ["read", "write::trade"])):
        for kind in ("rsa", "ed25519"):
            made = venue.generate_api_key(name=name, key_type=kind, scopes=scopes)
            other = Venue(host, made.api_key_id, made.private_key)
            assert other.get_balance().balance_dollars
            if name == "reader":
                refused(403, other.cancel_all_orders)
            else:
                other.cancel_all_orders()
                refused(403, lambda other=other: other.delete_api_key("any"))
            venue.delete_api_key(made.api_key_id)
            assert "NOT_FOUND" in refused(401, other.get_balance)
    assert [key.scopes for key in venue.get_api_keys().api_keys] == [["read", "write"]]
    refused(400, lambda: venue.create_api_key(name="own", public_key="no key"))
    own = ed25519.Ed25519PrivateKey.generate()
    public = own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    private = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    key_id = venue.create_api_key(name="own", public_key=public, scopes=["read::portfolio_balance"]).api_key_id
    assert Venue(host, key_id, private).get_balance().balance_dollars
    refused(403, Venue(host, key_id, private).get_orders)
    venue.delete_api_key(key_id)

    moved = {"source": "event_contract", "destination": "event_contract", "amount": 1_000_000}
    name = str(uuid.uuid4())
    done = venue.intra_exchange_instance_transfer(**moved, destination_exchange_shard=3, client_transfer_id=name)
    assert venue.get_intra_exchange_instance_transfer(done.transfer_id).transfer.amount == "100.000000"
    assert venue.get_intra_exchange_instance_transfers().transfers[0].transfer_id == done.transfer_id
    shards = {one.exchange_index: one.balance for one in venue.get_balance().balance_breakdown}
    assert shards[3] == "100.000000" and venue.get_balance(exchange_index=3).balance == 10_000
    venue.set_target_balance_allocation(
        allocations=[{"exchange_index": 0, "percent": 100}], resting_margin_reservation="sum"
    )
    assert venue.get_target_balance_allocation().allocations[0].percent == 100
    assert venue.get_balance(exchange_index=3).balance == 0
    assert venue.get_subaccount_balances().subaccount_balances
    assert venue.get_subaccount_netting().netting_configs
    venue.update_subaccount_netting(subaccount_number=0, enabled=False)
    venue.get_subaccount_transfers()
    venue.get_deposits()
    venue.get_withdrawals()
    assert venue.get_portfolio_resting_order_total_value().total_resting_order_value == 0


def looking_back(venue: Venue, market: Any) -> None:
    now = int(time.time())
    span = {"start_ts": now - 3600, "end_ts": now + 86_400}
    series = venue.get_event(market.event_ticker).event.series_ticker
    for every in (1, 60, 1440):
        found = venue.get_market_candlesticks(series, market.ticker, **span, period_interval=every).candlesticks
        assert found and found[-1].yes_bid.close_dollars
    venue.batch_get_market_candlesticks(market_tickers=market.ticker, **span, period_interval=1)
    assert venue.get_market_candlesticks_by_event(market.event_ticker, series, **span, period_interval=60)
    assert venue.get_historical_cutoff().market_settled_ts
    venue.get_trades_historical()
    venue.get_fills_historical()
    venue.get_historical_orders()
    venue.get_historical_positions()


def settlement(venue: Venue) -> None:
    """Hold a market that ends soon until it has been paid and has moved to the historical tier."""

    def soonest() -> Any:
        found = venue.get_markets(limit=1000, status="open", series_ticker="KXBTC15M").markets
        return next((m for m in found if float(m.yes_ask_size_fp)), None)

    market = until(soonest)
    venue.create_order_v2(
        ticker=market.ticker,
        side="bid",
        count="1.00",
        price="0.9900",
        time_in_force="immediate_or_cancel",
        self_trade_prevention_type="maker",
    )
    record = until(lambda: venue.get_settlements(ticker=market.ticker).settlements, 60)[0]
    assert record.market_result in ("yes", "no") and record.revenue in (0, 100)
    assert venue.get_positions(ticker=market.ticker).market_positions == []
    old = until(lambda: venue.get_historical_markets(tickers=market.ticker).markets, 60)[0]
    assert venue.get_historical_market(old.ticker).market.status == "finalized"
    now = int(time.time())
    candles = venue.get_market_candlesticks_historical(
        old.ticker, start_ts=now - 3600, end_ts=now + 60, period_interval=1
    ).candlesticks
    assert candles and candles[-1].price.model_dump()


def tombstones(venue: Venue, host: str) -> None:
    """The writes of V1 answer that they are gone; the SDK of today has no methods for them any more."""
    path = "/portfolio/orders"
    for method, tail in (
        ("POST", ""),
        ("DELETE", "/x"),
        ("POST", "/x/amend"),
        ("POST", "/x/decrease"),
        ("POST", "/batched"),
        ("DELETE", "/batched"),
    ):
        signed = venue.client.kalshi_auth.create_auth_headers(method, f"/trade-api/v2{path}{tail}")
        request = urllib.request.Request(
            host + path + tail, b"{}", signed | {"Content-Type": "application/json"}, method=method
        )
        try:
            urllib.request.urlopen(request, timeout=10)
        except urllib.error.HTTPError as gone:
            assert gone.code == 410 and "/portfolio/events/orders" in gone.read().decode()
        else:
            raise AssertionError(f"{method} {path}{tail} is not refused")


def main(ready: dict[str, str], mode: str) -> None:
    venue = Venue(ready["rest"], ready["key_id"], Path(ready["private_key_path"]).read_text())
    market = exchange_and_markets(venue)
    trading(venue, market)
    tombstones(venue, ready["rest"])
    if mode == "all":
        groups(venue, market)
        account(venue, ready["rest"])
        looking_back(venue, market)
        settlement(venue)
        assert not venue.not_called(), f"the SDK offers more: {sorted(venue.not_called())}"
    print(json.dumps({"methods": len(venue.called), "calls": sum(venue.called.values())}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2])
