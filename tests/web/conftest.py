"""Fixtures of the web tests: an application over the stand-in desk, and clients that may and may not act."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from standin import PASSWORD, START_MS, TOKEN, StandInDesk

from web import WebSecrets, create_app


class Clock:
    def __init__(self) -> None:
        self.seconds = START_MS / 1000

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk() -> StandInDesk:
    return StandInDesk()


@pytest.fixture
def app(desk, clock, tmp_path):
    secrets = WebSecrets(admin_password=PASSWORD, api_token=TOKEN, session_file=tmp_path / "sessions.json")
    return create_app(desk, secrets=secrets, now=clock)


@pytest.fixture
def anyone(app):
    return app.test_client()


@pytest.fixture
def script(app):
    """A client with the bearer token."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
    return client


@pytest.fixture
def browser(app):
    """A client that is signed in with a cookie and sends what a browser sends from our own page."""
    client = app.test_client()
    client.environ_base["HTTP_SEC_FETCH_SITE"] = "same-origin"
    assert client.post("/api/v1/session", json={"password": PASSWORD}).status_code == 200
    return client
