"""The dashboard in real Chromium: live, stale and back, kill in one click, safe dialogs, every size, both themes."""

import pytest
from serving import Server
from standin import PASSWORD, ticker

pytestmark = pytest.mark.system

MARK = f'#positions tr[data-key="{ticker(0)}"] td[data-label="Mark ¢"] .value'
ALARMS_TOLD = """() => {
  window.told = [];
  const region = document.getElementById("alarm");
  const tell = () => told.push(region.textContent);
  new MutationObserver(tell).observe(region, { childList: true, characterData: true, subtree: true });
}"""
"""What a screen reader is told from now on: the next alarm takes the place of the one before."""

ROWS = "[...document.querySelectorAll('#positions tbody tr')].map((row) => row.dataset.key)"
REPLICA = "fetch('/api/v1/snapshot').then((answer) => answer.json())"


def test_the_page_loads_without_a_fault_or_a_policy_violation(server, open_page, eventually):
    page = open_page(server.url)
    eventually(lambda: page.text_content("#equity-words"))
    assert page.text_content("#mode-word") == "PAPER" and "PAPER" in page.title()
    assert page.faults == []


def test_the_policy_is_in_force(server, open_page, eventually):
    page = open_page(server.url)
    page.evaluate("document.body.append(Object.assign(document.createElement('img'), {src: 'http://127.0.0.1:9/x'}))")
    eventually(lambda: page.title() and any("CSP" in fault for fault in page.faults))


def test_a_login_link_signs_in_once_and_leaves_the_address_bar(context, eventually):
    server = Server(STANDIN_LINK="1")
    try:
        link = server.control("link")["link"]
        page = context.new_page()
        page.goto(link)
        page.wait_for_selector("#positions tbody tr")
        assert "#" not in page.url
        context.clear_cookies()
        page.goto(server.url)
        page.goto(link)
        eventually(lambda: "used up" in (page.text_content("#message") or ""))
    finally:
        server.stop()


def test_a_change_moves_the_cell_and_nothing_else(server, open_page, eventually):
    page = open_page(server.url)
    row = page.query_selector("#positions tbody tr")
    before = page.text_content(MARK)
    eventually(lambda: page.text_content(MARK) != before)
    assert row.evaluate("(row) => row === document.querySelector('#positions tbody tr')")
    assert page.faults == []


def shown_marks(page):
    marks = (
        "[...document.querySelectorAll('#positions td[data-label=\"Mark ¢\"] .value')].map((cell) => cell.textContent)"
    )
    return page.evaluate(marks)


def test_a_cut_connection_resumes_by_id_and_loses_nothing(server, wire, open_page, eventually):
    page = open_page(wire.url)
    asked = wire.heard.count(b"GET /api/v1/stream")
    wire.cut()
    server.control("note", {"text": "while the page was away"})
    eventually(lambda: wire.heard.count(b"GET /api/v1/stream") > asked)
    eventually(lambda: page.get_attribute("body", "data-stale") == "no")
    again = bytes(wire.heard).rpartition(b"GET /api/v1/stream")[2]
    assert b"Last-Event-ID" in again or b"last_event_id" in again.partition(b"\r\n")[0]
    eventually(lambda: "while the page was away" in page.text_content("#log"))
    server.control("stall")
    page.wait_for_timeout(300)
    expected = [f"{float(row['mark']) * 100:.1f}" for row in page.evaluate(REPLICA)["positions"].values()]
    assert shown_marks(page) == expected


def test_a_restarted_server_is_found_again_without_a_reload(tmp_path, open_page, eventually):
    environment = {"STANDIN_STEP_S": "0.5", "STANDIN_SESSIONS": str(tmp_path / "sessions.json")}
    server = Server(**environment)
    page = open_page(server.url)
    page.evaluate("window.sameDocument = true")
    server.stop()
    eventually(lambda: page.get_attribute("body", "data-stale") == "yes")
    again = Server(port=server.port, **environment)
    try:
        eventually(lambda: page.get_attribute("body", "data-stale") == "no", within_s=30)
        before = page.text_content(MARK)
        eventually(lambda: page.text_content(MARK) != before)
        assert page.evaluate("window.sameDocument === true")
    finally:
        again.stop()


def test_a_page_that_is_not_live_looks_it_and_comes_back_in_silence(server, wire, open_page, eventually):
    page = open_page(wire.url)
    wire.silent = True
    eventually(lambda: page.get_attribute("body", "data-stale") == "yes")
    assert "as of" in page.text_content("#stale-text") and page.is_visible("#stale")
    assert page.evaluate("getComputedStyle(document.querySelector('main')).filter") == "grayscale(1)"
    eventually(lambda: page.is_disabled("#pause") and page.is_disabled("#positions .row-action"))
    assert page.is_enabled("#kill")
    wire.silent = False
    wire.cut()
    eventually(lambda: page.get_attribute("body", "data-stale") == "no", within_s=20)
    assert page.is_hidden("#stale") and page.is_hidden("#notice") and page.is_enabled("#pause")


