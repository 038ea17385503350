"""The quiet exchange with the program on it, as a fixture."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from quiet_stage import Stage, Staged


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[Staged]:
    stages: list[Stage] = []

    def start(markets: int, **settings: str) -> Stage:
        stages.append(Stage(tmp_path, markets, **settings))
        return stages[-1]

    yield start
    for stage in stages:
        stage.end()
