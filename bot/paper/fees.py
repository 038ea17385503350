"""What a fill costs: the fee formula by series type and the rounding of kalshi-api.md sections 8.1 and 8.2."""

from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

TAKER = {
    "quadratic": 700,
    "quadratic_with_maker_fees": 700,
    "quadratic_with_combo_maker_fees": 700,
    "flat": 0,
}
MAKER = {
    "quadratic": 0,
    "quadratic_with_maker_fees": 175,
    "quadratic_with_combo_maker_fees": 350,
    "flat": 0,
}
"""Rates in 1/10000 of count * P * (1 - P)."""

CENTI_CENT = 100
"""$0.0001 in money: what a trade fee is rounded to, and the precision of a direct member's balance."""
CENT = 10_000


class Charge(NamedTuple):
    fee: int
    """Net cost of the fill in money: trade fee + rounding fee - rebate; never negative."""
    rounding: int
    """The order's accumulator after this fill."""


@lru_cache(maxsize=1024)
def _rate(fee_type: str, multiplier: float, is_taker: bool) -> tuple[int, int]:
    table = TAKER if is_taker else MAKER
    return (Fraction(table[fee_type]) * Fraction(str(multiplier)) / 10**10).as_integer_ratio()


def trade_fee(fee_type: str, multiplier: float, is_taker: bool, price: int, count: int) -> int:
    """The formula, rounded up to $0.0001, in money."""
    over, under = _rate(fee_type, multiplier, is_taker)
    return -(-over * count * price * (10_000 - price) // under) * CENTI_CENT


def charge(trade_fee: int, cash_before_fee: int, rounding: int, precision: int = CENTI_CENT) -> Charge:
    """The net fee of one fill whose price * count moves cash by `cash_before_fee`, all in money.

    The balance change is floored to `precision`; what that takes goes into the order's accumulator, which pays back
    a cent whenever it holds more than one (kalshi-api.md section 8.2).
    """
    loss = (cash_before_fee - trade_fee) % precision
    fee = trade_fee + loss
    rounding += loss
    if rounding > CENT and fee >= CENT:
        rounding -= CENT
        fee -= CENT
    return Charge(fee, rounding)
