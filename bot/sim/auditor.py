"""The independent auditor: it sees what is sent, what is synced, the facts, and the exchange's own ledger, and checks
DESIGN.md section 2 after every step. It has its own arithmetic and asks the core nothing."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from bot.core import facts as f
from bot.core.effects import Notice, PlaceOrder
from bot.core.events import Event, MarketChange, Sweep
from bot.core.state import TradingState, state_hash
from bot.core.turn import Turn
from bot.core.venue import Outcome, Quote
from bot.paper.model import Fill
from bot.sim.clock import Clock
from bot.sim.disk import File
from bot.sim.exchange import Exchange
from bot.sim.model import RULES, Books
from bot.store.journal import Record, Snapshot

FIRST_SEND_MS = 10
"""A stop that became due with no exit under way is sent within this."""

AGAIN_MS = 5_500
"""Afterwards an exit is sent at least this often until flat: reply time-out, a refusal's wait, one sweep."""

PROTECTED_MS = 25_000
"""A position is protected or named this long after the exchange has it, given one reading of the account since."""


class Violation(Exception):
    """A promise of DESIGN.md section 2 was broken."""


class Sent:
    """One client order id as it went over the wire."""

    def __init__(self, job: PlaceOrder, boot: str) -> None:
        self.job = job
        self.boot = boot
        self.boots = {boot}
        self.sends = 0


def terms(job: PlaceOrder) -> tuple[str, str, int, int]:
    return job.ticker, job.side, job.price, job.count


