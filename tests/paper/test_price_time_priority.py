"""The engine against a matcher that is too simple to be wrong: one flat list, searched from the start each time."""

from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

import pytest

from bot.paper import orders
from bot.paper.engine import Engine
from bot.paper.ledger import Account
from bot.paper.model import Event, Fill, Listener, Market, NewOrder, Rejected, Series, Side, Trade

CROWD = "crowd"
USERS = ["ann", "bob", "cyd"]


@dataclass
class Entry:
    """Something that rests. The crowd's entries have no name."""

    owner: str
    name: str
    side: Side
    price: int
    left: int
    stamp: int


@dataclass
class Naive:
    """Bids above asks trade, best price first, then first come first served, at the price of what rested."""

    book: list[Entry] = field(default_factory=list)
    trades: list[tuple[str, str, int, int]] = field(default_factory=list)
    """(taker's name, maker's name, price, count)."""
    clock: int = 0

    def opposite(self, side: Side, limit: int) -> list[Entry]:
        met = [e for e in self.book if e.side != side and (e.price <= limit if side == "bid" else e.price >= limit)]
        return sorted(met, key=lambda e: (e.price if side == "bid" else -e.price, e.stamp))

    def work(self, owner: str, name: str, side: Side, limit: int, count: int, stop: bool) -> int:
        """Trade; what is left, or 0 when the owner's own entry stopped it."""
        while count:
            met = self.opposite(side, limit)
            if not met:
                return count
            first = met[0]
            if first.owner == owner and owner != CROWD:
                if stop:
                    return 0
                self.book.remove(first)
                continue
            traded = min(count, first.left)
            self.trades.append((name, first.name, first.price, traded))
            first.left -= traded
            count -= traded
            if not first.left:
                self.book.remove(first)
        return count

    def rest(self, owner: str, name: str, side: Side, price: int, count: int) -> None:
        self.clock += 1
        level = [entry for entry in self.book if (entry.side, entry.price) == (side, price)]
        last = max(level, key=lambda entry: entry.stamp, default=None)
        if last and last.owner == owner == CROWD:
            last.left += count
        elif count:
            self.book.append(Entry(owner, name, side, price, count, self.clock))

    def create(self, owner: str, name: str, new: NewOrder) -> bool:
        """Whether it is accepted."""
        if new.post_only and self.opposite(new.side, new.price):
            return False
        stop = new.self_trade == "taker_at_cross"
        if new.time_in_force == "fill_or_kill" and not self.fillable(owner, new, stop):
            return False
        left = self.work(owner, name, new.side, new.price, new.count, stop)
        if new.time_in_force == "good_till_canceled":
            self.rest(owner, name, new.side, new.price, left)
        return True

    def fillable(self, owner: str, new: NewOrder, stop: bool) -> bool:
        found = 0
        for entry in self.opposite(new.side, new.price):
            if entry.owner == owner and stop and found < new.count:
                return True
            found += entry.left if entry.owner != owner else 0
        return found >= new.count

    def amend(self, entry: Entry, price: int, left: int, stop: bool) -> None:
        if price == entry.price and left <= entry.left:
            entry.left = left
            return
        self.book.remove(entry)
        rest = self.work(entry.owner, entry.name, entry.side, price, left, stop)
        self.rest(entry.owner, entry.name, entry.side, price, rest)

    def crowd_level(self, side: Side, price: int, total: int) -> None:
        mine = [e for e in self.book if (e.owner, e.side, e.price) == (CROWD, side, price)]
        more = total - sum(entry.left for entry in mine)
        if more > 0:
            self.book = [e for e in self.book if e.owner != CROWD or e not in self.opposite(side, price)]
            self.rest(CROWD, "", side, price, self.work(CROWD, "", side, price, more, False))
        for entry in sorted(mine, key=lambda e: -e.stamp):
            gone = min(max(0, -more), entry.left)
            entry.left -= gone
            more += gone
        self.book = [entry for entry in self.book if entry.left]

    def queue(self) -> list[tuple[str, Side, int, int]]:
        """Everything that rests, in order; the crowd's neighbours at a level are one."""
        told: list[tuple[str, Side, int, int]] = []
        for entry in sorted(self.book, key=lambda e: (e.side, e.price, e.stamp)):
            row = (entry.name, entry.side, entry.price, entry.left)
            if told and not row[0] and told[-1][:3] == row[:3]:
                row = (*row[:3], row[3] + told.pop()[3])
            told.append(row)
        return told


class Tape(Listener):
    def __init__(self) -> None:
        self.trades: list[tuple[str, str, int, int]] = []
        self.parties: dict[str, dict[bool, str]] = {}

    def trade(self, trade: Trade) -> None:
        self.trades.append((trade.trade_id, "", trade.price, trade.count))
        self.parties[trade.trade_id] = {}

    def fill(self, fill: Fill) -> None:
        self.parties[fill.trade_id][fill.is_taker] = fill.client_order_id

    def told(self) -> list[tuple[str, str, int, int]]:
        who = self.parties
        return [(who[t].get(True, ""), who[t].get(False, ""), price, count) for t, _, price, count in self.trades]


