"""Our picture of the exchange's read bucket (kalshi-api.md section 7): searches leave a share to what guards money."""

COST = 10
"""Tokens of one read (section 7.2)."""

RESERVED = 0.4
"""Share that patient reads leave alone: held prices, fills, look-ups and reconciliation always find it."""


class ReadBudget:
    """Refilled continuously up to its capacity. Tokens are taken at once, and may be owed: `take` says how long."""

    def __init__(self, refill_per_s: float, capacity: float) -> None:
        self.refill_per_s = refill_per_s
        self.capacity = capacity
        self.tokens = capacity
        self._at_ns: int | None = None

    def take(self, now_ns: int, *, patient: bool) -> float:
        """Take one read's tokens; seconds to wait before it is sent, so that the exchange has them."""
        self._refill(now_ns)
        self.tokens -= COST
        floor = self.capacity * RESERVED if patient else 0.0
        return max(0.0, floor - self.tokens) / self.refill_per_s

    def exhausted(self, now_ns: int) -> None:
        """The exchange answered 429: it counts fewer tokens than we do."""
        self._refill(now_ns)
        self.tokens = min(self.tokens, 0.0)

    def _refill(self, now_ns: int) -> None:
        if self._at_ns is not None and now_ns > self._at_ns:
            self.tokens = min(self.capacity, self.tokens + (now_ns - self._at_ns) * self.refill_per_s / 1e9)
        self._at_ns = now_ns
