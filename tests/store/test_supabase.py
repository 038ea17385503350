"""Delivery to Supabase through the real client, against a gateway over a real PostgreSQL with faults on demand."""

import json
import random
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import postgres
import pytest
from test_history import a_decision, a_fill, a_trade, an_audit, an_order, one_of_each, written

from bot.core.effects import Notice
from bot.store import rows
from bot.store.history import History
from bot.store.supabase import SupabaseDelivery, classify, key_problem

ROOT = Path(__file__).parents[2]
TABLES = [table.name for table in rows.TABLES.values()]

NO_POSTGRES = postgres.missing()


def needs_postgres(test):
    return pytest.mark.system(pytest.mark.skipif(bool(NO_POSTGRES), reason=NO_POSTGRES)(test))


class Gateway:
    """The gateway's process; `faults` sets what goes wrong from now on."""

    def __init__(self, dsn: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("gateway.py")), "--dsn", dsn],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = json.loads(self.process.stdout.readline())
        self.url, self.key, self.dsn = line["url"], line["key"], dsn

    def faults(self, **every: int) -> None:
        self._control(json.dumps({"faults": every}).encode())

    def counts(self) -> dict[str, Any]:
        return self._control(b"")

    def _control(self, body: bytes) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/_control", data=body, timeout=10) as reply:
            return json.load(reply)


@pytest.fixture(scope="module")
def server() -> Iterator[Gateway]:
    with postgres.running() as dsn:
        postgres.migrate(dsn)
        gateway = Gateway(dsn)
        yield gateway
        gateway.process.terminate()
        gateway.process.wait(10)


@pytest.fixture
def gateway(server: Gateway) -> Gateway:
    postgres.execute(server.dsn, f"truncate {', '.join(TABLES)}")
    server.faults()
    return server


@pytest.fixture
def history(tmp_path: Path, gateway: Gateway) -> Iterator[History]:
    opened = History(tmp_path / "history.db", remote=gateway.url)
    opened.open()
    yield opened
    opened.close()


def delivery(gateway: Gateway, history: History, **options: Any) -> tuple[SupabaseDelivery, list[Notice]]:
    said: list[Notice] = []
    options = {"timeout_s": 5.0, "chance": random.Random(1), **options}
    return SupabaseDelivery(gateway.url, gateway.key, history, said.append, **options), said


def deliver_all(sender: SupabaseDelivery, most: int = 400) -> int:
    """Step without waiting out the pauses until nothing waits; how many steps it took."""
    for steps in range(1, most):
        sender.step()
        if not sender.status().waiting:
            return steps
    raise AssertionError(f"not delivered after {most} steps: {sender.status()}")


def differences(tmp_path: Path, gateway: Gateway) -> list[str]:
    from compare import compare

    return compare(tmp_path / "history.db", gateway.dsn)


def a_busy_day(count: int) -> list[rows.Row]:
    made: list[rows.Row] = [*one_of_each()]
    for n in range(count):
        made += [an_order(f"o{n}", v, filled_e2=100 * v, state=f"s{v}") for v in (1, 2, 3)]
        made += [a_fill(f"f{n}", n), a_decision(n), an_audit(f"a{n}")]
        made += [
            a_trade(f"t{n}", 1),
            a_trade(f"t{n}", 2, exit_kind="stop", pnl_e6=-5 * n, closed_ms=n, title='É "x", {y}'),
        ]
        made += [rows.Settlement("KXGAME-A", n, "yes", n, 0, 1, 0), rows.Equity(10 * n, n, n, n, -n, n, n)]
    return made


@needs_postgres
def test_each_kind_of_row_arrives_equal(tmp_path: Path, gateway: Gateway, history: History) -> None:
    of_each_purpose = [an_order(purpose, purpose=purpose) for purpose in ("entry", "exit", "target")]
    written(history, *a_busy_day(30), *of_each_purpose)
    sender, said = delivery(gateway, history)
    assert sender.check_schema() == []
    deliver_all(sender)
    assert differences(tmp_path, gateway) == []
    assert (sender.status().state, sender.status().refused, said) == ("ok", 0, [])
    assert postgres.execute(gateway.dsn, "select count(*) from orders")[0][0] == 34
    assert gateway.counts()["largest"] <= 100
    assert gateway.counts()["http"] == ["HTTP/1.1"]


