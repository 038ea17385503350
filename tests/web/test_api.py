"""The REST API: reads, paging, commands, idempotency, errors, and the description that cannot drift."""

import gevent
import pytest
from jsonschema import Draft202012Validator
from standin import ticker

from web.api import commands
from web.api.openapi import document

KEY = {"Idempotency-Key": "k-1"}
AS_JSON = {"content_type": "application/json"}


def validator(schema):
    return Draft202012Validator({**schema, "components": document()["components"]})


def test_every_route_is_described_and_everything_described_exists(app):
    routes = {
        (rule.rule.removeprefix("/api/v1").replace("<", "{").replace(">", "}"), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    described = {(path, method) for path, methods in document()["paths"].items() for method in methods}
    assert described == routes


def test_the_description_is_consistent(script):
    described = script.get("/api/v1/openapi.json").json
    assert described == document()
    ids = [operation["operationId"] for methods in described["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))
    for schema in described["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_read_answers_as_described(script):
    for path, methods in document()["paths"].items():
        if "get" not in methods or "200" not in methods["get"]["responses"] or path == "/stream":
            continue
        answer = script.get("/api/v1" + path.replace("{ticker}", ticker(0)))
        assert answer.status_code == 200, path
        schema = methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        validator(schema).validate(answer.json)


def test_paging_walks_a_listing_once(script):
    seen, cursor = [], None
    while True:
        query = {"limit": 4, **({"cursor": cursor} if cursor else {})}
        answer = script.get("/api/v1/markets", query_string=query).json
        seen += [row["ticker"] for row in answer["items"]]
        cursor = answer["next_cursor"]
        if cursor is None:
            break
    assert seen == [ticker(index) for index in range(6)]


def test_a_filter_is_applied_and_an_unknown_one_refused(script):
    found = script.get("/api/v1/markets?verdict=held").json["items"]
    assert [row["ticker"] for row in found] == [ticker(0), ticker(1)]
    refused = script.get("/api/v1/markets?colour=red")
    assert refused.status_code == 422 and refused.json["errors"][0]["pointer"] == "?colour"


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "limit=-1", "limit=²", "cursor=zz"])
def test_a_bad_page_request_is_refused(script, query):
    assert script.get(f"/api/v1/markets?{query}").status_code == 422


def test_an_unchanged_answer_is_304(script, desk):
    for path in ("/api/v1/markets", "/api/v1/status"):
        tag = script.get(path).headers["ETag"]
        assert script.get(path, headers={"If-None-Match": tag}).status_code == 304
        desk.step()
        assert script.get(path, headers={"If-None-Match": tag}).status_code == 200


def test_all_markets_come_as_one_snapshot_with_its_age(script, desk):
    answer = script.get("/api/v1/markets")
    assert answer.data == desk.markets()[1] and answer.headers["Age"] == "3"
    assert [row["ticker"] for row in answer.json["markets"]] == [ticker(index) for index in range(6)]
    unchanged = script.get("/api/v1/markets", headers={"If-None-Match": answer.headers["ETag"]})
    assert (unchanged.status_code, unchanged.data) == (304, b"")


def test_the_snapshot_is_tagged_with_its_frame(app, script, desk):
    stream = app.extensions["tickstop"].stream
    first = script.get("/api/v1/snapshot")
    assert first.json == desk.page() and first.headers["ETag"] == f'W/"{stream.boot}-0"'
    stream.publish_page(desk.step())
    second = script.get("/api/v1/snapshot", headers={"If-None-Match": first.headers["ETag"]})
    assert second.status_code == 200 and second.json == desk.page()


def test_an_unknown_market_is_404(script):
    assert script.get("/api/v1/markets/NOPE").json["code"] == "unknown_market"


def test_commands_reach_the_desk_with_actor_and_request_id(script, browser, desk):
    answer = script.post("/api/v1/bot/pause", json={"reason": "lunch"}).json
    assert answer["result"] == "accepted" and answer["state"] == "PAUSED"
    assert desk.commands[-1] == ("pause", {"reason": "lunch"}, "token", answer["request_id"])
    browser.post(f"/api/v1/positions/{ticker(0)}/close", json={}, headers=KEY)
    verb, args, actor, request_id = desk.commands[-1]
    assert (verb, args, request_id) == ("close", {"ticker": ticker(0)}, "k-1") and actor.startswith("session ")


def test_a_word_that_is_not_on_disk_is_accepted_and_says_so(script, desk):
    assert script.post("/api/v1/bot/pause").json["durable"] is True
    desk.durable = False
    answer = script.post("/api/v1/bot/kill")
    assert (answer.status_code, answer.json["result"], answer.json["durable"]) == (200, "accepted", False)


def test_kill_is_one_step_in_every_state_and_needs_no_body(script, desk):
    for state in ("RUNNING", "PAUSED", "REDUCING", "HALTED", "STANDBY"):
        desk.state = state
        assert script.post("/api/v1/bot/kill").json["state"] == "HALTED"


def test_rearming_takes_the_word(script, desk):
    desk.state = "HALTED"
    for body in ({}, {"confirm": "rearm"}, {"confirm": ""}):
        refused = script.post("/api/v1/bot/rearm", json=body, headers=KEY)
        assert refused.status_code == 422 and refused.json["code"] == "confirm"
    assert desk.state == "HALTED"
    assert script.post("/api/v1/bot/rearm", json={"confirm": "REARM"}, headers=KEY).json["state"] == "PAUSED"


def test_the_first_start_with_real_money_takes_the_word_to_the_desk(script, desk):
    desk.mode, desk.start_word = "live", "LIVE"
    for body in ({}, {"confirm": "live"}):
        refused = script.post("/api/v1/bot/start", json=body)
        assert refused.status_code == 409 and refused.json["code"] == "confirm"
    assert script.post("/api/v1/bot/start", json={"confirm": "LIVE"}).json["state"] == "RUNNING"
    assert script.post("/api/v1/bot/start").status_code == 200


def test_a_refusal_is_a_problem_with_the_desks_reason(script, desk):
    desk.state = "HALTED"
    refused = script.post("/api/v1/bot/start")
    assert refused.status_code == 409 and refused.mimetype == "application/problem+json"
    assert refused.json["code"] == "halted" and refused.json["state"] == "HALTED"


@pytest.mark.parametrize(
    "path",
    [
        "/bot/rearm",
        "/bot/flatten",
        f"/positions/{ticker(0)}/close",
        "/orders/base-2/cancel",
        f"/positions/{ticker(0)}/plan",
        f"/positions/{ticker(0)}/claim",
        "/orders/base-2/claim",
        "/differences/cash/accept",
    ],
)
def test_what_costs_money_needs_a_key(script, desk, path):
    refused = script.post(
        f"/api/v1{path}", json={"confirm": "REARM"} if "rearm" in path else {"stop": "0.5"} if "plan" in path else {}
    )
    assert refused.status_code == 422 and refused.json["code"] == "key_required" and desk.commands == []


def test_the_same_key_acts_once_and_gives_the_same_answer(script, desk):
    path = f"/api/v1/positions/{ticker(0)}/close"
    first, second = script.post(path, json={}, headers=KEY), script.post(path, json={}, headers=KEY)
    assert len(desk.commands) == 1 and first.data == second.data
    assert second.headers["Idempotent-Replay"] == "true" and "Idempotent-Replay" not in first.headers


def test_the_same_key_for_another_request_is_refused(script, desk):
    script.post(f"/api/v1/positions/{ticker(0)}/close", json={}, headers=KEY)
    other = script.post(f"/api/v1/positions/{ticker(1)}/close", json={}, headers=KEY)
    assert other.status_code == 422 and other.json["code"] == "key_reused" and len(desk.commands) == 1


def test_the_same_key_with_another_body_is_refused(script, desk):
    path = f"/api/v1/positions/{ticker(0)}/plan"
    assert script.post(path, json={"stop": "0.5000"}, headers=KEY).status_code == 200
    other = script.post(path, json={"stop": "0.6000"}, headers=KEY)
    assert other.status_code == 422 and other.json["code"] == "key_reused" and len(desk.commands) == 1


def test_the_same_key_of_another_caller_is_another_command(script, browser, desk):
    for caller in (script, browser):
        assert caller.post("/api/v1/bot/flatten", json={}, headers=KEY).status_code == 200
    assert [verb for verb, *_ in desk.commands] == ["flatten"] * 2


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/bot/kill", {}),
        ("PATCH", "/config", {"max_exposure": "9.000000"}),
        ("POST", f"/positions/{ticker(0)}/plan", {"stop": "0.5000"}),
    ],
)
def test_the_key_is_the_request_id_that_the_record_shows(script, desk, method, path, body):
    assert script.open(f"/api/v1{path}", method=method, json=body, headers=KEY).json["request_id"] == "k-1"
    assert desk.commands[-1][3] == "k-1"


def test_so_many_answers_are_kept_and_the_oldest_is_forgotten(script, desk, monkeypatch):
    monkeypatch.setattr("web.api.idempotency.MOST", 2)
    for key in ("a", "b", "c", "c", "a"):
        script.post("/api/v1/bot/flatten", json={}, headers={"Idempotency-Key": key})
    assert [request_id for *_, request_id in desk.commands] == ["a", "b", "c", "a"]


def test_a_key_is_forgotten_after_a_day(script, desk, clock):
    path = "/api/v1/orders/base-2/cancel"
    script.post(path, json={}, headers=KEY)
    clock.seconds += 86_401
    script.post(path, json={}, headers=KEY)
    assert len(desk.commands) == 2


def test_a_second_request_during_the_first_is_told_to_wait(app, script, desk, monkeypatch):
    decide = desk.command

    def slow(*args):
        gevent.sleep(0.2)
        return decide(*args)

    monkeypatch.setattr(desk, "command", slow)
    first = gevent.spawn(script.post, "/api/v1/bot/flatten", json={}, headers=KEY)
    gevent.sleep(0.05)
    second = app.test_client().post(
        "/api/v1/bot/flatten", json={}, headers={**KEY, "Authorization": script.environ_base["HTTP_AUTHORIZATION"]}
    )
    assert second.status_code == 409 and second.json["code"] == "in_progress" and second.headers["Retry-After"] == "1"
    assert first.get(timeout=5).status_code == 200 and len(desk.commands) == 1


def test_a_desk_that_does_not_answer_is_an_unknown_not_a_success(script, desk, monkeypatch):
    monkeypatch.setattr(commands, "ANSWER_WITHIN_S", 0.05)
    monkeypatch.setattr(desk, "command", lambda *args: gevent.sleep(5))
    answer = script.post("/api/v1/bot/flatten", json={}, headers=KEY)
    assert answer.status_code == 504 and answer.json["code"] == "undecided"
    monkeypatch.undo()
    assert script.post("/api/v1/bot/flatten", json={}, headers=KEY).status_code == 200


def test_a_fault_of_ours_shows_no_details_and_may_be_tried_again(script, desk, monkeypatch):
    def broken(*args):
        raise RuntimeError("secret inside")

    monkeypatch.setattr(desk, "command", broken)
    answer = script.post("/api/v1/bot/flatten", json={}, headers=KEY)
    assert answer.status_code == 500 and answer.json["code"] == "internal_error" and b"secret" not in answer.data
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
    monkeypatch.undo()
    assert script.post("/api/v1/bot/flatten", json={}, headers=KEY).status_code == 200


@pytest.mark.parametrize(
    ("body", "pointer"), [({"force": True}, "/force"), ({"reason": 7}, "/reason"), ({"reason": "x" * 501}, "/reason")]
)
def test_unknown_and_wrong_fields_are_named(script, desk, body, pointer):
    refused = script.post("/api/v1/bot/pause", json=body)
    assert refused.status_code == 422 and refused.json["errors"][0]["pointer"] == pointer and desk.commands == []


def test_settings_are_patched_through_the_desk(script, desk):
    assert script.patch("/api/v1/config", json={"max_exposure": "50.000000"}).status_code == 200
    assert desk.commands[-1][:2] == ("configure", {"max_exposure": "50.000000"})
    assert script.patch("/api/v1/config", json={}).status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("GET", "/api/v1/nowhere", {}, 404, "not_found"),
        ("GET", "/nowhere", {}, 404, "not_found"),
        ("GET", "/static/nothing.js", {}, 404, "not_found"),
        ("GET", "/static/../web/auth.py", {}, 404, "not_found"),
        ("DELETE", "/api/v1/status", {}, 405, "method_not_allowed"),
        ("GET", "/api/v1/bot/kill", {}, 405, "method_not_allowed"),
        (
            "POST",
            "/api/v1/bot/pause",
            {"data": b"x" * 300_000, **AS_JSON},
            413,
            "body_too_large",
        ),
        ("POST", "/api/v1/bot/pause", {"data": b"{", "content_type": "application/json"}, 400, "bad_request"),
        ("POST", "/api/v1/bot/pause", {"data": b"a=1", "content_type": "text/plain"}, 415, "not_json"),
        ("POST", "/api/v1/bot/pause", {"json": []}, 422, "invalid"),
        ("POST", "/api/v1/bot/pause", {"json": {}, "headers": {"Idempotency-Key": "x" * 201}}, 422, "invalid"),
        ("POST", "/api/v1/backtests", {"json": {}}, 501, "not_built_yet"),
    ],
)
def test_errors_are_problems_with_a_code_and_a_request_id(script, method, path, options, status, code):
    answer = script.open(path, method=method, **options)
    assert answer.status_code == status and answer.mimetype == "application/problem+json"
    assert answer.json["code"] == code and answer.json["status"] == status
    assert answer.json["request_id"] == answer.headers["X-Request-ID"] != ""
    validator(document()["components"]["schemas"]["Problem"]).validate(answer.json)


