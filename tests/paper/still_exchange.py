"""A real exchange process whose markets do only what a test says: calls on the engine as JSON lines on stdin."""

import json
import sys
from pathlib import Path
from typing import Any

import gevent
from gevent.fileobject import FileObject

from bot.paper.engine import Engine
from bot.paper.exchange import run
from bot.paper.model import Event, FeeChange, Market, Milestone, Rules, Series, StructuredTarget
from bot.paper.venue import Settings

DAY = 86_400_000
EVENT = "KXNBAGAME-26NOV21BOSDET"
BOS, DET = f"{EVENT}-BOS", f"{EVENT}-DET"


class Still:
    """One game with two markets and no liquidity."""

    done = False
    odds = None

    def __init__(self, shard: int = 0) -> None:
        self.shard = shard

    def start(self, engine: Engine, now_ms: int) -> None:
        engine.add_series(Series("KXNBAGAME", "Pro basketball game", "Sports", tags=["Basketball"]))
        scope = {"competition": "Pro Basketball (M)", "competition_scope": "Game"}
        event = Event(EVENT, "KXNBAGAME", "Boston at Detroit", "BOS at DET (Nov 21)", product_metadata=scope)
        event.updated_ms, event.exchange_index = now_ms, self.shard
        engine.add_event(event)
        engine.add_target(StructuredTarget("t-bos", "Boston", "basketball_team", {"abbreviation": "BOS"}))
        engine.add_milestone(
            Milestone("m-1", "Sports", "basketball_game", now_ms + DAY, "Boston at Detroit", [EVENT], [EVENT], {})
        )
        for ticker, name in ((BOS, "Boston"), (DET, "Detroit")):
            engine.add_market(
                Market(
                    ticker,
                    EVENT,
                    f"{name} wins",
                    name,
                    name,
                    now_ms - 1000,
                    now_ms + 20 * DAY,
                    now_ms + DAY,
                    now_ms + 20 * DAY,
                    settlement_timer_s=0,
                ),
                now_ms,
            )
        self._listen(engine)

    def _listen(self, engine: Engine) -> None:
        def listen() -> None:
            for line in FileObject(sys.stdin.buffer, "rb"):
                name, *arguments = json.loads(line)
                if name == "change_fees":
                    arguments[0] = FeeChange(**arguments[0])
                getattr(engine, name)(*[now() if value == "now" else value for value in arguments])

        gevent.spawn(listen)

    def advance(self, engine: Engine, now_ms: int) -> None: ...

    def state(self) -> bytes:
        return b"still"

    def restore(self, blob: bytes, engine: Engine, now_ms: int) -> None:
        self._listen(engine)


def now() -> int:
    import time

    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    options: dict[str, Any] = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    life = Still(options.pop("shard", 0))
    rules = Rules(**options.pop("rules", {}))
    sys.exit(run(Settings(data_dir=Path(sys.argv[1]), rules=rules, **options), life, "still", 7))
