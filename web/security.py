"""What every request and response passes through: a turn for the others, a request id, and the security headers."""

import re
import secrets

import gevent
from flask import Flask, Response, g, request

SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def install(app: Flask) -> None:
    app.before_request(_begin)
    app.after_request(_finish)


def _begin() -> None:
    """Yield first: a busy keep-alive client otherwise never lets the stop path run (infra.md section 9)."""
    gevent.sleep(1e-6)  # not 0: that lets sockets and timers run only every 50th time
    asked = request.headers.get("X-Request-ID", "")
    g.request_id = asked if SAFE_ID.fullmatch(asked) else secrets.token_hex(8)


def _finish(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    response.headers["X-Request-ID"] = g.get("request_id", "")
    return response
