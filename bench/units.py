"""Reading an exact price, beside the ways that are not exact (float) or slower (Decimal)."""

from collections.abc import Iterator
from decimal import Decimal

from bench.result import Result, timed
from bot.core.units import format_price, parse_price

COUNT, BATCH = 200_000, 1000


def measure() -> Iterator[Result]:
    texts = [format_price(price) for price in range(10_000)]
    yield timed("parse_price", lambda i: parse_price(texts[i % 10_000]), COUNT, batch=BATCH)
    yield timed("Decimal", lambda i: Decimal(texts[i % 10_000]), COUNT, batch=BATCH, peer="parse_price")
    yield timed("float", lambda i: float(texts[i % 10_000]), COUNT, batch=BATCH, peer="parse_price")
    yield timed("format_price", lambda i: format_price(i % 10_000), COUNT, batch=BATCH)
