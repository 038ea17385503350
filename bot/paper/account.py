"""REST calls about the account: limits, keys, cash between shards, subaccounts (kalshi-api.md 2.6, 4.12, 4.15)."""

from typing import Annotated, Any, Literal

import msgspec

from bot.core.units import format_count, format_money
from bot.paper import groups, wire
from bot.paper.auth import Algorithm, Key, Scope
from bot.paper.http import Request, malformed, nested, page, rejected
from bot.paper.ledger import Allocation
from bot.paper.model import Rejected
from bot.paper.venue import Venue

Json = dict[str, Any]
Index = Annotated[int, msgspec.Meta(ge=0, le=100)]
LATELY = 100
"""Among how many of the last orders one must have come by API for an upgrade: here all do."""
MONTH_MS = 30 * 86_400_000
CENTI_CENT = 100


class NewKey(msgspec.Struct):
    name: str
    public_key: str = ""
    key_type: Algorithm = "rsa"
    scopes: list[Scope] | None = None
    subaccount: Annotated[int, msgspec.Meta(ge=0, le=63)] | None = None


class NewTransfer(msgspec.Struct):
    source: Literal["event_contract", "margined"]
    destination: Literal["event_contract", "margined"]
    amount: int
    """In centi-cents."""
    source_exchange_shard: Index = 0
    destination_exchange_shard: Index = 0
    source_subaccount: int = 0
    destination_subaccount: int = 0
    client_transfer_id: str = ""


class Share(msgspec.Struct):
    exchange_index: Index
    percent: Annotated[int, msgspec.Meta(ge=0, le=100)]


class Target(msgspec.Struct):
    allocations: list[Share]
    resting_margin_reservation: Literal["none", "max", "sum"] = "none"


class Netting(msgspec.Struct):
    subaccount_number: int
    enabled: bool


# Limits


def limits(venue: Venue, request: Request) -> Json:
    granted = [{"exchange_instance": "event_contract", "level": venue.tier, "source": "api_usage"}]
    return {
        "usage_tier": venue.tier,
        "read": {"refill_rate": venue.read.refill, "bucket_capacity": venue.read.capacity},
        "write": {"refill_rate": venue.write.refill, "bucket_capacity": venue.write.capacity},
        "grants": granted if venue.tier != venue.settings.tier else [],
    }


def upgrade(venue: Venue, request: Request) -> None:
    """Basic becomes Advanced once the account has placed an order; higher tiers stay."""
    if not venue.account.orders:
        raise nested(403, "permission_denied", f"one of the last {LATELY} orders must have been placed by API")
    if venue.tier == "basic":
        venue.set_tier("advanced")
        venue.state.keep("tier", b"advanced")


def volume_progress(venue: Venue, request: Request) -> Json:
    volume = sum(fill.count for fill in venue.account.fills if fill.ms >= request.now_ms - MONTH_MS)
    return {
        "volume_progress": [
            {
                "computed_ts": request.now_ms // 1000,
                "trailing_30d_volume_fp": format_count(volume),
                "goals": [{"level": "expert", "earn_volume_goal_fp": "1000000.00", "keep_volume_goal_fp": "500000.00"}],
            }
        ]
    }


# Keys


def key_list(venue: Venue, request: Request) -> Json:
    return {"api_keys": [_key(key) for key in venue.keys.keys.values()]}


def key_create(venue: Venue, request: Request) -> Json:
    """An own public key: for Premier and above."""
    body = request.json(NewKey)
    if venue.tier in ("basic", "advanced", "expert"):
        raise nested(403, "permission_denied", "own public keys need the Premier tier; use /api_keys/generate")
    try:
        key = venue.keys.add(_named(body), body.public_key, body.scopes, body.subaccount)
    except ValueError as wrong:
        raise malformed(f"public_key: {wrong}") from None
    return {"api_key_id": key.id}


def key_generate(venue: Venue, request: Request) -> Json:
    body = request.json(NewKey)
    key, private = venue.keys.generate(_named(body), body.key_type, body.scopes, body.subaccount)
    return {"api_key_id": key.id, "key_type": body.key_type, "private_key": private}


