"""What is to be sent, and when: exits at once, then cancels, entries once durable and within budget, look-ups.

A state machine without I/O or clock: `submit` takes the core's effects, `ready` gives the next one to perform.
"""

from collections import deque

from bot.core.effects import AmendOrder, CancelOrder, PlaceOrder, ResolveOrder

CREATE_COST = 10
CANCEL_COST = 2
"""Tokens of one call; an amend costs as much as a create (kalshi-api.md section 7.2)."""

EXIT_SHARE = 0.3
"""Share of the write bucket that entries leave untouched, so that exits always find tokens."""


class WriteBudget:
    """Our picture of the exchange's write bucket (kalshi-api.md section 7.1): refilled continuously up to capacity."""

    def __init__(self, refill_per_s: float, capacity: float) -> None:
        self.refill_per_s = refill_per_s
        self.capacity = capacity
        self.tokens = capacity
        self._at_ms: int | None = None

    def refill(self, now_ms: int) -> None:
        if self._at_ms is not None and now_ms > self._at_ms:
            self.tokens = min(self.capacity, self.tokens + (now_ms - self._at_ms) * self.refill_per_s / 1000)
        self._at_ms = now_ms

    def spend(self, cost: int) -> None:
        """May go below zero for exits: the exchange has the last word."""
        self.tokens -= cost

    def allows_entry(self, cost: int) -> bool:
        return self.tokens - cost >= self.capacity * EXIT_SHARE


Job = PlaceOrder | AmendOrder | CancelOrder | ResolveOrder


class Executor:
    """A queue with priorities. An exit is never held back: not by the journal, the budget or another order's reply."""

    def __init__(self, budget: WriteBudget) -> None:
        self.budget = budget
        self._exits: deque[PlaceOrder | AmendOrder] = deque()
        self._cancels: deque[CancelOrder] = deque()
        self._entries: deque[tuple[int, PlaceOrder]] = deque()
        self._lookups: dict[str, ResolveOrder] = {}
        self._looking_up: set[str] = set()

    def submit(self, job: Job, journal_seq: int) -> None:
        """`journal_seq` is the journal record that an entry must wait for."""
        if isinstance(job, AmendOrder):
            self._exits.append(job)
        elif isinstance(job, PlaceOrder):
            if job.purpose == "exit":
                self._exits.append(job)
            else:
                self._entries.append((journal_seq, job))
        elif isinstance(job, CancelOrder):
            self._cancels.append(job)
        elif job.client_order_id not in self._looking_up:
            self._lookups[job.client_order_id] = job

    def ready(self, durable_seq: int, now_ms: int) -> Job | None:
        """The next job that may start now; None when none may."""
        self.budget.refill(now_ms)
        if self._exits:
            self.budget.spend(CREATE_COST)
            return self._exits.popleft()
        if self._cancels:
            self.budget.spend(CANCEL_COST)
            return self._cancels.popleft()
        if self._entries and self._entries[0][0] <= durable_seq and self.budget.allows_entry(CREATE_COST):
            self.budget.spend(CREATE_COST)
            return self._entries.popleft()[1]
        if self._lookups:
            client_order_id, job = next(iter(self._lookups.items()))
            del self._lookups[client_order_id]
            self._looking_up.add(client_order_id)
            return job
        return None

    def looked_up(self, client_order_id: str) -> None:
        """The look-up ended; the next reconciliation may ask again."""
        self._looking_up.discard(client_order_id)

    def waiting(self) -> int:
        """Jobs not started yet."""
        return len(self._exits) + len(self._cancels) + len(self._entries) + len(self._lookups)

    def drop_entries(self) -> list[str]:
        """Take back every entry that has not started; returns their client order ids."""
        dropped = [job.client_order_id for _, job in self._entries]
        self._entries.clear()
        return dropped
