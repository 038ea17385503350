"""The `msg` objects of the WebSocket channels (kalshi-api.md section 6.5)."""

from bot.core.units import format_count, format_money, format_price
from bot.paper import wire
from bot.paper.engine import Engine
from bot.paper.model import Event, Fill, Market, Order, OrderGroup, Position, Side, Trade


def ticker(engine: Engine, m: Market, now_ms: int) -> wire.Json:
    bid, bid_size, ask, ask_size = engine.best(m.ticker)
    return {
        "market_ticker": m.ticker,
        "market_id": m.market_id,
        "price_dollars": format_price(m.last_price),
        "yes_bid_dollars": format_price(bid or 0),
        "yes_ask_dollars": format_price(10_000 if ask is None else ask),
        "yes_bid_size_fp": format_count(bid_size),
        "yes_ask_size_fp": format_count(ask_size),
        "last_trade_size_fp": format_count(m.last_count),
        "volume_fp": format_count(m.volume),
        "open_interest_fp": format_count(m.open_interest),
        "dollar_volume": m.dollar_volume // 1_000_000,
        "dollar_open_interest": m.open_interest // 100,
        "ts": now_ms // 1000,
        "ts_ms": now_ms,
        "time": wire.rfc3339(now_ms),
    }


def trade(t: Trade) -> wire.Json:
    return {
        "trade_id": t.trade_id,
        "market_ticker": t.ticker,
        "yes_price_dollars": format_price(t.price),
        "no_price_dollars": format_price(10_000 - t.price),
        "count_fp": format_count(t.count),
        "taker_side": wire.OUTCOME[t.taker_side],
        "taker_outcome_side": wire.OUTCOME[t.taker_side],
        "taker_book_side": t.taker_side,
        "is_block_trade": False,
        "ts": t.ms // 1000,
        "ts_ms": t.ms,
    }


def fill(f: Fill, exchange_index: int) -> wire.Json:
    body: wire.Json = {
        "trade_id": f.trade_id,
        "order_id": f.order_id,
        "market_ticker": f.ticker,
        "exchange_index": exchange_index,
        "is_taker": f.is_taker,
        "side": wire.OUTCOME[f.side],
        "action": wire.ACTION[f.side],
        "purchased_side": wire.OUTCOME[f.side],
        "outcome_side": wire.OUTCOME[f.side],
        "book_side": f.side,
        "yes_price_dollars": format_price(f.price),
        "count_fp": format_count(f.count),
        "fee_cost": format_money(f.fee),
        "post_position_fp": format_count(f.position),
        "ts": f.ms // 1000,
        "ts_ms": f.ms,
        "subaccount": 0,
    }
    if f.client_order_id:
        body["client_order_id"] = f.client_order_id
    return body


def order(o: Order, exchange_index: int) -> wire.Json:
    body = wire.order(o, exchange_index)
    for name in ("action", "type", "no_price_dollars", "cancel_order_on_pause"):
        del body[name]
    body["side"] = wire.OUTCOME[o.side]
    body["is_yes"] = o.side == "bid"
    body["created_ts_ms"] = o.created_ms
    body["last_updated_ts_ms"] = o.updated_ms
    body["last_update_reason"] = o.reason
    if o.expiration_ms is not None:
        body["expiration_ts_ms"] = o.expiration_ms
    return body


def position(user_id: str, p: Position) -> wire.Json:
    return {
        "user_id": user_id,
        "market_ticker": p.ticker,
        "position_fp": format_count(p.count),
        "position_cost_dollars": format_money(p.cost),
        "realized_pnl_dollars": format_money(p.realized),
        "fees_paid_dollars": format_money(p.fees),
        "position_fee_cost_dollars": format_money(p.fees),
        "volume_fp": format_count(p.volume),
        "subaccount": 0,
    }


def lifecycle(m: Market, kind: str, now_ms: int) -> wire.Json:
    body: wire.Json = {"event_type": kind, "market_ticker": m.ticker}
    if kind == "created":
        body |= {
            "open_ts": m.open_ms // 1000,
            "close_ts": m.close_ms // 1000,
            "exchange_index": m.exchange_index,
            "price_level_structure": m.price_level_structure,
            "price_ranges": wire.ranges(m),
            "additional_metadata": {
                "name": m.title,
                "title": m.title,
                "yes_sub_title": m.yes_sub_title,
                "no_sub_title": m.no_sub_title,
                "rules_primary": m.rules_primary,
                "rules_secondary": m.rules_secondary,
                "can_close_early": m.can_close_early,
                "event_ticker": m.event_ticker,
                "expected_expiration_ts": m.expected_expiration_ms // 1000,
                "strike_type": m.strike_type,
                **_strikes(m),
            },
        }
    elif kind in ("activated", "deactivated"):
        body["is_deactivated"] = kind == "deactivated"
    elif kind == "close_date_updated":
        body["close_ts"] = m.close_ms // 1000
    elif kind == "determined":
        body["result"] = m.result
        body["determination_ts"] = now_ms // 1000
        body["settlement_value"] = format_price(m.settlement_value or 0)
    elif kind == "settled":
        body["settled_ts"] = now_ms // 1000
    elif kind == "price_level_structure_updated":
        body["price_level_structure"] = m.price_level_structure
        body["price_ranges"] = wire.ranges(m)
    elif kind == "metadata_updated":
        body |= {"strike_type": m.strike_type, "yes_sub_title": m.yes_sub_title} | _strikes(m)
    return body


def _strikes(m: Market) -> wire.Json:
    found = {"floor_strike": m.floor_strike, "cap_strike": m.cap_strike, "custom_strike": m.custom_strike or None}
    return {name: strike for name, strike in found.items() if strike is not None}


def event_fee(e: Event) -> wire.Json:
    return {
        "event_ticker": e.event_ticker,
        "fee_type_override": e.fee_type_override,
        "fee_multiplier_override": e.fee_multiplier_override,
    }


def group(g: OrderGroup, kind: str, now_ms: int) -> wire.Json:
    body: wire.Json = {"event_type": kind, "order_group_id": g.id, "ts_ms": now_ms}
    if kind in ("created", "limit_updated"):
        body["contracts_limit_fp"] = format_count(g.limit)
    return body


def event(e: Event) -> wire.Json:
    return {
        "event_ticker": e.event_ticker,
        "exchange_index": e.exchange_index,
        "title": e.title,
        "subtitle": e.sub_title,
        "collateral_return_type": e.collateral_return_type,
        "series_ticker": e.series_ticker,
    }


def delta(
    market: Market, side: Side, price: int, change: int, order: Order | None, now_ms: int, yes_price: bool
) -> wire.Json:
    shown = price if side == "bid" or yes_price else 10_000 - price
    message: wire.Json = {
        "market_ticker": market.ticker,
        "market_id": market.market_id,
        "price_dollars": format_price(shown),
        "delta_fp": format_count(change),
        "side": wire.OUTCOME[side],
        "ts": wire.rfc3339(now_ms),
        "ts_ms": now_ms,
    }
    if order:
        message["client_order_id"] = order.client_order_id
        message["subaccount"] = 0
    return message
