"""The single source of truth: everything the core knows, what a snapshot keeps of it, and its hash."""

import hashlib

import msgspec

from bot.core import facts as f
from bot.core.config import Config
from bot.core.orders import Order
from bot.core.positions import Position
from bot.core.trades import Trade
from bot.core.units import Count, Money
from bot.core.venue import VenueOrder, VenuePosition

SCHEMA = 1
"""Version of this state and of the facts; a snapshot of another version is not loaded."""


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A difference between our books and the exchange's that outlasted read lag."""

    kind: f.DifferenceKind
    key: str
    ours: int
    theirs: int
    since_ms: int
    order: VenueOrder | None = None
    """The resting order that is not ours, for a finding of kind order."""
    position: VenuePosition | None = None
    """The exchange's own figures, for a finding of kind position."""


class Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one fill or settlement changed: a reading may have been made before it (`at_ms` is the exchange's time)."""

    at_ms: int
    ticker: str
    count: Count
    cash: Money


class TradingState(msgspec.Struct, forbid_unknown_fields=True):
    """Everything the core knows. `cash` is None until the first full reading of the account gave the baseline."""

    config: Config
    mode: f.TradingMode
    mode_reason: str
    mode_actor: str
    mode_since_ms: int
    mode_until_ms: int = 0
    """When the mode ends by itself; 0: not before somebody says so."""
    started: bool = False
    """Entries have been on before."""
    schema: int = SCHEMA
    facts: int = 0
    clock_ms: int = 0
    newest_ms: int = 0
    """When the newest fact was recorded, and the latest time of any: they differ after the clock was set back."""
    boot: str = ""
    booted_ms: int = 0
    ids: int = 0
    cash: Money | None = None
    baseline: Money = Money(0)
    began_ms: int = 0
    """When the books began: at the first full reading."""
    lost_from_ms: int = 0
    lost_ms: int = 0
    """When records were last found lost, and the last reading that is still there: what happened between is unknown."""
    realized: Money = Money(0)
    fees: Money = Money(0)
    day: int = 0
    day_realized: Money = Money(0)
    peak: Money = Money(0)
    marked_day: int = 0
    day_open: Money = Money(0)
    """The result when `marked_day` began, and its peak so far: realised and unrealised, without what was paid in."""
    day_unpriced: bool = False
    """Something had no price when `day_open` was taken."""
    gone: Count = Count(0)
    gone_cost: Money = Money(0)
    """Contracts of ours that the operator accepted as gone, in the UTC day of `day`; and what of their cost is booked
    as lost and not made good by cash that he accepted."""
    loss_streak: int = 0
    rejects: int = 0
    errors: list[int] = []
    """Losing trades and refused entries in a row; when orders became unknown. A change of mode begins them anew."""
    reconciled_ms: int = 0
    read_ms: int = 0
    shards: dict[str, Money] = {}
    """Cash on each shard at the last reading; empty where the exchange does not tell."""
    positions: dict[str, Position] = {}
    orders: dict[str, Order] = {}
    trades: dict[str, Trade] = {}
    live_trade: dict[str, str] = {}
    """Ticker -> id of the one live trade there."""
    order_ids: dict[str, str] = {}
    """Exchange's order id -> our client order id."""
    unclaimed: dict[str, f.FillBooked] = {}
    """Fills booked to the position whose order is not known to be ours (yet)."""
    fill_ids: dict[str, int] = {}
    settlement_ids: dict[str, int] = {}
    forgotten_ms: int = 0
    unprotected: set[str] = set()
    """Markets of positions found at the baseline that wait for their trade: the market could not be read yet."""
    status: dict[str, str] = {}
    suspects: dict[str, int] = {}
    findings: dict[str, Finding] = {}
    moves: list[Move] = []
    """The newest changes of positions and cash, which a reading may show or not."""
    transfers: dict[str, int] = {}
    """Deposits and withdrawals that are booked; few, and never forgotten."""

    def position(self, ticker: str) -> Position:
        return self.positions.get(ticker) or Position(ticker)

    def trade_at(self, ticker: str) -> Trade | None:
        """The live trade of this market."""
        trade_id = self.live_trade.get(ticker)
        return self.trades[trade_id] if trade_id else None

    def held(self, trade: Trade) -> int:
        """The account's position in the trade's direction."""
        count = self.position(trade.ticker).count
        return count if trade.side == "bid" else -count

    def orders_of(self, trade_id: str) -> list[Order]:
        return [o for o in self.orders.values() if o.trade_id == trade_id]

    def watched(self) -> set[str]:
        """Markets whose status is asked for: those of live trades, and those last told as paused."""
        return {*self.live_trade, *(ticker for ticker, status in self.status.items() if status == "inactive")}

    def held_markets(self) -> set[str]:
        """Where something is held, or a trade is live: their prices are followed, and mark the result."""
        return {*self.live_trade, *(ticker for ticker, position in self.positions.items() if position.count)}

    def tradeable(self, ticker: str) -> bool:
        """Whether the exchange takes orders there, as far as we were told."""
        return self.status.get(ticker, "active") == "active"


def new_state(config: Config, mode: f.TradingMode, at_ms: int) -> TradingState:
    return TradingState(config=config, mode=mode, mode_reason="first start", mode_actor="system", mode_since_ms=at_ms)


def settlement_key(ticker: str, settled_ms: int) -> str:
    return f"{ticker}@{settled_ms}"


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(TradingState)


def dump(state: TradingState) -> bytes:
    """Canonical bytes: equal states give equal bytes, on any Python and any hash seed."""
    return _encoder.encode(state)


def load(blob: bytes) -> TradingState:
    """ValueError when the snapshot is of another schema; msgspec.DecodeError when it is broken."""
    state = _decoder.decode(blob)
    if state.schema != SCHEMA:
        raise ValueError(f"snapshot has schema {state.schema}, this version reads {SCHEMA}")
    return state


def hash_of(blob: bytes) -> str:
    """Hash of a dumped state. A stored snapshot is checked as stored: an older version may have dumped fewer fields."""
    return hashlib.sha256(blob).hexdigest()


def state_hash(state: TradingState) -> str:
    return hash_of(dump(state))
