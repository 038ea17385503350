"""What goes wrong in one run: a plan drawn from the seed, as a list, so that it can be printed, cut and tried again."""

from collections import Counter
from collections.abc import Iterable
from random import Random

import msgspec

from bot.sim.pace import pace_of

WRITES = (
    *("slow", "slow_reply", "late", "lost_request", "lost_reply", "reset_before", "reset_after", "not_sent", "limited"),
    *("server_before", "server_after", "duplicate", "garbled"),
)
"""late: applied after the caller gave up. garbled: a 2xx without an order. duplicate: the request arrives twice.
untrue: the order fills while its cancel is under way, and the reply calls all of it cancelled."""

READS = ("slow", "timeout", "limited", "server", "reset", "garbled", "cursor_loop")
FRAMES = ("dropped", "twice", "late")
KILLS = ("kill_before", "kill_after")

KINDS: dict[str, tuple[str, ...]] = {
    "create.entry": WRITES,
    "create.exit": WRITES,
    "create.target": WRITES,
    "amend": (*WRITES, "not_found", "other_order"),
    "cancel": (*WRITES, "not_found", "other_order", "untrue"),
    "read.timestamp": READS,
    "read.orders": READS,
    "read.fills": READS,
    "read.positions": READS,
    "read.balance": READS,
    "read.settlements": READS,
    "read.market": READS,
    "read.transfers": READS,
    "frame.tick": FRAMES,
    "frame.fill": FRAMES,
    "frame.order": FRAMES,
    "frame.position": FRAMES,
    "frame.lifecycle": FRAMES,
    "commit": ("slow", "fail", *KILLS),
    "send.entry": KILLS,
    "send.exit": KILLS,
    "send.cancel": KILLS,
    "send.target": KILLS,
    "send.amend": KILLS,
    "window": (
        *("outage", "maintenance", "silence", "disconnect", "lag", "long_lag", "key_revoked", "disk_slow"),
        *("disk_full", "frozen", "clock_ahead"),
    ),
    "life": ("kill", "stop", "wipe", "second", "lease_stolen"),
    "account": ("deposit", "withdrawal", "external_order", "external_close"),
    "market": ("pause", "early_close", "dispute", "void", "jump", "vanish"),
}
"""Every kind of fault at every kind of operation. Windows, life, account and market come at a time, the rest at the
nth operation."""

RATES: dict[str, tuple[int, float]] = {
    # (how many operations are considered for ten minutes, chance of each)
    "create.entry": (200, 0.12),
    "create.exit": (200, 0.15),
    "cancel": (60, 0.25),
    "read.timestamp": (40, 0.08),
    "read.orders": (120, 0.04),
    "read.fills": (120, 0.04),
    "read.positions": (80, 0.04),
    "read.balance": (80, 0.04),
    "read.settlements": (80, 0.04),
    "read.market": (80, 0.08),
    "read.transfers": (4, 0.3),
    "frame.tick": (2_000, 0.01),
    "frame.fill": (300, 0.08),
    "frame.order": (500, 0.06),
    "frame.position": (300, 0.06),
    "frame.lifecycle": (100, 0.10),
    "commit": (800, 0.02),
    "send.entry": (150, 0.008),
    "send.exit": (150, 0.012),
    "send.cancel": (40, 0.015),
    "create.target": (40, 0.20),
    "amend": (60, 0.25),
    "send.target": (40, 0.015),
    "send.amend": (40, 0.015),
}

TIMED: dict[str, tuple[int, int, int]] = {
    # (most in ten minutes, shortest and longest in ms)
    "window": (6, 1_000, 25_000),
    "life": (3, 500, 12_000),
    "account": (2, 1_000, 20_000),
    "market": (30, 1_000, 9_000),
}


class Fault(msgspec.Struct, frozen=True):
    """At operation number `nth` of its kind, or `nth` ms into the run; `ms` is how long or how late it is."""

    op: str
    nth: int
    kind: str
    ms: int

    def __str__(self) -> str:
        return f"{self.op}[{self.nth}] {self.kind} {self.ms} ms"


def draw_plan(seed: int, minutes: int) -> list[Fault]:
    """The faults of one seed, in a fixed order."""
    length_ms, rarer = minutes * 60_000, pace_of(minutes).rarer
    rng = Random(f"{seed}/faults")
    tens = max(length_ms // 600_000, 1)
    plan: list[Fault] = []
    for op, (operations, chance) in RATES.items():
        kinds = KINDS[op]
        for nth in range(operations * tens):
            if rng.random() < chance / rarer:
                plan.append(Fault(op, nth, kinds[rng.randrange(len(kinds))], _odd_ms(rng)))
    for op, (most, shortest, longest) in TIMED.items():
        kinds = KINDS[op]
        for _ in range(sum(rng.randrange(most + 1) for _ in range(tens)) // rarer):
            when, kind = rng.randrange(length_ms), kinds[rng.randrange(len(kinds))]
            if kind in ("deposit", "withdrawal"):  # cash that is not explained ends all entries: late in the run
                when = length_ms - when * 120_000 // length_ms
            plan.append(Fault(op, when, kind, rng.randrange(shortest, longest)))
    return plan


def _odd_ms(rng: Random) -> int:
    """Mostly a moment, sometimes long: up to 20 s."""
    return rng.randrange(1, 900) if rng.random() < 0.7 else rng.randrange(900, 20_000)


class Faults:
    """The plan while it happens: what is due at the next operation, and what was injected so far."""

    def __init__(self, plan: Iterable[Fault]) -> None:
        self.injected: Counter[tuple[str, str]] = Counter()
        self.operations: Counter[str] = Counter()
        self.on = True
        self.timed: list[Fault] = []
        self._at: dict[tuple[str, int], Fault] = {}
        self.replace(plan)

    def replace(self, plan: Iterable[Fault]) -> None:
        """Begin anew with another plan; what was injected stays counted."""
        self.operations.clear()
        self.timed.clear()
        self._at.clear()
        for fault in plan:
            if fault.op in TIMED:
                self.timed.append(fault)
            else:
                self._at[fault.op, fault.nth] = fault

    def next(self, op: str) -> Fault | None:
        """Count one operation; its fault, if it has one."""
        nth = self.operations[op]
        self.operations[op] = nth + 1
        fault = self._at.get((op, nth))
        if fault is None or not self.on:
            return None
        self.injected[op, fault.kind] += 1
        return fault
