"""The page as data: everything a person sees, read from state and snapshot without touching either."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import gevent

from bot.core import breakers, risk
from bot.core.config import SHOW
from bot.core.orders import Order
from bot.core.positions import mark_value
from bot.core.state import Finding
from bot.core.trades import Trade, break_even, exit_quote
from bot.core.units import ONE, format_count, format_money, format_price
from bot.core.venue import Quote
from bot.market_data.snapshot import Health
from bot.run.bot import Bot
from bot.run.door import now_ms
from bot.run.market_rows import A_MOMENT, title

Dict = dict[str, Any]
T = TypeVar("T")

_AT_ONCE = 25
"""Rows made before the others have their turn: about half a millisecond."""


def page(bot: Bot) -> Dict:
    """Collections of keyed values; prices, money and counts as decimal strings, times as integer ms.

    Others run while it is made: each row and each sum is of one moment, the whole is not.
    """
    markets = bot.rows.refresh(bot.market_data, bot.passes, bot.state.live_trade)
    gevent.sleep(A_MOMENT)
    quotes = bot.market_data.snapshot().quotes
    state = bot.state
    return {
        "meta": meta(bot),
        "status": status(bot),
        "money": money(bot, quotes),
        "positions": positions(bot, quotes),
        "orders": {
            o.client_order_id: order(o) for o in _in_turns(state.orders.values()) if o.live() or o.outstanding()
        },
        "markets": markets,
        "log": {n["id"]: n for n in list(bot.notices.kept)[-200:]},
        "trades": {t.id: trade(t) for t in _in_turns(state.trades.values()) if not t.live() and t.entered},
    }


def _in_turns(things: Iterable[T]) -> Iterator[T]:
    """All that there are now; after every few the others have their turn."""
    for number, thing in enumerate(list(things), 1):
        yield thing
        if number % _AT_ONCE == 0:
            gevent.sleep(A_MOMENT)


def meta(bot: Bot) -> Dict:
    from bot import __version__

    return {
        "version": __version__,
        "boot": bot.boot,
        "mode": bot.settings.mode,
        "started_ms": bot.started_ms,
        "account": bot.account,
        "strategy": bot.strategy.name,
        "rules_version": bot.state.config.version,
    }


def status(bot: Bot) -> Dict:
    state, feed = bot.state, bot.market_data.health()
    loops = {name: loop.shown() for name, loop in bot.loops.items()}
    loops["WebSocketClient"] = {
        "interval_s": 0,
        "last_run_ms": feed.last_bytes_ns // 1_000_000,
        "duration_ms": 0,
        "runs": feed.reconnects + 1,
        "overruns": 0,
        "crashes": 0,
        "late_ms": 0,
        "error": "" if feed.connected or not bot.settings.websocket_enabled else "not connected",
    }
    return {
        "state": state.mode,
        "reason": state.mode_reason,
        "since_ms": state.mode_since_ms,
        "until_ms": state.mode_until_ms or None,
        "start_word": "" if state.started else bot.door.rules.start_word,
        "entries": state.mode == "RUNNING" and not state.findings.get("cash:account"),
        "exits": True,
        "server_ms": now_ms(),
        "loops": loops,
        "stream": stream(feed),
        "market_data": {
            "status": feed.status,
            "age_seconds": feed.age_seconds,
            "discovered_ms": feed.discovered_ns // 1_000_000,
            "markets": feed.markets,
            "read_tokens": round(bot.reads.budget.tokens),
            "resyncs": feed.resyncs,
            "refused": feed.refused,
        },
        "canary": {"count": bot.reads.canary.count, "kinds": dict(bot.reads.canary.kinds)},
        "recorder": {"frames": bot.recorder.frames, "dropped": bot.recorder.dropped, "error": bot.recorder.error},
        "exchange": {"reachable": not bot.reconcile_error, "checked_ms": max(bot.watch.seen_ms, bot.reconciled_at_ms)},
        "odds": {"state": bot.odds.state, "updated_ms": bot.odds.updated_ms, "remaining": bot.odds.remaining},
        "store": bot.stores.status(),
        "reconciliation": {
            "ok": all(x.kind == "order" for x in state.findings.values())
            and not bot.reconcile_error
            and state.reconciled_ms > 0,
            "at_ms": state.reconciled_ms,
            "error": bot.reconcile_error,
            "differences": [difference(x) for x in state.findings.values()],
        },
        "latency_us": bot.latency.shown(),
        "hub_lag_ms": {"p99": round(bot.hub_lag.p99_ms(), 2), "worst": round(bot.hub_lag.worst_ms, 2)},
    }


def stream(feed: Health) -> Dict:
    """How the stream does; `lag_ms` by the exchange's own time of the newest message."""
    return {
        "connected": feed.connected,
        "since_ms": feed.connected_since_ns // 1_000_000,
        "reconnects": feed.reconnects,
        "gaps": feed.gaps,
        "resyncs": feed.resyncs,
        "bad_frames": feed.bad_frames,
        "frames": feed.frames,
        "rate": round(feed.frames_per_second, 1),
        "lag_ms": feed.lag_ms,
        "stale_held": list(feed.stale_held),
    }


ADVICE = {
    "cash": ("cash", "accept", "Entries stop. Accept it if you paid in or out, or know why"),
    "position": (
        "position",
        "accept",
        "Entries stop there. Accept it if somebody traded by hand, then claim it",
    ),
    "order": ("somebody else's order", "claim", "Entries stop there. Leave it, cancel it, or have it managed"),
    "channel": ("private channels", "", "The account is being read again. If it stays: look at the position"),
}
"""Kind of difference -> its name, what the page offers, what to do."""


