"""What account reads ask for: one subaccount, and no more than was wanted."""

import pytest
from test_rest import Exchange, body, reading


@pytest.mark.parametrize(
    ("path", "rows", "call", "asked"),
    [
        (
            "/portfolio/orders",
            "orders",
            lambda reads: reads.orders("resting", "T", 5),
            {"status": ["resting"], "ticker": ["T"], "min_ts": ["5"]},
        ),
        ("/portfolio/fills", "fills", lambda reads: reads.fills(5, "T"), {"ticker": ["T"], "min_ts": ["5"]}),
        ("/portfolio/settlements", "settlements", lambda reads: reads.settlements(5), {"min_ts": ["5"]}),
    ],
)
def test_every_page_is_asked_of_the_subaccount_that_trades_with_the_filters_that_were_named(path, rows, call, asked):
    exchange = Exchange(**{path: lambda query: body(**{rows: []}, cursor="" if "cursor" in query else "next")})
    reading(exchange, call)
    first = {"limit": ["1000"], "subaccount": ["0"], **asked}
    assert exchange.targets == [(path, first), (path, first | {"cursor": ["next"]})]
