"""The page of the real program in Chromium: quotes move soon after the start, and nothing on it complains."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.program import Program

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path)
    yield program
    program.end()


def test_quotes_move_within_a_minute_of_the_start_and_trades_appear(program: Program, context: Any) -> None:
    started = time.monotonic()
    program.start()
    [link] = set(re.findall(r"http://127\.0\.0\.1:\d+/login#\S+", program.log.read_text()))
    complaints: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(link)
    page.wait_for_url(f"{program.url}/")
    _until(page, "document.querySelectorAll('#candidates tbody tr').length > 20", 60)
    before = page.evaluate("document.querySelector('#candidates table').innerText")
    _until(page, f"document.querySelector('#candidates table').innerText !== {before!r}", 20)
    assert time.monotonic() - started < 60
    _until(page, "document.querySelectorAll('#positions tbody tr').length > 0", 60)
    assert page.evaluate("document.querySelector('#mode-word').textContent") == "PAPER"
    assert "stop armed" in page.evaluate("document.querySelector('#positions table').innerText")
    _until(page, "document.querySelectorAll('#trades tbody tr').length > 0", 120)
    assert complaints == []


def _until(page: Any, holds: str, wait_s: float) -> None:
    """Polls, because wait_for_function needs eval, which the page's policy forbids."""
    deadline = time.monotonic() + wait_s
    while not page.evaluate(holds):
        assert time.monotonic() < deadline, f"not within {wait_s:g} s: {holds}"
        page.wait_for_timeout(100)
