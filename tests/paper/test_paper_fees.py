"""Fees and their rounding: kalshi-api.md section 8."""

from decimal import ROUND_CEILING, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.paper import fees

CENT = 10_000


@pytest.mark.parametrize(
    ("fee_type", "m", "is_taker", "price", "count", "fee", "direct", "broker"),
    [
        ("quadratic", 1, True, 5200, 100, 17_500, -537_500, -540_000),
        ("quadratic", 1, True, 9900, 100, 700, -990_700, -1_000_000),
        ("quadratic", 1, True, 4000, 1000, 168_000, -4_168_000, -4_170_000),
        ("quadratic_with_maker_fees", 1, False, 4000, 1000, 42_000, -4_042_000, -4_050_000),
        ("quadratic_with_maker_fees", 1, False, 500, 10_000, 83_200, -5_083_200, -5_090_000),
        ("quadratic", 1, True, 3301, 3, 500, -10_500, -20_000),
        ("quadratic", 0.5, True, 4000, 1000, 84_000, -4_084_000, -4_090_000),
        ("quadratic_with_combo_maker_fees", 1, False, 4000, 1000, 84_000, -4_084_000, -4_090_000),
        ("quadratic", 1, False, 4000, 1000, 0, -4_000_000, -4_000_000),
    ],
)
def test_the_documented_examples_cost_what_they_should(
    fee_type: str, m: float, is_taker: bool, price: int, count: int, fee: int, direct: int, broker: int
) -> None:
    trade_fee = fees.trade_fee(fee_type, m, is_taker, price, count)
    assert trade_fee == fee
    paid = -price * count
    assert paid - fees.charge(trade_fee, paid, 0).fee == direct
    assert paid - fees.charge(trade_fee, paid, 0, precision=CENT).fee == broker


@given(st.integers(1, 9999), st.integers(1, 10**7), st.sampled_from([1, 0.5, 0.25, 2, 0]), st.booleans())
def test_the_formula_equals_decimal_arithmetic(price: int, count: int, m: float, is_taker: bool) -> None:
    rate = Decimal("0.07") if is_taker else Decimal("0.0175")
    p = Decimal(price) / 10_000
    exact = Decimal(str(m)) * rate * Decimal(count) / 100 * p * (1 - p)
    expected = int(exact.quantize(Decimal("0.0001"), rounding=ROUND_CEILING) * 1_000_000)
    assert fees.trade_fee("quadratic_with_maker_fees", m, is_taker, price, count) == expected


def test_an_order_gets_back_a_cent_when_rounding_has_cost_more_than_one() -> None:
    rounding, paid = 0, []
    for _ in range(200):
        fee, rounding = fees.charge(20_000, -3301 * 3, rounding)
        paid.append(fee)
    assert 20_097 - CENT in paid
    assert sum(paid) + -(200 * 20_097) == -CENT * sum(fee < 20_000 for fee in paid)
    assert 0 <= rounding <= CENT + 100


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(-(10**6), 10**6)), max_size=300))
def test_a_net_fee_is_never_negative_and_cash_stays_on_its_grid(fills: list[tuple[int, int]]) -> None:
    rounding = cash = 0
    for trade_fee, moved in fills:
        fee, rounding = fees.charge(trade_fee * 100, moved, rounding)
        assert fee >= 0
        cash += moved - fee
        assert cash % fees.CENTI_CENT == 0
