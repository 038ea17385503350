"""Market data publishes every change of a followed top of book, knows how old its quotes are, and never trusts a
broken book."""

import json

import msgspec
import pytest

from bot.core.events import MarketChange
from bot.core.grid import CENT_GRID
from bot.core.venue import Market, Quote, VenueFill
from bot.kalshi import frames
from bot.kalshi.rest import ReadFailed
from bot.kalshi.stream import StreamStats
from bot.market_data.market_data import MarketData

S = 1_000_000_000


def market(ticker, **fields):
    return msgspec.structs.replace(
        Market(
            ticker=ticker,
            event_ticker="E",
            series_ticker="S",
            title="",
            yes_title="",
            category="Sports",
            status="active",
            open_ms=0,
            close_ms=9_000_000,
            end_ms=8_000_000,
            start_ms=None,
            grid=CENT_GRID,
            fee_type="quadratic",
            fee_multiplier=1.0,
            exchange_index=0,
            exclusive=True,
            volume_24h=0,
            result="",
        ),
        **fields,
    )


def quote(ticker, bid, ask, at_ns, source="rest"):
    return Quote(ticker, bid, ask, 100, 100, 0, at_ns, source)


class Reads:
    """The exchange by REST, as the test says it is."""

    def __init__(self, clock):
        self.clock = clock
        self.listed = {}
        self.others = {}
        self.books = {}
        self.asked = []
        self.failing = False

    def open_markets(self, series, category):
        if self.failing:
            raise ReadFailed("server", 500)
        return [(market(t), quote(t, bid, ask, self.clock())) for t, (bid, ask) in self.listed.items()]

    def market(self, ticker):
        if ticker not in self.others:
            raise ReadFailed("not_found", 404)
        return self.others[ticker], quote(ticker, None, None, self.clock())

    def orderbooks(self, tickers):
        if tickers:
            self.asked.append(list(tickers))
        if self.failing:
            raise ReadFailed("timeout")
        return {t: ([(self.books[t][0], 100)], [(self.books[t][1], 100)]) for t in tickers if t in self.books}


class StreamDouble:
    """What MarketData asks of the stream, written down."""

    def __init__(self):
        self.stats = StreamStats()
        self.wanted = {}
        self.resyncs = []
        self.connected = True

    def want(self, channel, tickers):
        self.wanted[channel] = tickers

    def resync(self, tickers):
        self.resyncs.append(tickers)

    def subscribed(self):
        return {}


class World:
    def __init__(self, **more):
        self.now = 1000 * S
        self.reads = Reads(lambda: self.now)
        self.stream = StreamDouble()
        self.ticks, self.account, self.changes, self.missed = [], [], [], []
        self.data = MarketData(
            self.reads,
            self.stream,
            on_tick=self.ticks.append,
            on_account=self.account.append,
            on_lifecycle=self.changes.append,
            on_missed=lambda: self.missed.append(self.now),
            clock_ns=lambda: self.now,
            **more,
        )

    def frame(self, type_, **msg):
        fields = {"type": type_, "sid": 1, "seq": 1, "msg": {"market_ticker": "A", **msg}}
        self.data.frame(frames.decode(json.dumps(fields).encode()), self.now)

    def snapshot(self, bid="0.4000", ask="0.4200", ticker="A"):
        self.frame(
            "orderbook_snapshot", market_ticker=ticker, yes_dollars_fp=[[bid, "5.00"]], no_dollars_fp=[[ask, "6.00"]]
        )

    def delta(self, side, price, change, ticker="A"):
        self.frame("orderbook_delta", market_ticker=ticker, side=side, price_dollars=price, delta_fp=change, ts_ms=7)

    def ticker(self, bid, ask, ticker="A"):
        self.frame(
            "ticker",
            market_ticker=ticker,
            yes_bid_dollars=bid,
            yes_ask_dollars=ask,
            yes_bid_size_fp="1.00",
            yes_ask_size_fp="1.00",
            ts_ms=7,
        )

    def tops(self):
        return [(tick.ticker, tick.bid, tick.ask, tick.source) for tick in self.ticks]


@pytest.fixture
def world():
    return World()


