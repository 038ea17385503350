"""Found in review: a settlement that the exchange lists late is still found."""

from typing import Any

from bot.core.state import new_state
from bot.core.units import Money
from bot.core.venue import Balance
from bot.run.account import read_account
from bot.run.bot import default_config
from bot.strategy.favourites import Favourites

NOW = 1_795_000_000_000


class Reads:
    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def balance(self) -> Balance:
        return Balance(Money(0))

    def __getattr__(self, name: str) -> Any:
        def read(**asked: Any) -> list[Any]:
            self.asked[name] = asked
            return []

        return read


def test_settlements_are_read_far_enough_back_for_one_that_is_listed_late() -> None:
    """One listed a minute after its time was never read: position and cash differed for ever, and entries stopped."""
    state = new_state(default_config(Favourites()), "RUNNING", NOW)
    state.cash, state.read_ms = Money(0), NOW - 10_000
    reads = Reads()
    read_account(reads, state, lambda: NOW, lambda ticker: None)  # type: ignore[arg-type, return-value]
    assert reads.asked["settlements"]["min_ts"] <= NOW // 1000 - 1_800
    assert reads.asked["fills"]["min_ts"] >= NOW // 1000 - 120
