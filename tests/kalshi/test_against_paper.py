"""The client against the paper exchange as a real process: signing, reads, writes and the stream, under gevent."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def exchange(tmp_path):
    """Starts `python -m bot exchange` with more arguments; gives its addresses; ends it."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "bot", "exchange", "--port", "0", "--data-dir", str(tmp_path), *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        return json.loads(process.stdout.readline())

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def client(script, addresses, timeout=100):
    """Run a script of ours in its own, gevent-patched process; its last line is a JSON result."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + script, json.dumps(addresses)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


PRELUDE = """
from gevent import monkey
monkey.patch_all()
import gevent, json, sys, time, uuid
from bot.core.effects import AmendOrder, CancelOrder, PlaceOrder
from bot.core.units import Count, Price
from bot.core.venue import Accepted, AlreadyExists, NotFound, Rejected
from bot.kalshi.orders import KalshiOrders
from bot.kalshi.rest import KalshiReads
from bot.kalshi.sign import Signer, load_key
from bot.kalshi.stream import Stream
from bot.market_data.market_data import MarketData

at = json.loads(sys.argv[1])
signer = Signer(at["key_id"], load_key(at["private_key_path"]))
reads = KalshiReads(at["rest"], signer)
log, ticks, account, changes, sent = [], [], [], [], []
stream = Stream(at["ws"], signer, log=log.append)
data = MarketData(reads, stream, on_tick=ticks.append, on_account=account.append, on_lifecycle=changes.append)
orders = KalshiOrders(at["rest"], signer, on_sent=lambda name, ns: sent.append(name))

def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, (condition, log[-5:])
        gevent.sleep(0.02)

def order(ticker, side, price, count, tif, **more):
    fields = {"purpose": "entry", "self_trade_prevention": "taker_at_cross"} | more
    return PlaceOrder(uuid.uuid4().hex, ticker, side, Price(price), Count(count), tif, **fields)
"""

LIFE = """
cash = reads.balance().cash
data.discover()
open_now = [t for t, q in data.snapshot().quotes.items() if q.bid and q.ask and 2000 < q.bid < 8000]
name = open_now[0]
data.follow(frozenset({name}), tuple(open_now[1:10]))
reader = gevent.spawn(data.run)
until(lambda: data.health().live_books == len(open_now[:10]))
orders.keep_warm()
orders.create_headers.refresh()

buy = order(name, "bid", 9900, 300, "immediate_or_cancel")
bought = orders.create(buy)
again = orders.create(buy)
resting = order(name, "bid", 100, 200, "good_till_canceled")
rested = orders.create(resting)
cancel = CancelOrder(resting.client_order_id, rested.order_id, name)
cancelled, twice = orders.cancel(cancel), orders.cancel(cancel)
off_grid = orders.create(order(name, "bid", 4001, 100, "immediate_or_cancel"))
kill = orders.create(order(name, "bid", 100, 100, "fill_or_kill"))
sell = order(name, "ask", 100, 9900, "immediate_or_cancel", purpose="exit", reduce_only=True,
             self_trade_prevention="maker")
sold = orders.create(sell)
until(lambda: len([a for a in account if type(a).__name__ == "VenueFill"]) >= 2)
gevent.sleep(1.0)

assert isinstance(bought, Accepted) and bought.filled == 300, bought
assert isinstance(again, AlreadyExists), again
assert isinstance(rested, Accepted) and rested.remaining == 200, rested
assert isinstance(cancelled, Accepted) and cancelled.reduced == 200, cancelled
assert isinstance(twice, NotFound), twice
assert isinstance(off_grid, Rejected) and off_grid.code == "invalid_price", off_grid
assert isinstance(kill, Rejected) and kill.code.startswith("fill_or_kill"), kill
assert isinstance(sold, Accepted) and sold.filled == 300, sold

fills = reads.fills()
assert {f.order_id for f in fills} == {bought.order_id, sold.order_id}
streamed = {a.trade_id: a for a in account if type(a).__name__ == "VenueFill"}
assert {f.trade_id for f in fills} == set(streamed)
assert all(streamed[f.trade_id].client_order_id in (buy.client_order_id, sell.client_order_id) for f in fills)
spent = sum((f.price if f.side == "bid" else -f.price) * f.count + f.fee for f in fills)
assert reads.balance().cash == cash - spent
(position,) = [p for p in reads.positions() if p.ticker == name]
assert position.count == 0 and position.fees == sum(f.fee for f in fills)
statuses = {o.client_order_id: o.status for o in reads.orders()}
assert statuses[buy.client_order_id] == "executed" and statuses[resting.client_order_id] == "canceled"
assert sent.count(buy.client_order_id) == 2

