"""Delivery of the trade history to Supabase: what the outbox names, in small batches, exactly once by content.

Every send is an upsert on the natural key, so a reply that never came costs a repetition and nothing else. Rows
leave the outbox only after a 2xx whose body is a list of the keys sent. Trading never waits for any of this.
"""

import base64
import json
import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from bot.core.effects import Notice
from bot.store.history import History
from bot.store.outbox import Batch, Pending
from bot.store.rows import TABLES, Table, columns

if TYPE_CHECKING:
    import httpx

    import supabase

State = Literal["starting", "ok", "retrying", "schema", "key"]

MIGRATION = "20261121180000"
"""The newest file in supabase/migrations that this program needs."""
LARGEST_BATCH = 100
IDLE_S = 0.5
COUNT_EVERY_S = 1.0
FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
SAID_AFTER = 3
"""Failures in a row before the operator hears of it; one that the next try mends is no news."""
SCHEMA_RETRY_S = 60.0
SETUP = "See docs/supabase.md."


class DeliveryStatus(msgspec.Struct, frozen=True):
    """For the page. `refused` rows are ones that Supabase will not take as they are."""

    state: State
    waiting: int
    refused: int
    last_ok_ms: int | None
    last_error: str
    last_error_ms: int | None


class Failure(msgspec.Struct, frozen=True):
    """Why a batch was not taken. `kind` decides what happens to it; it stays in the outbox in every case.

    retry: the same again later. schema: this table waits until its definition or grants are right.
    key: everything waits. content: some row of the batch is the reason.
    """

    kind: Literal["retry", "schema", "key", "content"]
    text: str
    retry_after_s: float | None = None


class _Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    is_list: bool


