"""What the private channels tell of the account reaches the core; what they tell of another subaccount does not."""

import pytest
from test_market_data import World

FILL = {
    "trade_id": "t",
    "order_id": "o",
    "is_taker": True,
    "book_side": "bid",
    "yes_price_dollars": "0.5600",
    "count_fp": "10.00",
    "fee_cost": "0.0432",
    "ts_ms": 9,
}
ORDER = {
    "order_id": "o",
    "client_order_id": "c",
    "ticker": "A",
    "status": "resting",
    "book_side": "ask",
    "yes_price_dollars": "0.5600",
    "initial_count_fp": "25.00",
    "fill_count_fp": "0.00",
    "remaining_count_fp": "25.00",
}
POSITION = {
    "position_fp": "-10.00",
    "position_cost_dollars": "5.600000",
    "realized_pnl_dollars": "0.000000",
    "fees_paid_dollars": "0.043200",
}


@pytest.mark.parametrize(
    ("channel", "msg", "field"),
    [
        ("fill", FILL, "subaccount"),
        ("user_order", ORDER, "subaccount_number"),
        ("market_position", POSITION, "subaccount"),
    ],
)
def test_what_another_subaccount_does_moves_nothing_of_ours(channel: str, msg: dict[str, object], field: str) -> None:
    """All readings are of subaccount 0: a sale of another one's contracts would leave ours without their stop."""
    world = World()
    world.frame(channel, **msg, **{field: 3})
    assert world.account == []
    for ours in ({}, {field: None}, {field: 0}):
        world.frame(channel, **msg, **ours)
    assert len(world.account) == 3
