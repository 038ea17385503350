"""One simulated run: the world, the exchange, programs that live and die, the plan's faults, and the auditor."""

import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random

import msgspec

from bot.core.state import state_hash
from bot.core.units import format_count, format_money
from bot.run.restore import restore
from bot.sim.auditor import Auditor
from bot.sim.clock import Clock
from bot.sim.disk import File, SimDisk
from bot.sim.exchange import Exchange
from bot.sim.faults import Fault, Faults, draw_plan
from bot.sim.model import Violation, require
from bot.sim.network import Network
from bot.sim.pace import DENSE, pace_of
from bot.sim.process import Process
from bot.sim.program import SETTINGS, Program
from bot.sim.strategy import change_of_plan
from bot.sim.world import World
from bot.store.journal import Journal, JournalError

START_MS = 1_795_000_000_000
CASH = 5_000_000_000
VERBS = ("start", "pause", "stop", "kill", "rearm", "flatten")
RISK: tuple[Mapping[str, object], ...] = (
    *({"cooldown": seconds} for seconds in range(1, 5)),
    *({"max_entry_rate": number} for number in (3, 8, 1_000, 1_000)),
    *({"max_open_trades": number} for number in (1, 4, 10)),
    *({"max_order_cost": money} for money in ("3", "60")),
    {"max_series_exposure": "40", "max_total_exposure": "600"},
    {"max_series_exposure": "600", "max_total_exposure": "40"},
    *({"max_loss_streak": number} for number in (2, 6)),
    *({"max_drawdown": money} for money in ("8", "60", "1000")),
    *({"max_daily_loss": money} for money in ("20", "5000", "5000", "5000")),
)
"""Changes of settings that the operator makes: narrow limits that are met, and wide ones again."""

WIDE = 4
"""So many of them, the first, leave room for a whole day's trades."""

CALM_MS = 130_000
"""How long the run is left in peace at its end, so that everything can be found out."""


class Result(msgspec.Struct):
    """What one seed came to."""

    seed: int
    digest: str
    violation: str
    counts: dict[str, int]
    injected: dict[str, int]
    largest: dict[str, int]
    lines: list[str]


