"""Subscriptions follow what is wanted, one command at a time; every lost message is noticed, replies included."""

import json

import pytest

from bot.kalshi import frames
from bot.kalshi.subscriptions import BOOKS, MOST_MARKETS, Subscriptions

SECOND = 1_000_000_000


def sent(subscriptions, now=1):
    """Commands as (id, cmd or action, params)."""
    out = []
    for command in subscriptions.commands(now):
        body = json.loads(command.body)
        params = body["params"]
        out.append((body["id"], params.pop("action", body["cmd"]), params))
    return out


def reply(subscriptions, now=1, **fields):
    return subscriptions.acknowledge(frames.decode(json.dumps(fields).encode()), now)


def subscribed(*tickers, sid=1):
    subscriptions = Subscriptions()
    subscriptions.want(BOOKS, frozenset(tickers))
    ((id_, _, _),) = sent(subscriptions)
    reply(subscriptions, type="subscribed", id=id_, msg={"channel": BOOKS, "sid": sid})
    return subscriptions


def test_books_are_subscribed_with_an_explicit_price_convention():
    subscriptions = Subscriptions()
    subscriptions.want(BOOKS, frozenset({"B", "A"}))
    assert sent(subscriptions) == [
        (1, "subscribe", {"channels": [BOOKS], "market_tickers": ["A", "B"], "use_yes_price": True})
    ]
    assert sent(subscriptions) == []


def test_channels_without_a_filter_name_no_markets():
    subscriptions = Subscriptions()
    subscriptions.want("fill", None)
    assert sent(subscriptions) == [(1, "subscribe", {"channels": ["fill"]})]


def test_an_empty_wish_asks_for_nothing():
    subscriptions = Subscriptions()
    subscriptions.want("ticker", frozenset())
    assert sent(subscriptions) == []


def test_changes_wait_for_the_reply_and_then_add_and_delete():
    subscriptions = subscribed("A", "B")
    subscriptions.want(BOOKS, frozenset({"B", "C"}))
    ((id_, verb, params),) = sent(subscriptions)
    assert (verb, params) == ("add_markets", {"sids": [1], "market_tickers": ["C"]})
    assert sent(subscriptions) == []
    reply(subscriptions, type="ok", id=id_, sid=1, seq=3, msg={"market_tickers": ["A", "B", "C"]})
    ((id_, verb, params),) = sent(subscriptions)
    assert (verb, params) == ("delete_markets", {"sids": [1], "market_tickers": ["A"]})
    reply(subscriptions, type="ok", id=id_, sid=1, seq=4)
    assert sent(subscriptions) == []
    assert subscriptions.subscribed() == {BOOKS: 2}


def test_nothing_wanted_any_more_unsubscribes_and_wanting_again_subscribes():
    subscriptions = subscribed("A")
    subscriptions.want(BOOKS, frozenset())
    ((id_, verb, params),) = sent(subscriptions)
    assert (verb, params) == ("unsubscribe", {"sids": [1]})
    reply(subscriptions, type="unsubscribed", id=id_, sid=1, seq=9)
    assert sent(subscriptions) == []
    subscriptions.want(BOOKS, frozenset({"A"}))
    assert sent(subscriptions)[0][1] == "subscribe"


def test_ok_is_a_reply_to_subscribe_too():
    subscriptions = Subscriptions()
    subscriptions.want("ticker", frozenset({"A"}))
    ((id_, _, _),) = sent(subscriptions)
    reply(subscriptions, type="ok", id=id_, sid=7, msg={"market_tickers": ["A", "B"]})
    ((_, verb, params),) = sent(subscriptions)
    assert (verb, params) == ("delete_markets", {"sids": [7], "market_tickers": ["B"]})


def test_the_sequence_is_of_the_sid_and_counts_replies():
    subscriptions = subscribed("A", "B")
    assert all(subscriptions.in_order(1, seq) for seq in (1, 2, 3))
    assert not subscriptions.in_order(1, 5)
    assert subscriptions.in_order(1, 6)
    assert not subscriptions.in_order(1, 6)
    assert not subscriptions.in_order(1, 1)


def test_books_must_begin_at_one_but_other_channels_may_begin_anywhere():
    assert not subscribed("A").in_order(1, 2)
    subscriptions = Subscriptions()
    subscriptions.want("market_lifecycle_v2", None)
    ((id_, _, _),) = sent(subscriptions)
    reply(subscriptions, type="subscribed", id=id_, msg={"channel": "market_lifecycle_v2", "sid": 4})
    assert subscriptions.in_order(4, 279_597)
    assert not subscriptions.in_order(4, 279_599)


