"""Checks a body or a frame against kalshi-schema.json: required, type, enum, fixed-point format."""

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


@cache
def schema() -> Any:
    if not SCHEMA.exists():
        pytest.skip(f"{SCHEMA} is not here: the wire's schema lies beside the repository")
    return json.loads(SCHEMA.read_text())


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
    if "enum" in rule:
        assert value in rule["enum"], f"{where}: {value!r} is none of {rule['enum']}"
    if not isinstance(kind, dict) and (pattern := FORMATS.get(rule.get("format", "") or kind)):
        assert pattern.fullmatch(value), f"{where}: {value!r} is not {rule.get('format', kind)}"


def check_levels(formats: list[str], levels: Any, where: str) -> None:
    """Book levels: lists of fixed-point strings, prices ascending."""
    for level in levels:
        assert all(FORMATS[name].fullmatch(text) for name, text in zip(formats, level, strict=True)), where
    prices = [level[0] for level in levels]
    assert prices == sorted(set(prices)), f"{where} must ascend in price"


def check_frame(frame: dict[str, Any]) -> None:
    """A data frame against its message's fields, with sid and, where the channel counts, seq."""
    message = schema()["websocket"]["messages"][frame["type"]]
    assert frame["sid"] >= 1
    assert ("seq" in frame) == bool(message["seq"]), frame
    check_fields(message["msg"], frame["msg"], frame["type"])
