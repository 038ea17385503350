"""The HTML pages, static files, and the routes that platforms ask: /healthz, /readyz, /metrics."""

from functools import partial
from pathlib import Path

from flask import Blueprint, Response, g, jsonify, render_template, send_from_directory
from flask.typing import ResponseReturnValue

from web.auth import gate, role
from web.desk import Desk

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "static" / "vendor" / "uplot" / "uPlot.esm.js"


def pages(desk: Desk) -> Blueprint:
    routes = Blueprint("pages", __name__, template_folder=str(ROOT / "templates"))
    routes.add_url_rule("/", "dashboard", role("viewer")(partial(_dashboard, desk)))
    routes.add_url_rule("/login", "login", _login)
    return routes


def plumbing(desk: Desk) -> Blueprint:
    routes = Blueprint("plumbing", __name__)
    routes.add_url_rule("/static/<path:filename>", "static", _static)
    routes.add_url_rule("/healthz", "healthz", role("public")(partial(_healthz, desk)))
    routes.add_url_rule("/readyz", "readyz", role("public")(partial(_readyz, desk)))
    routes.add_url_rule("/metrics", "metrics", role("viewer")(partial(_metrics, desk)))
    return routes


def _dashboard(desk: Desk) -> str:
    return render_template("dashboard.html", meta=desk.view("meta"), chart=CHART.exists())


@role("public")
def _login() -> str:
    return render_template("login.html", password=gate().has_password)


@role("public")
def _static(filename: str) -> Response:
    response = send_from_directory(ROOT / "static", filename)
    response.headers["Cache-Control"] = "no-cache"
    return response


def _healthz(desk: Desk) -> ResponseReturnValue:
    alive = desk.alive()
    return jsonify(alive=alive), 200 if alive else 503


def _readyz(desk: Desk) -> ResponseReturnValue:
    ready, details = desk.ready()
    return jsonify({"ready": ready, **(details if g.caller else {})}), 200 if ready else 503


def _metrics(desk: Desk) -> Response:
    return Response(desk.metrics(), content_type="text/plain; version=0.0.4; charset=utf-8")
