"""POST and PATCH routes: parse, hand the command to the desk, answer with what it decided."""

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

import gevent
from flask import Blueprint, Response, g, jsonify, request

from web.api.idempotency import Attempts, read_key
from web.auth import role
from web.desk import Answer, Desk
from web.problems import Problem

log = logging.getLogger(__name__)

ANSWER_WITHIN_S = 15.0


@dataclass(frozen=True)
class Command:
    """One verb. `fields` of the body are optional strings; `word` has to be typed; `key`: Idempotency-Key needed."""

    verb: str
    rule: str
    summary: str
    fields: tuple[str, ...] = ()
    word: str | None = None
    key: bool = False


COMMANDS = (
    Command(
        "start", "/bot/start", "Let the bot open positions; for the first time live, `confirm` is LIVE", ("confirm",)
    ),
    Command("pause", "/bot/pause", "No new entries; stops and targets go on", ("reason",)),
    Command("stop", "/bot/stop", "No entries, resting entries are cancelled; stops and targets go on", ("reason",)),
    Command("kill", "/bot/kill", "Halt at once: no entries, resting ones are cancelled; stops protect on", ("reason",)),
    Command("rearm", "/bot/rearm", "Leave HALTED; needs the word REARM", ("reason",), word="REARM", key=True),
    Command(
        "flatten",
        "/bot/flatten",
        "Leave every position that a trade manages, at what the market pays; names the others",
        ("reason",),
        key=True,
    ),
    Command("close", "/positions/<ticker>/close", "Close one position at what the market pays", ("reason",), key=True),
    Command("cancel", "/orders/<order>/cancel", "Cancel one order, ours or not", ("reason",), key=True),
    Command(
        "claim",
        "/positions/<ticker>/claim",
        "Manage a position that nobody manages: the default plan, changed by what is named as in its plan",
        ("stop", "target", "trail", "break_even_after", "reason"),
        key=True,
    ),
    Command(
        "claim_order",
        "/orders/<order>/claim",
        "Manage a resting order that is not ours: its fills get the default plan",
        ("reason",),
        key=True,
    ),
    Command(
        "accept",
        "/differences/<difference>/accept",
        "Take the exchange's figure for a difference of cash or position; `amount` is the difference as it is now",
        ("amount", "reason"),
        key=True,
    ),
)


DECIMAL: dict[str, Any] = {"type": ["string", "null"], "maxLength": 20}
KINDS: dict[type, str] = {str: "string", int: "integer", bool: "boolean"}
PLAN: dict[str, dict[str, Any]] = {
    "stop": DECIMAL | {"description": "a price of the side held, as a decimal string; null needs confirm"},
    "target": DECIMAL | {"description": "a price of the side held, as a decimal string; null: none"},
    "trail": DECIMAL | {"description": "a distance as a decimal string; null: the stop stays"},
    "break_even_after": DECIMAL | {"description": "a gain as a decimal string; null: never"},
    "time_exit_ms": {"type": ["integer", "null"], "description": "milliseconds since 1970; null: none"},
    "rest_target": {"type": ["boolean"], "description": "true: the target rests in the book as an order of its own"},
    "confirm": {"const": "NO STOP", "description": "the words NO STOP, to take the stop away"},
}
"""Fields of POST /positions/{ticker}/plan; each may be left out."""


def commands(desk: Desk, attempts: Attempts) -> Blueprint:
    routes = Blueprint("commands", __name__)
    for command in COMMANDS:
        view = role("operator")(partial(_command, desk, attempts, command))
        routes.add_url_rule(command.rule, command.verb, view, methods=["POST"])
    plan = role("operator")(partial(_plan, desk, attempts))
    routes.add_url_rule("/positions/<ticker>/plan", "plan", plan, methods=["POST"])
    configure = role("operator")(partial(_configure, desk, attempts))
    routes.add_url_rule("/config", "configure", configure, methods=["PATCH"])
    routes.add_url_rule("/backtests", "backtests", role("viewer")(_not_built_yet), methods=["GET", "POST"])
    return routes