class Duel:
    """The same random commands to both."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.engine, self.naive, self.tape = Engine(seed), Naive(), Tape()
        self.engine.add_series(Series("S", "s", "Sports", fee_multiplier=0))
        self.engine.add_event(Event("A", "S", "t", "s"))
        self.engine.add_market(Market("A-1", "A", "t", "y", "n", 0, 10**9, 10**9, 10**9), 0)
        self.accounts: list[Account] = [self.engine.add_account(user, 10**15) for user in USERS]
        self.engine.listeners.append(self.tape)
        self.names = 0
        self.refused = 0

    def step(self) -> None:
        random, move = self.random, self.random.random()
        side: Side = random.choice(["bid", "ask"])
        price = random.randrange(4600, 5500, 100)
        if move < 0.2:
            total = random.choice([0, 0, 100, 250, 700])
            self.engine.set_level("A-1", side, price, total, 1)
            self.naive.crowd_level(side, price, total)
        elif move < 0.3:
            count = random.choice([50, 300])
            self.engine.crowd_take("A-1", side, price, count, 1)
            self.naive.work(CROWD, "", side, price, count, False)
        elif move < 0.75:
            self.create(side, price)
        elif own := [entry for entry in self.naive.book if entry.owner != CROWD]:
            self.change(random.choice(own), price)

    def create(self, side: Side, price: int) -> None:
        random = self.random
        tif = random.choice(["good_till_canceled"] * 4 + ["immediate_or_cancel", "fill_or_kill"])
        user, self.names = random.choice(USERS), self.names + 1
        new = NewOrder(
            ticker="A-1",
            side=side,
            price=price,
            count=random.choice([1, 40, 100, 333, 900]),
            time_in_force=tif,  # type: ignore[arg-type]
            self_trade=random.choice(["taker_at_cross", "maker"]),  # type: ignore[arg-type]
            client_order_id=f"o{self.names}",
            post_only=tif == "good_till_canceled" and random.random() < 0.2,
        )
        accepted = self.naive.create(user, new.client_order_id, new)
        self.agree(accepted, lambda: orders.create(self.engine, user, new, 1))

    def change(self, entry: Entry, price: int) -> None:
        order = next(o for o in self.engine.accounts[entry.owner].orders.values() if o.client_order_id == entry.name)
        move = self.random.choice(["cancel", "decrease", "amend", "amend"])
        if move == "cancel":
            self.naive.book.remove(entry)
            self.agree(True, lambda: orders.cancel(self.engine, entry.owner, order.order_id, 1))
        elif move == "decrease":
            by = self.random.choice([1, 50, 400])
            entry.left -= min(by, entry.left)
            self.naive.book = [other for other in self.naive.book if other.left]
            self.agree(True, lambda: orders.decrease(self.engine, entry.owner, order.order_id, None, by, 1))
        else:
            left = self.random.choice([1, entry.left, entry.left + 70])
            total = order.filled + left
            crosses = [other for other in self.naive.opposite(entry.side, price) if other is not entry]
            moves = price != entry.price or left > entry.left
            refused = order.post_only and moves and bool(crosses)
            if not refused:
                self.naive.amend(entry, price, left, order.self_trade == "taker_at_cross")
            self.agree(
                not refused,
                lambda: orders.amend(
                    self.engine, entry.owner, order.order_id, 1, ticker="A-1", side=entry.side, price=price, count=total
                ),
            )

    def agree(self, accepted: bool, command: Any) -> None:
        said: Literal["", "no"] = ""
        try:
            command()
        except Rejected:
            said = "no"
            self.refused += 1
        assert accepted == (said == "")

    def check(self) -> None:
        assert self.tape.told() == self.naive.trades
        assert self.engine_queue() == self.naive.queue()

    def engine_queue(self) -> list[tuple[str, Side, int, int]]:
        told: list[tuple[str, Side, int, int]] = []
        for side, levels in sorted(self.engine.books["A-1"].levels.items()):
            for price, level in sorted(levels.items()):
                for resting in level.queue.values():
                    row = (getattr(resting, "client_order_id", ""), side, price, resting.remaining)
                    if told and not row[0] and told[-1][:3] == row[:3]:
                        row = (*row[:3], row[3] + told.pop()[3])
                    told.append(row)
        return told


def fight(seed: int, steps: int) -> Duel:
    duel = Duel(seed)
    for _ in range(steps):
        duel.step()
        assert duel.tape.trades[-1:] == [] or duel.tape.trades[-1][2:] == duel.naive.trades[-1][2:]
        assert len(duel.tape.trades) == len(duel.naive.trades)
        assert duel.engine_queue() == duel.naive.queue()
    duel.check()
    return duel


@pytest.mark.parametrize("seed", range(6))
def test_the_engine_trades_as_the_naive_matcher_does(seed: int) -> None:
    duel = fight(seed, 700)
    assert len(duel.naive.trades) > 150 and duel.refused > 20
    makers = [maker for _, maker, _, _ in duel.naive.trades]
    assert makers.count("") > 30 and len(makers) - makers.count("") > 30


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(100, 125))
def test_a_hundred_thousand_commands_trade_alike(seed: int) -> None:
    fight(seed, 4000)
