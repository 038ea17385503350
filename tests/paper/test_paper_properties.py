"""What holds in the engine whatever happens: money and contracts are conserved, books are never crossed."""

import contextlib
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from random import Random
from typing import Any

import pytest

from bot.paper import orders
from bot.paper.engine import Engine
from bot.paper.ledger import Account
from bot.paper.model import Event, Market, NewOrder, Rejected, Series

TICKERS = ["A-1", "A-2"]
CASH = 20_000_000
STEP = Decimal("0.0001")


class Storm:
    """Random members, crowd and life against one engine; `check` holds after every step."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 1000
        self.engine = Engine(seed)
        multiplier = self.random.choice([1, 0.5, 0])
        self.multiplier = Decimal(str(multiplier))
        self.engine.add_series(Series("S", "s", "Sports", fee_multiplier=multiplier))
        self.engine.add_event(Event("A", "S", "t", "s"))
        for ticker in TICKERS:
            ranges = self.random.choice([[(0, 10_000, 100)], [(0, 1000, 10), (1000, 9000, 100), (9000, 10_000, 10)]])
            self.engine.add_market(Market(ticker, "A", "t", "y", "n", 0, 10**9, 10**9, 10**9, price_ranges=ranges), 0)
        self.users = ["u1", "u2", "u3"]
        for user in self.users:
            self.engine.add_account(user, CASH)

    def step(self) -> None:
        random, engine = self.random, self.engine
        self.now += random.randrange(3)
        ticker, side = random.choice(TICKERS), random.choice(["bid", "ask"])
        price = random.randrange(3500, 6500, 100) if random.random() < 0.9 else random.choice([10, 990, 9990])
        count = random.choice([1, 7, 50, 100, 250, 1000])
        user = random.choice(self.users)
        move = random.random()
        if move < 0.25:
            engine.set_level(ticker, side, random.randrange(3500, 6500, 100), random.choice([0, 100, 333]), self.now)
        elif move < 0.35:
            engine.crowd_take(ticker, side, price, count, self.now)
        elif move < 0.75:
            tif = random.choice(["good_till_canceled"] * 3 + ["immediate_or_cancel", "fill_or_kill"])
            rests = tif == "good_till_canceled"
            self.attempt(
                lambda: orders.create(
                    engine,
                    user,
                    NewOrder(
                        ticker=ticker,
                        side=side,
                        price=price,
                        count=count,
                        time_in_force=tif,
                        self_trade=random.choice(["taker_at_cross", "maker"]),
                        post_only=rests and random.random() < 0.2,
                        reduce_only=tif == "immediate_or_cancel" and random.random() < 0.5,
                        expiration_ms=self.now + 20 if rests and random.random() < 0.1 else None,
                    ),
                    self.now,
                )
            )
        elif resting := [o for o in engine.accounts[user].orders.values() if o.status == "resting"]:
            order = random.choice(resting)
            if move < 0.85:
                self.attempt(lambda: orders.cancel(engine, user, order.order_id, self.now))
            elif move < 0.92:
                self.attempt(
                    lambda: orders.decrease(engine, user, order.order_id, None, random.choice([1, 50, 999]), self.now)
                )
            else:
                self.attempt(
                    lambda: orders.amend(
                        engine,
                        user,
                        order.order_id,
                        self.now,
                        ticker=order.ticker,
                        side=order.side,
                        price=price,
                        count=count,
                    )
                )

    def attempt(self, command: Callable[[], Any]) -> None:
        with contextlib.suppress(Rejected):
            command()

    def check(self) -> None:
        for ticker in TICKERS:
            bid, _, ask, _ = self.engine.best(ticker)
            assert bid is None or ask is None or bid < ask
            members = sum(account.held(ticker) for account in self.engine.accounts.values())
            assert members + self.engine.crowd_position[ticker] == 0
            for side, levels in self.engine.books[ticker].levels.items():
                for price, level in levels.items():
                    inside = [thing.remaining for thing in level.queue.values()]
                    assert sum(inside) == level.size > 0 and min(inside) > 0, (side, price)
        for account in self.engine.accounts.values():
            check_account(account)


def check_account(account: Account) -> None:
    """Cash explained by fills alone, in arithmetic of its own: NO is a YES sold, with a dollar put down."""
    cash = CASH
    held: dict[str, int] = {}
    for fill in account.fills:
        before = held.get(fill.ticker, 0)
        after = before + (fill.count if fill.side == "bid" else -fill.count)
        cash -= fill.price * (after - before) + 10_000 * (max(0, -after) - max(0, -before)) + fill.fee
        held[fill.ticker] = after
        assert fill.position == after
    assert cash == account.cash
    assert {t: n for t, n in held.items() if n} == {t: p.count for t, p in account.positions.items() if p.count}
    assert account.cash % 100 == 0 and account.cash > -10_000
    assert account.committed <= max(0, account.cash) or not account.resting
    assert account.cash + sum(p.cost - p.realized + p.fees for p in account.positions.values()) == CASH
    for order in account.orders.values():
        assert order.remaining >= 0 and order.filled <= order.initial
        assert order.status != "executed" or order.filled == order.initial
        assert order.status == "resting" or order.remaining == 0
        assert order.status != "resting" or order.filled + order.remaining == order.initial


RATES = {True: Decimal("0.07"), False: Decimal("0.0175")}


def check_fees(account: Account, multiplier: Decimal) -> int:
    """Every fill's fee by kalshi-api.md section 8.2 in decimal dollars, order by order; returns the rebates seen."""
    held: dict[str, int] = {}
    lost: dict[str, Decimal] = {}
    rebates = 0
    for fill in account.fills:
        before = held.get(fill.ticker, 0)
        held[fill.ticker] = after = before + (fill.count if fill.side == "bid" else -fill.count)
        price, count = Decimal(fill.price) / 10_000, Decimal(fill.count) / 100
        down = Decimal(max(0, -after) - max(0, -before)) / 100
        moved = -(price * Decimal(after - before) / 100) - down
        fee = (multiplier * RATES[fill.is_taker] * count * price * (1 - price)).quantize(STEP, ROUND_CEILING)
        change = (moved - fee).quantize(STEP, ROUND_FLOOR)
        over = lost.get(fill.order_id, Decimal(0)) + (moved - fee - change)
        if over > Decimal("0.01") and moved - change >= Decimal("0.01"):
            over, change, rebates = over - Decimal("0.01"), change + Decimal("0.01"), rebates + 1
        lost[fill.order_id] = over
        assert Decimal(fill.fee) / 1_000_000 == moved - change, fill
    return rebates


