"""The independent auditor: it sees what is sent, what is synced, the facts, and the exchange's own ledger, and checks
DESIGN.md section 2 after every step. It has its own arithmetic and asks the core nothing."""

import hashlib
from collections import Counter
from collections.abc import Sequence

from bot.core import facts as f
from bot.core.effects import AmendOrder, Notice, PlaceOrder
from bot.core.events import AccountRead, Event, MarketChange, Propose, Sweep
from bot.core.state import TradingState, state_hash
from bot.core.turn import Turn
from bot.core.venue import NotSent, Outcome, Quote, Rejected, VenuePosition
from bot.paper.model import Fill
from bot.sim.clock import Clock
from bot.sim.disk import File
from bot.sim.exchange import Exchange
from bot.sim.exposure import Exposure
from bot.sim.ledger import EXCUSED_MS, Ledger
from bot.sim.limits import Limits
from bot.sim.model import Books, Violation, require
from bot.sim.stops import StopWatch
from bot.store.journal import Record, Snapshot

LARGEST = {"records of journal": 20_000, "bytes of state": 2_000_000}


class Sent:
    """One client order id as it went over the wire."""

    def __init__(self, job: PlaceOrder, boot: str) -> None:
        self.job = job
        self.boot = boot
        self.boots = {boot}
        self.sends = 0
        self.outcome: Outcome | None = None
        """What the last send came to."""

    def applied_nothing(self) -> bool:
        """The last send provably changed nothing at the exchange, for a reason that may pass."""
        last = self.outcome
        return isinstance(last, NotSent) or (
            isinstance(last, Rejected) and (last.status == 429 or "paused" in last.code)
        )


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
        self.limits = Limits()
        self.counts: Counter[str] = Counter()
        self.ledger = Ledger(clock, exchange, self.books)
        self.exposure = Exposure(clock, exchange, self.books)
        self.stops = StopWatch(clock, exchange, self.books, self.counts)
        self.boot = ""
        """The program that holds the lease. Another that still runs may send exits, and nothing else."""
        self.largest: dict[str, int] = {}
        self.hours: set[int] = set()
        """Hours in which entries were sent."""
        self.lines: list[str] = []
        self._keep = keep
        self._hash = hashlib.sha256()
        self._sent: dict[str, Sent] = {}
        self._reused: set[str] = set()
        self._durable: list[f.Fact] = []
        self._durable_ids: dict[str, f.OrderIntended] = {}
        self._written: dict[int, f.Fact] = {}
        self._seq = 0
        self._left = (-1, "")
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

    # a program's life

    def restored(self, boot: str, state: TradingState, last_seq: int) -> None:
        """A program read the journal: only what was synced may be in it."""
        self.trace(f"boot {boot} from record {last_seq}")
        require(last_seq == len(self._durable), f"restored {last_seq} records, {len(self._durable)} were synced")
        self.books.begin()
        self.limits = Limits()
        self.ledger.begin()
        self.stops.begin(boot)
        for fact in self._durable:
            self.limits.apply(fact, self.books)
            self.books.apply(fact)
        self._seq = last_seq
        self._written = {}
        self.boot = boot
        self.counts["boots"] += 1
        seq, digest = self._left
        same = seq != last_seq or state_hash(state) == digest
        require(same, f"the state restored at record {seq} is not the one that was left")
        ours = {t: n for t, n in self.books.positions.items() if n}
        theirs = {t: p.count for t, p in state.positions.items() if p.count}
        require(ours == theirs, f"restored positions {theirs}, the synced facts say {ours}")
        require(state.cash == self.books.cash, f"restored cash {state.cash}, the facts say {self.books.cash}")

    def died(self, boot: str, how: str) -> None:
        """Nothing is due from a dead program."""
        self.counts["stops" if how == "stopped" else "kills"] += 1
        self.trace(f"{how} {boot}")
        if boot == self.boot:
            self.boot = ""
            self.stops.begin("")

    def left(self, seq: int, digest: str) -> None:
        """A program ended with everything synced: its next life begins with the same state."""
        self._left = seq, digest
        self.counts["compared restarts"] += 1

    def wiped(self) -> None:
        """The disk is gone; ids that were sent stay sent, and what still rests of them is a stranger's now."""
        self.counts["wiped"] += 1
        self._left = (-1, "")
        self._durable.clear()
        self._durable_ids.clear()

    def durable(self, boot: str, batch: Sequence[Record | Snapshot]) -> None:
        self.keeps("records of journal", len(self.file.records))
        for item in batch:
            if isinstance(item, Record) and item.seq in self._written:
                fact = self._written.pop(item.seq)
                require(item.seq == len(self._durable) + 1, f"record {item.seq} synced out of order")
                self._durable.append(fact)
                if isinstance(fact, f.OrderIntended):
                    self._durable_ids[fact.client_order_id] = fact

    def keeps(self, what: str, size: int) -> None:
        """Something that must not grow with time."""
        self.largest[what] = max(self.largest.get(what, 0), size)
        require(size <= LARGEST[what], f"{size} {what}")

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
        if isinstance(event, Propose) and turn.answer is not None and not turn.answer.ok:
            self.counts[f"refused {turn.answer.code}"] += 1
        if isinstance(event, MarketChange):
            self.stops.told_status(event.ticker, event.status)
        for fact in turn.facts:
            self._seq += 1
            self._written[self._seq] = fact
            self.trace(f"  {self._seq} {fact}")
            self._before(fact)
            self.limits.apply(fact, self.books)
            self.books.apply(fact)
            if isinstance(fact, f.OrderMoved):
                self._ended(fact)
        if self.books.twice:
            raise Violation(f"booked twice: {self.books.twice[0]}")
        self._same_books(turn)
        self._targets_capped()
        if isinstance(event, AccountRead):
            self.ledger.read(min(event.started_ms, event.fresh_ms))
        if isinstance(event, Sweep):
            self.ledger.swept()
            self.stops.swept()
            self.exposure.look(event.at_ms, self.limits.risk)

    def _same_books(self, turn: Turn) -> None:
        """What a step booked, the state adds up as we do."""
        state, books = turn.state, self.books
        for fact in turn.facts:
            if isinstance(fact, f.FillBooked | f.SettlementBooked):
                ticker = fact.fill.ticker if isinstance(fact, f.FillBooked) else fact.settlement.ticker
                ours, theirs = books.positions.get(ticker, 0), state.position(ticker).count
                require(ours == theirs, f"the state holds {theirs} in {ticker}, the facts say {ours}")
                require(state.cash == books.cash, f"the state's cash is {state.cash}, the facts say {books.cash}")

    def _targets_capped(self) -> None:
        """What our targets could still sell at the exchange, it holds; unless somebody else sold, or it told a lie."""
        rest: Counter[str] = Counter()
        for order in self.books.open.values():
            truth = self.exchange.by_client_id.get(order.id)
            called_back = order.adopted_ms is not None and self.clock.now_ms - order.adopted_ms <= EXCUSED_MS
            if order.purpose == "target" and not called_back and truth is not None and truth.status == "resting":
                rest[order.ticker] += truth.remaining if truth.side == "ask" else -truth.remaining
        for ticker, count in rest.items():
            held = self.exchange.account.held(ticker)
            capped = count * held > 0 and abs(count) <= abs(held)
            require(capped or self.ledger.excused(ticker), f"targets in {ticker} may sell {count}, and {held} are held")

    def noticed(self, boot: str, notice: Notice) -> None:
        self.counts[f"notice {notice.code}"] += 1
        refused = boot == self.boot and notice.code.endswith("_step_refused")
        require(not refused, f"{notice.code}: {notice.text}")
        self.trace(f"  {notice.level} {notice.code} {notice.ticker}: {notice.text}")

    def _before(self, fact: f.Fact) -> None:
        """Count what coverage wants to know, in the books as they were before the fact."""
        self.counts[type(fact).__name__] += 1
        if isinstance(fact, f.OrderIntended) and self._remembered(fact):
            return
        if isinstance(fact, f.OrderIntended) and fact.purpose != "entry":
            held = self.books.positions.get(fact.ticker, 0)
            open_ = [order for order in self.books.open.values() if order.ticker == fact.ticker]
            told = sum(max(order.told(), order.may_sell()) for order in open_)
            room = (held if fact.side == "ask" else -held) - told
            name = f"{fact.purpose} {fact.client_order_id} of {fact.count}"
            require(fact.count <= room, f"{name} is larger than the position {held}")
        if isinstance(fact, f.OrderIntended) and fact.purpose == "entry":
            broken = self.limits.broken(fact, self.books) or self.exposure.broken(fact, self.limits.risk)
            require(not broken, f"entry {fact.client_order_id} is decided {broken}")
        if isinstance(fact, f.CashBaseline):
            self.exposure.begin()
        if isinstance(fact, f.ExitFired):
            self.counts[f"fired {fact.kind}" if not fact.again else "bounds begun anew"] += 1
        if isinstance(fact, f.PlanChanged):
            self.counts[f"plan changed, {fact.author}"] += 1
        wrong = self.books.unfounded(fact)
        require(not wrong, f"{wrong}: {fact}")

    def _remembered(self, fact: f.OrderIntended) -> bool:
        """An exit of an earlier life, sent before its record was synced: recorded as it was sent, not sent again."""
        sent, truth = self._sent.get(fact.client_order_id), self.exchange.by_client_id.get(fact.client_order_id)
        if fact.purpose != "exit" or sent is None or truth is None or self.books.boot in sent.boots:
            return False
        return (truth.ticker, truth.side, truth.price, truth.initial) == (
            fact.ticker,
            fact.side,
            fact.price,
            fact.count,
        )

    def _ended(self, fact: f.OrderMoved) -> None:
        """An order that is called ended has ended on the exchange too, with the fills that are known."""
        if fact.event not in ("filled", "cancelled", "rejected", "absent"):
            return
        order = self.books.orders[fact.client_order_id]
        sent = self._sent.get(order.id)
        if order.id in self.exchange.lied_about and fact.event == "cancelled":
            return  # we cannot know better than the exchange; what filled is booked all the same
        reused = order.id in self._reused or (order.purpose == "exit" and sent and sent.boots != {self.books.boot})
        if reused and fact.event == "rejected":
            return  # an exit's id can have lived before its record: exits need no disk (DESIGN.md section 2, 1)
        truth = self.exchange.by_client_id.get(order.id)
        name = f"{order.purpose} {order.id} is called {fact.event}"
        if reused and truth is not None and truth.order_id in self.books.orders:
            return  # booked already, under the exchange's id
        if fact.event in ("rejected", "absent"):
            require(truth is None or not truth.filled, f"{name}, but it filled {truth and truth.filled}")
            require(truth is None or truth.status != "resting", f"{name}, but it rests")
            return
        require(truth is not None, f"{name}, but the exchange never had it")
        assert truth is not None
        require(truth.status != "resting", f"{name}, but it rests")
        if reused and (truth.price, truth.initial) != (order.price, order.count):
            return  # it is another program's exit of the same id; its fills are booked, and compared at rest
        known = max(order.filled, order.booked)
        require(truth.filled == known, f"{name} with {known} filled, the exchange filled {truth.filled}")

    # sending

    def sending(self, boot: str, epoch: int, job: PlaceOrder) -> None:
        """The bytes of an order are about to leave."""
        self.trace(f"{boot} send {job.purpose} {job.client_order_id} {job.side} {job.count} at {job.price}")
        self.counts[f"sent {job.purpose}"] += 1
        sent = self._sent.get(job.client_order_id)
        same = sent is not None and terms(sent.job) == terms(job)
        known = self.books.orders.get(job.client_order_id)
        if job.purpose == "exit" and known is not None and known.purpose == "target":
            self.counts["targets sent again as exits"] += 1
            same = job.count == known.count  # at whatever price: at most one order can live under the id
        if sent is None or (not same and sent.boot != boot and job.purpose == "exit"):
            if sent is not None:  # its record was lost unsynced: the same id now means another order
                self._reused.add(job.client_order_id)
            sent = self._sent[job.client_order_id] = Sent(job, boot)
        else:
            require(same, f"{job.client_order_id} was sent with other terms before")
            sent.boots.add(boot)
        sent.sends += 1
        if job.purpose == "target":
            self._target(boot, epoch, job, sent)
        elif job.purpose == "entry":
            self._entry(boot, epoch, job, sent)
        elif boot == self.boot:
            self._exit(job)

    def _entry(self, boot: str, epoch: int, job: PlaceOrder, sent: Sent) -> None:
        self.hours.add(self.clock.now_ms // 3_600_000)
        intent, name = self._durable_ids.get(job.client_order_id), f"entry {job.client_order_id}"
        require(intent is not None, f"{name} leaves before its intent is durable")
        assert intent is not None
        require(
            (intent.side, intent.price, intent.count) == (job.side, job.price, job.count),
            f"{name} is not what was recorded",
        )
        require(sent.boot == boot, f"{name} is sent again after a restart")
        again = sent.sends <= 3 and sent.applied_nothing()
        require(sent.sends == 1 or again, f"{name} is sent {sent.sends} times, after {sent.outcome}")
        require(self.books.mode == "RUNNING", f"{name} is sent while {self.books.mode}")
        require(self.books.reconciled_boot == boot, f"{name} is sent before this boot reconciled")
        require(epoch == self.file.epoch, f"{name} is sent by a program that was succeeded")

    def _target(self, boot: str, epoch: int, job: PlaceOrder, sent: Sent) -> None:
        intent, name = self._durable_ids.get(job.client_order_id), f"target {job.client_order_id}"
        require(intent is not None, f"{name} leaves before its intent is durable")
        assert intent is not None
        require(terms(job) == (intent.ticker, intent.side, intent.price, intent.count), f"{name} is not as recorded")
        require(sent.sends == 1, f"{name} is placed {sent.sends} times")
        require(self.books.reconciled_boot == boot, f"{name} is placed before this boot reconciled")
        require(epoch == self.file.epoch, f"{name} is placed by a program that was succeeded")
        bracket = self.books.bracket(job.ticker)
        require(bracket is not None and not bracket.fired_ms, f"{name} is placed though its trade is being left")

    def amending(self, boot: str, job: AmendOrder) -> None:
        """The bytes of an amend are about to leave: it is the exit of what the target may still sell."""
        self.trace(f"{boot} amend {job.client_order_id} {job.side} {job.count} at {job.price}")
        self.counts["sent amend"] += 1
        if boot != self.boot:
            return
        self.stops.sent(job.ticker)
        order = self.books.orders[job.client_order_id]
        require(order.count == job.count, f"amend of {order.id} names {job.count}, its total is {order.count}")

    def _exit(self, job: PlaceOrder) -> None:
        name = f"exit {job.client_order_id}"
        self.stops.sent(job.ticker)
        proper = job.reduce_only and job.time_in_force == "immediate_or_cancel" and job.self_trade_prevention == "maker"
        require(proper, f"{name} is not reduce-only, immediate-or-cancel with maker prevention")

    def replied(self, boot: str, client_order_id: str, outcome: Outcome) -> None:
        self.trace(f"{boot} reply {client_order_id} {outcome}")
        self._sent[client_order_id].outcome = outcome
        self.counts[f"reply {type(outcome).__name__}"] += 1

    # the exchange's side

    def filled(self, fill: Fill) -> None:
        """A fill at the engine: an exit may only make a position smaller."""
        self.trace(f"filled {fill.client_order_id} {fill.side} {fill.count} at {fill.price} -> {fill.position}")
        self.counts["fills"] += 1
        signed = fill.count if fill.side == "bid" else -fill.count
        before = fill.position - signed
        sent = self._sent.get(fill.client_order_id)
        self.ledger.filled(fill, sent is not None)
        known = self.books.orders.get(fill.client_order_id)
        dead = known is not None and known.ended in ("rejected", "absent")
        # two programs at once may send one exit, each its own way, with the same terms or with others
        shared = fill.client_order_id in self._reused or (sent is not None and len(sent.boots) > 1)
        require(not dead or shared, f"{fill.client_order_id} fills after it was called dead")
        if sent is not None and sent.job.purpose == "target":
            self.counts["target fills"] += 1
            smaller = before * signed < 0 and before * fill.position >= 0
            require(
                smaller or self.ledger.excused(fill.ticker),
                f"target {fill.client_order_id} moved {before} to {fill.position}",
            )
        if sent is not None and sent.job.purpose == "exit":
            smaller = abs(fill.position) < abs(before) and before * fill.position >= 0
            require(smaller, f"exit {fill.client_order_id} moved the position from {before} to {fill.position}")

    def told(self, boot: str, position: VenuePosition) -> None:
        """The program is about to hear this on the channel of positions."""
        if boot == self.boot:
            self.ledger.told(position.ticker, position.count)

    def beat(self, boot: str) -> None:
        """The program is about to sweep at its rate."""
        if boot == self.boot:
            self.ledger.beat()

    # stops and books

    def priced(self, boot: str, quote: Quote) -> None:
        """The program is about to hear this price."""
        if boot == self.boot:
            self.stops.priced(quote)