def key_delete(venue: Venue, request: Request) -> None:
    try:
        venue.keys.remove(request.params["api_key"])
    except KeyError:
        raise nested(404, "not_found") from None


def _named(body: NewKey) -> str:
    if not body.name:
        raise malformed("name is required")
    return body.name


def _key(key: Key) -> Json:
    body: Json = {"api_key_id": key.id, "name": key.name, "scopes": key.scopes}
    return body if key.subaccount is None else body | {"subaccount": key.subaccount}


# Cash between shards


def transfer(venue: Venue, request: Request) -> Json:
    body = request.json(NewTransfer)
    if "margined" in (body.source, body.destination) or body.source_subaccount or body.destination_subaccount:
        raise nested(400, "invalid_transfer", "only event contract cash of the main account can be moved")
    try:
        done = groups.transfer(
            venue.engine,
            request.user_id,
            body.source_exchange_shard,
            body.destination_exchange_shard,
            body.amount * CENTI_CENT,
            body.client_transfer_id,
            request.now_ms,
        )
    except Rejected as reason:
        raise rejected(reason) from None
    return {"transfer_id": done.id}


def transfers(venue: Venue, request: Request) -> Json:
    found = list(reversed(venue.account.transfers))
    part, cursor = page(found, lambda done: done.id, request, 100, 500, 1)
    return {"transfers": [wire.transfer(done) for done in part], "cursor": cursor}


def one_transfer(venue: Venue, request: Request) -> Json:
    for done in venue.account.transfers:
        if done.id == request.params["transfer_id"]:
            return {"transfer": wire.transfer(done)}
    raise nested(404, "not_found")


def allocation(venue: Venue, request: Request) -> Json:
    target = venue.account.allocation
    return {
        "allocations": [{"exchange_index": i, "percent": percent} for i, percent in target.percent.items()],
        "resting_margin_reservation": target.reservation,
    }


def set_allocation(venue: Venue, request: Request) -> Json:
    body = request.json(Target)
    percent = {share.exchange_index: share.percent for share in body.allocations}
    if len(percent) != len(body.allocations):
        raise malformed("an exchange_index is named twice")
    try:
        target = Allocation(percent, body.resting_margin_reservation)
        groups.allocate(venue.engine, request.user_id, target, request.now_ms)
    except Rejected as reason:
        raise rejected(reason) from None
    return {}


# Subaccounts: there is the main one only


def subaccount_balances(venue: Venue, request: Request) -> Json:
    account = venue.past.account(request.now_ms)
    row = {"subaccount_number": 0, "updated_ts": request.now_ms // 1000}
    rows = [row | {"exchange_index": i, "balance": format_money(cash)} for i, cash in sorted(account.wallets.items())]
    return {"subaccount_balances": rows}


def netting(venue: Venue, request: Request) -> Json:
    shards = sorted(venue.account.wallets)
    return {"netting_configs": [{"subaccount_number": 0, "enabled": False, "exchange_index": i} for i in shards]}


def set_netting(venue: Venue, request: Request) -> None:
    """Collateral is never returned here (section 5.2), so only switching it off is honest."""
    if request.json(Netting).enabled:
        raise nested(400, "invalid_netting", "the paper exchange returns no collateral: netting stays off")


def no_transfers(venue: Venue, request: Request) -> Json:
    return {"transfers": [], "cursor": ""}


def deposits(venue: Venue, request: Request) -> Json:
    return {"deposits": [], "cursor": ""}


def withdrawals(venue: Venue, request: Request) -> Json:
    return {"withdrawals": [], "cursor": ""}


def resting_value(venue: Venue, request: Request) -> Json:
    account = venue.past.account(request.now_ms)
    rows = [{"exchange_index": i, "balance": format_money(money)} for i, money in sorted(account.bound.items())]
    return {"total_resting_order_value": account.committed // 10_000, "resting_order_value_breakdown": rows}
