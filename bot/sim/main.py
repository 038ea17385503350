"""`python -m bot simulate`: many seeds on several processes, a table of what happened, a failing seed's trace."""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing import get_context

import msgspec

from bot.sim import coverage
from bot.sim.faults import KINDS, Fault, draw_plan
from bot.sim.run import Result, simulate

CHUNK = 8
LAST_LINES = 30
GROUPS = {
    "exits fired": "fired ",
    "plans changed, by": "plan changed, ",
    "replies": "reply ",
    "entries refused": "refused ",
}
"""Parts of the report, and how their counts begin."""


class Sum(msgspec.Struct):
    """Many results added up."""

    seeds: int = 0
    counts: Counter[str] = msgspec.field(default_factory=Counter)
    injected: Counter[str] = msgspec.field(default_factory=Counter)
    rows: Counter[str] = msgspec.field(default_factory=Counter)
    largest: dict[str, int] = {}
    doubled: int = 0
    """Seeds in which two instances ran."""
    fewest: int = 1 << 60
    broken: list[tuple[int, str]] = []
    digests: list[tuple[int, str]] = []

    def add(self, result: Result) -> None:
        self.seeds += 1
        self.counts.update(result.counts)
        self.injected.update(result.injected)
        self.fewest = min(self.fewest, result.counts.get("steps", 0))
        self.doubled += any(result.injected.get(f"life {kind}") for kind in ("second", "lease_stolen"))
        self._largest(result.largest)
        self.digests.append((result.seed, result.digest))
        if result.violation:
            self.broken.append((result.seed, result.violation))

    def merge(self, other: "Sum") -> None:
        self.seeds += other.seeds
        self.counts.update(other.counts)
        self.injected.update(other.injected)
        self.rows.update(other.rows)
        self.doubled += other.doubled
        self._largest(other.largest)
        self.fewest = min(self.fewest, other.fewest)
        self.broken += other.broken
        self.digests += other.digests

    def _largest(self, sizes: dict[str, int]) -> None:
        for what, size in sizes.items():
            self.largest[what] = max(self.largest.get(what, 0), size)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bot simulate", description="Play seeded disasters in virtual time."
    )
    parser.add_argument("--seeds", metavar="A:B", help="from A up to, not including, B")
    parser.add_argument("--seed", type=int, metavar="N", help="one seed")
    parser.add_argument("--minutes", type=int, default=10, metavar="M", help="virtual minutes a seed (10)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (1)")
    parser.add_argument("--trace", action="store_true", help="print everything that happened in the seed")
    parser.add_argument("--shrink", action="store_true", help="cut a failing seed's faults to a few that still fail")
    given = parser.parse_args(argv)
    if (given.seeds is None) == (given.seed is None):
        parser.error("say --seeds A:B or --seed N")
    first, _, last = (given.seeds or f"{given.seed}:{given.seed + 1}").partition(":")
    if not (first.isdigit() and last.isdigit() and int(first) < int(last)):
        parser.error(f"--seeds {given.seeds}: two whole numbers A:B with A below B")
    if given.trace:
        for line in simulate(int(first), given.minutes, keep=1 << 60).lines:
            print(line)
    began = time.monotonic()
    total = Sum()
    for part in _play(range(int(first), int(last)), given.minutes, given.jobs):
        total.merge(part)
        for seed, violation in part.broken:
            print(f"seed {seed}: {violation}", file=sys.stderr, flush=True)
        if total.seeds % 200 == 0:
            print(f"{total.seeds} seeds, {len(total.broken)} broken", file=sys.stderr, flush=True)
    _report(total, time.monotonic() - began, given.minutes)
    for seed, violation in sorted(total.broken):
        print(f"seed {seed}: {violation}")
    for seed, violation in sorted(total.broken)[:3]:
        _tell(seed, violation, given.minutes, given.shrink)
    holes = coverage.missing(total.injected, total.rows) if total.seeds >= coverage.JUDGED_FROM else []
    for hole in holes:
        print(f"never happened: {hole}")
    last_line = {
        "seeds": total.seeds,
        "steps": total.counts["steps"],
        "faults": sum(total.injected.values()),
        "kills": total.counts["kills"],
        "violations": len(total.broken),
    }
    print(json.dumps(last_line))
    return 1 if total.broken or holes else 0


