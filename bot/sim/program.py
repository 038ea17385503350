"""One running program on virtual time: the shell of bot/run/bot.py without greenlets of its own, threads or sockets.

It decides nothing: real door, executor, journal, restore, reading of the account. It can be killed at any moment.
"""

from collections.abc import Callable
from random import Random
from typing import Any

from bot.core import claiming
from bot.core.config import RISK, Config, defaults
from bot.core.effects import AmendOrder, CancelOrder, Notice, PlaceOrder, ResolveOrder, Wake
from bot.core.events import (
    AmendReplied,
    Boot,
    CancelReplied,
    Command,
    CreateReplied,
    Event,
    FillSeen,
    MarketChange,
    OrderSeen,
    Propose,
    Sending,
    Sweep,
    Tick,
)
from bot.core.state import TradingState, dump, state_hash
from bot.core.step import Rules
from bot.core.turn import Turn
from bot.core.venue import NotSent, Quote
from bot.kalshi.rest import ReadFailed
from bot.run.account import look_up, read_account
from bot.run.door import Door, unanswered
from bot.run.executor import Executor, Job, WriteBudget
from bot.run.private_channels import PrivateChannels
from bot.run.restore import restore
from bot.sim.auditor import Auditor
from bot.sim.clock import Clock, Host, end_task
from bot.sim.disk import File, SimDisk
from bot.sim.faults import Faults
from bot.sim.network import Client, Network, Stream
from bot.sim.pace import DENSE, Pace
from bot.sim.strategy import Strategy, propose
from bot.store.journal import Journal

SWEEP_MS = 2_000
RECONCILE_MS = 10_000
DISCOVER_MS = 12_000
STALE_MS = 60_000
UNCONNECTED_MS = 10_000
LIMITS = {
    "cooldown": 3, "max_order_cost": 60_000_000, "max_market_exposure": 100_000_000, "max_event_exposure": 100_000_000,
    "max_series_exposure": 600_000_000, "max_total_exposure": 600_000_000, "max_entry_rate": 1_000,
    "max_daily_loss": 5_000_000_000, "max_drawdown": 60_000_000, "max_loss_streak": 6, "max_rejects": 3,
    "max_errors": 5, "error_window": 30, "breaker_pause": 5,
}  # fmt: skip
SETTINGS = Config(1, "default", {**defaults(RISK), **LIMITS}, {})


