"""Reads give complete, exact listings or an error that says what kind of failure it was."""

import gzip
import json
import socket
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from loopback import Answers, Loopback, read_request, reply

from bot.core.grid import CENT_GRID
from bot.kalshi import wire
from bot.kalshi.rest import KalshiReads, ReadFailed
from bot.kalshi.series import SeriesReply, WireSeries
from bot.kalshi.sign import Signer

SIGNER = Signer("key-1", generate_private_key(65537, 2048))


def unpacked(path):
    return gzip.decompress(path.read_bytes())


def body(**fields):
    return reply(200, json.dumps(fields).encode())


def reading(script, call, **more):
    lines = []
    with Loopback(script) as server:
        reads = KalshiReads(server.url, SIGNER, log=lines.append, sleep=lambda seconds: None, **more)
        try:
            return call(reads), lines
        finally:
            reads.close()


class Exchange:
    """Answers by path and query: {path: function of the query -> reply bytes}."""

    def __init__(self, **paths):
        self.paths = paths
        self.targets = []

    def __call__(self, connection, number):
        while True:
            line, _, _ = read_request(connection)
            if not line:
                return
            target = urlsplit(line.split()[1])
            query = parse_qs(target.query)
            path = target.path.removeprefix("/trade-api/v2")
            self.targets.append((path, query))
            answer = self.paths.get(path)
            connection.sendall(answer(query) if answer else reply(404, b'{"error":{"code":"not_found"}}'))


MARKET = {
    "ticker": "KXA-1-BOS",
    "event_ticker": "KXA-1",
    "status": "active",
    "title": "Boston wins",
    "yes_sub_title": "Boston",
    "open_time": "2026-11-14T16:00:00Z",
    "close_time": "2026-12-06T00:30:00Z",
    "expected_expiration_time": "2026-11-22T03:30:00.25Z",
    "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
    "yes_bid_dollars": "0.5600",
    "yes_ask_dollars": "0.5800",
    "yes_bid_size_fp": "40.00",
    "yes_ask_size_fp": "300.50",
    "volume_24h_fp": "9120.00",
    "exchange_index": 3,
    "field_of_the_future": {"x": [1]},
}
EVENT = {
    "event_ticker": "KXA-1",
    "series_ticker": "KXA",
    "title": "Boston at Detroit",
    "category": "Sports",
    "mutually_exclusive": True,
    "markets": [MARKET],
}
SERIES = {"ticker": "KXA", "fee_type": "quadratic", "fee_multiplier": 0.5, "category": "Sports"}
MILESTONE = {"start_date": "2026-11-22T00:30:00Z", "primary_event_tickers": ["KXA-1"]}


def listing(event=EVENT, milestones=(MILESTONE,)):
    return Exchange(
        **{
            "/events": lambda query: body(events=[event], milestones=list(milestones), cursor=""),
            "/series": lambda query: body(series=[SERIES]),
        }
    )


def test_open_markets_join_event_series_and_milestone():
    exchange = listing()
    ((market, quote),), _ = reading(exchange, lambda reads: reads.open_markets())
    assert (market.ticker, market.series_ticker, market.title, market.yes_title) == (
        "KXA-1-BOS",
        "KXA",
        "Boston wins",
        "Boston",
    )
    assert (market.category, market.exclusive, market.exchange_index, market.fee_type, market.fee_multiplier) == (
        "Sports",
        True,
        3,
        "quadratic",
        0.5,
    )
    assert market.start_ms == 1795307400000
    assert market.end_ms == 1795318200250
    assert market.close_ms == 1796517000000
    assert market.grid == CENT_GRID
    assert market.volume_24h == 912_000
    assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size, quote.source) == (5600, 4000, 5800, 30050, "rest")
    path, query = exchange.targets[-1]
    assert path == "/events"
    assert query["status"] == ["open"]
    assert query["with_nested_markets"] == query["with_milestones"] == ["true"]


def test_an_early_close_ends_a_market_before_its_expected_expiration():
    event = EVENT | {"markets": [MARKET | {"close_time": "2026-11-22T02:00:00Z"}]}
    ((market, _),), _ = reading(listing(event, ()), lambda reads: reads.open_markets())
    assert market.end_ms == market.close_ms
    assert market.start_ms is None


def test_markets_that_do_not_trade_and_other_categories_are_left_out():
    event = EVENT | {"markets": [MARKET | {"status": "closed"}, MARKET]}
    listed, _ = reading(listing(event), lambda reads: reads.open_markets())
    assert len(listed) == 1
    listed, _ = reading(listing(event), lambda reads: reads.open_markets(category="Politics"))
    assert listed == []


