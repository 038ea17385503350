"""Errors as problem+json (RFC 9457), each with a stable code and the id of its request."""

import logging
from typing import Any

from flask import Flask, Response, g, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

log = logging.getLogger(__name__)

CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "body_too_large",
    415: "not_json",
    429: "too_many_requests",
}


class Problem(Exception):
    """A request we answer with an error. `errors` names the faulty fields as {"pointer", "detail"}."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: list[dict[str, str]] | None = None,
        retry_after: int | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.errors, self.retry_after, self.more = errors, retry_after, more

    def response(self) -> Response:
        body: dict[str, Any] = {
            "type": f"urn:tickstop:problem:{self.code.replace('_', '-')}",
            "title": HTTP_STATUS_CODES.get(self.status, "Error"),
            "status": self.status,
            "detail": self.detail,
            "instance": request.path,
            "code": self.code,
            "request_id": g.get("request_id", ""),
            **self.more,
        }
        if self.errors:
            body["errors"] = self.errors
        response = jsonify(body)
        response.status_code = self.status
        response.mimetype = "application/problem+json"
        response.headers["Cache-Control"] = "no-store"
        if self.retry_after is not None:
            response.headers["Retry-After"] = str(self.retry_after)
        if self.status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response


def install(app: Flask) -> None:
    app.register_error_handler(Problem, Problem.response)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _our_bug)


def _http_error(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    if status < 400:
        return error
    response = Problem(status, CODES.get(status, "error"), error.description or error.name).response()
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def _our_bug(error: Exception) -> Response:
    log.exception("request %s failed: %s %s", g.get("request_id"), request.method, request.path)
    detail = "Something in Tickstop went wrong. The log has the details under this request id."
    return Problem(500, "internal_error", detail).response()
