"""A trade: one market, its entry and exit plan; its life cycle as a table; when an exit is due."""

from enum import StrEnum
from typing import Literal

import msgspec

from bot.core.fees import fee
from bot.core.units import ONE, Count, Money, Price
from bot.core.venue import Market, Quote, Side


class TradeState(StrEnum):
    OPENING = "opening"
    OPEN = "open"
    EXITING = "exiting"
    CLOSED = "closed"
    ABORTED = "aborted"


TradeEvent = Literal["entry_filled", "entry_ended", "exit_fired", "stood_down", "flat"]
ExitKind = Literal["stop", "target", "time", "flatten", "settlement", "external"]

TRAIL_STEP = 100
"""A trailing stop moves by at least this price: one cent."""

T = TradeState
TRANSITIONS: dict[tuple[TradeState, TradeEvent], TradeState] = {
    (T.OPENING, "entry_filled"): T.OPEN,
    (T.OPENING, "entry_ended"): T.ABORTED,
    (T.OPEN, "exit_fired"): T.EXITING,
    (T.OPEN, "flat"): T.CLOSED,
    (T.EXITING, "exit_fired"): T.EXITING,
    (T.EXITING, "stood_down"): T.OPEN,
    (T.EXITING, "flat"): T.CLOSED,
    (T.ABORTED, "entry_filled"): T.OPEN,
    (T.CLOSED, "entry_filled"): T.OPEN,
}
"""A late entry fill re-opens an ended trade: whatever arrives is protected."""

ENDED = frozenset({T.CLOSED, T.ABORTED})


def advance(state: TradeState, event: TradeEvent) -> TradeState | None:
    """The next state, or None when the table refuses the event."""
    return TRANSITIONS.get((state, event))


class ExitPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When and how far to go. Prices are YES prices at the side we can trade on (bid for a long, ask for a short)."""

    stop: Price | None
    target: Price | None
    time_exit_ms: int | None
    bound: Price
    """How far beyond the trigger the first exit orders may go."""
    escalate_ms: int
    """Each time this passes without being flat, the bound grows by itself, down to the grid's last price."""
    trail: Price | None = None
    """The stop follows the best price seen at this distance."""
    break_even_after: Price | None = None
    """Once the price is this much better than the entry's, the stop goes to the break-even price."""
    rest_target: bool = False
    """The target rests in the book as an order, instead of being taken on the tick."""


class Trade(msgspec.Struct, forbid_unknown_fields=True):
    """`side` is the entry's: bid holds YES, ask holds NO. Counts and money come from booked fills only."""

    id: str
    ticker: str
    side: Side
    strategy: str
    market: Market
    plan: ExitPlan
    opened_ms: int
    state: TradeState = TradeState.OPENING
    reason: str = ""
    rules_version: int = 0
    entered: Count = Count(0)
    entry_cost: Money = Money(0)
    exited: Count = Count(0)
    exit_proceeds: Money = Money(0)
    fees: Money = Money(0)
    exit_kind: ExitKind | None = None
    exit_trigger: Price | None = None
    exit_fired_ms: int = 0
    exit_held_ms: int = 0
    """Up to when no exit order could be sent since it fired; that time does not count for the bound."""
    exit_attempt: int = 0
    targets: int = 0
    """Orders that were to rest at its target so far; each has a number of its own."""
    exit_retry_ms: int = 0
    vanished_ms: int = 0
    vanish_confirmed: bool = False
    closed_ms: int = 0
    lost: bool = False
    """It ended with a loss, and is counted in the losing streak."""

    def live(self) -> bool:
        return self.state not in ENDED

    def open_count(self) -> Count:
        return Count(self.entered - self.exited)

    def pnl(self) -> Money:
        """Profit after fees of a closed trade."""
        return Money(self.exit_proceeds - self.entry_cost - self.fees)


def exit_quote(side: Side, quote: Quote) -> Price | None:
    """The price a trade entered on `side` can be left at: bid for a long, ask for a short; None if that is empty."""
    return quote.bid if side == "bid" else quote.ask


def due(trade: Trade, price: Price | None, now_ms: int) -> ExitKind | None:
    """Which exit rule holds now. The stop outranks the target; time needs no price."""
    plan, long = trade.plan, trade.side == "bid"
    if price is not None:
        if plan.stop is not None and (price <= plan.stop if long else price >= plan.stop):
            return "stop"
        if plan.target is not None and (price >= plan.target if long else price <= plan.target):
            return "target"
    if plan.time_exit_ms is not None and now_ms >= plan.time_exit_ms:
        return "time"
    return None


def exit_limit(trade: Trade, now_ms: int) -> Price:
    """The limit of the next exit order: the trigger less the bound, which grows with every `escalate_ms` not flat
    in which orders could be sent.

    An immediate-or-cancel order trades at the resting orders' prices, so a far limit costs nothing while the
    book is deep; the bound only caps how far it may sweep a thin one.
    """
    trigger = trade.exit_trigger
    assert trigger is not None, "an exit has a trigger price once it fired"
    grid, plan = trade.market.grid, trade.plan
    if trade.exit_kind == "target":
        return on_grid(trade, trigger)
    steps = 1 + (now_ms - max(trade.exit_fired_ms, trade.exit_held_ms)) // plan.escalate_ms
    reach = plan.bound * steps
    return grid.down(trigger - reach) if trade.side == "bid" else grid.up(trigger + reach)


def on_grid(trade: Trade, target: Price) -> Price:
    """The nearest price of the market that is at least as good to leave at."""
    grid = trade.market.grid
    return grid.up(target) if trade.side == "bid" else grid.down(target)


def carried_stop(trade: Trade, price: Price) -> tuple[Price, str] | None:
    """Where the plan's rules carry the stop at this price, and the rule's name; None when it stays.

    It only moves in our favour and never reaches the price. Trailing moves it by a cent or more, so that a run of small
    ticks is not a run of facts.
    """
    plan, sign, grid = trade.plan, 1 if trade.side == "bid" else -1, trade.market.grid
    stands = sign * plan.stop if plan.stop is not None else -ONE
    found: list[tuple[int, str]] = []
    if plan.trail is not None:
        behind = price - sign * plan.trail
        level = sign * (grid.down(behind) if sign > 0 else grid.up(behind))
        if level >= stands + TRAIL_STEP:
            found.append((level, "trailing"))
    gained = sign * price - _entry_price(trade)
    if (
        plan.break_even_after is not None
        and gained >= plan.break_even_after
        and (even := break_even(trade)) is not None
    ):
        level = sign * (grid.up(even) if sign > 0 else grid.down(even))
        if level > stands:
            found.append((level, "break-even"))
    level, rule = max((x for x in found if x[0] < sign * price), default=(0, ""))
    return (Price(sign * level), rule) if rule else None


def _entry_price(trade: Trade) -> int:
    """The average YES price of the entry, signed as the position: higher is dearer to leave at for both sides."""
    each = trade.entry_cost // trade.entered
    return each if trade.side == "bid" else each - ONE


def break_even(trade: Trade) -> Price | None:
    """The YES price at which leaving as taker returns what the open contracts cost, all fees included."""
    if not trade.entered:
        return None
    market, count = trade.market, trade.entered
    each = -(-(trade.entry_cost + trade.fees) // count)

    def needed(price: int) -> int:
        return each + -(-fee(market.fee_type, market.fee_multiplier, min(price, ONE), count, taker=True) // count)

    even = needed(needed(each))
    while (more := needed(even)) > even:
        even = more
    even = min(even, ONE)
    return Price(even) if trade.side == "bid" else Price(ONE - even)
