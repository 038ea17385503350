"""WebSocket messages become exact core types; recorded captures rebuild exactly the expected books without a gap."""

import gzip
import json

import pytest

from bot.core.book import Book
from bot.core.units import format_count, format_price, parse_count
from bot.kalshi import frames
from bot.kalshi.subscriptions import BOOKS, Subscriptions
from bot.kalshi.wire import WireError


def decode(frame):
    return frames.decode(json.dumps(frame).encode())


def test_every_observed_frame_is_understood(recorded):
    lines = recorded("ws_frames_observed/frames.jsonl").read_text().splitlines()
    kinds = [type(decode(json.loads(line)["frame"])).__name__ for line in lines]
    assert kinds.count("MarketLifecycle") == 3
    assert len(kinds) == 9


def expected_view(book):
    bids, asks = book.depth()
    return {
        "yes": [[format_price(price), format_count(count)] for price, count in bids[:5]],
        "no": [[format_price(10_000 - price), format_count(count)] for price, count in asks[:5]],
        "counts": (len(bids), len(asks)),
        "totals": (sum(count for _, count in bids), sum(count for _, count in asks)),
    }


class Capture:
    """Feeds recorded frames through the real decoder, sequence tracker and book."""

    def __init__(self):
        self.books = {}
        self.gaps = []
        self.applied = 0
        self.connect()

    def connect(self):
        self.subscriptions = Subscriptions()
        self.channels = set()

    def feed(self, wire_frame):
        frame = decode(wire_frame)
        if isinstance(frame, frames.Subscribed):
            channel = frame.msg.channel
            if channel in self.channels:
                self.connect()
            self.channels.add(channel)
            self.subscriptions.want(channel, None)
            command = next(c for c in self.subscriptions.commands(0) if channel in c.text)
            self.subscriptions.acknowledge(decode(wire_frame | {"id": command.id}), 0)
            return
        if frame.seq is not None and not self.subscriptions.in_order(frame.sid, frame.seq):
            self.gaps.append((frame.sid, frame.seq))
        if isinstance(frame, frames.OrderbookSnapshot):
            self.books.setdefault(frame.msg.market_ticker, Book()).apply_snapshot(*frames.snapshot_levels(frame, False))
            self.applied += 1
        elif isinstance(frame, frames.OrderbookDelta):
            book = self.books[frame.msg.market_ticker]
            book.apply_delta(*frames.delta_level(frame, False))
            assert book.state == "live"
            self.applied += 1


def test_recorded_baseball_books_are_rebuilt_exactly(recorded):
    capture = Capture()
    with gzip.open(recorded("ws_mlb_20260807/ws_mlb_20260807.jsonl.gz")) as lines:
        for line in lines:
            capture.feed(json.loads(line)["frame"])
    assert capture.gaps == []
    assert capture.applied == 12 + 245
    expected = json.loads(recorded("ws_mlb_20260807/expected_final_book.json").read_text())["after_last_frame"]
    assert len(expected) == len(capture.books) == 12
    for ticker, book in expected.items():
        assert expected_view(capture.books[ticker]) == {
            "yes": book["yes_top5"],
            "no": book["no_top5"],
            "counts": (book["n_yes"], book["n_no"]),
            "totals": (parse_count(book["yes_total"]), parse_count(book["no_total"])),
        }


@pytest.mark.parametrize("name", ["20260513T055209Z", "20260511T053741Z", "20260515T083925Z", "20260514T043808Z"])
def test_recorded_bitcoin_books_are_rebuilt_exactly(recorded, name):
    capture = Capture()
    expected = [
        json.loads(line)
        for line in recorded(f"ws_btc15m_202605/btc15m_{name}.expected_book.jsonl").read_text().splitlines()
    ]
    checks = {(e["conn"], e["after_seq"]): e for e in expected}
    connection, checked = 0, 0
    with gzip.open(recorded(f"ws_btc15m_202605/btc15m_{name}.jsonl.gz")) as lines:
        for line in lines:
            entry = json.loads(line)
            connection += entry.get("meta", {}).get("event") == "ws_connected"
            if "frame" not in entry:
                continue
            capture.feed(entry["frame"])
            check = checks.get((connection, entry["frame"].get("seq")))
            if check and capture.channels >= {BOOKS}:
                assert expected_view(capture.books[check["market_ticker"]]) == {
                    "yes": check["yes_top5"],
                    "no": check["no_top5"],
                    "counts": (check["n_yes_levels"], check["n_no_levels"]),
                    "totals": (parse_count(check["yes_total"]), parse_count(check["no_total"])),
                }
                checked += 1
    assert capture.gaps == []
    assert checked >= len(expected) - 1


