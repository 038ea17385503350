"""Found in review: ways in which an old price looked fresh, or a market's status held a stop that could have gone."""

import msgspec
from test_market_data import S, World, market

from bot.kalshi import frames
from bot.kalshi.subscriptions import BOOKS, Subscriptions


def test_a_ticker_that_disagrees_with_a_book_does_not_confirm_it():
    """A book whose changes stopped coming looked fresh for ever, because the ticker of the same market went on."""
    world = World()
    world.data.follow(frozenset({"A"}), ())
    world.snapshot()
    for _ in range(70):
        world.now += S
        world.ticker("0.2000", "0.2200")
        world.data.confirm_stale(world.now)
        if world.data.quote("A").bid == 2000:
            break
    assert world.data.quote("A").bid == 2000, "the stop must see the price that the ticker tells"
    assert world.now <= 1004 * S
    assert world.stream.resyncs == [frozenset({"A"})]


def test_a_market_that_is_followed_no_longer_is_known_by_readings():
    """What the stream said last of a market that was left stood against each reading for a minute."""
    world = World()
    world.data.follow(frozenset({"A"}), ())
    world.snapshot()
    world.data.follow(frozenset(), ())
    world.now += S
    world.reads.listed = {"A": (3000, 3200)}
    world.data.discover()
    assert world.data.quote("A").bid == 3000


def test_a_ticker_that_is_behind_a_moving_book_is_not_believed():
    world = World()
    world.data.follow(frozenset({"A"}), ())
    world.snapshot()
    for step in range(10):
        world.now += S
        world.ticker("0.2000", "0.2200")
        world.delta("yes", "0.4100", "1.00" if step % 2 == 0 else "-1.00")
    assert world.stream.resyncs == []
    assert {tick.source for tick in world.ticks} == {"book"}


def test_changes_of_a_book_that_waits_for_its_snapshot_do_not_confirm_the_old_price():
    world = World()
    world.data.follow(frozenset({"A"}), ())
    world.snapshot()
    world.data.gap("orderbook_delta", frozenset({"A"}))
    for _ in range(61):
        world.now += S
        world.delta("yes", "0.3000", "1.00")
    assert world.data.fresh_quote("A", world.now) is None


def test_changes_of_a_crossed_book_do_not_confirm_the_price_before_it_crossed():
    world = World()
    world.data.follow(frozenset({"A"}), ())
    world.snapshot()
    for _ in range(61):
        world.now += S
        world.delta("yes", "0.4300", "1.00")
    assert world.data.fresh_quote("A", world.now) is None


def test_a_reading_does_not_take_back_a_status_that_was_just_told():
    """Resumed, then read from a cache as paused: its stop waited until the next discovery."""
    world = World()
    world.data.follow(frozenset({"A"}), ())
    world.reads.others = {"A": market("A", status="inactive")}
    world.data.discover()
    world.now += 5 * S
    world.frame("market_lifecycle_v2", event_type="activated")
    assert world.data.market("A").status == "active"
    world.now += 2 * S
    world.data.discover()
    assert world.data.market("A").status == "active"
    world.now += 30 * S
    world.data.discover()
    assert world.data.market("A").status == "inactive", "in time a reading is believed"


def test_a_reading_does_not_take_back_prices_that_were_just_told():
    """Whole cents told, then tenths read from a cache: the next exit would be off the grid again."""
    world = World()
    world.data.follow(frozenset({"A"}), ())
    world.reads.others = {"A": market("A")}
    world.data.discover()
    tenths = [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}]
    world.frame("market_lifecycle_v2", event_type="price_level_structure_updated", price_ranges=tenths)
    world.frame("market_lifecycle_v2", event_type="close_date_updated", close_ts=5_000)
    for seconds, as_told in ((2, True), (30, False)):
        world.now += seconds * S
        world.data.discover()
        found = world.data.market("A")
        assert (found.grid.valid(4_010), found.close_ms == 5_000_000) == (as_told, as_told)


