"""A paper exchange whose many markets do only what a test says: calls on the engine as JSON lines on stdin."""

import json
import sys
from pathlib import Path

import gevent
from gevent.fileobject import FileObject

from bot.paper.engine import Engine
from bot.paper.exchange import run
from bot.paper.model import Event, Market, Series
from bot.paper.venue import Settings

HOUR = 3_600_000


def ticker(number: int) -> str:
    return f"KXBTC15M-{number:03d}-T"


class Quiet:
    """Independent markets, each with a favourite at 0.90 / 0.91."""

    done = False
    odds = None

    def __init__(self, count: int) -> None:
        self._count = count

    def start(self, engine: Engine, now_ms: int) -> None:
        engine.add_series(Series("KXBTC15M", "Quiet", "Crypto", "quadratic"))
        for number in range(self._count):
            name = ticker(number)
            event = name.rpartition("-")[0]
            engine.add_event(Event(event, "KXBTC15M", event, "", mutually_exclusive=False, category="Crypto"))
            end = now_ms + 2 * HOUR
            engine.add_market(Market(name, event, name, name, name, now_ms - 1000, end, end, end + HOUR), now_ms)
            engine.set_level(name, "bid", 9_000, 100_000, now_ms)
            engine.set_level(name, "ask", 9_100, 100_000, now_ms)
        self._listen(engine)

    def _listen(self, engine: Engine) -> None:
        def listen() -> None:
            import time

            for line in FileObject(sys.stdin.buffer, "rb"):
                for name, side, price, count in json.loads(line):
                    engine.set_level(name, side, price, count, time.time_ns() // 1_000_000)

        gevent.spawn(listen)

    def advance(self, engine: Engine, now_ms: int) -> None: ...

    def state(self) -> bytes:
        return b"quiet"

    def restore(self, blob: bytes, engine: Engine, now_ms: int) -> None:
        self._listen(engine)


if __name__ == "__main__":
    sys.exit(run(Settings(data_dir=Path(sys.argv[1]), tier="premier"), Quiet(int(sys.argv[2])), "quiet", 7))
