"""Proposals at random, so that every shape of bracket occurs: takes and rests, YES and NO, near and far exits."""

from collections.abc import Callable
from random import Random

from bot.core.events import Proposal
from bot.core.trades import ExitPlan
from bot.core.units import Count, Price
from bot.core.venue import Quote, TimeInForce
from bot.sim.exchange import Exchange

CENT = 100

Strategy = Callable[[Exchange, Callable[[str], Quote | None], Random, int], Proposal | None]


def propose(exchange: Exchange, trusted: Callable[[str], Quote | None], rng: Random, now_ms: int) -> Proposal | None:
    """One entry in a market with two prices and some life before it, or None."""
    tickers = [t for t, m in exchange.engine.markets.items() if m.status == "active" and m.close_ms > now_ms + 15_000]
    ticker = tickers[rng.randrange(len(tickers))] if tickers else ""
    quote = trusted(ticker)
    if quote is None or quote.bid is None or quote.ask is None:
        return None
    long = rng.random() < 0.5
    rests = rng.random() < 0.35
    at = (quote.bid if rests else quote.ask) if long else (quote.ask if rests else quote.bid)
    stop_far = CENT * (1 + rng.randrange(12 if rng.random() < 0.5 else 4))
    target_far = CENT * (1 + rng.randrange(10))
    leave, join = (quote.bid, quote.ask) if long else (quote.ask, quote.bid)
    sign = 1 if long else -1
    stop, target = leave - sign * stop_far, join + sign * target_far
    plan = ExitPlan(
        Price(min(max(stop, CENT), 9_900)),
        Price(target) if 0 < target < 10_000 and rng.random() < 0.7 else None,
        now_ms + rng.randrange(8_000, 60_000) if rng.random() < 0.6 else None,
        Price(CENT * (1 + rng.randrange(12))),
        1_000 * (1 + rng.randrange(4)),
        Price(CENT * (1 + rng.randrange(8))) if rng.random() < 0.3 else None,
        Price(CENT * (1 + rng.randrange(6))) if rng.random() < 0.3 else None,
        rng.random() < 0.25,
    )
    tif: TimeInForce = "good_till_canceled" if rests or rng.random() < 0.5 else "immediate_or_cancel"
    return Proposal(
        "sim", exchange.market(ticker), "bid" if long else "ask", Price(at), Count(rng.randrange(100, 3_000)),
        tif, plan, "drawn",
    )  # fmt: skip


def change_of_plan(rng: Random, now_ms: int) -> dict[str, object]:
    """What an operator might ask for, sensible or not."""
    change: dict[str, object] = {}
    if rng.random() < 0.6:
        change["stop"] = f"0.{1 + rng.randrange(98):02d}"
    if rng.random() < 0.4:
        change["target"] = f"0.{1 + rng.randrange(98):02d}" if rng.random() < 0.7 else None
    if rng.random() < 0.3:
        change["trail"] = f"0.{1 + rng.randrange(9):02d}" if rng.random() < 0.7 else None
    if rng.random() < 0.2:
        change["time_exit_ms"] = now_ms + rng.randrange(-1_000, 60_000)
    return change
