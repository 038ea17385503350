"""The running venue as the handlers see it: engine, member, tape, buckets, settings, reads that lag."""

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from bot.paper.auth import Algorithm, Keys
from bot.paper.engine import Engine
from bot.paper.faults import Faults
from bot.paper.hours import pause_ends_ms
from bot.paper.http import Bucket
from bot.paper.ledger import Account
from bot.paper.model import Halt, Listener, Order, Position, Rules, Settlement, Transfer
from bot.paper.odds_server import OddsSource, Quota
from bot.paper.state import State
from bot.paper.stream import Hub
from bot.paper.tape import Tape

TIERS = {
    "basic": ((240, 480), (120, 120)),
    "advanced": ((360, 720), (360, 720)),
    "expert": ((720, 720), (720, 1440)),
    "premier": ((1200, 1200), (1200, 2400)),
    "paragon": ((2400, 2400), (2400, 4800)),
    "prime": ((4800, 4800), (4800, 9600)),
    "prestige": ((12000, 12000), (9600, 19200)),
    "unlimited": ((10**9, 10**9), (10**9, 10**9)),
}
"""(read refill, capacity), (write refill, capacity) in tokens (kalshi-api.md section 7.1, after +20 %);
`unlimited` is ours, for measurements."""


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
    key_type: Algorithm = "rsa"
    ws_buffer: int = 4 << 20
    """Bytes that may wait for one slow WebSocket client."""
    ws_connections: int = 200
    """How many WebSocket connections the member may have at once."""
    request_timeout_s: float = 20.0
    """How long the headers, and then the body, of a request may take to arrive."""
    pump_ms: int = 50
    read_lag_ms: int = 0
    """How far the member's reads lag behind his writes."""
    weekly_pause: bool = False
    """Whether trading rests on Thursdays from 03:00 to 05:00 Eastern."""
    archive_after_ms: int = 90 * 86_400_000
    """After how long records move to the historical tier."""
    rules: Rules = Rules()


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
        self.past = Past(engine, account, settings.read_lag_ms, faults)
        self.resumes_ms: int | None = None
        """When a halt is expected to end, if that is known."""
        self.set_tier((state.note("tier") or settings.tier.encode()).decode())

    def set_tier(self, tier: str) -> None:
        """Give the account full buckets of a usage tier."""
        self.tier = tier
        (read, read_capacity), (write, write_capacity) = TIERS[tier]
        self.read = Bucket(read, read_capacity)
        self.write = Bucket(write, write_capacity)
        self.shard_writes: dict[int, Bucket] = {}

    def write_bucket(self, shard: int) -> Bucket:
        """The bucket of single writes that name a shard; 0 and below is the unscoped one (section 7.2)."""
        if shard <= 0:
            return self.write
        return self.shard_writes.setdefault(shard, Bucket(self.write.refill, self.write.capacity))

    def shard(self, ticker: str) -> int:
        """The shard of a market, listed or archived."""
        if market := self.engine.markets.get(ticker):
            return market.exchange_index
        archived = self.tape.archive.get(ticker)
        return archived.market.exchange_index if archived else 0

    def halt(self, halt: Halt, now_ms: int, resumes_ms: int | None = None) -> None:
        """Pause trading or the whole exchange until `resumes_ms` (None: until told otherwise), or go on ("")."""
        self.resumes_ms = resumes_ms if halt else None
        self.engine.set_halt(halt, now_ms)

    def keep_hours(self, now_ms: int) -> None:
        """Begin and end the pauses that are due."""
        if self.engine.halt and self.resumes_ms is not None and now_ms >= self.resumes_ms:
            self.halt("", now_ms)
        if self.settings.weekly_pause and not self.engine.halt and (ends_ms := pause_ends_ms(now_ms)):
            self.halt("trading", now_ms, ends_ms)

    def cutoff_ms(self, now_ms: int) -> int:
        """What is older belongs to the historical tier."""
        return now_ms - self.settings.archive_after_ms

    def beat(self, now_ms: int) -> None:
        """Let everything that follows the engine catch up: files, tape, lagging reads, streams."""
        self.state.flush()
        self.tape.beat(now_ms)
        self.past.beat(now_ms)
        self.hub.pulse(now_ms)


class Past(Listener):
    """The account as reads see it, `lag_ms` behind (kalshi-api.md section 4.0: reads lag writes)."""

    def __init__(self, engine: Engine, account: Account, lag_ms: int, faults: Faults) -> None:
        self.lag_ms = lag_ms
        self.struck_ms = 0
        """How far the read that is being answered lags by a fault."""
        self._account = account
        self._faults = faults
        self._changed = True
        self._kept: deque[tuple[int, Account]] = deque()
        engine.listeners.append(self)

    def account(self, now_ms: int) -> Account:
        """The newest state that is old enough to be seen."""
        lag_ms = max(self.lag_ms, self.struck_ms)
        if not lag_ms or not self._kept:
            return self._account
        old = (account for at_ms, account in reversed(self._kept) if at_ms <= now_ms - lag_ms)
        return next(old, self._kept[0][1])

    def beat(self, now_ms: int) -> None:
        keep_ms = max(self.lag_ms, self._faults.lag_ms)
        if not keep_ms:
            self._kept.clear()
        elif self._changed or not self._kept:
            self._kept.append((now_ms, self._account.copy()))
            self._changed = False
        while len(self._kept) > 1 and self._kept[1][0] <= now_ms - keep_ms:
            self._kept.popleft()

    def order(self, order: Order) -> None:
        self._changed = True

    def position(self, user_id: str, position: Position) -> None:
        self._changed = True

    def settlement(self, user_id: str, settlement: Settlement) -> None:
        self._changed = True

    def transfer(self, user_id: str, transfer: Transfer | None) -> None:
        self._changed = True


def clock() -> Callable[[], int]:
    """Epoch milliseconds that never run backwards."""
    last = 0

    def now_ms() -> int:
        nonlocal last
        last = max(last, time.time_ns() // 1_000_000)
        return last

    return now_ms
