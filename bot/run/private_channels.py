"""What the exchange last told of each market on the private channels: kept for the sweep, which compares our books."""

from bot.core.accounting import horizon
from bot.core.events import AccountRead, Told
from bot.core.units import Count
from bot.core.venue import VenueFill, VenueOrder, VenuePosition


class PrivateChannels:
    """Frames can be lost without a trace (kalshi-api.md 6.4): a reading replaces what is older than itself."""

    def __init__(self) -> None:
        self._positions: dict[str, tuple[Count, int]] = {}
        """Ticker -> signed count, and when it was told (our clock, ms)."""
        self._resting: dict[str, tuple[VenueOrder, int]] = {}

    def saw(self, news: VenueFill | VenueOrder | VenuePosition, now_ms: int) -> None:
        if isinstance(news, VenuePosition):
            self._positions[news.ticker] = news.count, now_ms
        elif isinstance(news, VenueOrder) and news.status == "resting":
            self._resting[news.order_id] = news, now_ms
        elif isinstance(news, VenueOrder):
            self._resting.pop(news.order_id, None)

    def read(self, event: AccountRead) -> None:
        """A complete reading of the account."""
        fresh_ms = horizon(event)
        newer = {t: (count, at) for t, (count, at) in self._positions.items() if at > fresh_ms}
        self._positions = {p.ticker: (p.count, fresh_ms) for p in event.positions if p.count} | newer
        resting = {o: (seen, at) for o, (seen, at) in self._resting.items() if at > fresh_ms}
        self._resting = {o.order_id: (o, fresh_ms) for o in event.resting if o.updated_ms <= fresh_ms} | resting

    def told(self) -> dict[str, Told]:
        """Every market that a position or an order was told of."""
        orders: dict[str, list[VenueOrder]] = {}
        for seen, _ in self._resting.values():
            orders.setdefault(seen.ticker, []).append(seen)
        return {
            ticker: Told(self._positions.get(ticker, (Count(0), 0))[0], tuple(orders.get(ticker, ())))
            for ticker in sorted(self._positions.keys() | orders.keys())
        }
