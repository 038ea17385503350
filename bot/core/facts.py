"""Facts: what happened, as journaled. Replay folds them; it never decides anew."""

from typing import Literal

import msgspec

from bot.core.config import Config
from bot.core.grid import PriceGrid
from bot.core.orders import OrderEvent, Purpose
from bot.core.trades import ExitKind, ExitPlan, TradeEvent
from bot.core.units import Count, Money, Price
from bot.core.venue import Market, Settlement, Side, TimeInForce, VenueFill, VenueOrder, VenuePosition

TradingMode = Literal["RUNNING", "PAUSED", "REDUCING", "HALTED"]


class _Journaled(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """A field that this version does not know is refused, never dropped: a newer version may have put a stop there."""


class Booted(_Journaled, frozen=True):
    """A process took over this journal, and found so many of its records `lost`."""

    at_ms: int
    boot: str
    lost: int = 0


class ClockSetBack(_Journaled, frozen=True):
    """The program's clock stands before what is already recorded; `by_ms` is how far at least."""

    at_ms: int
    by_ms: int


class ModeChanged(_Journaled, frozen=True):
    at_ms: int
    mode: TradingMode
    reason: str
    actor: str
    until_ms: int = 0
    """When it ends by itself; 0: not before somebody says so."""


class Marked(_Journaled, frozen=True):
    """The peak of the result so far, realised and unrealised, and what it was when the UTC day of `at_ms` began."""

    at_ms: int
    peak: Money
    day_open: Money
    unpriced: bool = False
    """Something had no price when the day began: `day_open` is raised to the first result with all prices."""


class ConfigChanged(_Journaled, frozen=True):
    at_ms: int
    config: Config


class TradeOpened(_Journaled, frozen=True):
    """A bracket exists: market, entry side and exit plan. Its orders follow as their own facts."""

    at_ms: int
    trade_id: str
    ticker: str
    side: Side
    strategy: str
    market: Market
    plan: ExitPlan
    reason: str
    rules_version: int
    adopted: Count = Count(0)
    adopted_cost: Money = Money(0)


class OrderIntended(_Journaled, frozen=True):
    """An order is about to be sent. For an entry this is durable before its bytes leave."""

    at_ms: int
    client_order_id: str
    trade_id: str
    ticker: str
    side: Side
    price: Price
    count: Count
    time_in_force: TimeInForce
    purpose: Purpose
    fee_reserve: Money
    valid_until_ms: int = 0
    """An entry is not sent after this."""


class OrderMoved(_Journaled, frozen=True):
    """An order took one step of its table. `filled` is the exchange's figure so far."""

    at_ms: int
    client_order_id: str
    event: OrderEvent
    order_id: str = ""
    filled: Count = Count(0)
    reason: str = ""
    again_ms: int = 0
    """A deferred order may be sent again from then on."""


class OrderAmended(_Journaled, frozen=True):
    """A target that rests is to leave at this price instead: its limit from now on."""

    at_ms: int
    client_order_id: str
    price: Price


class OrderRecalled(_Journaled, frozen=True):
    """The operator called an entry back: it is not sent any more, and cancelled wherever it rests, until its end is
    proven; whatever the mode is by then."""

    at_ms: int
    client_order_id: str


class FillBooked(_Journaled, frozen=True):
    """A fill changed position and cash. `client_order_id` is empty while its order is not known to be ours."""

    at_ms: int
    fill: VenueFill
    client_order_id: str


class FillClaimed(_Journaled, frozen=True):
    """A fill booked earlier turned out to belong to this order."""

    at_ms: int
    fill_id: str
    client_order_id: str


class ExitFired(_Journaled, frozen=True):
    """A trade is being left. `again`: orders can be sent again after a time in which none could, and the bound begins
    anew at the price seen now."""

    at_ms: int
    trade_id: str
    kind: ExitKind
    trigger: Price
    again: bool = False


class ExitAttempted(_Journaled, frozen=True):
    """Exit order number `attempt` of the trade was handed to the executor; none before `retry_ms`.

    Not `taken`: the exchange refused it, was not reached, or did not answer.
    """

    at_ms: int
    trade_id: str
    attempt: int
    retry_ms: int
    taken: bool = True


class TradeMoved(_Journaled, frozen=True):
    at_ms: int
    trade_id: str
    event: TradeEvent
    exit_kind: ExitKind | None = None


class PlanChanged(_Journaled, frozen=True):
    """`author` is the operator; the plan's own rule that carried the stop: trailing or break-even; or market: prices or
    close changed, and target or time exit with them."""

    at_ms: int
    trade_id: str
    plan: ExitPlan
    author: str = ""


class QuoteVanished(_Journaled, frozen=True):
    """The side a trade can be left at became empty (`vanished_ms` > 0), stayed so long enough to be believed
    (`confirmed`), or came back (0)."""

    at_ms: int
    trade_id: str
    vanished_ms: int
    confirmed: bool = False


class PositionAdopted(_Journaled, frozen=True):
    """A position found on the exchange. `protect`: at the baseline, and a trade with the default plan follows as soon
    as its market can be read; else the operator accepted it as it is."""

    at_ms: int
    ticker: str
    count: Count
    cost: Money
    realized: Money
    fees: Money
    protect: bool = False
    lost: Money = Money(0)
    """What those contracts of ours had cost that are gone by the operator's word: nobody knows what they brought."""


class OrderAdopted(_Journaled, frozen=True):
    """An order of ours whose record was lost is known again; its fills up to `booked` are in the books already."""

    at_ms: int
    client_order_id: str
    trade_id: str
    purpose: Purpose
    order: VenueOrder
    booked: Count
    recall: bool
    """Cancel it whenever it rests."""


class CashMoved(_Journaled, frozen=True):
    """Money was paid in or out: named by the exchange (`transfer_id`), or a difference that the operator accepted."""

    at_ms: int
    amount: Money
    transfer_id: str
    actor: str
    recovered: Money = Money(0)
    """The part of it that contracts brought which were booked as lost (PositionAdopted)."""


class SettlementBooked(_Journaled, frozen=True):
    at_ms: int
    settlement: Settlement


class SeenBefore(_Journaled, frozen=True):
    """Fills and settlements older than the baseline: known, and never to be booked."""

    at_ms: int
    fill_ids: dict[str, int]
    settlement_ids: dict[str, int]


class CashBaseline(_Journaled, frozen=True):
    """The exchange's balance at the first full reading: our books start here."""

    at_ms: int
    cash: Money


DifferenceKind = Literal["position", "cash", "order", "channel"]


class Difference(_Journaled, frozen=True):
    """Ours and the exchange's figures differ beyond read lag; `kind` position, cash, order (somebody else's), or
    channel (the private channels tell another position than our books)."""

    at_ms: int
    kind: DifferenceKind
    key: str
    ours: int
    theirs: int
    resolved: bool = False
    order: VenueOrder | None = None
    """Of kind order: a resting order that is not ours."""
    position: VenuePosition | None = None
    """Of kind position: the exchange's own figures."""


class Suspected(_Journaled, frozen=True):
    """A difference seen once: it counts when it outlasts read lag. `since_ms` 0 withdraws it."""

    at_ms: int
    key: str
    since_ms: int


class Reconciled(_Journaled, frozen=True):
    """A full reading of the account was compared with our books. `shards`: cash by shard, where it was told."""

    at_ms: int
    read_ms: int
    shards: dict[str, Money] = {}


class MarketMoved(_Journaled, frozen=True):
    """A held market changed status: paused, active, closed, determined, settled."""

    at_ms: int
    ticker: str
    status: str


class TermsChanged(_Journaled, frozen=True):
    """The market of a live trade has other prices from now on, or closes at another time."""

    at_ms: int
    trade_id: str
    grid: PriceGrid
    close_ms: int


class Forgotten(_Journaled, frozen=True):
    """Ended orders, trades and old ids leave the state (history keeps them): work does not grow with history."""

    at_ms: int
    before_ms: int


Fact = (
    Booted
    | ClockSetBack
    | OrderAmended
    | OrderRecalled
    | ModeChanged
    | Marked
    | ConfigChanged
    | TradeOpened
    | OrderIntended
    | OrderMoved
    | FillBooked
    | FillClaimed
    | ExitFired
    | ExitAttempted
    | TradeMoved
    | PlanChanged
    | QuoteVanished
    | PositionAdopted
    | OrderAdopted
    | CashMoved
    | SettlementBooked
    | SeenBefore
    | CashBaseline
    | Difference
    | Suspected
    | Reconciled
    | MarketMoved
    | TermsChanged
    | Forgotten
)

_encoder = msgspec.json.Encoder(order="deterministic")
_decoder: msgspec.json.Decoder[Fact] = msgspec.json.Decoder(Fact)


def encode(fact: Fact) -> bytes:
    return _encoder.encode(fact)


def decode(record: bytes) -> Fact:
    """msgspec.DecodeError when the record is not a fact this version knows."""
    return _decoder.decode(record)
