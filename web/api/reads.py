"""GET routes: views (one object), listings (cursor pages), one market, and the snapshot the live stream starts from."""

from functools import partial

from flask import Blueprint, Response, current_app, jsonify, request

from web.auth import role
from web.desk import Desk
from web.problems import Problem
from web.stream import Stream

VIEWS = {
    "meta": "Version, boot, mode and account",
    "status": "State, loops, connections, reconciliation",
    "performance": "Results: realised, unrealised, fees, win rate",
    "risk": "Limits, and how much of them is used",
    "health": "What the bot depends on, and how it is",
    "config": "Settings in force, with their version",
}
LISTINGS = {
    "markets": "Markets in view, with verdict and consensus",
    "opportunities": "Candidates with fair value, edge, and why not",
    "positions": "Open positions with mark, stop and target",
    "orders": "Orders, newest first",
    "fills": "Fills, newest first",
    "trades": "Closed trades, newest first",
    "decisions": "Decisions with their reasons, newest first",
    "events": "The event log, newest first",
    "settlements": "Settlements, newest first",
    "equity": "The equity curve, newest first",
}
FILTERS = frozenset(
    ("ticker", "event_ticker", "category", "strategy", "state", "verdict", "level", "kind", "since_ms", "until_ms")
)
MOST = 200


def reads(desk: Desk, stream: Stream) -> Blueprint:
    routes = Blueprint("reads", __name__)
    for name in VIEWS:
        routes.add_url_rule(f"/{name}", name, role("viewer")(partial(_view, desk, name)))
    for name in LISTINGS:
        routes.add_url_rule(f"/{name}", name, role("viewer")(partial(_listing, desk, name)))
    routes.add_url_rule("/markets/<ticker>", "market", role("viewer")(partial(_market, desk)))
    routes.add_url_rule("/snapshot", "snapshot", role("viewer")(partial(_snapshot, stream)))
    return routes


def _view(desk: Desk, name: str) -> Response:
    return _tagged(jsonify(desk.view(name)))


def _listing(desk: Desk, name: str) -> Response:
    if name == "markets" and not request.args:
        return _all_markets(desk)
    query = request.args.to_dict()
    limit = _limit(query.pop("limit", "50"))
    cursor = query.pop("cursor", None)
    unknown = sorted(query.keys() - FILTERS)
    if unknown:
        errors = [{"pointer": f"?{key}", "detail": f"one of {', '.join(sorted(FILTERS))}"} for key in unknown]
        raise Problem(422, "unknown_filter", f"There is no filter {unknown[0]!r}.", errors)
    try:
        return _tagged(jsonify(desk.listing(name, limit, cursor, query)))
    except ValueError as error:
        raise Problem(422, "invalid", str(error)) from None


def _all_markets(desk: Desk) -> Response:
    """The whole snapshot, encoded when it was made; with a query the markets are a listing like the others."""
    tag, body, age_s = desk.markets()
    response = current_app.response_class(body, mimetype="application/json")
    if age_s is not None:
        response.headers["Age"] = str(age_s)
    return _tagged(response, tag)


def _market(desk: Desk, ticker: str) -> Response:
    market = desk.market(ticker)
    if market is None:
        raise Problem(404, "unknown_market", f"{ticker} is not among the markets in view.")
    return _tagged(jsonify(market))


def _snapshot(stream: Stream) -> Response:
    frame_id, page = stream.snapshot()
    response = current_app.response_class(page, mimetype="application/json")
    response.headers["X-Frame-Id"] = frame_id
    return _tagged(response, frame_id)


def _tagged(response: Response, tag: str | None = None) -> Response:
    """With an ETag, so that what has not changed is answered with 304."""
    if tag is None:
        response.add_etag(weak=True)
    else:
        response.set_etag(tag, weak=True)
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request.environ)
    return response


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= MOST:
        detail = f"limit is a whole number from 1 to {MOST}."
        raise Problem(422, "invalid", detail, [{"pointer": "?limit", "detail": detail}])
    return int(text)