class Run:
    """The stage for one seed."""

    def __init__(self, seed: int, minutes: int, plan: Sequence[Fault], keep: int) -> None:
        self.seed = seed
        self.length_ms = minutes * 60_000
        self.clock = Clock(START_MS)
        self.faults = Faults(plan)
        self.exchange = Exchange(self.clock, seed, CASH)
        self.network = Network(self.clock, self.exchange, self.faults, seed)
        self.file = File()
        self.auditor = Auditor(self.clock, self.exchange, self.file, keep)
        self.pace = pace_of(minutes)
        self.loss = self.pace.daily_loss[seed % len(self.pace.daily_loss)]
        self.settings = msgspec.structs.replace(SETTINGS, risk={**SETTINGS.risk, "max_daily_loss": self.loss})
        self.world = World(self.exchange, seed, self.pace)
        self.rng = Random(f"{seed}/operator")
        self.program: Program | None = None
        self.moved: list[tuple[int, int]] = []
        self.boots = 0
        self._wipe = False
        self.processes: list[Process] = []
        """The one that trades, and one that stands by during a deploy."""
        self.zombies: list[Process] = []
        """Those that trade on although their lease was taken from them."""

    def play(self) -> None:
        """The whole run. Raises Violation."""
        for fault in self.faults.timed:
            self.clock.at(START_MS + fault.nth, lambda fault=fault: self._happens(fault))  # type: ignore[misc]
        self.clock.after(500, self._start)
        self._operate()
        self.clock.run(START_MS + self.length_ms)
        self._calm_down()
        self.clock.run(START_MS + self.length_ms + CALM_MS // 2)
        self.world.still = True
        self.clock.run(START_MS + self.length_ms + CALM_MS)
        self._judge()

    def _start(self) -> None:
        """The supervisor starts the program, unless a process is there already."""
        if not self.processes:
            self._spawn()

    def _spawn(self) -> None:
        process = Process(self.clock, self.file, self._lead)
        self.processes.append(process)

    def _lead(self, process: Process) -> Program:
        if self.network.during("disk_full"):
            raise JournalError("no new epoch: the disk is full")
        self.boots += 1
        self.program = Program(
            self.clock, self.network, self.faults, self.file, self.auditor, f"{self.seed}b{self.boots}",
            lambda program: self._died(process, program), pace=self.pace, settings=self.settings,
        )  # fmt: skip
        return self.program

    def _died(self, process: Process, program: Program) -> None:
        self.auditor.died(program.boot, "stopped" if program.stopping else "killed")
        process.lease.release()
        if process in self.zombies:
            self.zombies.remove(process)
            return
        self.processes.remove(process)
        self.program = None
        if self._wipe:
            self._wipe = False
            self.file.wipe()
            self.auditor.wiped()
        self.clock.after(self.rng.randrange(300, 9_000), self._start)

    # what the plan brings

    def _happens(self, fault: Fault) -> None:
        if not self.faults.on:
            return
        self.faults.injected[fault.op, fault.kind] += 1
        self.auditor.trace(f"fault {fault}")
        if fault.op == "window":
            self._window(fault)
        elif fault.op == "life":
            self._life(fault)
        elif fault.op == "account":
            self._account(fault)
        else:
            live = list(self.program.state.live_trade) if self.program else []
            self.world.surprise(fault, live[fault.ms % len(live)] if live else "")

    def _window(self, fault: Fault) -> None:
        if fault.kind == "disconnect":
            if self.program:
                self.program.stream.disconnect(fault.ms)
            return
        if fault.kind == "frozen":
            if self.program:
                self.auditor.stops.frozen_until = self.program.host.frozen_until = self.clock.now_ms + fault.ms
            return
        if fault.kind == "clock_ahead":
            self.network.ahead_ms = 1_000 + fault.ms
        self.network.open(fault.kind, fault.ms)
        if fault.kind in ("outage", "maintenance", "key_revoked"):
            self.auditor.stops.cut_off_until = max(self.auditor.stops.cut_off_until, self.clock.now_ms + fault.ms)
        if fault.kind in ("outage", "maintenance") and self.program:
            self.program.stream.disconnect(fault.ms)

    def _life(self, fault: Fault) -> None:
        if self.program is None:
            return
        program = self.program
        if fault.kind == "stop":
            program.stop()
        elif fault.kind == "second":  # a deploy: another instance stands by until this one is ended
            if len(self.processes) == 1:
                self._spawn()
            self.clock.after(fault.ms, program.stop if fault.ms % 2 else program.kill)
        elif fault.kind == "lease_stolen":  # somebody removed the lock file: another instance starts beside this one
            self.auditor.trace(f"lease stolen from {program.boot}")
            self.file.lock, self.program = None, None
            zombie = next(p for p in self.processes if p.program is program)
            self.processes.remove(zombie)
            self.zombies.append(zombie)
            self._spawn()
            self.clock.after(fault.ms, program.kill)
        else:
            self._wipe = fault.kind == "wipe"
            program.kill()

    def _account(self, fault: Fault) -> None:
        """Somebody else moves money or trades on our account."""
        if fault.kind in ("deposit", "withdrawal"):
            amount = (fault.ms - fault.ms % 2 * (fault.ms % 100)) * 100 * (1 if fault.kind == "deposit" else -1)
            self.moved.append((self.clock.now_ms, amount))
            return self.exchange.move_cash(amount)
        live = list(self.program.state.live_trade) if self.program else []
        open_ = [t for t, m in self.exchange.engine.markets.items() if m.status == "active"]
        if fault.kind == "external_close":
            held = [t for t in live if self.exchange.account.held(t)]
            if held:
                ticker = held[fault.ms % len(held)]
                count = self.exchange.account.held(ticker)
                self.exchange.trade_by_hand(
                    ticker, "ask" if count > 0 else "bid", 100 if count > 0 else 9_900, abs(count)
                )
        elif open_:
            ticker = open_[fault.ms % len(open_)]
            bid = self.exchange.engine.best(ticker)[0] or 500
            self.exchange.trade_by_hand(ticker, "bid", max(bid - 100 * (fault.ms % 4), 100), 500, rests=True)
        return None

    # the operator

    def _operate(self) -> None:
        """A word now and then; entries never stay off for long."""
        program, rng = self.program, self.rng
        longest = 20_000 if program is not None and program.state.mode == "RUNNING" else 5_000
        self.clock.after(rng.randrange(3_000, longest) * self.pace.rarer, self._operate)
        if program is None or program.stopping or not self.faults.on:
            return
        draw = rng.randrange(100)
        live = sorted(program.state.live_trade)
        resting = [o.client_order_id for o in program.state.orders.values() if o.purpose == "entry" and o.live()]
        if program.state.mode != "RUNNING" and draw < 55:
            program.command("rearm" if program.state.mode == "HALTED" else "start", {})
        elif draw < 10 or program.state.mode != "RUNNING":
            verb = VERBS[rng.randrange(len(VERBS))]
            program.command(verb, {})
            if verb in ("stop", "kill") and rng.random() < 0.5:
                self.clock.after(rng.randrange(100, 3_000), self._take_back)
        elif draw < 20 and live:
            program.command("close", {"ticker": live[rng.randrange(len(live))]})
        elif draw < 35 and (
            differs := [k for k in sorted(program.state.findings) if k.startswith(("cash", "position"))]
        ):
            finding = program.state.findings[differs[0]]
            show = format_money if finding.kind == "cash" else format_count
            amount = show(finding.theirs - finding.ours)
            program.command("accept", {"difference": differs[0], "amount": amount})
        elif draw < 50 and (
            unmanaged := sorted(t for t, p in program.state.positions.items() if p.count and t not in live)
        ):
            program.command("claim", {"ticker": unmanaged[0]})
        elif draw < 70 and resting:
            program.command("cancel", {"order": resting[rng.randrange(len(resting))]})
        elif draw < 75:
            changes = RISK if self.pace is DENSE else RISK[:WIDE]
            program.command("configure", {"risk": changes[rng.randrange(len(changes))]})
        elif draw < 90 and live:
            ticker = live[rng.randrange(len(live))]
            program.command("plan", {"ticker": ticker, **change_of_plan(rng, self.clock.now_ms)})

    def _take_back(self) -> None:
        """The operator thinks better of it, while the cancels of what was called back are still under way."""
        if self.program is not None and not self.program.stopping and self.faults.on:
            self.program.command("rearm" if self.program.state.mode == "HALTED" else "start", {})

    # the end

    def _calm_down(self) -> None:
        """No more faults and entries; everything may be found out now."""
        self.faults.on = False
        self.world.calm = True
        self.network.until.clear()
        for zombie in list(self.zombies):
            if zombie.program is not None:
                zombie.program.kill()
        self._start()
        self._wind_up()

    def _wind_up(self) -> None:
        if self.program is None:
            return self.clock.after(100, self._wind_up)
        self.program.command("rearm" if self.program.state.mode == "HALTED" else "stop", {})
        return None

    def _judge(self) -> None:
        assert self.program is not None, "a program runs at the end"
        self.auditor.ledger.settled(self.program.state, self.moved)
        while self.program.journal.commits.waiting and self.clock.now_ms < START_MS + self.length_ms + 2 * CALM_MS:
            self.clock.run(self.clock.now_ms + 50)
        seq, digest = self.program.journal.durable_seq, state_hash(self.program.state)
        require(seq == self.program.door.seq, f"record {seq} of {self.program.door.seq} is synced at rest")
        replayed, _ = restore(Journal(SimDisk(self.file)), self.settings, "RUNNING", self.clock.now_ms)
        require(state_hash(replayed) == digest, "the journal's replay is another state than the live one")
        self.auditor.trace(f"state {state_hash(self.program.state)}")


def simulate(seed: int, minutes: int = 10, plan: Sequence[Fault] | None = None, keep: int = 0) -> Result:
    """Play one seed; the result tells the first violation, '' when there was none."""
    run = Run(seed, minutes, draw_plan(seed, minutes) if plan is None else plan, keep)
    violation = ""
    try:
        run.play()
    except Violation as broken:
        violation = f"{run.clock.now_ms - START_MS} ms: {broken}"
    except Exception as crash:  # a program that falls over protects nothing
        frame = traceback.extract_tb(crash.__traceback__)[-1]
        where = f"{frame.filename.rpartition('/bot/')[2]}:{frame.lineno}"
        violation = f"{run.clock.now_ms - START_MS} ms: crashed in {where}: {crash!r}"
    finally:
        run.clock.close()
    if not violation and run.auditor.counts["steps"] < run.pace.least_steps * minutes:
        violation = f"only {run.auditor.counts['steps']} steps: the run proves little"
    hours = minutes // 60
    if not violation and run.loss == max(run.pace.daily_loss) and len(run.auditor.hours) < hours * 3 // 4:
        violation = f"entries in {len(run.auditor.hours)} of {hours} hours only: the day proves little"
    injected = {f"{op} {kind}": n for (op, kind), n in sorted(run.faults.injected.items())}
    counts: Counter[str] = run.auditor.counts
    return Result(
        seed,
        run.auditor.digest(),
        violation,
        dict(sorted(counts.items())),
        injected,
        run.auditor.largest,
        run.auditor.lines,
    )
