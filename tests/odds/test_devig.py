"""Fair probabilities: against computed vectors, and the choice of books."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.odds.client import BookOdds
from bot.odds.devig import consensus, multiplicative

PAIR = frozenset({"A", "B"})


def book(name: str, a: float, b: float, updated_ms: int = 0) -> BookOdds:
    return BookOdds(name, updated_ms, {"A": a, "B": b})


def test_the_method_agrees_with_the_computed_vectors(recorded):
    vectors = json.loads(recorded("devig_vectors.json").read_text())
    assert len(vectors) >= 14
    for vector in vectors:
        if vector["booksum"] > 1:
            assert multiplicative(vector["decimal"]) == pytest.approx(vector["multiplicative"], abs=2e-6), vector[
                "name"
            ]


def test_known_lines():
    assert multiplicative([1 / 0.6, 1 / 0.6]) == pytest.approx([0.5, 0.5])
    assert multiplicative([1 + 100 / 150, 2.3]) == pytest.approx([0.5798, 0.4202], abs=1e-4)


@given(st.lists(st.floats(1.02, 200), min_size=2, max_size=3))
def test_fair_probabilities_sum_to_one_and_keep_the_order(odds):
    fair = multiplicative(odds)
    if sum(1 / price for price in odds) <= 1:
        assert fair is None
    else:
        assert sum(fair) == pytest.approx(1)
        assert sorted(fair) == pytest.approx([share for _, share in sorted(zip(odds, fair, strict=True), reverse=True)])


def test_the_consensus_is_the_median_of_the_books_with_its_spread():
    fair = consensus([book("x", 1.8, 2.0, 3), book("y", 1.5, 2.5, 1), book("z", 1.6, 2.3, 2)], PAIR)
    shares = sorted(multiplicative(odds)[0] for odds in ([1.8, 2.0], [1.5, 2.5], [1.6, 2.3]))
    assert fair.probabilities["A"] == pytest.approx(shares[1])
    assert fair.probabilities["A"] + fair.probabilities["B"] == pytest.approx(1)
    assert fair.books == ("x", "y", "z") and fair.updated_ms == 2
    assert 0 < fair.dispersion["A"] < 0.1


def test_fewer_than_three_books_are_no_consensus():
    assert consensus([book("x", 1.8, 2.0), book("y", 1.5, 2.5)], PAIR) is None


@pytest.mark.parametrize(
    "useless",
    [
        book("kalshi", 1.8, 2.0),
        book("polymarket", 1.8, 2.0),
        book("suspended", 1.01, 30),
        book("no_margin", 2.1, 2.1),
        BookOdds("three_way", 0, {"A": 2.5, "B": 2.5, "Draw": 3.0}),
        BookOdds("half", 0, {"A": 1.8}),
        BookOdds("other_game", 0, {"A": 1.8, "C": 2.0}),
    ],
    ids=lambda odds: odds.book,
)
def test_books_that_do_not_count(useless):
    good = [book("x", 1.8, 2.0), book("y", 1.5, 2.5)]
    assert consensus([*good, useless], PAIR) is None
    fair = consensus([*good, book("z", 1.6, 2.3), useless], PAIR)
    assert useless.book not in fair.books and len(fair.books) == 3


def test_sister_books_count_once():
    good = [book("x", 1.8, 2.0), book("lowvig", 1.5, 2.5)]
    assert consensus([*good, book("betonlineag", 1.5, 2.5)], PAIR) is None
    alone = consensus([*good[:1], book("y", 1.5, 2.5), book("betonlineag", 1.5, 2.5)], PAIR)
    assert "betonlineag" in alone.books


def test_a_three_way_game_is_devigged_over_all_three():
    books = [BookOdds(name, 0, {"A": 2.1, "B": 3.6, "Draw": 3.4}) for name in "xyz"]
    fair = consensus(books, PAIR | {"Draw"})
    assert fair.probabilities["A"] == pytest.approx(0.4543, abs=1e-4)
    assert sum(fair.probabilities.values()) == pytest.approx(1)
