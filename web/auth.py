"""Who may ask what: each route declares a role, each request is a session cookie, a bearer token, or nobody.

Nothing rests on the network place of a caller. On loopback the Host header has to be ours (DNS rebinding), and a
request with a cookie that changes something has to come from our own page (Fetch Metadata, else Origin).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from hmac import compare_digest
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import gevent
from flask import Blueprint, Flask, Response, current_app, g, jsonify, redirect, request, url_for
from gevent.threadpool import ThreadPool
from werkzeug.security import check_password_hash, generate_password_hash

from web.problems import Problem
from web.sessions import ABSOLUTE_S, LINK_S, LoginLinks, Role, Sessions, Throttle, digest

log = logging.getLogger(__name__)

Access = Literal["public", "viewer", "operator"]
LOOPBACK_NAMES = {"127.0.0.1", "localhost", "::1"}
SHORTEST_PASSWORD = 15
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class WebSecrets:
    """What opens the page. `loopback`: only this machine can reach us, so a login link in the terminal is enough.
    `hosts`: names of this server besides 127.0.0.1 and localhost. `session_file`: keeps sessions over a restart."""

    admin_password: str | None = field(default=None, repr=False)
    api_token: str | None = field(default=None, repr=False)
    loopback: bool = True
    hosts: frozenset[str] = frozenset()
    session_file: Path | None = None

    def __post_init__(self) -> None:
        if self.admin_password and len(self.admin_password) < SHORTEST_PASSWORD:
            raise ValueError(f"ADMIN_PASSWORD is too short: use at least {SHORTEST_PASSWORD} characters.")
        if self.api_token and len(self.api_token) < 32:
            raise ValueError("API_TOKEN is too short: use at least 32 random characters.")
        if not self.loopback and not self.admin_password:
            raise ValueError("Other machines can reach this page, so it needs a password: set ADMIN_PASSWORD.")


def role(access: Access) -> Callable[[F], F]:
    """Declare who may call a route. A route without a declaration is refused."""

    def declare(view: F) -> F:
        view.role = access  # type: ignore[attr-defined]
        return view

    return declare


@dataclass(frozen=True)
class Caller:
    role: Role
    actor: str
    session_key: str | None = None


class Gate:
    """Knows the credentials; turns a request into a caller."""

    def __init__(self, secrets: WebSecrets, now: Callable[[], float]) -> None:
        self.loopback = secrets.loopback
        self.hosts = (LOOPBACK_NAMES | secrets.hosts) if secrets.loopback else secrets.hosts
        self.sessions = Sessions(secrets.session_file, now)
        self.links = LoginLinks(now)
        self.throttle = Throttle(now)
        self.has_password = bool(secrets.admin_password)
        self._password_hash = generate_password_hash(secrets.admin_password) if secrets.admin_password else ""
        self._token_hash = digest(secrets.api_token) if secrets.api_token else ""
        self._hashing = ThreadPool(1)

    def login_link(self, base_url: str) -> str:
        """A link that signs one browser in, once, within ten minutes. The secret never reaches a server's log."""
        return f"{base_url.rstrip('/')}/login#{self.links.create()}"

    def password_fits(self, password: str) -> bool:
        """Waits in a thread of its own: hashing takes 75 ms, and the pool that writes the journal must stay free."""
        return self.has_password and self._hashing.apply(check_password_hash, (self._password_hash, password))

    def caller(self) -> Caller | None:
        """Who sends this request. A wrong bearer token is nobody, also when a good cookie comes with it."""
        header = request.headers.get("Authorization")
        if header is not None:
            scheme, _, token = header.partition(" ")
            known = bool(self._token_hash) and scheme.lower() == "bearer"
            return Caller("operator", "token") if known and compare_digest(digest(token), self._token_hash) else None
        cookie = request.cookies.get(cookie_name())
        if not cookie:
            return None
        key = digest(cookie)
        session = self.sessions.touch(key)
        return Caller(session.role, f"session {key[:8]}", key) if session else None

    def check_host(self) -> None:
        if self.hosts and _hostname(request.host) not in self.hosts:
            raise Problem(400, "unknown_host", "This server does not go by that name. Open it as http://127.0.0.1.")

    def check_origin(self) -> None:
        """A change that rides on a cookie must come from our own page, as JSON."""
        site = request.headers.get("Sec-Fetch-Site")
        origin = request.headers.get("Origin")
        ours = site in ("same-origin", "none") if site else bool(origin) and urlsplit(origin).netloc == request.host
        if not ours:
            detail = "This change did not come from Tickstop's own page. Scripts use a bearer token (API_TOKEN)."
            raise Problem(403, "cross_site", detail)
        if request.mimetype != "application/json":
            raise Problem(415, "not_json", "Send the body as application/json.")


