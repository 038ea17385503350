"""What changed between two pages, as keyed upserts and removals: idempotent, and safe to conflate per key."""

from typing import Any, Literal, TypedDict

from web.desk import Page


class Upsert(TypedDict):
    op: Literal["upsert"]
    coll: str
    key: str
    v: Any


class Remove(TypedDict):
    op: Literal["remove"]
    coll: str
    key: str


Change = Upsert | Remove


def diff(old: Page, new: Page) -> list[Change]:
    """The changes that turn `old` into `new`. Applying a change twice, or only the last one of a key, is harmless."""
    changes: list[Change] = []
    for coll in {**new, **old}:
        before, after = old.get(coll, {}), new.get(coll, {})
        if before is after:
            continue
        changes += [Remove(op="remove", coll=coll, key=key) for key in before if key not in after]
        changes += [
            Upsert(op="upsert", coll=coll, key=key, v=value)
            for key, value in after.items()
            if key not in before or (before[key] is not value and before[key] != value)
        ]
    return changes
