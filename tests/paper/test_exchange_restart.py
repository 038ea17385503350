"""What the exchange keeps over a restart, and how the process starts and ends."""

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from paper_client import ROOT, Exchange, until
from still_exchange import BOS, DET


def book_of(exchange: Exchange) -> Any:
    return exchange.get(f"/markets/{BOS}/orderbook")["orderbook_fp"]


def test_a_killed_exchange_has_lost_nothing_it_acknowledged(start: Callable[..., Exchange]) -> None:
    first = start()
    first.tell("set_level", BOS, "ask", 5800, 30_000, "now")
    until(lambda: book_of(first)["no_dollars"])
    first.order(BOS, "bid", "0.5800", "10.00", client_order_id="bought")
    first.order(BOS, "bid", "0.3000", "5.00", client_order_id="rests")
    first.order(BOS, "bid", "0.3000", "7.00", client_order_id="behind")
    gone = first.order(BOS, "bid", "0.2000", "5.00", client_order_id="gone").json()["order_id"]
    first.call("DELETE", f"/portfolio/events/orders/{gone}")
    first.order(BOS, "bid", "0.9000", "900.00", client_order_id="killed", time_in_force="fill_or_kill")
    before = first.ledger(), first.get("/portfolio/orders"), first.get("/portfolio/fills"), first.get("/markets")
    first.kill()

    second = start()
    assert second.ready["key_id"] == first.ready["key_id"]
    after = second.ledger(), second.get("/portfolio/orders"), second.get("/portfolio/fills")
    assert after == before[:3]
    assert [m["ticker"] for m in second.get("/markets")["markets"]] == [m["ticker"] for m in before[3]["markets"]]
    assert book_of(second)["yes_dollars"] == [["0.3000", "12.00"]]
    for used in ("bought", "rests", "gone", "killed"):
        again = second.order(BOS, "bid", "0.1000", "1.00", client_order_id=used)
        assert again.json()["error"]["code"] == "order_already_exists"
    fresh = second.order(BOS, "bid", "0.1000", "1.00").json()["order_id"]
    assert fresh not in before[0]["orders"]
    second.tell("crowd_take", BOS, "ask", 3000, 600, "now")
    until(lambda: second.ledger()["fills_count"] == 3)
    filled = {o["client_order_id"]: o["filled"] for o in second.ledger()["orders"].values()}
    assert (filled["rests"], filled["behind"]) == ("5.00", "1.00")


def test_kills_at_any_moment_lose_no_acknowledged_order(start: Callable[..., Exchange]) -> None:
    acknowledged: dict[str, str] = {}
    for round_ in range(4):
        exchange = start()
        exchange.tell("set_level", BOS, "ask", 5800, 10**7, "now")
        until(lambda exchange=exchange: book_of(exchange)["no_dollars"])
        timer = threading.Timer(0.15 + 0.07 * round_, exchange.process.kill)
        timer.start()
        for number in range(10_000):
            cid = f"{round_}-{number}"
            price = "0.5800" if number % 2 else "0.1000"
            try:
                answer = exchange.order(BOS, "bid", price, "0.01", client_order_id=cid)
            except OSError:
                break
            assert answer.status_code == 201, answer.text
            acknowledged[cid] = answer.json()["fill_count"]
        timer.join()
        exchange.process.wait(timeout=10)
    final = start().ledger()
    kept = {o["client_order_id"]: o["filled"] for o in final["orders"].values()}
    assert len(acknowledged) > 20
    assert {cid: kept.get(cid) for cid in acknowledged} == acknowledged
    fills = sum(filled == "0.01" for filled in kept.values())
    assert final["fills_count"] == fills and final["positions"][BOS] == f"{fills / 100:.2f}"
    assert float(final["cash"]) == pytest.approx(1000 - fills * 0.0058 - float(final["fees"]), abs=1e-6)


