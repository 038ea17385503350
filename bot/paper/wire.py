"""The exchange's objects as the JSON objects of Kalshi's wire (kalshi-api.md sections 4 and 6.5).

Every required field is present and non-null, deprecated direction fields too; absent optional fields are left out.
"""

from datetime import UTC, datetime
from typing import Any

from bot.core.units import format_count, format_money, format_price
from bot.paper.engine import Engine
from bot.paper.model import (
    Event,
    FeeChange,
    Fill,
    Market,
    Milestone,
    Order,
    Position,
    Series,
    Settlement,
    Side,
    StructuredTarget,
    Trade,
    Transfer,
)
from bot.paper.tape import Candle, Day, Range

Json = dict[str, Any]

OUTCOME: dict[Side, str] = {"bid": "yes", "ask": "no"}
ACTION: dict[Side, str] = {"bid": "buy", "ask": "sell"}
SOURCES = [{"name": "Paper exchange", "url": "https://example.org/results"}]


def rfc3339(ms: int) -> str:
    """Epoch milliseconds -> '2026-11-21T20:00:01.250Z'."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def series(s: Series) -> Json:
    return {
        "ticker": s.ticker,
        "frequency": s.frequency,
        "title": s.title,
        "category": s.category,
        "categories": [s.category],
        "tags": s.tags,
        "settlement_sources": SOURCES,
        "contract_url": "https://example.org/contract",
        "contract_terms_url": "https://example.org/terms",
        "fee_type": s.fee_type,
        "fee_multiplier": s.fee_multiplier,
        "additional_prohibitions": [],
        "exchange_index": s.exchange_index,
    }


def event(e: Event) -> Json:
    body: Json = {
        "event_ticker": e.event_ticker,
        "series_ticker": e.series_ticker,
        "title": e.title,
        "sub_title": e.sub_title,
        "collateral_return_type": e.collateral_return_type,
        "mutually_exclusive": e.mutually_exclusive,
        "category": e.category,
        "settlement_sources": SOURCES,
        "product_metadata": e.product_metadata,
        "last_updated_ts": rfc3339(e.updated_ms),
        "exchange_index": e.exchange_index,
    }
    if e.fee_type_override is not None:
        body["fee_type_override"] = e.fee_type_override
    if e.fee_multiplier_override is not None:
        body["fee_multiplier_override"] = e.fee_multiplier_override
    return body


def market(engine: Engine, m: Market, day: Day) -> Json:
    bid, bid_size, ask, ask_size = engine.best(m.ticker) if m.ticker in engine.books else (None, 0, None, 0)
    no_ask = 0 if m.status == "initialized" else 10_000
    shown_ask = ask if ask is not None else no_ask
    body: Json = {
        "ticker": m.ticker,
        "event_ticker": m.event_ticker,
        "market_type": "binary",
        "title": m.title,
        "subtitle": "",
        "yes_sub_title": m.yes_sub_title,
        "no_sub_title": m.no_sub_title,
        "created_time": rfc3339(m.created_ms),
        "updated_time": rfc3339(m.updated_ms),
        "open_time": rfc3339(m.open_ms),
        "close_time": rfc3339(m.close_ms),
        "expected_expiration_time": rfc3339(m.expected_expiration_ms),
        "occurrence_datetime": rfc3339(m.expected_expiration_ms if m.occurrence_ms is None else m.occurrence_ms),
        "expiration_time": rfc3339(m.latest_expiration_ms),
        "latest_expiration_time": rfc3339(m.latest_expiration_ms),
        "settlement_timer_seconds": m.settlement_timer_s,
        "status": m.status,
        "yes_bid_dollars": format_price(bid or 0),
        "yes_bid_size_fp": format_count(bid_size),
        "yes_ask_dollars": format_price(shown_ask),
        "yes_ask_size_fp": format_count(ask_size),
        "no_bid_dollars": format_price(10_000 - shown_ask),
        "no_ask_dollars": format_price(10_000 - (bid or 0)),
        "last_price_dollars": format_price(m.last_price),
        "previous_price_dollars": format_price(day.price),
        "previous_yes_bid_dollars": format_price(day.bid),
        "previous_yes_ask_dollars": format_price(day.ask),
        "volume_fp": format_count(m.volume),
        "volume_24h_fp": format_count(day.volume),
        "open_interest_fp": format_count(m.open_interest),
        "liquidity_dollars": "0.0000",
        "notional_value_dollars": "1.0000",
        "result": m.result,
        "can_close_early": m.can_close_early,
        "early_close_condition": m.early_close_condition,
        "settlement_bounds_type": "default",
        "expiration_value": m.result,
        "rules_primary": m.rules_primary,
        "rules_secondary": m.rules_secondary,
        "price_level_structure": m.price_level_structure,
        "price_ranges": ranges(m),
        "strike_type": m.strike_type,
        "custom_strike": m.custom_strike,
        "exchange_index": m.exchange_index,
    }
    if m.floor_strike is not None:
        body["floor_strike"] = m.floor_strike
    if m.cap_strike is not None:
        body["cap_strike"] = m.cap_strike
    if m.settlement_value is not None:
        body["settlement_value_dollars"] = format_price(m.settlement_value)
    if m.settled_ms is not None:
        body["settlement_ts"] = rfc3339(m.settled_ms)
    return body


def ranges(m: Market) -> list[Json]:
    return [
        {"start": format_price(start), "end": format_price(end), "step": format_price(step)}
        for start, end, step in m.price_ranges
    ]


def book_levels(
    engine: Engine, ticker: str, depth: int = 0, *, yes_price: bool = False
) -> tuple[list[list[str]], list[list[str]]]:
    """(YES bids, NO bids) as [price, count], prices ascending; with `yes_price` NO levels are in YES prices."""
    bids, asks = engine.depth(ticker)
    if depth:
        bids, asks = bids[-depth:], asks[:depth]
    yes = [[format_price(price), format_count(size)] for price, size in bids]
    if yes_price:
        return yes, [[format_price(price), format_count(size)] for price, size in asks]
    return yes, [[format_price(10_000 - price), format_count(size)] for price, size in reversed(asks)]


def milestone(m: Milestone) -> Json:
    return {
        "id": m.id,
        "category": m.category,
        "type": m.type,
        "start_date": rfc3339(m.start_ms),
        "related_event_tickers": m.related_event_tickers,
        "primary_event_tickers": m.primary_event_tickers,
        "title": m.title,
        "notification_message": m.title,
        "details": m.details,
        "last_updated_ts": rfc3339(m.updated_ms or m.start_ms),
    }


def target(t: StructuredTarget) -> Json:
    return {"id": t.id, "name": t.name, "type": t.type, "details": t.details, "source_ids": {}}


def trade(t: Trade) -> Json:
    return {
        "trade_id": t.trade_id,
        "ticker": t.ticker,
        "count_fp": format_count(t.count),
        "yes_price_dollars": format_price(t.price),
        "no_price_dollars": format_price(10_000 - t.price),
        "taker_side": OUTCOME[t.taker_side],
        "taker_outcome_side": OUTCOME[t.taker_side],
        "taker_book_side": t.taker_side,
        "created_time": rfc3339(t.ms),
        "is_block_trade": False,
    }


def order(o: Order, exchange_index: int) -> Json:
    body: Json = {
        "order_id": o.order_id,
        "user_id": o.user_id,
        "client_order_id": o.client_order_id,
        "ticker": o.ticker,
        "side": "yes",
        "action": ACTION[o.side],
        "outcome_side": OUTCOME[o.side],
        "book_side": o.side,
        "type": "limit",
        "status": o.status,
        "yes_price_dollars": format_price(o.price),
        "no_price_dollars": format_price(10_000 - o.price),
        "initial_count_fp": format_count(o.initial),
        "fill_count_fp": format_count(o.filled),
        "remaining_count_fp": format_count(o.remaining),
        "taker_fill_cost_dollars": format_money(o.taker_cost),
        "maker_fill_cost_dollars": format_money(o.maker_cost),
        "taker_fees_dollars": format_money(o.taker_fees),
        "maker_fees_dollars": format_money(o.maker_fees),
        "created_time": rfc3339(o.created_ms),
        "last_update_time": rfc3339(o.updated_ms),
        "self_trade_prevention_type": o.self_trade,
        "cancel_order_on_pause": o.cancel_on_pause,
        "subaccount_number": 0,
        "exchange_index": exchange_index,
    }
    if o.group_id:
        body["order_group_id"] = o.group_id
    if o.expiration_ms is not None:
        body["expiration_time"] = rfc3339(o.expiration_ms)
    return body


def order_result(o: Order, now_ms: int) -> Json:
    """The lean answer to create and amend; averages are per contract, the price in YES terms."""
    body: Json = {
        "order_id": o.order_id,
        "fill_count": format_count(o.filled),
        "remaining_count": format_count(o.remaining),
        "ts_ms": now_ms,
    }
    if o.client_order_id:
        body["client_order_id"] = o.client_order_id
    if o.filled:
        body["average_fill_price"] = format_price(_rounded(o.filled_value, o.filled))
        body["average_fee_paid"] = format_price(_rounded(o.taker_fees + o.maker_fees, o.filled))
    return body


def _rounded(money: int, count: int) -> int:
    return (2 * money + count) // (2 * count)


def fill(f: Fill, exchange_index: int) -> Json:
    return {
        "fill_id": f.trade_id,
        "trade_id": f.trade_id,
        "order_id": f.order_id,
        "ticker": f.ticker,
        "market_ticker": f.ticker,
        "exchange_index": exchange_index,
        "side": OUTCOME[f.side],
        "action": ACTION[f.side],
        "outcome_side": OUTCOME[f.side],
        "book_side": f.side,
        "count_fp": format_count(f.count),
        "yes_price_dollars": format_price(f.price),
        "no_price_dollars": format_price(10_000 - f.price),
        "is_taker": f.is_taker,
        "created_time": rfc3339(f.ms),
        "fee_cost": format_money(f.fee),
        "subaccount_number": 0,
        "ts": f.ms // 1000,
    }


def position(p: Position, exchange_index: int) -> Json:
    return {
        "ticker": p.ticker,
        "exchange_index": exchange_index,
        "total_traded_dollars": format_money(p.traded),
        "position_fp": format_count(p.count),
        "market_exposure_dollars": format_money(p.cost),
        "realized_pnl_dollars": format_money(p.realized),
        "fees_paid_dollars": format_money(p.fees),
        "last_updated_ts": rfc3339(p.updated_ms),
    }


def event_position(event_ticker: str, positions: list[Position]) -> Json:
    return {
        "event_ticker": event_ticker,
        "total_cost_dollars": format_money(sum(p.traded for p in positions)),
        "total_cost_shares_fp": format_count(sum(abs(p.count) for p in positions)),
        "event_exposure_dollars": format_money(sum(p.cost for p in positions)),
        "realized_pnl_dollars": format_money(sum(p.realized for p in positions)),
        "fees_paid_dollars": format_money(sum(p.fees for p in positions)),
    }


def settlement(s: Settlement, exchange_index: int) -> Json:
    yes = s.count > 0
    return {
        "ticker": s.ticker,
        "event_ticker": s.event_ticker,
        "exchange_index": exchange_index,
        "market_result": s.result,
        "yes_count_fp": format_count(s.count if yes else 0),
        "yes_total_cost_dollars": format_money(s.cost if yes else 0),
        "no_count_fp": format_count(0 if yes else -s.count),
        "no_total_cost_dollars": format_money(0 if yes else s.cost),
        "revenue": s.revenue // 10_000,
        "settled_time": rfc3339(s.ms),
        "fee_cost": format_money(s.fee),
        "value": s.value // 100,
    }


def fee_change(f: FeeChange) -> Json:
    body: Json = {"id": f.id, "series_ticker": f.series_ticker, "scheduled_ts": rfc3339(f.scheduled_ms)}
    if f.event_ticker:
        override = {"fee_type_override": f.fee_type, "fee_multiplier_override": f.fee_multiplier}
        return body | {"event_ticker": f.event_ticker} | override
    return body | {"fee_type": f.fee_type, "fee_multiplier": f.fee_multiplier}


def transfer(t: Transfer) -> Json:
    return {
        "transfer_id": t.id,
        "source": "event_contract",
        "destination": "event_contract",
        "source_exchange_shard": t.source,
        "destination_exchange_shard": t.destination,
        "amount": format_money(t.amount),
        "status": "complete",
        "created_ts": t.ms // 1000,
    }


def candle(c: Candle) -> Json:
    return {
        "end_period_ts": c.end_s,
        "yes_bid": _range(c.bid, "_dollars"),
        "yes_ask": _range(c.ask, "_dollars"),
        "price": _prices(c, "_dollars"),
        "volume_fp": format_count(c.volume),
        "open_interest_fp": format_count(c.open_interest),
    }


def old_candle(c: Candle) -> Json:
    """A candle of the historical tier: the same under other names, and null where nothing traded."""
    none = dict.fromkeys(("open", "low", "high", "close", "mean", "previous"))
    return {
        "end_period_ts": c.end_s,
        "yes_bid": _range(c.bid, ""),
        "yes_ask": _range(c.ask, ""),
        "price": none | _prices(c, ""),
        "volume": format_count(c.volume),
        "open_interest": format_count(c.open_interest),
    }


def _range(r: Range, suffix: str) -> Json:
    return {f"{name}{suffix}": format_price(getattr(r, name)) for name in ("open", "low", "high", "close")}


def _prices(c: Candle, suffix: str) -> Json:
    body = {f"previous{suffix}": format_price(c.previous)} if c.previous else {}
    if c.price:
        body |= _range(c.price, suffix) | {f"mean{suffix}": format_price(_rounded(c.value, c.volume))}
    if c.price and suffix:
        body |= {f"min{suffix}": format_price(c.price.low), f"max{suffix}": format_price(c.price.high)}
    return body