@needs_postgres
def test_the_comparison_sees_each_kind_of_difference(tmp_path: Path, gateway: Gateway, history: History) -> None:
    written(history, *a_busy_day(3))
    deliver_all(delivery(gateway, history)[0])
    assert differences(tmp_path, gateway) == []
    postgres.execute(gateway.dsn, "update fills set price_e4 = price_e4 + 1 where trade_id = 'f1'")
    postgres.execute(gateway.dsn, "delete from orders where client_order_id = 'o2'")
    postgres.execute(gateway.dsn, "insert into equity select mode, 77, 1, 1, 1, 1, 1, 1 from equity limit 1")
    found = differences(tmp_path, gateway)
    assert len(found) == 3
    assert any("price_e4: SQLite 8700, PostgreSQL 8701" in line for line in found)
    assert any(line.startswith("orders") and "missing" in line for line in found)
    assert any(line.startswith("equity") and "only in PostgreSQL" in line for line in found)


@needs_postgres
@pytest.mark.parametrize(
    "faults", [{"refuse": 5}, {"html": 3}, {"empty": 3}, {"limit": 4}, {"drop": 3}, {"drop_after": 3},
               {"refuse": 5, "drop_after": 3, "html": 7}],
    ids=lambda faults: "+".join(faults),
)  # fmt: skip
def test_with_faults_every_row_arrives_once(
    tmp_path: Path, gateway: Gateway, history: History, faults: dict[str, int]
) -> None:
    """A 409 or a dropped reply counted as success lost 486 trades elsewhere (failure case 15)."""
    gateway.faults(**faults)
    sender, said = delivery(gateway, history)
    for part in range(6):
        written(history, *a_busy_day(8 * part + 8))
        sender.step()
    deliver_all(sender)
    assert differences(tmp_path, gateway) == []
    counts = gateway.counts()
    assert all(counts.get(name, 0) >= 1 for name in faults), counts
    assert len(faults) > 1 or said == [], "what the next try mends is no news"
    assert sender.status().state == "ok" and sender.status().last_error


@needs_postgres
def test_a_reply_that_never_comes_is_sent_again(tmp_path: Path, gateway: Gateway, history: History) -> None:
    gateway.faults(hang=2)
    written(history, *one_of_each())
    sender, _ = delivery(gateway, history, timeout_s=0.5)
    deliver_all(sender)
    assert gateway.counts()["hang"] >= 1
    assert differences(tmp_path, gateway) == []


