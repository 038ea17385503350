"""The schema of history.db, step by step; supabase/migrations holds the same tables for PostgreSQL."""

STEPS = (
    """
    CREATE TABLE orders (
        row INTEGER PRIMARY KEY, mode TEXT NOT NULL, client_order_id TEXT NOT NULL, order_id TEXT NOT NULL,
        trade_id TEXT NOT NULL, ticker TEXT NOT NULL, side TEXT NOT NULL, purpose TEXT NOT NULL,
        time_in_force TEXT NOT NULL, price_e4 INTEGER NOT NULL, count_e2 INTEGER NOT NULL, filled_e2 INTEGER NOT NULL,
        fees_e6 INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL, version INTEGER NOT NULL, UNIQUE (mode, client_order_id)) STRICT;
    CREATE INDEX orders_time ON orders (mode, created_ms, row);

    CREATE TABLE fills (
        row INTEGER PRIMARY KEY, mode TEXT NOT NULL, trade_id TEXT NOT NULL, order_id TEXT NOT NULL,
        client_order_id TEXT NOT NULL, ticker TEXT NOT NULL, side TEXT NOT NULL, price_e4 INTEGER NOT NULL,
        count_e2 INTEGER NOT NULL, fee_e6 INTEGER NOT NULL, is_taker INTEGER NOT NULL, at_ms INTEGER NOT NULL,
        UNIQUE (mode, trade_id)) STRICT;
    CREATE INDEX fills_time ON fills (mode, at_ms, row);

    CREATE TABLE trades (
        row INTEGER PRIMARY KEY, mode TEXT NOT NULL, id TEXT NOT NULL, ticker TEXT NOT NULL,
        event_ticker TEXT NOT NULL, title TEXT NOT NULL, strategy TEXT NOT NULL, side TEXT NOT NULL,
        count_e2 INTEGER NOT NULL, entry_price_e4 INTEGER NOT NULL, entry_cost_e6 INTEGER NOT NULL,
        exit_price_e4 INTEGER, exit_value_e6 INTEGER, fees_e6 INTEGER NOT NULL, pnl_e6 INTEGER,
        exit_kind TEXT NOT NULL, entry_reason TEXT NOT NULL, exit_reason TEXT NOT NULL, opened_ms INTEGER NOT NULL,
        closed_ms INTEGER, version INTEGER NOT NULL, UNIQUE (mode, id)) STRICT;
    CREATE INDEX trades_time ON trades (mode, opened_ms, row);

    CREATE TABLE settlements (
        row INTEGER PRIMARY KEY, mode TEXT NOT NULL, ticker TEXT NOT NULL, settled_ms INTEGER NOT NULL,
        result TEXT NOT NULL, revenue_e6 INTEGER NOT NULL, fee_e6 INTEGER NOT NULL, yes_count_e2 INTEGER NOT NULL,
        no_count_e2 INTEGER NOT NULL, UNIQUE (mode, ticker, settled_ms)) STRICT;
    CREATE INDEX settlements_time ON settlements (mode, settled_ms, row);

    CREATE TABLE equity (
        row INTEGER PRIMARY KEY, mode TEXT NOT NULL, at_ms INTEGER NOT NULL, cash_e6 INTEGER NOT NULL,
        exposure_e6 INTEGER NOT NULL, equity_e6 INTEGER NOT NULL, realized_e6 INTEGER NOT NULL,
        unrealized_e6 INTEGER NOT NULL, fees_e6 INTEGER NOT NULL, UNIQUE (mode, at_ms)) STRICT;

    CREATE TABLE decisions (
        row INTEGER PRIMARY KEY, mode TEXT NOT NULL, id TEXT NOT NULL, pass_id TEXT NOT NULL, at_ms INTEGER NOT NULL,
        ticker TEXT NOT NULL, action TEXT NOT NULL, reason TEXT NOT NULL, rules TEXT NOT NULL, numbers TEXT NOT NULL,
        UNIQUE (mode, id)) STRICT;
    CREATE INDEX decisions_time ON decisions (mode, at_ms, row);

    CREATE TABLE audit (
        row INTEGER PRIMARY KEY, mode TEXT NOT NULL, id TEXT NOT NULL, at_ms INTEGER NOT NULL, actor TEXT NOT NULL,
        verb TEXT NOT NULL, args TEXT NOT NULL, result TEXT NOT NULL, position INTEGER NOT NULL,
        previous TEXT NOT NULL, hash TEXT NOT NULL, UNIQUE (mode, id), UNIQUE (mode, position)) STRICT;
    CREATE INDEX audit_time ON audit (mode, at_ms, row);

    CREATE TABLE outbox (
        tbl TEXT NOT NULL, row INTEGER NOT NULL, n INTEGER NOT NULL, refused TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (tbl, row)) STRICT, WITHOUT ROWID;
    CREATE INDEX outbox_order ON outbox (tbl, refused, n);
    CREATE TABLE remote (only INTEGER PRIMARY KEY CHECK (only = 1), url TEXT NOT NULL) STRICT;
    INSERT INTO remote VALUES (1, '')
    """,
)
