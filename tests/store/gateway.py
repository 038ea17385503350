"""A small PostgREST over a real PostgreSQL, with faults on demand, for the real supabase client.

It speaks the part of PostgREST that the client uses (select with filters, insert, upsert), runs each request in
one transaction under the role of its key, and answers errors with PostgREST's status for the SQLSTATE.

Alone: `python tests/store/gateway.py --port 0 --refuse-every 5` starts a throw-away PostgreSQL with the project's
migrations and prints {"url", "key", "dsn", "pid"} as one line; SIGTERM ends both.
"""

import argparse
import json
import os
import re
import signal
import socket
import sys
from typing import Any
from urllib.parse import parse_qsl, unquote

import gevent
import postgres
import psycopg2
from gevent.pywsgi import WSGIHandler, WSGIServer
from psycopg2 import sql

SECRET_KEY = "sb_secret_test_only"
ANON_KEY = "sb_publishable_test_only"
ROLES = {SECRET_KEY: "service_role", ANON_KEY: "anon"}
REASONS = {200: "OK", 201: "Created", 204: "No Content", 206: "Partial Content"}
STATUS_OF = (
    ("23503", 409), ("23505", 409), ("25006", 405), ("42501", 403), ("42P01", 404), ("42883", 404), ("08", 503),
    ("53", 503), ("40", 500), ("57", 500), ("58", 500), ("XX", 500),
)  # fmt: skip
OPERATORS = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class Problem(Exception):
    def __init__(self, status: int, code: str, message: str, details: Any = None, hint: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"code": code, "message": message, "details": details, "hint": hint}


class Gateway:
    """WSGI. Every n-th POST meets the fault set for n: refuse (503), html (200), hang, drop, drop_after."""

    def __init__(self, dsn: str, faults: dict[str, int]) -> None:
        self.db = psycopg2.connect(dsn)
        self.faults = faults
        self.posts = 0
        self.counts: dict[str, int] = {"rows": 0, "requests": 0, "largest": 0}
        self.http: set[str] = set()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read()
        if environ["PATH_INFO"] == "/_control":
            return self._control(body, start_response)
        self.counts["requests"] += 1
        self.http.add(environ["SERVER_PROTOCOL"])
        fault = ""
        if environ["REQUEST_METHOD"] == "POST":
            self.posts += 1
            fault = next((name for name, every in self.faults.items() if every and self.posts % every == 0), "")
        if fault in ("refuse", "limit", "html", "empty", "drop"):
            self.counts[fault] = self.counts.get(fault, 0) + 1
        if fault == "refuse":
            return _answer(start_response, 503, {"message": "upstream is away"})
        if fault == "limit":
            return _answer(start_response, 429, {"message": "slow down"}, [("Retry-After", "1")])
        if fault == "html":
            start_response("200 OK", [("Content-Type", "text/html")])
            return [b"<html><body>Project is waking up</body></html>"]
        if fault == "empty":
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "0")])
            return [b""]
        if fault == "drop":
            _cut(environ)
        try:
            status, answer, headers = self._handle(environ, body)
        except Problem as problem:
            status, answer, headers = problem.status, problem.body, []
        if fault in ("drop_after", "hang"):
            self.counts[fault] = self.counts.get(fault, 0) + 1
            if fault == "hang":
                gevent.sleep(30)
            _cut(environ)
        return _answer(start_response, status, answer, headers)

    def _control(self, body: bytes, start_response: Any) -> list[bytes]:
        """POST {"faults": {...}} replaces the faults and clears the counters; GET reads the counters."""
        if body:
            self.faults = json.loads(body)["faults"]
            self.posts = 0
            self.counts = {"rows": 0, "requests": 0, "largest": 0}
        return _answer(start_response, 200, {**self.counts, "http": sorted(self.http)})

    def _handle(self, environ: dict[str, Any], body: bytes) -> tuple[int, Any, list[tuple[str, str]]]:
        role = ROLES.get(environ.get("HTTP_APIKEY", ""))
        if role is None or environ.get("HTTP_AUTHORIZATION") != f"Bearer {environ['HTTP_APIKEY']}":
            return 401, {"message": "Invalid API key"}, []
        found = re.fullmatch(r"/rest/v1/([A-Za-z_0-9]+)", environ["PATH_INFO"])
        if found is None:
            raise Problem(404, "PGRST125", "Invalid path specified in request URL")
        table, params = found[1], parse_qsl(environ["QUERY_STRING"], keep_blank_values=True)
        try:
            with self.db, self.db.cursor() as cursor:
                columns = _columns(cursor, table)
                cursor.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
                if environ["REQUEST_METHOD"] == "GET":
                    return 200, _select(cursor, table, columns, params), []
                if environ["REQUEST_METHOD"] == "POST":
                    prefer = environ.get("HTTP_PREFER", "")
                    rows = json.loads(body)
                    answer = _insert(cursor, table, columns, params, prefer, rows)
                    sent = len(rows) if isinstance(rows, list) else 1
                    self.counts["rows"] += sent
                    self.counts["largest"] = max(self.counts["largest"], sent)
                    return 201, answer, []
        except psycopg2.Error as error:
            code = error.pgcode or "XX000"
            status = next((status for prefix, status in STATUS_OF if code.startswith(prefix)), 400)
            status = 401 if code == "42501" and role == "anon" else status
            diagnosis = error.diag
            raise Problem(
                status, code, diagnosis.message_primary or str(error), diagnosis.message_detail, diagnosis.message_hint
            ) from error
        raise Problem(405, "PGRST117", "Unsupported HTTP method")