def check_settlement(storm: "Storm") -> None:
    """At the end every contract is paid once: what the members win, others lose."""
    engine, results = storm.engine, {"A-1": ("yes", 10_000), "A-2": ("scalar", 6_300)}
    held = {user: dict(account.positions) for user, account in engine.accounts.items()}
    counts = {user: {t: p.count for t, p in positions.items()} for user, positions in held.items()}
    before = {user: account.cash for user, account in engine.accounts.items()}
    for ticker, (result, value) in results.items():
        engine.set_close(ticker, storm.now, storm.now)
        engine.determine(ticker, result, storm.now, value)  # type: ignore[arg-type]
    engine.advance(storm.now + 10**7)
    for user, account in engine.accounts.items():
        paid = 0
        for ticker, count in counts[user].items():
            worth = results[ticker][1]
            due = count * worth if count > 0 else -count * (10_000 - worth)
            paid += due - due % 10_000
        assert account.cash - before[user] == paid
        assert account.committed == 0 and not account.resting
        assert all(position.count == 0 for position in account.positions.values())
    assert all(market.status == "finalized" and market.open_interest == 0 for market in engine.markets.values())


@pytest.mark.parametrize("seed", range(8))
def test_money_and_contracts_are_conserved_and_books_never_cross(seed: int) -> None:
    storm = Storm(seed)
    for step in range(1500):
        storm.step()
        if step % 10 == 0:
            storm.check()
    storm.check()
    assert sum(len(account.fills) for account in storm.engine.accounts.values()) > 100
    for account in storm.engine.accounts.values():
        check_fees(account, storm.multiplier)
    check_settlement(storm)


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(100, 120))
def test_conservation_over_long_order_flow(seed: int) -> None:
    storm = Storm(seed)
    for step in range(6000):
        storm.step()
        if step % 500 == 0:
            storm.check()
    storm.check()
    for account in storm.engine.accounts.values():
        check_fees(account, storm.multiplier)
    check_settlement(storm)


def test_fractions_of_contracts_earn_rebates_over_the_fills_of_one_order() -> None:
    """Many tiny fills of one resting order: its rounding adds up until a cent comes back."""
    engine = Engine(1)
    engine.add_series(Series("S", "s", "Sports"))
    engine.add_event(Event("A", "S", "t", "s"))
    engine.add_market(Market("A-1", "A", "t", "y", "n", 0, 10**9, 10**9, 10**9, price_ranges=[(0, 10_000, 1)]), 0)
    account = engine.add_account("u", CASH)
    new = NewOrder(
        ticker="A-1", side="bid", price=3301, count=2_600, time_in_force="good_till_canceled", self_trade="maker"
    )
    orders.create(engine, "u", new, 1)
    for count in [3] * 400 + [350] * 4:
        engine.crowd_take("A-1", "ask", 3301, count, 1)
    assert len(account.fills) == 404
    assert check_fees(account, Decimal(1)) == 3
    check_account(account)


@pytest.mark.parametrize("seed", range(4))
def test_the_same_seed_gives_the_same_trace(seed: int) -> None:
    def trace() -> list[object]:
        storm = Storm(seed)
        for _ in range(500):
            storm.step()
        return [(account.fills, account.cash) for account in storm.engine.accounts.values()]

    assert trace() == trace()
