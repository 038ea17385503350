"""Fees of a series: read anew, overridden by its events, changed at the announced time."""

import pytest
from test_rest import EVENT, MARKET, SERIES, body, listing, reading

from bot.kalshi.rest import ReadFailed


def change(series, at, fee_type, multiplier):
    when = f"2026-11-22T{at}:00Z"
    return {"id": at, "series_ticker": series, "fee_type": fee_type, "fee_multiplier": multiplier, "scheduled_ts": when}


def test_fees_are_read_anew_every_hour():
    clock, exchange = [10**18], listing()

    def three(reads):
        multipliers = []
        for pause_s in (0, 3599, 2):
            clock[0] += pause_s * 10**9
            multipliers.append(reads.open_markets()[0][0].fee_multiplier)
            exchange.paths["/series"] = lambda query: body(series=[SERIES | {"fee_multiplier": 2.0}])
        return multipliers

    assert reading(exchange, three, clock_ns=lambda: clock[0])[0] == [0.5, 0.5, 2.0]


def test_a_list_of_series_that_could_not_be_read_is_asked_for_by_the_next_discovery():
    exchange = listing()
    series = exchange.paths.pop("/series")

    def two(reads):
        with pytest.raises(ReadFailed):
            reads.open_markets()
        exchange.paths["/series"] = series
        return reads.open_markets()

    reading(exchange, two)
    assert [path for path, _ in exchange.targets].count("/series") == 2


def test_fees_of_an_event_are_read_anew_every_hour():
    clock, exchange = [10**18], listing()
    event = EVENT | {"fee_multiplier_override": 0.5}
    exchange.paths["/markets/KXA-1-BOS"] = lambda query: body(market=MARKET)
    exchange.paths["/milestones"] = lambda query: body(milestones=[], cursor="")
    exchange.paths["/events/KXA-1"] = lambda query: body(event=event, markets=[])

    def two(reads):
        multipliers = []
        for pause_s in (0, 3601):
            clock[0] += pause_s * 10**9
            reads.open_markets()
            multipliers.append(reads.market("KXA-1-BOS")[0].fee_multiplier)
            event["fee_multiplier_override"] = 2.0
        return multipliers

    assert reading(exchange, two, clock_ns=lambda: clock[0])[0] == [0.5, 2.0]


def test_an_announced_change_of_fees_counts_from_its_time_on():
    now = 1_795_307_400
    clock, exchange = [now * 10**9], listing()
    changes = [
        change("KXA", "00:50", "flat", 3), change("KXA", "00:40", "quadratic", 2), change("KXB", "00:30", "flat", 9),
    ]  # fmt: skip
    exchange.paths["/series/fee_changes"] = lambda query: body(series_fee_change_arr=changes)

    def all_four(reads):
        found = []
        for minute in (0, 9, 10, 20):
            clock[0] = (now + minute * 60) * 10**9
            market = reads.open_markets()[0][0]
            found.append((market.fee_type, market.fee_multiplier))
        return found

    found, _ = reading(exchange, all_four, clock_ns=lambda: clock[0])
    assert found == [("quadratic", 0.5), ("quadratic", 0.5), ("quadratic", 2), ("flat", 3)]


def test_changes_of_fees_that_cannot_be_read_hide_no_market():
    listed, lines = reading(listing(), lambda reads: reads.open_markets())
    assert len(listed) == 1 and any("changes of fees are not known" in line for line in lines)


def test_event_overrides_the_fees_of_its_series():
    event = EVENT | {"fee_type_override": "flat", "fee_multiplier_override": 0.0}
    ((market, _),), _ = reading(listing(event), lambda reads: reads.open_markets())
    assert (market.fee_type, market.fee_multiplier) == ("flat", 0.0)
