"""A disk for the journal: batches become durable whole, in order, by the newest opener alone; a kill drops the rest."""

from collections.abc import Sequence

from bot.store.journal import JournalError, Loaded, Record, Snapshot


class File:
    """What survives the program: the journal file of one DATA_DIR."""

    def __init__(self) -> None:
        self.epoch = 0
        self.last_seq = 0
        self.records: list[tuple[int, bytes]] = []
        self.snapshot: Snapshot | None = None
        self.lock: object | None = None
        """Who holds the lease."""

    def wipe(self) -> None:
        """An ephemeral disk after a restart."""
        self.__init__()  # type: ignore[misc]


class SimDisk:
    """One opening of the file (bot.store.journal.Disk). `commit` is called at the moment the write is done."""

    lost = 0

    def __init__(self, file: File) -> None:
        self.file = file
        self.epoch = 0

    def open(self) -> int:
        self.file.epoch += 1
        self.epoch = self.file.epoch
        return self.file.last_seq

    def load(self) -> Loaded:
        kept = self.file.snapshot
        if kept is None:
            return Loaded(None, 0, "", list(self.file.records))
        return Loaded(kept.state, kept.seq, kept.hash, [r for r in self.file.records if r[0] > kept.seq])

    def commit(self, batch: Sequence[Record | Snapshot]) -> None:
        if self.epoch != self.file.epoch:
            raise JournalError(f"epoch {self.file.epoch} has taken over from {self.epoch}")
        for item in batch:
            if isinstance(item, Snapshot):
                self.file.snapshot = item
                self.file.records = [r for r in self.file.records if r[0] > item.seq]
            elif item.seq > self.file.last_seq:
                if item.seq != self.file.last_seq + 1:
                    raise JournalError(f"record {item.seq} would follow record {self.file.last_seq}")
                self.file.records.append((item.seq, item.body))
                self.file.last_seq = item.seq

    def close(self) -> None:
        pass
