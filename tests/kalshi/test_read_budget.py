"""Searches never use up the share of the read budget that held prices and look-ups need."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from loopback import Answers, Loopback, reply

from bot.kalshi.read_budget import RESERVED, ReadBudget
from bot.kalshi.rest import KalshiReads, ReadFailed
from bot.kalshi.sign import Signer

S = 1_000_000_000


def test_patient_reads_wait_at_the_reserve_and_urgent_ones_do_not() -> None:
    budget = ReadBudget(200, 400)
    assert [budget.take(S, patient=True) for _ in range(24)] == [0.0] * 24
    assert budget.take(S, patient=True) == 0.05
    assert [budget.take(S, patient=False) for _ in range(15)] == [0.0] * 15
    assert budget.take(S, patient=False) == 0.05


def test_a_flood_of_searches_leaves_an_urgent_read_at_most_its_own_time_to_wait() -> None:
    """Each patient read waits for its turn before the next is asked for, as discovery does."""
    budget, now_ns = ReadBudget(200, 200), S
    for _ in range(500):
        now_ns += round(budget.take(now_ns, patient=True) * 1e9)
        assert budget.tokens >= 200 * RESERVED - 10.000_1
    assert budget.take(now_ns, patient=False) == 0.0


def test_the_rate_is_kept_over_time() -> None:
    budget, now_ns = ReadBudget(200, 200), S
    for _ in range(1_000):
        now_ns += round(budget.take(now_ns, patient=False) * 1e9)
    assert (now_ns - S) / S >= (1_000 * 10 - 200) / 200 - 0.01


def test_a_429_empties_our_picture_and_time_fills_it() -> None:
    budget = ReadBudget(200, 400)
    budget.take(S, patient=False)
    budget.exhausted(S)
    assert budget.take(S, patient=False) == 0.05
    assert budget.take(10 * S, patient=False) == 0.0
    assert budget.tokens <= 400


def test_a_clock_that_is_set_back_gives_no_tokens() -> None:
    budget = ReadBudget(200, 400)
    budget.take(10 * S, patient=False)
    budget.take(5 * S, patient=False)
    assert budget.tokens == 380


def test_reads_wait_as_the_budget_says() -> None:
    slept: list[float] = []
    signer = Signer("k", generate_private_key(65537, 2048))
    ok = reply(200, json.dumps({"exchange_active": True, "trading_active": True}).encode())
    with Loopback(Answers(ok)) as server:
        reads = KalshiReads(server.url, signer, sleep=slept.append, clock_ns=lambda: S)
        reads.budget = ReadBudget(10, 20)
        for _ in range(3):
            reads.exchange_status()
        reads.close()
    assert slept == [1.0]


def test_a_429_empties_the_budget_of_the_reads_that_follow() -> None:
    signer = Signer("k", generate_private_key(65537, 2048))
    with Loopback(Answers(reply(429, b"{}"))) as server:
        reads = KalshiReads(server.url, signer, sleep=lambda seconds: None, clock_ns=lambda: S)
        with pytest.raises(ReadFailed):
            reads.balance()
        reads.close()
    assert reads.budget.tokens <= 0


def test_discovery_leaves_the_reserve_alone_and_reads_about_money_do_not() -> None:
    slept: list[float] = []
    signer = Signer("k", generate_private_key(65537, 2048))
    with Loopback(Answers(reply(404, b"{}"))) as server:
        reads = KalshiReads(server.url, signer, sleep=slept.append, clock_ns=lambda: S)
        for patient, read in ((True, reads.open_markets), (True, lambda: reads.series("A")), (False, reads.balance)):
            slept.clear()
            reads.budget = ReadBudget(10, 20)
            reads.budget.tokens = 20 * RESERVED + 5
            with pytest.raises(ReadFailed):
                read()
            assert bool(slept) == patient
        reads.close()
