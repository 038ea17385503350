"""Events: what the world tells the core. Each carries its time; the core has no clock."""

import msgspec

from bot.core.config import Config
from bot.core.grid import PriceGrid
from bot.core.trades import ExitPlan
from bot.core.units import Count, Money, Price
from bot.core.venue import (
    Market,
    Outcome,
    Quote,
    Settlement,
    Side,
    TimeInForce,
    Transfer,
    VenueFill,
    VenueOrder,
    VenuePosition,
)


class Boot(msgspec.Struct, frozen=True):
    """This process took over. `boot` seeds its ids and is unique for ever (os.urandom when live).

    `defaults` supplies parameters that the journaled settings do not have yet. `lost`: so many records at the end of
    the journal were durable once and are gone.
    """

    at_ms: int
    boot: str
    defaults: Config
    lost: int = 0


class Tick(msgspec.Struct, frozen=True):
    """The top of a market's book changed."""

    at_ms: int
    quote: Quote


class Told(msgspec.Struct, frozen=True):
    """What the private channels, or a reading since, last said of one market: the position, and what rests there."""

    count: Count
    resting: tuple[VenueOrder, ...] = ()


class Sweep(msgspec.Struct, frozen=True):
    """The 2 s look at every open trade: time exits, retries, and quotes (None = none that may be trusted), also of what
    is held without a trade."""

    at_ms: int
    quotes: dict[str, Quote | None]
    told: dict[str, Told] | None = None
    """By market, all that was told, for the check of our books against it; None: this is no full sweep."""


class Proposal(msgspec.Struct, frozen=True):
    """A strategy wants to enter: what, at which limit, protected how, and why."""

    strategy: str
    market: Market
    side: Side
    limit: Price
    count: Count
    time_in_force: TimeInForce
    plan: ExitPlan
    reason: str
    valid_ms: int = 5_000
    """How long after the decision its entry may still be sent."""


class Propose(msgspec.Struct, frozen=True):
    at_ms: int
    proposal: Proposal
    quote_age_ms: int
    """Since the quote it rests on was last known to be so."""
    journal_ok: bool = True
    """False while the journal's commits fail: nothing could be recorded before its act."""


class Sending(msgspec.Struct, frozen=True):
    """The executor is about to put the bytes of this order on the wire."""

    at_ms: int
    client_order_id: str


class CreateReplied(msgspec.Struct, frozen=True):
    at_ms: int
    client_order_id: str
    outcome: Outcome


class AmendReplied(msgspec.Struct, frozen=True):
    """`outcome.remaining` is what rests at the new price."""

    at_ms: int
    client_order_id: str
    outcome: Outcome


class CancelReplied(msgspec.Struct, frozen=True):
    at_ms: int
    client_order_id: str
    outcome: Outcome


class OrderSeen(msgspec.Struct, frozen=True):
    """The exchange described an order, on the private channel."""

    at_ms: int
    order: VenueOrder


class FillSeen(msgspec.Struct, frozen=True):
    at_ms: int
    fill: VenueFill


class OrderResolved(msgspec.Struct, frozen=True):
    """Look-up of an UNKNOWN order: found, or absent by the rule of DESIGN.md section 2."""

    at_ms: int
    client_order_id: str
    order: VenueOrder | None
    absent: bool


class AccountRead(msgspec.Struct, frozen=True):
    """One complete reading of the account. Partial or failed readings never become this event.

    Its parts are of different age: each shows everything up to `fresh_ms` (the exchange's own time), and perhaps more.
    """

    at_ms: int
    started_ms: int
    fresh_ms: int
    resting: tuple[VenueOrder, ...]
    fills: tuple[VenueFill, ...]
    """All fills since the last reading's cursor (with overlap), oldest first."""
    positions: tuple[VenuePosition, ...]
    balance: Money
    settlements: tuple[Settlement, ...]
    markets: dict[str, Market]
    """Facts of the markets with positions, for adoption."""
    quotes: dict[str, Quote] = {}
    """Their quotes at the reading."""
    shards: dict[str, Money] = {}
    """The balance by shard; empty where the exchange does not tell."""
    transfers: tuple[Transfer, ...] = ()
    """Deposits and withdrawals, read while cash differs."""


class MarketChange(msgspec.Struct, frozen=True):
    """A lifecycle message or reading: status in the words of kalshi-api.md 4.4, result once determined, and the terms
    that may change while a market lives; None where they were not told."""

    at_ms: int
    ticker: str
    status: str
    result: str = ""
    close_ms: int | None = None
    grid: PriceGrid | None = None


class Command(msgspec.Struct, frozen=True):
    """The operator's word. verbs: start pause stop kill rearm flatten close cancel plan configure."""

    at_ms: int
    verb: str
    actor: str
    args: dict[str, object]
    quotes: dict[str, Quote] = {}
    """Current quotes of markets with a live trade, for the exits that the word may fire."""
    market: Market | None = None
    """The market that the word is about, where it has no trade that knows it (claims)."""


Event = (
    Boot
    | Tick
    | Sweep
    | Propose
    | Sending
    | CreateReplied
    | AmendReplied
    | CancelReplied
    | OrderSeen
    | FillSeen
    | OrderResolved
    | AccountRead
    | MarketChange
    | Command
)
