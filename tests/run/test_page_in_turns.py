"""Rows of the page are made a few at a time, and an amended price is in the history: found by breaking them by hand."""

import gevent

from bot.core import facts as f
from bot.core.config import Config
from bot.core.orders import Order
from bot.core.state import new_state
from bot.core.units import Count, Price
from bot.run.history_rows import rows_of
from bot.run.page import _in_turns
from bot.store import rows


def test_others_have_their_turn_while_many_rows_are_made() -> None:
    turns = 0

    def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0)

    greenlet = gevent.spawn(other)
    assert list(_in_turns(range(500))) == list(range(500))
    greenlet.kill()
    assert turns >= 15


def test_what_changes_meanwhile_does_not_break_the_rows() -> None:
    kept = dict.fromkeys(range(100))
    greenlet = gevent.spawn(kept.clear)
    assert list(_in_turns(kept)) == list(range(100))
    greenlet.join()
    assert kept == {}


def test_the_price_a_target_is_amended_to_is_written_to_the_history() -> None:
    state = new_state(Config(1, "default", {}, {}), "RUNNING", 0)
    order = Order("t.t1", "t", "T-1", "ask", Price(6_900), Count(100), "good_till_canceled", "target", 0)
    state.orders["t.t1"] = order
    [row] = rows_of(state, [f.OrderAmended(1, "t.t1", Price(6_900))], 7)
    assert isinstance(row, rows.Order) and (row.price_e4, row.purpose, row.version) == (6_900, "target", 7)