def _play(seeds: range, minutes: int, jobs: int) -> Iterator[Sum]:
    chunks = [(seeds[n : n + CHUNK], minutes) for n in range(0, len(seeds), CHUNK)]
    if jobs <= 1:
        yield from map(_some, chunks)
        return
    with get_context("spawn").Pool(jobs, maxtasksperchild=25) as pool:
        yield from pool.imap(_some, chunks)


def _some(work: tuple[Sequence[int], int]) -> Sum:
    seeds, minutes = work
    coverage.watch()
    total = Sum()
    for seed in seeds:
        total.add(simulate(seed, minutes))
    total.rows = coverage.taken()
    return total


def _tell(seed: int, violation: str, minutes: int, shrink: bool) -> None:
    plan = draw_plan(seed, minutes)
    if shrink:
        plan = shrunk(seed, minutes, plan)
    print(f"\nseed {seed}: {violation}\nthe last {LAST_LINES} lines of its trace:")
    for line in simulate(seed, minutes, plan, keep=LAST_LINES).lines:
        print("  " + line[:400])
    if shrink:
        print(f"{len(plan)} faults are enough:")
        for fault in plan:
            print(f"  {fault}")


def shrunk(seed: int, minutes: int, plan: list[Fault]) -> list[Fault]:
    """A smaller plan that still breaks a promise: ever smaller parts are left out as long as it does."""
    size = max(len(plan) // 2, 1)
    while True:
        start, cut = 0, False
        while start < len(plan):
            less = plan[:start] + plan[start + size :]
            if simulate(seed, minutes, less).violation:
                plan, cut = less, True
            else:
                start += size
        if size == 1 and not cut:
            return plan
        size = max(size // 2, 1)


def _report(total: Sum, seconds: float, minutes: int) -> None:
    counts = total.counts
    print("faults injected, by operation and kind")
    for op, kinds in KINDS.items():
        row = "  ".join(f"{kind} {total.injected[f'{op} {kind}']}" for kind in kinds)
        print(f"  {op:<17} {sum(total.injected[f'{op} {k}'] for k in kinds):>9}   {row}")
    print("\nprograms")
    _rows(
        {
            "killed": counts["kills"],
            "stopped": counts["stops"],
            "restarts": counts["boots"] - total.seeds,
            "disks wiped": counts["wiped"],
            "seeds with two instances": total.doubled,
        }
    )
    print("orders")
    _rows(
        {
            "entries sent": counts["sent entry"],
            "exits sent": counts["sent exit"],
            "cancels sent": counts["sent cancel"],
            "fills": counts["fills"],
            "settlements": counts["SettlementBooked"],
            "stops found due": counts["stops due"],
        }
    )
    for title, prefix in GROUPS.items():
        print(title)
        _rows({name.removeprefix(prefix): n for name, n in sorted(counts.items()) if name.startswith(prefix)})
    print("the run")
    _rows(
        {
            "steps": counts["steps"],
            "fewest steps of a seed": total.fewest,
            "rows of tables used": sum(1 for n in total.rows.values() if n),
            **{f"most {what}": n for what, n in total.largest.items()},
            "violations": len(total.broken),
        }
    )
    virtual = total.seeds * minutes / 60
    print(f"{total.seeds} seeds of {minutes} minutes ({virtual:.1f} virtual hours) in {seconds:.1f} s")


def _rows(figures: dict[str, int]) -> None:
    for name, figure in figures.items():
        print(f"  {name:<27} {figure:>9}")