@pytest.mark.parametrize(
    ("fields", "bid", "ask"),
    [
        ({"yes_bid_dollars": "0.0000", "yes_bid_size_fp": "0.00"}, None, 5800),
        ({"yes_ask_dollars": "1.0000", "yes_ask_size_fp": "0.00"}, 5600, None),
        ({"yes_bid_dollars": "0.0000", "yes_ask_dollars": "0.0000"}, None, None),
    ],
)
def test_an_empty_side_is_no_price(fields, bid, ask):
    event = EVENT | {"markets": [MARKET | fields]}
    ((_, quote),), _ = reading(listing(event), lambda reads: reads.open_markets())
    assert (quote.bid, quote.ask) == (bid, ask)
    assert (quote.bid_size == 0) == (bid is None)


def test_named_series_are_read_one_by_one():
    exchange = listing()
    exchange.paths["/series/KXA"] = lambda query: body(series=SERIES)
    reading(exchange, lambda reads: reads.open_markets(["KXA", "KXB"]))
    assert [path for path, _ in exchange.targets] == ["/series/fee_changes", "/events", "/series/KXA", "/events"]
    assert [query["series_ticker"] for path, query in exchange.targets if path == "/events"] == [["KXA"], ["KXB"]]


def test_one_market_is_read_with_the_facts_of_its_event():
    exchange = Exchange(
        **{
            "/markets/KXA-1-BOS": lambda query: body(market=MARKET | {"status": "determined", "result": "yes"}),
            "/events/KXA-1": lambda query: body(event=EVENT, markets=[]),
            "/milestones": lambda query: body(milestones=[MILESTONE], cursor=""),
            "/series": lambda query: body(series=[]),
            "/series/KXA": lambda query: body(series=SERIES),
        }
    )
    (market, _), _ = reading(exchange, lambda reads: reads.market("KXA-1-BOS"))
    assert (market.status, market.result, market.category, market.start_ms) == (
        "determined",
        "yes",
        "Sports",
        1795307400000,
    )


def test_a_listing_is_read_to_its_last_page():
    pages = {None: ("a", "c1"), "c1": ("b", "c2"), "c2": ("c", "")}

    def fills(query):
        name, cursor = pages[query.get("cursor", [None])[0]]
        fill = {
            "trade_id": name,
            "order_id": "o",
            "ticker": "T",
            "book_side": "ask",
            "count_fp": "10.00",
            "yes_price_dollars": "0.5600",
            "is_taker": False,
            "fee_cost": "0.043200",
            "ts": 7,
        }
        return body(fills=[fill], cursor=cursor)

    found, lines = reading(Exchange(**{"/portfolio/fills": fills}), lambda reads: reads.fills(min_ts=5))
    assert [f.trade_id for f in found] == ["a", "b", "c"]
    assert (found[0].side, found[0].price, found[0].count, found[0].fee, found[0].at_ms) == (
        "ask",
        5600,
        1000,
        43_200,
        7000,
    )
    assert len(lines) == 3
    assert lines[0].startswith("GET /portfolio/fills 200 ")
    assert lines[0].endswith("1 items")


def test_a_repeated_cursor_is_a_failure_and_not_a_short_list():
    exchange = Exchange(**{"/portfolio/orders": lambda query: body(orders=[], cursor="again")})
    with pytest.raises(ReadFailed) as caught:
        reading(exchange, lambda reads: reads.orders())
    assert caught.value.kind == "cursor_loop"


def test_a_page_that_fails_fails_the_whole_listing():
    def positions(query):
        return reply(500) if "cursor" in query else body(market_positions=[], cursor="next")

    with pytest.raises(ReadFailed) as caught:
        reading(Exchange(**{"/portfolio/positions": positions}), lambda reads: reads.positions())
    assert (caught.value.kind, caught.value.status) == ("server", 500)


@pytest.mark.parametrize("trouble", [reply(429, b'{"error":"too many requests"}'), reply(500), reply(503, b"<html>")])
def test_what_may_pass_is_tried_again_with_a_fresh_signature(trouble):
    answers = Answers(trouble, trouble, trouble, body(balance=98213, balance_dollars="982.1375"))
    balance, lines = reading(answers, lambda reads: reads.balance())
    assert balance.cash == 982_137_500
    assert len({headers["kalshi-access-signature"] for _, headers, _ in answers.requests}) == 4
    assert len(lines) == 4
    assert "failed" in lines[0]


def test_the_balance_is_told_by_shard_where_kalshi_does():
    shards = [{"exchange_index": 0, "balance": "782.1375"}, {"exchange_index": 3, "balance": "200.0000"}]
    answers = Answers(body(balance_dollars="982.1375", balance_breakdown=shards))
    balance, _ = reading(answers, lambda reads: reads.balance())
    assert balance.shards == {"0": 782_137_500, "3": 200_000_000}
    assert reading(Answers(body(balance_dollars="1")), lambda reads: reads.balance())[0].shards == {}


