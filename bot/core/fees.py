"""Trading fee of a fill as Kalshi computes it (kalshi-api.md section 8.1, 8.2 step 1); for estimates and reserves.

What is booked is always the fee the exchange reports.
"""

from fractions import Fraction
from functools import cache

from bot.core.units import ONE, Money

TAKER_RATE = Fraction(7, 100)
MAKER_SHARE = {
    "quadratic": Fraction(0),
    "quadratic_with_maker_fees": Fraction(1, 4),
    "quadratic_with_combo_maker_fees": Fraction(1, 2),
}


@cache
def _rate(fee_type: str, multiplier: float, taker: bool) -> Fraction:
    share = Fraction(1) if taker else MAKER_SHARE.get(fee_type, Fraction(1))
    return Fraction(str(multiplier)) * TAKER_RATE * share


def fee(fee_type: str, multiplier: float, price: int, count: int, *, taker: bool) -> Money:
    """Rounded up to 1/10,000 dollar. An unknown fee type is charged as taker with maker fees: never less."""
    rate = _rate(fee_type, multiplier, taker)
    # price is in 1e-4 dollar and count in 1e-2 contract: the product p(1-p)c is in 1e-10 dollar.
    raw = rate.numerator * price * (ONE - price) * count
    return Money(-(-raw // (rate.denominator * 1_000_000)) * 100)