def test_a_status_told_while_a_reading_is_under_way_outranks_it():
    world = World()
    world.data.follow(frozenset({"A"}), ())
    world.reads.others = {"A": market("A", status="inactive")}
    world.data.discover()
    world.now += 5 * S
    plain = world.reads.market

    def slow(ticker):
        answer = plain(ticker)
        world.now += 3 * S
        world.frame("market_lifecycle_v2", event_type="activated")
        return answer

    world.reads.market = slow
    world.data.discover()
    assert world.data.market("A").status == "active"


def test_a_book_that_was_unwanted_for_a_moment_gets_a_new_snapshot():
    """Its subscription never ended, so no snapshot came by itself, and its book stayed empty for ever."""
    subscriptions = Subscriptions()
    subscriptions.want(BOOKS, frozenset({"A", "B"}))
    [asked] = subscriptions.commands(0)
    told = {"id": asked.id, "type": "subscribed", "msg": {"channel": BOOKS, "sid": 1}}
    subscriptions.acknowledge(frames.decode(msgspec.json.encode(told)), 0)
    subscriptions.want(BOOKS, frozenset({"A", "B", "C"}))
    [added] = subscriptions.commands(1)
    subscriptions.want(BOOKS, frozenset({"A", "C"}))
    subscriptions.want(BOOKS, frozenset({"A", "B", "C"}))
    listed = {"id": added.id, "type": "ok", "sid": 1, "msg": {"market_tickers": ["A", "B", "C"]}}
    subscriptions.acknowledge(frames.decode(msgspec.json.encode(listed)), 2)
    [again] = subscriptions.commands(3)
    params = msgspec.json.decode(again.body)["params"]
    assert (params["action"], params["market_tickers"]) == ("get_snapshot", ["B"])


def test_prices_that_cannot_be_are_refused_and_counted():
    world = World()
    world.reads.listed = {"A": (4000, 4200), "B": (4000, 4200)}
    world.data.discover()
    world.data.follow(frozenset({"A"}), ("B",))
    for bid, ask in (("0.4300", "0.4300"), ("0.4400", "0.4600"), ("0.4100", "0.4200")):
        world.ticker(bid, ask, ticker="B")
        assert world.data.quote("B").bid in (4000, 4400, 4100)
    assert world.data.health().refused == 1, "crossed"
    world.ticker("0.4155", "0.4200", ticker="B")
    assert world.data.health().refused == 2 and world.data.quote("B").bid != 4155
    assert world.missed == [], "the grid was read a moment ago"
    world.now += 6 * S
    world.ticker("0.4155", "0.4200", ticker="B")
    assert len(world.missed) == 1, "perhaps the grid is another one now"
    world.snapshot(bid="0.4200", ask="0.4200")
    world.snapshot(bid="0.4300", ask="0.4200")
    assert world.data.health().refused == 4, "one crossed book counts once"


def test_the_price_of_an_order_that_survived_a_change_of_the_grid_is_seen_by_stops():
    """The last price before it stood for ever, and looked fresh with each change deeper in the book."""
    world = World()
    world.reads.listed = {"A": (4000, 4200)}
    world.data.discover()
    world.data.follow(frozenset({"A"}), ())
    world.snapshot(bid="0.4000", ask="0.5800")
    world.snapshot(bid="0.3055", ask="0.5800")
    assert world.data.quote("A").bid == 3055 and world.ticks[-1].bid == 3055
    assert world.data.health().refused == 1


def test_a_candidates_price_that_was_refused_does_not_keep_the_one_before_it_fresh():
    world = World()
    world.reads.listed = {"A": (4000, 4200)}
    world.data.discover()
    world.data.follow(frozenset(), ("A",))
    world.snapshot(bid="0.4000", ask="0.5800")
    world.snapshot(bid="0.3055", ask="0.5800")
    for _ in range(61):
        world.now += S
        world.delta("yes", "0.2000", "1.00")
        world.ticker("0.3055", "0.4200")
    assert world.data.quote("A").bid == 4000 and world.data.fresh_quote("A", world.now) is None
