"""The history takes each row once, keeps the newest version, pages completely, and knows what is still to be sent."""

import random
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bot.store import history as history_module
from bot.store import rows
from bot.store.history import History
from bot.store.rows import TABLES, Row, columns
from bot.store.sqlite import StoreError

ROOT = Path(__file__).parents[2]
URL = "http://127.0.0.1:1"


def an_order(name: str = "a", version: int = 1, **changes: Any) -> rows.Order:
    base = rows.Order(
        client_order_id=name, order_id=f"x-{name}", trade_id="t1", ticker="KXGAME-A", side="bid", purpose="entry",
        time_in_force="immediate_or_cancel", price_e4=8700, count_e2=1200, filled_e2=0, fees_e6=0, state="resting",
        reason="edge", created_ms=1_000, updated_ms=1_000 + version, version=version,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def a_fill(name: str = "f", at_ms: int = 1_000) -> rows.Fill:
    return rows.Fill(name, "x-a", "a", "KXGAME-A", "bid", 8700, 100, 6_900, True, at_ms)


def a_trade(name: str = "t1", version: int = 1, **changes: Any) -> rows.Trade:
    base = rows.Trade(
        id=name, ticker="KXGAME-A", event_ticker="KXGAME", title="A wins", strategy="favourites", side="YES",
        count_e2=1200, entry_price_e4=8700, entry_cost_e6=10_440_000, exit_price_e4=None, exit_value_e6=None,
        fees_e6=82_800, pnl_e6=None, exit_kind="", entry_reason="edge", exit_reason="", opened_ms=1_000,
        closed_ms=None, version=version,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def a_decision(number: int, at_ms: int | None = None) -> rows.Decision:
    return rows.Decision(
        f"d{number}", "p1", number if at_ms is None else at_ms, "KXGAME-A", "skip", "spread", "v1", {"edge": 0.013}
    )


def an_audit(name: str) -> rows.Audit:
    return rows.Audit(name, 1_000, "operator", "pause", {"why": name}, "accepted")


def one_of_each() -> list[Row]:
    return [
        an_order(),
        a_fill(),
        a_trade(),
        rows.Settlement("KXGAME-A", 2_000, "yes", 12_000_000, 0, 1200, 0),
        rows.Equity(1_000, 996_483_200, 10_440_000, 1_006_923_200, 0, -12_000, 82_800),
        a_decision(1),
        an_audit("c1"),
    ]


@pytest.fixture
def history(tmp_path: Path):
    opened = History(tmp_path / "history.db", remote=URL)
    opened.open()
    yield opened
    opened.close()


def written(history: History, *new: Row) -> None:
    history.put(*new)
    assert history.commits.drain()


def everything(history: History, table: str, limit: int = 7, **filters: Any) -> list[Row]:
    found, cursor = history.page(table, limit, None, filters)
    while cursor is not None:
        more, cursor = history.page(table, limit, cursor, filters)
        assert more, "a cursor led to an empty page"
        found += more
    return found


def test_every_row_type_has_a_table_with_exactly_its_columns(history: History, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "history.db") as db:
        for row_type, table in TABLES.items():
            named = [row[1] for row in db.execute(f"PRAGMA table_info({table.name})")]
            assert named == ["row", "mode", *columns(row_type)]


def test_each_kind_of_row_comes_back_as_it_was_put(history: History) -> None:
    written(history, *one_of_each())
    for row in one_of_each():
        (found,), cursor = history.page(TABLES[type(row)].name)
        if isinstance(row, rows.Audit) and isinstance(found, rows.Audit):
            found = msgspec.structs.replace(found, position=0, previous="", hash="")
        assert found == row
        assert cursor is None


def test_putting_everything_again_changes_nothing(history: History, tmp_path: Path) -> None:
    written(history, *one_of_each())
    before = dump(tmp_path)
    written(history, *one_of_each(), *one_of_each())
    assert dump(tmp_path) == before


def dump(tmp_path: Path) -> list[str]:
    with sqlite3.connect(tmp_path / "history.db") as db:
        return list(db.iterdump())


def test_the_higher_version_wins_whatever_the_order_of_arrival(history: History) -> None:
    versions = [an_order("a", n, state=f"state {n}") for n in range(1, 8)]
    random.Random(1).shuffle(versions)
    for version in versions:
        written(history, version)
    assert history.page("orders")[0] == [an_order("a", 7, state="state 7")]


def test_a_fact_stays_as_it_was_first_put(history: History) -> None:
    written(history, a_fill("f"), msgspec.structs.replace(a_fill("f"), price_e4=1))
    assert history.page("fills")[0] == [a_fill("f")]


def test_an_inexact_number_is_refused_at_the_door(history: History) -> None:
    with pytest.raises(ValueError, match="price_e4"):
        history.put(msgspec.structs.replace(a_fill(), price_e4=8700.5))
    written(history, a_fill("later"))
    assert history.page("fills")[0] == [a_fill("later")]


def test_a_row_is_kept_as_it_was_when_it_was_put(history: History) -> None:
    decision = a_decision(1)
    history.put(decision)
    decision.numbers["edge"] = 99
    assert history.commits.drain()
    assert history.page("decisions")[0] == [a_decision(1)]


@pytest.mark.parametrize("limit", [1, 3, 10, 200])
def test_pages_are_complete_and_newest_first(history: History, limit: int) -> None:
    chance = random.Random(7)
    fills = [a_fill(f"f{n}", chance.randrange(5)) for n in range(40)]
    written(history, *fills)
    found = everything(history, "fills", limit)
    assert sorted(found, key=repr) == sorted(fills, key=repr)
    times = [fill.at_ms for fill in found if isinstance(fill, rows.Fill)]
    assert times == sorted(times, reverse=True)


def test_rows_put_while_somebody_pages_repeat_and_hide_nothing(history: History) -> None:
    written(history, *(a_fill(f"f{n}", n) for n in range(30)))
    first, cursor = history.page("fills", 10)
    written(history, *(a_fill(f"new{n}", 25 + n) for n in range(10)))
    rest = list(first)
    while cursor is not None:
        more, cursor = history.page("fills", 10, cursor)
        rest += more
    names = [fill.trade_id for fill in rest if isinstance(fill, rows.Fill)]
    assert len(names) == len(set(names))
    assert {f"f{n}" for n in range(30)} <= set(names)


def test_pages_are_filtered(history: History) -> None:
    opened, shut, late = a_trade("open"), a_trade("shut", closed_ms=9, opened_ms=50), a_trade("late", opened_ms=99)
    written(history, opened, shut, late)
    assert everything(history, "trades", closed_ms=None) == [opened, late]
    assert everything(history, "trades", since_ms=50, until_ms=99) == [shut]


@pytest.mark.parametrize(
    "arguments", [("nothing",), ("fills", 5, "!"), ("fills", 5, "AAAA"), ("fills", 5, None, {"1=1 --": 1})]
)
def test_a_wrong_question_is_refused_in_words(history: History, arguments: tuple) -> None:
    with pytest.raises(ValueError, match=r"no table|not one of ours|has no filter"):
        history.page(*arguments)


def test_paper_and_live_do_not_see_each_other(tmp_path: Path) -> None:
    for mode in ("paper", "live"):
        kept = History(tmp_path / "history.db", mode=mode)
        kept.open()
        written(kept, msgspec.structs.replace(an_order("same"), reason=mode))
        kept.close()
    live = History(tmp_path / "history.db", mode="live")
    live.open()
    assert [o.reason for o in everything(live, "orders") if isinstance(o, rows.Order)] == ["live"]
    live.close()


def test_decisions_are_bounded_by_age_and_number(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    day = 24 * 3600 * 1000
    monkeypatch.setattr(history_module, "KEPT_DECISIONS", 1_000)
    written(history, *(a_decision(n, 0) for n in range(400)))
    written(history, *(a_decision(n, 8 * day) for n in range(400, 900)))
    assert len(everything(history, "decisions", 500)) == 500
    assert history.pending().waiting == 500
    written(history, *(a_decision(n, 8 * day) for n in range(900, 3_000)))
    assert len(everything(history, "decisions", 500)) <= 1_000 + history_module.PRUNE_EVERY
    written(history, *(a_fill(f"f{n}", 0) for n in range(1_200)))
    assert len(everything(history, "fills", 500)) == 1_200


def test_the_audit_chain_shows_a_changed_row(history: History, tmp_path: Path) -> None:
    written(history, *(an_audit(f"c{n}") for n in range(5)), an_audit("c2"))
    assert len(everything(history, "audit")) == 5
    assert history.verify_audit() == ""
    with sqlite3.connect(tmp_path / "history.db") as db:
        db.execute("UPDATE audit SET actor = 'nobody' WHERE id = 'c3'")
    assert "c3" in history.verify_audit()


def test_the_audit_chain_shows_a_deleted_row(history: History, tmp_path: Path) -> None:
    written(history, *(an_audit(f"c{n}") for n in range(5)))
    with sqlite3.connect(tmp_path / "history.db") as db:
        db.execute("DELETE FROM audit WHERE id = 'c1'")
    assert "c2" in history.verify_audit()


def test_each_mode_has_an_audit_chain_of_its_own(tmp_path: Path) -> None:
    """Told apart from a changed row only by who looks: the first word of live was called tampered with."""
    for mode in ("paper", "live"):
        kept = History(tmp_path / "history.db", mode=mode)
        kept.open()
        written(kept, an_audit(f"{mode}-1"), an_audit(f"{mode}-2"))
        assert kept.verify_audit() == "", mode
        kept.close()


def test_a_row_that_changes_after_a_restart_is_sent_after_those_that_wait(tmp_path: Path) -> None:
    numbers: list[int] = []
    for version in (1, 2):
        kept = History(tmp_path / "history.db", remote="https://x.supabase.co")
        kept.open()
        written(kept, an_order("a", version), *(an_order(f"{version}{n}") for n in range(3)))
        batch = kept.next_batch(100)
        assert batch is not None
        numbers.append(max(number for _, number in batch.entries))
        assert len({number for _, number in batch.entries}) == len(batch.entries), "each has a number of its own"
        kept.close()
    assert numbers[1] > numbers[0]


def test_every_changed_row_waits_once_in_the_outbox(history: History) -> None:
    written(history, *one_of_each(), *one_of_each(), an_order("a", 2))
    assert history.pending().waiting == len(TABLES)
    sent: dict[str, int] = {}
    while (batch := history.next_batch(100)) is not None:
        sent[TABLES[batch.row_type].name] = len(batch.rows)
        assert history.mark_sent(batch)
    assert sent == {table.name: 1 for table in TABLES.values()}
    written(history, *one_of_each())
    assert history.next_batch(100) is None


def test_a_row_that_changes_on_its_way_is_sent_again(history: History) -> None:
    written(history, an_order("a", 1))
    batch = history.next_batch(100)
    assert batch is not None and batch.rows[0]["version"] == 1
    written(history, an_order("a", 2))
    assert history.mark_sent(batch)
    again = history.next_batch(100)
    assert again is not None and again.rows[0]["version"] == 2


def test_the_outbox_is_delivered_in_order_and_in_small_batches(history: History) -> None:
    written(history, *(a_fill(f"f{n}") for n in range(250)))
    names: list[str] = []
    sizes = []
    while (batch := history.next_batch(100)) is not None:
        sizes.append(len(batch.rows))
        names += [row["trade_id"] for row in batch.rows]
        history.mark_sent(batch)
    assert sizes == [100, 100, 50]
    assert names == [f"f{n}" for n in range(250)]


def test_a_refused_row_waits_aside_until_the_next_start(history: History, tmp_path: Path) -> None:
    written(history, a_fill("bad"))
    written(history, a_fill("good"))
    batch = history.next_batch(1)
    assert batch is not None
    history.mark_refused(batch, "22003 out of range")
    assert (history.pending().waiting, history.pending().refused) == (1, 1)
    following = history.next_batch(100)
    assert following is not None and [row["trade_id"] for row in following.rows] == ["good"]
    history.close()
    again = History(tmp_path / "history.db", remote=URL)
    again.open()
    assert (again.pending().waiting, again.pending().refused) == (2, 0)
    again.close()


def test_nothing_waits_when_no_remote_store_is_set_and_all_does_when_one_is_added(tmp_path: Path) -> None:
    for remote, waiting in (("", 0), (URL, 7), (URL, 7), ("", 0), (URL, 7), ("http://127.0.0.1:2", 7)):
        kept = History(tmp_path / "history.db", remote=remote)
        kept.open()
        written(kept, *one_of_each())
        assert kept.pending().waiting == waiting, remote
        kept.close()


def test_a_failed_commit_keeps_the_rows_and_their_order(tmp_path: Path) -> None:
    errors: list[int] = []
    history = History(tmp_path / "history.db", on_error=lambda error, waiting: errors.append(waiting))
    history.open()
    blocker = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
    assert history._db is not None
    history._db.execute("PRAGMA busy_timeout = 20")
    blocker.execute("BEGIN IMMEDIATE")
    history.put(*(an_order("a", n) for n in range(1, 4)))
    assert not history.commits.drain() and not history.healthy and errors == [3]
    blocker.execute("ROLLBACK")
    assert history.commits.drain() and history.healthy
    assert everything(history, "orders") == [an_order("a", 3)]
    blocker.close()
    history.close()


def test_a_commit_that_fails_half_way_is_taken_back_and_made_again(tmp_path: Path, monkeypatch) -> None:
    """Its transaction stayed open, and no later one could begin."""
    history = History(tmp_path / "history.db")
    history.open()
    write, rows = history._write, []

    def full(db: sqlite3.Connection, row_type: Any, row: Any) -> None:
        write(db, row_type, row)
        rows.append(row)
        if len(rows) == 1:
            raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(history, "_write", full)
    history.put(an_order("a", 1), an_order("b", 1))
    assert not history.commits.drain()
    assert history.commits.drain() and history.healthy
    assert len(everything(history, "orders")) == 2
    history.close()


def test_a_missing_folder_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="Check that DATA_DIR exists"):
        History(tmp_path / "absent" / "history.db").open()


def test_greenlets_put_page_and_wait_while_it_pumps(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(
            """
            import sys
            from pathlib import Path
            from gevent import monkey
            monkey.patch_all()
            import gevent
            sys.path[:0] = [sys.argv[2], sys.argv[2] + "/tests/store"]
            from test_history import a_fill
            from bot.store.history import History
            history = History(Path(sys.argv[1]))
            history.open()
            gevent.spawn(history.pump)
            def writer(name):
                for n in range(100):
                    number = history.put(a_fill(f"{name}-{n}"))
                    if n % 10 == 0:
                        assert history.wait(number, 10)
                    gevent.sleep(0)
                assert history.wait(number, 10)
            gevent.joinall([gevent.spawn(writer, name) for name in "abc"], raise_error=True)
            assert len(history.page("fills", 500)[0]) == 300
            assert history.close()
            """
        ), str(tmp_path / "history.db"), str(ROOT)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
