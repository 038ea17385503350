"""The proof can fail: each deliberate defect is found by the simulator within a few hundred seeds."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from defects import DEFECTS, Defect

ROOT = Path(__file__).parents[2]
SEEDS = 300
LOOK = f"""
from bot.sim.run import simulate
for seed in range({SEEDS}):
    result = simulate(seed)
    if result.violation:
        print(seed, result.violation)
        break
"""


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_still_has_its_place(defect: Defect) -> None:
    assert (ROOT / "bot" / defect.file).read_text().count(defect.good) >= 1, "the code moved on: say the defect anew"


def test_every_promise_of_the_simulator_has_its_defect() -> None:
    assert {defect.promise for defect in DEFECTS} == set(range(1, 9))
    assert len(DEFECTS) >= 25


@pytest.mark.prove
@pytest.mark.timeout(400)
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_deliberate_defect_is_found(defect: Defect, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "bot", tmp_path / "bot", ignore=shutil.ignore_patterns("__pycache__"))
    broken = tmp_path / "bot" / defect.file
    broken.write_text(broken.read_text().replace(defect.good, defect.bad, 1))
    ran = subprocess.run([sys.executable, "-c", LOOK], cwd=tmp_path, capture_output=True, text=True, timeout=380)
    print(f"{defect.name}: {ran.stdout.strip() or 'SURVIVED'}")
    assert ran.stdout.strip(), ran.stderr or f"no violation in {SEEDS} seeds"
