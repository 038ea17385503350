"""Sign-in, sessions, tokens, and what is refused: every route, other sites, other hosts, guesses."""

import stat

import gevent
import pytest
from standin import PASSWORD, TOKEN

from web import WebSecrets, create_app
from web.sessions import MOST_SESSIONS, Sessions, Throttle

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


def test_every_route_declares_a_role(app):
    undeclared = [
        rule.rule for rule in app.url_map.iter_rules() if not hasattr(app.view_functions[rule.endpoint], "role")
    ]
    assert undeclared == [], "decorate the view with @role(...)"


def test_only_these_routes_are_public(app):
    public = {rule.rule for rule in app.url_map.iter_rules() if app.view_functions[rule.endpoint].role == "public"}
    assert public == {
        "/login",
        "/static/<path:filename>",
        "/healthz",
        "/readyz",
        "/api/v1/session",
        "/api/v1/session/link",
    }


def test_nobody_gets_in_without_a_credential(app, anyone, desk):
    for rule in app.url_map.iter_rules():
        if app.view_functions[rule.endpoint].role == "public":
            continue
        path = rule.rule.replace("<ticker>", "X").replace("<order>", "X")
        for method in rule.methods - {"OPTIONS"}:
            expected = 302 if rule.endpoint.startswith("pages.") else 401
            assert anyone.open(path, method=method).status_code == expected, f"{method} {path}"
    assert desk.commands == []


