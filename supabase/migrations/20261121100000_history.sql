-- The trade history of the bot. Safe to run again: it creates only what is missing.
-- Units: _e4 price in 1/10,000 dollar, _e2 count in 1/100 contract, _e6 money in 1/1,000,000 dollar,
-- _ms milliseconds since 1970. Only the secret key (role service_role) gets in: row level security is on and has
-- no policy. Facts can only be added; an order or a trade can also be brought up to date.

create table if not exists public.orders (
    mode text not null check (mode in ('paper', 'demo', 'live')),
    client_order_id text not null,
    order_id text not null,
    trade_id text not null,
    ticker text not null,
    side text not null check (side in ('bid', 'ask')),
    purpose text not null check (purpose in ('entry', 'exit')),
    time_in_force text not null,
    price_e4 bigint not null,
    count_e2 bigint not null,
    filled_e2 bigint not null,
    fees_e6 bigint not null,
    state text not null,
    reason text not null,
    created_ms bigint not null,
    updated_ms bigint not null,
    version bigint not null,
    primary key (mode, client_order_id)
);
create index if not exists orders_time on public.orders (mode, created_ms);

create table if not exists public.fills (
    mode text not null check (mode in ('paper', 'demo', 'live')),
    trade_id text not null,
    order_id text not null,
    client_order_id text not null,
    ticker text not null,
    side text not null check (side in ('bid', 'ask')),
    price_e4 bigint not null,
    count_e2 bigint not null,
    fee_e6 bigint not null,
    is_taker boolean not null,
    at_ms bigint not null,
    primary key (mode, trade_id)
);
create index if not exists fills_time on public.fills (mode, at_ms);

create table if not exists public.trades (
    mode text not null check (mode in ('paper', 'demo', 'live')),
    id text not null,
    ticker text not null,
    event_ticker text not null,
    title text not null,
    strategy text not null,
    side text not null check (side in ('YES', 'NO')),
    count_e2 bigint not null,
    entry_price_e4 bigint not null,
    entry_cost_e6 bigint not null,
    exit_price_e4 bigint,
    exit_value_e6 bigint,
    fees_e6 bigint not null,
    pnl_e6 bigint,
    exit_kind text not null check (exit_kind in ('', 'stop', 'target', 'time', 'settlement', 'manual')),
    entry_reason text not null,
    exit_reason text not null,
    opened_ms bigint not null,
    closed_ms bigint,
    version bigint not null,
    primary key (mode, id)
);
create index if not exists trades_time on public.trades (mode, opened_ms);

create table if not exists public.settlements (
    mode text not null check (mode in ('paper', 'demo', 'live')),
    ticker text not null,
    settled_ms bigint not null,
    result text not null,
    revenue_e6 bigint not null,
    fee_e6 bigint not null,
    yes_count_e2 bigint not null,
    no_count_e2 bigint not null,
    primary key (mode, ticker, settled_ms)
);
create index if not exists settlements_time on public.settlements (mode, settled_ms);

create table if not exists public.equity (
    mode text not null check (mode in ('paper', 'demo', 'live')),
    at_ms bigint not null,
    cash_e6 bigint not null,
    exposure_e6 bigint not null,
    equity_e6 bigint not null,
    realized_e6 bigint not null,
    unrealized_e6 bigint not null,
    fees_e6 bigint not null,
    primary key (mode, at_ms)
);

create table if not exists public.decisions (
    mode text not null check (mode in ('paper', 'demo', 'live')),
    id text not null,
    pass_id text not null,
    at_ms bigint not null,
    ticker text not null,
    action text not null,
    reason text not null,
    rules text not null,
    numbers jsonb not null,
    primary key (mode, id)
);
create index if not exists decisions_time on public.decisions (mode, at_ms);

create table if not exists public.audit (
    mode text not null check (mode in ('paper', 'demo', 'live')),
    id text not null,
    at_ms bigint not null,
    actor text not null,
    verb text not null,
    args jsonb not null,
    result text not null,
    position bigint not null,
    previous text not null,
    hash text not null,
    primary key (mode, id)
);
create index if not exists audit_time on public.audit (mode, at_ms);

create table if not exists public.schema_migrations (
    version text primary key,
    applied_at timestamptz not null default now()
);

-- An update that is not newer than what is there is left out, so a late retry never undoes a later state.
create or replace function public.keep_newer_version() returns trigger
    language plpgsql security invoker set search_path = '' as
$$
begin
    if new.version <= old.version then
        return null;
    end if;
    return new;
end
$$;
revoke execute on function public.keep_newer_version() from public, anon, authenticated;

create or replace trigger keep_newer_version before update on public.orders
    for each row execute function public.keep_newer_version();
create or replace trigger keep_newer_version before update on public.trades
    for each row execute function public.keep_newer_version();

alter table public.orders enable row level security;
alter table public.fills enable row level security;
alter table public.trades enable row level security;
alter table public.settlements enable row level security;
alter table public.equity enable row level security;
alter table public.decisions enable row level security;
alter table public.audit enable row level security;
alter table public.schema_migrations enable row level security;

revoke all on
    public.orders,
    public.fills,
    public.trades,
    public.settlements,
    public.equity,
    public.decisions,
    public.audit,
    public.schema_migrations
    from anon, authenticated, service_role;
grant usage on schema public to service_role;
grant select, insert on public.fills, public.settlements, public.equity, public.decisions, public.audit
    to service_role;
grant select, insert, update on public.orders, public.trades to service_role;
grant select on public.schema_migrations to service_role;

insert into public.schema_migrations (version) values ('20261121100000') on conflict do nothing;
notify pgrst, 'reload schema';