@needs_postgres
def test_a_crash_between_reply_and_mark_sends_again_and_changes_nothing(
    tmp_path: Path, gateway: Gateway, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(history, *a_busy_day(5))
    with monkeypatch.context() as patched:
        patched.setattr(history, "mark_sent", lambda batch: False)
        delivery(gateway, history)[0].step()
    assert history.pending().waiting > 0
    history.close()
    again = History(tmp_path / "history.db", remote=gateway.url)
    again.open()
    deliver_all(delivery(gateway, again)[0])
    assert differences(tmp_path, gateway) == []
    again.close()


@needs_postgres
def test_an_older_version_never_overwrites_a_newer_one(tmp_path: Path, gateway: Gateway, history: History) -> None:
    """A request that timed out may be applied long after its successor."""
    written(history, an_order("a", 1, state="old"))
    late = history.next_batch(100)
    assert late is not None
    written(history, an_order("a", 2, state="new"))
    sender, _ = delivery(gateway, history)
    deliver_all(sender)
    table = rows.TABLES[rows.Order]
    assert sender._ask(lambda: sender._upsert(table, late)) == []
    assert postgres.execute(gateway.dsn, "select version, state from orders") == [(2, "new")]


@needs_postgres
@pytest.mark.parametrize(
    ("breakage", "repair", "words"),
    [
        ("alter table fills rename column fee_e6 to fee", "alter table fills rename column fee to fee_e6", "fee_e6"),
        ("alter table fills rename to fills2", "alter table fills2 rename to fills", "fills"),
        ("revoke insert on fills from service_role", "grant insert on fills to service_role", "permission denied"),
    ],
    ids=["column", "table", "grant"],
)
def test_a_schema_problem_is_loud_and_holds_only_its_table(
    tmp_path: Path, gateway: Gateway, history: History, breakage: str, repair: str, words: str
) -> None:
    """A missing column meant silent 400s for weeks elsewhere (failure case 16)."""
    now = [1_000.0]
    sender, said = delivery(gateway, history, clock=lambda: now[0])
    written(history, *a_busy_day(3))
    postgres.execute(gateway.dsn, breakage)
    try:
        for _ in range(20):
            sender.step()
            now[0] += 0.1
        status = sender.status()
        assert (status.state, status.waiting, status.refused) == ("schema", 4, 0)
        assert words in status.last_error and "docs/supabase.md" in status.last_error
        assert [notice.level for notice in said] == ["alarm"]
        assert postgres.execute(gateway.dsn, "select count(*) from orders")[0][0] == 4
    finally:
        postgres.execute(gateway.dsn, repair)
    now[0] += 61
    deliver_all(sender)
    sender.step()
    assert sender.status().state == "ok"
    assert said[-1].code == "supabase_ok"
    assert differences(tmp_path, gateway) == []


@needs_postgres
def test_the_schema_is_checked_at_the_start(gateway: Gateway, history: History) -> None:
    sender, said = delivery(gateway, history)
    postgres.execute(gateway.dsn, "alter table trades rename column pnl_e6 to profit")
    postgres.execute(gateway.dsn, "delete from schema_migrations")
    try:
        problems = sender.check_schema()
    finally:
        postgres.execute(gateway.dsn, "alter table trades rename column profit to pnl_e6")
        postgres.migrate(gateway.dsn)
    assert len(problems) == 2
    assert "trades" in problems[0] and "pnl_e6" in problems[0]
    assert "migration" in problems[1]
    assert [notice.level for notice in said] == ["alarm", "alarm"]
    assert sender.check_schema() == []


@needs_postgres
def test_one_row_that_is_refused_does_not_hold_up_the_others(
    tmp_path: Path, gateway: Gateway, history: History
) -> None:
    fills = [a_fill(f"f{n}") for n in range(150)]
    fills[77] = msgspec.structs.replace(fills[77], price_e4=2**62, count_e2=2**62)
    fills[78] = msgspec.structs.replace(fills[78], ticker="a\0b")
    written(history, *fills)
    sender, said = delivery(gateway, history)
    deliver_all(sender)
    assert (sender.status().waiting, sender.status().refused) == (0, 1)
    assert postgres.execute(gateway.dsn, "select count(*) from fills")[0][0] == 149
    assert [notice.level for notice in said] == ["alarm"]
    assert "'trade_id': 'f78'" in said[0].text


@needs_postgres
def test_a_409_is_no_success(gateway: Gateway, history: History) -> None:
    postgres.execute(gateway.dsn, "create unique index once on fills (order_id)")
    try:
        written(history, a_fill("f1"), a_fill("f2"))
        sender, _ = delivery(gateway, history)
        deliver_all(sender)
        assert sender.status().refused == 1
        assert "409" in sender.status().last_error
    finally:
        postgres.execute(gateway.dsn, "drop index once")


@needs_postgres
def test_a_wrong_key_waits_and_says_so(gateway: Gateway, history: History) -> None:
    said: list[Notice] = []
    sender = SupabaseDelivery(gateway.url, "sb_secret_wrong", history, said.append)
    written(history, a_fill())
    assert sender.step() >= 60
    assert sender.step() >= 60
    assert (sender.status().state, sender.status().waiting) == ("key", 1)
    assert len(said) == 1 and "SUPABASE_SECRET_KEY" in said[0].text
    assert "sb_secret_wrong" not in said[0].text


@needs_postgres
def test_the_public_keys_see_and_change_nothing(gateway: Gateway, history: History) -> None:
    written(history, *one_of_each())
    deliver_all(delivery(gateway, history)[0])
    for role in ("anon", "authenticated"):
        for statement in ("select * from {}", "delete from {}", "insert into {} default values"):
            for table in (*TABLES, "schema_migrations"):
                with pytest.raises(Exception, match="permission denied"):
                    postgres.execute(gateway.dsn, f"set role {role}; {statement.format(table)}")
    for table in ("fills", "audit"):
        with pytest.raises(Exception, match="permission denied"):
            postgres.execute(gateway.dsn, f"set role service_role; delete from {table}")


@needs_postgres
def test_the_migrations_may_be_pasted_twice(gateway: Gateway) -> None:
    postgres.migrate(gateway.dsn)


@needs_postgres
def test_it_delivers_in_the_background_and_the_hub_runs_on(tmp_path: Path, gateway: Gateway) -> None:
    gateway.faults(hang=3, refuse=4)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(
            """
            import sys, time
            from pathlib import Path
            from gevent import monkey
            monkey.patch_all()
            import gevent
            sys.path[:0] = [sys.argv[2], sys.argv[2] + "/tests/store"]
            from test_history import a_fill
            from bot.store.history import History
            from bot.store.supabase import SupabaseDelivery
            history = History(Path(sys.argv[1]), remote=sys.argv[3])
            history.open()
            gevent.spawn(history.pump)
            sender = SupabaseDelivery(sys.argv[3], sys.argv[4], history, print, timeout_s=1.0)
            sending = gevent.spawn(sender.pump)
            while sender.status().state == "starting":
                history.put(a_fill("first"))
                gevent.sleep(0.1)
            assert history.wait(history.put(*(a_fill(f"f{n}") for n in range(350))), 10)
            end, beats = time.monotonic() + 40, 0
            while time.monotonic() < end and history.pending().waiting:
                gevent.sleep(0.01)
                beats += 1
            assert beats > 50 and not history.pending().waiting, (beats, sender.status())
            sender.stop()
            assert sending.join(5) is None and sending.dead
            assert history.close()
            """
        ), str(tmp_path / "history.db"), str(ROOT), gateway.url, gateway.key],
        capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert differences(tmp_path, gateway) == []