class SupabaseDelivery:
    """Delivers one History. Run `pump` as a greenlet, or call `step` yourself."""

    def __init__(
        self,
        url: str,
        key: str,
        history: History,
        log: Callable[[Notice], None],
        *,
        timeout_s: float = 8.0,
        clock: Callable[[], float] = time.time,
        chance: random.Random | None = None,
    ) -> None:
        """`key` is the secret key (sb_secret_… or the service_role JWT). ValueError when it cannot write."""
        if problem := key_problem(key):
            raise ValueError(problem)
        self._url = url
        self._key = key
        self._history = history
        self._log = log
        self._timeout_s = timeout_s
        self._clock = clock
        self._chance = chance or random.Random()
        self._client: supabase.Client | None = None
        self._reply = _Reply(0, {}, False)
        self._state: State = "starting"
        self._failures = 0
        self._limits: dict[str, int] = {}
        self._held: dict[str, float] = {}
        self._pending = Pending(0, 0)
        self._count_again = 0.0
        self._last_ok_ms: int | None = None
        self._last_error = ""
        self._last_error_ms: int | None = None
        self._said: set[tuple[State, str]] = set()
        self._stopping = False

    def status(self) -> DeliveryStatus:
        return DeliveryStatus(
            self._state,
            self._pending.waiting,
            self._pending.refused,
            self._last_ok_ms,
            self._last_error,
            self._last_error_ms,
        )

    def check_schema(self) -> list[str]:
        """What is missing on the other side, in words, also logged; empty when all is there or nobody answered."""
        problems: list[str] = []
        for row_type, table in TABLES.items():
            answer = self._ask(partial(self._select, table.name, ("mode", *columns(row_type))))
            if not isinstance(answer, Failure):
                continue
            if answer.kind != "schema":
                self._failed(answer)
                return problems
            problems.append(f"{table.name}: {answer.text}")
            self._hold(table, answer)
        answer = self._ask(partial(self._select, "schema_migrations", ("version",), limit=1_000))
        if isinstance(answer, Failure):
            problems.append(f"schema_migrations: {answer.text}")
        elif MIGRATION not in {row.get("version") for row in answer}:
            problems.append(f"migration {MIGRATION} has not been applied. {SETUP}")
        if problems:
            self._note("schema", problems[-1], "alarm")
        return problems

    def pump(self) -> None:
        """Run as one greenlet until `stop`."""
        self.check_schema()
        while not self._stopping:
            pause = self.step()
            while pause > 0 and not self._stopping:
                time.sleep(min(pause, IDLE_S))
                pause -= IDLE_S

    def stop(self) -> None:
        """End `pump` after the request under way. What is left in the outbox is sent after the next start."""
        self._stopping = True

    def flush(self, timeout_s: float) -> bool:
        """Send until nothing waits; False when something still does after `timeout_s`."""
        end = self._clock() + timeout_s
        while (pause := self.step()) < IDLE_S or self._pending.waiting:
            if self._clock() + pause > end:
                return False
            if pause:
                time.sleep(pause)
        return True

    def step(self) -> float:
        """Send one batch; returns how many seconds to wait before the next step."""
        now = self._clock()
        held = [table for table, until in self._held.items() if until > now]
        batch = self._history.next_batch(LARGEST_BATCH, held)
        if batch is None or now >= self._count_again:
            self._pending, self._count_again = self._history.pending(), now + COUNT_EVERY_S
        if batch is None:
            return IDLE_S
        table = TABLES[batch.row_type]
        limit = self._limits.get(table.name, LARGEST_BATCH)
        batch = Batch(batch.row_type, batch.entries[:limit], batch.rows[:limit])
        answer = self._ask(partial(self._upsert, table, batch))
        if isinstance(answer, list):
            answer = _strangers(table, batch, answer) or answer
        if isinstance(answer, Failure):
            return self._not_taken(table, batch, answer)
        self._taken(table, batch)
        return 0.0

    def _taken(self, table: Table, batch: Batch) -> None:
        self._history.mark_sent(batch)
        self._limits[table.name] = min(LARGEST_BATCH, 2 * self._limits.get(table.name, LARGEST_BATCH))
        self._failures = 0
        self._held.pop(table.name, None)
        self._last_ok_ms = int(self._clock() * 1000)
        self._state = "schema" if self._held else "ok"
        if self._state == "ok" and self._said:
            self._said.clear()
            self._log(Notice("info", "supabase_ok", "Supabase: delivering again"))

    def _not_taken(self, table: Table, batch: Batch, failure: Failure) -> float:
        if failure.kind == "schema":
            self._hold(table, failure)
            return 0.0
        if failure.kind == "content":
            return self._narrow(table, batch, failure)
        return self._failed(failure)

    def _hold(self, table: Table, failure: Failure) -> None:
        """The table waits; the others go on."""
        self._held[table.name] = self._clock() + SCHEMA_RETRY_S
        self._note("schema", f"{table.name}: {failure.text}", "alarm")

    def _narrow(self, table: Table, batch: Batch, failure: Failure) -> float:
        """Halve the batches until the row that is refused stands alone, then set it aside and go on."""
        if len(batch.rows) > 1:
            self._limits[table.name] = len(batch.rows) // 2
            return 0.0
        self._history.mark_refused(batch, failure.text)
        keys = {name: batch.rows[0][name] for name in table.key.split(",")}
        text = f"Supabase: refuses this row of {table.name}, kept here and tried again at the next start: {keys}: "
        self._last_error, self._last_error_ms = failure.text, int(self._clock() * 1000)
        self._log(Notice("alarm", "supabase_refused", text + failure.text))
        return 0.0

    def _failed(self, failure: Failure) -> float:
        self._failures += 1
        if failure.kind == "key":
            self._note("key", failure.text, "alarm")
            return SCHEMA_RETRY_S
        self._note("retrying", failure.text, "warning", say=self._failures == SAID_AFTER)
        longest = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 10))
        return max(longest * self._chance.uniform(0.5, 1.0), failure.retry_after_s or 0.0)

    def _note(self, state: State, text: str, level: Literal["warning", "alarm"], say: bool = True) -> None:
        """Keep the reason for the page, and say what was not said since all was well."""
        self._state, self._last_error, self._last_error_ms = state, text, int(self._clock() * 1000)
        if say and (state, text) not in self._said:
            self._said.add((state, text))
            self._log(Notice(level, f"supabase_{state}", f"Supabase: {text}"))

    def _ask(self, call: Callable[[], Any]) -> list[dict[str, Any]] | Failure:
        import httpx
        from postgrest.exceptions import APIError

        self._reply = _Reply(0, {}, False)
        try:
            data = call()
        except APIError as error:
            wait = self._reply.headers.get("retry-after")
            return classify(self._reply.status, error.code, error.message, error.hint, wait)
        except httpx.HTTPError as error:
            return Failure("retry", f"no answer ({type(error).__name__}: {error})")
        except ValueError as error:
            return Failure("retry", f"the answer is not PostgREST's ({error})")
        if not self._reply.is_list or not isinstance(data, list):
            return Failure("retry", f"the answer is not PostgREST's (status {self._reply.status}, no list)")
        return data

    def _select(self, table: str, names: tuple[str, ...], limit: int = 1) -> Any:
        return self._connected().table(table).select(",".join(names)).limit(limit).execute().data

    def _upsert(self, table: Table, batch: Batch) -> Any:
        keys = f"mode,{table.key}"
        query = self._connected().table(table.name).upsert(
            batch.rows, on_conflict=keys, ignore_duplicates=not table.versioned
        )  # fmt: skip
        return query.select(*keys.split(",")).execute().data

    def _connected(self) -> "supabase.Client":
        if self._client is None:
            import httpx
            from supabase.lib.client_options import SyncClientOptions

            import supabase

            http = httpx.Client(
                http2=False,
                trust_env=False,
                timeout=httpx.Timeout(self._timeout_s, connect=min(3.0, self._timeout_s)),
                limits=httpx.Limits(max_connections=2, max_keepalive_connections=1, keepalive_expiry=20),
                event_hooks={"response": [self._remember]},
            )
            self._client = supabase.create_client(
                self._url,
                self._key,
                SyncClientOptions(
                    httpx_client=http, auto_refresh_token=False, persist_session=False, postgrest_client_retry=False
                ),
            )
        return self._client

    def _remember(self, response: "httpx.Response") -> None:
        """supabase-py drops the status of an error whose body has no code, and takes an empty body for a list."""
        self._reply = _Reply(response.status_code, response.headers, response.read().lstrip().startswith(b"["))


