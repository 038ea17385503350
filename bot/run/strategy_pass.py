"""One strategy pass: collect fresh data, then decide every market, then propose; each verdict keeps its reason."""

import logging
from collections.abc import Callable, Mapping

import gevent
import msgspec

from bot.core.events import Proposal, Propose
from bot.core.state import TradingState
from bot.core.turn import Turn
from bot.core.venue import Market, Quote
from bot.market_data.market_data import MarketData
from bot.market_data.snapshot import Snapshot
from bot.store import rows
from bot.strategy.contract import Fair, Sight, Skip, Strategy

REFRESH_MS = 20_000
"""What is older than this is read anew before a pass, within the budget."""

_AT_ONCE = 25
"""Markets judged before the others have their turn: about a millisecond. A proposal may take as long by itself, for its
risk is added up over everything held."""

_A_MOMENT = 1e-6
"""Not 0: after sleep(0) gevent looks at sockets and timers only every 50th time."""

log = logging.getLogger("StrategyLoop")


class Verdict(msgspec.Struct, frozen=True):
    """What the last pass said of one market. `action` is entered, held, refused or skipped."""

    action: str
    reason: str
    detail: str
    at_ms: int
    rules_version: int


class StrategyPass:
    """Runs one strategy over the snapshot. The newest verdict of each market stays in `verdicts`."""

    def __init__(
        self,
        strategy: Strategy,
        market_data: MarketData,
        refresh_odds: Callable[[Mapping[str, Market]], Mapping[str, Fair]],
        handle: Callable[[Propose], Turn],
        state: Callable[[], TradingState],
        put: Callable[[list[rows.Row]], int],
        clock_ms: Callable[[], int],
    ) -> None:
        self.verdicts: dict[str, Verdict] = {}
        self.fair: Mapping[str, Fair] = {}
        self.passes = 0
        self._strategy = strategy
        self._market_data = market_data
        self._refresh_odds = refresh_odds
        self._handle = handle
        self._state = state
        self._put = put
        self._clock_ms = clock_ms

    def run(self) -> None:
        """Kalshi's and the bookmakers' data first, then all decisions on that one picture."""
        self._market_data.refresh(REFRESH_MS)
        snapshot = self._market_data.snapshot()
        self.fair = self._refresh_odds(snapshot.markets)
        snapshot = self._market_data.snapshot()
        self.passes += 1
        verdicts: dict[str, Verdict] = {}
        decisions: list[rows.Row] = []
        for number, (ticker, market) in enumerate(snapshot.markets.items()):
            verdicts[ticker] = self._judge(market, snapshot)
            decisions.append(self._row(ticker, verdicts[ticker], snapshot))
            if number % _AT_ONCE == _AT_ONCE - 1 or verdicts[ticker].action in ("entered", "refused"):
                self._put(decisions)
                decisions = []
                gevent.sleep(_A_MOMENT)
        self._put(decisions)
        self.verdicts = verdicts
        entered = [t for t, v in verdicts.items() if v.action == "entered"]
        log.info("pass %d: %d markets, %d entered %s", self.passes, len(verdicts), len(entered), " ".join(entered))

    def _judge(self, market: Market, snapshot: Snapshot) -> Verdict:
        state, now = self._state(), self._clock_ms()
        version = state.config.version
        quote: Quote | None = snapshot.quotes.get(market.ticker)
        if market.ticker in state.live_trade:
            return Verdict("held", "market_owned", "a trade is live here", now, version)
        if stale := self._stale(market.ticker, snapshot, now):
            return Verdict("skipped", *stale, now, version)
        sight = Sight(market, quote, self.fair.get(market.ticker), now)
        decision: Proposal | Skip = self._strategy.decide(sight, state.config.strategy)
        if isinstance(decision, Skip):
            return Verdict("skipped", decision.reason, decision.detail, now, version)
        age_ms = snapshot.age_ms(market.ticker, now * 1_000_000)
        assert age_ms is not None, "a quote has an age"
        answer = self._handle(Propose(now, decision, age_ms)).answer
        assert answer is not None, "a proposal is always answered"
        if answer.ok:
            return Verdict("entered", "entered", decision.reason, now, version)
        return Verdict("refused", answer.code, answer.text, now, version)

    def _stale(self, ticker: str, snapshot: Snapshot, now: int) -> tuple[str, str] | None:
        """Why nothing may be decided on what is known of this market."""
        facts_ms, age_ms = snapshot.facts_age_ms(now * 1_000_000), snapshot.age_ms(ticker, now * 1_000_000)
        if facts_ms > snapshot.stale_ms:
            return "stale_facts", f"the markets were last listed {facts_ms} ms ago"
        if age_ms is not None and age_ms > min(self._state().config.risk["max_quote_age"] * 1000, snapshot.stale_ms):
            return "stale_quote", f"the quote is {age_ms} ms old"
        return None

    def _row(self, ticker: str, verdict: Verdict, snapshot: Snapshot) -> rows.Decision:
        quote, fair = snapshot.quotes.get(ticker), self.fair.get(ticker)
        at_ns = verdict.at_ms * 1_000_000
        numbers: dict[str, object] = {"detail": verdict.detail, "facts_age_ms": snapshot.facts_age_ms(at_ns)}
        if start := snapshot.match_times.get(snapshot.markets[ticker].event_ticker):
            numbers |= {"start_ms": start.start_ms, "start_source": start.source}
        if quote is not None:
            numbers |= {
                "bid_e4": quote.bid,
                "ask_e4": quote.ask,
                "quote_age_ms": snapshot.age_ms(ticker, at_ns),
                "quote_source": quote.source,
            }
        if fair is not None:
            numbers |= {
                "consensus": fair.probability,
                "books": fair.books,
                "odds_age_ms": verdict.at_ms - fair.updated_ms,
            }
        pass_id = f"{self._state().boot}-{self.passes}"
        return rows.Decision(
            f"{pass_id}-{ticker}", pass_id, verdict.at_ms, ticker, verdict.action, verdict.reason,
            f"{self._strategy.name} v{verdict.rules_version}", numbers,
        )  # fmt: skip


def worth_watching(
    verdicts: Mapping[str, Verdict], quotes: Mapping[str, Quote], watched: tuple[str, ...], most: int
) -> tuple[str, ...]:
    """The markets to subscribe besides held ones: those nearest to being favoured first.

    What is watched already stays while it is among the first half as many again, so subscriptions do not flap.
    """

    def distance(ticker: str) -> int:
        quote = quotes.get(ticker)
        if quote is None or quote.bid is None or quote.ask is None:
            return 10_000
        return 10_000 - abs(quote.bid + quote.ask - 10_000)

    near = sorted(verdicts, key=lambda t: (verdicts[t].reason == "not_active", distance(t), t))
    keep = [t for t in near[: most + most // 2] if t in watched][:most]
    new = [t for t in near if t not in keep][: most - len(keep)]
    return tuple(keep + new)
