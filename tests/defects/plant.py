"""Plants a deliberate defect in a copy of the tree and runs tests there; `python -m tests.defects.plant` tries all.

`python -m tests.defects.plant --write` draws docs/defects.md; `--find TESTS...` shows which tests see each defect.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.defects.deliberate import ORDERS, Defect
from tests.defects.deliberate_account import ACCOUNT
from tests.defects.deliberate_books import BOOKS
from tests.defects.deliberate_clock import CLOCK
from tests.defects.deliberate_plans import PLANS
from tests.defects.deliberate_resting import RESTING
from tests.defects.deliberate_risk import RISK
from tests.defects.deliberate_shell import SHELL
from tests.sim.defects import DEFECTS as SIMULATED

ROOT = Path(__file__).parents[2]
DEFECTS = ORDERS + BOOKS + PLANS + RESTING + RISK + ACCOUNT + CLOCK + SHELL
PAGE = ROOT / "docs" / "defects.md"
MUTATION = "## Mutation score"
"""From here on the page is written by hand."""

PROMISES = (
    "No act before its record", "Unknown is a state", "No oversell", "Nothing delays a stop",
    "Exits outlive everything", "One writer", "Books equal the exchange's", "Halted still protects",
    "Every decision has a reason", "Modes differ only in wiring",
)  # fmt: skip
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


def planted(defect: Defect, source: str) -> str:
    """The file with the defect in it. ValueError when the place is not there, or is not one place."""
    found = source.count(defect.find)
    if found != 1:
        raise ValueError(
            f"'{defect.what}' does not apply any more: its text occurs {found} times in {defect.file}. "
            "Renew it in tests/defects/deliberate.py, so that its test still proves something"
        )
    return source.replace(defect.find, defect.replace)


def run(defect: Defect, folder: Path, tests: Sequence[str], *options: str) -> tuple[int, list[str]]:
    """Plant the defect in a copy in `folder`; pytest's exit code (1: a test failed) and the tests that failed."""
    for name in ("bot", "web", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    subprocess.run(["git", "init", "-q", folder], check=True)
    place = folder / defect.file
    place.write_text(planted(defect, place.read_text()))
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no"]
    done = subprocess.run([*command, *options, *tests], cwd=folder, capture_output=True, text=True, timeout=600)
    return done.returncode, FAILED.findall(done.stdout)


def drawn() -> str:
    """The generated part of docs/defects.md."""
    rows = "\n".join(
        f"| {defect.what} | {defect.breaks} | `{defect.file}` | `{defect.caught_by}` |" for defect in DEFECTS
    )
    looked_at = "\n".join(f"| {defect.name} | P{defect.promise} | `bot/{defect.file}` |" for defect in SIMULATED)
    promises = ", ".join(f"{number} {text}" for number, text in enumerate(PROMISES, 1))
    return f"""# Deliberate defects

Tests prove little until they have failed. Each of these defects is planted in a copy of the tree, and the test named
beside it must fail there. `make prove` plants all of them, `make test` as many as its time allows, and
`python -m tests.defects.plant` shows them one by one. The tables are drawn by `python -m tests.defects.plant --write`.

P is a promise: {promises}. C is a failure case that another bot fell to, by the number in its test's name.
R is another rule, most of them of [risk.md](risk.md).

| Defect | Breaks | In | Caught by |
| --- | --- | --- | --- |
{rows}

## Found by the simulator

These are planted too, but no test is named: `tests/sim/test_defects.py` lets the simulator look for a violation over
300 seeds.

| Defect | Breaks | In |
| --- | --- | --- |
{looked_at}

{MUTATION}
"""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.defects.plant")
    parser.add_argument("--find", nargs="+", metavar="TESTS", default=[])
    parser.add_argument("--only", default="", help="a part of the defect's text")
    parser.add_argument("--write", action="store_true", help="draw docs/defects.md instead")
    args = parser.parse_args(argv)
    if args.write:
        PAGE.write_text(drawn() + PAGE.read_text().partition(f"{MUTATION}\n")[2])
        return 0
    missed = 0
    for defect in DEFECTS:
        if args.only not in defect.what:
            continue
        with tempfile.TemporaryDirectory() as folder:
            code, failed = run(defect, Path(folder), args.find or [defect.caught_by])
        missed += code != 1
        print(f"{'caught' if code == 1 else f'NOT CAUGHT (pytest says {code})'}: {defect.what}", flush=True)
        for name in failed if args.find else ():
            print(f"    {name}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