def test_a_route_without_a_role_is_refused(desk):
    app = create_app(desk, secrets=WebSecrets(api_token=TOKEN))
    app.add_url_rule("/forgotten", "forgotten", lambda: "secret")
    answer = app.test_client().get("/forgotten", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 500 and answer.json["code"] == "no_role"


def test_a_viewer_can_look_but_not_act(app, desk):
    session_id = app.extensions["tickstop"].gate.sessions.create("viewer", "wall display")
    client = app.test_client()
    client.set_cookie("session-80", session_id)
    client.environ_base["HTTP_SEC_FETCH_SITE"] = "same-origin"
    assert client.get("/api/v1/status").status_code == 200
    assert client.post("/api/v1/bot/kill", json={}).json["code"] == "not_allowed"
    assert desk.commands == []


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"])
def test_a_wrong_token_is_nobody_also_with_a_good_cookie(browser, header):
    assert browser.get("/api/v1/status", headers={"Authorization": header}).status_code == 401


def test_an_empty_token_setting_lets_nobody_in(desk):
    client = create_app(desk, secrets=WebSecrets(api_token="")).test_client()
    for header in ("Bearer ", "Bearer", "bearer"):
        assert client.get("/api/v1/status", headers={"Authorization": header}).status_code == 401


@pytest.mark.parametrize(
    ("secrets", "word"),
    [
        ({"admin_password": "short"}, "ADMIN_PASSWORD"),
        ({"api_token": "short"}, "API_TOKEN"),
        ({"loopback": False}, "ADMIN_PASSWORD"),
        ({"loopback": False, "api_token": TOKEN}, "ADMIN_PASSWORD"),
    ],
)
def test_weak_secrets_are_refused_at_start(secrets, word):
    with pytest.raises(ValueError, match=word):
        WebSecrets(**secrets)


def test_secrets_do_not_show_in_their_repr():
    assert PASSWORD not in repr(WebSecrets(admin_password=PASSWORD, api_token=TOKEN))
    assert TOKEN not in repr(WebSecrets(admin_password=PASSWORD, api_token=TOKEN))


def test_the_cookie_is_strict_and_unreadable_for_scripts(app):
    client = app.test_client()
    answer = client.post("/api/v1/session", json={"password": PASSWORD}, headers={"Sec-Fetch-Site": "same-origin"})
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie and "Secure" not in cookie


def test_on_https_the_cookie_is_secure_and_bound_to_the_host(desk):
    secrets = WebSecrets(admin_password=PASSWORD, loopback=False)
    client = create_app(desk, secrets=secrets, trusted_hops=1).test_client()
    headers = {"Sec-Fetch-Site": "same-origin", "X-Forwarded-Proto": "https"}
    answer = client.post("/api/v1/session", json={"password": PASSWORD}, headers=headers)
    assert answer.headers["Set-Cookie"].startswith("__Host-session=")
    assert "Secure" in answer.headers["Set-Cookie"] and "Strict-Transport-Security" in answer.headers


def test_two_bots_on_one_machine_have_two_cookies(browser):
    other = browser.get("/api/v1/status", base_url="http://127.0.0.1:5001")
    assert other.status_code == 401


def test_a_wrong_password_is_refused(anyone):
    answer = anyone.post("/api/v1/session", json={"password": "x" * 20}, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 401 and answer.json["code"] == "wrong_credentials"


def test_without_a_password_no_password_fits(desk):
    client = create_app(desk, secrets=WebSecrets()).test_client()
    answer = client.post("/api/v1/session", json={"password": ""}, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 401


def test_signing_out_ends_the_session_on_the_server(app, browser):
    cookie = browser.get_cookie("session-80").value
    assert browser.delete("/api/v1/session", json={}).status_code == 204
    thief = app.test_client()
    thief.set_cookie("session-80", cookie)
    assert thief.get("/api/v1/status").status_code == 401


def test_signing_out_everywhere_ends_the_other_sessions(app, browser):
    other = app.test_client()
    same_site = {"Sec-Fetch-Site": "same-origin"}
    other.post("/api/v1/session", json={"password": PASSWORD}, headers=same_site)
    assert other.get("/api/v1/status").status_code == 200
    assert browser.get("/api/v1/session").json["role"] == "operator"
    browser.delete("/api/v1/session?everywhere=1", json={})
    assert other.get("/api/v1/status").status_code == 401


def test_a_session_ends_after_twelve_idle_hours_and_after_seven_days(browser, clock):
    for _ in range(13):
        clock.seconds += 11.9 * 3600
        assert browser.get("/api/v1/status").status_code == 200
    clock.seconds += 12.1 * 3600
    assert browser.get("/api/v1/status").status_code == 401


def test_use_does_not_stretch_a_session_beyond_seven_days(browser, clock):
    answers = []
    for _ in range(16):
        clock.seconds += 11 * 3600
        answers.append(browser.get("/api/v1/status").status_code)
    assert answers == [200] * 15 + [401]


def test_a_restart_signs_nobody_out_and_the_file_holds_no_session_id(desk, clock, tmp_path):
    file = tmp_path / "sessions.json"
    secrets = WebSecrets(admin_password=PASSWORD, session_file=file)
    first = create_app(desk, secrets=secrets, now=clock).test_client()
    first.post("/api/v1/session", json={"password": PASSWORD}, headers={"Sec-Fetch-Site": "same-origin"})
    cookie = first.get_cookie("session-80").value
    assert cookie not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = create_app(desk, secrets=secrets, now=clock).test_client()
    again.set_cookie("session-80", cookie)
    assert again.get("/api/v1/status").status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/session", "/api/v1/session?everywhere=1"])
def test_a_restart_signs_nobody_in_again_who_signed_out(desk, clock, tmp_path, path):
    secrets = WebSecrets(admin_password=PASSWORD, session_file=tmp_path / "sessions.json")
    first = create_app(desk, secrets=secrets, now=clock).test_client()
    first.post("/api/v1/session", json={"password": PASSWORD}, headers=SAME_SITE)
    cookie = first.get_cookie("session-80").value
    assert first.delete(path, json={}, headers=SAME_SITE).status_code == 204
    again = create_app(desk, secrets=secrets, now=clock).test_client()
    again.set_cookie("session-80", cookie)
    assert again.get("/api/v1/status").status_code == 401


def test_a_restart_remembers_that_a_session_was_in_use(desk, clock, tmp_path):
    secrets = WebSecrets(admin_password=PASSWORD, session_file=tmp_path / "sessions.json")
    client = create_app(desk, secrets=secrets, now=clock).test_client()
    client.post("/api/v1/session", json={"password": PASSWORD}, headers=SAME_SITE)
    cookie = client.get_cookie("session-80").value
    for _ in range(2):
        clock.seconds += 11 * 3600
        assert client.get("/api/v1/status").status_code == 200
        client = create_app(desk, secrets=secrets, now=clock).test_client()
        client.set_cookie("session-80", cookie)


def test_signing_in_anew_ends_the_session_before(app, browser):
    before = browser.get_cookie("session-80").value
    assert browser.post("/api/v1/session", json={"password": PASSWORD}).status_code == 200
    other = app.test_client()
    other.set_cookie("session-80", before)
    assert other.get("/api/v1/status").status_code == 401


def test_of_too_many_sessions_the_one_that_was_unused_longest_ends(clock):
    sessions = Sessions(None, clock)
    keys = []
    for _ in range(MOST_SESSIONS + 1):
        sessions.create("operator", "")
        keys.append(list(sessions._rows)[-1])
        clock.seconds += 1
    assert [key for key in keys if sessions.touch(key) is None] == keys[:1]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": {"role": "operator"}}'])
def test_a_broken_session_file_only_signs_everybody_out(desk, clock, tmp_path, text):
    file = tmp_path / "sessions.json"
    file.write_text(text)
    secrets = WebSecrets(admin_password=PASSWORD, session_file=file)
    assert create_app(desk, secrets=secrets, now=clock).test_client().get("/api/v1/status").status_code == 401


def link_of(app):
    link = app.extensions["tickstop"].login_link("http://127.0.0.1:5000/")
    address, _, secret = link.partition("#")
    assert address == "http://127.0.0.1:5000/login" and len(secret) >= 40
    return secret


def test_a_login_link_works_once(desk, clock):
    app = create_app(desk, secrets=WebSecrets(), now=clock)
    secret, same_site = link_of(app), {"Sec-Fetch-Site": "same-origin"}
    client = app.test_client()
    assert client.post("/api/v1/session", json={"link": secret}, headers=same_site).status_code == 200
    assert client.get("/api/v1/status").status_code == 200
    assert app.test_client().post("/api/v1/session", json={"link": secret}, headers=same_site).status_code == 401


def test_a_login_link_ends_after_ten_minutes(desk, clock):
    app = create_app(desk, secrets=WebSecrets(), now=clock)
    secret = link_of(app)
    clock.seconds += 601
    answer = app.test_client().post("/api/v1/session", json={"link": secret}, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 401


def test_a_new_link_goes_to_the_terminal_not_to_who_asks(desk, clock, capsys):
    app = create_app(desk, secrets=WebSecrets(), now=clock)
    answer = app.test_client().post("/api/v1/session/link", json={}, headers={"Sec-Fetch-Site": "same-origin"})
    printed = capsys.readouterr().out
    assert answer.status_code == 204 and answer.data == b"" and "/login#" in printed


def test_new_links_cannot_flood_the_terminal(desk, clock):
    client = create_app(desk, secrets=WebSecrets(), now=clock).test_client()
    codes = [client.post("/api/v1/session/link", json={}, headers=SAME_SITE).status_code for _ in range(7)]
    assert codes == [204] * 5 + [429] * 2


def test_with_a_password_there_is_no_link_to_ask_for(anyone):
    answer = anyone.post("/api/v1/session/link", json={}, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 409


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "", "Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "", "Origin": "null"},
        {"Sec-Fetch-Site": "", "Origin": "http://localhost:81"},
        {"Sec-Fetch-Site": "", "Origin": "http://evillocalhost"},
        {"Sec-Fetch-Site": ""},
    ],
)
def test_a_change_from_another_site_is_refused(browser, desk, headers):
    answer = browser.post("/api/v1/bot/start", json={}, headers=headers)
    assert answer.status_code == 403 and answer.json["code"] == "cross_site" and desk.commands == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("PATCH", "/config", {"max_exposure": "9.000000"}), ("DELETE", "/session", {}), ("POST", "/bot/kill", {})],
)
def test_whatever_changes_something_must_come_from_our_own_page(browser, desk, method, path, body):
    answer = browser.open(f"/api/v1{path}", method=method, json=body, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403 and desk.commands == []
    assert browser.get("/api/v1/status").status_code == 200


def test_an_old_browser_without_fetch_metadata_is_known_by_its_origin(browser):
    headers = {"Sec-Fetch-Site": "", "Origin": "http://localhost"}
    assert browser.post("/api/v1/bot/pause", json={}, headers=headers).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_cannot_act(browser, desk, kind):
    answer = browser.post("/api/v1/bot/kill", data="{}", content_type=kind)
    assert answer.status_code == 415 and desk.commands == []


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:5000", "localhost.evil"])
def test_another_name_for_this_machine_is_refused_on_loopback(script, host):
    answer = script.get("/api/v1/status", headers={"Host": host})
    assert answer.status_code == 400 and answer.json["code"] == "unknown_host"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:5000", "[::1]:5000"])
def test_the_names_of_loopback_are_known(script, host):
    assert script.get("/api/v1/status", headers={"Host": host}).status_code == 200


def test_guessing_gets_slower_but_a_session_still_works(anyone, browser, clock):
    same_site = {"Sec-Fetch-Site": "same-origin"}
    codes = [anyone.post("/api/v1/session", json={"link": "guess"}, headers=same_site).status_code for _ in range(7)]
    assert codes == [401] * 5 + [429] * 2
    assert browser.post("/api/v1/bot/kill", json={}).status_code == 200
    clock.seconds += 60
    assert anyone.post("/api/v1/session", json={"password": PASSWORD}, headers=same_site).status_code == 200


def test_guesses_that_are_sent_side_by_side_are_slowed_too(app, monkeypatch):
    monkeypatch.setattr(app.extensions["tickstop"].gate, "password_fits", lambda password: gevent.sleep(0.05))

    def guess():
        return app.test_client().post("/api/v1/session", json={"password": "guess"}, headers=SAME_SITE).status_code

    guesses = [gevent.spawn(guess) for _ in range(8)]
    assert sorted(one.get(timeout=5) for one in guesses) == [401] * 5 + [429] * 3


def test_a_clock_that_is_set_back_locks_nobody_out(clock):
    throttle = Throttle(clock)
    for _ in range(20):
        throttle.failed("mine")
    clock.seconds -= 86_400
    assert throttle.wait_s("mine") == 0.0


@pytest.mark.parametrize(
    ("hops", "said", "slowed"),
    [
        (0, "10.0.0.{}", True),  # nobody is in front: what a caller says of its address counts for nothing
        (1, "10.0.0.{}", False),
        (1, "10.0.0.{}, 10.1.1.1", True),
        (2, "10.0.0.{}, 10.1.1.1", False),
    ],
)
def test_who_guesses_is_known_by_the_address_that_the_trusted_proxies_tell(desk, clock, hops, said, slowed):
    app = create_app(desk, secrets=WebSecrets(admin_password=PASSWORD), now=clock, trusted_hops=hops)
    client, codes = app.test_client(), []
    for guess in range(7):
        headers = SAME_SITE | {"X-Forwarded-For": said.format(guess)}
        codes.append(client.post("/api/v1/session", json={"link": "guess"}, headers=headers).status_code)
    assert (429 in codes) == slowed


def test_one_address_that_guesses_does_not_slow_another():
    throttle = Throttle(lambda: 100.0)
    for _ in range(20):
        throttle.failed("bad")
    assert throttle.wait_s("bad") == 60.0 and throttle.wait_s("good") == 0.0 and throttle.crowd_s() == 0.0


def test_many_addresses_that_guess_slow_everybody_a_little():
    throttle = Throttle(lambda: 100.0)
    for index in range(40):
        throttle.failed(f"10.0.0.{index}")
    assert throttle.crowd_s() == 2.0 and throttle.wait_s("new") == 0.0


def test_while_many_addresses_guess_each_attempt_is_held(app, anyone, monkeypatch):
    held = []
    monkeypatch.setattr("web.auth.gevent.sleep", held.append)
    monkeypatch.setattr(app.extensions["tickstop"].gate.throttle, "crowd_s", lambda: 2.0)
    anyone.post("/api/v1/session", json={"link": "guess"}, headers=SAME_SITE)
    assert 2.0 in held


def test_security_headers_are_on_every_answer(anyone, script):
    for answer in (anyone.get("/login"), anyone.get("/nowhere"), script.get("/api/v1/status"), anyone.get("/healthz")):
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "Access-Control-Allow-Origin" not in answer.headers
