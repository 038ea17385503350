"""Exact units: price in 1/10,000 dollar, count in 1/100 contract, money in 1/1,000,000 dollar.

The scales are chosen so that ``money = price * count`` is exact. Kalshi sends all three as
decimal strings (kalshi-api.md section 3.1); these functions are the only way in and out.
"""

from typing import NewType

Price = NewType("Price", int)
Count = NewType("Count", int)
Money = NewType("Money", int)

ONE = Price(10_000)
CONTRACT = Count(100)
DOLLAR = Money(1_000_000)


def parse_price(text: str) -> Price:
    """'0.5600' -> 5600. ValueError when it is not a decimal string of at most 4 places."""
    return Price(_scaled(text, 4))


def parse_count(text: str) -> Count:
    """'10.00' -> 1000. ValueError when it is not a decimal string of at most 2 places."""
    return Count(_scaled(text, 2))


def parse_money(text: str) -> Money:
    """'982.1375' -> 982137500. ValueError when it is not a decimal string of at most 6 places."""
    return Money(_scaled(text, 6))


def format_price(price: int) -> str:
    """5600 -> '0.5600'."""
    return _text(price, 4)


def format_count(count: int) -> str:
    """1000 -> '10.00'."""
    return _text(count, 2)


def format_money(money: int) -> str:
    """982137500 -> '982.137500'."""
    return _text(money, 6)


def complement(price: int) -> Price:
    """The NO price of a YES price, and the reverse."""
    return Price(ONE - price)


def _scaled(text: str, places: int) -> int:
    if not isinstance(text, str):
        raise ValueError(f"expected a decimal string, got {text!r}")
    negative = text.startswith("-")
    whole, point, fraction = (text[1:] if negative else text).partition(".")
    if not text.isascii() or not whole.isdigit() or (point and not fraction.isdigit()):
        raise ValueError(f"expected a decimal string, got {text!r}")
    if fraction[places:].strip("0"):
        raise ValueError(f"{text!r} is finer than {places} decimal places")
    value = int(whole + fraction[:places].ljust(places, "0"))
    return -value if negative else value


def _text(value: int, places: int) -> str:
    sign = "-" if value < 0 else ""
    whole, fraction = divmod(abs(value), 10**places)
    return f"{sign}{whole}.{fraction:0{places}d}"
