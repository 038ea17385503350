"""What a fault does to a request: before its effect, after it, or to the answer."""

from collections.abc import Callable

import gevent
import msgspec

from bot.paper import public, wire
from bot.paper.auth import Denied
from bot.paper.faults import Fault
from bot.paper.http import Answer, Request, json_answer, nested, too_many
from bot.paper.venue import Venue

CODES = {500: "internal_error", 502: "bad_gateway", 503: "exchange_unavailable", 504: "gateway_timeout"}
RESUME_MS = 60_000
"""When a maintenance without an end says that it ends, from now."""


def meet(venue: Venue, fault: Fault, request: Request, serve: Callable[[int], Answer]) -> Answer:
    """Answer a struck request; `serve(skew_ms)` does its work under a clock that is off by so much and never raises."""
    match fault.kind:
        case "lost_reply_before":
            return Answer(0, cut="lost")
        case "lost_reply_after":
            serve(0)
            return Answer(0, cut="lost")
        case "clock_skew":
            return serve(fault.delay_ms)
        case "key_revoked":
            if "kalshi-access-key" in request.headers:
                denied = Denied("authentication_error", "authentication_error", "NOT_FOUND")
                return json_answer(401, denied.body)
            return serve(0)
        case "wrong_order":
            return _other_order(venue, serve(0))
        case "stale":
            return _stale(venue, fault.delay_ms, serve)
        case "delay":
            return _late(venue.faults.delay_ms(fault), fault, serve)
    if fault.after:
        serve(0)
    match fault.kind:
        case "reset" | "hang":
            return Answer(0, cut=fault.kind)
        case "restart":
            return Answer(0, cut="restart", down_ms=fault.delay_ms)
        case "http_429":
            return json_answer(429, too_many().body)
        case "maintenance":
            return _maintenance(venue, fault, request)
    status = int(fault.kind.removeprefix("http_"))
    return _error(status, fault, nested(status, CODES[status]).body)


def _stale(venue: Venue, lag_ms: int, serve: Callable[[int], Answer]) -> Answer:
    """Serving never yields, so no other request sees the lag."""
    venue.past.struck_ms = lag_ms
    try:
        return serve(0)
    finally:
        venue.past.struck_ms = 0


def _late(delay_ms: int, fault: Fault, serve: Callable[[int], Answer]) -> Answer:
    if fault.after:
        answer = serve(0)
        gevent.sleep(delay_ms / 1000)
        return answer
    gevent.sleep(delay_ms / 1000)
    return serve(0)


def _maintenance(venue: Venue, fault: Fault, request: Request) -> Answer:
    """503; with the JSON body that `GET /exchange/status` has also then (kalshi-api.md section 4.1)."""
    end_ms = venue.faults.since_ms + round((fault.after_s + fault.for_s) * 1000)
    resume_ms = end_ms if fault.for_s else request.now_ms + RESUME_MS
    if request.path.endswith("/exchange/status"):
        closed = {"exchange_active": False, "trading_active": False}
        body = public.status(venue, request) | closed | {"exchange_estimated_resume_time": wire.rfc3339(resume_ms)}
        return _error(503, fault, body)
    return _error(503, fault, nested(503, "exchange_unavailable").body)


def _error(status: int, fault: Fault, body: object) -> Answer:
    if fault.body == "json":
        return json_answer(status, body)
    if fault.body == "empty":
        return Answer(status)
    words = f"{status} {CODES[status].replace('_', ' ')}"
    page = f"<html><head><title>{words}</title></head><body><h1>{words}</h1></body></html>\r\n"
    return Answer(status, page.encode(), (("Content-Type", "text/html"),))


def _other_order(venue: Venue, answer: Answer) -> Answer:
    """The same answer, naming another order of the account, or one that nobody knows when it has no other."""
    try:
        body = msgspec.json.decode(answer.body)
        own = body["order_id"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return answer
    others = [order for order in venue.account.orders.values() if order.order_id != own]
    body["order_id"] = others[-1].order_id if others else venue.engine.new_id()
    body.pop("client_order_id", None)
    if others and others[-1].client_order_id:
        body["client_order_id"] = others[-1].client_order_id
    return json_answer(answer.status, body)
