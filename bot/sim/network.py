"""The network between one program and the exchange: the client's methods, with the plan's faults on the way.

What has left the program goes on without it: a killed program's request still arrives.
"""

from collections.abc import Callable
from itertools import takewhile
from random import Random
from typing import Any, TypeVar

import msgspec

from bot.core.effects import AmendOrder, CancelOrder, PlaceOrder
from bot.core.units import Count
from bot.core.venue import (
    Accepted,
    Balance,
    Market,
    NotFound,
    NotSent,
    Outcome,
    Quote,
    Rejected,
    Settlement,
    Transfer,
    Unknown,
    VenueFill,
    VenueOrder,
    VenuePosition,
)
from bot.kalshi.rest import Kind, ReadFailed
from bot.sim.clock import Clock, Host, Reply
from bot.sim.exchange import Exchange
from bot.sim.faults import Fault, Faults

T = TypeVar("T")

REPLY_TIMEOUT_MS = {"entry": 5_000, "target": 5_000, "exit": 2_000, "amend": 2_000, "cancel": 5_000}
"""As in bot.kalshi.orders."""

READ_FAULTS: dict[str, tuple[Kind, int, int]] = {
    # kind of failure, HTTP status, how long until it is given up (retries included)
    "timeout": ("timeout", 0, 6_000),
    "limited": ("rate_limited", 429, 900),
    "server": ("server", 503, 900),
    "reset": ("connection", 0, 700),
    "garbled": ("body", 200, 80),
    "cursor_loop": ("cursor_loop", 200, 300),
}


class Network:
    """What all programs share: the weather."""

    def __init__(self, clock: Clock, exchange: Exchange, faults: Faults, seed: int) -> None:
        self.clock = clock
        self.exchange = exchange
        self.faults = faults
        self.until: dict[str, int] = {}
        """Window -> when it ends."""
        self.ahead_ms = 0
        """How far the clock of the machine is ahead during a window of that name; then it is set right."""
        self.rng = Random(f"{seed}/network")
        self._told_ms = 0

    def during(self, window: str) -> bool:
        return self.clock.now_ms < self.until.get(window, 0)

    def wall_ms(self) -> int:
        return self.clock.now_ms + (self.ahead_ms if self.during("clock_ahead") else 0)

    def open(self, window: str, ms: int) -> None:
        self.until[window] = max(self.until.get(window, 0), self.clock.now_ms + ms)

    def trip(self) -> int:
        """Milliseconds one way."""
        return self.rng.randrange(3, 60)

    def lag(self) -> int:
        """How far reads may lie behind now."""
        return 8_000 if self.during("long_lag") else 1_800 if self.during("lag") else 250

    def as_of(self) -> int:
        """What the next listing shows everything up to: never older than a user_data_timestamp that was given."""
        return max(self.clock.now_ms - self.rng.randrange(self.lag()), self._told_ms)

    def timestamp(self) -> int:
        self._told_ms = max(self._told_ms, self.clock.now_ms - self.lag())
        return self._told_ms


