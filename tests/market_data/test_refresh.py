"""Before a pass old prices are read anew within the budget; without a stream every sweep reads every held market."""

from test_market_data import S, World, market, quote

from bot.core.grid import Band, PriceGrid
from bot.kalshi.read_budget import ReadBudget
from bot.market_data.market_data import REFRESHED


def test_what_is_older_than_the_stated_age_is_read_and_nothing_else() -> None:
    world = World()
    world.reads.listed = {"A": (4000, 4200), "B": (6000, 6100)}
    world.data.follow(frozenset(), ("A", "B"))
    world.data.discover()
    world.now += 15 * S
    world.ticker("0.4000", "0.4200")
    world.data.refresh(20_000)
    assert world.reads.asked == []
    world.now += 6 * S
    world.reads.listed.pop("B")
    world.reads.books = {"A": (1000, 1100), "B": (7000, 7100)}
    world.data._listing.listed_ns = world.now
    world.data.refresh(20_000)
    assert world.reads.asked == [["B"]]
    assert world.data.snapshot().age_ms("B", world.now) == 0


def test_a_discovery_that_is_overdue_comes_first_and_its_failure_leaves_the_ages_as_they_are() -> None:
    world = World()
    world.reads.listed = {"A": (4000, 4200)}
    world.data.refresh(20_000)
    assert set(world.data.snapshot().markets) == {"A"}
    world.reads.failing = True
    world.now += 30 * S
    world.data.refresh(20_000)
    snapshot = world.data.snapshot()
    assert (snapshot.facts_age_ms(world.now), snapshot.age_ms("A", world.now)) == (30_000, 30_000)


def test_followed_markets_are_refreshed_first_and_no_more_than_three_calls_are_made() -> None:
    world = World()
    world.reads.listed = {f"M{number:04d}": (4000, 4200) for number in range(400)}
    world.data.discover()
    world.data.follow(frozenset({"M0399"}), ("M0398",))
    world.now += 30 * S
    world.reads.listed, world.data._listing.listed_ns = {}, world.now
    world.data.refresh(20_000)
    [asked] = world.reads.asked
    assert len(asked) == REFRESHED and asked[:2] == ["M0398", "M0399"]


def test_without_a_stream_every_call_reads_every_held_market_and_each_change_ticks() -> None:
    world = World()
    held = frozenset(f"M{number}" for number in range(50))
    world.data.follow(held, ())
    world.stream.connected = False
    for bid in (4000, 3000, 2000):
        world.reads.books = dict.fromkeys(held, (bid, bid + 100))
        world.now += 2 * S
        world.data.confirm_stale(world.now)
    assert [len(asked) for asked in world.reads.asked] == [50, 50, 50]
    assert [tick.bid for tick in world.ticks] == [4000] * 50 + [3000] * 50 + [2000] * 50


def test_sweeps_of_fifty_positions_and_searches_fit_the_smallest_tier() -> None:
    """Ten minutes: eight series every 12 s, books and fills every 2 s, six account reads every 10 s."""
    budget, waited = ReadBudget(200, 200), 0.0
    for second in range(600):
        urgent = (2 if second % 2 == 0 else 0) + (6 if second % 10 == 0 else 0)
        for _ in range(8 if second % 12 == 0 else 0):
            budget.take(second * S, patient=True)
        waited = max([waited, *(budget.take(second * S, patient=False) for _ in range(urgent))])
    assert waited == 0.0


def test_fees_of_an_event_follow_its_messages() -> None:
    world = World()
    world.reads.listed = {"A": (4000, 4200)}
    world.data.discover()
    world.frame("event_fee_update", event_ticker="E", fee_type_override="flat", fee_multiplier_override=0.5)
    found = world.data.market("A")
    assert (found.fee_type, found.fee_multiplier) == ("flat", 0.5)
    world.frame("event_fee_update", event_ticker="OTHER", fee_multiplier_override=2.0)
    world.frame("event_fee_update", event_ticker="E", fee_multiplier_override=0.0)
    found = world.data.market("A")
    assert (found.fee_type, found.fee_multiplier) == ("flat", 0.0)


