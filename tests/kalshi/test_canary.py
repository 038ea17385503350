"""What the exchange says and we do not understand is counted, logged once for each kind, and hides nothing else."""

import pytest
from loopback import Answers, Loopback, reply
from test_rest import EVENT, MARKET, SERIES, SIGNER, Exchange, body, reading

from bot.core.effects import PlaceOrder
from bot.core.units import Count, Price
from bot.core.venue import Unknown
from bot.kalshi.canary import MOST_KINDS, Canary
from bot.kalshi.orders import KalshiOrders
from bot.kalshi.rest import ReadFailed


def test_an_event_that_is_not_understood_hides_no_other_and_the_canary_counts_it_once_logged():
    strange = EVENT | {"event_ticker": "KXA-2", "markets": [MARKET | {"ticker": "KXA-2-BOS", "status": "frozen"}]}
    lacking = EVENT | {"event_ticker": "KXA-3", "markets": [{k: v for k, v in MARKET.items() if k != "price_ranges"}]}
    exchange = Exchange(
        **{
            "/events": lambda query: body(events=[strange, EVENT, lacking], milestones=[], cursor=""),
            "/series": lambda query: body(series=[SERIES]),
        }
    )

    def twice(reads):
        return reads.open_markets(), reads.open_markets(), reads.canary

    (first, second, canary), lines = reading(exchange, twice)
    assert [m.ticker for m, _ in first] == [m.ticker for m, _ in second] == ["KXA-1-BOS"]
    assert sorted(canary.kinds.values()) == [2, 2] and canary.count == 4
    told = [line for line in lines if "not understood" in line]
    assert len(told) == 2 and "frozen" in told[0] and "price_ranges" in told[1]


def test_a_reply_of_another_shape_is_counted_and_fails_the_read():
    exchange = Exchange(**{"/portfolio/balance": lambda query: body(balance="12.00")})

    def call(reads):
        with pytest.raises(ReadFailed) as failure:
            reads.balance()
        return failure.value.kind, reads.canary.count

    assert reading(exchange, call)[0] == ("body", 1)


def test_the_canary_tells_each_kind_once_and_stays_small() -> None:
    lines: list[str] = []
    canary = Canary(lines.append)
    for number in range(3 * MOST_KINDS):
        canary.saw("ticker", f"fault {number}")
        canary.saw("ticker", "fault 0")
    assert canary.count == 6 * MOST_KINDS
    assert len(canary.kinds) == MOST_KINDS + 1 and len(lines) == MOST_KINDS


def test_an_order_reply_of_another_shape_is_counted_and_its_order_unknown():
    canary = Canary()
    with Loopback(Answers(reply(201, b'{"order":{"id":"new"}}'))) as server:
        orders = KalshiOrders(server.url, SIGNER, canary=canary)
        order = PlaceOrder("c", "T", "bid", Price(5_000), Count(100), "immediate_or_cancel", "entry", "taker_at_cross")
        assert isinstance(orders.create(order), Unknown)
        orders.close()
    assert canary.count == 1