def test_a_dead_connection_that_nobody_noticed_is_replaced(server, wire, open_page, eventually):
    page = open_page(wire.url)
    wire.silent = True
    eventually(lambda: page.get_attribute("body", "data-stale") == "yes")
    wire.abandon()
    wire.silent = False
    page.evaluate("dispatchEvent(new Event('online'))")
    eventually(lambda: page.get_attribute("body", "data-stale") == "no", 25)


def test_a_bot_that_stops_updating_is_seen_although_the_connection_lives(server, open_page, eventually):
    page = open_page(server.url)
    server.control("stall")
    eventually(lambda: page.get_attribute("body", "data-stale") == "yes")
    assert "stopped updating" in page.text_content("#stale-text")
    server.control("go")
    eventually(lambda: page.get_attribute("body", "data-stale") == "no")


def test_old_prices_say_so_at_the_markets_and_at_the_stops_they_blind(server, open_page, eventually):
    page = open_page(server.url)
    eventually(lambda: "messages/s" in page.text_content("#feed"))
    assert "listed" in page.text_content("#feed") and "STALE" not in page.text_content("#feed")
    held = next(iter(page.evaluate(REPLICA)["positions"]))
    server.control("blind", {"tickers": [held]})
    eventually(lambda: "STALE, nothing is entered: listed 5 min ago" in page.text_content("#feed"))
    eventually(lambda: page.text_content("#positions").count("cannot see a price") == 1)
    server.control("blind", {"tickers": []})
    eventually(lambda: "STALE" not in page.text_content("#feed"))
    eventually(lambda: "cannot see a price" not in page.text_content("#positions"))


def test_kill_takes_one_click_and_rearming_the_word(server, open_page, eventually):
    page = open_page(server.url)
    page.click("#kill")
    eventually(lambda: page.text_content("#state-word") == "HALTED")
    assert server.control("look")["commands"][0][0] == "kill"
    assert "keep their stops" in page.text_content("#notice-text")
    page.click("#rearm")
    assert page.is_disabled("#confirm-go")
    page.fill("#confirm-word", "REAR")
    page.press("#confirm-word", "Enter")
    assert page.is_visible("#confirm") and page.text_content("#state-word") == "HALTED"
    page.fill("#confirm-word", "")
    page.type("#confirm-word", "REARM")
    page.press("#confirm-word", "Enter")
    eventually(lambda: page.text_content("#state-word") == "PAUSED")
    page.click("#start")
    eventually(lambda: page.text_content("#state-word") == "RUNNING")


def test_the_first_start_with_real_money_takes_the_word_and_later_ones_a_click(open_page, tmp_path, eventually):
    server = Server(STANDIN_STEP_S="0.5", STANDIN_SESSIONS=str(tmp_path / "sessions.json"), STANDIN_MODE="live")
    try:
        page = open_page(server.url)
        for typed in (True, False):
            page.click("#pause")
            eventually(lambda: page.text_content("#state-word") == "PAUSED")
            eventually(lambda typed=typed: page.evaluate(REPLICA)["status"]["start_word"] == ("LIVE" if typed else ""))
            page.click("#start")
            assert page.is_visible("#confirm") and page.is_visible("#confirm-word") is typed
            if typed:
                assert page.is_disabled("#confirm-go")
                page.type("#confirm-word", "LIVE")
            page.click("#confirm-go")
            eventually(lambda: page.text_content("#state-word") == "RUNNING")
    finally:
        server.stop()


def test_a_kill_that_does_not_get_through_says_so_and_what_to_do(server, wire, open_page, eventually):
    page = open_page(wire.url)
    wire.refusing = True
    wire.cut()
    page.evaluate(ALARMS_TOLD)
    page.click("#kill")
    eventually(lambda: "python -m bot kill" in page.text_content("#notice-text"))
    assert any("did not go through" in text for text in page.evaluate("told"))
    wire.refusing = False
    page.click("#kill")
    eventually(lambda: page.text_content("#state-word") == "HALTED", within_s=20)


def test_closing_asks_first_and_the_safe_answer_has_the_focus(server, open_page, eventually):
    page = open_page(server.url)
    page.click("#positions .row-action >> nth=0")
    assert page.evaluate("document.activeElement.textContent") == "Keep as it is"
    page.keyboard.press("Escape")
    page.click("#positions .row-action >> nth=0")
    page.keyboard.press("Enter")
    assert server.control("look")["commands"] == []
    page.click("#positions .row-action >> nth=0")
    assert page.text_content("#confirm-go") == "Close 12 YES"
    page.click("#confirm-go")
    page.mouse.move(5, 400)
    eventually(lambda: page.evaluate(ROWS) == [ticker(1)])
    assert [command[:2] for command in server.control("look")["commands"]] == [["close", {"ticker": ticker(0)}]]


def test_kill_is_in_reach_while_a_question_is_open(server, open_page, eventually):
    page = open_page(server.url)
    page.click("#positions .row-action >> nth=0")
    page.click("#kill")
    eventually(lambda: page.text_content("#state-word") == "HALTED")
    assert [command[0] for command in server.control("look")["commands"]] == ["kill"]


