"""Checks bodies and frames against kalshi-schema.json: required, type, enum, fixed-point format, nothing unknown.

The client of paper_client.py passes every reply and frame of the exchange through here.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

SCHEMA = Path(__file__).parents[3] / "shared" / "reference" / "kalshi-schema.json"
FORMATS = {
    "fp_dollars": re.compile(r"-?\d+\.\d{2,6}"),
    "fp_count": re.compile(r"-?\d+\.\d\d"),
    "rfc3339": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z"),
    "uuid": re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}"),
}
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "uuid": (str,),
}


EXTRA = {
    # What we send beyond the schema: gone since 1 Oct 2026, but kalshi-sdk still wants it (kalshi-api.md 11.1).
    "Market": {"liquidity_dollars"},
}
ACKS = ("subscribed", "unsubscribed", "ok", "error")


@cache
def schema() -> Any:
    if not SCHEMA.exists():
        pytest.skip(f"{SCHEMA} is not here: the wire's schema lies beside the repository")
    return json.loads(SCHEMA.read_text())


def check_reply(method: str, path: str, status: int, text: str) -> None:
    """A reply below /trade-api/v2: a success against its model, a refusal against the error shapes."""
    if not SCHEMA.exists() or status >= 500:
        return
    if status >= 400:
        check_refusal(status, json.loads(text))
        return
    operation = operation_of(method, path)
    if status == 301 or operation is None:
        return
    replies = schema()["rest"]["endpoints"][operation]["responses"]
    assert str(status) in replies, f"{operation} answered {status}"
    if replies[str(status)] is None or replies[str(status)] == "object":
        assert text in ("", "{}"), f"{operation}: {text!r} should be empty"
    else:
        check_answer(operation, status, json.loads(text))


@cache
def operation_of(method: str, path: str) -> str | None:
    """The schema's name of a call; a path that is written out wins over one with placeholders."""
    operations = schema()["rest"]["endpoints"]
    if f"{method} {path}" in operations:
        return f"{method} {path}"
    for operation in operations:
        verb, _, pattern = operation.partition(" ")
        if verb == method and re.fullmatch(re.sub(r"{[^}]+}", "[^/]+", pattern), path):
            return str(operation)
    return None


def check_refusal(status: int, body: Any) -> None:
    """One of the four shapes of kalshi-api.md section 4.0."""
    if status == 429:
        assert body == {"error": "too many requests"}
        return
    error = body.get("error", body)
    if list(error) != ["msg"]:
        assert {"code", "message"} <= set(error) <= {"code", "message", "details"}, body
    assert all(isinstance(text, str) and text for text in error.values()), body


def check_answer(operation: str, status: int, body: Any) -> None:
    """A body against the model that `operation` ("GET /markets") answers with."""
    model = schema()["rest"]["endpoints"][operation]["responses"][str(status)]
    check_model(model, body, operation)


def check_model(name: str, body: Any, where: str) -> None:
    model = schema()["rest"]["models"][name]
    if model["kind"] == "enum":
        assert body in model.get("values", model.get("enum", [])), f"{where}: {body!r} is not a {name}"
        return
    assert isinstance(body, dict), f"{where}: {name} must be an object"
    check_fields(model["fields"], body, where)
    unknown = set(body) - set(model["fields"]) - EXTRA.get(name, set())
    assert not unknown, f"{where}: {name} has no {unknown}"


def check_fields(fields: dict[str, Any], body: dict[str, Any], where: str) -> None:
    for field, rule in fields.items():
        if field not in body:
            assert not rule.get("required") or rule.get("only"), f"{where}.{field} is required"
            continue
        if body[field] is None:
            assert rule.get("nullable"), f"{where}.{field} must not be null"
            continue
        check_value(rule, body[field], f"{where}.{field}")