def test_a_request_id_is_taken_over_only_when_it_is_harmless(script):
    assert script.get("/api/v1/meta", headers={"X-Request-ID": "abc-1"}).headers["X-Request-ID"] == "abc-1"
    assert script.get("/api/v1/meta", headers={"X-Request-ID": "a b<>"}).headers["X-Request-ID"] != "a b<>"


def test_health_needs_no_credential_and_tells_when_loops_stand_still(anyone, desk):
    assert anyone.get("/healthz").status_code == 200
    desk.is_alive = False
    assert anyone.get("/healthz").status_code == 503


def test_readiness_shows_details_only_to_who_is_signed_in(anyone, script):
    assert anyone.get("/readyz").json == {"ready": True}
    assert script.get("/readyz").json == {"ready": True, "exchange": "reachable"}


def test_metrics_are_prometheus_text(script):
    answer = script.get("/metrics")
    assert answer.data.startswith(b"# TYPE tickstop_") and answer.mimetype == "text/plain"


def test_every_request_yields_to_the_hub(script):
    turns = []

    def other():
        while True:
            turns.append(1)
            gevent.sleep(0)

    greenlet = gevent.spawn(other)
    for _ in range(20):
        script.get("/api/v1/meta")
    greenlet.kill()
    assert len(turns) >= 20


