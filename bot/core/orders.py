"""The life cycle of one order: a table of state x event -> state. Anything else is refused, state unchanged."""

import re
from enum import StrEnum
from typing import Literal
from zlib import crc32

import msgspec

from bot.core.units import Count, Money, Price
from bot.core.venue import NotSent, Rejected, Side, TimeInForce


class OrderState(StrEnum):
    INTENT = "intent"
    SENDING = "sending"
    DEFERRED = "deferred"
    RESTING = "resting"
    PARTLY_FILLED = "partly_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


OrderEvent = Literal[
    "sent", "rested", "part_filled", "filled", "cancelled", "rejected", "lost", "absent", "deferred", "again"
]
"""sent: its bytes are leaving. lost: the outcome is unknown. absent: proven never to have been applied. deferred: not
applied this time, for a reason that passes. again: handed to the executor once more."""

S = OrderState
TRANSITIONS: dict[tuple[OrderState, OrderEvent], OrderState] = {
    (S.INTENT, "sent"): S.SENDING,
    (S.INTENT, "rejected"): S.REJECTED,
    (S.INTENT, "lost"): S.UNKNOWN,
    (S.SENDING, "rested"): S.RESTING,
    (S.SENDING, "part_filled"): S.PARTLY_FILLED,
    (S.SENDING, "filled"): S.FILLED,
    (S.SENDING, "cancelled"): S.CANCELLED,
    (S.SENDING, "rejected"): S.REJECTED,
    (S.SENDING, "lost"): S.UNKNOWN,
    (S.SENDING, "deferred"): S.DEFERRED,
    (S.DEFERRED, "again"): S.INTENT,
    (S.DEFERRED, "rejected"): S.REJECTED,
    (S.RESTING, "rested"): S.RESTING,
    (S.RESTING, "part_filled"): S.PARTLY_FILLED,
    (S.RESTING, "filled"): S.FILLED,
    (S.RESTING, "cancelled"): S.CANCELLED,
    (S.RESTING, "lost"): S.UNKNOWN,
    (S.PARTLY_FILLED, "part_filled"): S.PARTLY_FILLED,
    (S.PARTLY_FILLED, "filled"): S.FILLED,
    (S.PARTLY_FILLED, "cancelled"): S.CANCELLED,
    (S.PARTLY_FILLED, "lost"): S.UNKNOWN,
    (S.UNKNOWN, "sent"): S.UNKNOWN,
    (S.UNKNOWN, "rested"): S.RESTING,
    (S.UNKNOWN, "part_filled"): S.PARTLY_FILLED,
    (S.UNKNOWN, "filled"): S.FILLED,
    (S.UNKNOWN, "cancelled"): S.CANCELLED,
    (S.UNKNOWN, "lost"): S.UNKNOWN,
    (S.UNKNOWN, "absent"): S.REJECTED,
    (S.CANCELLED, "cancelled"): S.CANCELLED,
    (S.CANCELLED, "filled"): S.FILLED,
    (S.FILLED, "filled"): S.FILLED,
}

_FORM = re.compile(r"[0-9a-z]+-[0-9]+\.[a-z][0-9]*")

SPENT = frozenset({"already_exists", "refused_again"})
"""Reasons of an UNKNOWN exit whose id does nothing more when sent again: the next attempt waits for no proof."""

SENDS = 3
"""An entry is sent at most so often."""

AGAIN_MS = 250
"""Before the second send of an entry, twice that before the third; as much again of jitter at most."""

PASSING = frozenset({"exchange_paused", "trading_paused"})
"""Refusals that may be over in a moment (kalshi-api.md 4, "Error codes known"), besides a rate limit."""

LIVE = frozenset({S.INTENT, S.SENDING, S.DEFERRED, S.RESTING, S.PARTLY_FILLED, S.UNKNOWN})


def advance(state: OrderState, event: OrderEvent) -> OrderState | None:
    """The next state, or None when the table refuses the event."""
    return TRANSITIONS.get((state, event))


def has_our_form(client_order_id: str) -> bool:
    """Whether a program like this one made the id: `boot-number.e`, `.x1` and so on."""
    return _FORM.fullmatch(client_order_id) is not None


Purpose = Literal["entry", "exit", "target"]
"""A target rests in the book; taken on the tick, it is an exit."""


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """One order of ours. `filled` is what the exchange reported, `booked` what arrived as fills."""

    client_order_id: str
    trade_id: str
    ticker: str
    side: Side
    price: Price
    count: Count
    time_in_force: TimeInForce
    purpose: Purpose
    created_ms: int
    state: OrderState = OrderState.INTENT
    order_id: str = ""
    filled: Count = Count(0)
    booked: Count = Count(0)
    sent_ms: int = 0
    sends: int = 0
    again_ms: int = 0
    """A deferred entry is not sent again before this."""
    valid_until_ms: int = 0
    """An entry rests on an old picture after this, and is not sent any more."""
    changed_ms: int = 0
    reason: str = ""
    fee_reserve: Money = Money(0)
    fees: Money = Money(0)
    recall: bool = False
    """To be cancelled whenever it rests: the operator called it back, or its record was lost."""

    def live(self) -> bool:
        return self.state in LIVE

    def rests(self) -> bool:
        """Known to be in the book, with every fill reported so far booked."""
        return self.state in (OrderState.RESTING, OrderState.PARTLY_FILLED) and self.booked >= self.filled

    def outstanding(self) -> Count:
        """Contracts that may still change the position: unfilled while live, and reported fills not yet booked."""
        if self.live():
            return Count(self.count - self.booked)
        return Count(max(self.filled - self.booked, 0))

    def reserved(self) -> Money:
        """Money an entry may still need: its outstanding contracts at its limit price, with their fee."""
        if self.purpose != "entry":
            return Money(0)
        each = self.price if self.side == "bid" else 10_000 - self.price
        outstanding = self.outstanding()
        fee = -(-self.fee_reserve * outstanding // self.count) if self.count else 0
        return Money(each * outstanding + fee)


def passing(outcome: Rejected | NotSent) -> bool:
    """Whether what was refused may be taken a little later."""
    return isinstance(outcome, NotSent) or outcome.status == 429 or outcome.code in PASSING


def again_in_ms(order: Order, outcome: Rejected | NotSent) -> int:
    """How long until an entry that provably was not applied may be sent again; 0 when it is over.

    The jitter comes from the id, which is drawn anew at each boot.
    """
    if order.purpose != "entry" or order.state is not S.SENDING or order.sends >= SENDS or not passing(outcome):
        return 0
    return AGAIN_MS * order.sends + crc32(f"{order.client_order_id}.{order.sends}".encode()) % AGAIN_MS


def reported(count: Count, filled: Count, remaining: Count) -> OrderEvent:
    """The table's event for what a create reply or an order read says about a known order."""
    if filled >= count:
        return "filled"
    if remaining == 0:
        return "cancelled"
    return "part_filled" if filled else "rested"
