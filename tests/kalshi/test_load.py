"""Market data under the stress world: nothing lost without being counted, books equal the exchange's at the end, also
when frames vanish, come twice, the socket falls silent or is reset; never a tick from a book that is not whole.

LOAD_SECONDS (20) says how long each run lasts; docs/market-data.md has the figures of ten minutes.
"""

import os

import pytest
from test_against_paper import client, exchange

__all__ = ["exchange"]

SECONDS = int(os.environ.get("LOAD_SECONDS", "20"))
pytestmark = [pytest.mark.prove, pytest.mark.timeout(SECONDS + 280)]

LOAD = """
import requests, resource
from bot.kalshi.canary import Canary
seconds = SECONDS
canary = Canary(log.append)
stream = Stream(at["ws"], signer, log=log.append, first_delay_s=0.3, longest_delay_s=1.0, canary=canary)
lags, wrong, downs, down_since = [], [], [], [0.0]

def tick(quote):
    if quote.source == "book":
        book = data.book(quote.ticker)
        if book is None or (book.best_bid, book.best_ask) != (quote.bid, quote.ask) or book.crossed:
            wrong.append(quote.ticker)
        lags.append(time.time_ns() // 1_000_000 - quote.exchange_ms)

data = MarketData(reads, stream, on_tick=tick, on_account=lambda a: None, on_lifecycle=lambda c: None,
                  log=log.append, candidate_books=10_000)
from bot.kalshi.read_budget import ReadBudget
limits = reads.account_limits()
reads.budget = ReadBudget(limits.read_rate, limits.read_capacity)
names = ()

def find():
    global names
    data.discover()
    names = tuple(t for t, m in data.snapshot().markets.items() if m.status == "active")
    data.follow(frozenset(), names)

find()
reader = gevent.spawn(data.run)
until(lambda: data.health().live_books >= 0.98 * len(names), 60)
if faults:
    requests.post(at["odds"] + "/_paper/faults", json=faults, timeout=5).raise_for_status()

def watch():
    while True:
        whole = stream.connected and data.health().live_books >= 0.9 * len(names)
        now = time.monotonic()
        if not whole and not down_since[0]:
            down_since[0] = now
        elif whole and down_since[0]:
            downs.append(now - down_since[0])
            down_since[0] = 0.0
        gevent.sleep(0.01)

def sweeps():
    while True:
        data.confirm_stale(time.time_ns())
        gevent.sleep(2.0)

def searches():
    while True:
        gevent.sleep(12.0)
        find()

gevent.spawn(searches)
watching, sweeping = gevent.spawn(watch), gevent.spawn(sweeps)
frames0, cpu0, began = stream.stats.frames, time.process_time(), time.monotonic()
while time.monotonic() - began < seconds:
    gevent.sleep(min(1.0, seconds))
took, cpu = time.monotonic() - began, time.process_time() - cpu0
frames = stream.stats.frames - frames0
requests.post(at["odds"] + "/_paper/faults", json=[], timeout=5).raise_for_status()

def active(ticker):
    market = data.market(ticker)
    return market is not None and market.status == "active"

def different():
    followed = [t for t in names if active(t) and data.book(t) is not None]
    theirs = reads.orderbooks(followed)
    found = []
    for ticker, (bids, asks) in theirs.items():
        book = data.book(ticker)
        ours = book.depth() if book else None
        if ours != (sorted(bids, reverse=True), sorted(asks)):
            found.append(ticker)
    return found, len(followed)

until(lambda: stream.connected and data.health().live_books >= 0.9 * len(names), 60)
# The world goes on: a book that differs in one reading is compared again until it stood still for a moment.
left, compared = different()
deadline = time.monotonic() + 60
while left and time.monotonic() < deadline:
    again = set()
    for ticker in left:
        for _ in range(12):
            before = [list(side) for side in data.book(ticker).depth()] if data.book(ticker) else None
            (bids, asks) = reads.orderbooks([ticker]).get(ticker, ([], []))
            gevent.sleep(0.02)
            after = [list(side) for side in data.book(ticker).depth()] if data.book(ticker) else None
            told = [sorted(bids, reverse=True), sorted(asks)]
            if told in (before, after) or not active(ticker):
                break
        else:
            again.add(ticker)
    left = again
stats = stream.stats
lags.sort()
print(json.dumps({
    "markets": len(names), "compared": compared, "different": sorted(left), "wrong": wrong[:5],
    "seconds": round(took, 1),
    "frames_per_s": round(frames / took), "lag_p50_ms": lags[len(lags) // 2], "lag_p99_ms": lags[int(len(lags) * 0.99)],
    "cpu_share": round(cpu / took, 3), "gaps": stats.gaps, "resyncs": stats.resyncs, "reconnects": stats.connects - 1,
    "canary": canary.kinds, "downs": [round(d, 2) for d in sorted(downs)][-20:], "down_count": len(downs),
    "down_p50_s": round(sorted(downs)[len(downs) // 2], 3) if downs else 0, "ticks": len(lags),
    "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    "told_gaps": sum("WebSocket gap" in line for line in log),
}))
"""


def run(exchange, faults):
    at = exchange("--world", "stress", "--markets", "500", "--rate", "2000", "--tier", "premier")
    told = client(f"faults = {faults!r}\n" + LOAD.replace("SECONDS", str(SECONDS)), at, SECONDS + 200)
    print(told)
    return told


def test_at_full_load_no_gap_and_the_books_are_the_exchanges(exchange):
    told = run(exchange, [])
    assert (told["gaps"], told["reconnects"], told["canary"], told["wrong"]) == (0, 0, {}, [])
    assert told["different"] == [] and told["compared"] > 300
    assert told["frames_per_s"] > 1_000


def test_under_faults_every_gap_is_told_books_recover_and_no_tick_comes_from_a_broken_book(exchange):
    each = max(SECONDS / 4, 5)
    told = run(
        exchange,
        [
            {"at": "ws", "kind": "drop", "only": "orderbook_delta", "every": 4_000},
            {"at": "ws", "kind": "duplicate", "only": "orderbook_delta", "every": 5_003},
            {"at": "ws", "kind": "garbage", "only": "orderbook_delta", "every": 9_001},
            {"at": "ws", "kind": "reset", "every": 20_011},
            {"at": "ws", "kind": "silent", "times": 1, "after_s": each},
        ],
    )
    assert told["gaps"] == told["told_gaps"] > 0 and told["reconnects"] > 0
    assert told["wrong"] == [] and told["different"] == [] and told["compared"] > 300
