"""The desk: the small front that web sees. Reads views, takes commands; while no bot runs here it says so."""

import logging
from typing import Any

import msgspec
from gevent import get_hub
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from bot.core import config
from bot.core.units import format_count, format_money, format_price
from bot.run import halt_file, page
from bot.run.bot import Bot
from bot.run.door import now_ms
from bot.run.market_rows import MarketRows, row_with_book

Dict = dict[str, Any]

DURABLE_WITHIN_S = 2.0
"""So long the answer to a command waits for the disk; entries wait as long for theirs."""

log = logging.getLogger("Tickstop")

_HISTORY = {"fills": "fills", "trades": "trades", "decisions": "decisions", "settlements": "settlements",
            "equity": "equity", "audit": "audit"}  # fmt: skip
_SCALES = {"_e4": format_price, "_e2": format_count, "_e6": format_money}


class Desk:
    """One per process. `bot` is None before the start and while another process holds the lease."""

    def __init__(self, mode: str) -> None:
        self.bot: Bot | None = None
        self.standby_reason = "starting"
        self._mode = mode
        self._since_ms = now_ms()

    def page(self) -> Dict:
        if self.bot is not None:
            return page.page(self.bot)
        empty: Dict = {name: {} for name in ("money", "positions", "orders", "markets", "log", "trades")}
        return {"meta": self._meta(), "status": self._standby(), **empty}

    def market(self, ticker: str) -> Dict | None:
        """One market with the order book that is kept of it, bids and asks best first; None when it is not in view."""
        bot = self.bot
        return row_with_book(bot.market_data, bot.passes, bot.state.live_trade, ticker) if bot else None

    def markets(self) -> tuple[str, bytes, int | None]:
        """Tag, JSON and age (s) of all markets, as they were at the last update of the page: encoded once for all."""
        if self.bot is None:
            return "standby", MarketRows("").body, None
        return self.bot.rows.tag, self.bot.rows.body, self.bot.market_data.health().age_seconds

    def listing(self, name: str, limit: int, cursor: str | None, filters: dict[str, str]) -> Dict:
        if self.bot is None:
            return {"items": [], "next_cursor": None}
        if name in _HISTORY:
            wanted: dict[str, Any] = {k: int(v) if k.endswith("_ms") else v for k, v in filters.items()}
            rows, after = self.bot.history.page(_HISTORY[name], limit, cursor, wanted)
            return {"items": [shown(row) for row in rows], "next_cursor": after}
        collection = {"opportunities": "markets", "events": "log"}.get(name, name)
        items = list(self._collection(self.bot, collection).values())
        if name == "opportunities":
            items = [i for i in items if i["verdict"] != "no"]
        if name == "events":
            items.reverse()
        items = [i for i in items if all(str(i.get(k)) == v for k, v in filters.items())]
        first = _offset(cursor)
        after = str(first + limit) if first + limit < len(items) else None
        return {"items": items[first : first + limit], "next_cursor": after}

    def _collection(self, bot: Bot, name: str) -> Dict:
        if name == "markets":
            return bot.rows.refresh(bot.market_data, bot.passes, bot.state.live_trade)
        if name == "positions":
            return page.positions(bot, bot.market_data.snapshot().quotes)
        found: Dict = page.page(bot)[name]
        return found

    def view(self, name: str) -> Dict:
        bot = self.bot
        if name == "meta":
            return page.meta(bot) if bot else self._meta()
        if name == "status":
            return page.status(bot) if bot else self._standby()
        if name == "health":
            ok, detail = self.ready()
            feed = bot.market_data.health() if bot else None
            age = {"status": feed.status, "age_seconds": feed.age_seconds} if feed else None
            return {"ready": ok, "market_data": age, "stream": page.stream(feed) if feed else None, **detail}
        if bot is None:
            return {"state": "STANDBY", "reason": self.standby_reason}
        if name == "performance":
            return {
                "money": page.money(bot, bot.market_data.snapshot().quotes),
                "baseline": format_money(bot.state.baseline),
            }
        if name == "risk":
            state = bot.state
            mode = {"state": state.mode, "reason": state.mode_reason, "since_ms": state.mode_since_ms}
            mode["until_ms"] = state.mode_until_ms or None
            return {**mode, "limits": page.limits(bot), "money": page.money(bot, bot.market_data.snapshot().quotes)}
        return config.shown(bot.state.config, bot.strategy.params)

    def command(self, verb: str, args: dict[str, Any], actor: str, request_id: str) -> Dict:
        """In force at once; the answer waits until it is on disk too, or says that it is not."""
        bot = self.bot
        if bot is None:
            standby = {"result": "refused", "code": "standby", "detail": self.standby_reason, "state": "STANDBY"}
            return {**standby, "durable": True}
        answer = bot.command(verb, args, actor, request_id)
        text, state, seq = answer.text, bot.state.mode, bot.door.seq
        durable = not answer.ok or bot.journal.wait(seq, DURABLE_WITHIN_S)
        if not durable:
            kept = verb == "kill" and self._halt_kept(bot, actor, seq)
            then = f"{bot.halt_file.path} makes a restart halt again" if kept else "a restart would forget it"
            text = f"{text}; in force, but not on disk yet: {then}"
        result = "accepted" if answer.ok else "refused"
        return {"result": result, "code": answer.code, "detail": text, "state": state, "durable": durable}

    def _halt_kept(self, bot: Bot, actor: str, seq: int) -> bool:
        """Leave a kill that the journal does not take where the next start finds it; off the hub: the disk may hang."""
        try:
            get_hub().threadpool.apply(halt_file.write, (bot.halt_file.path, f"kill by {actor}", now_ms()))
        except OSError as error:
            log.error("%s cannot be written: %s", bot.halt_file.path, error)
            return False
        bot.halt_file.obeyed(seq)
        return True

    def metrics(self) -> bytes:
        registry = CollectorRegistry()
        for name, text, value in self._figures():
            Gauge(f"tickstop_{name}", text, registry=registry).set(value)
        histograms = generate_latest(self.bot.registry) if self.bot else b""
        return bytes(generate_latest(registry)) + histograms

    def alive(self) -> bool:
        """The stop sweep ran lately: the process is up and its hub turns."""
        if self.bot is None:
            return True
        loop = self.bot.loops["StopLossMonitor"]
        return now_ms() - loop.last_run_ms < 5_000 + loop.interval_s * 1000

    def ready(self) -> tuple[bool, Dict]:
        bot = self.bot
        if bot is None:
            return False, {"reason": self.standby_reason}
        checks = {
            "reconciled": bot.state.reconciled_ms > 0 and not bot.reconcile_error,
            "stream": bot.market_data.health().connected or not bot.settings.websocket_enabled,
            "journal": bot.journal.healthy,
            "history": bot.history.healthy,
            "loops": self.alive(),
        }
        return all(checks.values()), {"checks": checks}

    def _figures(self) -> list[tuple[str, str, float]]:
        bot = self.bot
        if bot is None:
            return [("up", "1 while the bot trades in this process", 0)]
        state, feed = bot.state, bot.market_data.health()
        money = page.money(bot, bot.market_data.snapshot().quotes)
        return [
            ("up", "1 while the bot trades in this process", 1),
            ("entries_enabled", "1 while entries may be opened", state.mode == "RUNNING"),
            ("open_trades", "Trades that are live", len(state.live_trade)),
            ("orders_sent_total", "Orders whose bytes left", bot.sent_orders),
            ("tick_to_send_p50_seconds", "Tick received to exit order sent, median", bot.latency.at(0.5) / 1e6),
            (
                "tick_to_send_p99_seconds",
                "Tick received to exit order sent, 99th percentile",
                bot.latency.at(0.99) / 1e6,
            ),
            ("hub_lag_p99_seconds", "Lateness of a 10 ms sleep, 99th percentile", bot.hub_lag.p99_ms() / 1e3),
            ("ws_frames_total", "WebSocket frames received", feed.frames),
            ("ws_gaps_total", "Sequence gaps", feed.gaps),
            ("ws_reconnects_total", "Connections made after the first", feed.reconnects),
            (
                "reconciliation_age_seconds",
                "Since the last full reconciliation",
                (now_ms() - state.reconciled_ms) / 1e3,
            ),
            ("differences", "Differences between our books and the exchange's", len(state.findings)),
            ("alarms_total", "Alarms raised", bot.notices.alarms),
            ("journal_waiting", "Journal records not yet durable", bot.journal.commits.waiting),
            *((f"{name}_dollars", f"{name} in dollars", float(value)) for name, value in money.items()),
        ]

    def _meta(self) -> Dict:
        from bot import __version__

        return {"version": __version__, "boot": "", "mode": self._mode, "started_ms": self._since_ms, "account": ""}

    def _standby(self) -> Dict:
        return {
            "state": "STANDBY",
            "reason": self.standby_reason,
            "since_ms": self._since_ms,
            "until_ms": None,
            "entries": False,
            "exits": False,
            "server_ms": now_ms(),
            "loops": {},
        }


def shown(row: msgspec.Struct) -> Dict:
    """A history row as the API gives it: scaled integers become decimal strings under their plain names."""
    out: Dict = {}
    for name, value in msgspec.structs.asdict(row).items():
        scale = next((s for s in _SCALES if name.endswith(s)), None)
        if scale is None:
            out[name] = value
        else:
            out[name.removesuffix(scale)] = None if value is None else _SCALES[scale](value)
    return out


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not cursor.isdigit():
        raise ValueError(f"cursor {cursor!r} is not one of ours")
    return int(cursor)
