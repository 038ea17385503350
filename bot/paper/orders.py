"""A member's commands: create, cancel, amend, decrease (kalshi-api.md section 4.9). Each is atomic: done, or Rejected.

Every command first brings the engine up to its time, so a due close or expiry is never missed.
"""

from bot.paper import fees
from bot.paper.book import Book, Lot
from bot.paper.engine import Engine
from bot.paper.ledger import Account
from bot.paper.model import Market, NewOrder, Order, Rejected, Side

MAX_COUNT = 10**12
"""The largest order, in units of count: beyond it no account could pay."""


def create(engine: Engine, user_id: str, new: NewOrder, now_ms: int) -> Order:
    """Match a new order and rest what may rest. Returns the order as it stands then.

    Rejected: order_already_exists, not_found, market_inactive, invalid_price, invalid_order_size, invalid_order,
    insufficient_balance, fill_or_kill_insufficient_resting_volume (which alone uses up the client order id).
    """
    engine.advance(now_ms)
    account = engine.accounts[user_id]
    if new.client_order_id in account.client_ids:
        raise Rejected("order_already_exists")
    market = _open_market(engine, new.ticker)
    _check_form(new, now_ms)
    _check_group(account, new.group_id, market)
    _check_price(market, new.price)
    book = engine.books[new.ticker]
    count = new.count
    if new.reduce_only:
        held = account.held(new.ticker)
        count = min(count, max(0, held if new.side == "ask" else -held))
    elif new.post_only and book.crossing(new.side, new.price):
        raise Rejected("invalid_order", "post only cross")
    else:
        _check_balance(engine, account, market, new.side, new.price, new.count)
    if new.client_order_id:
        engine.use_client_id(account, new.client_order_id)
    if new.time_in_force == "fill_or_kill" and _short(book, new, user_id):
        raise Rejected("fill_or_kill_insufficient_resting_volume")
    order = Order(
        order_id=engine.new_id(),
        user_id=user_id,
        client_order_id=new.client_order_id,
        number=len(account.orders) + 1,
        ticker=new.ticker,
        side=new.side,
        price=new.price,
        initial=new.count,
        remaining=count,
        time_in_force=new.time_in_force,
        self_trade=new.self_trade,
        created_ms=now_ms,
        updated_ms=now_ms,
        expiration_ms=new.expiration_ms,
        post_only=new.post_only,
        cancel_on_pause=new.cancel_on_pause,
        group_id=new.group_id,
    )
    account.orders[order.order_id] = order
    _work(engine, market, order, now_ms, "ReduceOnlyCancel" if count < new.count else "")
    return order


def cancel(engine: Engine, user_id: str, order_id: str, now_ms: int) -> tuple[Order, int]:
    """Cancel what rests of an order; returns the order and the contracts removed.

    Rejected: not_found (unknown, executed and cancelled look alike), market_inactive after the close.
    """
    order = _resting(engine, user_id, order_id, now_ms)
    return order, engine.end(order, "canceled", "", now_ms)


def cancel_all(engine: Engine, user_id: str, now_ms: int) -> int:
    """Cancel every resting order in markets that still take commands; returns how many."""
    engine.advance(now_ms)
    if engine.halt == "exchange":
        raise Rejected("exchange_paused")
    account = engine.accounts[user_id]
    account.cancelling_until_ms = now_ms + engine.rules.cancel_all_lingers_s * 1000
    resting = [order for orders in account.resting.values() for order in orders.values()]
    doomed = [order for order in resting if engine.markets[order.ticker].status != "closed"]
    for order in doomed:
        engine.end(order, "canceled", "", now_ms)
    return len(doomed)


def decrease(engine: Engine, user_id: str, order_id: str, reduce_to: int | None, reduce_by: int, now_ms: int) -> Order:
    """Shrink a resting order in place, to `reduce_to` contracts remaining or by `reduce_by`; zero cancels it."""
    order = _resting(engine, user_id, order_id, now_ms)
    if engine.halt:
        raise Rejected(f"{engine.halt}_paused")
    by = reduce_by if reduce_to is None else order.remaining - reduce_to
    if by < 0 or (reduce_to is None and by == 0):
        raise Rejected("invalid_order_size", "an order can only be reduced")
    if by >= order.remaining:
        engine.end(order, "canceled", "Decrease", now_ms)
    elif by:
        engine.shrink(order, by, now_ms)
        engine.ordered(order, "Decrease", now_ms)
    return order


def amend(
    engine: Engine,
    user_id: str,
    order_id: str,
    now_ms: int,
    *,
    ticker: str,
    side: Side,
    price: int,
    count: int,
    client_order_id: str = "",
    new_client_order_id: str = "",
    expiration_ms: int | None = None,
) -> Order:
    """Change price, total count (filled + wanted resting) or expiry (None keeps it, 0 removes it) of a resting order.

    A pure decrease keeps the queue position; otherwise the order matches again and joins the tail. A rejected amend
    leaves the order as it was.
    """
    order = _resting(engine, user_id, order_id, now_ms)
    account = engine.accounts[user_id]
    market = _open_market(engine, order.ticker)
    if ticker != order.ticker:
        raise Rejected("order_ticker_mismatch")
    if side != order.side:
        raise Rejected("order_side_mismatch")
    if client_order_id and client_order_id != order.client_order_id:
        raise Rejected("order_id_and_client_order_id_mismatch")
    if new_client_order_id and new_client_order_id in account.client_ids:
        raise Rejected("order_already_exists")
    if price != order.price:
        _check_price(market, price)
    if not order.filled < count <= MAX_COUNT:
        raise Rejected("invalid_amend_qty_for_order", "count is the total and must exceed what is filled")
    if expiration_ms and expiration_ms <= now_ms:
        raise Rejected("invalid_order", "Expiration timestamp must be in the future")
    remaining = count - order.filled
    moves = price != order.price or remaining > order.remaining
    if moves:
        _check_amend(engine, account, market, order, price, remaining)
    if new_client_order_id:
        engine.use_client_id(account, new_client_order_id)
        order.client_order_id = new_client_order_id
    if expiration_ms is not None:
        order.expiration_ms = expiration_ms or None
    if not moves:
        if remaining < order.remaining:
            engine.shrink(order, order.remaining - remaining, now_ms)
        engine.expire_at(order)
        engine.ordered(order, "Amend", now_ms)
        return order
    engine.unrest(order, now_ms)
    order.price, order.initial, order.remaining = price, count, remaining
    _work(engine, market, order, now_ms, "Amend")
    return order


