"""A paper exchange whose many markets do only what they are told: calls on its engine as JSON lines on stdin."""

import argparse
import json
import sys
import time
from pathlib import Path

import gevent
from gevent.fileobject import FileObject

from bot.paper.engine import Engine
from bot.paper.exchange import run
from bot.paper.model import Event, Market, Series
from bot.paper.venue import TIERS, Settings

HOUR = 3_600_000
BID, ASK, DEEP = 9_000, 9_100, 100_000
"""Each market begins with a favourite at 0.90 / 0.91, 1,000 contracts on either side."""

CALLS = ("set_level", "crowd_take", "pause", "unpause")
"""What a line may ask of the engine: [name, arguments without the time]."""


def ticker(number: int) -> str:
    return f"KXBTC15M-{number:03d}-T"


class Quiet:
    """Independent markets that outlive a restart of their exchange with their books as they were."""

    done = False
    odds = None

    def __init__(self, count: int) -> None:
        self._count = count
        self._levels: dict[tuple[str, str, int], int] = {}

    def start(self, engine: Engine, now_ms: int) -> None:
        engine.add_series(Series("KXBTC15M", "Quiet", "Crypto", "quadratic"))
        for number in range(self._count):
            name = ticker(number)
            event = name.rpartition("-")[0]
            engine.add_event(Event(event, "KXBTC15M", event, "", mutually_exclusive=False, category="Crypto"))
            end = now_ms + 2 * HOUR
            engine.add_market(Market(name, event, name, name, name, now_ms - 1000, end, end, end + HOUR), now_ms)
            for side, price in (("bid", BID), ("ask", ASK)):
                self._call(engine, now_ms, "set_level", name, side, price, DEEP)
        self._list_game(engine, now_ms)
        self._listen(engine)

    def _list_game(self, engine: Engine, now_ms: int) -> None:
        """A game that nobody trades: the bot asks for its odds."""
        engine.add_series(Series("KXNBAGAME", "Quiet game", "Sports", "quadratic"))
        engine.add_event(Event("KXNBAGAME-Q", "KXNBAGAME", "Quiet at Still", "", mutually_exclusive=True))
        end = now_ms + 2 * HOUR
        market = Market(
            "KXNBAGAME-Q-S", "KXNBAGAME-Q", "Quiet at Still", "Still", "Still", now_ms - 1000, end, end, end
        )
        engine.add_market(market, now_ms)

    def _listen(self, engine: Engine) -> None:
        def listen() -> None:
            for line in FileObject(sys.stdin.buffer, "rb"):
                for name, *arguments in json.loads(line):
                    self._call(engine, time.time_ns() // 1_000_000, name, *arguments)

        gevent.spawn(listen)

    def _call(self, engine: Engine, now_ms: int, name: str, *arguments: object) -> None:
        if name not in CALLS:
            raise ValueError(f"{name}: known are {', '.join(CALLS)}")
        if name == "set_level":
            place, side, price, count = arguments
            self._levels[str(place), str(side), int(str(price))] = int(str(count))
        getattr(engine, name)(*arguments, now_ms)

    def advance(self, engine: Engine, now_ms: int) -> None: ...

    def state(self) -> bytes:
        return json.dumps([[*place, count] for place, count in self._levels.items() if count]).encode()

    def restore(self, blob: bytes, engine: Engine, now_ms: int) -> None:
        for level in json.loads(blob):
            self._call(engine, now_ms, "set_level", *level)
        self._listen(engine)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bot.drill.quiet")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--markets", type=int, required=True)
    parser.add_argument("--tier", choices=TIERS, default="premier")
    options = parser.parse_args()
    return run(Settings(data_dir=options.data_dir, tier=options.tier), Quiet(options.markets), "quiet", 7)


if __name__ == "__main__":
    sys.exit(main())
