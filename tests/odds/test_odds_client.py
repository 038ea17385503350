"""The odds client against a loopback server: what it asks for, what it understands, and that the key never leaks."""

import gzip
import json
import logging
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from bot.odds.client import OddsClient, OddsError, Quota, parse_odds

KEY = "0123456789abcdef-the-key"
GAME = {
    "id": "f" * 32,
    "sport_key": "basketball_nba",
    "sport_title": "NBA",
    "commence_time": "2026-11-22T00:30:00Z",
    "home_team": "Detroit Pistons",
    "away_team": "Boston Celtics",
    "bookmakers": [
        {
            "key": "pinnacle",
            "title": "Pinnacle",
            "last_update": "2026-11-21T18:00:11Z",
            "markets": [
                {
                    "key": "h2h",
                    "last_update": "2026-11-21T18:00:09Z",
                    "outcomes": [{"name": "Boston Celtics", "price": 1.5}, {"name": "Detroit Pistons", "price": 2}],
                },
                {"key": "h2h_lay", "outcomes": []},
            ],
        },
        {"key": "spreads_only", "title": "", "last_update": "2026-11-21T18:00:11Z", "markets": []},
    ],
}


class Service:
    """The odds service on loopback; `reply` is (status, headers, body)."""

    def __init__(self) -> None:
        self.reply = (200, {}, b"[]")
        self.asked: list[str] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            wbufsize = -1

            def do_GET(self):
                service.asked.append(self.path)
                status, headers, body = service.reply
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def service():
    service = Service()
    yield service
    service.server.shutdown()
    service.server.server_close()


def test_one_call_asks_for_decimal_head_to_head_odds_of_ten_books(service):
    service.reply = (200, {}, json.dumps([GAME]).encode())
    OddsClient(service.url + "/", KEY).odds("basketball_nba")
    url = urlsplit(service.asked[0])
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert url.path == "/v4/sports/basketball_nba/odds"
    assert query["apiKey"] == KEY and query["markets"] == "h2h" and query["oddsFormat"] == "decimal"
    assert len(query["bookmakers"].split(",")) == 10 and "kalshi" not in query["bookmakers"]


def test_a_game_is_read_by_name_with_the_time_of_its_market(service):
    service.reply = (200, {}, json.dumps([GAME]).encode())
    (event,) = OddsClient(service.url, KEY).odds("basketball_nba")
    assert (event.home, event.away) == ("Detroit Pistons", "Boston Celtics")
    assert event.commence_ms == 1_795_307_400_000
    (book,) = event.books
    assert book.book == "pinnacle" and book.updated_ms % 60_000 == 9_000
    assert book.prices == {"Boston Celtics": 1.5, "Detroit Pistons": 2.0}


def test_the_quota_is_kept_also_when_a_later_reply_lacks_it(service):
    client = OddsClient(service.url, KEY)
    assert client.quota is None
    service.reply = (200, {"X-Requests-Remaining": "499", "x-requests-used": "1.0", "x-requests-last": "1"}, b"[]")
    client.odds("a")
    service.reply = (200, {}, b"[]")
    client.odds("a")
    assert client.quota == Quota(499, 1, 1)


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (
            401,
            {"message": "Usage quota reached", "error_code": "OUT_OF_USAGE_CREDITS"},
            "quota",
            "OUT_OF_USAGE_CREDITS",
        ),
        (401, {"message": f"{KEY} is bad", "error_code": "INVALID_KEY"}, "key", "INVALID_KEY"),
        (401, {}, "key", ""),
        (429, {"error_code": "EXCEEDED_FREQ_LIMIT"}, "rate", "EXCEEDED_FREQ_LIMIT"),
        (429, {}, "rate", ""),
        (404, {"message": "Unknown sport", "error_code": "UNKNOWN_SPORT"}, "request", "UNKNOWN_SPORT"),
        (422, {"error_code": "INVALID_MARKET"}, "request", "INVALID_MARKET"),
        (503, {}, "outage", ""),
        (302, {}, "request", ""),
    ],
)
def test_a_refusal_is_judged_by_its_error_code_and_never_shows_the_key(service, status, body, kind, code):
    service.reply = (status, {"Location": f"{service.url}/elsewhere"}, json.dumps(body).encode())
    with pytest.raises(OddsError) as caught:
        OddsClient(service.url, KEY).odds("a")
    assert (caught.value.kind, caught.value.code, caught.value.status) == (kind, code, status)
    assert KEY not in str(caught.value)
    assert len(service.asked) == 1, "a redirect would carry the key elsewhere"


def test_a_gateway_page_instead_of_json_is_an_outage(service):
    service.reply = (502, {}, b"<html>")
    with pytest.raises(OddsError) as caught:
        OddsClient(service.url, KEY).odds("a")
    assert caught.value.kind == "outage"


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'[{"id": 1}]', b"", json.dumps([GAME])[:-9].encode()])
def test_a_reply_that_is_not_odds_is_an_error_not_an_empty_list(body):
    with pytest.raises(OddsError) as caught:
        parse_odds(body)
    assert caught.value.kind == "reply"


def test_an_unreachable_service_tells_neither_address_nor_key(service):
    service.server.shutdown()
    service.server.server_close()
    try:
        OddsClient(service.url, KEY).odds("a")
        raise AssertionError("it was reached")
    except OddsError as error:
        assert error.kind == "outage" and error.__context__ is None and error.__cause__ is None
        assert KEY not in traceback.format_exc()


def test_the_key_is_in_no_log_even_at_debug(service, caplog):
    caplog.set_level(logging.DEBUG)
    OddsClient(service.url, KEY).odds("a")
    assert "apiKey=***" in caplog.text and KEY not in caplog.text


def test_proxies_and_netrc_of_the_machine_are_not_used(monkeypatch, service):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert OddsClient(service.url, KEY).odds("a") == []
    given = requests.Session()
    assert OddsClient(service.url, KEY, given)._session is given


def test_recorded_replies_are_understood(recorded):
    with gzip.open(recorded("odds_api_raw/mlb_us_eu_decimal_20260807T1349Z.json.gz")) as file:
        events = parse_odds(json.dumps(json.load(file)["events"]).encode())
    assert len(events) == 15
    assert all(len(book.prices) == 2 for event in events for book in event.books)
    for name in ("p1", "p3"):
        with gzip.open(recorded(f"odds_api_raw/mlb_repeat_poll_{name}_20260811.json.gz")) as file:
            assert len(parse_odds(json.dumps(json.load(file)["payload"]).encode())) == 15