def test_a_deposit_adds_to_cash_a_withdrawal_takes_from_it_and_one_that_failed_did_neither():
    def row(name, status, cents):
        return {"id": name, "status": status, "amount_cents": cents, "fee_cents": 25, "created_ts": 100}

    paid_in = body(
        deposits=[row("d1", "applied", 5_000), row("d2", "failed", 7_000), row("d3", "returned", 8_000)], cursor=""
    )
    paid_out = body(withdrawals=[row("w1", "pending", 2_000) | {"finalized_ts": 200}], cursor="")
    answers = Exchange(
        **{"/portfolio/deposits": lambda query: paid_in, "/portfolio/withdrawals": lambda query: paid_out}
    )
    transfers, _ = reading(answers, lambda reads: reads.transfers())
    assert [(t.id, t.amount, t.fee, t.at_ms) for t in transfers] == [
        ("d1", 50_000_000, 250_000, 100_000),
        ("w1", -20_000_000, 250_000, 200_000),
    ]


def test_three_retries_are_all():
    answers = Answers(reply(502))
    with pytest.raises(ReadFailed):
        reading(answers, lambda reads: reads.balance())
    assert len(answers.requests) == 4


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (
            reply(401, b'{"error":{"code":"authentication_error","details":"NOT_FOUND"}}'),
            "auth",
            "authentication_error",
        ),
        (reply(404, b'{"error":{"code":"not_found","message":"not found"}}'), "not_found", "not_found"),
        (reply(400, b'{"code":"bad_request","message":"bad"}'), "refused", "bad_request"),
        (reply(400, b'{"msg":"Parameter validation failed"}'), "refused", "validation"),
        (reply(301, b"", "Location: /elsewhere\r\n"), "refused", "http_301"),
        (reply(200, b"<html>"), "body", ""),
        (reply(200, b'{"balance":1}'), "body", ""),
        (reply(200, b'{"balance_dollars":"1e3"}'), "body", ""),
        (reply(200, b'{"balance_dollars":5}'), "body", ""),
        (reply(200, b'{"balance_dollars":"5","balance_breakdown":[{"exchange_index":3}]}'), "body", ""),
    ],
)
def test_what_will_not_pass_fails_at_once(answer, kind, code):
    answers = Answers(answer)
    with pytest.raises(ReadFailed) as caught:
        reading(answers, lambda reads: reads.balance())
    assert (caught.value.kind, caught.value.code) == (kind, code)
    assert len(answers.requests) == 1


def test_silence_and_refusal_are_named():
    with pytest.raises(ReadFailed) as caught:
        reading(lambda connection, number: time.sleep(1), lambda reads: reads.balance(), read_timeout=0.05)
    assert caught.value.kind == "timeout"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ReadFailed) as caught:
        KalshiReads(f"http://127.0.0.1:{port}", SIGNER, sleep=lambda seconds: None).balance()
    assert caught.value.kind == "connection"


def test_the_environment_cannot_redirect_or_add_credentials(monkeypatch, tmp_path):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    balance, _ = reading(Answers(body(balance_dollars="1.00")), lambda reads: reads.balance())
    assert balance.cash == 1_000_000


def test_exchange_status_is_read_from_an_error_reply_too():
    answers = Answers(reply(503, b'{"exchange_active":false,"trading_active":false}'))
    status, _ = reading(answers, lambda reads: reads.exchange_status())
    assert (status.exchange_active, status.trading_active) == (False, False)
    with pytest.raises(ReadFailed):
        reading(Answers(reply(503, b"<html>")), lambda reads: reads.exchange_status())


def test_order_books_come_in_batches_of_100_with_no_bids_as_asks():
    def books(query):
        levels = {"yes_dollars": [["0.5500", "120.00"], ["0.5600", "40.00"]], "no_dollars": [["0.4200", "300.50"]]}
        return body(orderbooks=[{"ticker": name, "orderbook_fp": levels} for name in query["tickers"]])

    exchange = Exchange(**{"/markets/orderbooks": books})
    found, _ = reading(exchange, lambda reads: reads.orderbooks(f"T{n}" for n in range(150)))
    assert [len(query["tickers"]) for _, query in exchange.targets] == [100, 50]
    assert found["T149"] == ([(5500, 12000), (5600, 4000)], [(5800, 30050)])


