"""Idempotency-Key: the same key and body get the first answer again, instead of a second command."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from flask import Response, g, request

from web.problems import Problem

KEPT_S = 24 * 3600
MOST = 10_000
LONGEST = 200


@dataclass
class Attempt:
    fingerprint: str
    at: float
    answer: tuple[int, str | None, bytes] | None = None


class Attempts:
    """The answers given in the last 24 hours, by caller and key. A restart forgets them: sent again after it, the same
    key is a new command."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._kept: dict[tuple[str, str], Attempt] = {}

    def once(self, key: str, act: Callable[[], Response]) -> Response:
        """Do `act` for a new key, else give its first answer. An act that raises is not kept: it may be tried again."""
        place = (g.caller.actor, key)
        fingerprint = _fingerprint()
        kept = self._kept.get(place)
        if kept and self._now() - kept.at < KEPT_S:
            return self._again(kept, fingerprint)
        self._forget_old()
        attempt = self._kept[place] = Attempt(fingerprint, self._now())
        try:
            response = act()
        except BaseException:
            del self._kept[place]
            raise
        attempt.answer = (response.status_code, response.mimetype, response.get_data())
        return response

    def _again(self, kept: Attempt, fingerprint: str) -> Response:
        if kept.fingerprint != fingerprint:
            raise Problem(422, "key_reused", "This Idempotency-Key was used for another request. Use a new one.")
        if kept.answer is None:
            raise Problem(409, "in_progress", "The first request with this key is still at work.", retry_after=1)
        status, mimetype, body = kept.answer
        return Response(body, status, mimetype=mimetype, headers={"Idempotent-Replay": "true"})

    def _forget_old(self) -> None:
        oldest = self._now() - KEPT_S
        while self._kept:
            place = next(iter(self._kept))
            if self._kept[place].at >= oldest and len(self._kept) < MOST:
                return
            del self._kept[place]


def read_key(required: bool) -> str | None:
    key = request.headers.get("Idempotency-Key", "")
    if key and not (key.isascii() and key.isprintable() and len(key) <= LONGEST):
        raise Problem(422, "invalid", f"Idempotency-Key is at most {LONGEST} printable ASCII characters.")
    if required and not key:
        raise Problem(422, "key_required", "Send an Idempotency-Key header, a new random one for each command.")
    return key or None


def _fingerprint() -> str:
    body = request.get_json(silent=True) if request.data else None
    return sha256(f"{request.method} {request.path} {json.dumps(body, sort_keys=True)}".encode()).hexdigest()
