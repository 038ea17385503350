"""Order groups and cash between shards: what a member commands besides orders (kalshi-api.md sections 1.4, 4.11, 4.15).

Like bot.paper.orders: each command is atomic, done or Rejected.
"""

from bot.paper.engine import Engine
from bot.paper.ledger import Allocation
from bot.paper.model import OrderGroup, Rejected, Transfer

MAX_GROUPS = 100_000
MAX_LIMIT = 100_000_000
"""The largest limit of a group, in units of count: a million contracts."""


def create(engine: Engine, user_id: str, limit: int, exchange_index: int, now_ms: int) -> OrderGroup:
    """Open a group that may match up to `limit` contracts in any fifteen seconds."""
    account = engine.accounts[user_id]
    if len(account.groups) >= MAX_GROUPS:
        raise Rejected("too_many_order_groups")
    group = OrderGroup(engine.new_id(), user_id, _limit(limit), exchange_index)
    account.groups[group.id] = group
    engine.grouped(group, "created", now_ms)
    return group


def find(engine: Engine, user_id: str, group_id: str) -> OrderGroup:
    group = engine.accounts[user_id].groups.get(group_id)
    if group is None:
        raise Rejected("not_found")
    return group


def set_limit(engine: Engine, group: OrderGroup, limit: int, now_ms: int) -> None:
    """Change the limit; one below what the window has matched triggers the group."""
    engine.advance(now_ms)
    group.limit = _limit(limit)
    engine.grouped(group, "limit_updated", now_ms)
    if not group.triggered and engine.matched(group, now_ms) > group.limit:
        engine.trip(group, now_ms)


def trigger(engine: Engine, group: OrderGroup, now_ms: int) -> None:
    """Cancel the group's orders and refuse new ones, as the limit would."""
    engine.advance(now_ms)
    engine.trip(group, now_ms)


def reset(engine: Engine, group: OrderGroup, now_ms: int) -> None:
    """Forget what was matched and accept orders again."""
    group.triggered = False
    group.matched = []
    engine.grouped(group, "reset", now_ms)


def delete(engine: Engine, group: OrderGroup, now_ms: int) -> None:
    """Cancel the group's orders and forget it."""
    engine.advance(now_ms)
    for order in engine.of_group(group):
        engine.end(order, "canceled", "", now_ms)
    del engine.accounts[group.user_id].groups[group.id]
    engine.grouped(group, "deleted", now_ms)


def _limit(limit: int) -> int:
    if not 100 <= limit <= MAX_LIMIT:
        raise Rejected("invalid_contracts_limit", "between 1 and 1000000 contracts")
    return limit


def transfer(
    engine: Engine, user_id: str, source: int, destination: int, amount: int, client_id: str, now_ms: int
) -> Transfer:
    """Move free cash between two shards. A client id that was used before is refused."""
    engine.advance(now_ms)
    account = engine.accounts[user_id]
    if client_id and any(done.client_id == client_id for done in account.transfers):
        raise Rejected("transfer_already_exists")
    if amount <= 0 or source == destination:
        raise Rejected("invalid_transfer", "a positive amount between two different shards is needed")
    if amount > account.free(source):
        raise Rejected("insufficient_balance")
    account.pay(source, -amount)
    account.pay(destination, amount)
    done = Transfer(engine.new_id(), source, destination, amount, now_ms, client_id)
    account.transfers.append(done)
    for listener in engine.listeners:
        listener.transfer(user_id, done)
    return done


def allocate(engine: Engine, user_id: str, target: Allocation, now_ms: int) -> None:
    """Keep the cash at these percentages from now on; an empty target leaves it where it is."""
    if target.percent and sum(target.percent.values()) != 100:
        raise Rejected("invalid_allocation", "percentages must add up to 100")
    account = engine.accounts[user_id]
    account.allocation = target
    engine.allocate(account, now_ms)
