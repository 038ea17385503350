"""From the journal to the state: the newest snapshot, checked by its hash, and the records after it folded in."""

import msgspec

from bot.core.config import Config
from bot.core.facts import Fact, TradingMode, decode
from bot.core.folding import fold
from bot.core.state import TradingState, hash_of, load, new_state
from bot.store.journal import Journal, JournalError


def restore(journal: Journal, config: Config, mode: TradingMode, now_ms: int) -> tuple[TradingState, list[Fact]]:
    """Open the journal and rebuild its state; also the facts replayed after the snapshot.

    `config` and `mode` begin an empty journal. A journal that cannot be trusted is never skipped: JournalError,
    ValueError or KeyError says what is wrong with it.
    """
    journal.open()
    loaded = journal.load()
    if loaded.snapshot is not None and hash_of(loaded.snapshot) != loaded.snapshot_hash:
        raise JournalError("the snapshot has another hash than recorded; keep the file and report it")
    try:
        state = new_state(config, mode, now_ms) if loaded.snapshot is None else load(loaded.snapshot)
        replayed = [decode(record) for _, record in loaded.records]
    except msgspec.ValidationError as error:
        raise JournalError(
            f"it was written by a newer version of this program ({error}), and what this version does not know may be "
            "a stop. Nothing was changed: start the newest version that ran on this DATA_DIR"
        ) from error
    for fact in replayed:
        fold(state, fact)
    return state, replayed