def test_messages_before_the_reply_are_counted():
    subscriptions = Subscriptions()
    subscriptions.want(BOOKS, frozenset({"A"}))
    ((id_, _, _),) = sent(subscriptions)
    assert subscriptions.in_order(1, 1)
    reply(subscriptions, type="subscribed", id=id_, msg={"channel": BOOKS, "sid": 1})
    assert subscriptions.in_order(1, 2)


def test_a_gap_asks_for_snapshots_of_all_books_of_the_sid_once():
    subscriptions = subscribed("A", "B")
    subscriptions.in_order(1, 3)
    assert subscriptions.gap(1) == (BOOKS, {"A", "B"})
    ((_, verb, params),) = sent(subscriptions)
    assert (verb, params) == ("get_snapshot", {"sids": [1], "market_tickers": ["A", "B"]})
    assert sent(subscriptions) == []


def test_a_second_gap_asks_again_for_the_snapshots_that_it_may_have_lost():
    subscriptions = subscribed("A", "B")
    subscriptions.gap(1)
    sent(subscriptions)
    subscriptions.snapshot_arrived("A")
    subscriptions.gap(1)
    ((_, verb, params),) = sent(subscriptions)
    assert (verb, params["market_tickers"]) == ("get_snapshot", ["A", "B"])


def test_snapshots_that_do_not_come_end_in_a_new_subscription():
    subscriptions = subscribed("A", "B")
    subscriptions.gap(1)
    sent(subscriptions, now=SECOND)
    subscriptions.snapshot_arrived("A")
    assert subscriptions.overdue(5 * SECOND) is None
    assert sent(subscriptions, now=5 * SECOND) == []
    assert subscriptions.overdue(7 * SECOND) is None
    ((id_, verb, _),) = sent(subscriptions, now=7 * SECOND)
    assert verb == "unsubscribe"
    assert reply(subscriptions, type="unsubscribed", id=id_, sid=1, seq=5) == (BOOKS, {"A", "B"})
    assert sent(subscriptions, now=8 * SECOND)[0][1] == "subscribe"


def test_snapshots_that_come_end_the_matter():
    subscriptions = subscribed("A")
    subscriptions.gap(1)
    sent(subscriptions)
    subscriptions.snapshot_arrived("A")
    assert subscriptions.overdue(60 * SECOND) is None
    assert sent(subscriptions, now=60 * SECOND) == []


def test_a_terminal_error_loses_the_markets_and_subscribes_again_after_a_second():
    subscriptions = subscribed("A")
    lost = reply(subscriptions, now=SECOND, type="error", sid=1, msg={"code": 25, "msg": "buffer overflow"})
    assert lost == (BOOKS, {"A"})
    assert sent(subscriptions, now=SECOND) == []
    assert sent(subscriptions, now=2 * SECOND)[0][1] == "subscribe"


def test_a_refused_command_is_tried_again_later():
    subscriptions = Subscriptions()
    subscriptions.want("ticker", frozenset({"A"}))
    ((id_, _, _),) = sent(subscriptions)
    reply(subscriptions, type="error", id=id_, msg={"code": 8, "msg": "Unknown channel name"})
    assert sent(subscriptions, now=9 * SECOND) == []
    assert sent(subscriptions, now=11 * SECOND)[0][1] == "subscribe"


def test_a_command_without_a_reply_gives_the_connection_up():
    subscriptions = Subscriptions()
    subscriptions.want("fill", None)
    sent(subscriptions, now=SECOND)
    assert subscriptions.overdue(11 * SECOND) is None
    assert "fill" in subscriptions.overdue(11 * SECOND + 1)


def test_a_new_connection_subscribes_everything_again():
    subscriptions = subscribed("A")
    subscriptions.want("fill", None)
    sent(subscriptions)
    subscriptions.reset()
    assert subscriptions.subscribed() == {}
    assert [(id_, verb) for id_, verb, _ in sent(subscriptions)] == [(1, "subscribe"), (2, "subscribe")]


def test_more_markets_than_one_connection_may_have_are_refused():
    subscriptions = Subscriptions()
    subscriptions.want("ticker", frozenset(str(number) for number in range(MOST_MARKETS)))
    with pytest.raises(ValueError, match="second connection"):
        subscriptions.want(BOOKS, frozenset({"A"}))