class Client:
    """KalshiReads and KalshiOrders of one program. Every method blocks the calling task."""

    def __init__(self, network: Network, host: Host) -> None:
        self._net = network
        self._clock = network.clock
        self._exchange = network.exchange
        self._host = host

    # writes

    def create(self, order: PlaceOrder, on_sent: Callable[[], None]) -> Outcome:
        """Send one order; `on_sent` is called when its bytes have left."""
        signed = self._net.wall_ms()
        fault = self._net.faults.next(f"create.{order.purpose}")
        return self._write(order.purpose, fault, lambda: self._exchange.create(order, signed), on_sent)

    def amend(self, order: AmendOrder) -> Outcome:
        signed = self._net.wall_ms()
        fault = self._net.faults.next("amend")
        outcome = self._write("amend", fault, lambda: self._exchange.amend(order, signed), lambda: None)
        if fault and fault.kind == "other_order" and isinstance(outcome, Accepted):
            return Accepted("another-order", outcome.filled, outcome.remaining)
        return outcome

    def cancel(self, order: CancelOrder) -> Outcome:
        signed = self._net.wall_ms()
        fault = self._net.faults.next("cancel")
        cancel = self._exchange.cancel_untruly if fault and fault.kind == "untrue" else self._exchange.cancel
        outcome = self._write("cancel", fault, lambda: cancel(order, signed), lambda: None)
        if fault and fault.kind == "other_order" and isinstance(outcome, Accepted):
            return Accepted("another-order", Count(0), Count(0), outcome.reduced)
        return outcome

    def _write(
        self, what: str, fault: Fault | None, effect: Callable[[], Outcome], on_sent: Callable[[], None]
    ) -> Outcome:
        net, clock, patience = self._net, self._clock, REPLY_TIMEOUT_MS[what]
        kind, ms = (fault.kind, fault.ms) if fault else ("", 0)
        reply: Reply[Outcome] = Reply(self._host)
        if kind == "not_sent" or net.during("outage"):
            clock.after(2, lambda: reply.put(NotSent("no connection")))
            return clock.wait(reply)
        on_sent()
        go = net.trip() + (ms if kind == "slow" else patience + ms if kind == "late" else 0)
        back = net.trip() + (ms if kind == "slow_reply" else 0)
        clock.after(patience, lambda: reply.put(Unknown(f"no complete reply within {patience // 1000} s")))

        def answer(outcome: Outcome) -> None:
            clock.after(back, lambda: reply.put(outcome))

        def arrive() -> None:
            if kind == "lost_request":
                return
            if net.during("outage") or kind == "reset_before":
                answer(Unknown("connection lost before the reply was complete"))
            elif kind == "not_found":
                answer(NotFound())
            elif kind == "limited":
                answer(Rejected("too_many_requests", "", 429))
            elif kind == "server_before" or net.during("maintenance"):
                answer(Unknown("503 exchange_unavailable"))
            elif net.during("key_revoked"):
                answer(Rejected("authentication_error", "", 401))
            else:
                applied()

        def applied() -> None:
            outcome = effect()
            if kind == "duplicate":
                again = effect()
                answer(again if ms % 2 else outcome)
            elif kind == "garbled":
                answer(Unknown("201 without a readable order"))
            elif kind == "server_after":
                answer(Unknown("502 bad gateway"))
            elif kind == "reset_after":
                answer(Unknown("connection lost before the reply was complete"))
            elif kind != "lost_reply":
                answer(outcome)

        clock.after(go, arrive)
        return clock.wait(reply)

    # reads

    def user_data_timestamp(self) -> int:
        return self._read("read.timestamp", self._net.timestamp)

    def orders(
        self, status: str | None = None, ticker: str | None = None, min_ts: int | None = None
    ) -> list[VenueOrder]:
        def listing() -> list[VenueOrder]:
            rows = self._exchange.orders.read(self._net.as_of()).values()
            recent = takewhile(lambda o: o.created_ms >= (min_ts or 0) * 1000, reversed(rows))
            return [o for o in recent if status in (None, o.status) and ticker in (None, o.ticker)]

        return self._read("read.orders", listing)

    def fills(self, min_ts: int | None = None, ticker: str | None = None) -> list[VenueFill]:
        def listing() -> list[VenueFill]:
            rows = self._exchange.fills.read(self._net.as_of()).values()
            recent = takewhile(lambda f: f.at_ms >= (min_ts or 0) * 1000, reversed(rows))
            return [f for f in recent if ticker in (None, f.ticker)]

        return self._read("read.fills", listing)

    def positions(self) -> list[VenuePosition]:
        def listing() -> list[VenuePosition]:
            return [p for p in self._exchange.positions.read(self._net.as_of()).values() if p is not None]

        return self._read("read.positions", listing)

    def settlements(self, min_ts: int | None = None) -> list[Settlement]:
        def listing() -> list[Settlement]:
            rows = self._exchange.settlements.read(self._net.as_of()).values()
            return list(takewhile(lambda s: s.settled_ms >= (min_ts or 0) * 1000, reversed(rows)))

        return self._read("read.settlements", listing)

    def balance(self) -> Balance:
        cash = self._read("read.balance", lambda: self._exchange.cash.read(self._net.as_of())[""])
        return Balance(cash, {"0": cash})

    def transfers(self) -> list[Transfer]:
        return self._read("read.transfers", lambda: list(self._exchange.transfers.read(self._net.as_of()).values()))

    def market(self, ticker: str) -> tuple[Market, Quote]:
        def found() -> tuple[Market, Quote]:
            if ticker not in self._exchange.engine.markets:
                raise ReadFailed("not_found", 404, message=ticker)
            return self._exchange.market(ticker), self._exchange.quote(ticker, "rest")

        return self._read("read.market", found)

    def _read(self, op: str, answer: Callable[[], T]) -> T:
        net = self._net
        fault = net.faults.next(op)
        if net.during("outage"):
            self._sleep(1_500)
            raise ReadFailed("connection", message=op)
        self._sleep(net.trip() + (min(fault.ms, 4_900) if fault and fault.kind == "slow" else 0))
        if fault and fault.kind in READ_FAULTS:
            kind, status, ms = READ_FAULTS[fault.kind]
            self._sleep(ms)
            raise ReadFailed(kind, status, message=op)
        if net.during("maintenance"):
            raise ReadFailed("server", 503, message=op)
        if net.during("key_revoked"):
            raise ReadFailed("auth", 401, message=op)
        found = answer()
        self._sleep(net.trip())
        return found

    def _sleep(self, ms: int) -> None:
        done: Reply[None] = Reply(self._host)
        self._clock.after(ms, lambda: done.put(None))
        self._clock.wait(done)


