"""The health of the stores as a person sees it: a line on the page; an alarm when the journal fails, once."""

from collections.abc import Callable

from bot.core.effects import Notice
from bot.store.history import History
from bot.store.journal import Journal
from bot.store.supabase import SupabaseDelivery


class StoreWatch:
    """Journal, history and its delivery. `look` is called each second."""

    def __init__(
        self, journal: Journal, history: History, delivery: SupabaseDelivery | None, tell: Callable[[Notice], None]
    ) -> None:
        self._journal = journal
        self._history = history
        self._delivery = delivery
        self._tell = tell
        self._told = True
        """Whether the journal was well when it was last spoken of."""

    def look(self) -> None:
        """Entries stop while commits fail (`journal_failing`), exits go on: their plan is on disk since the entry."""
        if self._journal.healthy == self._told:
            return
        self._told = self._journal.healthy
        waiting = self._journal.commits.waiting
        if self._told:
            self._tell(Notice("info", "journal_works", "the journal is written again, entries may go on"))
        else:
            self._tell(
                Notice(
                    "alarm",
                    "journal_failing",
                    f"the journal cannot be written, {waiting} records wait: entries stop, exits go on; "
                    "look at the disk of DATA_DIR (the log names the error)",
                )
            )

    def status(self) -> dict[str, object]:
        healthy = self._journal.healthy and self._history.healthy
        waiting = self._journal.commits.waiting + self._history.commits.waiting
        if self._delivery is None:
            return {"state": "ok" if healthy else "failing", "pending": waiting}
        remote = self._delivery.status()
        return {
            "state": str(remote.state) if healthy else "failing",
            "pending": waiting + remote.waiting,
            "refused": remote.refused,
            "error": remote.last_error,
            "delivered_ms": remote.last_ok_ms,
        }
