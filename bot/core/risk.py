"""What is at risk, and whether an entry may add to it. Returns a refusal as a value; exits never pass here."""

from collections.abc import Iterable, Mapping

import msgspec

from bot.core.accounting import LAG_MS
from bot.core.config import SHOW, Kind
from bot.core.events import Proposal
from bot.core.fees import fee
from bot.core.state import TradingState
from bot.core.turn import Answer
from bot.core.units import ONE, Money
from bot.core.venue import VenueOrder

MINUTE_MS = 60_000
DAY_MS = 86_400_000


class Stake(msgspec.Struct):
    """What one market can lose: `yes` when it ends NO, `no` when it ends YES."""

    event: str
    series: str
    exclusive: bool
    yes: int = 0
    no: int = 0


class Use(msgspec.Struct, frozen=True):
    """How much of one limit is used, and by what. Over the limit an entry is refused by this name."""

    name: str
    kind: Kind
    value: int
    limit: int
    by: str = ""


def entry_cost(proposal: Proposal) -> Money:
    """The most the entry can cost: its contracts at the limit, with the taker fee."""
    each = proposal.limit if proposal.side == "bid" else ONE - proposal.limit
    return Money(each * proposal.count + entry_fee(proposal))


def entry_fee(proposal: Proposal) -> Money:
    """Fee reserve of an entry: the highest up to its limit (the fee peaks at one half)."""
    market, count = proposal.market, proposal.count
    each = proposal.limit if proposal.side == "bid" else ONE - proposal.limit
    return fee(market.fee_type, market.fee_multiplier, min(each, ONE // 2), count, taker=True)


def stakes(state: TradingState, proposal: Proposal | None = None) -> dict[str, Stake]:
    """What each market can lose by open contracts, live entries, and the proposal if there is one.

    A market of no trade of ours belongs to the event and series that its ticker begins with, and excludes nothing.
    Where our position and the exchange's differ the dearer one counts, and excludes nothing either.
    """
    markets = {t.ticker: t.market for t in state.trades.values()}
    if proposal is not None:
        markets[proposal.market.ticker] = proposal.market
    found: dict[str, Stake] = {}

    def add(ticker: str, long: bool, money: int) -> None:
        stake = found.get(ticker)
        if stake is None:
            market = markets.get(ticker)
            kin = market or next((m for m in markets.values() if ticker.startswith(f"{m.event_ticker}-")), None)
            event = kin.event_ticker if kin else ticker
            series = kin.series_ticker if kin else ticker.partition("-")[0]
            stake = found[ticker] = Stake(event, series, market is not None and market.exclusive)
        if long:
            stake.yes += money
        else:
            stake.no += money

    for position in state.positions.values():
        if position.count:
            add(position.ticker, position.count > 0, position.cost)
    for order in state.orders.values():
        if order.reserved():
            add(order.ticker, order.side == "bid", order.reserved())
    for finding in state.findings.values():
        if finding.order is not None:
            add(finding.order.ticker, finding.order.side == "bid", resting_cost(finding.order))
        if finding.position is not None:
            more = finding.position.cost - state.position(finding.key).cost
            add(finding.key, finding.position.count > 0, max(more, 0))
            found[finding.key].exclusive = False
    if proposal is not None:
        add(proposal.market.ticker, proposal.side == "bid", entry_cost(proposal))
    return found


def worst_loss(event: Iterable[Stake]) -> Money:
    """The most that the markets of one event can lose together.

    Where at most one of them can end YES, at most one NO is lost; no gain is counted against it, for the winner may
    have been left before. Where that is not certain everything can be lost.
    """
    event = list(event)
    if not all(stake.exclusive for stake in event):
        return Money(sum(stake.yes + stake.no for stake in event))
    none_ends_yes = sum(stake.yes for stake in event)
    return Money(none_ends_yes + max([0, *(stake.no - stake.yes for stake in event)]))


def event_losses(found: dict[str, Stake]) -> dict[str, Money]:
    """The worst loss of each event."""
    events: dict[str, list[Stake]] = {}
    for stake in found.values():
        events.setdefault(stake.event, []).append(stake)
    return {event: worst_loss(members) for event, members in events.items()}


def resting_cost(order: VenueOrder) -> Money:
    """What somebody else's resting order on the account may still cost, fee apart."""
    each = order.price if order.side == "bid" else ONE - order.price
    return Money(each * order.remaining)


def exposure(state: TradingState) -> Money:
    """The most that can be lost in all: what open contracts cost and live entries may still cost, event by event."""
    return Money(sum(event_losses(stakes(state)).values()))


def reserved(state: TradingState) -> Money:
    """Cash that live entries may still take."""
    return Money(sum(o.reserved() for o in state.orders.values()))


def uses(state: TradingState, now_ms: int, proposal: Proposal | None = None) -> list[Use]:
    """Every limit of entries and its use with the proposal; without one, its use now by what uses it most."""
    limits = state.config.risk
    found = stakes(state, proposal)
    events = event_losses(found)
    series: dict[str, int] = {}
    for event, name in {(stake.event, stake.series) for stake in found.values()}:
        series[name] = series.get(name, 0) + events[event]
    market, cost, one = (proposal.market, entry_cost(proposal), 1) if proposal else (None, Money(0), 0)
    entries = [o for o in state.orders.values() if o.purpose == "entry"]
    lately = sum(o.created_ms > now_ms - MINUTE_MS for o in entries)
    lost_today = -state.day_realized if now_ms // DAY_MS <= state.day else 0

    def most(name: str, values: Mapping[str, int], key: str) -> Use:
        by = key if market else max(sorted(values), key=lambda k: values[k], default="")
        return Use(name, "money", values.get(by, 0), limits[name], by)

    in_market = {ticker: stake.yes + stake.no for ticker, stake in found.items()}
    one_order = {"": cost} if market else {o.ticker: o.reserved() for o in entries}
    return [
        most("max_order_cost", one_order, ""),
        most("max_market_exposure", in_market, market.ticker if market else ""),
        most("max_event_exposure", events, market.event_ticker if market else ""),
        most("max_series_exposure", series, market.series_ticker if market else ""),
        Use("max_total_exposure", "money", sum(events.values()), limits["max_total_exposure"]),
        Use("insufficient_cash", "money", reserved(state) + cost, state.cash or 0),
        *_shards(state, str(market.exchange_index) if market else "", cost),
        Use("max_open_trades", "number", len(state.live_trade) + one, limits["max_open_trades"]),
        Use("max_entry_rate", "number", lately + one, limits["max_entry_rate"]),
        Use("max_daily_loss", "money", lost_today, limits["max_daily_loss"]),
    ]


def check_entry(state: TradingState, proposal: Proposal, now_ms: int) -> Answer | None:
    """None when every limit leaves room for the entry, else the refusal with the numbers."""
    for use in uses(state, now_ms, proposal):
        if use.value > use.limit:
            show = SHOW[use.kind]
            where = f" ({use.by})" if use.by else ""
            return Answer(False, use.name, f"{use.name}{where}: {show(use.value)} is over {show(use.limit)}")
    return None


def _shards(state: TradingState, wanted: str, cost: Money) -> list[Use]:
    """Cash is checked by the exchange on the market's own shard (kalshi-api.md 1.4).

    What was spent since the last reading, or may still be, counts in full. An account that does not tell its shards
    has nothing to check; a shard that it does not name has no cash.
    """
    if not state.shards:
        return []
    committed: dict[str, int] = {}
    for order in state.orders.values():
        trade = state.trades.get(order.trade_id)
        if order.purpose == "entry" and trade is not None:
            each = order.price if order.side == "bid" else ONE - order.price
            unread = order.changed_ms >= state.read_ms - LAG_MS and order.state != "rejected"
            money = each * order.count + order.fee_reserve if unread else order.reserved()
            shard = str(trade.market.exchange_index)
            committed[shard] = committed.get(shard, 0) + money
    return [
        Use("insufficient_shard_cash", "money", committed.get(s, 0) + cost, state.shards.get(s, 0), f"shard {s}")
        for s in ([wanted] if wanted else sorted(state.shards))
    ]