class Stream:
    """The WebSocket of one program: in order unless a fault says otherwise; it comes back by itself."""

    def __init__(self, network: Network, host: Host, on_frame: Callable[[str, Any], None]) -> None:
        self.connected = True
        self.reconnects = 0
        self._net = network
        self._clock = network.clock
        self._host = host
        self._on_frame = on_frame
        self._last_ms = 0
        self._generation = 0
        network.exchange.streams.append(self)

    def close(self) -> None:
        self._net.exchange.streams.remove(self)

    def disconnect(self, ms: int) -> None:
        """The connection breaks: what is under way is lost; back after `ms`."""
        self._generation += 1
        self.connected = False
        self._clock.after(ms, self._reconnect)

    def _reconnect(self) -> None:
        if self._net.during("outage") or self._net.during("key_revoked") or self._net.during("maintenance"):
            self._clock.after(1_000, self._reconnect)
        elif self._host.alive and not self.connected:
            self.connected = True
            self.reconnects += 1
            self._host.run(lambda: self._on_frame("connected", None))

    def frame(self, kind: str, news: Any) -> None:
        """The exchange sends a frame."""
        net, now = self._net, self._clock.now_ms
        if not self.connected or net.during("outage") or net.during("silence"):
            return
        fault = net.faults.next(f"frame.{kind}")
        if kind == "fill" and net.rng.random() < 0.5:
            news = msgspec.structs.replace(news, client_order_id="")
        if fault and fault.kind == "dropped":
            if kind == "tick":  # a gap in the sequence: the book is read again
                self._deliver(now + 400, "resync", news.ticker)
            return
        self._last_ms = max(self._last_ms, now + net.trip())
        if fault and fault.kind == "late" and kind != "tick":
            self._deliver(self._last_ms + fault.ms, kind, news)
            return
        self._deliver(self._last_ms, kind, news)
        if fault and fault.kind == "twice":
            self._deliver(self._last_ms + fault.ms, kind, news)

    def _deliver(self, when_ms: int, kind: str, news: Any) -> None:
        generation = self._generation

        def arrive() -> None:
            if generation == self._generation:
                self._host.run(lambda: self._on_frame(kind, news))

        self._clock.at(when_ms, arrive)
