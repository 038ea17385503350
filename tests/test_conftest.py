"""The rules that tests/conftest.py makes for all tests."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")
SAMPLE = """
import pytest

def test_plain(): pass

@pytest.mark.prove
@pytest.mark.parametrize("n", range(3))
def test_proof(n):
    import time
    time.sleep(0.2)

@pytest.mark.system
def test_system(): pytest.skip("no Chromium")

def test_other(): pytest.skip("no recorded data")
"""


def test_a_share_of_the_proofs_is_a_share_of_each_file(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    for name in ("a", "b"):
        (tmp_path / f"test_{name}.py").write_text(SAMPLE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  prove: slow\n  system: needs the machine\n")
    command = [sys.executable, "-m", "pytest", "-v", "--proofs=60", "--no-header"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | {"CI": ""}, capture_output=True, text=True)
    order = re.findall(r"^test_(.)\.py::test_proof\[(.)\]", done.stdout, re.MULTILINE)
    assert order == [("a", "0"), ("b", "0"), ("a", "1"), ("b", "1"), ("a", "2"), ("b", "2")]


@pytest.mark.parametrize(
    ("arguments", "ci", "summary"),
    [
        ([], "", "1 passed, 2 skipped, 3 deselected"),
        ([], "true", "1 failed, 1 passed, 1 skipped, 3 deselected"),
        (["-m", "prove"], "", "3 passed, 3 deselected"),
        (["-m", "not prove"], "", "1 passed, 2 skipped, 3 deselected"),
        (["--proofs=60"], "", "4 passed, 2 skipped"),
        (["--proofs=0.3"], "", "3 passed, 2 skipped"),
        (["--proofs=0"], "", "1 passed, 2 skipped"),
    ],
)
def test_what_runs(tmp_path, arguments, ci, summary):
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  prove: slow\n  system: needs the machine\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *arguments],
        cwd=tmp_path,
        env=os.environ | {"CI": ci},
        capture_output=True,
        text=True,
    )
    assert summary in done.stdout.splitlines()[-1], done.stdout
