"""The command line: `python -m bot COMMAND`. Each command imports what it needs, so that none is slowed by another."""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENV_FILE = Path(".env")
OBEYED_WITHIN_S = 10.0
"""Longer than the sweep over the stops, which looks for the order."""
LATER = ("backtest", "report")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bot", description="Tickstop from the command line.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (about, _) in COMMANDS.items():
        commands.add_parser(name, help=about, add_help=False)
    for name in LATER:
        commands.add_parser(name, help="not built yet", add_help=False)
    given = sys.argv[1:] if argv is None else argv
    command = parser.parse_args(given[:1]).command
    if command in LATER:
        print(f"`{command}` is not built yet; see CHANGELOG.md for what this version can do.", file=sys.stderr)
        return 2
    return COMMANDS[command][1](given[1:])


def exchange(argv: list[str]) -> int:
    from bot.paper.exchange import main as run_exchange

    return run_exchange(argv)


def doctor(argv: list[str]) -> int:
    argparse.ArgumentParser(prog="python -m bot doctor", description=COMMANDS["doctor"][0]).parse_args(argv)
    from bot.doctor import examine

    findings = examine(os.environ, ENV_FILE, ROOT)
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        print(f"{finding.verdict:<5} {finding.name:<{width}}  {finding.detail}")
    return 1 if any(finding.verdict == "FAIL" for finding in findings) else 0


def kill(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bot kill", description=COMMANDS["kill"][0])
    parser.add_argument("--reason", default="bot kill", help="shown on the page and kept in the journal")
    reason = parser.parse_args(argv).reason
    from bot.run.halt_file import write
    from bot.settings import Settings, SettingsError

    try:
        folder = Settings.load(os.environ, ENV_FILE).make_data_dir()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    order = folder / "halt"
    try:
        write(order, reason, time.time_ns() // 1_000_000)
    except OSError as error:
        print(f"NOT halted: {order} cannot be written ({error}). Press KILL on the page.", file=sys.stderr)
        return 1
    deadline = time.monotonic() + OBEYED_WITHIN_S
    while order.exists():
        if time.monotonic() > deadline:
            print(
                f"Nobody has confirmed the order in {order}: no bot runs on this folder, or it cannot write its "
                "journal and has halted until it ends. One that starts will obey it."
            )
            return 3
        time.sleep(0.05)
    print("Halted: no more entries; exits go on. Resume on the page.")
    return 0


def simulate(argv: list[str]) -> int:
    from bot.sim.main import main as run_simulations

    return run_simulations(argv)


def drill(argv: list[str]) -> int:
    from bot.drill.main import main as run_drills

    return run_drills(argv)


def record(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bot record", description=COMMANDS["record"][0])
    parser.add_argument("--seconds", type=float, default=0.0, help="end after this long (default: at Ctrl-C)")
    seconds = parser.parse_args(argv).seconds
    from gevent import monkey

    monkey.patch_all()
    from bot.build import StartError, preflight
    from bot.build import record as record_markets
    from bot.settings import SettingsError

    try:
        return record_markets(preflight(os.environ), seconds)
    except (SettingsError, StartError) as error:
        print(error, file=sys.stderr)
        return 1


def settings(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bot settings", description=COMMANDS["settings"][0])
    parser.add_argument("--write", action="store_true", help="write .env.example and docs/configuration.md instead")
    from bot.config import env_example, markdown
    from bot.settings import TABLE, Settings, SettingsError

    if parser.parse_args(argv).write:
        (ROOT / ".env.example").write_text(env_example(TABLE))
        (ROOT / "docs" / "configuration.md").write_text(markdown(TABLE))
        return 0
    try:
        shown = Settings.load(os.environ, ENV_FILE).shown()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    width = max(map(len, shown))
    print("\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in shown.items()))
    return 0


COMMANDS: dict[str, tuple[str, Callable[[list[str]], int]]] = {
    "exchange": ("run the paper exchange", exchange),
    "doctor": ("check settings, key, clock, folder, port and exchange", doctor),
    "kill": ("stop all entries at once, without the page", kill),
    "simulate": ("play seeded disasters in virtual time and audit every step", simulate),
    "drill": ("stage a disaster on a paper exchange and score the outcome", drill),
    "record": ("record the watched markets into DATA_DIR/recordings, without trading", record),
    "settings": ("show the settings in force", settings),
}

if __name__ == "__main__":
    sys.exit(main())
