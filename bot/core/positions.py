"""Signed position accounting (kalshi-api.md section 5.1): + YES, - NO, cost is what the open contracts cost."""

import msgspec

from bot.core.units import ONE, Count, Money
from bot.core.venue import Quote, Side, VenueFill


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`realized` is before fees, as the exchange counts it; `fees` are all fees paid in this market."""

    ticker: str
    count: Count = Count(0)
    cost: Money = Money(0)
    realized: Money = Money(0)
    fees: Money = Money(0)


def apply_fill(position: Position, fill: VenueFill) -> tuple[Position, Money]:
    """The position after the fill, and the change of cash. Crossing zero closes first, then opens.

    Closing removes cost in proportion (average cost, rounded down), so cost and realised together stay exact.
    """
    signed = fill.count if fill.side == "bid" else -fill.count
    opposite = position.count * signed < 0
    closing = min(abs(signed), abs(position.count)) if opposite else 0
    opening = abs(signed) - closing
    pay_each = fill.price if fill.side == "bid" else ONE - fill.price
    receive_each = ONE - pay_each
    cost_closed = position.cost * closing // abs(position.count) if closing else 0
    proceeds = receive_each * closing
    spent = pay_each * opening
    after = Position(
        position.ticker,
        Count(position.count + signed),
        Money(position.cost - cost_closed + spent),
        Money(position.realized + proceeds - cost_closed),
        Money(position.fees + fill.fee),
    )
    return after, Money(proceeds - spent - fill.fee)


def closed(before: int, after: int) -> int:
    """How many contracts of the side held before are gone, by their signed counts."""
    return max(abs(before) - max(after if before > 0 else -after, 0), 0)


def settle(position: Position, revenue: Money) -> Position:
    """The position after its market paid out `revenue` in all."""
    return msgspec.structs.replace(
        position,
        count=Count(0),
        cost=Money(0),
        realized=Money(position.realized + revenue - position.cost),
    )


def mark_value(position: Position, quote: Quote | None) -> Money | None:
    """What the position would fetch now at the side one can trade on; None without a price there.

    A long is marked at the bid, a short (NO) at 1 - ask (failure-cases.md 24).
    """
    if position.count == 0:
        return Money(0)
    if quote is None:
        return None
    if position.count > 0:
        return None if quote.bid is None else Money(quote.bid * position.count)
    return None if quote.ask is None else Money((ONE - quote.ask) * -position.count)


def closing_side(count: int) -> Side:
    """The side that reduces a signed position."""
    return "ask" if count > 0 else "bid"