def _command(desk: Desk, attempts: Attempts, command: Command, **path: str) -> Response:
    body = _object()
    args: dict[str, Any] = {**_strings(body, command), **path}
    key = read_key(command.key)
    return _once(attempts, key, partial(_decide, desk, command.verb, args, key or g.request_id))


def _configure(desk: Desk, attempts: Attempts) -> Response:
    changes = _object()
    if not changes:
        raise Problem(422, "invalid", "Send the settings to change, as {name: value}.")
    key = read_key(False)
    return _once(attempts, key, partial(_decide, desk, "configure", changes, key or g.request_id))


def _plan(desk: Desk, attempts: Attempts, ticker: str) -> Response:
    """What the body does not name stays as it is; the core decides whether the rest makes sense together."""
    body = _object()
    errors = [{"pointer": f"/{name}", "detail": "unknown field"} for name in body.keys() - PLAN.keys()]
    errors += [
        {"pointer": f"/{name}", "detail": PLAN[name]["description"]}
        for name in body.keys() & PLAN.keys()
        if not _fits(body[name], PLAN[name])
    ]
    if errors:
        raise Problem(422, "invalid", f"{errors[0]['pointer']}: {errors[0]['detail']}.", errors)
    if not body:
        raise Problem(422, "invalid", f"Name what to change: {', '.join(PLAN)}.")
    key = read_key(True)
    return _once(attempts, key, partial(_decide, desk, "plan", {**body, "ticker": ticker}, key or g.request_id))


def _fits(value: Any, schema: dict[str, Any]) -> bool:
    if "const" in schema:
        return bool(value == schema["const"])
    kind = "null" if value is None else KINDS.get(type(value), "")
    return kind in schema["type"] and len(str(value)) <= schema.get("maxLength", 64)


def _once(attempts: Attempts, key: str | None, decide: "partial[Response]") -> Response:
    return attempts.once(key, decide) if key else decide()


def _decide(desk: Desk, verb: str, args: dict[str, Any], request_id: str) -> Response:
    answer: Answer | None = None
    with gevent.Timeout(ANSWER_WITHIN_S, False):
        answer = desk.command(verb, args, g.caller.actor, request_id)
    if answer is None:
        detail = f"The bot did not answer within {ANSWER_WITHIN_S:.0f} s. It may still act: look at its state."
        raise Problem(504, "undecided", detail)
    log.info("%s by %s: %s %s", verb, g.caller.actor, answer["result"], answer["code"])
    if answer["result"] == "refused":
        return Problem(409, answer["code"], answer["detail"], state=answer["state"]).response()
    return jsonify({**answer, "request_id": request_id})


def _object() -> dict[str, Any]:
    body = request.get_json() if request.data else {}
    if not isinstance(body, dict):
        raise Problem(422, "invalid", "The body has to be a JSON object.")
    return body


def _strings(body: dict[str, Any], command: Command) -> dict[str, str]:
    known = {*command.fields, "confirm"} if command.word else set(command.fields)
    errors = [{"pointer": f"/{name}", "detail": "unknown field"} for name in body.keys() - known]
    errors += [
        {"pointer": f"/{name}", "detail": "a string of at most 500 characters"}
        for name in body.keys() & known
        if not isinstance(body[name], str) or len(body[name]) > 500
    ]
    if errors:
        raise Problem(422, "invalid", f"{errors[0]['pointer']}: {errors[0]['detail']}.", errors)
    if command.word and body.get("confirm") != command.word:
        detail = f"This needs a second step: send {{'confirm': '{command.word}'}}."
        raise Problem(422, "confirm", detail, [{"pointer": "/confirm", "detail": f"the word {command.word}"}])
    return {name: text for name, text in body.items() if name != "confirm" or not command.word}


def _not_built_yet() -> Response:
    raise Problem(501, "not_built_yet", "Backtests are not part of this version yet.")
