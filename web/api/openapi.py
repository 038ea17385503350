"""GET /api/v1/openapi.json: made from the same tables that make the routes, so that it cannot tell another story."""

from typing import Any

from flask import Blueprint, Response, jsonify

from web.api.commands import COMMANDS, PLAN, Command
from web.api.reads import FILTERS, LISTINGS, MOST, VIEWS
from web.api.schemas import SCHEMAS, Schema, ref
from web.auth import role

ITEMS = {
    "markets": "Market",
    "opportunities": "Market",
    "positions": "Position",
    "orders": "Order",
    "trades": "Trade",
    "events": "Event",
}
VIEW_SCHEMAS = {"meta": "Meta", "status": "Status"}


def description() -> Blueprint:
    routes = Blueprint("openapi", __name__)

    @routes.get("/openapi.json")
    @role("viewer")
    def openapi() -> Response:
        return jsonify(document())

    return routes


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 description of /api/v1."""
    paths: dict[str, dict[str, Any]] = {}
    for name, summary in VIEWS.items():
        schema = ref(VIEW_SCHEMAS[name]) if name in VIEW_SCHEMAS else {"type": "object"}
        paths[f"/{name}"] = {"get": _get(name, summary, schema)}
    for name, summary in LISTINGS.items():
        paths[f"/{name}"] = {"get": _get(name, summary, _slice(name), _paging())}
    paths["/markets/{ticker}"] = {"get": _get("market", "One market", ref("Market"), [_path("ticker")])}
    paths["/snapshot"] = {"get": _get("snapshot", "The whole page; the ETag is the id of its frame", ref("Page"))}
    paths["/openapi.json"] = {"get": _get("openapi", "This description", {"type": "object"})}
    for command in COMMANDS:
        path = command.rule.replace("<", "{").replace(">", "}")
        paths[path] = {"post": _post(command, path)}
    plan: Schema = {"type": "object", "properties": PLAN, "additionalProperties": False, "minProperties": 1}
    paths["/positions/{ticker}/plan"] = {
        "post": _operation(
            "plan", "Change what protects a position", ref("Answer"), [_path("ticker"), _key(True)], plan
        )
    }
    settings: Schema = {"type": "object", "minProperties": 1, "description": "The settings to change, by name"}
    paths["/config"]["patch"] = _operation("configure", "Change settings", ref("Answer"), [_key(False)], settings)
    paths["/backtests"] = {verb: _backtests(verb) for verb in ("get", "post")}
    paths["/stream"] = {"get": _stream()}
    paths["/session"] = _session()
    paths["/session/link"] = {"post": _public("new_link", "Print a new login link in the terminal", "204")}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tickstop",
            "version": "1",
            "description": "Prices, counts and money are decimal strings. Errors are application/problem+json.",
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "API_TOKEN"},
                "session": {"type": "apiKey", "in": "cookie", "name": "session"},
            },
            "responses": {"Problem": _problem()},
        },
    }


def _operation(
    name: str, summary: str, answer: Schema, parameters: list[Schema] | None = None, body: Schema | None = None
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": summary, "content": {"application/json": {"schema": answer}}},
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return operation


def _get(name: str, summary: str, answer: Schema, parameters: list[Schema] | None = None) -> dict[str, Any]:
    return _operation(name, summary, answer, parameters)


def _post(command: Command, path: str) -> dict[str, Any]:
    fields: dict[str, Schema] = {name: {"type": "string", "maxLength": 500} for name in command.fields}
    body: Schema = {"type": "object", "properties": fields, "additionalProperties": False}
    if command.word:
        fields["confirm"] = {"const": command.word}
        body["required"] = ["confirm"]
    parameters = [_path(part[1:-1]) for part in path.split("/") if part.startswith("{")]
    return _operation(command.verb, command.summary, ref("Answer"), [*parameters, _key(command.key)], body)


def _slice(name: str) -> Schema:
    """With a query a slice; all markets at once without one."""
    if name == "markets":
        return {"anyOf": [ref("Markets"), _items(name)]}
    return _items(name)


def _items(name: str) -> Schema:
    item = ref(ITEMS[name]) if name in ITEMS else {"type": "object"}
    return {
        "type": "object",
        "required": ["items", "next_cursor"],
        "properties": {"items": {"type": "array", "items": item}, "next_cursor": {"type": ["string", "null"]}},
    }


def _paging() -> list[Schema]:
    limit: Schema = {"type": "integer", "minimum": 1, "maximum": MOST, "default": 50}
    filters = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in sorted(FILTERS)]
    return [
        {"name": "limit", "in": "query", "schema": limit},
        {
            "name": "cursor",
            "in": "query",
            "schema": {"type": "string"},
            "description": "next_cursor of the last slice",
        },
        *filters,
    ]


def _path(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _key(required: bool) -> Schema:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": required,
        "schema": {"type": "string", "maxLength": 200},
        "description": "New for each command; sent again within a day, it does not act twice (a restart forgets it)",
    }


def _stream() -> dict[str, Any]:
    summary = "Server-sent events: snapshot, delta, tick, bye; resumes after Last-Event-ID"
    return {
        "operationId": "stream",
        "summary": summary,
        "parameters": [{"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}}],
        "responses": {
            "200": {"description": summary, "content": {"text/event-stream": {"schema": {"type": "string"}}}},
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }


def _session() -> dict[str, Any]:
    credentials: Schema = {
        "type": "object",
        "properties": {"link": {"type": "string"}, "password": {"type": "string"}},
        "minProperties": 1,
    }
    sign_in = _operation("sign_in", "Sign in with a login link or the password", {"type": "object"}, None, credentials)
    everywhere = {"name": "everywhere", "in": "query", "schema": {"enum": ["1"]}}
    return {
        "get": _get("who", "Who is signed in", {"type": "object"}),
        "post": {**sign_in, "security": []},
        "delete": {**_public("sign_out", "Sign out", "204"), "security": [{"session": []}], "parameters": [everywhere]},
    }


def _public(name: str, summary: str, status: str) -> dict[str, Any]:
    responses = {status: {"description": summary}, "default": {"$ref": "#/components/responses/Problem"}}
    return {"operationId": name, "summary": summary, "security": [], "responses": responses}


def _backtests(verb: str) -> dict[str, Any]:
    responses = {"501": {"$ref": "#/components/responses/Problem"}}
    return {"operationId": f"backtests_{verb}", "summary": "Not built yet", "responses": responses}


def _problem() -> dict[str, Any]:
    return {"description": "An error", "content": {"application/problem+json": {"schema": ref("Problem")}}}
