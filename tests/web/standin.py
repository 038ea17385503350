"""A deterministic desk to develop the web layer with: prices move by rule, commands are noted."""

import json
import time
from typing import Any

START_MS = 1_795_000_000_000
TOKEN = "t" * 40
PASSWORD = "a long enough password"
TEAMS = (
    ("DAL", "Dallas", "PHI", "Philadelphia"),
    ("BOS", "Boston", "NYK", "New York"),
    ("DEN", "Denver", "LAL", "Los Angeles L"),
    ("MIA", "Miami", "CHI", "Chicago"),
    ("GSW", "Golden State", "PHX", "Phoenix"),
    ("MIL", "Milwaukee", "TOR", "Toronto"),
)
VERDICTS = (
    ("held", "position open"),
    ("held", "position open"),
    ("candidate", "favourite at 0.8900, spread 0.0200: waits for the order"),
    ("no", "spread_wide: 0.0600, at most 0.0300"),
    ("no", "not_a_favourite: probability 0.62, at least 0.85"),
    ("no", "thin: 40 contracts at the ask, at least 100"),
)
LEAVES_STATE = {"start": "RUNNING", "pause": "PAUSED", "stop": "REDUCING", "kill": "HALTED", "rearm": "PAUSED"}


class StandInDesk:
    """Answers as the desk does. `step()` moves the world by one second; nothing else moves it but commands."""

    def __init__(self, mode: str = "paper", markets: int = 6, clock: bool = False) -> None:
        self.mode = mode
        self.start_word = "LIVE" if mode == "live" else ""
        self.count = markets
        self.clock = clock
        self.steps = 0
        self.state, self.reason = "RUNNING", "started"
        self.since_ms = self._now()
        self.stale_held: list[str] = []
        self.differences: list[dict[str, Any]] = []
        self.external: list[str] = []
        self.commands: list[tuple[str, dict[str, Any], str, str]] = []
        self.is_alive = True
        self.durable = True
        self.closed: set[str] = set()
        self.cancelled: set[str] = set()
        self.notes: dict[str, dict[str, Any]] = {}
        self.note("info", "started", "Started in paper mode; 2 positions and 1 order taken over.", None)
        self.note("info", "entry", "Bought 12.00 YES at 0.8700.", ticker(0))
        self.note("warning", "odds_stale", "Odds are 95 s old: no new entries that need them.", None)

    def step(self) -> dict[str, Any]:
        self.steps += 1
        return self.page()

    def note(self, level: str, code: str, text: str, about: str | None) -> None:
        key = f"{len(self.notes) + 1:06d}"
        self.notes[key] = {"id": key, "at_ms": self._now(), "level": level, "code": code, "text": text, "ticker": about}

    def page(self) -> dict[str, Any]:
        now = self._now()
        markets = {ticker(i): self._market(i, now) for i in range(self.count)}
        positions = {
            ticker(i): self._position(i, now) for i in range(min(2, self.count)) if ticker(i) not in self.closed
        }
        return {
            "meta": {
                "version": "0.1.0",
                "boot": "standin",
                "mode": self.mode,
                "started_ms": START_MS,
                "account": "paper-1",
            },
            "status": self._status(now),
            "money": {
                "cash": "981.560000",
                "reserved": "8.700000",
                "exposure": "26.740000",
                "equity": money(1008_300_000 + 10_000 * (self.steps % 7)),
                "realized": "4.120000",
                "unrealized": money(-180_000 + 10_000 * (self.steps % 7)),
                "fees": "0.310000",
                "day_pnl": money(3_940_000 + 10_000 * (self.steps % 7)),
            },
            "positions": positions,
            "orders": {} if "base-2" in self.cancelled else {"base-2": self._order(now)},
            "markets": markets,
            "log": dict(self.notes),
            "trades": {"t-1": self._trade()},
        }

    def market(self, ticker: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.page()["markets"].get(ticker)
        return found

    def markets(self) -> tuple[str, bytes, int | None]:
        rows = list(self.page()["markets"].values())
        snapshot = {
            "generated_at": self._now(), "status": "ok", "total_count": len(rows), "enriched_count": len(rows),
            "match_times": {rows[0]["event_ticker"]: {"start_ms": START_MS, "source": "milestone"}}, "markets": rows,
        }  # fmt: skip
        return f"standin-{self.steps}", json.dumps(snapshot).encode(), 3

    def listing(self, name: str, limit: int, cursor: str | None, filters: dict[str, str]) -> dict[str, Any]:
        if cursor is not None and not cursor.isdigit():
            raise ValueError("This cursor is not one of ours: leave it out to begin anew.")
        rows = self._rows(name)
        rows = [row for row in rows if all(str(row.get(key)) == value for key, value in filters.items())]
        first = int(cursor or 0)
        more = first + limit < len(rows)
        return {"items": rows[first : first + limit], "next_cursor": str(first + limit) if more else None}

    def view(self, name: str) -> dict[str, Any]:
        page = self.page()
        return page.get(name, {"name": name, "max_exposure": "100.000000"})

    def command(self, verb: str, args: dict[str, Any], actor: str, request_id: str) -> dict[str, str]:
        self.commands.append((verb, args, actor, request_id))
        if verb == "start" and self.state == "HALTED":
            return self._answer("refused", "halted", "Halted by the operator. Re-arm first.")
        if verb == "start" and args.get("confirm", "") != self.start_word:
            return self._answer("refused", "confirm", "This trades with real money from now on.")
        if verb == "start":
            self.start_word = ""
        if verb == "close" and args["ticker"] not in self.page()["positions"]:
            return self._answer("refused", "no_position", f"There is no position in {args['ticker']}.")
        if verb in LEAVES_STATE:
            self.state, self.reason, self.since_ms = LEAVES_STATE[verb], f"{verb} by {actor}", self._now()
        self.closed |= {args["ticker"]} if verb == "close" else set()
        self.cancelled |= {args["order"]} if verb == "cancel" else set()
        self.note("info", verb, f"{verb} by {actor}", args.get("ticker"))
        left = f", NOT left: {', '.join(self.external)}" if verb == "flatten" and self.external else ""
        return self._answer("accepted", verb, f"{verb}: done{left}")

    def metrics(self) -> bytes:
        return b"# TYPE tickstop_loop_runs_total counter\ntickstop_loop_runs_total 3\n"

    def alive(self) -> bool:
        return self.is_alive

    def ready(self) -> tuple[bool, dict[str, Any]]:
        return True, {"exchange": "reachable"}

    def _answer(self, result: str, code: str, detail: str) -> dict[str, Any]:
        return {"result": result, "code": code, "detail": detail, "state": self.state, "durable": self.durable}

    def _now(self) -> int:
        return int(time.time() * 1000) if self.clock else START_MS + self.steps * 1000

    def _rows(self, name: str) -> list[dict[str, Any]]:
        page = self.page()
        source = {"events": "log", "opportunities": "markets"}.get(name, name)
        return list(page.get(source, {}).values())

    def _status(self, now: int) -> dict[str, Any]:
        loop = {"last_run_ms": now, "duration_ms": 3, "runs": self.steps, "overruns": 0, "late_ms": 1, "error": None}
        names = {"StrategyLoop": 30, "StopLossMonitor": 2, "Reconciler": 10, "UIUpdate": 1, "WebSocketClient": 0}
        return {
            "state": self.state,
            "reason": self.reason,
            "since_ms": self.since_ms,
            "until_ms": None,
            "start_word": self.start_word,
            "entries": self.state == "RUNNING",
            "exits": True,
            "server_ms": now,
            "loops": {name: {**loop, "interval_s": interval} for name, interval in names.items()},
            "stream": {
                "connected": True,
                "since_ms": START_MS,
                "reconnects": 0,
                "gaps": 0,
                "frames": 40 * self.steps,
                "rate": 40.0,
                "lag_ms": 12,
                "stale_held": self.stale_held,
            },
            "market_data": {
                "status": "stale" if self.stale_held else "ok",
                "discovered_ms": now - (300_000 if self.stale_held else 4_000),
                "resyncs": 1,
                "refused": 0,
            },
            "exchange": {"reachable": True, "checked_ms": now},
            "odds": {"state": "ok", "updated_ms": now - 20_000, "remaining": 480},
            "store": {"state": "ok", "pending": 0},
            "reconciliation": {"ok": True, "at_ms": now - 4_000, "differences": self.differences},
            "latency_us": {"count": 2, "p50": 210, "p99": 430},
            "hub_lag_ms": {"p99": 1.2},
        }

    def _market(self, index: int, now: int) -> dict[str, Any]:
        a, home, b, away = TEAMS[index % len(TEAMS)]
        verdict, reason = VERDICTS[index % len(VERDICTS)]
        bid = 8600 - 450 * (index % 6) + 100 * ((self.steps + index) % 3)
        fair = None
        if index % 6 != 5:
            fair = {
                "probability": round(0.91 - 0.05 * (index % 6), 3),
                "books": 5,
                "dispersion": 0.01,
                "method": "multiplicative",
                "updated_ms": now - 20_000,
            }
        return {
            "ticker": ticker(index),
            "title": f"{home} beats {away}",
            "event_ticker": f"KXNBAGAME-26NOV21{b}{a}{index}",
            "category": "Sports",
            "bid": price(bid),
            "ask": price(bid + 200),
            "bid_size": "250.00",
            "ask_size": "180.00",
            "last_ms": now - 300,
            "volume_24h": "51230.00",
            "start_ms": now - 3_600_000,
            "end_ms": now + 5_400_000,
            "verdict": verdict,
            "reason": reason,
            "consensus": fair,
        }

    def _position(self, index: int, now: int) -> dict[str, Any]:
        mark = 8600 - 450 * index + 100 * ((self.steps + index) % 3)
        entry = 8700 - 300 * index
        count = (12, 20)[index]
        return {
            "ticker": ticker(index),
            "title": f"{TEAMS[index][1]} beats {TEAMS[index][3]}",
            "side": ("YES", "NO")[index],
            "count": f"{count}.00",
            "entry_price": price(entry),
            "mark": price(mark),
            "mark_source": "bid",
            "mark_ms": now - 300,
            "stop": price(entry - 700),
            "target": price(9700),
            "rest_target": bool(index),
            "trail": ("0.0500", None)[index],
            "break_even_after": None,
            "time_exit_ms": now + 4_800_000,
            "cost": money(entry * count * 100),
            "fees": "0.100000",
            "unrealized": money((mark - entry) * count * 100),
            "break_even": price(entry + 90),
            "state": "external" if ticker(index) in self.external else "OPEN",
            "strategy": "" if ticker(index) in self.external else "favourites",
            "opened_ms": START_MS - 900_000,
            "protected": ticker(index) not in self.external,
        }

    def _order(self, now: int) -> dict[str, Any]:
        return {
            "client_order_id": "base-2",
            "order_id": "6b2f",
            "ticker": ticker(2),
            "side": "bid",
            "price": "0.8900",
            "count": "10.00",
            "filled": "0.00",
            "state": "RESTING",
            "purpose": "entry",
            "created_ms": now - 8_000,
        }

    def _trade(self) -> dict[str, Any]:
        return {
            "id": "t-1",
            "ticker": ticker(3),
            "side": "YES",
            "count": "10.00",
            "entry_price": "0.8800",
            "exit_price": "0.9700",
            "exit_kind": "target",
            "pnl": "0.820000",
            "fees": "0.080000",
            "opened_ms": START_MS - 3_000_000,
            "closed_ms": START_MS - 1_200_000,
        }


def ticker(index: int) -> str:
    a, _, b, _ = TEAMS[index % len(TEAMS)]
    return f"KXNBAGAME-26NOV21{b}{a}{index}-{a}"


def price(units: int) -> str:
    return f"{units / 10_000:.4f}"


def money(units: int) -> str:
    return f"{units / 1_000_000:.6f}"