books = reads.orderbooks(open_now[:10])
health = data.health()
data.stop()
reader.join(5)
print(json.dumps({"gaps": health.gaps, "bad": health.bad_frames, "ticks": len(ticks), "frames": health.frames}))
"""


def test_an_account_trades_and_every_number_agrees(exchange):
    told = client(LIFE, exchange("--world", "demo", "--seed", "7"))
    assert told["gaps"] == told["bad"] == 0
    assert told["ticks"] > 0


TARGET = """
data.discover()
name = next(t for t, q in data.snapshot().quotes.items() if q.bid and q.ask and 2000 < q.bid < 8000)
bought = orders.create(order(name, "bid", 9900, 300, "immediate_or_cancel"))
assert isinstance(bought, Accepted) and bought.filled == 300, bought
exits = {"purpose": "target", "self_trade_prevention": "maker"}
target = order(name, "ask", 9900, 300, "good_till_canceled", **exits)
rested = orders.create(target)
assert isinstance(rested, Accepted) and rested.remaining == 300, rested
as_exit = PlaceOrder(target.client_order_id, name, "ask", Price(100), Count(300), "immediate_or_cancel", "exit",
                     "maker", reduce_only=True)
again = orders.create(as_exit)
assert isinstance(again, AlreadyExists), again
amend = AmendOrder(target.client_order_id, rested.order_id, name, "ask", Price(100), Count(300))
left, twice = orders.amend(amend), orders.amend(amend)
assert isinstance(left, Accepted) and (left.order_id, left.remaining) == (rested.order_id, 0), left
assert isinstance(twice, NotFound), twice
until(lambda: not any(p.count for p in reads.positions() if p.ticker == name))
sold = [f for f in reads.fills() if f.order_id == rested.order_id]
unsent = PlaceOrder("late-target", name, "ask", Price(100), Count(300), "immediate_or_cancel", "exit", "maker",
                    reduce_only=True)
capped = orders.create(unsent)
late = orders.create(PlaceOrder("late-target", name, "ask", Price(9900), Count(300), "good_till_canceled", **exits))
print(json.dumps({"sold": sum(f.count for f in sold), "capped": capped.filled, "late": type(late).__name__}))
"""


def test_a_target_that_rests_is_amended_into_the_exit_and_its_id_lives_once(exchange):
    told = client(TARGET, exchange("--world", "demo", "--seed", "7"))
    assert told == {"sold": 300, "capped": 0, "late": "AlreadyExists"}


DECREASED = """
import requests

data.discover()
name = next(t for t, q in data.snapshot().quotes.items() if q.bid and q.ask and 2000 < q.bid < 8000)
resting = order(name, "bid", 100, 2_000, "good_till_canceled")
rested = orders.create(resting)

def described():
    return next(o for o in reads.orders() if o.order_id == rested.order_id)

path = f"/portfolio/events/orders/{rested.order_id}/decrease"
signed = signer.headers("POST", "/trade-api/v2" + path, int(time.time() * 1000))
by_hand = requests.post(at["rest"] + path, json={"reduce_to": "4.00", "market_ticker": name}, headers=signed, timeout=5)
assert by_hand.status_code == 200, by_hand.text
until(lambda: described().remaining == 400)
seen = described()
assert seen.status == "resting" and seen.filled + seen.remaining < resting.count, seen
cancelled = orders.cancel(CancelOrder(resting.client_order_id, rested.order_id, name))
until(lambda: described().status == "canceled")
print(json.dumps({"removed": cancelled.reduced, "filled": described().filled}))
"""


def test_the_description_of_an_order_that_was_decreased_by_hand_tells_what_the_cancels_reply_does_not(exchange):
    told = client(DECREASED, exchange("--world", "demo", "--seed", "7"))
    assert told == {"removed": 400, "filled": 0}, "by the reply alone 16.00 of 20.00 would have filled"


def test_a_wrong_key_is_an_auth_failure_everywhere(exchange):
    script = """
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from bot.kalshi.rest import ReadFailed
stranger = Signer(at["key_id"], generate_private_key(65537, 2048))
try:
    KalshiReads(at["rest"], stranger).balance()
