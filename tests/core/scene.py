"""A small stage for core tests: a state with its books begun, one market, and short words for events."""

from typing import Any

import msgspec

from bot.core import events as e
from bot.core.config import RISK, Config, Param, defaults
from bot.core.effects import Effect, PlaceOrder
from bot.core.facts import decode, encode
from bot.core.grid import CENT_GRID
from bot.core.state import TradingState, new_state
from bot.core.step import Rules, step
from bot.core.trades import ExitPlan, Trade
from bot.core.turn import Turn
from bot.core.units import Count, Money, Price
from bot.core.venue import Accepted, Market, Quote, VenueFill, VenueOrder, VenuePosition

T0 = 1_795_000_000_000
TICKER = "KXNBAGAME-26NOV21BOSDET-BOS"
PARAMS = (Param("edge", "price", 100, 0, 1_000, "made up for tests"),)
RULES = Rules(PARAMS, 10_000)
PLAN = ExitPlan(Price(8_000), Price(9_500), T0 + 600_000, Price(1_000), 3_000)


def market(ticker: str = TICKER, **changes: Any) -> Market:
    facts: dict[str, Any] = {
        "ticker": ticker, "event_ticker": ticker.rpartition("-")[0], "series_ticker": ticker.partition("-")[0],
        "title": "Boston at Detroit", "yes_title": "Boston", "category": "Sports", "status": "active",
        "open_ms": T0 - 3_600_000, "close_ms": T0 + 86_400_000, "end_ms": T0 + 620_000, "start_ms": T0 - 600_000,
        "grid": CENT_GRID, "fee_type": "quadratic_with_maker_fees", "fee_multiplier": 1.0, "exchange_index": 0,
        "exclusive": True, "volume_24h": Count(1_000_000), "result": "",
    }  # fmt: skip
    return Market(**{**facts, **changes})


def quote(bid: int | None, ask: int | None, at_ms: int = T0, size: int = 10_000, ticker: str = TICKER) -> Quote:
    sizes = (Count(size if bid else 0), Count(size if ask else 0))
    return Quote(ticker, bid, ask, *sizes, at_ms, at_ms * 1_000_000, "book")  # type: ignore[arg-type]


class Scene:
    """One account with 1,000 dollars, reconciled at T0."""

    def __init__(self, boot: str = "b1") -> None:
        config = Config(1, "default", defaults(RISK), defaults(PARAMS))
        self.state: TradingState = new_state(config, "RUNNING", T0)
        self.now = T0
        self.facts: list[Any] = []
        self.effects: list[Effect] = []
        self.fills = 0
        self.do(e.Boot(T0, boot, config))
        self.read()

    def do(self, event: e.Event) -> Turn:
        turn = step(self.state, event, RULES)
        assert turn.defect is None, turn.defect
        for effect in turn.effects:  # frozen types are not checked when they are made
            assert msgspec.convert(msgspec.to_builtins(effect), Effect) == effect
        for fact in turn.facts:
            assert decode(encode(fact)) == fact
        self.facts += turn.facts
        self.effects = turn.effects
        return turn

    def at(self, seconds: float) -> "Scene":
        self.now = T0 + round(seconds * 1000)
        return self

    def read(self, cash: int | None = None, positions: Any = None, **changes: Any) -> Turn:
        """A full reading that agrees with the books unless told otherwise."""
        ours = [VenuePosition(p.ticker, p.count, p.cost, p.realized, p.fees) for p in self.state.positions.values()]
        balance = 1_000_000_000 if self.state.cash is None else self.state.cash
        reading: dict[str, Any] = {
            "started_ms": self.now, "fresh_ms": self.now, "resting": (), "fills": (), "settlements": (), "markets": {},
            "shards": self.state.shards,
            "positions": tuple(ours if positions is None else positions),
            "balance": Money(balance if cash is None else cash),
        }  # fmt: skip
        return self.do(e.AccountRead(self.now, **{**reading, **changes}))

    def propose(
        self, side: str = "bid", limit: int = 8_800, count: int = 2_000, plan: ExitPlan = PLAN, **changes: Any
    ) -> Turn:
        wanted = e.Proposal(
            "test", market(**changes), side, Price(limit), Count(count), "immediate_or_cancel", plan, "why"
        )  # type: ignore[arg-type]
        self.read()
        return self.do(e.Propose(self.now, wanted, 0))

    def sent(self) -> list[PlaceOrder]:
        return [x for x in self.effects if isinstance(x, PlaceOrder)]

    def reply(self, order: PlaceOrder, filled: int, remaining: int = 0) -> Turn:
        self.do(e.Sending(self.now, order.client_order_id))
        accepted = Accepted(f"x-{order.client_order_id}", Count(filled), Count(remaining))
        return self.do(e.CreateReplied(self.now, order.client_order_id, accepted))

    def fill(
        self, order: PlaceOrder, price: int, count: int, fee: int = 0, fill_id: str = "", known: bool = True
    ) -> Turn:
        self.fills += 1
        client_order_id = order.client_order_id if known else ""
        row = VenueFill(
            fill_id or f"f{self.fills}", f"x-{order.client_order_id}", client_order_id, order.ticker, order.side,
            Price(price), Count(count), Money(fee), True, self.now,
        )  # fmt: skip
        return self.do(e.FillSeen(self.now, row))

    def tick(self, bid: int | None, ask: int | None, ticker: str = TICKER) -> Turn:
        return self.do(e.Tick(self.now, quote(bid, ask, self.now, ticker=ticker)))

    def sweep(self, bid: int | None = None, ask: int | None = None, known: bool = True) -> Turn:
        seen = quote(bid, ask, self.now) if known else None
        return self.do(e.Sweep(self.now, {TICKER: seen}))

    def trade(self) -> Trade:
        return next(iter(self.state.trades.values()))

    def held(self, count: int = 2_000, price: int = 8_800, side: str = "bid", plan: ExitPlan = PLAN) -> Trade:
        """Enter and get filled in full."""
        self.propose(side, price, count, plan)
        [entry] = self.sent()
        self.reply(entry, count)
        self.fill(entry, price, count, fee=10_000)
        return self.trade()

    def order_seen(self, order: PlaceOrder, status: str, filled: int, remaining: int) -> Turn:
        seen = VenueOrder(
            f"x-{order.client_order_id}", order.client_order_id, order.ticker, order.side, order.price, order.count,
            Count(filled), Count(remaining), status, self.now, self.now,  # type: ignore[arg-type]
        )  # fmt: skip
        return self.do(e.OrderSeen(self.now, seen))
