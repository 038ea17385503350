"""Draws the life cycles from their tables into docs/state-tables.md: `python -m tests.core.state_tables`.

What each mode and each word of the operator does is not copied from a text: it is observed on a core that is run here.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).parent))

from scene import TICKER, Scene

from bot.core import commands, orders, trades
from bot.core import events as e
from bot.core.effects import CancelOrder, PlaceOrder
from bot.core.facts import TradingMode
from bot.core.state import dump, load
from bot.run import lease

PAGE = Path(__file__).parents[2] / "docs" / "state-tables.md"
ELSEWHERE = "KXNBAGAME-26NOV21LALNYK-LAL"
MODES: tuple[TradingMode, ...] = get_args(TradingMode)
VERBS = tuple(dict.fromkeys(verb for _, verb in commands.TRANSITIONS))


def page() -> str:
    return (
        "\n\n".join(
            [
                "# State tables",
                "Generated from the tables in `bot/core` and `bot/run/lease.py` by `python -m tests.core.state_tables`; "
                "a test fails when they differ. An event that is not in its table is refused: the state stays as it is, "
                "and an alarm says so.",
                "## Order",
                "`sent`: its bytes are leaving. `lost`: its outcome is not known. `absent`: proven never to have been "
                "applied. A fill after the end is booked all the same; the state does not become live again.",
                *_cycle(orders.TRANSITIONS, "intent", set(orders.OrderState) - orders.LIVE),
                "## Trade",
                "A trade is one market's bracket: its entry with stop, target and time exit. A late fill of its entry "
                "opens it again: whatever arrives is protected.",
                *_cycle(trades.TRANSITIONS, "opening", set(trades.ENDED)),
                "## Trading mode",
                "Journaled with reason, author and time. The first table is the one the core decides by; the other two "
                "are observed by running the core.",
                *_cycle(commands.TRANSITIONS, "", set()),
                _observed("Mode", [(mode, _in_mode(mode)) for mode in MODES]),
                "STANDBY belongs to a process without the lease: no core runs there. It shows the page and waits.",
                _observed("Word", [(verb, _on_word(verb)) for verb in VERBS]),
                "## Lease",
                "Who may run the bot with one DATA_DIR. A holder that dies releases it, however it dies; a takeover "
                "that fails releases it too. Who wrongly believes to hold it (somebody removed the lock file) can record "
                "nothing any more, so it sends no entry: the journal belongs to the last who opened it.",
                *_cycle(lease.TRANSITIONS, "standby", set()),
            ]
        )
        + "\n"
    )


def _cycle(table: Mapping[tuple[str, str], str], first: str, ended: set[str]) -> list[str]:
    """A diagram of the steps that change the state, and the whole table."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (before, event), after in table.items():
        if before != after:
            arrows.setdefault((str(before), str(after)), []).append(event)
    drawn = [f"    [*] --> {first}"] if first else []
    drawn += [f"    {before} --> {after}: {', '.join(events)}" for (before, after), events in arrows.items()]
    drawn += [f"    {state} --> [*]" for state in sorted(map(str, ended))]
    states = list(dict.fromkeys(str(state) for state, _ in table))
    events = list(dict.fromkeys(event for _, event in table))
    rows = [
        [f"**{state}**", *(str(table.get((state, event), "")) for event in events)]  # type: ignore[call-overload]
        for state in states
    ]
    return ["```mermaid\nstateDiagram-v2\n" + "\n".join(drawn) + "\n```", _table(["", *events], rows)]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _observed(name: str, rows: list[tuple[str, dict[str, str]]]) -> str:
    return _table([name, *rows[0][1]], [[f"**{key}**", *cells.values()] for key, cells in rows])


def _in_mode(mode: TradingMode) -> dict[str, str]:
    """What a core in this mode does with a proposal, a stop, a target, and a restart."""

    def exits(bid: int) -> str:
        scene = _held(mode)
        scene.tick(bid, bid + 100)
        return "sent" if any(order.purpose == "exit" for order in scene.sent()) else "held back"

    scene = _held(mode)
    entry = scene.propose(ticker=ELSEWHERE).answer
    assert entry is not None
    restarted = _held(mode)
    restarted.state = load(dump(restarted.state))
    restarted.at(5).do(e.Boot(restarted.now, "b2", restarted.state.config))
    restarted.tick(7_900, 8_100)
    return {
        "a proposal": "entered" if entry.ok else f"refused: `{entry.code}`",
        "a stop that is due": exits(7_900),
        "a target that is due": exits(9_600),
        "an entry not sent yet": _waiting_entry(mode),
        "after a restart": f"{restarted.state.mode}, stops {'armed' if restarted.sent() else 'NOT ARMED'}",
    }


def _waiting_entry(mode: TradingMode) -> str:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    scene.state.mode = mode
    answer = scene.do(e.Sending(scene.now, entry.client_order_id)).answer
    assert answer is not None
    return "sent" if answer.ok else "dropped"


def _on_word(verb: str) -> dict[str, str]:
    """What the operator's word does at once, from the first mode that takes it."""
    before = next(mode for mode, known in commands.TRANSITIONS if known == verb)
    scene = _held(before)
    scene.state.mode = "RUNNING"
    scene.propose(ticker=ELSEWHERE)
    [entry] = scene.sent()
    scene.reply(entry, 0, remaining=2_000)
    scene.state.mode = before
    scene.do(e.Command(scene.now, verb, "you", {}))
    cancelled = any(isinstance(x, CancelOrder) for x in scene.effects)
    left = any(isinstance(x, PlaceOrder) and x.purpose == "exit" for x in scene.effects)
    mode = scene.state.mode
    scene.at(1).tick(7_900, 8_100)
    protected = left or any(order.purpose == "exit" for order in scene.sent())
    return {
        "mode after": f"{before} to {mode}",
        "resting entries": "cancelled by id" if cancelled else "left resting",
        "positions": "left at once" if left else "kept",
        "stops": "working" if protected else "NOT WORKING",
        "says": commands.SAYS[verb],
    }


def _held(mode: TradingMode) -> Scene:
    scene = Scene()
    scene.held()
    assert scene.state.position(TICKER).count
    scene.state.mode = mode
    return scene


if __name__ == "__main__":
    PAGE.write_text(page())
