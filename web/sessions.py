"""Who is signed in: sessions kept on the server under the hash of their id, one-time login links, guess throttling."""

import json
import logging
import os
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

log = logging.getLogger(__name__)

Role = Literal["viewer", "operator"]

IDLE_S = 12 * 3600
ABSOLUTE_S = 7 * 24 * 3600
LINK_S = 600
SEEN_WRITE_S = 600
MOST_SESSIONS = 64


def digest(secret: str) -> str:
    """How a random 256-bit secret is kept and compared: by its hash."""
    return sha256(secret.encode()).hexdigest()


@dataclass
class Session:
    role: Role
    created: float
    seen: float
    label: str

    def open_at(self, now: float) -> bool:
        return now - self.seen < IDLE_S and now - self.created < ABSOLUTE_S


class Sessions:
    """Sessions by the hash of their id; kept in `file`, when there is one, so that a restart signs nobody out."""

    def __init__(self, file: Path | None, now: Callable[[], float]) -> None:
        self._file = file
        self._now = now
        self._written = 0.0
        self._rows: dict[str, Session] = self._read()

    def create(self, role: Role, label: str) -> str:
        """Open a session; the id that is returned is not kept."""
        session_id = secrets.token_urlsafe(32)
        now = self._now()
        self._rows = {key: row for key, row in self._rows.items() if row.open_at(now)}
        while len(self._rows) >= MOST_SESSIONS:
            del self._rows[min(self._rows, key=lambda key: self._rows[key].seen)]
        self._rows[digest(session_id)] = Session(role, now, now, label[:120])
        self._write()
        return session_id

    def touch(self, key: str) -> Session | None:
        """The open session under this hash; it counts as used now."""
        row = self._rows.get(key)
        if row is None or not row.open_at(self._now()):
            return None
        row.seen = self._now()
        if row.seen - self._written > SEEN_WRITE_S:
            self._write()
        return row

    def end(self, key: str) -> None:
        if self._rows.pop(key, None):
            self._write()

    def end_all(self) -> None:
        self._rows.clear()
        self._write()

    def _read(self) -> dict[str, Session]:
        if self._file is None or not self._file.exists():
            return {}
        try:
            rows = json.loads(self._file.read_text())
            return {key: Session(**row) for key, row in rows.items()}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            log.warning("%s cannot be read (%s): everybody has to sign in again.", self._file, error)
            return {}

    def _write(self) -> None:
        self._written = self._now()
        if self._file is None:
            return
        draft = self._file.with_suffix(".new")
        try:
            with open(draft, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
                json.dump({key: asdict(row) for key, row in self._rows.items()}, out)
            draft.replace(self._file)
        except OSError as error:
            log.warning("%s cannot be written (%s): after a restart everybody has to sign in again.", self._file, error)


class LoginLinks:
    """One-time secrets for the login link; each works once, for ten minutes."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._expiry: dict[str, float] = {}

    def create(self) -> str:
        secret = secrets.token_urlsafe(32)
        now = self._now()
        self._expiry = {key: expiry for key, expiry in self._expiry.items() if expiry > now}
        self._expiry[digest(secret)] = now + LINK_S
        return secret

    def redeem(self, secret: str) -> bool:
        return self._expiry.pop(digest(secret), 0.0) > self._now()


class Throttle:
    """How long a login has to wait. An address that fails is slowed from its fifth failure on, up to 60 s; while many
    addresses fail, every attempt is held for 2 s. Nobody is locked out, and open sessions are not concerned."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._failures: dict[str, list[float]] = {}

    def wait_s(self, address: str) -> float:
        """Seconds until this address may try again; 0 when it may now."""
        recent = self._recent(address)
        if len(recent) < 5:
            return 0.0
        return max(0.0, recent[-1] + min(60.0, 2.0 ** (len(recent) - 4)) - self._now())

    def crowd_s(self) -> float:
        """Seconds to hold every attempt back while many addresses are guessing."""
        return 2.0 if sum(len(self._recent(address)) for address in list(self._failures)) >= 30 else 0.0

    def failed(self, address: str) -> None:
        if len(self._failures) > 1000:
            self._failures = {key: times for key in self._failures if (times := self._recent(key))}
        self._failures[address] = [*self._recent(address), self._now()]

    def succeeded(self, address: str) -> None:
        self._failures.pop(address, None)

    def _recent(self, address: str) -> list[float]:
        """Of the last ten minutes. One of a time ahead is forgotten: the clock was set back, and would lock out."""
        now = self._now()
        return [at for at in self._failures.get(address, []) if 0 <= now - at < 600][-20:]