DELTA = {
    "type": "orderbook_delta",
    "sid": 1,
    "seq": 2,
    "msg": {
        "market_ticker": "T",
        "market_id": "m",
        "price_dollars": "0.4200",
        "delta_fp": "-100.50",
        "side": "no",
        "ts_ms": 1795291201250,
    },
}


def test_a_no_level_is_a_yes_ask_in_either_price_convention():
    assert frames.delta_level(decode(DELTA), False) == ("ask", 5800, -10050)
    yes_priced = DELTA | {"msg": DELTA["msg"] | {"price_dollars": "0.5800"}}
    assert frames.delta_level(decode(yes_priced), True) == ("ask", 5800, -10050)


def test_a_snapshot_without_sides_is_an_empty_book():
    empty = decode({"type": "orderbook_snapshot", "sid": 1, "seq": 1, "msg": {"market_ticker": "T"}})
    assert frames.snapshot_levels(empty, True) == ([], [])


@pytest.mark.parametrize(
    "frame",
    [
        DELTA | {"type": "orderbook_delta_v3"},
        DELTA | {"msg": DELTA["msg"] | {"side": "maybe"}},
        DELTA | {"msg": DELTA["msg"] | {"delta_fp": 5}},
        {"type": "market_lifecycle_v2", "sid": 1, "msg": {"market_ticker": "T", "event_type": "exploded"}},
        {"sid": 1},
        [],
    ],
)
def test_what_is_not_understood_is_a_wire_error(frame):
    with pytest.raises(WireError):
        decode(frame)


@pytest.mark.parametrize("payload", [b"", b"{", b'{"type":"ok"', b"\xff\xfe", b'{"type":"ticker","msg":"\xff"}'])
def test_broken_bytes_are_a_wire_error(payload):
    with pytest.raises(WireError):
        frames.decode(payload)


def test_ticker_becomes_a_quote_and_an_empty_side_no_price():
    msg = {
        "market_ticker": "T",
        "price_dollars": "0.5600",
        "yes_bid_dollars": "0.5600",
        "yes_ask_dollars": "1.0000",
        "yes_bid_size_fp": "30.00",
        "yes_ask_size_fp": "0.00",
        "ts_ms": 5,
    }
    quote = frames.quote(decode({"type": "ticker", "sid": 3, "sending_ts_ms": 6, "msg": msg}), 7)
    assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size) == (5600, 3000, None, 0)
    assert (quote.exchange_ms, quote.received_ns, quote.source) == (5, 7, "ticker")


def test_a_price_at_which_nothing_is_there_is_no_price():
    msg = {
        "market_ticker": "T",
        "yes_bid_dollars": "0.5600",
        "yes_ask_dollars": "0.5800",
        "yes_bid_size_fp": "0.00",
        "yes_ask_size_fp": "1.00",
    }
    quote = frames.quote(decode({"type": "ticker", "sid": 3, "msg": msg}), 7)
    assert (quote.bid, quote.ask) == (None, 5800)


def test_private_frames_become_core_types():
    fill = frames.fill(
        decode(
            {
                "type": "fill",
                "sid": 4,
                "msg": {
                    "trade_id": "t",
                    "order_id": "o",
                    "market_ticker": "T",
                    "is_taker": False,
                    "side": "yes",
                    "yes_price_dollars": "0.5600",
                    "count_fp": "10.00",
                    "fee_cost": "0.043200",
                    "action": "buy",
                    "ts_ms": 1795291205500,
                    "client_order_id": "c",
                    "book_side": "bid",
                },
            }
        )
    )
    assert (fill.price, fill.count, fill.fee, fill.side, fill.client_order_id) == (5600, 1000, 43_200, "bid", "c")
    order = frames.order(
        decode(
            {
                "type": "user_order",
                "sid": 5,
                "msg": {
                    "order_id": "o",
                    "client_order_id": "c",
                    "ticker": "T",
                    "status": "canceled",
                    "book_side": "ask",
                    "yes_price_dollars": "0.5600",
                    "initial_count_fp": "25.00",
                    "fill_count_fp": "10.00",
                    "remaining_count_fp": "0.00",
                    "created_time": "2026-11-21T20:00:00.123Z",
                    "last_updated_ts_ms": 1795291205500,
                },
            }
        )
    )
    assert (order.status, order.side, order.filled, order.created_ms) == ("canceled", "ask", 1000, 1795291200123)
    position = frames.position(
        decode(
            {
                "type": "market_position",
                "sid": 6,
                "msg": {
                    "market_ticker": "T",
                    "position_fp": "-10.00",
                    "position_cost_dollars": "5.600000",
                    "realized_pnl_dollars": "0.000000",
                    "fees_paid_dollars": "0.043200",
                },
            }
        )
    )
    assert (position.count, position.cost, position.fees) == (-1000, 5_600_000, 43_200)