def _columns(cursor: Any, table: str) -> set[str]:
    """The schema cache: PostgREST knows tables and columns whatever the role may read."""
    cursor.execute(
        "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
        (f"public.{table}",),
    )
    columns = {row[0] for row in cursor.fetchall()}
    if not columns:
        raise Problem(404, "PGRST205", f"Could not find the table 'public.{table}' in the schema cache")
    return columns


def _select(cursor: Any, table: str, columns: set[str], params: list[tuple[str, str]]) -> list[Any]:
    wanted: sql.Composable = sql.SQL("*")
    where: list[sql.Composable] = []
    order: list[sql.Composable] = []
    tail: list[sql.Composable] = []
    for name, value in params:
        if name == "select":
            wanted = _names(value)
        elif name == "order":
            for part in value.split(","):
                column, _, direction = part.partition(".")
                order.append(sql.SQL("{} " + ("desc" if direction == "desc" else "asc")).format(sql.Identifier(column)))
        elif name in ("limit", "offset"):
            tail.append(sql.SQL(name + " {}").format(sql.Literal(int(value))))
        else:
            operator, _, operand = value.partition(".")
            if operator not in OPERATORS:
                raise Problem(400, "PGRST100", f"failed to parse filter ({value})")
            where.append(
                sql.SQL("{} " + OPERATORS[operator] + " {}").format(sql.Identifier(name), sql.Literal(operand))
            )
    query = sql.SQL("select {} from public.{}").format(wanted, sql.Identifier(table))
    if where:
        query += sql.SQL(" where ") + sql.SQL(" and ").join(where)
    if order:
        query += sql.SQL(" order by ") + sql.SQL(", ").join(order)
    for part in tail:
        query += sql.SQL(" ") + part
    return _rows(cursor, query)


def _insert(
    cursor: Any, table: str, columns: set[str], params: list[tuple[str, str]], prefer: str, body: Any
) -> list[Any] | None:
    options = dict(params)
    rows = body if isinstance(body, list) else [body]
    if "columns" in options:
        names = [name.strip('"') for name in unquote(options["columns"]).split(",")]
    else:
        names = list(rows[0]) if rows else []
    for name in names:
        if name not in columns:
            raise Problem(400, "PGRST204", f"Could not find the '{name}' column of '{table}' in the schema cache")
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    query = sql.SQL(
        "insert into public.{t} ({c}) select {c} from json_populate_recordset(null::public.{t}, {b})"
    ).format(t=sql.Identifier(table), c=listed, b=sql.Literal(json.dumps(rows)))
    if "resolution=" in prefer:
        query += sql.SQL(" on conflict ({}) do ").format(_names(options["on_conflict"]))
        if "resolution=ignore-duplicates" in prefer:
            query += sql.SQL("nothing")
        else:
            changes = [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in names]
            query += sql.SQL("update set ") + sql.SQL(", ").join(changes)
    if "return=minimal" in prefer:
        cursor.execute(query)
        return None
    wanted = _names(options["select"]) if "select" in options else sql.SQL("*")
    return _rows(cursor, query + sql.SQL(" returning ") + wanted)


def _names(listed: str) -> sql.Composable:
    if listed == "*":
        return sql.SQL("*")
    return sql.SQL(", ").join(sql.Identifier(name.strip().strip('"')) for name in listed.split(","))


def _rows(cursor: Any, query: sql.Composable) -> list[Any]:
    cursor.execute(sql.SQL("with q as (") + query + sql.SQL(") select coalesce(json_agg(q), '[]') from q"))
    return cursor.fetchone()[0]


def _answer(start_response: Any, status: int, body: Any, headers: list[tuple[str, str]] | None = None) -> list[bytes]:
    data = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
    start_response(
        f"{status} {REASONS.get(status, 'Error')}",
        [("Content-Type", "application/json; charset=utf-8"), ("Content-Length", str(len(data))), *(headers or [])],
    )
    return [data]


def _cut(environ: dict[str, Any]) -> None:
    """Close the connection without a reply."""
    environ["gateway.socket"].shutdown(2)
    raise gevent.GreenletExit


class Handler(WSGIHandler):
    def handle(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().handle()

    def get_environ(self) -> dict[str, Any]:
        return {**super().get_environ(), "gateway.socket": self.socket}

    def log_request(self) -> None:
        pass


def serve(dsn: str, port: int, faults: dict[str, int]) -> None:
    """Serve until SIGTERM or SIGINT; prints where, as one line of JSON."""
    server = WSGIServer(("127.0.0.1", port), Gateway(dsn, faults), handler_class=Handler, log=None)
    server.start()
    url = f"http://127.0.0.1:{server.server_port}"
    print(json.dumps({"url": url, "key": SECRET_KEY, "dsn": dsn, "pid": os.getpid()}), flush=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, server.stop, 0.2)
    server.serve_forever()


def main() -> int:
    parser = argparse.ArgumentParser(description="PostgREST-like gateway for tests")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--dsn", default="", help="an existing PostgreSQL with the migrations applied")
    for name in FAULTS:
        parser.add_argument(f"--{name.replace('_', '-')}-every", type=int, default=0, metavar="N")
    options = parser.parse_args()
    faults = {name: getattr(options, f"{name}_every") for name in FAULTS}
    if options.dsn:
        serve(options.dsn, options.port, faults)
        return 0
    if why := postgres.missing():
        print(why, file=sys.stderr)
        return 1
    with postgres.running() as dsn:
        postgres.migrate(dsn)
        serve(dsn, options.port, faults)
    return 0


FAULTS = ("refuse", "limit", "html", "empty", "hang", "drop", "drop_after")

if __name__ == "__main__":
    raise SystemExit(main())
