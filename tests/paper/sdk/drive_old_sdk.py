"""Drives the exchange with the official SDK of 2025 (3.2.0), the last one that installs before Python 3.13.

It still knows the order writes of V1, which must answer that they are gone, and the wire in whole cents, which no
exchange of autumn 2026 speaks; reads whose form has stayed pass its models.
"""

import json
import sys
from pathlib import Path

import kalshi_python_sync as sdk

READS = (
    "get_exchange_status",
    "get_exchange_schedule",
    "get_user_data_timestamp",
    "get_series_list",
    "get_balance",
    "get_positions",
    "get_orders",
    "get_fills",
    "get_settlements",
    "get_api_keys",
    "get_order_groups",
    "get_structured_targets",
    "get_filters_for_sports",
    "get_tags_for_series_categories",
)
V1_WRITES = {
    "create_order": ((), {"ticker": "X", "side": "yes", "action": "buy", "count": 1, "yes_price": 1, "type": "limit"}),
    "cancel_order": (("x",), {}),
    "amend_order": (
        ("x",),
        {"ticker": "X", "side": "yes", "action": "buy", "client_order_id": "a", "updated_client_order_id": "b"},
    ),
    "decrease_order": (("x",), {"reduce_by": 1}),
    "batch_create_orders": ((), {"orders": []}),
    "batch_cancel_orders": ((), {"ids": ["x"]}),
}


def main(ready: dict[str, str]) -> None:
    configuration = sdk.Configuration(host=ready["rest"])
    configuration.api_key_id = ready["key_id"]
    configuration.private_key_pem = Path(ready["private_key_path"]).read_text()
    client = sdk.KalshiClient(configuration)
    for name in READS:
        getattr(client, name)()
    for name, (arguments, named) in V1_WRITES.items():
        try:
            getattr(client, name)(*arguments, **named)
        except sdk.ApiException as gone:
            assert gone.status == 410 and "/portfolio/events/orders" in gone.body, (name, gone.status, gone.body)
        else:
            raise AssertionError(f"{name} is not refused")
    print(json.dumps({"methods": len(READS) + len(V1_WRITES)}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
