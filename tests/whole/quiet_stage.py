"""The drills' stage, and what tests of market data ask of it besides."""

from collections.abc import Callable
from typing import Any

from bot.drill import stage


class Stage(stage.Stage):
    def seen(self) -> list[int]:
        """How many requests each line of the plan has counted."""
        return [row["seen"] for row in self.struck()]

    def markets(self) -> tuple[dict[str, Any], int]:
        """The whole snapshot and its age in seconds."""
        reply = self.program.session.get(f"{self.program.url}/api/v1/markets", timeout=5)
        reply.raise_for_status()
        return reply.json(), int(reply.headers["Age"])


Staged = Callable[..., Stage]