class Auditor:
    """One for the whole run; programs come and go."""

    def __init__(self, clock: Clock, exchange: Exchange, file: File, keep: int) -> None:
        """`keep` lines of trace are kept for the report; the hash covers all."""
        self.clock = clock
        self.exchange = exchange
        self.file = file
        self.books = Books()
        self.boot = ""
        """The program that holds the lease. Another that still runs may send exits, and nothing else."""
        self.counts: Counter[str] = Counter()
        self.steps: Counter[str] = Counter()
        """Transitions seen in facts, and what else coverage wants to know."""
        self.external: Counter[str] = Counter()
        """Contracts that somebody else traded on our account, by ticker."""
        self.lines: list[str] = []
        self._keep = keep
        self._hash = hashlib.sha256()
        self._sent: dict[str, Sent] = {}
        self._reused: set[str] = set()
        self._wiped_ids: set[str] = set()
        self._durable: list[f.Fact] = []
        self._durable_ids: dict[str, f.OrderIntended] = {}
        self._written: dict[int, f.Fact] = {}
        self._seq = 0
        self.frozen_until = 0
        self._left = (-1, "")
        self._due: dict[str, int] = {}
        self._told_status: dict[str, str] = {}
        """What this program was told of markets, by the stream or a reading."""
        self._last_exit: dict[str, int] = {}
        self._held_since: dict[str, int] = {}
        exchange.on_fill = self.filled

    # trace

    def trace(self, line: str) -> None:
        text = f"{self.clock.now_ms} {line}"
        self._hash.update(text.encode())
        if self._keep:
            self.lines.append(text)
            if len(self.lines) > self._keep:
                del self.lines[: -self._keep]

    def digest(self) -> str:
        return self._hash.hexdigest()

    def wrong(self, what: str) -> None:
        raise Violation(what)

    def require(self, holds: bool, what: str) -> None:
        if not holds:
            raise Violation(what)

    # a program's life

    def restored(self, boot: str, state: TradingState, last_seq: int) -> None:
        """A program read the journal: only what was synced may be in it."""
        self.trace(f"boot {boot} from record {last_seq}")
        self.require(last_seq == len(self._durable), f"restored {last_seq} records, {len(self._durable)} were synced")
        self.books = Books()
        for fact in self._durable:
            self.books.apply(fact)
        self._seq = last_seq
        self._written = {}
        self._due.clear()
        self.boot = boot
        self.counts["boots"] += 1
        seq, digest = self._left
        same = seq != last_seq or state_hash(state) == digest
        self.require(same, f"the state restored at record {seq} is not the one that was left")
        ours = {t: n for t, n in self.books.positions.items() if n}
        theirs = {t: p.count for t, p in state.positions.items() if p.count}
        self.require(ours == theirs, f"restored positions {theirs}, the synced facts say {ours}")
        self.require(state.cash == self.books.cash, f"restored cash {state.cash}, the facts say {self.books.cash}")

    def died(self, boot: str, how: str) -> None:
        """Nothing is due from a dead program."""
        self.counts["stops" if how == "stopped" else "kills"] += 1
        self.trace(f"{how} {boot}")
        if boot == self.boot:
            self._due.clear()
            self._last_exit.clear()
            self._told_status.clear()
            self.boot = ""
            self.frozen_until = 0

    def left(self, seq: int, digest: str) -> None:
        """A program ended with everything synced: its next life begins with the same state."""
        self._left = seq, digest
        self.counts["compared restarts"] += 1

    def wiped(self) -> None:
        """The disk is gone; ids that were sent stay sent, and what still rests of them is a stranger's now."""
        self._wiped_ids.update(self._sent)
        self._left = (-1, "")
        self._durable.clear()
        self._durable_ids.clear()

    def durable(self, boot: str, batch: Sequence[Record | Snapshot]) -> None:
        for item in batch:
            if isinstance(item, Record) and item.seq in self._written:
                fact = self._written.pop(item.seq)
                self.require(item.seq == len(self._durable) + 1, f"record {item.seq} synced out of order")
                self._durable.append(fact)
                if isinstance(fact, f.OrderIntended):
                    self._durable_ids[fact.client_order_id] = fact

    def flushed(self, boot: str, last_seq: int) -> None:
        """A program closed its journal: everything is synced."""
        if boot != self.boot:
            return
        for seq in sorted(self._written):
            self._durable.append(self._written[seq])
        self._written = {}

    # steps

    def turned(self, boot: str, event: Event, turn: Turn) -> None:
        """After every step: own books, then the promises that a step can break."""
        self.counts["steps"] += 1
        if turn.defect is not None:
            raise Violation(f"defect on {type(event).__name__}: {turn.defect!r}") from turn.defect
        self.trace(f"{boot} {type(event).__name__}" if turn.facts else type(event).__name__)
        if boot != self.boot:
            return
        if isinstance(event, MarketChange):
            self._told_status[event.ticker] = event.status
        for fact in turn.facts:
            self._seq += 1
            self._written[self._seq] = fact
            self.trace(f"  {self._seq} {fact}")
            self._before(fact)
            self.books.apply(fact)
            if isinstance(fact, f.OrderMoved):
                self._ended(fact)
        if self.books.twice:
            self.wrong(f"booked twice: {self.books.twice[0]}")
        if isinstance(event, Sweep):
            self._protected()
            for ticker in list(self._due):
                self._still_leaving(ticker)

    def noticed(self, boot: str, notice: Notice) -> None:
        self.counts[f"notice {notice.code}"] += 1
        self.require(not notice.code.endswith("_step_refused"), f"{notice.code}: {notice.text}")
        self.trace(f"  {notice.level} {notice.code} {notice.ticker}: {notice.text}")

    def _before(self, fact: f.Fact) -> None:
        """Count what coverage wants to know, in the books as they were before the fact."""
        self.counts[type(fact).__name__] += 1
        if isinstance(fact, f.OrderIntended) and fact.purpose == "exit":
            held = self.books.positions.get(fact.ticker, 0)
            told = sum(
                o.filled - o.booked for o in self.books.orders.values() if o.ticker == fact.ticker and o.unbooked_exit()
            )
            room = (held if fact.side == "ask" else -held) - told
            name = f"exit {fact.client_order_id} of {fact.count}"
            self.require(fact.count <= room, f"{name} is larger than the position {held}")
        if isinstance(fact, f.ExitFired):
            self.counts[f"fired {fact.kind}"] += 1
        if isinstance(fact, f.PlanChanged) and fact.author in RULES:
            self.counts[f"stop moved, {fact.author}"] += 1
            bracket = self.books.trades[fact.trade_id]
            wrong = bracket.unfounded(fact.plan.stop or 0, fact.author)
            self.require(not wrong, f"{fact.author} moved the stop of {bracket.ticker} {wrong}: {fact}, {bracket}")

    def _ended(self, fact: f.OrderMoved) -> None:
        """An order that is called ended has ended on the exchange too, with the fills that are known."""
        if fact.event not in ("filled", "cancelled", "rejected", "absent"):
            return
        order = self.books.orders[fact.client_order_id]
        sent = self._sent.get(order.id)
        if order.id in self._reused or (order.purpose == "exit" and sent and sent.boots != {self.books.boot}):
            return  # an exit's id can have lived before its record: exits need no disk (DESIGN.md section 2, 1)
        truth = self.exchange.by_client_id.get(order.id)
        name = f"{order.purpose} {order.id} is called {fact.event}"
        if fact.event in ("rejected", "absent"):
            self.require(truth is None or not truth.filled, f"{name}, but it filled {truth and truth.filled}")
            self.require(truth is None or truth.status != "resting", f"{name}, but it rests")
            return
        self.require(truth is not None, f"{name}, but the exchange never had it")
        assert truth is not None
        self.require(truth.status != "resting", f"{name}, but it rests")
        known = max(order.filled, order.booked)
        self.require(truth.filled == known, f"{name} with {known} filled, the exchange filled {truth.filled}")

    # sending

    def sending(self, boot: str, epoch: int, job: PlaceOrder) -> None:
        """The bytes of an order are about to leave."""
        self.trace(f"{boot} send {job.purpose} {job.client_order_id} {job.side} {job.count} at {job.price}")
        self.counts[f"sent {job.purpose}"] += 1
        sent = self._sent.get(job.client_order_id)
        same = sent is not None and terms(sent.job) == terms(job)
        if sent is None or (not same and sent.boot != boot and job.purpose == "exit"):
            if sent is not None:  # its record was lost unsynced: the same id now means another order
                self._reused.add(job.client_order_id)
            sent = self._sent[job.client_order_id] = Sent(job, boot)
        else:
            self.require(same, f"{job.client_order_id} was sent with other terms before")
            sent.boots.add(boot)
        sent.sends += 1
        if job.purpose == "entry":
            self._entry(boot, epoch, job, sent)
        elif boot == self.boot:
            self._exit(job)

    def _entry(self, boot: str, epoch: int, job: PlaceOrder, sent: Sent) -> None:
        intent, name = self._durable_ids.get(job.client_order_id), f"entry {job.client_order_id}"
        self.require(intent is not None, f"{name} leaves before its intent is durable")
        assert intent is not None
        self.require(
            (intent.side, intent.price, intent.count) == (job.side, job.price, job.count),
            f"{name} is not what was recorded",
        )
        self.require(sent.boot == boot, f"{name} is sent again after a restart")
        self.require(sent.sends == 1, f"{name} is sent {sent.sends} times")
        self.require(self.books.mode == "RUNNING", f"{name} is sent while {self.books.mode}")
        self.require(self.books.reconciled_boot == boot, f"{name} is sent before this boot reconciled")
        self.require(epoch == self.file.epoch, f"{name} is sent by a program that was succeeded")

    def _exit(self, job: PlaceOrder) -> None:
        name = f"exit {job.client_order_id}"
        self._last_exit[job.ticker] = self.clock.now_ms
        proper = job.reduce_only and job.time_in_force == "immediate_or_cancel" and job.self_trade_prevention == "maker"
        self.require(proper, f"{name} is not reduce-only, immediate-or-cancel with maker prevention")

    def replied(self, boot: str, client_order_id: str, outcome: Outcome) -> None:
        self.trace(f"{boot} reply {client_order_id} {outcome}")
        self.counts[f"reply {type(outcome).__name__}"] += 1

    # the exchange's side

    def filled(self, fill: Fill) -> None:
        """A fill at the engine: an exit may only make a position smaller."""
        self.trace(f"filled {fill.client_order_id} {fill.side} {fill.count} at {fill.price} -> {fill.position}")
        self.counts["fills"] += 1
        signed = fill.count if fill.side == "bid" else -fill.count
        before = fill.position - signed
        sent = self._sent.get(fill.client_order_id)
        if sent is None or fill.client_order_id in self._wiped_ids:
            self.external[fill.ticker] += 1
        if sent is not None and sent.job.purpose == "exit":
            smaller = abs(fill.position) < abs(before) and before * fill.position >= 0
            self.require(smaller, f"exit {fill.client_order_id} moved the position from {before} to {fill.position}")
        if fill.position:
            self._held_since[fill.ticker] = self.clock.now_ms
        else:
            self._held_since.pop(fill.ticker, None)

    # stops

    def priced(self, boot: str, quote: Quote) -> None:
        """The program is about to hear this price: is a stop due by it?"""
        bracket = self.books.bracket(quote.ticker)
        if bracket is None or boot != self.boot:
            return
        self.require(not bracket.lags(), f"the stop of {quote.ticker} does not trail: {bracket}")
        price = quote.bid if bracket.long else quote.ask
        if price is not None:
            bracket.heard(price, excused=self._excused(quote.ticker))
        if bracket.stop is None:
            return
        crossed = price is not None and (price <= bracket.stop if bracket.long else price >= bracket.stop)
        now = self.clock.now_ms
        if not crossed:
            if not bracket.fired_ms:
                self._due.pop(quote.ticker, None)
            return
        if quote.ticker in self._due or bracket.held <= 0:
            return
        self._due[quote.ticker] = now
        self.counts["stops due"] += 1
        if not bracket.fired_ms and not self._excused(quote.ticker):
            ticker, since = quote.ticker, now
            self.clock.after(FIRST_SEND_MS, lambda: self._first(ticker, since, boot))

    def _first(self, ticker: str, since: int, boot: str) -> None:
        if self._due.get(ticker) != since or self.boot != boot or self._excused(ticker):
            return None
        if self.clock.now_ms <= self.frozen_until:
            return self.clock.at(self.frozen_until + FIRST_SEND_MS, lambda: self._first(ticker, since, boot))
        sent = self._last_exit.get(ticker, 0)
        self.require(sent >= since, f"the stop of {ticker} is due since {since} and no exit was sent")
        return None

    def _still_leaving(self, ticker: str) -> None:
        bracket = self.books.bracket(ticker)
        if bracket is None or bracket.held <= 0:
            self._due.pop(ticker)
            return
        if self._excused(ticker):
            self._due[ticker] = self.clock.now_ms
            return
        waited = self.clock.now_ms - max(self._due[ticker], self._last_exit.get(ticker, 0), self.frozen_until)
        self.require(waited <= AGAIN_MS, f"the stop of {ticker} is due and no exit was sent for {waited} ms")

    def _excused(self, ticker: str) -> bool:
        """Nothing can be sent: the market takes no orders as far as was told, or nothing is left to leave."""
        held = self.exchange.account.held(ticker)
        bracket = self.books.bracket(ticker)
        if bracket is None or held == 0 or (held > 0) != bracket.long:
            return True
        known = self.books.positions.get(ticker, 0)
        if known == 0 or (known > 0) != bracket.long:
            return True
        told = sum(
            o.filled - o.booked for o in self.books.orders.values() if o.trade_id == bracket.id and o.unbooked_exit()
        )
        status = self._told_status.get(ticker) or self.books.status.get(ticker, "active")
        return told >= bracket.held or status != "active" or self.exchange.engine.markets[ticker].status != "active"

    def _protected(self) -> None:
        """Every position of ours on the exchange has a live bracket with a stop, or is named."""
        now = self.clock.now_ms
        for ticker, since in self._held_since.items():
            if now - since < PROTECTED_MS or self.books.read_ms < since + PROTECTED_MS // 2:
                continue
            if self.exchange.account.held(ticker) == 0 or self.external[ticker]:
                continue
            bracket = self.books.bracket(ticker)
            named = f"position:{ticker}" in self.books.findings
            armed = bracket is not None and bracket.stop is not None
            self.require(armed or named, f"the position in {ticker} has no stop and no finding")
        for ticker in self.books.owner:
            self._over(ticker)

    def _over(self, ticker: str) -> None:
        """A trade ends with its market, once every order of it is answered."""
        bracket = self.books.bracket(ticker)
        if bracket is None or any(o.trade_id == bracket.id and not o.ended for o in self.books.orders.values()):
            return
        market = self.exchange.engine.markets.get(ticker)
        paid_ms = market.settled_ms if market is not None else 1
        live = paid_ms is not None and min(self.books.read_ms, self.clock.now_ms) > paid_ms + PROTECTED_MS
        self.require(not live, f"a trade is still live in {ticker}, which has paid")

    # the end

    def settled_books(self, state: TradingState, moved: list[tuple[int, int]]) -> None:
        """At rest: the books equal the exchange's to the last unit, and what does not is named.

        `moved` are deposits and withdrawals, as (when, amount); those around the baseline may be in it or not.
        """
        account = self.exchange.account
        theirs = {t: p.count for t, p in account.positions.items() if p.count}
        own = {t: n for t, n in self.books.positions.items() if n}
        ours = {t: p.count for t, p in state.positions.items() if p.count}
        self.require(own == ours, f"the state's positions {ours} are not the facts' {own}")
        self.require(ours == theirs, f"positions {ours}, the exchange's {theirs}")
        self.require(
            state.cash == self.books.cash, f"the state's cash {state.cash} is not the facts' {self.books.cash}"
        )
        assert state.cash is not None
        began = self.books.began_ms
        sure = sum(amount for ms, amount in moved if ms > began)
        open_ = [amount for ms, amount in moved if began - 10_000 < ms <= began]
        possible = {sure + sum(open_[n:]) for n in range(len(open_) + 1)}
        gap = account.cash - state.cash
        self.require(
            gap in possible, f"cash {state.cash}, the exchange's {account.cash}; others moved {sorted(possible)}"
        )
        named = self.books.findings.get("cash:account")
        self.require(gap == 0 or named is not None, f"{gap} of cash is not ours and no finding names it")
        for fill in account.fills:
            known = (
                fill.trade_id in self.books.fills or fill.trade_id in self.books.seen or fill.ms < self.books.began_ms
            )
            self.require(known, f"fill {fill.trade_id} of {fill.client_order_id} was never booked")
            if fill.trade_id in self.books.fills:
                booked = self.books.fills[fill.trade_id]
                same = booked == (fill.ticker, fill.side, fill.price, fill.count, fill.fee)
                self.require(same, f"fill {fill.trade_id} was booked as {booked}")
        self._nothing_open()

    def _nothing_open(self) -> None:
        """At rest: no order without an answer, none resting without its trade, no finding without its cause."""
        for intent in self.books.orders.values():
            truth = self.exchange.by_client_id.get(intent.id)
            rests = truth is not None and truth.status == "resting"
            self.require(
                rests or intent.ended != "", f"{intent.id} never ended, the exchange says {truth and truth.status}"
            )
        now = self.clock.now_ms
        for order in self.exchange.account.orders.values():
            if order.status != "resting" or order.created_ms > now - 30_000:
                continue
            named = f"order:{order.order_id}" in self.books.findings
            ours = self.books.orders.get(order.client_order_id)
            trade = self.books.trades.get(ours.trade_id) if ours else None
            self.require(
                named or (trade is not None and trade.live),
                f"{order.client_order_id} rests, unnamed, without a live trade",
            )
        for name in self.books.findings:
            self.require(not name.startswith("position:"), f"at rest there is still a finding {name}")

    def summary(self) -> dict[str, Any]:
        return dict(sorted(self.counts.items()))