def test_a_change_of_plan_reaches_the_desk_as_it_was_sent(script, desk):
    body = {"stop": "0.8000", "target": None, "trail": "0.05", "time_exit_ms": 1_900_000_000_000, "rest_target": True}
    assert script.post(f"/api/v1/positions/{ticker(0)}/plan", json=body, headers=KEY).json["result"] == "accepted"
    assert desk.commands[-1][:2] == ("plan", {**body, "ticker": ticker(0)})
    script.post(f"/api/v1/positions/{ticker(0)}/plan", json=body, headers=KEY)
    assert len(desk.commands) == 1


@pytest.mark.parametrize(
    "body, pointer",
    [
        ({}, None),
        ({"stopp": "0.8"}, "/stopp"),
        ({"stop": 0.8}, "/stop"),
        ({"stop": "0." + "5" * 19}, "/stop"),
        ({"target": True}, "/target"),
        ({"time_exit_ms": "soon"}, "/time_exit_ms"),
        ({"time_exit_ms": True}, "/time_exit_ms"),
        ({"rest_target": "yes"}, "/rest_target"),
        ({"rest_target": None}, "/rest_target"),
        ({"stop": None, "confirm": "no stop"}, "/confirm"),
    ],
)
def test_a_change_of_plan_of_another_shape_is_refused(script, desk, body, pointer):
    refused = script.post(f"/api/v1/positions/{ticker(0)}/plan", json=body, headers=KEY)
    assert refused.status_code == 422 and desk.commands == []
    assert [error["pointer"] for error in refused.json.get("errors", [])] == ([pointer] if pointer else [])