def gate() -> Gate:
    found: Gate = current_app.extensions["tickstop"].gate
    return found


def cookie_name() -> str:
    """Cookies do not know ports: two bots on one machine need two names."""
    return "__Host-session" if request.is_secure else f"session-{urlsplit('//' + request.host).port or 80}"


def session_is_open() -> Callable[[], bool]:
    """A check, for a long-lived stream, that the session of this request has not ended since. An open page is use."""
    key, sessions = g.caller.session_key, gate().sessions
    return lambda: key is None or sessions.touch(key) is not None


def authorize() -> Response | None:
    """Before each request: the host is ours, the route declares a role, the caller has it."""
    gate().check_host()
    if request.endpoint is None:
        return None
    access = getattr(current_app.view_functions[request.endpoint], "role", None)
    if access is None:
        raise Problem(500, "no_role", f"The route {request.endpoint} does not say who may use it.")
    g.caller = gate().caller()
    if access == "public":
        return None
    if g.caller is None:
        if request.blueprint == "pages":
            return redirect(url_for("pages.login"))  # type: ignore[return-value]
        raise Problem(401, "not_signed_in", "Sign in, or send a valid bearer token.")
    if access == "operator" and g.caller.role != "operator":
        raise Problem(403, "not_allowed", "You can look, but not act.")
    if g.caller.session_key and request.method not in SAFE_METHODS:
        gate().check_origin()
    return None


session_routes = Blueprint("session", __name__)


@session_routes.get("/session")
@role("public")
def read_session() -> Response:
    """Who is signed in; a role of null is nobody."""
    caller = g.caller
    return jsonify(role=caller and caller.role, actor=caller and caller.actor)


@session_routes.post("/session")
@role("public")
def sign_in() -> Response:
    """Sign in with a one-time link or the password."""
    gate().check_origin()
    body = request.get_json()
    if not isinstance(body, dict) or not all(isinstance(value, str) for value in body.values()):
        raise Problem(422, "invalid", "Send {'link': …} or {'password': …}.")
    address = request.remote_addr or ""
    throttle = gate().throttle
    wait = throttle.wait_s(address)
    if wait:
        raise Problem(429, "too_many_requests", f"Wait {wait:.0f} s, then try again.", retry_after=int(wait) + 1)
    throttle.failed(address)  # before the check, so that guesses sent side by side are counted too
    gevent.sleep(throttle.crowd_s())
    if "link" in body:
        good = gate().links.redeem(body["link"])
    else:
        good = gate().password_fits(body.get("password", "")[:1000])
    if not good:
        log.warning("sign-in refused from %s", address)
        how = "This link is used up or older than ten minutes." if "link" in body else "The password is not right."
        raise Problem(401, "wrong_credentials", how)
    throttle.succeeded(address)
    log.info("signed in from %s", address)
    return _open_session()


@session_routes.delete("/session")
@role("viewer")
def sign_out() -> Response:
    """End this session, or with ?everywhere=1 all of them."""
    if request.args.get("everywhere") == "1":
        gate().sessions.end_all()
    elif g.caller.session_key:
        gate().sessions.end(g.caller.session_key)
    response = Response(status=204)
    response.delete_cookie(cookie_name(), path="/", secure=request.is_secure, httponly=True, samesite="Strict")
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


@session_routes.post("/session/link")
@role("public")
def new_link() -> Response:
    """Print a new login link in the terminal; only whoever reads the terminal can use it."""
    gate().check_origin()
    if not gate().loopback or gate().has_password:
        raise Problem(409, "use_password", "Sign in with the password.")
    address = "link"
    wait = gate().throttle.wait_s(address)
    if wait:
        raise Problem(429, "too_many_requests", f"Wait {wait:.0f} s, then try again.", retry_after=int(wait) + 1)
    gate().throttle.failed(address)
    print(f"Sign in (once, within {LINK_S // 60} minutes): {gate().login_link(request.host_url)}", flush=True)
    return Response(status=204)


def install(app: Flask) -> None:
    app.before_request(authorize)


def _open_session() -> Response:
    agent = request.user_agent.string
    if g.caller and g.caller.session_key:
        gate().sessions.end(g.caller.session_key)
    session_id = gate().sessions.create("operator", agent)
    response = jsonify(role="operator")
    response.set_cookie(
        cookie_name(),
        session_id,
        max_age=ABSOLUTE_S,
        path="/",
        secure=request.is_secure,
        httponly=True,
        samesite="Strict",
    )
    return response


def _hostname(host: str) -> str:
    return (urlsplit("//" + host).hostname or "").lower()
