"""The running bot: its loops and greenlets around the door. Wired by bot/build.py; starts, trades, stops."""

import logging
import time
from collections.abc import Callable
from typing import Any

import gevent
import msgspec
from prometheus_client import CollectorRegistry, Histogram

from bot.core import claiming
from bot.core import facts as f
from bot.core.config import RISK, Config, defaults
from bot.core.effects import AmendOrder, CancelOrder, Notice, PlaceOrder, ResolveOrder, Wake
from bot.core.events import (
    AmendReplied,
    Boot,
    CancelReplied,
    Command,
    CreateReplied,
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
from bot.core.turn import Answer, Turn
from bot.core.venue import Market, NotSent, Outcome, Quote, Unknown, VenueFill, VenueOrder, VenuePosition
from bot.kalshi.orders import KalshiOrders
from bot.kalshi.rest import KalshiReads, ReadFailed
from bot.market_data.market_data import MarketData
from bot.market_data.recorder import Recorder
from bot.run.account import look_up, read_account
from bot.run.door import Door, allowed, now_ms, sends_exit, unanswered
from bot.run.executor import Executor, Job
from bot.run.halt_file import HaltFile
from bot.run.history_rows import equity_row, rows_of, version_of
from bot.run.loops import HubLag, Loop
from bot.run.market_rows import MarketRows
from bot.run.market_watch import MarketWatch
from bot.run.notices import Notices, Spread
from bot.run.odds_feed import OddsFeed
from bot.run.private_channels import PrivateChannels
from bot.run.store_watch import StoreWatch
from bot.run.strategy_pass import StrategyPass
from bot.settings import Settings
from bot.store import rows
from bot.store.history import History
from bot.store.journal import Journal
from bot.store.supabase import SupabaseDelivery
from bot.strategy.contract import Strategy

PAGE_PAUSE_S = 0.1
"""However much happens, the page is made at most so often: each takes the hub a few milliseconds."""

SNAPSHOT_S = 300
LONGEST_REPLAY = 10_000
EQUITY_MS = 60_000

log = logging.getLogger("Tickstop")
prices = logging.getLogger("prices")


def default_config(strategy: Strategy) -> Config:
    """The settings in force until somebody changes them."""
    return Config(1, "default", defaults(RISK), defaults(strategy.params))


class Bot:
    """One account, one journal. `run` starts everything; `stop` gates entries, flushes and ends."""

    def __init__(
        self,
        settings: Settings,
        state: TradingState,
        *,
        boot: str,
        account: str,
        journal: Journal,
        history: History,
        supabase: tuple[str, str] | None,
        reads: KalshiReads,
        orders: KalshiOrders,
        executor: Executor,
        market_data: MarketData,
        recorder: Recorder,
        odds: OddsFeed,
        strategy: Strategy,
        publish: Callable[[], None],
        start_word: str = "",
    ) -> None:
        self.settings = settings
        self.boot = boot
        self._defaults = default_config(strategy)
        self.account = account
        self.started_ms = now_ms()
        self.journal = journal
        self.history = history
        self.reads = reads
        self.orders = orders
        self.halt_file = HaltFile(settings.data_dir / "halt")
        self.executor = executor
        self.market_data = market_data
        self.recorder = recorder
        self.odds = odds
        self.strategy = strategy
        self.notices = Notices(boot)
        self.delivery = SupabaseDelivery(*supabase, history, self.notices.add) if supabase else None
        self.stores = StoreWatch(journal, history, self.delivery, self.notices.add)
        self.latency = Spread()
        self.registry = CollectorRegistry()
        self._tick_to_send = Histogram(
            "tickstop_tick_to_send_seconds", "Tick received to exit order's bytes sent", registry=self.registry,
            buckets=(0.0001, 0.0002, 0.0003, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.012, 0.025, 0.05, 0.1, 0.5, 1, 5),
        )  # fmt: skip
        self.sent_orders = 0
        self.hub_lag = HubLag()
        self.reconcile_error, self.key_refused = "", False
        self.reconciled_at_ms = 0
        self._ticks_ns: dict[str, int] = {}
        self._equity_ms = 0
        self._stopping = self._closed = False
        self._greenlets: list[gevent.Greenlet] = []
        rules = Rules(strategy.params, round(settings.reconcile_interval * 1000), start_word)
        self.door = Door(
            state, rules, journal, executor,
            on_work=self._pump, on_facts=self._on_facts, on_notice=self.notices.add, on_wake=self._on_wake,
            on_reconcile=lambda: self.loops["Reconciler"].wake(),
            later=gevent.spawn,
        )  # fmt: skip
        self.passes = StrategyPass(
            strategy, market_data, odds.refresh, self._propose, lambda: self.door.state,
            lambda decided: self._put(decided), now_ms,
        )  # fmt: skip
        self.rows = MarketRows(boot)
        self.channels = PrivateChannels()
        self.watch = MarketWatch(
            market_data, reads, self.passes, lambda: self.door.state, self.door.handle, self.notices.add
        )
        self.loops: dict[str, Loop] = {}
        for name, interval_s, work in (
            ("StopLossMonitor", settings.stop_loss_check_interval, self._sweep),
            ("Reconciler", settings.reconcile_interval, self._reconcile),
            ("StrategyLoop", settings.strategy_loop_interval, self._strategy),
            ("MarketData", settings.market_poll_interval, self.watch.discover),
            ("PriceConfirm", settings.stop_loss_check_interval, self.watch.confirm),
            ("UIUpdate", settings.ui_update_interval, publish),
            ("Upkeep", 1.0, self._upkeep),
            ("Snapshot", SNAPSHOT_S, self._snapshot),
        ):
            self.loops[name] = Loop(name, interval_s, work, self._on_crash, PAGE_PAUSE_S if name == "UIUpdate" else 0.0)

    @property
    def state(self) -> TradingState:
        return self.door.state

    # life

    def run(self, replayed: list[f.Fact]) -> None:
        """Start everything: journal and stops first, then the feeds, then the loops. Returns at once."""
        spawn = self._spawn
        spawn(self.journal.pump)
        spawn(self.history.pump)
        spawn(self.recorder.pump)
        if self.delivery is not None:
            spawn(self.delivery.pump)
        self._put(rows_of(self.state, replayed, version_of(self.state.newest_ms, self.door.seq)))
        turn = self.door.handle(Boot(now_ms(), self.boot, self._defaults, self.journal.lost))
        armed = sum(isinstance(e, Notice) and e.code == "armed" for e in turn.effects)
        log.info("boot %s: %d open trades armed", self.boot, armed)
        self.watch.follow()
        spawn(self.hub_lag.run)
        spawn(self.loops["StopLossMonitor"].run)
        if self.settings.websocket_enabled:
            spawn(self._read_stream)
        for name in ("MarketData", "PriceConfirm", "Reconciler", "UIUpdate", "Upkeep"):
            spawn(self.loops[name].run)
        first_s = 0 if self.journal.grown > LONGEST_REPLAY else SNAPSHOT_S
        gevent.spawn_later(first_s, lambda: spawn(self.loops["Snapshot"].run))
        spawn(self._first_pass)

    def stop(self, timeout_s: float) -> None:
        """Gate entries, cancel resting ones, let replies arrive, journal the rest, close. Idempotent."""
        if self._stopping:
            return
        self._stopping = True
        log.info("stopping: entries are off, stops keep working for up to %g s", timeout_s)
        for name in ("StrategyLoop", "MarketData", "Snapshot"):
            self.loops[name].stop()
        deferred = [o.client_order_id for o in self.state.orders.values() if o.state == "deferred"]
        for client_order_id in [*self.executor.drop_entries(), *deferred]:
            self.door.handle(CreateReplied(now_ms(), client_order_id, NotSent("the program is stopping")))
        for order in list(self.state.orders.values()):
            if order.purpose == "entry" and order.live() and order.order_id:
                self.executor.submit(CancelOrder(order.client_order_id, order.order_id, order.ticker), self.door.seq)
        self._pump()
        with gevent.Timeout(timeout_s, False):
            while unanswered(self.state) or self.executor.waiting():
                gevent.sleep(0.02)
        self._closed = True
        for loop in self.loops.values():
            loop.stop()
        self.market_data.stop()
        self.recorder.stop()
        self._snapshot(timeout_s)
        if not self.journal.close():
            log.error("the journal could not be written completely: see the errors above")
        self._deliver_rest(timeout_s)
        self.history.close()
        gevent.killall(self._greenlets, block=False)
        self.orders.close()
        left = sum(bool(position.count) for position in self.state.positions.values())
        if left:
            log.warning("%d positions stay open: nothing watches their stops until the next start", left)
        log.info("stopped")

    def _deliver_rest(self, timeout_s: float) -> None:
        if self.delivery is None:
            return
        self.delivery.stop()
        self.history.wait(self._put([]), timeout_s)
        if not self.delivery.flush(timeout_s):
            log.warning("the history is not delivered completely: the rest goes at the next start")

    def _spawn(self, work: Callable[[], Any]) -> None:
        self._greenlets.append(gevent.spawn(work))

    def _read_stream(self) -> None:
        """The stream ends only with the program: what a defect ended begins anew, and is shown."""
        while not self._stopping:
            try:
                self.market_data.run()
            except Exception as crash:  # supervised like the loops: prices and fills come through here
                log.exception("the stream's greenlet crashed")
                self._on_crash("WebSocketClient", f"{type(crash).__name__}: {crash}")
            gevent.sleep(1.0)

    def _first_pass(self) -> None:
        """The strategy starts as soon as there is something to decide on, then keeps its rate."""
        deadline = now_ms() + round(self.settings.strategy_loop_interval * 1000)
        while now_ms() < deadline and not (self.state.reconciled_ms and self.market_data.snapshot().markets):
            gevent.sleep(0.05)
        self.loops["StrategyLoop"].run()

    # what arrives

    def on_tick(self, quote: Quote) -> None:
        """From the stream, for each change of a market's top of book. The hot path."""
        if self.settings.verbose:
            prices.info("%s %s/%s %s", quote.ticker, quote.bid, quote.ask, quote.source)
        if quote.ticker not in self.state.live_trade:
            return
        turn = self.door.handle(Tick(now_ms(), quote))
        if sends_exit(turn):
            gevent.sleep(0)  # the exit's greenlet runs now, not after the rest of the frames

    def on_account(self, news: VenueFill | VenueOrder | VenuePosition) -> None:
        self.channels.saw(news, now_ms())
        if isinstance(news, VenueFill):
            self.door.handle(FillSeen(now_ms(), news))
        elif isinstance(news, VenueOrder):
            self.door.handle(OrderSeen(now_ms(), news))

    def on_lifecycle(self, change: MarketChange) -> None:
        self.door.handle(change)
        if change.status in ("determined", "finalized"):
            self.loops["Reconciler"].wake()

    def on_missed(self) -> None:
        """The stream is down, is back, or lost messages: prices, statuses and the account are read at once."""
        for name in ("PriceConfirm", "MarketData", "Reconciler"):
            self.loops[name].wake()

    def on_sent(self, client_order_id: str, sent_ns: int) -> None:
        """The kernel has taken an order's bytes. An exit's step is told only now: nothing comes before its send."""
        self.sent_orders += 1
        order = self.state.orders.get(client_order_id)
        if order is not None and order.purpose != "entry":
            self.door.handle(Sending(sent_ns // 1_000_000, client_order_id))
        tick_ns = self._ticks_ns.pop(client_order_id, 0)
        if tick_ns:
            self.latency.add((sent_ns - tick_ns) / 1000)
            self._tick_to_send.observe((sent_ns - tick_ns) / 1e9)

    # the operator

    def command(self, verb: str, args: dict[str, object], actor: str, request_id: str) -> Answer:
        """Decide a command now; its audit row is written with the answer."""
        wanted = claiming.wanted_market(self.state, verb, args)
        market = self._market(wanted) if wanted else None
        quotes = {t: q for t in {*self.state.held_markets(), wanted} if t and (q := self._trusted(t)) is not None}
        turn = self.door.handle(Command(now_ms(), verb, actor, args, quotes, market))
        answer = turn.answer
        assert answer is not None, "a command is always answered"
        result = f"{'accepted' if answer.ok else 'refused'}: {answer.text}"
        self._put([rows.Audit(f"{self.boot}-{request_id}", now_ms(), actor, verb, args, result)])
        self.loops["UIUpdate"].wake()
        return answer

    def _market(self, ticker: str) -> Market | None:
        """None when it cannot be read now."""
        try:
            return self.market_data.read_market(ticker)[0]
        except ReadFailed as failure:
            log.warning("%s cannot be read: %s", ticker, failure)
            return None

    # loops

    def _sweep(self) -> None:
        quotes = {t: self._trusted(t) for t in self.state.held_markets()}
        self.door.handle(Sweep(now_ms(), quotes, self.channels.told()))
        self._obey_halt_file()
        self.watch.tell_staleness()
        late = now_ms() - 2_000
        if any(o.outstanding() and not o.live() and o.changed_ms < late for o in self.state.orders.values()):
            self.loops["Reconciler"].wake()
        self._pump()

    def _reconcile(self) -> None:
        try:
            event = read_account(self.reads, self.state, now_ms, self.market_data.read_market)
        except ReadFailed as failure:
            self.reconcile_error = str(failure)
            logging.getLogger("Reconciler").warning("not reconciled: %s", failure)
            if failure.kind == "auth" and not self.key_refused:
                self.key_refused = True
                self.notices.add(
                    Notice("alarm", "key_refused", f"Kalshi refuses the key, exits cannot be sent: {failure}")
                )
            return
        if self.key_refused:
            self.key_refused = False
            self.notices.add(Notice("info", "key_accepted", "Kalshi takes the key again"))
        self.reconcile_error = ""
        self.channels.read(event)
        self.door.handle(event)
        self.reconciled_at_ms = now_ms()
        self.watch.follow()
        if now_ms() - self._equity_ms >= EQUITY_MS:
            self._equity_ms = now_ms()
            self._put([equity_row(self.state, dict(self.market_data.snapshot().quotes), self._equity_ms)])

    def _strategy(self) -> None:
        self.passes.run()
        self.watch.follow()

    def _upkeep(self) -> None:
        """Headers signed ahead, warm connections, a look at the stores."""
        self.stores.look()
        self.orders.create_headers.refresh()
        self.orders.keep_warm()

    def _snapshot(self, wait_s: float = 30.0) -> None:
        """History first: what a snapshot covers is never derived again. A long journal waits for nobody."""
        seq, blob, digest = self.door.seq, dump(self.state), state_hash(self.state)
        grown = self.journal.grown > LONGEST_REPLAY
        if self.history.wait(self._put([]), 1.0 if grown else wait_s) or grown:
            self.journal.snapshot(seq, blob, digest)

    # what the door asks for

    def _pump(self) -> None:
        """Start every job that may start; each in its own greenlet, so that no reply holds another job."""
        while (job := self.executor.ready(self.journal.durable_seq, now_ms())) is not None:
            gevent.spawn(self._perform, job)
        if self.executor.waiting():
            gevent.spawn(self._pump_when_durable, self.door.seq)

    def _pump_when_durable(self, seq: int) -> None:
        if self.journal.wait(seq, 2.0):
            while (job := self.executor.ready(self.journal.durable_seq, now_ms())) is not None:
                gevent.spawn(self._perform, job)

    def _perform(self, job: Job) -> None:
        handle = self.door.handle
        if self._closed:
            return
        if isinstance(job, PlaceOrder | AmendOrder) and job.tick_ns:
            self._ticks_ns[job.client_order_id] = job.tick_ns
        if isinstance(job, PlaceOrder):
            if job.purpose != "exit" and self._stopping:
                handle(CreateReplied(now_ms(), job.client_order_id, NotSent("the program is stopping")))
                return
            if job.purpose != "exit" and not allowed(handle(Sending(now_ms(), job.client_order_id))):
                return
            outcome: Outcome
            try:
                outcome = self.orders.create(job)
            except Exception as defect:  # a defect of ours must not leave the order in sending for ever
                log.exception("defect while sending %s", job.client_order_id)
                outcome = Unknown(f"defect: {type(defect).__name__}")
            self._ticks_ns.pop(job.client_order_id, None)
            handle(CreateReplied(now_ms(), job.client_order_id, outcome))
        elif isinstance(job, AmendOrder):
            amended = self.orders.amend(job)
            self._ticks_ns.pop(job.client_order_id, None)
            handle(AmendReplied(now_ms(), job.client_order_id, amended))
        elif isinstance(job, CancelOrder):
            handle(CancelReplied(now_ms(), job.client_order_id, self.orders.cancel(job)))
        else:
            self._look_up(job)

    def _look_up(self, job: ResolveOrder) -> None:
        try:
            for event in look_up(self.reads, job.client_order_id, job.ticker, job.sent_ms, now_ms):
                self.door.handle(event)
        except ReadFailed as failure:
            log.warning("look-up of %s failed, it stays unknown: %s", job.client_order_id, failure)
        finally:
            self.executor.looked_up(job.client_order_id)

    def _propose(self, event: Propose) -> Turn:
        return self.door.handle(msgspec.structs.replace(event, journal_ok=self.journal.healthy))

    def _on_facts(self, facts: list[f.Fact], seq: int) -> None:
        self._put(rows_of(self.state, facts, version_of(self.state.newest_ms, seq)))
        if any(isinstance(x, f.FillBooked | f.TradeMoved | f.TradeOpened) for x in facts):
            self.watch.follow_soon()
            if self.loops:
                self.loops["UIUpdate"].wake()

    def _on_wake(self, wake: Wake) -> None:
        gevent.spawn_later(max(wake.at_ms - now_ms(), 0) / 1000, self._woken, wake.ticker)

    def _woken(self, ticker: str) -> None:
        self.door.handle(Sweep(now_ms(), {ticker: self._trusted(ticker)}))

    def _on_crash(self, name: str, error: str) -> None:
        self.notices.add(Notice("alarm", "loop_crashed", f"{name}: {error}"))

    def _trusted(self, ticker: str) -> Quote | None:
        return self.market_data.fresh_quote(ticker, time.time_ns())

    def _put(self, changed: list[rows.Row]) -> int:
        return self.history.put(*changed)

    def _obey_halt_file(self) -> None:
        reason = self.halt_file.asked()
        if reason is not None:
            if self.state.mode != "HALTED":
                self.command("kill", {}, f"command line ({reason})", f"halt-{now_ms()}")
            self.halt_file.obeyed(self.door.seq)
            gevent.spawn(self.journal.wait, self.door.seq, 2.0).link(lambda _: self.loops["StopLossMonitor"].wake())
        self.halt_file.remove(self.journal.durable_seq)
