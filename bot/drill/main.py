"""`python -m bot drill NAME`: the whole program on a paper exchange of its own, a disaster, and a score."""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import requests

from bot.drill.drills import DRILLS, POSITIONS
from bot.drill.program import NotInTime
from bot.drill.score import Score
from bot.drill.stage import Stage
from bot.settings import Settings, SettingsError

ENV_FILE = Path(".env")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bot drill",
        description="Stage a disaster on a paper exchange, in a folder of its own, and score the outcome.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; `all` for all; none lists them")
    names = parser.parse_args(argv).names
    if not names:
        width = max(map(len, DRILLS))
        print("\n".join(f"{name:<{width}}  {drill.about}" for name, drill in DRILLS.items()))
        return 0
    chosen = list(DRILLS) if names == ["all"] else names
    if unknown := [name for name in chosen if name not in DRILLS]:
        print(f"There is no drill {unknown[0]!r}; `python -m bot drill` lists them.", file=sys.stderr)
        return 2
    try:
        mode = Settings.load(os.environ, ENV_FILE).mode
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    if mode != "paper":
        print(f"MODE is {mode}: drills run with MODE=paper only. Run them in another folder.", file=sys.stderr)
        return 2
    outcomes = [run(name) for name in chosen]
    return 0 if all(outcomes) else 1


def run(name: str) -> bool:
    """Play one drill; its folder is kept when it fails."""
    drill, score = DRILLS[name], Score()
    folder = Path(tempfile.mkdtemp(prefix=f"tickstop-{name}-"))
    print(f"\n{name}: {drill.about}")
    score.say("a paper exchange of its own and the program start; your settings and data are not touched")
    stage = Stage(folder, POSITIONS, **drill.settings)
    try:
        drill.play(stage, score)
    except (NotInTime, requests.RequestException, LookupError, OSError) as problem:
        score.check("the drill came to its end", False, str(problem).splitlines()[0])
    finally:
        stage.end()
    score.show()
    if score.passed():
        shutil.rmtree(folder)
    else:
        print(f"What the program and the exchange wrote is in {folder}")
    return score.passed()
