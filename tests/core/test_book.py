"""The order book equals a plain recount of its changes, and never shows a price it cannot stand for."""

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from bot.core.book import TRANSITIONS, Book, BookState

CHANGES = st.lists(
    st.tuples(st.sampled_from(["bid", "ask"]), st.integers(1, 30).map(lambda n: n * 100), st.integers(-300, 300)),
    max_size=60,
)


def live(bids=(), asks=()):
    book = Book()
    book.apply_snapshot(bids, asks)
    return book


@given(CHANGES)
def test_best_prices_and_depth_equal_a_recount(changes):
    book, levels = live(), {"bid": {}, "ask": {}}
    for side, price, change in changes:
        change = max(change, -levels[side].get(price, 0))
        if not change:
            continue
        before = top(levels)
        levels[side][price] = levels[side].get(price, 0) + change
        if not levels[side][price]:
            del levels[side][price]
        assert book.apply_delta(side, price, change) == (top(levels) != before)
        assert (book.best_bid, book.bid_size, book.best_ask, book.ask_size) == top(levels)
    assert book.depth() == (sorted(levels["bid"].items(), reverse=True), sorted(levels["ask"].items()))


def top(levels):
    bid, ask = max(levels["bid"], default=None), min(levels["ask"], default=None)
    return bid, levels["bid"].get(bid, 0), ask, levels["ask"].get(ask, 0)


def test_a_building_book_ignores_changes_and_gives_no_price():
    book = Book()
    assert book.state == "building"
    assert not book.apply_delta("bid", 5000, 100)
    assert (book.best_bid, book.best_ask, book.depth()) == (None, None, ([], []))


def test_an_empty_snapshot_is_an_empty_live_book():
    book = live([(5000, 100)], [(5100, 100)])
    book.apply_snapshot([], [])
    assert (book.state, book.best_bid, book.best_ask, book.bid_size) == ("live", None, None, 0)


def test_taking_away_more_than_there_is_makes_the_book_build_again():
    book = live([(5000, 100)])
    assert book.apply_delta("bid", 5000, -101)
    assert (book.state, book.best_bid) == ("building", None)
    book = live([(5000, 100)])
    assert book.apply_delta("bid", 4900, -1)
    assert book.state == "building"


def test_each_step_of_the_table_is_taken_and_no_other():
    events = {
        "snapshot": lambda book: book.apply_snapshot([(4000, 100)], []),
        "change": lambda book: book.apply_delta("bid", 4000, 1),
        "impossible_change": lambda book: book.apply_delta("bid", 5000, -1),
        "lost": lambda book: book.invalidate(),
    }
    assert {event for _, event in TRANSITIONS} == events.keys()
    for state in get_args(BookState):
        for event, happens in events.items():
            book = live([(5000, 0), (4000, 100)]) if state == "live" else Book()
            happens(book)
            assert book.state == TRANSITIONS.get((state, event), state), (state, event)
            assert (book.best_bid is None) == (book.state == "building"), "a building book gives no price"


def test_crossed_is_seen():
    assert live([(5000, 1)], [(5000, 1)]).crossed
    assert not live([(5000, 1)], [(5100, 1)]).crossed
    assert not live([(5000, 1)]).crossed


def test_depth_is_best_first_and_can_be_cut():
    book = live([(100, 1), (300, 3), (200, 2)], [(500, 5), (400, 4)])
    assert book.depth(2) == ([(300, 3), (200, 2)], [(400, 4), (500, 5)])