def test_a_discovery_brings_new_fees_grids_and_shards() -> None:
    world = World()
    fine = PriceGrid((Band(0, 10_000, 10),))
    before, after = market("A"), market("A", fee_multiplier=2.0, grid=fine, exchange_index=3, close_ms=5)
    lists = [[(before, quote("A", 1, 2, world.now))], [(after, quote("A", 1, 2, world.now))]]
    world.reads.open_markets = lambda series, category: lists.pop(0)
    world.data.discover()
    world.data.discover()
    assert world.data.market("A") == after


def test_what_a_discovery_found_is_logged() -> None:
    lines: list[str] = []
    world = World(log=lines.append)
    world.reads.listed = {"A": (4000, 4200), "H": (4000, 4200)}
    world.data.discover()
    world.data.follow(frozenset({"H"}), ())
    world.reads.listed = {"B": (4000, 4200)}
    world.reads.others = {"H": market("H", status="determined", result="yes")}
    world.data.discover()
    assert lines == ["2 markets, 2 new, 0 gone", "2 markets, 1 new, 1 gone", "market H: active, now determined yes"]


def test_health_says_how_old_the_markets_are() -> None:
    world = World(stale_s=60.0)
    assert (world.data.health().status, world.data.health().age_seconds) == ("empty", None)
    world.reads.listed = {"A": (4000, 4200)}
    world.data.discover()
    assert (world.data.health().status, world.data.health().age_seconds) == ("ok", 0)
    world.now += 61 * S
    assert (world.data.health().status, world.data.health().age_seconds) == ("stale", 61)
    world.data.discover()
    assert world.data.health().status == "ok"


def test_starts_of_games_are_in_the_snapshot_and_in_the_markets() -> None:
    world = World()
    known = market("A", start_ms=world.now // 1_000_000 + 5_000)
    world.reads.open_markets = lambda series, category: [(known, quote("A", 1, 2, world.now))]
    world.data.discover()
    forgetful = market("A")
    world.reads.open_markets = lambda series, category: [(forgetful, quote("A", 1, 2, world.now))]
    world.data.discover()
    snapshot = world.data.snapshot()
    assert snapshot.match_times["E"].start_ms == snapshot.markets["A"].start_ms == known.start_ms


def paused() -> World:
    """The stream told that A is paused; readings say that it trades."""
    world = World()
    world.reads.listed = {"A": (4000, 4200)}
    world.data.follow(frozenset({"A"}), ())
    world.data.discover()
    world.frame("market_lifecycle_v2", event_type="deactivated", is_deactivated=True)
    world.reads.failing, world.reads.others = True, {"A": market("A")}
    return world


def test_one_reading_says_that_a_market_is_no_longer_paused() -> None:
    world = paused()
    world.now += 10 * S
    assert world.data.confirm_market("A").status == "inactive", "the reading may be older than what the stream told"
    world.now += 11 * S
    assert world.data.confirm_market("A").status == "active"
    assert world.data.snapshot().markets["A"].status == "active"


def test_a_status_told_at_a_time_ahead_is_read_again_when_the_clock_was_set_back() -> None:
    world = paused()
    world.now -= 600 * S
    assert world.data.confirm_market("A").status == "active"


def test_prices_of_a_time_ahead_are_stale_and_read_again_when_the_clock_was_set_back() -> None:
    world = World()
    world.data.follow(frozenset({"A"}), ())
    world.snapshot()
    world.reads.books = {"A": (3000, 3200)}
    world.now -= 600 * S
    assert world.data.fresh_quote("A", world.now) is None
    assert world.data.health().stale_held == ("A",)
    world.data.confirm_stale(world.now)
    assert world.reads.asked == [["A"]]
    assert world.data.fresh_quote("A", world.now).bid == 3000


def test_a_market_that_nobody_answered_for_is_asked_again_when_the_clock_was_set_back() -> None:
    world = World()
    world.data.follow(frozenset({"A"}), ())
    world.data.confirm_stale(world.now)
    world.now -= 600 * S
    world.data.confirm_stale(world.now)
    assert world.reads.asked == [["A"], ["A"]]


def test_a_discovery_is_believed_over_a_status_told_at_a_time_ahead() -> None:
    world = paused()
    world.reads.failing = False
    world.now -= 600 * S
    world.data.discover()
    assert world.data.market("A").status == "active"
