"""One turn of the core: an event is being decided; facts are folded as they are found, effects collected."""

import msgspec

from bot.core import orders, trades
from bot.core.effects import Effect, Notice
from bot.core.facts import Fact, OrderMoved, TradeMoved
from bot.core.folding import fold
from bot.core.orders import Order, OrderEvent
from bot.core.state import TradingState
from bot.core.trades import ExitKind, Trade, TradeEvent
from bot.core.units import Count


class Answer(msgspec.Struct, frozen=True):
    """What became of a proposal or a command: approved, or refused with a reason code."""

    ok: bool
    code: str
    text: str


class Turn:
    """The only writer of a TradingState. Nothing here yields, so under gevent a turn is atomic."""

    def __init__(self, state: TradingState, at_ms: int) -> None:
        self.state = state
        self.at_ms = at_ms
        self.facts: list[Fact] = []
        self.effects: list[Effect] = []
        self.answer: Answer | None = None
        self.defect: Exception | None = None

    def record(self, fact: Fact) -> None:
        fold(self.state, fact)
        self.facts.append(fact)

    def do(self, effect: Effect) -> None:
        self.effects.append(effect)

    def note(self, level: str, code: str, text: str, ticker: str = "") -> None:
        self.do(Notice(level, code, text, ticker))  # type: ignore[arg-type]

    def refuse(self, code: str, text: str) -> None:
        self.answer = Answer(False, code, text)

    def approve(self, code: str, text: str) -> None:
        self.answer = Answer(True, code, text)

    def new_id(self) -> str:
        """Unique for ever: the boot's seed and a counter (the exchange remembers ids for ever, kalshi-api.md 4.9)."""
        return f"{self.state.boot}-{self.state.ids}"

    def move_order(
        self, order: Order, event: OrderEvent, order_id: str = "", filled: int = 0, reason: str = "", again_ms: int = 0
    ) -> bool:
        """Record one step of the order's table; a refused step changes nothing and is reported. A repeat is no fact."""
        after = orders.advance(order.state, event)
        if after is None:
            self.note(
                "alarm",
                "order_step_refused",
                f"order {order.client_order_id} is {order.state}: '{event}' refused {reason}".rstrip(),
                order.ticker,
            )
            return False
        ended = event == "cancelled" and order.state is orders.OrderState.CANCELLED  # of which less may have filled
        news = after != order.state or filled > order.filled or (ended and filled < order.filled)
        news = news or (order_id != "" and not order.order_id)
        news = news or (reason in orders.SPENT and order.reason not in orders.SPENT)
        if news or (event == "sent" and (not order.sent_ms or order.purpose != "entry")):
            self.record(OrderMoved(self.at_ms, order.client_order_id, event, order_id, Count(filled), reason, again_ms))
        return True

    def move_trade(self, trade: Trade, event: TradeEvent, kind: ExitKind | None = None) -> bool:
        if trades.advance(trade.state, event) is None:
            self.note(
                "alarm", "trade_step_refused", f"trade {trade.id} is {trade.state}: '{event}' refused", trade.ticker
            )
            return False
        self.record(TradeMoved(self.at_ms, trade.id, event, kind))
        return True
