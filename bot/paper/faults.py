"""Faults on demand: which request or frame goes wrong, and how. docs/paper-exchange.md has the table.

A plan is a JSON list of faults, each struck by every n-th matching request or frame, at most so many times, by chance
of the seed, within a window of time. The same plan, seed and order of requests give the same faults.
"""

import math
from pathlib import Path
from random import Random
from statistics import NormalDist
from typing import Literal

import msgspec

At = Literal["create", "cancel", "read", "write", "any", "handshake", "odds", "ws"]
Kind = Literal[
    "lost_reply_before",
    "lost_reply_after",
    "reset",
    "hang",
    "delay",
    "http_429",
    "http_500",
    "http_502",
    "http_503",
    "http_504",
    "maintenance",
    "key_revoked",
    "clock_skew",
    "wrong_order",
    "stale",
    "restart",
    "drop",
    "duplicate",
    "reorder",
    "garbage",
    "overflow",
    "silent",
    "dead",
]
FRAMES = frozenset({"drop", "duplicate", "reorder", "garbage", "overflow", "silent", "dead", "reset", "delay"})
"""The kinds that a WebSocket frame can meet; a request meets those that are not only for frames."""
ONLY_FRAMES = FRAMES - {"reset", "delay"}
P99 = NormalDist().inv_cdf(0.99)


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """One line of a plan.

    `write` is create and cancel, `any` every REST call and the handshake. `only` narrows it: a part of the path, or a
    channel's name. With `after` what is struck takes effect and only the answer goes wrong.
    """

    at: At
    kind: Kind
    every: int = 1
    times: int = 0
    """At most so many strikes; 0 = without limit."""
    chance: float = 1.0
    only: str = ""
    after: bool = False
    body: Literal["json", "html", "empty"] = "json"
    """What an http_5xx or maintenance answers with."""
    delay_ms: int = 1_000
    """The delay, or its median with p99_ms; how far the clock is off; how old a stale read is; how long a restart is
    down."""
    p99_ms: int = 0
    """The 99th percentile of a log-normal delay; 0 = always delay_ms."""
    after_s: float = 0.0
    for_s: float = 0.0
    """The window, counted from when the plan came into force; for_s 0 = open end."""
    seen: int = 0
    struck: int = 0

    def __post_init__(self) -> None:
        kinds = FRAMES if self.at == "ws" else frozenset(Kind.__args__) - ONLY_FRAMES  # type: ignore[attr-defined]
        if self.kind not in kinds:
            raise ValueError(f"{self.kind} cannot strike at {self.at}")
        if self.every < 1 or not 0 <= self.chance <= 1 or min(self.times, self.for_s, self.after_s, self.p99_ms) < 0:
            raise ValueError("every must be 1 or more, chance 0 to 1, the other numbers not negative")

    def covers(self, at: str, what: str) -> bool:
        """Whether this request or frame is of the kind that is counted."""
        wide = self.at == "any" and at not in ("ws", "odds")
        return (self.at == at or wide or (self.at == "write" and at in ("create", "cancel"))) and self.only in what


class Faults:
    """A plan in force. Each fault has its own chance, so that adding a line does not change what the others do."""

    def __init__(self, plan: list[Fault], seed: int = 0) -> None:
        self.seed = seed
        self.install(plan, 0)

    def install(self, plan: list[Fault], now_ms: int) -> None:
        """Replace the plan; its windows count from `now_ms`."""
        self.plan = plan
        self.since_ms = now_ms
        self._random = [Random(f"{self.seed}/{place}") for place in range(len(plan))]

    def strike(self, at: str, what: str, now_ms: int) -> Fault | None:
        """The first fault that hits this request (`what`: its path) or frame (its channel); each call counts once."""
        for fault, random in zip(self.plan, self._random, strict=True):
            if not fault.covers(at, what) or (fault.times and fault.struck >= fault.times):
                continue
            since = (now_ms - self.since_ms) / 1000 - fault.after_s
            if since < 0 or (fault.for_s and since >= fault.for_s):
                continue
            fault.seen += 1
            if fault.seen % fault.every == 0 and (fault.chance == 1 or random.random() < fault.chance):
                fault.struck += 1
                return fault
        return None

    def delay_ms(self, fault: Fault) -> int:
        """How long this strike waits."""
        if not fault.p99_ms:
            return fault.delay_ms
        sigma = math.log(max(1.0, fault.p99_ms / max(1, fault.delay_ms))) / P99
        return round(fault.delay_ms * self._random[self.plan.index(fault)].lognormvariate(0.0, sigma))

    @property
    def lag_ms(self) -> int:
        """How old a read may be at most."""
        return max((fault.delay_ms for fault in self.plan if fault.kind == "stale"), default=0)


def read_plan(source: str | bytes) -> list[Fault]:
    """A plan from inline JSON or from a file's path; msgspec.DecodeError or OSError when it is neither."""
    if isinstance(source, str) and not source.lstrip().startswith("["):
        source = Path(source).read_bytes()
    return msgspec.json.decode(source, type=list[Fault])
