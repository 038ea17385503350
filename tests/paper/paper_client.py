"""A member's client for tests, written apart from the bot's: signed REST and WebSocket to an exchange process."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import websocket
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding
from wire_schema import SCHEMA, check_frame, check_reply

ROOT = Path(__file__).parents[2]
STILL = Path(__file__).with_name("still_exchange.py")


class Exchange:
    """A running exchange process and a member of it."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, f"the exchange ended with status {self.process.wait(timeout=10)} before it was ready"
        self.ready = json.loads(line)
        self.key = serialization.load_pem_private_key(Path(self.ready["private_key_path"]).read_bytes(), password=None)
        self.key_id = self.ready["key_id"]
        self.session = requests.Session()
        self.session.trust_env = False

    def headers(self, method: str, path: str, skew_ms: int = 0, salt: int = 32) -> dict[str, str]:
        stamp = str(time.time_ns() // 1_000_000 + skew_ms)
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=salt)
        text = f"{stamp}{method}{path}".encode()
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            signature = self.key.sign(text)
        else:
            signature = self.key.sign(text, pss, hashes.SHA256())
        return {
            "KALSHI-ACCESS-KEY": self.key_id,
            "KALSHI-ACCESS-TIMESTAMP": stamp,
            "KALSHI-ACCESS-SIGNATURE": base64.b64encode(signature).decode(),
        }

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        """A signed call of a path below /trade-api/v2."""
        url = self.ready["rest"] + path
        headers = self.headers(method, "/trade-api/v2" + path.partition("?")[0], **options)
        answer = self.session.request(method, url, json=body, headers=headers, timeout=10)
        check_reply(method, path.partition("?")[0], answer.status_code, answer.text)
        return answer

    def get(self, path: str, **query: Any) -> Any:
        tail = "&".join(f"{name}={value}" for name, value in query.items())
        answer = self.call("GET", path + ("?" + tail if tail else ""))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def order(self, ticker: str, side: str, price: str, count: str, **more: Any) -> requests.Response:
        body = {
            "ticker": ticker,
            "side": side,
            "price": price,
            "count": count,
            "time_in_force": "good_till_canceled",
            "self_trade_prevention_type": "taker_at_cross",
        }
        return self.call("POST", "/portfolio/events/orders", body | more)

    def tell(self, *call: Any) -> None:
        """Have a still exchange call its engine."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(call) + "\n")
        self.process.stdin.flush()

    @contextmanager
    def signing_as(self, key_id: str, pem: str) -> Iterator[None]:
        """Sign with another key for a while."""
        before = self.key_id, self.key
        self.key_id, self.key = key_id, serialization.load_pem_private_key(pem.encode(), password=None)
        yield
        self.key_id, self.key = before

    def own(self, path: str, body: Any) -> None:
        """A loopback call that Kalshi does not have."""
        assert self.session.post(self.ready["odds"] + path, json=body, timeout=10).status_code == 204

    def ledger(self) -> Any:
        return self.session.get(self.ready["odds"] + "/_paper/ledger", timeout=10).json()

    def socket(self) -> "Socket":
        return Socket(self)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=10)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)


class Socket:
    """A WebSocket session that remembers nothing: `next` gives one frame, `until` skips to one of a type."""

    def __init__(self, exchange: Exchange) -> None:
        headers = exchange.headers("GET", "/trade-api/ws/v2")
        self.ws = websocket.create_connection(
            exchange.ready["ws"], header=[f"{k}: {v}" for k, v in headers.items()], timeout=10
        )
        self._id = 0

    def send(self, cmd: str, **params: Any) -> int:
        self._id += 1
        self.ws.send(json.dumps({"id": self._id, "cmd": cmd, "params": params}))
        return self._id

    def next(self) -> Any:
        frame = json.loads(self.ws.recv())
        if SCHEMA.exists():
            check_frame(frame)
        return frame

    def until(self, kind: str) -> Any:
        while (frame := self.next())["type"] != kind:
            pass
        return frame


def until(check: Any, seconds: float = 10) -> Any:
    """Wait for a check to hold and return what it gave."""
    end = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.02)
    return value