def test_what_is_followed_is_what_is_subscribed(world):
    assert {c for c, tickers in world.stream.wanted.items() if tickers is None} == {
        "fill",
        "user_orders",
        "market_positions",
        "market_lifecycle_v2",
    }
    world = World(candidate_books=1)
    world.data.follow(frozenset({"H"}), ("C1", "C2"))
    assert world.stream.wanted["orderbook_delta"] == {"H", "C1"}
    assert world.stream.wanted["ticker"] == {"H", "C1", "C2"}


def test_each_change_of_the_top_is_one_tick_and_nothing_else_is(world):
    world.data.follow(frozenset({"A"}), ())
    world.snapshot()
    world.delta("yes", "0.3900", "9.00")
    world.delta("yes", "0.4000", "1.00")
    world.delta("yes", "0.4100", "1.00")
    world.delta("yes", "0.4100", "-1.00")
    world.delta("no", "0.4200", "-6.00")
    assert world.tops() == [
        ("A", 4000, 4200, "book"),
        ("A", 4000, 4200, "book"),
        ("A", 4100, 4200, "book"),
        ("A", 4000, 4200, "book"),
        ("A", 4000, None, "book"),
    ]
    assert [tick.bid_size for tick in world.ticks[:3]] == [500, 600, 100]
    assert world.ticks[1].exchange_ms == 7
    assert world.ticks[1].received_ns == world.now


def test_candidates_tick_from_the_ticker_and_others_only_update_the_cache():
    world = World(candidate_books=0)
    world.data.follow(frozenset(), ("A",))
    world.ticker("0.4000", "0.4200")
    world.ticker("0.4000", "0.4200")
    world.ticker("0.5000", "0.5200", ticker="Z")
    assert world.tops() == [("A", 4000, 4200, "ticker")]
    assert world.data.quote("Z").bid == 5000


def test_a_live_book_outranks_the_ticker(world):
    world.data.follow(frozenset({"A"}), ())
    world.ticker("0.3000", "0.3200")
    world.snapshot()
    world.ticker("0.3000", "0.3200")
    assert world.tops() == [("A", 3000, 3200, "ticker"), ("A", 4000, 4200, "book")]


def test_a_gap_silences_the_books_until_their_snapshots(world):
    world.data.follow(frozenset({"A"}), ())
    world.snapshot()
    world.data.gap("orderbook_delta", frozenset({"A"}))
    world.delta("yes", "0.4100", "1.00")
    assert len(world.ticks) == 1
    assert world.data.book("A") is None
    world.snapshot(bid="0.4100")
    assert world.tops()[1:] == [("A", 4100, 4200, "book")]


def test_a_gap_elsewhere_leaves_the_books_alone(world):
    world.data.follow(frozenset({"A"}), ())
    world.snapshot()
    world.data.gap("ticker", frozenset({"A"}))
    assert world.data.book("A") is not None
    assert world.missed == [], "a ticker subscription begins with the present prices"


@pytest.mark.parametrize("channel", ["fill", "user_orders", "market_positions", "market_lifecycle_v2", "unknown"])
def test_what_only_rest_can_tell_is_read_at_once_after_a_gap(world, channel):
    world.data.gap(channel, frozenset())
    assert len(world.missed) == 1


def test_a_disconnect_and_a_connection_that_is_back_are_read_after_at_once(world):
    world.stream.stats.connects = 1
    world.data.connected()
    assert world.missed == [], "the start reads everything by itself"
    world.data.disconnected()
    assert len(world.missed) == 1
    world.stream.stats.connects = 2
    world.data.connected()
    assert len(world.missed) == 2


def test_a_disconnect_silences_every_book(world):
    world.data.follow(frozenset({"A"}), ())
    world.snapshot()
    world.data.disconnected()
    assert world.data.book("A") is None
    assert world.data.quote("A").bid == 4000


def test_a_book_that_is_contradicted_is_asked_for_anew(world):
    world.data.follow(frozenset({"A"}), ())
    world.snapshot()
    world.delta("yes", "0.4000", "-5.01")
    assert world.stream.resyncs == [frozenset({"A"})]
    world.delta("yes", "0.4000", "-5.01")
    assert len(world.stream.resyncs) == 1
    assert len(world.ticks) == 1


