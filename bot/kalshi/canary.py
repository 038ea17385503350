"""The canary: counts what the exchange says that we do not understand, so that a change of the API shows."""

from collections.abc import Callable

MOST_KINDS = 100
"""Kinds told apart; a flood of new ones is counted together."""


class Canary:
    """One for all that is read from the exchange. A message counted here was not used for anything."""

    def __init__(self, log: Callable[[str], None] = lambda line: None) -> None:
        self.kinds: dict[str, int] = {}
        """Where and what -> how often."""
        self._log = log

    @property
    def count(self) -> int:
        return sum(self.kinds.values())

    def saw(self, where: str, fault: object, sample: bytes = b"") -> None:
        """A message from `where` (a path or a channel) was not understood. The first of each kind is logged."""
        kind = f"{where}: {str(fault)[:200]}"
        if kind not in self.kinds:
            if len(self.kinds) >= MOST_KINDS:
                kind = "more kinds than are told apart"
            else:
                self._log(f"not understood, not used: {kind} {sample[:300].decode('utf-8', 'replace')}".rstrip())
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
