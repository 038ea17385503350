"""Deposits and withdrawals as they come over the wire (kalshi-api.md 4.8)."""

import msgspec

from bot.core.units import Money
from bot.core.venue import Transfer
from bot.kalshi.wire import CENT


class WireTransfer(msgspec.Struct):
    """A deposit or a withdrawal: the same fields, and amounts in whole cents."""

    id: str
    status: str
    amount_cents: int
    fee_cents: int
    created_ts: int
    finalized_ts: int | None = None


class DepositsPage(msgspec.Struct):
    deposits: list[WireTransfer]
    cursor: str | None = None


class WithdrawalsPage(msgspec.Struct):
    withdrawals: list[WireTransfer]
    cursor: str | None = None


def transfer(t: WireTransfer, sign: int) -> Transfer:
    """`sign` -1 for a withdrawal."""
    return Transfer(
        t.id, Money(sign * t.amount_cents * CENT), Money(t.fee_cents * CENT), (t.finalized_ts or t.created_ts) * 1000
    )