class Program:
    """A process: it lives from construction until `kill` or `stop`."""

    def __init__(
        self, clock: Clock, network: Network, faults: Faults, file: File, auditor: Auditor, boot: str,
        on_death: Callable[["Program"], None], strategy: Strategy = propose, pace: Pace = DENSE,
        settings: Config = SETTINGS,
    ) -> None:  # fmt: skip
        self.clock = clock
        self.network = network
        self.faults = faults
        self.boot = boot
        self.host = Host(clock)
        self.stopping = False
        self.auditor = auditor
        self.rng = Random(boot)
        self.client = Client(network, self.host)
        self.executor = Executor(WriteBudget(100.0, 200.0))
        self.disk = SimDisk(file)
        self.journal = Journal(self.disk)
        self.channels = PrivateChannels()
        self.quotes: dict[str, tuple[Quote | None, int]] = {}
        self._on_death = on_death
        self._propose = strategy
        self._committing = False
        self._reconciling = False
        self._reconcile_again = False
        self._seen_reconnects = 0
        state, _ = restore(self.journal, settings, "RUNNING", self.now_ms())
        auditor.restored(self.boot, state, self.journal.last_seq)
        self.door = Door(
            state, Rules((), RECONCILE_MS), self.journal, self.executor,
            on_work=self._pump, on_facts=lambda facts, seq: None, on_notice=self._on_notice, on_wake=self._on_wake,
            on_reconcile=self._wake_reconciler, later=lambda work: self.host.after(0, work), clock_ms=self.now_ms,
        )  # fmt: skip
        self.stream = Stream(network, self.host, self._on_frame)
        self.handle(Boot(self.now_ms(), boot, settings))
        self._confirm_prices()
        self._every(SWEEP_MS, self._sweep)
        self._every(RECONCILE_MS, self._wake_reconciler)
        self._every(DISCOVER_MS, lambda: self.host.spawn(self._discover))
        self._every(pace.snapshot_ms, self._snapshot, pace.snapshot_ms)
        self._every(pace.strategy_ms, self._strategy, pace.strategy_ms)
        self._every(1_000, self._upkeep)

    def now_ms(self) -> int:
        """What the machine's clock says, right or wrong."""
        return self.network.wall_ms()

    @property
    def state(self) -> TradingState:
        return self.door.state

    def handle(self, event: Event) -> Turn:
        turn = self.door.handle(event)
        self.auditor.turned(self.boot, event, turn)
        self._commit()
        return turn

    def kill(self) -> None:
        """SIGKILL: nothing of this program happens any more; what was not synced is gone."""
        if self.host.alive:
            self.host.alive = False
            if self.disk.epoch == self.disk.file.epoch and self.disk.file.last_seq == self.door.seq:
                self.auditor.left(self.door.seq, state_hash(self.state))
            self.stream.close()
            self._on_death(self)

    def stop(self) -> None:
        """SIGTERM, as Bot.stop: entries are gated and cancelled, replies may arrive for 3 s, the journal closes."""
        if self.stopping or not self.host.alive:
            return
        self.stopping = True
        now = self.now_ms()
        deferred = [o.client_order_id for o in self.state.orders.values() if o.state == "deferred"]
        for client_order_id in [*self.executor.drop_entries(), *deferred]:
            self.handle(CreateReplied(now, client_order_id, NotSent("the program is stopping")))
        for order in list(self.state.orders.values()):
            if order.purpose == "entry" and order.live() and order.order_id:
                self.executor.submit(CancelOrder(order.client_order_id, order.order_id, order.ticker), self.door.seq)
        self._pump()
        self._end_when_quiet(now + 3_000)

    def _end_when_quiet(self, deadline_ms: int) -> None:
        busy = unanswered(self.state) or self.executor.waiting()
        if busy and self.now_ms() < deadline_ms:
            self.host.after(20, lambda: self._end_when_quiet(deadline_ms))
            return
        self.journal.snapshot(self.door.seq, dump(self.state), state_hash(self.state))
        if self.journal.close():
            self.auditor.flushed(self.boot, self.journal.last_seq)
        self.kill()

    # time

    def _every(self, ms: int, work: Callable[[], Any], first_ms: int = 1) -> None:
        """At a fixed rate, while the program lives; a frozen program misses beats."""

        def beat() -> None:
            work()
            self.host.after(ms, beat)

        self.host.after(first_ms, beat)

    # what arrives

    def _on_frame(self, kind: str, news: Any) -> None:
        now = self.now_ms()
        if kind in ("fill", "order", "position"):
            self.channels.saw(news, now)
        if kind == "position":
            self.auditor.told(self.boot, news)
        elif kind == "tick":
            self._price(news)
        elif kind == "fill":
            self.handle(FillSeen(now, news))
        elif kind == "order":
            self.handle(OrderSeen(now, news))
        elif kind == "lifecycle":
            self.handle(MarketChange(now, *news))
            if news[1] in ("determined", "finalized"):
                self._wake_reconciler()
        elif kind == "resync":
            self._price(self.network.exchange.quote(news))
        else:
            self._confirm_prices()

    def _price(self, quote: Quote) -> None:
        self.quotes[quote.ticker] = quote, self.now_ms()
        self.auditor.priced(self.boot, quote)
        if quote.ticker in self.state.live_trade:
            self.handle(Tick(self.now_ms(), quote))

    def trusted(self, ticker: str) -> Quote | None:
        quote, confirmed_ms = self.quotes.get(ticker, (None, 0))
        return quote if self.now_ms() - confirmed_ms <= STALE_MS else None

    def command(self, verb: str, args: dict[str, object]) -> Turn:
        wanted = claiming.wanted_market(self.state, verb, args)
        market = self.network.exchange.market(wanted) if wanted else None
        seen = {*self.state.held_markets(), wanted}
        quotes = {t: q for t in sorted(seen) if t and (q := self.trusted(t)) is not None}
        return self.handle(Command(self.now_ms(), verb, "operator", args, quotes, market))

    # loops

    def _sweep(self) -> None:
        now = self.now_ms()
        quotes = {t: self.trusted(t) for t in sorted(self.state.held_markets())}
        for quote in quotes.values():
            if quote is not None:
                self.auditor.priced(self.boot, quote)
        self.auditor.beat(self.boot)
        self.handle(Sweep(now, quotes, self.channels.told()))
        late = now - 2_000
        if any(o.outstanding() and not o.live() and o.changed_ms < late for o in self.state.orders.values()):
            self._wake_reconciler()
        self._pump()

    def _wake_reconciler(self) -> None:
        if self._reconciling:
            self._reconcile_again = True
            return
        self._reconciling = True
        self.host.spawn(self._reconcile)

    def _reconcile(self) -> None:
        """One at a time; woken meanwhile, it runs once more (bot.run.loops.Loop)."""
        try:
            event = read_account(self.client, self.state, self.now_ms, self.client.market)  # type: ignore[arg-type]
        except ReadFailed:
            pass
        else:
            self.channels.read(event)
            self.handle(event)
        self._reconciling = False
        if self._reconcile_again:
            self._reconcile_again = False
            self._wake_reconciler()

    def _discover(self) -> None:
        """Statuses of held markets, as the 12 s discovery brings them."""
        for ticker in sorted(self.state.watched()):
            try:
                market, _ = self.client.market(ticker)
            except ReadFailed:
                continue
            terms = market.close_ms, market.grid
            self.handle(MarketChange(self.now_ms(), ticker, market.status, market.result, *terms))

    def _upkeep(self) -> None:
        if self.stream.reconnects != self._seen_reconnects:
            self._seen_reconnects = self.stream.reconnects
            self._wake_reconciler()
        limit = STALE_MS if self.stream.connected else UNCONNECTED_MS
        now = self.now_ms()
        if any(now - self.quotes.get(t, (None, 0))[1] > limit for t in self.state.held_markets()):
            self._confirm_prices()

    def _confirm_prices(self) -> None:
        self.host.spawn(self._read_prices)

    def _read_prices(self) -> None:
        """After a connect everything, else held markets that were silent too long."""
        for ticker in sorted(self.state.held_markets()) if self.quotes else list(self.network.exchange.engine.markets):
            try:
                quote = self.client.market(ticker)[1] if self.quotes else self.network.exchange.quote(ticker)
            except ReadFailed:
                continue
            self._price(quote)

    def _snapshot(self) -> None:
        blob = dump(self.state)
        self.auditor.keeps("bytes of state", len(blob))
        self.journal.snapshot(self.door.seq, blob, state_hash(self.state))

    def _strategy(self) -> None:
        if self.stopping:
            return
        proposal = self._propose(self.network.exchange, self.trusted, self.rng, self.now_ms())
        if proposal is not None:
            age = self.now_ms() - self.quotes[proposal.market.ticker][1]
            self.handle(Propose(self.now_ms(), proposal, age, self.journal.healthy))

    # what the door asks for

    def _pump(self) -> None:
        while (job := self.executor.ready(self.journal.durable_seq, self.now_ms())) is not None:
            self._start(job)

    def _start(self, job: Job) -> None:
        self.host.spawn(lambda: self._perform(job))

    def _perform(self, job: Job) -> None:
        now = self.now_ms
        if isinstance(job, PlaceOrder):
            if job.purpose != "exit" and self.stopping:
                self.handle(CreateReplied(now(), job.client_order_id, NotSent("the program is stopping")))
                return
            if job.purpose != "exit":
                turn = self.handle(Sending(now(), job.client_order_id))
                if turn.answer is None or not turn.answer.ok:
                    return
            after = self._kill_at(f"send.{job.purpose}")
            self.auditor.sending(self.boot, self.disk.epoch, job)

            def on_sent() -> None:
                if job.purpose == "exit" and not after:
                    self.handle(Sending(now(), job.client_order_id))
                if after:
                    self.kill()

            outcome = self.client.create(job, on_sent)
            self.auditor.replied(self.boot, job.client_order_id, outcome)
            self.handle(CreateReplied(now(), job.client_order_id, outcome))
        elif isinstance(job, AmendOrder):
            if self._kill_at("send.amend"):
                self.host.after(1, self.kill)
            self.auditor.amending(self.boot, job)
            self.handle(AmendReplied(now(), job.client_order_id, self.client.amend(job)))
        elif isinstance(job, CancelOrder):
            if self._kill_at("send.cancel"):
                self.host.after(1, self.kill)
            self.auditor.counts["sent cancel"] += 1
            self.handle(CancelReplied(now(), job.client_order_id, self.client.cancel(job)))
        else:
            self._look_up(job)

    def _kill_at(self, op: str) -> bool:
        """Die here if the plan says so; True when it says to die just after the send."""
        fault = self.faults.next(op)
        if fault is not None and fault.kind == "kill_before":
            self.kill()
            end_task()
        return fault is not None

    def _look_up(self, job: ResolveOrder) -> None:
        try:
            found = look_up(self.client, job.client_order_id, job.ticker, job.sent_ms, self.now_ms)  # type: ignore[arg-type]
            for event in found:
                self.handle(event)
        except ReadFailed:
            pass
        finally:
            self.executor.looked_up(job.client_order_id)

    def _on_wake(self, wake: Wake) -> None:
        def look() -> None:
            quote = self.trusted(wake.ticker)
            if quote is not None:
                self.auditor.priced(self.boot, quote)
            self.handle(Sweep(self.now_ms(), {wake.ticker: quote}))

        self.host.after(max(wake.at_ms - self.now_ms(), 0), look)

    def _on_notice(self, notice: Notice) -> None:
        self.auditor.noticed(self.boot, notice)

    # the disk

    def _commit(self) -> None:
        """Keep one batch under way while something waits (Committer.pump)."""
        if self._committing or not self.host.alive or not self.journal.commits.begin():
            return None
        self._committing = True
        fault = self.faults.next("commit")
        if fault is not None and fault.kind == "kill_before":
            return self.host.after(1, self.kill)
        slow = 3_000 if self.network.during("disk_slow") else 2 + self.rng.randrange(12)
        ms = slow + (fault.ms if fault is not None and fault.kind == "slow" else 0)
        self.host.after(ms, lambda: self._synced(fault.kind if fault else ""))
        return None

    def _synced(self, kind: str) -> None:
        commits = self.journal.commits
        batch = list(commits.begin())
        try:
            if kind == "fail":
                raise OSError("the disk failed")
            if self.network.during("disk_full"):
                raise OSError("the disk is full")
            self.disk.commit(batch)
        except Exception as error:
            commits.fail(error)
            self.host.after(round(commits.retry_in_s * 1000), lambda: self._synced(""))
            return None
        self.auditor.durable(self.boot, batch)
        if kind == "kill_after":
            return self.kill()
        commits.finish()
        self._committing = False
        self._pump()
        self._commit()
        return None
