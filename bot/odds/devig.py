"""From bookmaker odds to fair probabilities (odds-api.md section 7). Probabilities are floats."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median, median_low, pstdev

from bot.odds.client import BookOdds

FEWEST_BOOKS = 3
CIRCULAR = frozenset({"kalshi", "polymarket"})
"""Not bookmakers but the markets we price."""
SISTERS = {"betonlineag": "lowvig"}
"""Books of one house count once: the first is left out when the second quotes."""
SUSPENDED = 1.01
"""Decimal odds up to here stand for 'no bets now'."""


@dataclass(frozen=True)
class Fair:
    """What the books together believe of a game."""

    probabilities: Mapping[str, float]
    """By outcome: the median over the books."""
    dispersion: Mapping[str, float]
    """By outcome: the standard deviation over the books."""
    books: tuple[str, ...]
    updated_ms: int
    """The median of the books' last updates."""


def multiplicative(odds: Iterable[float]) -> list[float] | None:
    """Fair probabilities of one book's decimal odds for all outcomes of a game, in proportion to their inverse.

    None when the book gives no margin (the sum of the inverses is at most 1): such odds are stale or wrong.
    """
    implied = [1 / price for price in odds]
    total = sum(implied)
    return [part / total for part in implied] if total > 1 else None


def consensus(books: Iterable[BookOdds], outcomes: frozenset[str]) -> Fair | None:
    """Each book de-vigged by itself, then the median. None with fewer than three usable books.

    A book counts when it quotes exactly `outcomes`, none of them suspended.
    """
    quoting = {book.book: book for book in books if book.prices.keys() == outcomes and book.book not in CIRCULAR}
    fair: dict[str, dict[str, float]] = {}
    for name, book in quoting.items():
        if SISTERS.get(name) in quoting or min(book.prices.values()) <= SUSPENDED:
            continue
        shares = multiplicative(book.prices.values())
        if shares:
            fair[name] = dict(zip(book.prices, shares, strict=True))
    if len(fair) < FEWEST_BOOKS:
        return None
    columns = {outcome: [shares[outcome] for shares in fair.values()] for outcome in outcomes}
    return Fair(
        {outcome: median(column) for outcome, column in columns.items()},
        {outcome: pstdev(column) for outcome, column in columns.items()},
        tuple(sorted(fair)),
        median_low(quoting[name].updated_ms for name in fair),
    )
