"""Favourites: buy the favoured side when it is very likely, liquid, tight and near its end; stop, target and time exit.

No edge is promised: recorded favourites bought at 0.85 to 0.97 won about as often as they cost
(shared/data/crypto_hourly_202607). The strategy is the simplest honest user of the machinery.
"""

from bot.core.config import Param
from bot.core.events import Proposal
from bot.core.fees import fee
from bot.core.trades import ExitPlan
from bot.core.units import CONTRACT, ONE, Count, Price
from bot.core.venue import Side
from bot.strategy import filters
from bot.strategy.contract import Sight, Skip

PARAMS: tuple[Param, ...] = (
    Param("min_probability", "price", 8_500, 5_100, 9_900, "mid price of the favoured side must be above this"),
    Param("max_price", "price", 9_500, 5_200, 9_900, "most to pay for one contract of the favoured side"),
    Param("max_spread", "price", 300, 1, 2_000, "ask less bid"),
    Param(
        "min_size", "count", 2_500, 1, 10_000_000, "contracts that must be on offer at the ask, and wanted at the bid"
    ),
    Param("min_volume", "count", 0, 0, 1_000_000_000, "contracts traded in the last 24 hours"),
    Param("min_to_end", "seconds", 60, 5, 86_400, "time to the estimated end: at least"),
    Param("max_to_end", "seconds", 14_400, 60, 2_592_000, "time to the estimated end: at most"),
    Param("max_since_start", "seconds", 21_600, 60, 315_360_000, "a game's start lies at most this long back"),
    Param("order_cost", "money", 20_000_000, 1_000_000, 10_000_000_000, "what one entry should cost"),
    Param("stop_distance", "price", 800, 100, 5_000, "stop this far below the entry price"),
    Param("target_distance", "price", 400, 0, 5_000, "target this far above the entry price; 0 holds to the end"),
    Param("time_exit", "seconds", 20, 0, 86_400, "leave this long before the estimated end; 0 holds to settlement"),
    Param(
        "trail", "price", 0, 0, 5_000, "the stop follows the best price seen at this distance; 0 leaves it where it is"
    ),
    Param("break_even_after", "price", 0, 0, 5_000, "a gain of this much moves the stop to break-even; 0 never does"),
    Param("rest_target", "number", 0, 0, 1, "1: the target rests in the book as an order; 0: it is taken on the tick"),
    Param("exit_bound", "price", 1_000, 100, 9_900, "how far beyond its trigger an exit may go at first"),
    Param("exit_escalate", "seconds", 3, 1, 600, "each time this passes without being flat the bound grows by itself"),
)


class Favourites:
    name = "favourites"
    params = PARAMS

    def decide(self, sight: Sight, values: dict[str, int]) -> Proposal | Skip:
        """The first filter that fails is the reason; a market that passes all becomes a proposal."""
        wanted = (
            filters.active,
            filters.two_sided,
            filters.probability(values["min_probability"]),
            filters.dear(values["max_price"]),
            filters.spread(values["max_spread"]),
            filters.liquidity(values["min_size"], values["min_volume"]),
            filters.time_to_end(values["min_to_end"], values["max_to_end"]),
            filters.game_time(values["max_since_start"]),
        )
        skip = filters.first(sight, wanted)
        held = filters.favoured(sight.quote)
        if skip is not None or held is None:
            return skip or Skip("no_quote", "one side of the book is empty or not known")
        shown = f"{held}, {filters.to_end_s(sight)} s to the end"
        return self._propose(sight, values, held.side, held.ask, held.ask_size, shown)

    def _propose(
        self, sight: Sight, values: dict[str, int], side: Side, ask: int, offered: int, shown: str
    ) -> Proposal | Skip:
        market = sight.market
        each = ask * CONTRACT + fee(market.fee_type, market.fee_multiplier, ask, CONTRACT, taker=True)
        count = min(values["order_cost"] // each * CONTRACT, offered // CONTRACT * CONTRACT)
        if count < CONTRACT:
            return Skip("no_size", f"{shown}: the order cost buys no whole contract")
        stop, target = ask - values["stop_distance"], ask + values["target_distance"]
        grid = market.grid
        plan = ExitPlan(
            stop=_on_yes_scale(grid.down(stop), side) if stop > 0 else None,
            target=_on_yes_scale(grid.up(target), side) if values["target_distance"] and target < ONE else None,
            time_exit_ms=market.end_ms - values["time_exit"] * 1000 if values["time_exit"] else None,
            bound=Price(values["exit_bound"]),
            escalate_ms=values["exit_escalate"] * 1000,
            trail=Price(values["trail"]) if values["trail"] else None,
            break_even_after=Price(values["break_even_after"]) if values["break_even_after"] else None,
            rest_target=bool(values["rest_target"]),
        )
        limit = _on_yes_scale(Price(ask), side)
        fair = f", consensus {sight.fair.probability:.3f} of {sight.fair.books} books" if sight.fair else ""
        return Proposal(
            self.name, market, side, limit, Count(count), "immediate_or_cancel", plan, f"favourite {shown}{fair}"
        )


def _on_yes_scale(price: Price, side: Side) -> Price:
    """A price of the favoured side as a YES price; grids are symmetric (kalshi-api.md 3.2)."""
    return price if side == "bid" else Price(ONE - price)
