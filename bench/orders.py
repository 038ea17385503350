"""One order over a warm loopback connection, beside the same bytes on a bare socket."""

import os
import socket
import time
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.result import Result, timed
from bot.core.effects import PlaceOrder
from bot.core.units import Count, Price
from bot.kalshi.orders import KalshiOrders
from bot.kalshi.sign import HeaderStock, Signer

BODY = b'{"order_id":"o","fill_count":"1.00","remaining_count":"0.00","ts_ms":1}'
REPLY = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
COUNT = 1000


def measure() -> Iterator[Result]:
    listener = socket.create_server(("127.0.0.1", 0))
    if (child := os.fork()) == 0:
        _serve(listener)
    try:
        bare = socket.create_connection(listener.getsockname())

        def exchange(i: int) -> None:
            bare.sendall(bytes(600))
            bare.recv(65536)

        yield timed("600 bytes and a reply", exchange, COUNT)
        bare.close()
        sent: list[int] = []
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/trade-api/v2"
        signer = Signer("key", Ed25519PrivateKey.generate())
        orders = KalshiOrders(url, signer, on_sent=lambda name, at_ns: sent.append(at_ns))
        order = PlaceOrder(
            "0" * 32, "KXA-1-BOS", "ask", Price(100), Count(100), "immediate_or_cancel", "exit", "maker", True
        )
        orders.create_headers = HeaderStock(signer, "POST", "/trade-api/v2/portfolio/events/orders", size=COUNT + 1)
        orders.create_headers.refresh()
        began: list[int] = []

        def create(i: int) -> None:
            began.append(time.time_ns())
            orders.create(order)

        yield timed("create and its outcome", create, COUNT, peer="600 bytes and a reply")
        calls = [(at - start) / 1000 for start, at in zip(began, sent, strict=True)]
        yield Result("create until bytes are sent", calls)
        orders.close()
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def _serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        while connection.recv(65536):
            connection.sendall(REPLY)
