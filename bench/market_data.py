"""From the bytes of a WebSocket frame to the tick callback, beside decoding alone and the standard library's JSON."""

import json
import random
from collections.abc import Iterator

from bench.result import Result, timed
from bot.core.units import format_count, format_price
from bot.kalshi import frames
from bot.kalshi.rest import KalshiReads
from bot.kalshi.sign import Signer
from bot.kalshi.stream import Stream
from bot.market_data.market_data import MarketData

TICKER = "KXNBAGAME-26NOV21BOSDET-BOS"
FRAMES = 20_000


def measure() -> Iterator[Result]:
    payloads = _payloads()
    yield timed("frame: json.loads", lambda i: json.loads(payloads[i]), FRAMES, batch=10)
    yield timed("frame: typed decode", lambda i: frames.decode(payloads[i]), FRAMES, batch=10, peer="frame: json.loads")
    signer: Signer = None  # type: ignore[assignment]
    ticks: list[object] = []
    data = MarketData(
        KalshiReads("http://127.0.0.1:1", signer),
        Stream("ws://127.0.0.1:1/", signer),
        on_tick=ticks.append,
        on_account=ticks.append,
        on_lifecycle=ticks.append,
    )
    data.follow(frozenset({TICKER}), ())
    data.frame(frames.decode(_snapshot()), 0)  # type: ignore[arg-type]

    def apply(i: int) -> None:
        data.frame(frames.decode(payloads[i]), i)  # type: ignore[arg-type]

    yield timed("frame to book and tick", apply, FRAMES, batch=10, peer="frame: typed decode")


def _snapshot() -> bytes:
    yes = [[format_price(price), "5000.00"] for price in range(100, 5000, 100)]
    no = [[format_price(price), "5000.00"] for price in range(5100, 9900, 100)]
    msg = {"market_ticker": TICKER, "market_id": "m", "yes_dollars_fp": yes, "no_dollars_fp": no}
    return json.dumps({"type": "orderbook_snapshot", "sid": 1, "seq": 1, "msg": msg}).encode()


def _payloads() -> list[bytes]:
    """Changes near the top of a two-sided book, as the exchange words them."""
    chance = random.Random(1)
    made = []
    for i in range(FRAMES + 1):
        side = chance.choice(["yes", "no"])
        price = chance.randrange(4500, 5000, 100) if side == "yes" else chance.randrange(5100, 5600, 100)
        msg = {
            "market_ticker": TICKER,
            "market_id": "0a7a3f0e-55c1-4a61-9f0b-6f2c5f0e9c11",
            "price_dollars": format_price(price),
            "delta_fp": format_count(chance.choice([-1, 1]) * chance.randrange(1, 2000)),
            "side": side,
            "ts_ms": 1795291201250 + i,
        }
        made.append(json.dumps({"type": "orderbook_delta", "sid": 1, "seq": i + 2, "msg": msg}).encode())
    return made
