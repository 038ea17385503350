"""Fixtures of the browser tests: real Chromium, a real gunicorn, every console error and CSP report kept."""

import shutil
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "web")]

from serving import Server  # noqa: E402
from standin import PASSWORD  # noqa: E402
from wire import Wire  # noqa: E402

ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
REPORT = "addEventListener('securitypolicyviolation', (e) => console.error('CSP', e.violatedDirective, e.blockedURI))"


@pytest.fixture(scope="session")
def chromium():
    program = shutil.which("chromium")
    if not program:
        pytest.skip("Chromium is not installed: apt-get install -y --no-install-recommends chromium")
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def server(tmp_path):
    server = Server(STANDIN_STEP_S="0.5", STANDIN_SESSIONS=str(tmp_path / "sessions.json"))
    yield server
    server.stop()


@pytest.fixture
def wire(server):
    wire = Wire(server.port)
    yield wire
    wire.close()


@pytest.fixture
def context(chromium):
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, color_scheme="dark")
    context.add_init_script(REPORT)
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def open_page(context):
    """Opens and signs in; what goes wrong in the page is in page.faults."""

    def open_page(url):
        page = context.new_page()
        page.faults = []
        page.on("console", lambda message: message.type == "error" and page.faults.append(message.text))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.goto(f"{url}/login")
        page.fill("#password", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_selector("#positions tbody tr")
        page.wait_for_selector("body[data-stale=no]")
        return page

    return open_page


@pytest.fixture
def eventually():
    """Waits until a check holds: eventually(lambda: …); the page's CSP forbids wait_for_function."""

    def wait(check, within_s=10.0):
        ends = time.monotonic() + within_s
        while True:
            value = check()
            if value:
                return value
            assert time.monotonic() < ends, "it did not happen in time"
            time.sleep(0.05)

    return wait
