"""Signing a request: live, beside taking a header triple that was signed in advance."""

import time
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric import rsa

from bench.result import Result, timed
from bot.kalshi.sign import HeaderStock, Signer

PATH = "/trade-api/v2/portfolio/events/orders"


def measure() -> Iterator[Result]:
    signer = Signer("key", rsa.generate_private_key(65537, 2048))
    yield timed("sign live", lambda i: signer.headers("POST", PATH, time.time_ns() // 1_000_000), 1000)
    stock = HeaderStock(signer, "POST", PATH, size=1001)
    stock.refresh()
    yield timed("take a signed header", lambda i: stock.take(), 1000, peer="sign live")
