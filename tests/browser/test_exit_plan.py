"""The exit plan of a position is changed in its row: only what was changed is sent, and no stop goes by accident."""

import os

import pytest
from standin import ticker

pytestmark = pytest.mark.system

EDIT = "#positions .row-action >> nth=1"


def sent(server):
    return [command[:2] for command in server.control("look")["commands"]]


def test_only_what_was_changed_is_sent(server, open_page, eventually):
    page = open_page(server.url)
    page.click(EDIT)
    assert page.input_value("#plan-target") == "97.0" and page.input_value("#plan-trail") == "5.0"
    assert page.evaluate("document.activeElement.textContent") == "Keep as it is"
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=f"{folder}/plan-desktop.png")
        page.set_viewport_size({"width": 390, "height": 844})
        page.screenshot(path=f"{folder}/plan-phone.png")
        page.set_viewport_size({"width": 1280, "height": 800})
    page.fill("#plan-stop", "")
    page.type("#plan-stop", "81.5")
    page.fill("#plan-trail", "")
    page.click("#plan-go")
    eventually(lambda: sent(server))
    assert sent(server) == [["plan", {"ticker": ticker(0), "stop": "0.8150", "trail": None}]]
    eventually(lambda: not page.is_visible("#plan"))


def test_a_target_is_let_rest_in_the_book_by_a_tick(server, open_page, eventually):
    page = open_page(server.url)
    page.click(EDIT)
    assert not page.is_checked("#plan-rest_target")
    page.check("#plan-rest_target")
    page.click("#plan-go")
    eventually(lambda: sent(server))
    assert sent(server) == [["plan", {"ticker": ticker(0), "rest_target": True}]]


def test_nothing_is_sent_without_a_change_or_with_a_wrong_one(server, open_page):
    page = open_page(server.url)
    page.click(EDIT)
    page.keyboard.press("Escape")
    assert not page.is_visible("#plan")
    page.click(EDIT)
    page.click("#plan-go")
    assert not page.is_visible("#plan")
    page.click(EDIT)
    page.fill("#plan-stop", "eighty")
    page.click("#plan-go")
    assert page.is_visible("#plan") and page.evaluate("!document.getElementById('plan-stop').validity.valid")
    page.click("#plan .choices button:not(#plan-go)")
    assert not page.is_visible("#plan") and sent(server) == [] and page.faults == []


def test_a_stop_goes_only_with_its_words_typed(server, open_page, eventually):
    page = open_page(server.url)
    page.click(EDIT)
    page.fill("#plan-stop", "")
    page.click("#plan-go")
    eventually(lambda: page.is_visible("#confirm"))
    assert page.is_disabled("#confirm-go") and sent(server) == []
    page.type("#confirm-word", "NO STOP")
    page.click("#confirm-go")
    eventually(lambda: sent(server))
    assert sent(server) == [["plan", {"ticker": ticker(0), "stop": None, "confirm": "NO STOP"}]]


def test_kill_is_in_reach_while_a_plan_is_open(server, open_page, eventually):
    page = open_page(server.url)
    page.click(EDIT)
    page.click("#kill")
    eventually(lambda: page.text_content("#state-word") == "HALTED")