def test_cancelling_an_order_takes_one_click(server, open_page, eventually):
    page = open_page(server.url)
    page.click("#orders .row-action")
    page.mouse.move(5, 400)
    eventually(lambda: page.is_visible("#orders .empty"))


def test_a_refused_command_says_why(server, open_page, eventually):
    page = open_page(server.url)
    page.route("**/api/v1/bot/pause", lambda route: route.fulfill(status=409, json={"detail": "Another one trades."}))
    page.click("#pause")
    eventually(lambda: "Another one trades." in page.text_content("#notice-text"))


def test_no_row_moves_or_goes_under_the_pointer(server, open_page, eventually):
    page = open_page(server.url)
    page.hover(f'#positions tr[data-key="{ticker(1)}"] th')
    headers = {"Content-Type": "application/json", "Idempotency-Key": "x"}
    send = "([path, headers]) => fetch(path, {method: 'POST', body: '{}', headers})"
    page.evaluate(send, [f"/api/v1/positions/{ticker(0)}/close", headers])
    eventually(lambda: page.query_selector("#positions tr.gone"))
    assert page.evaluate(ROWS) == [ticker(0), ticker(1)]
    page.mouse.move(5, 400)
    eventually(lambda: page.evaluate(ROWS) == [ticker(1)])


def test_freeze_holds_the_tables_but_not_the_state(server, open_page, eventually):
    page = open_page(server.url)
    page.click("#freeze")
    page.wait_for_timeout(200)
    held = page.text_content(MARK)
    page.click("#kill")
    eventually(lambda: page.text_content("#state-word") == "HALTED")
    page.wait_for_timeout(1200)
    assert page.text_content(MARK) == held and "Frozen" in page.text_content("#frozen")
    page.click("#freeze")
    eventually(lambda: page.text_content(MARK) != held)


def test_what_others_write_is_text(server, open_page, eventually):
    page = open_page(server.url)
    text = "<img src=x onerror=alert(1)><b>bold</b>"
    server.control("note", {"text": text})
    eventually(lambda: text in page.text_content("#log"))
    assert page.query_selector("#log img, #log b") is None and page.faults == []


def test_the_log_filter_hides_lower_levels(server, open_page, eventually):
    page = open_page(server.url)
    page.select_option("#log-filter", "warning")
    eventually(lambda: page.locator("#log tbody tr").count() == 1)


@pytest.mark.parametrize("width", [320, 390, 768, 1024, 1280, 1920])
def test_the_page_fits_and_kill_is_in_reach(server, open_page, width):
    page = open_page(server.url)
    page.set_viewport_size({"width": width, "height": 640})
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("scrollTo(0, 1e6)")
    box = page.locator("#kill").bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= 640 and box["height"] >= 44
    assert box["x"] + box["width"] > width * 0.9
    others = [page.locator(f"#{name}").bounding_box() for name in ("start", "pause")]
    assert width <= 900 or all(other["x"] + other["width"] < box["x"] for other in others)


def test_the_keyboard_reaches_kill_soon_and_sees_where_it_is(server, open_page, eventually):
    page = open_page(server.url)
    stops = []
    for _ in range(5):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.id"))
    assert "kill" in stops
    page.keyboard.press("Shift+K")
    assert page.evaluate("document.activeElement.id") == "kill"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    eventually(lambda: page.text_content("#state-word") == "HALTED")


CONTRAST = """(selectors) => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgb = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return canvas.getImageData(0, 0, 1, 1).data; };
  const light = (color) => { const [r, g, b] = [...rgb(color)].map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (node) => { for (; node; node = node.parentElement) { const color = getComputedStyle(node).backgroundColor; if (rgb(color)[3] === 255) return color; } return "white"; };
  return selectors.map((selector) => {
    const node = document.querySelector(selector);
    const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
    return [selector, (a + 0.05) / (b + 0.05)];
  });
}"""  # noqa: E501


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_texts_can_be_read_in_both_themes(server, open_page, scheme, tmp_path):
    page = open_page(server.url)
    page.emulate_media(color_scheme=scheme)
    seen = ["#mode-word", "#state-word", "#age", "#money-equity", "#money-realized", "#money-unrealized", "#kill-word"]
    seen += ["#positions th", "#positions small", ".verdict-no", ".verdict-held", ".level-warning", "#flatten"]
    poor = [(name, round(ratio, 2)) for name, ratio in page.evaluate(CONTRAST, seen) if ratio < 4.5]
    assert poor == []
    page.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)


@pytest.mark.parametrize("mode", ["paper", "demo", "live"])
def test_the_mode_cannot_be_overlooked(context, mode, eventually):
    server = Server(STANDIN_MODE=mode)
    try:
        page = context.new_page()
        page.goto(f"{server.url}/login")
        page.fill("#password", PASSWORD)
        page.click("button[type=submit]")
        eventually(lambda: (page.text_content("#mode-word") or "") == mode.upper())
        assert mode.upper() in page.title() and page.get_attribute("html", "data-mode") == mode
    finally:
        server.stop()
