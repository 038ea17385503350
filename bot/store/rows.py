"""The rows of the trade history: exact integers in fixed units, one type per table, the same in SQLite and Supabase.

Suffixes: _e4 price in 1/10,000 dollar, _e2 count in 1/100 contract, _e6 money in 1/1,000,000 dollar, _ms time in
milliseconds since 1970. Prices are YES prices unless the row names a side YES or NO.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec


class Table(msgspec.Struct, frozen=True):
    """How one row type is kept."""

    name: str
    key: str
    """Columns of the natural key (beside `mode`), comma separated."""
    time: str
    """The column that orders pages; it never changes for a row."""
    filters: tuple[str, ...]
    """Columns a page may be filtered by."""
    versioned: bool
    """True: a row may change, the higher version wins. False: a fact, the first one stays."""


class Order(msgspec.Struct, frozen=True):
    """One order of ours, as last known."""

    client_order_id: str
    order_id: str
    """Empty until the exchange has named it."""
    trade_id: str
    """The trade (entry to exit) it belongs to."""
    ticker: str
    side: Literal["bid", "ask"]
    purpose: Literal["entry", "exit", "target"]
    time_in_force: str
    price_e4: int
    count_e2: int
    filled_e2: int
    fees_e6: int
    state: str
    reason: str
    created_ms: int
    updated_ms: int
    version: int
    """Grows with each change, for example the journal seq of the record that made it."""


class Fill(msgspec.Struct, frozen=True):
    """One execution."""

    trade_id: str
    """The exchange's id of the execution, not our trade's."""
    order_id: str
    client_order_id: str
    ticker: str
    side: Literal["bid", "ask"]
    price_e4: int
    count_e2: int
    fee_e6: int
    is_taker: bool
    at_ms: int


class Trade(msgspec.Struct, frozen=True):
    """Entry to exit in one market. Exit columns are None while it is open."""

    id: str
    ticker: str
    event_ticker: str
    title: str
    strategy: str
    side: Literal["YES", "NO"]
    count_e2: int
    entry_price_e4: int
    """Average price of the side held, rounded; entry_cost_e6 is exact."""
    entry_cost_e6: int
    exit_price_e4: int | None
    exit_value_e6: int | None
    fees_e6: int
    pnl_e6: int | None
    """After fees."""
    exit_kind: Literal["", "stop", "target", "time", "settlement", "manual"]
    entry_reason: str
    exit_reason: str
    opened_ms: int
    closed_ms: int | None
    version: int


class Settlement(msgspec.Struct, frozen=True):
    """A market that paid out."""

    ticker: str
    settled_ms: int
    result: str
    revenue_e6: int
    fee_e6: int
    yes_count_e2: int
    no_count_e2: int


class Equity(msgspec.Struct, frozen=True):
    """The account at one moment."""

    at_ms: int
    cash_e6: int
    exposure_e6: int
    equity_e6: int
    realized_e6: int
    unrealized_e6: int
    fees_e6: int


class Decision(msgspec.Struct, frozen=True):
    """Why a market was traded or not in one pass."""

    id: str
    pass_id: str
    at_ms: int
    ticker: str
    action: str
    reason: str
    rules: str
    """Version of the rules and settings in force."""
    numbers: dict[str, Any]
    """What it rested on."""


class Audit(msgspec.Struct, frozen=True):
    """A command somebody gave. The history chains the rows by hash as it writes them."""

    id: str
    at_ms: int
    actor: str
    verb: str
    args: dict[str, Any]
    result: str
    position: int = 0
    previous: str = ""
    hash: str = ""


Row = Order | Fill | Trade | Settlement | Equity | Decision | Audit

TABLES: dict[type[Row], Table] = {
    Order: Table("orders", "client_order_id", "created_ms", ("ticker", "state", "purpose", "trade_id"), True),
    Fill: Table("fills", "trade_id", "at_ms", ("ticker", "order_id", "client_order_id"), False),
    Trade: Table("trades", "id", "opened_ms", ("ticker", "strategy", "side", "exit_kind", "closed_ms"), True),
    Settlement: Table("settlements", "ticker,settled_ms", "settled_ms", ("ticker", "result"), False),
    Equity: Table("equity", "at_ms", "at_ms", (), False),
    Decision: Table("decisions", "id", "at_ms", ("ticker", "action", "reason", "pass_id"), False),
    Audit: Table("audit", "id", "at_ms", ("actor", "verb", "result"), False),
}


def columns(row_type: type[Row]) -> tuple[str, ...]:
    """The columns of a row type, in order, without `mode`."""
    return row_type.__struct_fields__


def table_types() -> dict[str, type[Row]]:
    return {table.name: row_type for row_type, table in TABLES.items()}


def values(row: Row) -> tuple[Any, ...]:
    """The row as SQLite keeps it: objects as canonical JSON, booleans as 0 and 1."""
    return tuple(
        canonical(value) if isinstance(value, dict) else int(value) if isinstance(value, bool) else value
        for value in msgspec.structs.astuple(row)
    )


def payload(row_type: type[Row], kept: Sequence[Any]) -> dict[str, Any]:
    """What SQLite kept (`values`), by column, with objects and booleans restored."""
    return dict(zip(columns(row_type), _restored(row_type, kept), strict=True))


def from_values(row_type: type[Row], kept: Sequence[Any]) -> Row:
    """The inverse of `values`."""
    return row_type(*_restored(row_type, kept))


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces."""
    return msgspec.json.encode(value, order="sorted").decode()


_RESTORE: dict[str, Callable[[Any], Any]] = {
    "is_taker": bool,
    "numbers": msgspec.json.decode,
    "args": msgspec.json.decode,
}


def _restored(row_type: type[Row], kept: Sequence[Any]) -> list[Any]:
    return [
        _RESTORE[column](value) if column in _RESTORE else value
        for column, value in zip(columns(row_type), kept, strict=True)
    ]
