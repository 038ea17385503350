"""The proof can fail: each deliberate defect, planted in a copy of the tree, fails the test that is named for it."""

import ast
from pathlib import Path

import pytest

from tests.defects.deliberate import Defect
from tests.defects.plant import DEFECTS, PAGE, ROOT, drawn, planted, run


def test_every_promise_and_every_failure_case_has_a_defect() -> None:
    broken = {name for defect in DEFECTS for name in defect.breaks.split()}
    assert broken - {"R"} == {f"P{n}" for n in range(1, 11)} | {f"C{n}" for n in range(1, 39)}


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.what)
def test_a_defect_applies_and_its_test_exists(defect: Defect) -> None:
    ast.parse(planted(defect, (ROOT / defect.file).read_text()))
    file, _, name = defect.caught_by.partition("::")
    assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(), defect.caught_by


def test_the_page_lists_the_defects_as_they_are() -> None:
    assert PAGE.read_text().startswith(drawn()), "run `python -m tests.defects.plant --write`"


FIRST = {defect.breaks.split()[0]: defect for defect in reversed(DEFECTS) if defect.breaks.startswith("P")}
"""One for each promise is planted by every run of the tests."""


@pytest.mark.parametrize(
    "defect",
    [pytest.param(d, id=d.what, marks=[] if d in FIRST.values() else [pytest.mark.prove]) for d in DEFECTS],
)
def test_a_deliberate_defect_is_caught(defect: Defect, tmp_path: Path) -> None:
    code, _ = run(defect, tmp_path, [defect.caught_by])
    assert code == 1, f"pytest ended with {code}: nothing saw that {defect.what}"