def test_account_numbers_are_exact():
    exchange = Exchange(
        **{
            "/portfolio/positions": lambda query: body(
                market_positions=[
                    {
                        "ticker": "T",
                        "position_fp": "-3.50",
                        "market_exposure_dollars": "2.500000",
                        "realized_pnl_dollars": "-0.600001",
                        "fees_paid_dollars": "0.043200",
                    }
                ]
            ),
            "/portfolio/settlements": lambda query: body(
                settlements=[
                    {
                        "ticker": "T",
                        "market_result": "yes",
                        "yes_count_fp": "10.00",
                        "no_count_fp": "0.00",
                        "revenue": 1000,
                        "settled_time": "2026-11-22T03:20:00Z",
                        "fee_cost": "0.0432",
                    }
                ],
                cursor=None,
            ),
            "/exchange/user_data_timestamp": lambda query: body(as_of_time="2026-11-22T03:20:00.123456Z"),
            "/account/limits": lambda query: body(
                usage_tier="basic",
                read={"refill_rate": 240, "bucket_capacity": 480},
                write={"refill_rate": 120, "bucket_capacity": 120},
                grants=[],
            ),
        }
    )
    (position,), _ = reading(exchange, lambda reads: reads.positions())
    assert (position.count, position.cost, position.realized, position.fees) == (-350, 2_500_000, -600_001, 43_200)
    (settlement,), _ = reading(exchange, lambda reads: reads.settlements())
    assert (settlement.revenue, settlement.fee, settlement.settled_ms) == (10_000_000, 43_200, 1795317600000)
    assert reading(exchange, lambda reads: reads.user_data_timestamp())[0] == 1795317600123
    limits, _ = reading(exchange, lambda reads: reads.account_limits())
    assert (limits.tier, limits.read_rate, limits.write_capacity) == ("basic", 240, 120)


def test_an_order_with_a_status_of_the_future_fails_the_read():
    order = {
        "order_id": "o",
        "ticker": "T",
        "book_side": "bid",
        "status": "resting",
        "yes_price_dollars": "0.5600",
        "initial_count_fp": "25.00",
        "fill_count_fp": "10.00",
        "remaining_count_fp": "15.00",
        "created_time": "2026-11-21T20:00:00.123Z",
    }
    (found,), _ = reading(Answers(body(orders=[order], cursor="")), lambda reads: reads.orders("resting", "T"))
    assert (found.client_order_id, found.filled, found.remaining, found.created_ms) == ("", 1000, 1500, 1795291200123)
    assert found.updated_ms == found.created_ms
    with pytest.raises(ReadFailed) as caught:
        reading(Answers(body(orders=[order | {"status": "paused"}], cursor="")), lambda reads: reads.orders())
    assert caught.value.kind == "body"


def test_recorded_events_and_markets_convert(recorded):
    series = WireSeries("S", "quadratic", 1.0)
    count = 0
    for name in ("events_sports_nested", "events_nfl_preseason"):
        data = json.loads(unpacked(recorded(f"kalshi_rest_202608/{name}.json.gz")))
        events = data if isinstance(data, list) else data["events"]
        for raw in wire.reader(wire.EventsPage)(json.dumps({"events": events}).encode()).events:
            event = wire.reader(wire.WireEvent)(bytes(raw))
            for found in event.markets or ():
                market = wire.market(found, event, series, None)
                wire.market_quote(found, 0)
                assert market.end_ms <= market.close_ms
                count += 1
    assert count > 20


def test_recorded_market_objects_convert(recorded):
    lines = unpacked(recorded("kalshi_rest_markets_202607/markets.jsonl.gz")).splitlines()
    event = wire.WireEvent("E", "S")
    series = WireSeries("S", "quadratic", 1.0)
    for line in lines:
        found = wire.reader(wire.WireMarket)(line)
        assert wire.market(found, event, series, None).grid.valid(5000)
        quote = wire.market_quote(found, 0)
        assert quote.bid is None or quote.ask is None or quote.bid < quote.ask
    assert len(lines) == 585


def test_recorded_account_objects_convert(recorded):
    data = json.loads(unpacked(recorded("kalshi_rest_202608/portfolio_fills_redacted.json.gz")))["payload"]
    fills = [wire.fill(f) for f in wire.reader(wire.FillsPage)(json.dumps(data).encode()).fills]
    assert fills
    assert all(f.at_ms > 1_780_000_000_000 for f in fills)
    data = json.loads(unpacked(recorded("kalshi_rest_202608/portfolio_settlements_redacted.json.gz")))["payload"]
    page = wire.reader(wire.SettlementsPage)(json.dumps(data).encode())
    assert len([wire.settlement(s) for s in page.settlements]) == len(data["settlements"])
    books = json.loads(unpacked(recorded("kalshi_rest_202608/combo_orderbooks.json.gz")))
    page = wire.reader(wire.WireBooks)(json.dumps({"orderbooks": books}).encode())
    assert wire.book_levels(page.orderbooks[0]) == ([], [(1880, 36900)])
    for payload in json.loads(unpacked(recorded("kalshi_rest_202608/series_fee_fields.json.gz")))["payloads"].values():
        assert wire.reader(SeriesReply)(json.dumps(payload).encode()).series.fee_multiplier >= 0