def test_a_crossed_book_gives_no_quote_and_if_it_stays_so_is_asked_for_anew(world):
    world.data.follow(frozenset({"A"}), ())
    world.snapshot()
    world.delta("yes", "0.4300", "1.00")
    assert len(world.ticks) == 1
    world.data.confirm_stale(world.now + S)
    assert world.stream.resyncs == []
    world.data.confirm_stale(world.now + 3 * S)
    assert world.stream.resyncs == [frozenset({"A"})]


def test_a_book_that_uncrosses_speaks_again(world):
    world.data.follow(frozenset({"A"}), ())
    world.snapshot()
    world.delta("yes", "0.4300", "1.00")
    world.delta("yes", "0.4300", "-1.00")
    world.data.confirm_stale(world.now + 3 * S)
    assert world.stream.resyncs == []


def test_discovery_lists_markets_and_quotes_and_keeps_held_ones_that_closed(world):
    world.reads.listed = {"A": (4000, 4200), "B": (6000, 6100)}
    world.reads.others = {"H": market("H", status="determined", result="yes")}
    world.data.follow(frozenset({"H"}), ("A",))
    world.data.discover()
    snapshot = world.data.snapshot()
    assert set(snapshot.markets) == {"A", "B", "H"}
    assert snapshot.markets["H"].result == "yes"
    assert snapshot.quotes["B"].source == "rest"
    assert ("A", 4000, 4200, "rest") in world.tops()
    world.reads.listed.pop("B")
    world.data.discover()
    assert set(world.data.snapshot().markets) == {"A", "H"}
    assert world.data.quote("B") is None
    assert set(snapshot.markets) == {"A", "B", "H"}


def test_a_held_market_that_was_archived_does_not_stop_discovery(world):
    world.reads.listed = {"A": (4000, 4200), "B": (6000, 6100)}
    world.data.discover()
    world.data.follow(frozenset({"B", "NEVER-SEEN"}), ())
    world.reads.listed = {"C": (1000, 1100)}
    world.data.discover()
    assert set(world.data.snapshot().markets) == {"B", "C"}
    assert world.data.quote("B").bid == 6000


def test_a_failed_discovery_changes_nothing(world):
    world.reads.listed = {"A": (4000, 4200)}
    world.data.discover()
    world.reads.failing = True
    with pytest.raises(ReadFailed):
        world.data.discover()
    assert set(world.data.snapshot().markets) == {"A"}


def test_discovery_does_not_overwrite_what_the_stream_said_but_confirms_it(world):
    world.data.follow(frozenset(), ("A",))
    world.ticker("0.4000", "0.4200")
    world.now += 30 * S
    world.reads.listed = {"A": (3000, 3200)}
    world.data.discover()
    assert world.data.quote("A").bid == 4000
    world.reads.listed = {"A": (4000, 4200)}
    world.data.discover()
    assert world.data.snapshot().age_ms("A", world.now) == 0
    world.now += 61 * S
    world.reads.listed = {"A": (3000, 3200)}
    world.data.discover()
    assert world.data.quote("A").bid == 3000


def test_quiet_held_markets_are_read_once_by_rest_and_candidates_are_not(world):
    world.data.follow(frozenset({"A"}), ("C",))
    world.snapshot()
    world.ticker("0.5000", "0.5200", ticker="C")
    world.reads.books = {"A": (4000, 4200)}
    world.now += 59 * S
    world.data.confirm_stale(world.now)
    assert world.reads.asked == []
    assert world.data.fresh_quote("A", world.now)
    world.now += 2 * S
    assert world.data.fresh_quote("A", world.now) is None
    assert world.data.health().stale_held == ("A",)
    world.data.confirm_stale(world.now)
    world.data.confirm_stale(world.now)
    assert world.reads.asked == [["A"]]
    assert world.data.fresh_quote("A", world.now).bid == 4000
    assert world.data.health().stale_held == ()
    assert len(world.ticks) == 2


