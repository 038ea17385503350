"""Faults on demand: which request or frame goes wrong, and how.

A plan is a JSON list of {"at": "create"|"cancel"|"read"|"ws", "kind": ..., "every": n, "times": m, "delay_ms": d}:
every n-th matching request is struck, at most m times (0: without limit).
"""

from pathlib import Path
from typing import Literal

import msgspec


class Fault(msgspec.Struct):
    """`lost_reply_before` and `reset` happen instead of the effect, `lost_reply_after` after it; `drop` loses one
    WebSocket frame but not its seq."""

    at: Literal["create", "cancel", "read", "ws"]
    kind: Literal["lost_reply_before", "lost_reply_after", "http_500", "http_429", "reset", "delay", "drop"]
    every: int = 1
    times: int = 0
    delay_ms: int = 1_000
    seen: int = 0
    struck: int = 0


class Faults:
    def __init__(self, plan: list[Fault]) -> None:
        self.plan = plan

    def strike(self, at: str) -> Fault | None:
        """The fault that hits this request or frame, if any; each call counts one."""
        for fault in self.plan:
            if fault.at != at or (fault.times and fault.struck >= fault.times):
                continue
            fault.seen += 1
            if fault.seen % fault.every == 0:
                fault.struck += 1
                return fault
        return None


def read_plan(source: str | bytes) -> list[Fault]:
    """A plan from inline JSON or from a file's path; msgspec.DecodeError or OSError when it is neither."""
    if isinstance(source, str) and not source.lstrip().startswith("["):
        source = Path(source).read_bytes()
    return msgspec.json.decode(source, type=list[Fault])