except ReadFailed as failure:
    read = [failure.kind, failure.status]
refused = KalshiOrders(at["rest"], stranger).create(order("T", "bid", 100, 100, "fill_or_kill"))
lines = []
stranger_stream = Stream(at["ws"], stranger, log=lines.append)
reader = gevent.spawn(stranger_stream.run, data)
until(lambda: lines)
stranger_stream.stop()
reader.join(5)
print(json.dumps({"read": read, "write": [type(refused).__name__, refused.status], "stream": lines[0]}))
"""
    told = client(script, exchange())
    assert told["read"] == ["auth", 401]
    assert told["write"] == ["Rejected", 401]
    assert "401" in told["stream"]


REPLAY = """
data.discover()
(name,) = [t for t in data.snapshot().markets][:1]
data.follow(frozenset({name}), ())
reader = gevent.spawn(data.run)
until(lambda: data.book(name) is not None)
seen = 0
while data.health().frames != seen:  # a slow machine may come late: then the last snapshot alone is compared
    seen = data.health().frames
    gevent.sleep(2)
bids, asks = reads.orderbooks([name])[name]
own = data.book(name).depth()
health = data.health()
data.stop()
reader.join(5)
assert own == (sorted(bids, reverse=True), sorted(asks))
print(json.dumps({"gaps": health.gaps, "bad": health.bad_frames, "levels": len(bids) + len(asks)}))
"""


def test_a_recorded_market_is_followed_without_a_gap_to_the_same_last_book(exchange, recorded):
    path = recorded("ws_btc15m_202605/btc15m_20260513T055209Z.jsonl.gz")
    told = client(REPLAY, exchange("--replay", str(path), "--speed", "8"))
    assert told["gaps"] == told["bad"] == 0
    assert told["levels"] > 20


FAULTY = """
data.discover()
name = next(t for t, q in data.snapshot().quotes.items() if q.bid and q.ask and 2000 < q.bid < 8000)
followed = sorted(data.snapshot().markets)[:20]
data.follow(frozenset(followed) | {name}, ())
reader = gevent.spawn(data.run)
until(lambda: data.health().gaps >= 8, 60)
until(lambda: data.health().live_books >= 20, 60)
agree = 0
for _ in range(100):
    gevent.sleep(0.05)
    books = reads.orderbooks(followed)
    own = {t: data.book(t) for t in followed}
    agree = max(agree, sum(
        own[t] is not None and own[t].depth() == (sorted(bids, reverse=True), sorted(asks))
        for t, (bids, asks) in books.items()
    ))
    if agree == len(followed):
        break
buys = [order(name, "bid", 9900, 100, "immediate_or_cancel") for _ in range(6)]
ends = [type(orders.create(buy)).__name__ for buy in buys]
gevent.sleep(0.5)
known = {o.client_order_id for o in reads.orders()}
health = data.health()
data.stop()
reader.join(5)
print(json.dumps({
    "agree": agree, "followed": len(followed), "gaps": health.gaps, "resyncs": health.resyncs, "bad": health.bad_frames,
    "ends": ends, "applied": [buy.client_order_id in known for buy in buys],
}))
"""


def test_lost_frames_failed_reads_and_lost_replies_leave_the_truth_intact(exchange):
    """Dropped frames: every book is right again. Lost replies: unknown, never claimed to be applied or refused."""
    plan = [
        {"at": "ws", "kind": "drop", "only": "orderbook_delta", "every": 60, "times": 12},
        {"at": "read", "kind": "http_500", "every": 3},
        {"at": "create", "kind": "lost_reply_after", "every": 3, "times": 1},
        {"at": "create", "kind": "lost_reply_before", "every": 2, "times": 1},
        {"at": "create", "kind": "http_500", "every": 1, "times": 1},
        {"at": "create", "kind": "reset", "every": 1, "times": 1},
    ]
    told = client(FAULTY, exchange("--world", "demo", "--seed", "3", "--faults", json.dumps(plan)))
    assert told["agree"] == told["followed"]
    assert told["gaps"] >= 8
    assert told["bad"] == 0
    ends = list(zip(told["ends"], told["applied"], strict=True))
    assert {end for end, _ in ends} == {"Unknown", "Accepted"}
    assert all(applied for end, applied in ends if end == "Accepted")
    assert {applied for end, applied in ends if end == "Unknown"} == {True, False}
