"""How dense a run is: minutes in which everything goes wrong, or trading days with a few bad moments in each hour."""

import msgspec

DAY_MINUTES = 1_440


class Pace(msgspec.Struct, frozen=True):
    """Times in ms. `games` is the shortest and longest life of a market, `open` how many there are at the quietest and
    at the busiest hour, `rarer` how many times less often than in a dense run a fault comes."""

    strategy_ms: int
    snapshot_ms: int
    games: tuple[int, int]
    open: tuple[int, int]
    rarer: int
    daily_loss: tuple[int, ...]
    """Limits of the loss of a day, one of them for each seed."""
    least_steps: int
    """Of a virtual minute: a run with fewer counts as failed."""

    def open_at(self, now_ms: int) -> int:
        """How many markets are open: fewest at 4:00, most at 16:00 UTC."""
        after = (now_ms // 60_000 - 240) % DAY_MINUTES
        fewest, most = self.open
        return fewest + (most - fewest) * min(after, DAY_MINUTES - after) // (DAY_MINUTES // 2)


DENSE = Pace(2_500, 60_000, (60_000, 260_000), (8, 8), 1, (5_000_000_000,), 50)
DAY = Pace(30_000, 300_000, (1_200_000, 10_800_000), (3, 12), 10, (5_000_000_000, 5_000_000_000, 40_000_000), 20)


def pace_of(minutes: int) -> Pace:
    """Runs of an hour and longer are paced like trading days."""
    return DENSE if minutes < 60 else DAY