def test_a_market_that_was_due_while_down_closes_and_settles_at_the_start(start: Callable[..., Exchange]) -> None:
    first = start()
    first.tell("set_level", DET, "ask", 5800, 30_000, "now")
    until(lambda: first.get(f"/markets/{DET}/orderbook")["orderbook_fp"]["no_dollars"])
    first.order(DET, "bid", "0.5800", "10.00")
    first.order(DET, "bid", "0.3000", "10.00")
    first.tell("set_close", DET, 1, "now")
    until(lambda: first.get(f"/markets/{DET}")["market"]["status"] == "closed")
    first.kill()
    second = start()
    second.tell("determine", DET, "no", "now")
    until(lambda: second.ledger()["settlements_count"] == 1)
    ledger = second.ledger()
    assert ledger["settled_pnl"] == "-5.800000" and ledger["positions"] == {}
    assert {o["status"] for o in ledger["orders"].values()} == {"executed", "canceled"}
    second.kill()
    assert start().ledger() == ledger


def test_the_private_key_is_for_its_owner_only(start: Callable[..., Exchange]) -> None:
    path = Path(start().ready["private_key_path"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert (path.parent / "key_id").read_text().strip()


def test_sigterm_ends_cleanly_with_open_streams(start: Callable[..., Exchange]) -> None:
    exchange = start()
    socket = exchange.socket()
    socket.send("subscribe", channels=["ticker"])
    socket.next()
    exchange.order(BOS, "bid", "0.3000", "10.00")
    assert exchange.stop() == 0
    assert len(start().ledger()["orders"]) == 1


def fails(*arguments: str) -> str:
    command = [sys.executable, "-m", "bot", "exchange", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


def test_what_cannot_start_says_why_in_one_line(start: Callable[..., Exchange], tmp_path: Path) -> None:
    running = start(folder=tmp_path / "one")
    port = running.ready["odds"].rpartition(":")[2]
    assert "another --data-dir" in fails("--data-dir", str(tmp_path / "one"))
    assert "choose another --port" in fails("--data-dir", str(tmp_path / "two"), "--port", port)
    running.stop()
    assert "holds the life 'still'" in fails("--data-dir", str(tmp_path / "one"))
    assert "--faults" in fails("--data-dir", str(tmp_path / "two"), "--faults", "[{]")
    assert "missing.gz" in fails("--data-dir", str(tmp_path / "two"), "--replay", "missing.gz")


def test_the_demo_world_lives_and_goes_on_after_a_kill(start: Callable[..., Exchange], tmp_path: Path) -> None:
    command = ["-m", "bot", "exchange", "--data-dir", str(tmp_path / "demo"), "--seed", "3", "--tier", "prestige"]
    first = start(*command)
    open_markets = first.get("/markets", status="open", limit=1000)["markets"]
    assert len(open_markets) >= 20

    def offered() -> list[Any]:
        found = first.get("/markets", status="open", limit=1000)["markets"]
        return [m for m in found if m["yes_ask_size_fp"] != "0.00" and m["yes_ask_dollars"] < "0.9500"]

    quoted = until(offered)
    bought = first.order(
        quoted[0]["ticker"], "bid", "0.9900", "3.00", time_in_force="immediate_or_cancel", client_order_id="a"
    )
    assert bought.json()["fill_count"] != "0.00"
    assert first.session.get(first.ready["odds"] + "/v4/sports?apiKey=k", timeout=10).status_code == 200
    socket = first.socket()
    socket.send("subscribe", channels=["ticker", "trade", "market_lifecycle_v2"])
    socket.until("ticker")
    before = first.ledger()
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait(timeout=10)
    second = start(*command)
    after = second.ledger()
    assert (after["orders"], after["fees"]) == (before["orders"], before["fees"])
    listed = {m["ticker"] for m in second.get("/markets", limit=1000)["markets"]}
    assert len(listed & {m["ticker"] for m in open_markets}) >= 20
    socket = second.socket()
    socket.send("subscribe", channels=["ticker"])
    assert socket.until("ticker")["msg"]["market_ticker"] in listed
