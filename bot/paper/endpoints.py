"""The table of REST endpoints: who serves them, what they cost, which scope of a key they need (kalshi-api.md 4, 7)."""

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote

from bot.paper import account, commands, history, portfolio, public
from bot.paper.http import Request
from bot.paper.venue import Venue

PREFIX = "/trade-api/v2"
DEFAULT_COST = 10

Handler = Callable[[Venue, Request], Any]


class Endpoint(NamedTuple):
    method: str
    path: str
    handler: Handler
    scope: str = ""
    """What a key must be allowed to; "" needs no key."""
    cost: int = DEFAULT_COST
    """Tokens; for a batch, per order."""
    write: bool = False
    """Whether it is paid from the write bucket."""
    status: int = 200
    fault: str = "read"


def endpoint_costs(venue: Venue, request: Request) -> dict[str, Any]:
    other = [e for e in ENDPOINTS if e.cost != DEFAULT_COST]
    return {
        "default_cost": DEFAULT_COST,
        "endpoint_costs": [{"method": e.method, "path": PREFIX + e.path, "cost": e.cost} for e in other],
    }


def _public(path: str, handler: Handler) -> Endpoint:
    return Endpoint("GET", path, handler)


def _read(path: str, handler: Handler, cost: int = DEFAULT_COST, scope: str = "read") -> Endpoint:
    return Endpoint("GET", path, handler, scope, cost)


def _trade(method: str, path: str, handler: Handler, cost: int = DEFAULT_COST, **more: Any) -> Endpoint:
    return Endpoint(method, path, handler, "write::trade", cost, write=True, **more)


def _admin(method: str, path: str, handler: Handler, scope: str = "write", **more: Any) -> Endpoint:
    return Endpoint(method, path, handler, scope, fault="write", **more)


ORDERS, OLD, GROUPS = "/portfolio/events/orders", "/portfolio/orders", "/portfolio/order_groups"
GROUP = f"{GROUPS}/:order_group_id"
SERIES, SHARDS = "/series/:series_ticker", "/portfolio/intra_exchange_instance_transfer"

