"""Exchange processes for tests."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paper_client import STILL, Exchange


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Exchange]]:
    """Start exchange processes, still ones unless told otherwise; they end with the test."""
    started: list[Exchange] = []

    def launch(*command: str, folder: Path = tmp_path / "paper", **settings: Any) -> Exchange:
        still = [str(STILL), str(folder), json.dumps({"tier": "prestige"} | settings)]
        exchange = Exchange(list(command) or still)
        started.append(exchange)
        return exchange

    yield launch
    for exchange in started:
        if exchange.process.poll() is None:
            exchange.kill()


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One still exchange for a module of tests."""
    exchange = Exchange([str(STILL), str(tmp_path_factory.mktemp("still")), '{"tier": "prestige"}'])
    yield exchange
    exchange.kill()
