"""What is subscribed on one WebSocket connection: wanted against acknowledged, and the sequence of each subscription.

Pure: it makes commands and judges replies; stream.py moves the bytes (kalshi-api.md sections 6.2 to 6.4).
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from bot.kalshi.frames import Control, Error, Ok, Subscribed, Unsubscribed

BOOKS = "orderbook_delta"
TERMINAL_ERRORS = frozenset({10, 25})
"""The subscription is gone: channel error, buffer overflow (section 6.6)."""

_SECOND = 1_000_000_000
REPLY_NS = 10 * _SECOND
SNAPSHOT_NS = 5 * _SECOND
RETRY_NS = 10 * _SECOND

MOST_MARKETS = 500_000
"""Market subscriptions of one connection (section 6.1). One connection is enough until this is reached."""


class Command(msgspec.Struct, frozen=True):
    """One command to send; `text` for the log."""

    id: int
    body: bytes
    text: str


@dataclass(slots=True)
class _Channel:
    name: str
    wanted: frozenset[str] | None = frozenset()
    """None: no market filter. Empty: not wanted."""
    sid: int | None = None
    listed: frozenset[str] = frozenset()
    last_seq: int | None = None
    pending: int = 0
    """Id of the command that has no reply yet; 0 when none. One at a time."""
    asked: frozenset[str] = frozenset()
    """`listed` once the pending command is acknowledged."""
    since_ns: int = 0
    """When the pending command was sent, or the time before which none may be."""
    missing: set[str] = field(default_factory=set)
    """Books whose snapshot is needed; `snapshot_ns` is when it was asked for, 0 when not yet."""
    snapshot_ns: int = 0
    restart: bool = False

    def drop(self) -> None:
        self.sid, self.listed, self.last_seq = None, frozenset(), None
        self.missing.clear()
        self.snapshot_ns, self.restart = 0, False


class Subscriptions:
    """One per stream; `reset` at each connect."""

    def __init__(self) -> None:
        self._channels: dict[str, _Channel] = {}
        self._by_sid: dict[int, _Channel] = {}
        self._early: dict[int, int] = {}
        self._last_id = 0

    def want(self, channel: str, tickers: frozenset[str] | None) -> None:
        """What the channel should deliver: these markets, None for all, empty for nothing.

        A book that was unwanted and is wanted again before its subscription ended gets no snapshot by itself.
        """
        others = sum(len(c.wanted or ()) for c in self._channels.values() if c.name != channel)
        if others + len(tickers or ()) > MOST_MARKETS:
            raise ValueError(f"more than {MOST_MARKETS} market subscriptions: a second connection is needed")
        kept = self._channels.setdefault(channel, _Channel(channel))
        if channel == BOOKS:
            self.resync((tickers or frozenset()) - (kept.wanted or frozenset()))
        kept.wanted = tickers

    def reset(self) -> None:
        """A new connection: nothing is subscribed, ids and sids begin again."""
        self._channels = {name: _Channel(name, old.wanted) for name, old in self._channels.items()}
        self._by_sid.clear()
        self._early.clear()
        self._last_id = 0

    def commands(self, now_ns: int) -> list[Command]:
        """What must be sent now to come closer to what is wanted. Counts as sent once returned."""
        made = []
        for channel in self._channels.values():
            if channel.pending or now_ns < channel.since_ns:
                continue
            channel.missing &= channel.listed
            if command := self._next(channel, now_ns):
                made.append(command)
            if channel.missing and not channel.snapshot_ns and channel.sid is not None:
                channel.snapshot_ns = now_ns
                some = sorted(channel.missing)
                made.append(self._command("get_snapshot", channel.name, some, sids=[channel.sid], market_tickers=some))
        return made

    def acknowledge(self, frame: Control, now_ns: int) -> tuple[str, frozenset[str]] | None:
        """Apply a reply. Returns channel and markets of a subscription that ended with it."""
        channel = self._by_sid.get(frame.sid)
        if frame.id:
            channel = next((c for c in self._channels.values() if c.pending == frame.id), channel)
        if channel is None:
            return None
        answered = bool(frame.id) and channel.pending == frame.id
        if answered:
            channel.pending, channel.since_ns = 0, 0
        if isinstance(frame, Error):
            return self._failed(channel, frame, answered, now_ns)
        if isinstance(frame, Unsubscribed):
            return self._ended(channel)
        if not answered:
            return None
        if isinstance(frame, Subscribed) or channel.sid is None:
            self._bind(channel, frame.msg.sid if isinstance(frame, Subscribed) else frame.sid)
        tickers = frame.tickers if isinstance(frame, Ok) else None
        channel.listed = channel.asked if tickers is None else tickers
        return None

    def in_order(self, sid: int, seq: int) -> bool:
        """Count one numbered message, replies included; False when some are missing or the count began again."""
        channel = self._by_sid.get(sid)
        if channel is None:
            self._early[sid] = seq
            return True
        expected = None if channel.last_seq is None else channel.last_seq + 1
        channel.last_seq = seq
        return expected is None or seq == expected

    def gap(self, sid: int) -> tuple[str, frozenset[str]]:
        """Channel and markets of a sid that lost a message; books get new snapshots from the next `commands`."""
        channel = self._by_sid.get(sid)
        if channel is None:
            return "unknown", frozenset()
        if channel.name == BOOKS:
            self.resync(channel.listed)
        return channel.name, channel.listed

    def resync(self, tickers: frozenset[str]) -> None:
        """Ask for fresh snapshots of these books."""
        channel = self._channels.get(BOOKS)
        if channel is not None and channel.sid is not None and tickers & channel.listed:
            channel.missing |= tickers & channel.listed
            channel.snapshot_ns = 0

    def snapshot_arrived(self, ticker: str) -> None:
        channel = self._channels.get(BOOKS)
        if channel is not None:
            channel.missing.discard(ticker)

    def overdue(self, now_ns: int) -> str | None:
        """Why the connection must be given up: a command without a reply. Books that stay missing are re-subscribed."""
        for name, channel in self._channels.items():
            if channel.pending and now_ns - channel.since_ns > REPLY_NS:
                return f"no reply to a command on {name} for {REPLY_NS // _SECOND} s"
            channel.missing &= channel.listed
            if channel.missing and channel.snapshot_ns and now_ns - channel.snapshot_ns > SNAPSHOT_NS:
                channel.missing.clear()
                channel.restart = True
        return None

    def subscribed(self) -> dict[str, int]:
        """Channel -> number of markets (0 where there is no filter), of what is acknowledged."""
        return {name: len(c.listed) for name, c in self._channels.items() if c.sid is not None}

    def _next(self, channel: _Channel, now_ns: int) -> Command | None:
        wanted = channel.wanted or frozenset()
        if channel.sid is None:
            if not wanted and channel.wanted is not None:
                return None
            params: dict[str, Any] = {"channels": [channel.name]}
            if wanted:
                params["market_tickers"] = sorted(wanted)
            if channel.name == BOOKS:
                params["use_yes_price"] = True
            elif channel.name == "ticker":
                params["send_initial_snapshot"] = True
            return self._pend(channel, wanted, now_ns, "subscribe", sorted(wanted), **params)
        if channel.restart or (channel.wanted is not None and not wanted):
            return self._pend(channel, frozenset(), now_ns, "unsubscribe", [], sids=[channel.sid])
        for action, tickers, after in (
            ("add_markets", wanted - channel.listed, channel.listed | wanted),
            ("delete_markets", channel.listed - wanted, channel.listed & wanted),
        ):
            if tickers:
                some = sorted(tickers)
                return self._pend(channel, after, now_ns, action, some, sids=[channel.sid], market_tickers=some)
        return None

    def _pend(
        self, channel: _Channel, after: frozenset[str], now_ns: int, verb: str, told: list[str], **params: Any
    ) -> Command:
        command = self._command(verb, channel.name, told, **params)
        channel.pending, channel.asked, channel.since_ns = command.id, after, now_ns
        return command

    def _command(self, verb: str, name: str, told: list[str], **params: Any) -> Command:
        self._last_id += 1
        cmd = verb if verb in ("subscribe", "unsubscribe") else "update_subscription"
        if cmd == "update_subscription":
            params["action"] = verb
        body = msgspec.json.encode({"id": self._last_id, "cmd": cmd, "params": params})
        return Command(self._last_id, body, " ".join([verb.upper(), name, *told]))

    def _bind(self, channel: _Channel, sid: int) -> None:
        """A first sequence number of a book must be 1; other channels may begin anywhere."""
        channel.sid = sid
        first = 0 if channel.name == BOOKS else None
        channel.last_seq = self._early.pop(sid, first)
        self._by_sid[sid] = channel

    def _failed(
        self, channel: _Channel, frame: Error, answered: bool, now_ns: int
    ) -> tuple[str, frozenset[str]] | None:
        """A refused command is tried again later; a terminal error ends the subscription."""
        channel.since_ns = now_ns + (RETRY_NS if answered else _SECOND)
        return self._ended(channel) if frame.msg.code in TERMINAL_ERRORS else None

    def _ended(self, channel: _Channel) -> tuple[str, frozenset[str]]:
        lost = channel.listed
        if channel.sid is not None:
            self._by_sid.pop(channel.sid, None)
        channel.drop()
        return channel.name, lost