def test_nobody_there_is_retried_with_growing_pauses(tmp_path: Path) -> None:
    history = History(tmp_path / "history.db", remote="http://127.0.0.1:9")
    history.open()
    written(history, a_fill())
    said: list[Notice] = []
    sender = SupabaseDelivery("http://127.0.0.1:9", "sb_secret_x", history, said.append, timeout_s=0.5)
    began = time.monotonic()
    assert sender.check_schema() == []
    pauses = [sender.step() for _ in range(8)]
    assert time.monotonic() - began < 6, "the client retried by itself"
    assert all(2 ** (n - 1) <= pause <= 2**n for n, pause in enumerate(pauses[:5], 1))
    assert max(pauses) <= 60
    assert [notice.code for notice in said] == ["supabase_retrying"]
    assert (sender.status().state, sender.status().waiting) == ("retrying", 1)
    history.close()


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (503, None, "retry"), (500, "57014", "retry"), (500, "40001", "retry"), (429, None, "retry"),
        (405, "25006", "retry"), (502, "502", "retry"), (404, "PGRST205", "schema"), (400, "PGRST204", "schema"),
        (400, "42703", "schema"), (403, "42501", "schema"), (400, "42P10", "schema"), (401, None, "key"),
        (401, "PGRST301", "key"), (409, "23505", "content"), (400, "22P02", "content"), (400, "23502", "content"),
        (413, None, "content"),
    ],
)  # fmt: skip
def test_each_refusal_has_one_meaning(status: int, code: str | None, kind: str) -> None:
    assert classify(status, code, "message", None, None).kind == kind


def test_a_refusal_may_say_when_to_come_back() -> None:
    assert classify(429, None, "slow down", None, "7").retry_after_s == 7.0
    assert classify(429, None, "slow down", None, "999999").retry_after_s == 300.0
    assert classify(503, None, "", None, "Fri, 31 Dec 2026 23:59:59 GMT").retry_after_s is None


ANON_JWT = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.x"
SERVICE_JWT = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.x"


@pytest.mark.parametrize("key", ["", "  ", "sb_publishable_abc", ANON_JWT])
def test_a_key_that_cannot_write_is_refused_at_the_door(key: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="SUPABASE_SECRET_KEY"):
        SupabaseDelivery("http://127.0.0.1:9", key, History(tmp_path / "history.db"), print)


@pytest.mark.parametrize("key", ["sb_secret_abc", SERVICE_JWT, "anything"])
def test_a_key_that_may_write_is_taken(key: str) -> None:
    assert key_problem(key) == ""
