"""The one door to the core: events in, facts to the journal, effects to the executor, notices to whoever shows them."""

import logging
import time
from collections.abc import Callable

import msgspec

from bot.core.effects import AmendOrder, CancelOrder, Notice, PlaceOrder, Reconcile, ResolveOrder, Wake
from bot.core.events import Event
from bot.core.facts import Fact, encode
from bot.core.state import TradingState
from bot.core.step import Rules, step
from bot.core.turn import Turn
from bot.run.executor import Executor
from bot.store.journal import Journal

log = logging.getLogger("Tickstop")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Door:
    """Single owner of the TradingState. `handle` never yields, so a turn is atomic and needs no lock."""

    def __init__(
        self,
        state: TradingState,
        rules: Rules,
        journal: Journal,
        executor: Executor,
        *,
        on_work: Callable[[], None],
        on_facts: Callable[[list[Fact], int], None],
        on_notice: Callable[[Notice], None],
        on_wake: Callable[[Wake], None],
        on_reconcile: Callable[[], None],
        later: Callable[[Callable[[], None]], object],
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        """`later` runs something after what `on_work` started, without waiting for it."""
        self.state = state
        self.rules = rules
        self._journal = journal
        self._executor = executor
        self._on_work = on_work
        self._on_facts = on_facts
        self._on_notice = on_notice
        self._on_wake = on_wake
        self._on_reconcile = on_reconcile
        self._later = later
        self._clock_ms = clock_ms
        self.seq = journal.last_seq

    def handle(self, event: Event) -> Turn:
        """Decide one event, record its facts, and hand its effects on: orders first, then whoever wants to know.

        What was stamped before the newest fact, then waited (a reading, a busy hub), is of now: only the clock itself
        says that it was set back.
        """
        if event.at_ms < self.state.clock_ms:
            event = msgspec.structs.replace(event, at_ms=self._clock_ms())
        turn = step(self.state, event, self.rules)
        if turn.defect is not None:
            log.error("defect in the core", exc_info=turn.defect)
        if turn.facts:
            self.seq = self._journal.append([encode(fact) for fact in turn.facts])
        jobs = [
            effect
            for effect in turn.effects
            if isinstance(effect, PlaceOrder | AmendOrder | CancelOrder | ResolveOrder)
        ]
        for job in jobs:
            self._executor.submit(job, self.seq)
        if jobs:
            self._on_work()
        if sends_exit(turn):
            seq = self.seq
            self._later(lambda: self._tell(turn, seq))  # after the exit itself: log and history do not delay it
        else:
            self._tell(turn, self.seq)
        return turn

    def _tell(self, turn: Turn, seq: int) -> None:
        for effect in turn.effects:
            if isinstance(effect, Notice):
                self._on_notice(effect)
            elif isinstance(effect, Wake):
                self._on_wake(effect)
            elif isinstance(effect, Reconcile):
                self._on_reconcile()
        if turn.facts:
            self._on_facts(turn.facts, seq)


def sends_exit(turn: Turn) -> bool:
    """Whether this turn handed an exit order to the executor."""
    return any(isinstance(e, AmendOrder) or (isinstance(e, PlaceOrder) and e.purpose == "exit") for e in turn.effects)


def unanswered(state: TradingState) -> bool:
    """Whether replies are under way that a program that ends waits for: of what it sends, of its entries' cancels."""
    return any(
        o.state in ("sending", "intent") or (o.purpose == "entry" and o.live() and o.order_id)
        for o in state.orders.values()
    )


def allowed(turn: Turn) -> bool:
    return turn.answer is not None and turn.answer.ok
