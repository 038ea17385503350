"""The web layer over the stand-in desk as gunicorn serves it: `gunicorn serve:app`. Settings come from the environment.

STANDIN_MODE, _MARKETS, _STREAMS, _STEP_S, _SESSIONS and _LINK shape it; /_test/ routes move it by hand.
"""

import os
from pathlib import Path

import gevent
from flask import Response, jsonify, request
from standin import PASSWORD, TOKEN, StandInDesk

from web import WebSecrets, create_app
from web.auth import role

desk = StandInDesk(os.environ.get("STANDIN_MODE", "paper"), int(os.environ.get("STANDIN_MARKETS", "6")), clock=True)
password = None if os.environ.get("STANDIN_LINK") else PASSWORD
sessions = Path(os.environ["STANDIN_SESSIONS"]) if "STANDIN_SESSIONS" in os.environ else None
secrets = WebSecrets(admin_password=password, api_token=TOKEN, session_file=sessions)
app = create_app(
    desk,
    secrets=secrets,
    redis_url=os.environ.get("REDIS_URL"),
    max_streams=int(os.environ.get("STANDIN_STREAMS", "32")),
)
tickstop = app.extensions["tickstop"]
running = [True]


def beat() -> None:
    while True:
        gevent.sleep(float(os.environ.get("STANDIN_STEP_S", "1")))
        if running[0]:
            tickstop.stream.publish_page(desk.step())


@app.post("/_test/<verb>")
@role("public")
def control(verb: str) -> Response:
    """Move the world: publish, stall, go, step, note, blind, differ, link."""
    if verb == "publish":
        tickstop.sse.publish(request.get_json(), type="alert")
    elif verb == "stall":
        running[0] = False
    elif verb == "go":
        running[0] = True
    elif verb == "step":
        tickstop.stream.publish_page(desk.step())
    elif verb == "note":
        desk.note("warning", "note", request.get_json()["text"], None)
    elif verb == "blind":
        desk.stale_held = request.get_json()["tickers"]
    elif verb == "differ":
        desk.differences, desk.external = request.get_json()["differences"], request.get_json()["external"]
    elif verb == "link":
        return jsonify(link=tickstop.login_link(request.host_url))
    return jsonify(commands=desk.commands, streams=len(tickstop.stream))


gevent.spawn(beat)