def test_a_held_market_that_the_exchange_does_not_answer_for_is_not_asked_every_time(world):
    world.data.follow(frozenset({"A"}), ())
    world.data.confirm_stale(world.now)
    world.data.confirm_stale(world.now + 2 * S)
    assert world.reads.asked == [["A"]]
    assert world.data.fresh_quote("A", world.now) is None


def test_a_failed_confirmation_is_tried_again(world):
    world.data.follow(frozenset({"A"}), ())
    world.reads.failing = True
    world.data.confirm_stale(world.now)
    world.data.confirm_stale(world.now)
    assert len(world.reads.asked) == 2


def test_without_a_stream_held_markets_are_read_every_two_seconds_and_tick(world):
    world.data.follow(frozenset({"A"}), ())
    world.snapshot()
    world.data.disconnected()
    world.stream.connected = False
    world.reads.books = {"A": (3000, 3100)}
    world.now += 3 * S
    world.data.confirm_stale(world.now)
    assert world.tops()[-1] == ("A", 3000, 3100, "rest")


def test_a_connect_loads_the_prices_of_everything_followed_that_has_no_live_book(world):
    world.data.follow(frozenset({"A"}), ("C", "D"))
    world.snapshot()
    world.data.connected()
    world.reads.books = {"C": (1000, 1100), "D": (2000, 2100)}
    world.now += 1
    world.data.confirm_stale(world.now)
    world.data.confirm_stale(world.now)
    assert world.reads.asked == [["C", "D"]]
    assert world.data.quote("D").bid == 2000


def test_a_quiet_book_that_a_reading_contradicts_is_wrong(world):
    world.data.follow(frozenset({"A"}), ())
    world.snapshot()
    world.now += 61 * S
    world.reads.books = {"A": (3000, 3100)}
    world.data.confirm_stale(world.now)
    assert world.stream.resyncs == [frozenset({"A"})]
    assert world.tops()[-1] == ("A", 3000, 3100, "rest")
    assert world.data.book("A") is None


def test_the_snapshot_is_immutable_and_rebuilt_only_when_something_changed(world):
    world.data.follow(frozenset({"A"}), ())
    world.snapshot()
    first = world.data.snapshot()
    assert world.data.snapshot() is first
    with pytest.raises(TypeError):
        first.quotes["A"] = None
    world.delta("yes", "0.4100", "1.00")
    assert world.data.snapshot().quotes["A"].bid == 4100
    assert first.quotes["A"].bid == 4000


def test_lifecycle_messages_update_the_market_and_are_told(world):
    world.reads.listed = {"A": (4000, 4200)}
    world.data.discover()
    world.frame("market_lifecycle_v2", event_type="close_date_updated", close_ts=5_000)
    world.frame("market_lifecycle_v2", event_type="deactivated", is_deactivated=True)
    world.frame("market_lifecycle_v2", event_type="determined", result="no", settlement_value="0.0000")
    world.frame("market_lifecycle_v2", market_ticker="UNKNOWN", event_type="settled")
    world.frame(
        "market_lifecycle_v2",
        event_type="price_level_structure_updated",
        price_ranges=[{"start": "0.0000", "end": "1.0000", "step": "0.0010"}],
    )
    at = world.now // 1_000_000
    found = world.data.market("A")
    cents = world.changes[0].grid
    assert world.changes == [
        MarketChange(at, "A", "active", "", 5_000_000, cents),
        MarketChange(at, "A", "inactive", "", 5_000_000, cents),
        MarketChange(at, "A", "determined", "no", 5_000_000, cents),
        MarketChange(at, "A", "determined", "no", 5_000_000, found.grid),
    ]
    assert (found.status, found.result, found.close_ms, found.end_ms) == ("determined", "no", 5_000_000, 5_000_000)
    assert found.grid.valid(4010)


def test_private_messages_reach_the_account_callback(world):
    world.frame(
        "fill",
        trade_id="t",
        order_id="o",
        is_taker=True,
        book_side="bid",
        yes_price_dollars="0.5600",
        count_fp="10.00",
        fee_cost="0.0432",
        ts_ms=9,
    )
    assert world.account == [VenueFill("t", "o", "", "A", "bid", 5600, 1000, 43_200, True, 9)]
