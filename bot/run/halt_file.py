"""DATA_DIR/halt: the word of `bot kill`, a person perhaps with other words in it; obeyed and then removed."""

import json
import logging
from pathlib import Path

log = logging.getLogger("Tickstop")


def asked(path: Path) -> str | None:
    """Why the bot is to halt; None when nobody asks for it."""
    if not path.exists():
        return None
    try:
        return str(json.loads(path.read_text())["reason"])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return "bot kill"


def remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s cannot be removed, the bot stays halted: %s", path, error)