def key_problem(key: str) -> str:
    """Why this key cannot write the history; empty when it may."""
    if not key.strip():
        return f"SUPABASE_SECRET_KEY is empty. {SETUP}"
    role = "anon" if key.startswith("sb_publishable_") else _jwt_role(key)
    if role in ("anon", "authenticated"):
        return (
            "SUPABASE_SECRET_KEY holds a publishable (anon) key, which cannot write. Use the secret key "
            f"(sb_secret_…) from the project's API settings. {SETUP}"
        )
    return ""


def classify(status: int, code: str | None, message: str | None, hint: str | None, retry_after: str | None) -> Failure:
    """What a refused request means (infra.md section 6; PostgREST's table of SQLSTATE and status)."""
    code = code or ""
    text = " ".join(part for part in (f"{status}", code, message or "", hint or "") if part)
    if code in ("42501", "42P01", "42703", "42P10", "PGRST106", "PGRST204", "PGRST205"):
        return Failure("schema", f"{text}. Apply supabase/migrations. {SETUP}")
    if status == 401 or code in ("PGRST301", "PGRST302"):
        return Failure("key", f"{text}. The key is not accepted: check SUPABASE_URL and SUPABASE_SECRET_KEY. {SETUP}")
    if code.startswith(("22", "23", "21", "P0")) or status == 413:
        return Failure("content", text)
    if code == "25006":
        return Failure("retry", f"{text}. The database is read-only: its plan's storage may be full.")
    seconds = float(retry_after) if retry_after and retry_after.isdigit() else None
    return Failure("retry", text, min(seconds, 300.0) if seconds is not None else None)


def _strangers(table: Table, batch: Batch, answer: list[dict[str, Any]]) -> Failure | None:
    """A list that names rows we did not send is not an answer to what we sent."""
    names = ("mode", *table.key.split(","))
    sent = {tuple(row[name] for name in names) for row in batch.rows}
    for row in answer:
        if not isinstance(row, dict) or tuple(row.get(name) for name in names) not in sent:
            return Failure("retry", "the answer names rows that were not sent")
    return None


def _jwt_role(key: str) -> str:
    parts = key.split(".")
    if len(parts) != 3:
        return ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return ""
    return str(claims.get("role", "")) if isinstance(claims, dict) else ""
