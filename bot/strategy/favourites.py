"""Favourites: buy the favoured side when it is very likely, liquid, tight and near its end; stop, target and time exit.

No edge is promised: recorded favourites bought at 0.85 to 0.97 won about as often as they cost
(shared/data/crypto_hourly_202607). The strategy is the simplest honest user of the machinery.
"""

from bot.core.config import Param
from bot.core.events import Proposal
from bot.core.fees import fee
from bot.core.trades import ExitPlan
from bot.core.units import CONTRACT, ONE, Count, Price, format_count, format_price
from bot.core.venue import Quote, Side
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
    Param("order_cost", "money", 20_000_000, 1_000_000, 10_000_000_000, "what one entry should cost"),
    Param("stop_distance", "price", 800, 100, 5_000, "stop this far below the entry price"),
    Param("target_distance", "price", 400, 0, 5_000, "target this far above the entry price; 0 holds to the end"),
    Param("time_exit", "seconds", 20, 0, 86_400, "leave this long before the estimated end; 0 holds to settlement"),
    Param("exit_bound", "price", 1_000, 100, 9_900, "how far beyond its trigger an exit may go at first"),
    Param("exit_escalate", "seconds", 3, 1, 600, "each time this passes without being flat the bound grows by itself"),
)


class Favourites:
    name = "favourites"
    params = PARAMS

    def decide(self, sight: Sight, values: dict[str, int]) -> Proposal | Skip:
        """The first filter that fails is the reason; a market that passes all becomes a proposal."""
        market, quote = sight.market, sight.quote
        if market.status != "active":
            return Skip("not_active", f"the market is {market.status}")
        if quote is None or quote.bid is None or quote.ask is None:
            return Skip("no_quote", "one side of the book is empty or not known")
        side: Side = "bid" if quote.bid + quote.ask >= ONE else "ask"
        bid, ask, bid_size, ask_size = _favoured(quote, side)
        to_end = (market.end_ms - sight.now_ms) // 1000
        shown = f"{'YES' if side == 'bid' else 'NO'} {format_price(bid)}/{format_price(ask)}, {to_end} s to the end"
        if bid + ask <= 2 * values["min_probability"]:
            return Skip("not_favoured", f"{shown}: not above {format_price(values['min_probability'])}")
        if ask > values["max_price"]:
            return Skip("too_dear", f"{shown}: over {format_price(values['max_price'])}")
        if ask - bid > values["max_spread"]:
            return Skip("wide_spread", f"{shown}: spread over {format_price(values['max_spread'])}")
        if min(bid_size, ask_size) < values["min_size"]:
            return Skip("thin", f"{shown}: {format_count(bid_size)} wanted, {format_count(ask_size)} on offer")
        if market.volume_24h < values["min_volume"]:
            return Skip("quiet", f"{shown}: {format_count(market.volume_24h)} traded in a day")
        if to_end < values["min_to_end"]:
            return Skip("too_late", f"{shown}: less than {values['min_to_end']} s")
        if to_end > values["max_to_end"]:
            return Skip("too_early", f"{shown}: more than {values['max_to_end']} s")
        return self._propose(sight, values, side, ask, ask_size, shown)

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
        )
        limit = _on_yes_scale(Price(ask), side)
        fair = f", consensus {sight.fair.probability:.3f} of {sight.fair.books} books" if sight.fair else ""
        return Proposal(
            self.name, market, side, limit, Count(count), "immediate_or_cancel", plan, f"favourite {shown}{fair}"
        )


def _favoured(quote: Quote, side: Side) -> tuple[int, int, Count, Count]:
    """Bid, ask and their sizes in the terms of the favoured side."""
    assert quote.bid is not None and quote.ask is not None, "decide refuses one-sided books"
    if side == "bid":
        return quote.bid, quote.ask, quote.bid_size, quote.ask_size
    return ONE - quote.ask, ONE - quote.bid, quote.ask_size, quote.bid_size


def _on_yes_scale(price: Price, side: Side) -> Price:
    """A price of the favoured side as a YES price; grids are symmetric (kalshi-api.md 3.2)."""
    return price if side == "bid" else Price(ONE - price)