def difference(x: Finding) -> Dict:
    """One difference with its figures, in dollars for cash, else in contracts."""
    show = format_money if x.kind == "cash" else format_count
    title, can, advice = ADVICE[x.kind]
    return {
        "name": f"{x.kind}:{x.key}",
        "kind": x.kind,
        "key": x.key,
        "ticker": x.order.ticker if x.order else "" if x.kind == "cash" else x.key,
        "title": title,
        "ours": show(x.ours),
        "theirs": show(x.theirs),
        "gap": show(x.theirs - x.ours),
        "since_ms": x.since_ms,
        "can": can,
        "advice": advice,
    }


def money(bot: Bot, quotes: Mapping[str, Quote]) -> Dict:
    state = bot.state
    cost = sum(p.cost for p in state.positions.values())
    value = sum(
        p.cost if (mark := mark_value(p, quotes.get(p.ticker))) is None else mark for p in state.positions.values()
    )
    cash = state.cash or 0
    today = now_ms() // 86_400_000 == state.day
    return {
        "cash": format_money(cash),
        "reserved": format_money(risk.reserved(state)),
        "exposure": format_money(risk.exposure(state)),
        "equity": format_money(cash + value),
        "realized": format_money(state.realized),
        "unrealized": format_money(value - cost),
        "fees": format_money(state.fees),
        "day_pnl": format_money((state.day_realized if today else 0) + value - cost),
    }


def limits(bot: Bot) -> Dict:
    """Every limit with its use, by what uses it most; `headroom` below nothing refuses every entry."""
    rows: Dict = {}
    quotes = bot.market_data.snapshot().quotes
    breaking = breakers.uses(bot.state, now_ms(), quotes)
    for use in [*risk.uses(bot.state, now_ms()), *breaking]:  # the loss of the day as the breaker counts it
        row = {"kind": use.kind, **{k: SHOW[use.kind](v) for k, v in _standing(use).items()}, "by": use.by}
        rows[f"{use.name} {use.by}" if use.name == "insufficient_shard_cash" else use.name] = row
    return rows


def _standing(use: risk.Use) -> dict[str, int]:
    return {"value": use.value, "limit": use.limit, "headroom": use.limit - use.value}


def positions(bot: Bot, quotes: Mapping[str, Quote]) -> Dict:
    rows: Dict = {}
    confirmed = bot.market_data.snapshot().confirmed_ns
    for ticker in _in_turns(bot.state.positions):
        position = bot.state.position(ticker)
        if position.count == 0:
            continue
        held = bot.state.trade_at(position.ticker)
        quote = quotes.get(position.ticker)
        long = position.count > 0
        seen = exit_quote("bid" if long else "ask", quote) if quote else None
        mark = mark_value(position, quote)
        plan = held.plan if held else None
        known = held.market if held else bot.market_data.snapshot().markets.get(position.ticker)
        rows[position.ticker] = {
            "ticker": position.ticker,
            "title": title(known, position.ticker),
            "side": "YES" if long else "NO",
            "count": format_count(abs(position.count)),
            "entry_price": format_price(position.cost // abs(position.count)),
            "mark": _held_price(seen, long),
            "mark_source": quote.source if quote else None,
            "mark_ms": confirmed[position.ticker] // 1_000_000 if position.ticker in confirmed else None,
            "stop": _held_price(plan.stop if plan else None, long),
            "target": _held_price(plan.target if plan else None, long),
            "rest_target": bool(plan and plan.rest_target),
            "trail": format_price(plan.trail) if plan and plan.trail else None,
            "break_even_after": format_price(plan.break_even_after) if plan and plan.break_even_after else None,
            "time_exit_ms": plan.time_exit_ms if plan else None,
            "cost": format_money(position.cost),
            "fees": format_money(position.fees),
            "unrealized": None if mark is None else format_money(mark - position.cost),
            "break_even": _held_price(break_even(held) if held else None, long),
            "state": str(held.state) if held else "external",
            "strategy": held.strategy if held else "",
            "opened_ms": held.opened_ms if held else None,
            "protected": bool(plan and (plan.stop or plan.time_exit_ms)),
        }
    return rows


def order(o: Order) -> Dict:
    return {
        "client_order_id": o.client_order_id,
        "order_id": o.order_id,
        "trade_id": o.trade_id,
        "ticker": o.ticker,
        "side": o.side,
        "price": format_price(o.price),
        "count": format_count(o.count),
        "filled": format_count(max(o.filled, o.booked)),
        "state": str(o.state),
        "purpose": o.purpose,
        "reason": o.reason,
        "created_ms": o.created_ms,
    }


def trade(t: Trade) -> Dict:
    long = t.side == "bid"
    return {
        "id": t.id,
        "ticker": t.ticker,
        "title": title(t.market, t.ticker),
        "side": "YES" if long else "NO",
        "count": format_count(t.entered),
        "entry_price": format_price(t.entry_cost // t.entered),
        "exit_price": format_price(t.exit_proceeds // t.exited) if t.exited else None,
        "exit_kind": t.exit_kind,
        "pnl": format_money(t.pnl()),
        "fees": format_money(t.fees),
        "opened_ms": t.opened_ms,
        "closed_ms": t.closed_ms,
        "reason": t.reason,
    }


def _held_price(price: int | None, long: bool) -> str | None:
    """A YES price in the terms of the side held."""
    return None if price is None else format_price(price if long else ONE - price)
