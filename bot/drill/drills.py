"""The drills: each stages one disaster while the bot holds positions, says what happens, and scores the outcome."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from bot.core.units import parse_price
from bot.drill.quiet import BID, ticker
from bot.drill.score import Score
from bot.drill.stage import Stage, exits, falls, level, recovers, sales

POSITIONS = 4
ALL = range(POSITIONS)
AT_ONCE_S = 1.0
BROKEN = ("loop_crashed", "defect")
"""Signs in the log that the program itself is broken, not what is around it."""


class Drill(NamedTuple):
    about: str
    play: Callable[[Stage, Score], None]
    settings: dict[str, str]


def crash_while_holding(stage: Stage, score: Score) -> None:
    hold(stage, score)
    stage.program.kill()
    score.say("SIGKILL: the program is gone; the prices fall from 0.90 to 0.80, below every stop")
    moved = stage.call(falls(ALL))
    before = len(stage.program.words())
    stage.program.start()
    words = stage.program.words()[before:]
    score.say("it runs again")
    armed, sent = words.find("open trades armed"), words.find("ORDER")
    score.check("stops were armed before any order left", armed >= 0 and (sent < 0 or armed < sent))
    score.within("from its start until every position was left", left(stage, score, stage.program.started_at), 20)
    score.say(f"that is {time.time() - moved:.1f} s after the prices fell: nobody watched them meanwhile")
    agree(stage, score)


def exchange_unreachable(stage: Stage, score: Score) -> None:
    hold(stage, score)
    stage.faults({"at": "any", "kind": "maintenance", "body": "html"}, {"at": "ws", "kind": "reset"})
    score.say("the exchange answers nothing but errors, the feed is cut; the prices fall to 0.80")
    stage.call(falls(ALL))
    time.sleep(10)
    held = stage.program.items("positions")
    score.check("an outage is no evidence: positions are still believed in", len(held) == POSITIONS)
    score.check("the page says that the exchange cannot be read", not reconciled(stage))
    stage.faults()
    score.say("the exchange is back")
    score.within("from its return until every position was left", left(stage, score, time.time()), 20)
    agree(stage, score)


def key_revoked(stage: Stage, score: Score) -> None:
    hold(stage, score)
    stage.faults({"at": "any", "kind": "key_revoked"}, {"at": "ws", "kind": "reset"})
    score.say("the key is revoked, the feed is cut")
    revoked = time.time()
    stage.program.until(lambda: stage.program.lines("key_refused"), 20, "no alarm")
    score.within("until the alarm said that exits cannot be sent", time.time() - revoked, 10)
    stage.call(falls(ALL))
    time.sleep(3)
    score.check("positions are still believed in", len(stage.program.items("positions")) == POSITIONS)
    stage.faults()
    score.say("the key works again; nobody restarts anything")
    score.within("until every position was left", left(stage, score, time.time()), 20)
    score.check("it says that the key is taken again", bool(stage.program.lines("key_accepted")))
    agree(stage, score)


def silent_feed(stage: Stage, score: Score) -> None:
    hold(stage, score)
    stage.faults({"at": "ws", "kind": "silent"})
    score.say("the feed says nothing more, though the connection stands; the prices fall to 0.80")
    moved = stage.call(falls(ALL))
    score.within("until every position was left by readings over REST", left(stage, score, moved), 25)
    agree(stage, score)


def lost_reply(stage: Stage, score: Score) -> None:
    stage.faults({"at": "create", "kind": "lost_reply_after", "times": POSITIONS})
    score.say("each entry reaches the exchange and fills, and each reply is lost")
    hold(stage, score)
    sent = stage.ledger()["orders"].values()
    score.check("each entry exists once", len(sent) == POSITIONS, f"{len(sent)} orders at the exchange")
    stage.faults({"at": "create", "kind": "lost_reply_after", "times": POSITIONS})
    score.say("the prices fall to 0.80, and the reply to each exit is lost as well")
    moved = stage.call(falls(ALL))
    score.within("until every position was left", left(stage, score, moved), 10)
    sold = [o for o in stage.ledger()["orders"].values() if o["side"] == "ask" and float(o["filled"])]
    score.check("each position was sold once", len(sold) == POSITIONS, f"{len(sold)} exits filled")
    agree(stage, score)


def flash_crash(stage: Stage, score: Score) -> None:
    hold(stage, score)
    score.say("the bids vanish but for one contract at 0.80, one at 0.72 and a crowd at 0.65, in each market")
    thin = [(8_000, 100), (7_200, 100), (6_500, 100_000)]
    moved = stage.call([
        c for n in ALL for c in (level(n, "bid", BID, 0), *(level(n, "bid", at, count) for at, count in thin))
    ])  # fmt: skip
    stage.program.until(lambda: exits(stage.program, moved), 10, "no stop fired")
    score.within("until the first stop's order was answered", exits(stage.program, moved)[0], AT_ONCE_S)
    score.within("until every position was left", left(stage, score, moved), 10)
    sold = [row for row in stage.program.items("fills") if row["side"] == "ask"]
    worst = min(parse_price(row["price"]) for row in sold)
    score.check(
        "no contract went below the bound of 0.10 under the trigger", worst >= 7_000, f"worst {worst / 1e4:.2f}"
    )
    agree(stage, score)


def disk_fails(stage: Stage, score: Score) -> None:
    hold(stage, score)
    journal = sqlite3.connect(stage.program.data / "journal-paper.db", isolation_level=None, timeout=10)
    journal.execute("BEGIN IMMEDIATE")
    score.say("nothing can be written to the journal any more; the prices fall to 0.80")
    moved = stage.call(falls(ALL))
    stage.program.until(lambda: len(exits(stage.program, moved)) >= POSITIONS, 10, "the stops did not leave")
    score.within("until every stop's order was answered", exits(stage.program, moved)[POSITIONS - 1], AT_ONCE_S)
    stage.program.until(lambda: stage.program.get("status")["store"]["state"] == "failing", 20, "nobody says so")
    score.check("the page says that the store fails", True)
    stage.call(recovers(ALL))
    time.sleep(4)
    score.check("no entry is opened meanwhile", not stage.ledger()["positions"])
    journal.execute("ROLLBACK")
    journal.close()
    score.say("the disk works again")
    back = time.time()
    stage.program.until(lambda: stage.program.get("status")["store"]["state"] == "ok", 20, "the store stays bad")
    score.within("until everything was written", time.time() - back, 10)
    stage.holds(POSITIONS)
    score.check("entries are opened again", True)
    agree(stage, score)


def kill_switch(stage: Stage, score: Score) -> None:
    hold(stage, score)
    asked = time.time()
    command = [sys.executable, "-m", "bot", "kill", "--reason", "drill"]
    done = subprocess.run(command, cwd=stage.program.folder, env=stage.program.environ(), capture_output=True)
    score.within("from `python -m bot kill` to its answer", time.time() - asked, 5)
    state = stage.program.get("status")["state"]
    score.check("the bot is halted", (done.returncode, state) == (0, "HALTED"), state)
    stage.call(falls([0]))
    score.say("one price falls to 0.80: stops protect while halted")
    program = stage.program
    program.until(lambda: len(program.items("positions")) == POSITIONS - 1, 10, "the stop did not fire")
    stage.call(recovers([0]))
    time.sleep(4)
    score.check("no entry while halted", len(stage.ledger()["positions"]) == POSITIONS - 1)
    score.check("a plain start is refused", "refused" in str(program.post("bot/start")) or program_is(stage, "HALTED"))
    program.post("bot/rearm", {"confirm": "REARM"})
    program.post("bot/start")
    score.check("re-armed in two steps, it runs", program_is(stage, "RUNNING"))
    agree(stage, score)


def wiped_disk(stage: Stage, score: Score) -> None:
    hold(stage, score)
    stage.program.kill()
    shutil.rmtree(stage.program.data)
    score.say("SIGKILL, and everything it has ever written is gone")
    stage.program.start()
    rows = stage.program.until(lambda: stage.program.items("positions"), 20, "no position was found")
    score.within("from its start until positions were found", time.time() - stage.program.started_at, 20)
    score.check("each has a stop", len(rows) == POSITIONS and all(r["protected"] and r["stop"] for r in rows))
    score.say(f"stops at {', '.join(sorted({r['stop'] for r in rows}))}; the prices fall to 0.70")
    moved = stage.call(falls(ALL, to=7_000))
    score.within("until every position was left", left(stage, score, moved), 10)
    agree(stage, score)


def cut_journal(stage: Stage, score: Score) -> None:
    hold(stage, score)
    stage.program.kill()
    log = stage.program.data / "journal-paper.db-wal"
    os.truncate(log, log.stat().st_size // 2)
    score.say("SIGKILL, and the second half of the journal's write-ahead log is gone")
    program = stage.program.start()
    program.until(lambda: program.lines("journal_lost"), 10, "nobody says that records are lost")
    score.check("an alarm says how many records are lost", True, program.lines("journal_lost")[0].split(": ")[0][-50:])
    score.check("entries wait for the operator", program_is(stage, "PAUSED"))

    def protected() -> list[str]:
        return [row["stop"] for row in program.items("positions") if row["protected"] and row["stop"]]

    program.until(lambda: len(protected()) == POSITIONS, 20, "positions are missing, or have no stop")
    score.within("from its start until every position had a stop", time.time() - program.started_at, 20)
    score.say(f"stops at {', '.join(sorted(set(protected())))}; the prices fall to 0.70")
    score.within("until every position was left", left(stage, score, stage.call(falls(ALL, to=7_000))), 10)
    program.post("bot/start")
    score.check("started by the operator, it runs", program_is(stage, "RUNNING"))
    agree(stage, score)


def paused_market(stage: Stage, score: Score) -> None:
    hold(stage, score)
    score.say("all markets are paused; the price behind it falls to 0.80")
    paused = stage.call([("pause", ticker(n)) for n in ALL])
    time.sleep(5)
    score.check("nothing is sent into a paused market", not exits(stage.program, paused))
    score.check("positions stay protected", all(r["protected"] for r in stage.program.items("positions")))
    moved = stage.call([c for n in ALL for c in (("unpause", ticker(n)), level(n, "bid", 8_000))])
    score.say("trading goes on, at 0.80")
    score.within("until every position was left", left(stage, score, moved), 15)
    agree(stage, score)


DRILLS = {
    "crash-while-holding": Drill("SIGKILL; prices fall before it is back", crash_while_holding, {}),
    "exchange-unreachable": Drill("ten seconds without the exchange while prices fall", exchange_unreachable, {
        "WEBSOCKET_RECONNECT_DELAY": "0.5", "WEBSOCKET_MAX_RECONNECT_DELAY": "1",
    }),
    "key-revoked": Drill("the API key is revoked and restored while prices fall", key_revoked, {
        "WEBSOCKET_RECONNECT_DELAY": "0.5", "WEBSOCKET_MAX_RECONNECT_DELAY": "1",
    }),
    "silent-feed": Drill("the price feed goes silent without closing, and prices fall", silent_feed, {
        "WEBSOCKET_PRICE_CACHE_STALE_SECS": "10",
    }),
    "lost-reply": Drill("the replies to entries and exits that were filled are lost", lost_reply, {}),
    "flash-crash": Drill("prices gap down into a thin book", flash_crash, {}),
    "disk-fails": Drill("nothing can be written while prices fall", disk_fails, {}),
    "kill-switch": Drill("`python -m bot kill` while holding: entries end, stops protect on", kill_switch, {}),
    "wiped-disk": Drill("the program dies and its whole folder is lost", wiped_disk, {}),
    "cut-journal": Drill("the program dies and half of the journal's log is lost", cut_journal, {}),
    "paused-market": Drill("the held markets are paused and come back at a lower price", paused_market, {}),
}  # fmt: skip


def hold(stage: Stage, score: Score) -> None:
    stage.enter(POSITIONS)
    stops = sorted({row["stop"] for row in stage.program.items("positions")})
    score.say(f"the bot holds {POSITIONS} positions bought at 0.91, each with its stop at {', '.join(stops)}")


def left(stage: Stage, score: Score, since: float) -> float:
    """Wait until nothing is held, at the exchange too; seconds from `since` (time.time) to the last exit's fill."""
    program = stage.program
    program.until(lambda: not program.items("positions") and not stage.ledger()["positions"], 40, "positions remain")
    return sales(program, since)[-1]


def agree(stage: Stage, score: Score) -> None:
    """Books and ledger are equal to the last unit, and nothing was oversold."""
    stage.program.until(lambda: not stage.books_differ(), 20, f"the books differ: {stage.books_differ()}")
    score.check("cash and positions equal the exchange's", True, f"{stage.ledger()['cash']} dollars")
    score.check("nothing was sold that was not held", all(float(c) > 0 for c in stage.ledger()["positions"].values()))
    broken = [line for sign in BROKEN for line in stage.program.lines(sign)]
    score.check("no loop crashed, no defect in its log", not broken, broken[0] if broken else "")


def reconciled(stage: Stage) -> bool:
    return bool(stage.program.get("status")["reconciliation"]["ok"])


def program_is(stage: Stage, state: str) -> bool:
    return bool(stage.program.get("status")["state"] == state)