def _work(engine: Engine, market: Market, order: Order, now_ms: int, reason: str) -> None:
    """Match an order that is not in the book, then rest or end it."""
    book = engine.books[order.ticker]
    if order.remaining:
        engine.match(market, book, order.side, order.price, order.remaining, order, now_ms)
    if order.status != "resting":
        return
    if order.remaining and now_ms < engine.accounts[order.user_id].cancelling_until_ms:
        engine.end(order, "canceled", "", now_ms)
    elif order.remaining and order.time_in_force == "good_till_canceled":
        engine.rest(order, now_ms)
        engine.ordered(order, reason or ("Trade" if order.filled else ""), now_ms)
    elif order.filled == order.initial:
        engine.end(order, "executed", "Trade", now_ms)
    elif order.filled and order.time_in_force == "immediate_or_cancel":
        engine.end(order, engine.rules.partial_ioc_status, reason, now_ms)
    else:
        engine.end(order, "canceled", reason, now_ms)


def _open_market(engine: Engine, ticker: str) -> Market:
    market = engine.markets.get(ticker)
    if market is None:
        raise Rejected("not_found")
    if engine.halt:
        raise Rejected(f"{engine.halt}_paused")
    if market.status != "active":
        raise Rejected("market_inactive")
    return market


def _resting(engine: Engine, user_id: str, order_id: str, now_ms: int) -> Order:
    engine.advance(now_ms)
    order = engine.accounts[user_id].orders.get(order_id)
    if order is None or order.status != "resting":
        raise Rejected("not_found")
    if engine.halt == "exchange":
        raise Rejected("exchange_paused")
    if engine.markets[order.ticker].status == "closed":
        raise Rejected("market_inactive")
    return order


def _check_form(new: NewOrder, now_ms: int) -> None:
    if not 0 < new.count <= MAX_COUNT:
        raise Rejected("invalid_order_size")
    resting = new.time_in_force == "good_till_canceled"
    if new.expiration_ms is not None and not resting:
        raise Rejected("invalid_order", "Cannot specify both immediate_or_cancel and expiration_ts")
    if new.expiration_ms is not None and new.expiration_ms <= now_ms:
        raise Rejected("invalid_order", "Expiration timestamp must be in the future")
    if new.post_only and not resting:
        raise Rejected("invalid_order", "post_only needs good_till_canceled")
    if new.reduce_only and new.time_in_force != "immediate_or_cancel":
        raise Rejected("invalid_order", "reduce_only needs immediate_or_cancel")


def _check_group(account: Account, group_id: str, market: Market) -> None:
    if not group_id:
        return
    group = account.groups.get(group_id)
    if group is None or group.exchange_index != market.exchange_index:
        raise Rejected("order_group_not_found")
    if group.triggered:
        raise Rejected("exceeded_order_group_risk_limit")


def _check_price(market: Market, price: int) -> None:
    if 0 < price < 10_000:
        for start, end, step in market.price_ranges:
            if start <= price <= end and (price - start) % step == 0:
                return
    raise Rejected("invalid_price")


def _check_balance(engine: Engine, account: Account, market: Market, side: Side, price: int, count: int) -> None:
    fee_type, multiplier = engine.fee_terms(market)
    needed = account.needed(
        market.ticker, side, price, count, lambda p, c: fees.trade_fee(fee_type, multiplier, True, p, c)
    )
    if needed and needed > account.free(market.exchange_index):
        raise Rejected("insufficient_balance")


def _check_amend(engine: Engine, account: Account, market: Market, order: Order, price: int, remaining: int) -> None:
    """The checks of a new order, as if this one did not rest."""
    if order.post_only and engine.books[order.ticker].crossing(order.side, price):
        raise Rejected("invalid_order", "post only cross")
    before = account.resting[order.ticker]
    account.resting[order.ticker] = {key: other for key, other in before.items() if other is not order}
    engine.recommit(account, market)
    try:
        _check_balance(engine, account, market, order.side, price, remaining)
    finally:
        account.resting[order.ticker] = before
        engine.recommit(account, market)


def _short(book: Book, new: NewOrder, user_id: str) -> bool:
    """Whether a fill-or-kill cannot fill. One that meets its own account's order first works like an
    immediate-or-cancel (kalshi-api.md section 4.9)."""
    found = 0
    for _, level in book.crossing(new.side, new.price):
        found -= level.taken
        for resting in level.queue.values():
            if isinstance(resting, Lot) or resting.user_id != user_id:
                found += resting.remaining
            elif new.self_trade == "taker_at_cross" and found < new.count:
                return False
        if found >= new.count:
            return False
    return True