def check_value(rule: dict[str, Any], value: Any, where: str) -> None:
    kind = rule.get("type", "")
    if isinstance(kind, dict):
        check_levels(kind["items"], value, where)
    elif kind == "ref":
        check_model(rule["ref"], value, where)
    elif kind == "array" or kind.startswith("array"):
        assert isinstance(value, list), f"{where} must be an array"
        for i, item in enumerate(value):
            if isinstance(rule.get("items"), dict):
                check_value(rule["items"], item, f"{where}[{i}]")
    elif expected := TYPES.get(kind.split("(")[0]):
        assert isinstance(value, expected), f"{where}: {value!r} is not a {kind}"
        assert not (isinstance(value, bool) and bool not in expected), f"{where}: {value!r} is not a {kind}"
    if values := rule.get("values"):
        check_values(values, value, where)
    if "enum" in rule:
        assert value in rule["enum"], f"{where}: {value!r} is none of {rule['enum']}"
    if not isinstance(kind, dict) and (pattern := FORMATS.get(rule.get("format", "") or kind)):
        assert pattern.fullmatch(value), f"{where}: {value!r} is not {rule.get('format', kind)}"


def check_values(kind: str, values: dict[str, Any], where: str) -> None:
    """The values of an object whose keys are free."""
    for key, value in values.items():
        if kind in schema()["rest"]["models"]:
            check_model(kind, value, f"{where}[{key}]")
        elif kind == "array<string>":
            assert all(isinstance(item, str) for item in value), f"{where}[{key}]"


def check_levels(formats: list[str], levels: Any, where: str) -> None:
    """Book levels: lists of fixed-point strings, prices ascending."""
    for level in levels:
        assert all(FORMATS[name].fullmatch(text) for name, text in zip(formats, level, strict=True)), where
    prices = [level[0] for level in levels]
    assert prices == sorted(set(prices)), f"{where} must ascend in price"


def check_frame(frame: dict[str, Any]) -> None:
    """A data frame against its message, with sid and, where the channel counts, seq; an ack against its own form."""
    if frame["type"] in ACKS:
        check_ack(frame)
        return
    message = schema()["websocket"]["messages"][frame["type"]]
    assert frame["sid"] >= 1 and frame["sending_ts_ms"] > 0
    assert ("seq" in frame) == bool(message["seq"]), frame
    assert set(frame) <= {"type", "sid", "seq", "id", "msg", "sending_ts_ms"}, frame
    body = frame["msg"]
    check_fields(message["msg"], body, frame["type"])
    assert set(body) <= set(message["msg"]), f"{frame['type']} has no {set(body) - set(message['msg'])}"
    if "event_type" in body:
        check_kind(message["msg"], body)


def check_kind(fields: dict[str, Any], body: dict[str, Any]) -> None:
    """Fields that belong to some kinds of an event are there with these and with no others."""
    kind = body["event_type"]
    for field, rule in fields.items():
        kinds = rule.get("only", "").split(", ")
        if kinds == [""]:
            continue
        if kind in kinds and kind != "metadata_updated":
            assert field in body, f"{kind} needs {field}"
        assert field not in body or kind in kinds, f"{kind} has no {field}"
    for name, kind_of in fields.get("additional_metadata", {}).get("fields", {}).items():
        if name in body.get("additional_metadata", {}):
            assert isinstance(body["additional_metadata"][name], TYPES[kind_of.partition(" ")[0]]), name


def check_ack(frame: dict[str, Any]) -> None:
    if frame["type"] == "ok" and isinstance(frame["msg"], list):
        for row in frame["msg"]:
            assert set(row) == {"channel", "sid"}, frame
        return
    rules = schema()["websocket"]["responses"][frame["type"]]
    assert set(frame) <= set(rules) | {"sending_ts_ms"}, frame
    check_fields({name: rule for name, rule in rules.items() if isinstance(rule, dict) and name != "msg"}, frame, "ack")
    if isinstance(rules.get("msg"), dict):
        check_fields(rules["msg"], frame["msg"], f"{frame['type']}.msg")
