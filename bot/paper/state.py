"""What outlives the process: every account effect, the listed markets, the life's own state (which quotes anew).

One SQLite file in write-ahead mode. The recorder hears the engine and keeps what changed; `flush` writes it in one
transaction and runs before any answer leaves, so nothing acknowledged is lost with the process.
"""

import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from bot.paper.engine import Engine
from bot.paper.ledger import Account, Allocation
from bot.paper.model import (
    Event,
    FeeChange,
    Fill,
    Listener,
    Market,
    Milestone,
    Order,
    OrderGroup,
    Position,
    Series,
    Settlement,
    StructuredTarget,
    Transfer,
)

SCHEMA = """
create table if not exists record (kind text not null, key text not null, body blob not null, primary key (kind, key))
without rowid
"""

KINDS: dict[type, str] = {
    Series: "series",
    Event: "event",
    Milestone: "milestone",
    StructuredTarget: "target",
    FeeChange: "fees",
}

_pack = msgspec.msgpack.Encoder().encode


class State(Listener):
    """The recorder of one engine. Records of accounts are keyed `user/key` in the order they were made."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = normal")
        self._db.execute(SCHEMA)
        self._dirty: dict[tuple[str, str], Any] = {}
        self._touched: set[str] = set()
        self._engine: Engine | None = None
        self.life_changed = False

    # Restoring

    def note(self, key: str) -> bytes | None:
        """A value kept under a name, such as the life's state."""
        row = self._db.execute("select body from record where kind = 'note' and key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def keep(self, key: str, body: bytes) -> None:
        """Keep a value under a name with the next flush."""
        self._dirty["note", key] = msgspec.Raw(body)

    def restore(self, engine: Engine) -> None:
        """Fill an empty engine with what was kept; then listen to it."""
        kept: list[tuple[str, Any, dict[str, Any]]] = [
            ("series", Series, engine.series),
            ("event", Event, engine.events),
            ("milestone", Milestone, engine.milestones),
            ("target", StructuredTarget, engine.targets),
        ]
        for kind, cls, known in kept:
            for key, body in self._rows(kind):
                known[key] = msgspec.msgpack.decode(body, type=cls)
        for _, body in self._rows("market"):
            engine.adopt_market(msgspec.msgpack.decode(body, type=Market))
        for _, body in self._rows("fees"):
            engine.adopt_fee_change(msgspec.msgpack.decode(body, type=FeeChange))
        self._restore_accounts(engine)
        self._engine = engine
        engine.listeners.append(self)

    def _restore_accounts(self, engine: Engine) -> None:
        accounts: dict[str, Account] = {}
        for key, body in self._rows("cash"):
            user, _, shard = key.partition("/")
            accounts.setdefault(user, Account(user, 0)).wallets[int(shard or 0)] = int(body)
        for user, body in self._rows("allocation"):
            accounts[user].allocation = msgspec.msgpack.decode(body, type=Allocation)
        for key, body in self._rows("transfer"):
            accounts[key.partition("/")[0]].transfers.append(msgspec.msgpack.decode(body, type=Transfer))
        for _, body in self._rows("group"):
            group = msgspec.msgpack.decode(body, type=OrderGroup)
            accounts[group.user_id].groups[group.id] = group
        for _, body in self._rows("order"):
            order = msgspec.msgpack.decode(body, type=Order)
            accounts[order.user_id].orders[order.order_id] = order
        for account in accounts.values():
            account.orders = dict(sorted(account.orders.items(), key=lambda item: item[1].number))
        for _, body in self._rows("fill"):
            fill = msgspec.msgpack.decode(body, type=Fill)
            accounts[fill.user_id].fills.append(fill)
        for key, body in self._rows("settlement"):
            accounts[key.partition("/")[0]].settlements.append(msgspec.msgpack.decode(body, type=Settlement))
        for key, body in self._rows("position"):
            position = msgspec.msgpack.decode(body, type=Position)
            accounts[key.partition("/")[0]].positions[position.ticker] = position
        for key, _ in self._rows("client"):
            user, _, client_id = key.partition("/")
            accounts[user].client_ids.add(client_id)
        for account in accounts.values():
            engine.adopt_account(account)

    def _rows(self, kind: str) -> list[tuple[str, bytes]]:
        return self._db.execute("select key, body from record where kind = ? order by key", (kind,)).fetchall()

    # Writing

    def flush(self) -> None:
        """Write what changed since the last flush, all or nothing."""
        engine = self._engine
        for user in self._touched if engine else ():
            assert engine is not None
            for shard, cash in engine.accounts[user].wallets.items():
                self._dirty["cash", f"{user}/{shard}"] = cash
        self._touched.clear()
        if not self._dirty:
            return
        gone = [key for key, thing in self._dirty.items() if thing is None]
        kept = [(*key, _body(thing)) for key, thing in self._dirty.items() if thing is not None]
        self._dirty.clear()
        try:
            self._db.execute("begin immediate")
            self._db.executemany("delete from record where kind = ? and key = ?", gone)
            self._db.executemany("insert or replace into record values (?, ?, ?)", kept)
            self._db.execute("commit")
        except sqlite3.Error as problem:
            raise SystemExit(
                f"exchange: the state cannot be written ({problem}); free the disk and start again"
            ) from None

    def open_account(self, user_id: str, cash: int) -> None:
        self._dirty["cash", f"{user_id}/0"] = cash

    def close(self) -> None:
        self.flush()
        self._db.close()

    # Listening

    def added(self, thing: Series | Event | Milestone | StructuredTarget | FeeChange) -> None:
        self._dirty[KINDS[type(thing)], _key(thing)] = thing

    def event_fee(self, event: Event) -> None:
        self.added(event)

    def listed(self, market: Market) -> None:
        self._dirty["market", market.ticker] = market
        self.life_changed = True

    def changed(self, market: Market) -> None:
        self._dirty["market", market.ticker] = market

    def lifecycle(self, market: Market, kind: str, now_ms: int) -> None:
        self.life_changed = True

    def removed(self, thing: Market | Event | Milestone) -> None:
        if isinstance(thing, Market):
            self._dirty["market", thing.ticker] = None
        else:
            self._dirty[KINDS[type(thing)], _key(thing)] = None
        self.life_changed = True

    def order(self, order: Order) -> None:
        self._dirty["order", f"{order.user_id}/{order.order_id}"] = order

    def group(self, group: OrderGroup, kind: str, now_ms: int) -> None:
        self._dirty["group", f"{group.user_id}/{group.id}"] = None if kind == "deleted" else group

    def transfer(self, user_id: str, transfer: Transfer | None) -> None:
        self._touched.add(user_id)
        if self._engine:
            account = self._engine.accounts[user_id]
            self._dirty["allocation", user_id] = account.allocation
            if transfer:
                self._dirty["transfer", f"{user_id}/{len(account.transfers):09d}"] = transfer

    def client_id(self, user_id: str, client_order_id: str) -> None:
        self._dirty["client", f"{user_id}/{client_order_id}"] = msgspec.Raw(b"")

    def fill(self, fill: Fill) -> None:
        number = len(self._engine.accounts[fill.user_id].fills) if self._engine else 0
        self._dirty["fill", f"{fill.user_id}/{number:09d}"] = fill

    def position(self, user_id: str, position: Position) -> None:
        self._dirty["position", f"{user_id}/{position.ticker}"] = position
        self._touched.add(user_id)

    def settlement(self, user_id: str, settlement: Settlement) -> None:
        number = len(self._engine.accounts[user_id].settlements) if self._engine else 0
        self._dirty["settlement", f"{user_id}/{number:09d}"] = settlement


def _key(thing: Series | Event | Milestone | StructuredTarget | FeeChange) -> str:
    if isinstance(thing, Series):
        return thing.ticker
    return thing.event_ticker if isinstance(thing, Event) else thing.id


def _body(thing: Any) -> bytes:
    if isinstance(thing, msgspec.Raw):
        return bytes(thing)
    return str(thing).encode() if isinstance(thing, int) else _pack(thing)
