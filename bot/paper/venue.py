"""The running venue as the handlers see it: engine, member, public tape, buckets, settings."""

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from bot.paper.auth import Keys
from bot.paper.engine import Engine
from bot.paper.faults import Faults
from bot.paper.http import Bucket
from bot.paper.ledger import Account
from bot.paper.model import Listener, Trade
from bot.paper.odds_server import OddsSource, Quota
from bot.paper.state import State
from bot.paper.stream import Hub

TIERS = {
    "basic": ((240, 480), (120, 120)),
    "advanced": ((360, 720), (360, 720)),
    "expert": ((720, 720), (720, 1440)),
    "premier": ((1200, 1200), (1200, 2400)),
    "paragon": ((2400, 2400), (2400, 4800)),
    "prime": ((4800, 4800), (4800, 9600)),
    "prestige": ((12000, 12000), (9600, 19200)),
}
"""(read refill, capacity), (write refill, capacity) in tokens (kalshi-api.md section 7.1, after +20 %)."""


class Life(Protocol):
    """What makes an engine's markets live: a synthetic world or a recording."""

    @property
    def done(self) -> bool: ...

    @property
    def odds(self) -> OddsSource | None: ...

    def start(self, engine: Engine, now_ms: int) -> None: ...

    def advance(self, engine: Engine, now_ms: int) -> None: ...

    def state(self) -> bytes: ...

    def restore(self, blob: bytes, engine: Engine, now_ms: int) -> None: ...


class Settings(msgspec.Struct, frozen=True):
    data_dir: Path
    port: int = 0
    cash: int = 1_000_000_000
    """The member's first cash, in money."""
    tier: str = "basic"
    window_ms: int = 15_000
    ws_buffer: int = 4 << 20
    """Bytes that may wait for one slow WebSocket client."""
    pump_ms: int = 50


class Tape(Listener):
    """The latest public trades, oldest first."""

    def __init__(self, length: int = 20_000) -> None:
        self.trades: deque[Trade] = deque(maxlen=length)

    def trade(self, trade: Trade) -> None:
        self.trades.append(trade)


class Venue:
    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        life: Life,
        keys: Keys,
        account: Account,
        state: State,
        hub: Hub,
        tape: Tape,
        faults: Faults,
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.life = life
        self.keys = keys
        self.account = account
        self.state = state
        self.hub = hub
        self.tape = tape
        self.faults = faults
        self.quota = Quota()
        self.now_ms = clock()
        (read, read_capacity), (write, write_capacity) = TIERS[settings.tier]
        self.read = Bucket(read, read_capacity)
        self.write = Bucket(write, write_capacity)


def clock() -> Callable[[], int]:
    """Epoch milliseconds that never run backwards."""
    last = 0

    def now_ms() -> int:
        nonlocal last
        last = max(last, time.time_ns() // 1_000_000)
        return last

    return now_ms
