"""The auditor compares with the exchange's own ledger: positions, cash, fills, orders; while running, and at rest."""

from collections import Counter

from bot.core.state import TradingState
from bot.paper.model import Fill
from bot.sim.clock import Clock
from bot.sim.exchange import Exchange
from bot.sim.model import Books, require

LAG_MS = 8_500
"""Listings lie behind by no more than this (bot.sim.network, long_lag)."""

CHANNEL_MS = 8_000
"""So long sweeps may see the private channel say something else than the books, before it has a name."""

EXCUSED_MS = 60_000
"""So long after somebody else's trade a target may be too large: it is cancelled as soon as that is known."""

UNREAD_MS = 60_000
"""A found position whose market cannot be read has an alarm instead of a stop; each reading asks for it again."""

RESUMED_MS = 15_000
"""Readings follow each other faster, unless the program could not read."""

SIGNED_MS = 30_000
"""An order may arrive for as long as its signature holds."""

NAMED_MS = 25_000
"""What differs has a name after this: it takes two readings of the account that agree on it."""


class Ledger:
    """What the exchange has, against what the facts say."""

    def __init__(self, clock: Clock, exchange: Exchange, books: Books) -> None:
        self.clock = clock
        self.exchange = exchange
        self.books = books
        self.external: Counter[str] = Counter()
        """Trades of somebody else on our account, by ticker."""
        self._disturbed_ms: dict[str, int] = {}
        self._answered_ms: dict[str, int] = {}
        """Ticker -> when an order of its trade was last without an answer."""
        self._held_since: dict[str, int] = {}
        self._told: dict[str, tuple[int, int]] = {}
        """Ticker -> the position that the program was told last, and when."""
        self._beat_ms = 0
        self._gap = 0
        self._set_back = 0
        self._read_ms = 0
        self._awake_ms = 0
        """When readings began again: the program was frozen, dead or cut off before."""
        self._differs_ms: dict[str, int] = {}
        """Ticker -> how long books and channel differed while the program swept."""
        self._compared = 0
        self._unnamed_since = 0

    def begin(self) -> None:
        """The books begin anew with a restart: every fill is compared again."""
        self._compared = 0
        self._unnamed_since = 0
        self._told, self._differs_ms, self._beat_ms = {}, {}, self.clock.now_ms

    def told(self, ticker: str, count: int) -> None:
        self._told[ticker] = count, self.clock.now_ms

    def beat(self) -> None:
        """Before each sweep at its rate: what the channel said, and no reading has replaced, agrees or has a name soon.

        A program that is frozen misses beats, and none of its time counts.
        """
        now, books = self.clock.now_ms, self.books
        if books.set_back != self._set_back:
            self._set_back, self._unnamed_since = books.set_back, 0
            self._differs_ms.clear()
        passed, self._beat_ms = min(now - self._beat_ms, 2_500), now
        for ticker, (count, at_ms) in self._told.items():
            replaced = at_ms <= books.read_ms or books.status.get(ticker) in ("determined", "finalized")
            differs = count != books.positions.get(ticker, 0) and f"channel:{ticker}" not in books.findings
            unnamed = self._differs_ms.get(ticker, 0) + passed if differs and not replaced else 0
            self._differs_ms[ticker] = unnamed
            require(
                unnamed <= CHANNEL_MS, f"{ticker}: the channel says {count}, our books do not, and nothing is named"
            )

    def filled(self, fill: Fill, ours: bool) -> None:
        if not ours:
            self.external[fill.ticker] += 1
            self._disturbed_ms[fill.ticker] = self.clock.now_ms
        if fill.position:
            self._held_since[fill.ticker] = self.clock.now_ms
        else:
            self._held_since.pop(fill.ticker, None)

    def excused(self, ticker: str) -> bool:
        """Somebody else traded there lately, or the exchange told a lie: a target may not be cut to size yet."""
        lies = (
            ms for name, ms in self.exchange.lied_about.items() if self.exchange.by_client_id[name].ticker == ticker
        )
        last = max(lies, default=0)
        return self.clock.now_ms - max(last, self._disturbed_ms.get(ticker, -EXCUSED_MS - 1)) <= EXCUSED_MS

    # while running

    def read(self, started_ms: int) -> None:
        """After a full reading: whatever the exchange had when its listings were made is in the books."""
        now = self.clock.now_ms
        if now - self._read_ms > RESUMED_MS:
            self._awake_ms = now
        self._read_ms = now
        fills, books = self.exchange.account.fills, self.books
        while self._compared < len(fills) and fills[self._compared].ms <= started_ms - LAG_MS:
            self._booked(fills[self._compared])
            self._compared += 1
        for settled in reversed(self.exchange.account.settlements):
            if settled.ms <= started_ms - LAG_MS - NAMED_MS:
                break
            if settled.ms <= started_ms - LAG_MS and settled.ms > books.began_ms and settled.count:
                key = f"{settled.ticker}@{settled.ms}"
                known = key in books.settled or key in books.seen
                require(known, f"the settlement {key} was read and not booked")
                paid = books.settled.get(key, settled.revenue)
                require(paid == settled.revenue, f"the settlement {key} was booked with {paid}")
        self._cash_named(started_ms)

    def _cash_named(self, started_ms: int) -> None:
        """Cash that our books do not explain is a finding, unless an order in flight or resting hides it."""
        now, books, account = self.clock.now_ms, self.books, self.exchange.account
        last = max([x.ms for x in account.fills[-1:]] + [x.ms for x in account.settlements[-1:]], default=0)
        hidden = last > started_ms - LAG_MS or bool(books.open)
        gap = account.cash - (books.cash or 0)
        if hidden or books.cash is None or gap == 0 or "cash:account" in books.findings:
            self._unnamed_since = 0
            return
        if gap != self._gap or not self._unnamed_since:
            self._gap, self._unnamed_since = gap, now
        unnamed = now - self._unnamed_since
        require(unnamed <= NAMED_MS, f"{gap} of cash is unexplained and unnamed")

    def swept(self) -> None:
        """Every position of ours that a full reading can have shown has a live bracket with a stop, or is named."""
        now = self.clock.now_ms
        for ticker, since in list(self._held_since.items()):
            held = self.exchange.account.held(ticker)
            if held == 0:
                del self._held_since[ticker]
                continue
            if self.books.read_ms < since + LAG_MS or f"position:{ticker}" in self.books.findings:
                continue
            if self.external[ticker]:
                if now - since < NAMED_MS or self.books.read_ms < since + NAMED_MS // 2:
                    continue
                ours = self.books.positions.get(ticker, 0)
                require(ours == held, f"others trade in {ticker}: {held} are held, {ours} known, and no finding")
                continue
            bracket = self.books.bracket(ticker)
            orders = [order for order in self.books.open.values() if order.ticker == ticker]
            if bracket is not None and not bracket.bought and any(o.trade_id == bracket.id for o in orders):
                self._held_since[ticker] = now  # another entry's fate is open there: what it is for is told after it
                continue
            armed = bracket is not None and bracket.stop is not None
            if now - self.books.unread.get(ticker, 0) < UNREAD_MS:
                continue
            require(armed, f"the position in {ticker} has no stop and no finding")
        for ticker in self.books.owner:
            self._over(ticker)
        self._called_back()

    def _over(self, ticker: str) -> None:
        """A trade ends with its market, once every order of it is answered and somebody else's fill there is proven to
        be of no exit that a crash forgot."""
        bracket = self.books.bracket(ticker)
        if bracket is None or any(o.trade_id == bracket.id and not o.ended for o in self.books.open.values()):
            self._answered_ms[ticker] = self.clock.now_ms
            return
        market = self.exchange.engine.markets.get(ticker)
        paid_ms = market.settled_ms if market is not None else 1
        proven_ms = self._disturbed_ms.get(ticker, -SIGNED_MS) + SIGNED_MS
        since = max(paid_ms or 0, self._answered_ms.get(ticker, 0), proven_ms)
        live = paid_ms is not None and min(self.books.read_ms, self.clock.now_ms) > since + NAMED_MS
        require(not live, f"a trade is still live in {ticker}, which has paid")

    def _called_back(self) -> None:
        """No entry that was live at a stop or kill goes on resting, whatever the mode is by now."""
        books, now = self.books, self.clock.now_ms
        for order in books.open.values():
            truth = self.exchange.by_client_id.get(order.id)
            if order.recalled_ms is None or order.ended or truth is None or truth.status != "resting":
                continue
            late = min(now, books.read_ms) >= max(order.recalled_ms, books.began_ms, self._awake_ms) + NAMED_MS
            require(not late, f"{order.id} still rests {now - order.recalled_ms} ms after it was called back")

    # at rest

    def settled(self, state: TradingState, moved: list[tuple[int, int]]) -> None:
        """At rest: the books equal the exchange's to the last unit, and what does not is named.

        `moved` are deposits and withdrawals, as (when, amount); those around the baseline may be in it or not.
        """
        account, books = self.exchange.account, self.books
        theirs = {t: p.count for t, p in account.positions.items() if p.count}
        own = {t: n for t, n in books.positions.items() if n}
        ours = {t: p.count for t, p in state.positions.items() if p.count}
        require(own == ours, f"the state's positions {ours} are not the facts' {own}")
        require(ours == theirs, f"positions {ours}, the exchange's {theirs}")
        require(state.cash == books.cash, f"the state's cash {state.cash} is not the facts' {books.cash}")
        assert state.cash is not None
        began = books.began_ms
        sure = sum(amount for ms, amount in moved if ms > began)
        open_ = [amount for ms, amount in moved if began - 10_000 < ms <= began]
        possible = {sure + sum(open_[n:]) for n in range(len(open_) + 1)}
        gap = account.cash - state.cash
        require(
            gap + books.explained in possible,
            f"cash {state.cash}, the exchange's {account.cash}; others moved {sorted(possible)}",
        )
        named = books.findings.get("cash:account")
        require(gap == 0 or named is not None, f"{gap} of cash is not ours and no finding names it")
        for fill in account.fills:
            self._booked(fill)
        self._nothing_open()

    def _booked(self, fill: Fill) -> None:
        """The fill is in our books as the exchange has it, or from before they began."""
        books = self.books
        known = fill.trade_id in books.fills or fill.trade_id in books.seen or fill.ms < books.began_ms
        require(known, f"fill {fill.trade_id} of {fill.client_order_id} was never booked")
        if fill.trade_id in books.fills:
            booked = books.fills[fill.trade_id]
            same = booked == (fill.ticker, fill.side, fill.price, fill.count, fill.fee)
            require(same, f"fill {fill.trade_id} was booked as {booked}")

    def _nothing_open(self) -> None:
        """At rest: no order without an answer, none resting without its trade, no finding without its cause."""
        for intent in self.books.orders.values():
            truth = self.exchange.by_client_id.get(intent.id)
            rests = truth is not None and truth.status == "resting"
            require(rests or intent.ended != "", f"{intent.id} never ended, the exchange says {truth and truth.status}")
        now = self.clock.now_ms
        for order in self.exchange.account.orders.values():
            if order.status != "resting" or order.created_ms > now - SIGNED_MS:
                continue
            named = f"order:{order.order_id}" in self.books.findings
            ours = self.books.orders.get(order.client_order_id)
            trade = self.books.trades.get(ours.trade_id) if ours else None
            tied = trade is not None and trade.live
            require(named or tied, f"{order.client_order_id} rests, unnamed, without a live trade")
        for name in self.books.findings:
            kind, _, ticker = name.partition(":")
            foreign = kind == "channel" and self.external[ticker] > 0  # what others bought beside a trade has no stop
            require(kind not in ("position", "channel") or foreign, f"at rest there is still a finding {name}")
