"""The web layer: parses, calls the desk, answers. It knows only the desk and holds no trading state."""

import secrets as random
import time
from collections.abc import Callable
from dataclasses import dataclass

import gevent
from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from web import auth, problems, security
from web.api.commands import commands
from web.api.idempotency import Attempts
from web.api.openapi import description
from web.api.reads import reads
from web.auth import Gate, WebSecrets
from web.desk import Desk
from web.pages import pages, plumbing
from web.sse import FanoutSSE
from web.stream import Stream

__all__ = ["Tickstop", "WebSecrets", "create_app"]

LARGEST_BODY = 256 * 1024


@dataclass(frozen=True)
class Tickstop:
    """What the program needs of the web layer: app.extensions["tickstop"]."""

    stream: Stream
    sse: FanoutSSE
    gate: Gate

    def login_link(self, base_url: str) -> str:
        return self.gate.login_link(base_url)


def create_app(
    desk: Desk,
    *,
    secrets: WebSecrets,
    redis_url: str | None = None,
    trusted_hops: int = 0,
    now: Callable[[], float] = time.time,
    max_streams: int = 32,
) -> Flask:
    """The whole web application over one desk. Call it in the process that serves, after gevent has patched.

    `trusted_hops`: how many proxies in front add to X-Forwarded-For. ValueError when the page would be open to others.
    """
    app = Flask("tickstop", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.json.sort_keys = False  # type: ignore[attr-defined]
    stream = Stream(desk.page, random.token_hex(4), limit=max_streams, now=now)
    sse = FanoutSSE(stream, redis_url)
    app.extensions["tickstop"] = Tickstop(stream, sse, Gate(secrets, now))
    if trusted_hops:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=trusted_hops, x_proto=1)  # type: ignore[method-assign]

    problems.install(app)
    security.install(app)
    auth.install(app)
    app.register_blueprint(pages(desk))
    app.register_blueprint(plumbing(desk))
    app.register_blueprint(auth.session_routes, url_prefix="/api/v1")
    app.register_blueprint(reads(desk, stream), url_prefix="/api/v1")
    app.register_blueprint(commands(desk, Attempts(now)), url_prefix="/api/v1")
    app.register_blueprint(description(), url_prefix="/api/v1")
    app.register_blueprint(sse, url_prefix="/api/v1/stream")
    if redis_url:
        gevent.spawn(sse.pump)
    return app
