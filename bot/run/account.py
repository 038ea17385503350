"""Reads the account: the full reading for reconciliation, and the look-up of one unknown order."""

from collections.abc import Callable

from bot.core import adopting
from bot.core.accounting import CLOCKS_MS
from bot.core.events import AccountRead, FillSeen, OrderResolved
from bot.core.state import TradingState
from bot.core.venue import Market, Quote
from bot.kalshi.rest import KalshiReads, ReadFailed

OVERLAP_MS = 60_000
"""Each reading of fills reaches back this far before the last one."""

SETTLED_OVERLAP_MS = 1_800_000
"""The same for settlements, which may be listed well after their time; the core keeps their ids for an hour."""

LOOK_BACK_MS = 7 * 86_400_000
"""A look-up reaches back this far: an exit's id may have been used by a process that died long before this send."""

BASELINE_MS = 3_600_000
"""The first reading looks back this far for ids that must never be booked."""

STALE_MS = 60_000
"""A reading that may show the account as it was this long ago is none."""

FRESH_MS = 10_000
"""At the baseline the exchange is asked for this long whether its listings show the moment of the reading."""

SIGNATURE_MS = 30_000
"""An order is absent only in listings fresher than its request's signature could still be accepted (DESIGN.md 2.2)."""

NOT_THE_MARKET = ("auth", "connection", "rate_limited")
"""A reading of a market that fails so says nothing about that market: the next one would fail as well."""


def read_account(
    reads: KalshiReads,
    state: TradingState,
    clock_ms: Callable[[], int],
    read_market: Callable[[str], tuple[Market, Quote]],
) -> AccountRead:
    """One complete reading. ReadFailed when a listing or the balance failed: then nothing is concluded.

    Its parts are of different age; `fresh_ms` says what all of them show. At the baseline they must be of one moment:
    a fill that came meanwhile could be in the balance and not in the positions, and nothing would tell.
    """
    started = clock_ms()
    fresh = reads.user_data_timestamp()
    if fresh < started - STALE_MS:
        raise ReadFailed("body", message=f"the account's listings lag {(started - fresh) // 1000} s behind")
    since = started - BASELINE_MS if state.cash is None else min(state.read_ms, started) - OVERLAP_MS
    settled_since = since + OVERLAP_MS - SETTLED_OVERLAP_MS
    fills = reads.fills(min_ts=since // 1000)
    resting = reads.orders(status="resting")
    settlements = reads.settlements(min_ts=settled_since // 1000)
    positions = reads.positions()
    balance = reads.balance()
    held: set[str] = set()
    if state.cash is None:
        _shown_up_to(reads, clock_ms)
        fills = reads.fills(min_ts=since // 1000)
        settlements = reads.settlements(min_ts=settled_since // 1000)
        if max([x.at_ms for x in fills] + [x.settled_ms for x in settlements], default=0) >= fresh - CLOCKS_MS:
            raise ReadFailed("body", message="the account changed while it was read for the first time")
        held = {p.ticker for p in positions if p.count}
    differs = "cash:account" in state.suspects or "cash:account" in state.findings
    transfers = reads.transfers() if differs else []
    found = _markets(held | adopting.wanted_markets(state, resting), read_market)
    return AccountRead(
        clock_ms(),
        started,
        fresh,
        tuple(resting),
        tuple(sorted(fills, key=lambda x: (x.at_ms, x.trade_id))),
        tuple(positions),
        balance.cash,
        tuple(sorted(settlements, key=lambda x: (x.settled_ms, x.ticker))),
        {ticker: market for ticker, (market, _) in found.items()},
        {ticker: quote for ticker, (_, quote) in found.items()},
        balance.shards,
        tuple(transfers),
    )


def _markets(tickers: set[str], read_market: Callable[[str], tuple[Market, Quote]]) -> dict[str, tuple[Market, Quote]]:
    """Those of them that could be read: trouble with one market is no reason to leave the others without a stop."""
    found = {}
    for ticker in sorted(tickers):
        try:
            found[ticker] = read_market(ticker)
        except ReadFailed as failure:
            if failure.kind in NOT_THE_MARKET:
                raise
    return found


def _shown_up_to(reads: KalshiReads, clock_ms: Callable[[], int]) -> None:
    """Wait until listings show everything up to now; ReadFailed when that takes too long (the read budget paces it)."""
    done_ms = clock_ms()
    while reads.user_data_timestamp() < done_ms:
        if clock_ms() > done_ms + FRESH_MS:
            raise ReadFailed("body", message="the account's listings lag behind: the books cannot begin yet")


def look_up(
    reads: KalshiReads, client_order_id: str, ticker: str, sent_ms: int, clock_ms: Callable[[], int]
) -> list[FillSeen | OrderResolved]:
    """What became of one order: its description, then its fills; absent only by the rule above.

    ReadFailed when a listing could not be read completely: the order stays unknown.
    """
    fresh_ms = reads.user_data_timestamp()
    since = sent_ms - LOOK_BACK_MS
    found = next(
        (
            o
            for o in reads.orders(ticker=ticker, min_ts=since // 1000)
            if client_order_id in (o.client_order_id, o.order_id)
        ),
        None,
    )
    if found is None:
        return [OrderResolved(clock_ms(), client_order_id, None, fresh_ms >= sent_ms + SIGNATURE_MS)]
    events: list[FillSeen | OrderResolved] = [OrderResolved(clock_ms(), client_order_id, found, False)]
    if found.filled:
        fills = reads.fills(min_ts=since // 1000, ticker=ticker)
        events += [FillSeen(clock_ms(), fill) for fill in fills if fill.order_id == found.order_id]
    return events
