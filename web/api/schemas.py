"""JSON schemas of what the API answers, for openapi.json. Unknown fields are allowed: additions are not breaking."""

from typing import Any

Schema = dict[str, Any]

PRICE: Schema = {
    "type": "string",
    "pattern": r"^-?\d+\.\d{4}$",
    "description": "Dollars per contract",
    "examples": ["0.8700"],
}
COUNT: Schema = {"type": "string", "pattern": r"^-?\d+\.\d{2}$", "description": "Contracts", "examples": ["12.00"]}
MONEY: Schema = {"type": "string", "pattern": r"^-?\d+\.\d{6}$", "description": "Dollars", "examples": ["996.483200"]}
TIME: Schema = {"type": "integer", "description": "Milliseconds since 1970, UTC"}
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}


def one_of(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


def or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def obj(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


def keyed(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema}


STATE = one_of("RUNNING", "PAUSED", "REDUCING", "HALTED", "STANDBY")

SCHEMAS: dict[str, Schema] = {
    "Meta": obj(
        {
            "version": TEXT,
            "boot": TEXT,
            "mode": one_of("paper", "demo", "live"),
            "started_ms": TIME,
            "account": TEXT,
        }
    ),
    "Loop": obj(
        {
            "interval_s": NUMBER,
            "last_run_ms": or_null(TIME),
            "duration_ms": or_null(NUMBER),
            "runs": WHOLE,
            "overruns": WHOLE,
            "late_ms": or_null(NUMBER),
            "error": or_null(TEXT),
        }
    ),
    "Status": obj(
        {
            "state": STATE,
            "reason": TEXT,
            "since_ms": TIME,
            "until_ms": or_null(TIME),
            "entries": FLAG,
            "exits": FLAG,
            "server_ms": TIME,
            "loops": keyed(ref("Loop")),
            "stream": {"type": "object"},
            "exchange": {"type": "object"},
            "odds": {"type": "object"},
            "store": {"type": "object"},
            "reconciliation": {"type": "object"},
        },
        {"start_word": TEXT},
    ),
    "Money": obj(
        dict.fromkeys(
            ("cash", "reserved", "exposure", "equity", "realized", "unrealized", "fees", "day_pnl"), or_null(MONEY)
        )
    ),
    "Position": obj(
        {
            "ticker": TEXT,
            "title": TEXT,
            "side": one_of("YES", "NO"),
            "count": COUNT,
            "entry_price": PRICE,
            "mark": or_null(PRICE),
            "mark_ms": or_null(TIME),
            "stop": or_null(PRICE),
            "target": or_null(PRICE),
            "time_exit_ms": or_null(TIME),
            "unrealized": or_null(MONEY),
            "state": TEXT,
            "protected": FLAG,
        },
        {
            "mark_source": or_null(TEXT),
            "cost": MONEY,
            "fees": MONEY,
            "break_even": or_null(PRICE),
            "rest_target": FLAG,
            "trail": or_null(PRICE),
            "break_even_after": or_null(PRICE),
            "strategy": TEXT,
            "opened_ms": TIME,
        },
    ),
    "Order": obj(
        {
            "client_order_id": TEXT,
            "order_id": or_null(TEXT),
            "ticker": TEXT,
            "side": one_of("bid", "ask"),
            "price": PRICE,
            "count": COUNT,
            "filled": COUNT,
            "state": TEXT,
            "purpose": TEXT,
            "created_ms": TIME,
        }
    ),
    "Consensus": obj({"probability": NUMBER, "books": WHOLE, "dispersion": NUMBER, "method": TEXT, "updated_ms": TIME}),
    "Market": obj(
        {
            "ticker": TEXT,
            "title": TEXT,
            "event_ticker": TEXT,
            "bid": or_null(PRICE),
            "ask": or_null(PRICE),
            "last_ms": or_null(TIME),
            "verdict": one_of("traded", "held", "candidate", "no"),
            "reason": TEXT,
            "consensus": or_null(ref("Consensus")),
        },
        {
            "category": TEXT,
            "bid_size": or_null(COUNT),
            "ask_size": or_null(COUNT),
            "volume_24h": or_null(COUNT),
            "start_ms": or_null(TIME),
            "end_ms": or_null(TIME),
        },
    ),
    "Markets": obj(
        {
            "generated_at": TIME,
            "status": one_of("ok", "stale", "empty"),
            "total_count": WHOLE,
            "enriched_count": WHOLE,
            "match_times": keyed(obj({"start_ms": TIME, "source": one_of("milestone", "ticker", "expiration")})),
            "markets": {"type": "array", "items": ref("Market")},
        }
    ),
    "Event": obj({"id": TEXT, "at_ms": TIME, "level": TEXT, "code": TEXT, "text": TEXT}, {"ticker": or_null(TEXT)}),
    "Trade": obj(
        {
            "id": TEXT,
            "ticker": TEXT,
            "side": one_of("YES", "NO"),
            "count": COUNT,
            "entry_price": PRICE,
            "exit_price": PRICE,
            "exit_kind": TEXT,
            "pnl": MONEY,
            "fees": MONEY,
            "opened_ms": TIME,
            "closed_ms": TIME,
        }
    ),
    "Page": obj(
        {
            "meta": ref("Meta"),
            "status": ref("Status"),
            "money": ref("Money"),
            "positions": keyed(ref("Position")),
            "orders": keyed(ref("Order")),
            "markets": keyed(ref("Market")),
            "log": keyed(ref("Event")),
            "trades": keyed(ref("Trade")),
        }
    ),
    "Answer": obj(
        {
            "result": one_of("accepted"),
            "code": TEXT,
            "detail": TEXT,
            "state": TEXT,
            "durable": {"type": "boolean", "description": "false: in force, but not on disk yet; see detail"},
            "request_id": TEXT,
        },
    ),
    "Problem": obj(
        {"type": TEXT, "title": TEXT, "status": WHOLE, "detail": TEXT, "code": TEXT, "request_id": TEXT},
        {
            "instance": TEXT,
            "state": TEXT,
            "errors": {"type": "array", "items": obj({"pointer": TEXT, "detail": TEXT})},
        },
    ),
}