ENDPOINTS = [
    _public("/exchange/status", public.status),
    _public("/exchange/schedule", public.schedule),
    _public("/exchange/user_data_timestamp", public.user_data_timestamp),
    _public("/series", public.series_list),
    _public("/series/fee_changes", public.series_fee_changes),
    _public(SERIES, public.series),
    _public(f"{SERIES}/markets/:ticker/candlesticks", history.candlesticks),
    _public(f"{SERIES}/events/:ticker/candlesticks", history.event_candlesticks),
    _public("/events", public.events),
    _public("/events/fee_changes", public.event_fee_changes),
    _public("/events/multivariate", public.multivariate_events),
    _public("/events/:event_ticker", public.event),
    _public("/events/:event_ticker/metadata", public.event_metadata),
    _public("/markets", public.markets),
    _public("/markets/trades", public.trades),
    _public("/markets/orderbooks", public.orderbooks),
    _public("/markets/candlesticks", history.batch_candlesticks),
    _public("/markets/:ticker", public.market),
    _public("/markets/:ticker/orderbook", public.orderbook),
    _public("/milestones", public.milestones),
    _public("/milestones/:milestone_id", public.milestone),
    _public("/structured_targets", public.targets),
    _public("/structured_targets/:structured_target_id", public.target),
    _public("/multivariate_event_collections", public.multivariate_collections),
    _public("/search/filters_by_sport", public.filters_by_sport),
    _public("/search/tags_by_categories", public.tags_by_categories),
    _public("/historical/cutoff", history.cutoff),
    _public("/historical/markets", history.old_markets),
    _public("/historical/markets/:ticker", history.old_market),
    _public("/historical/markets/:ticker/candlesticks", history.old_candlesticks),
    _public("/historical/trades", history.old_trades),
    _read("/historical/fills", portfolio.old_fills),
    _read("/historical/orders", portfolio.old_orders),
    _read("/historical/positions", portfolio.old_positions),
    _public("/account/endpoint_costs", endpoint_costs),
    _read("/account/limits", account.limits),
    _read("/account/api_usage_level/volume_progress", account.volume_progress),
    _admin("POST", "/account/api_usage_level/upgrade", account.upgrade, cost=30, status=201),
    _read("/api_keys", account.key_list),
    _admin("POST", "/api_keys", account.key_create, status=201),
    _admin("POST", "/api_keys/generate", account.key_generate, status=201),
    _admin("DELETE", "/api_keys/:api_key", account.key_delete, status=204),
    _read("/portfolio/balance", portfolio.balance, scope="read::portfolio_balance"),
    _read("/portfolio/positions", portfolio.positions),
    _read("/portfolio/fills", portfolio.fills),
    _read("/portfolio/settlements", portfolio.settlements),
    _read("/portfolio/deposits", account.deposits),
    _read("/portfolio/withdrawals", account.withdrawals),
    _read("/portfolio/summary/total_resting_order_value", account.resting_value),
    _read(OLD, portfolio.order_list),
    _read(f"{OLD}/queue_positions", portfolio.queue_positions),
    _read(f"{OLD}/:order_id", portfolio.order, 2),
    _read(f"{OLD}/:order_id/queue_position", portfolio.queue_position),
    _trade("POST", ORDERS, commands.create, status=201, fault="create"),
    _trade("DELETE", ORDERS, commands.cancel_all, 2, status=204, fault="cancel"),
    _trade("POST", f"{ORDERS}/batched", commands.batch_create, status=201, fault="create"),
    _trade("DELETE", f"{ORDERS}/batched", commands.batch_cancel, 2, fault="cancel"),
    _trade("DELETE", f"{ORDERS}/:order_id", commands.cancel, 2, fault="cancel"),
    _trade("POST", f"{ORDERS}/:order_id/amend", commands.amend, fault="create"),
    _trade("POST", f"{ORDERS}/:order_id/decrease", commands.decrease, fault="cancel"),
    _read(GROUPS, commands.group_list),
    _read(GROUP, commands.group),
    _trade("POST", f"{GROUPS}/create", commands.group_create, status=201, fault="write"),
    _trade("PUT", f"{GROUP}/limit", commands.group_limit, fault="write"),
    _trade("PUT", f"{GROUP}/reset", commands.group_reset, fault="write"),
    _trade("PUT", f"{GROUP}/trigger", commands.group_trigger, fault="write"),
    _trade("DELETE", GROUP, commands.group_delete, fault="write"),
    _admin("POST", SHARDS, account.transfer, "write::transfer"),
    _read(f"{SHARDS}s", account.transfers),
    _read(f"{SHARDS}s/:transfer_id", account.one_transfer),
    _read("/portfolio/target_balance_allocation", account.allocation),
    _admin("POST", "/portfolio/target_balance_allocation", account.set_allocation, "write::transfer"),
    _read("/portfolio/subaccounts/balances", account.subaccount_balances, scope="read::portfolio_balance"),
    _read("/portfolio/subaccounts/transfers", account.no_transfers),
    _read("/portfolio/subaccounts/netting", account.netting),
    _admin("PUT", "/portfolio/subaccounts/netting", account.set_netting),
    _trade("POST", OLD, commands.removed),
    _trade("DELETE", f"{OLD}/:order_id", commands.removed),
    _trade("POST", f"{OLD}/:order_id/amend", commands.removed),
    _trade("POST", f"{OLD}/:order_id/decrease", commands.removed),
    _trade("POST", f"{OLD}/batched", commands.removed),
    _trade("DELETE", f"{OLD}/batched", commands.removed),
]

FIXED = {(e.method, e.path): e for e in ENDPOINTS if ":" not in e.path}
PATTERNS = [(e.method, e.path.split("/"), e) for e in ENDPOINTS if ":" in e.path]


def find(method: str, path: str) -> tuple[Endpoint, dict[str, str]] | None:
    """The endpoint of a path below the prefix, with what its placeholders stand for."""
    if found := FIXED.get((method, path)):
        return found, {}
    parts = path.split("/")
    for verb, pattern, endpoint in PATTERNS:
        if verb == method and len(pattern) == len(parts):
            pairs = list(zip(pattern, parts, strict=True))
            if all(want.startswith(":") or want == part for want, part in pairs):
                return endpoint, {want[1:]: unquote(part) for want, part in pairs if want.startswith(":")}
    return None
