"""What the exchange and our books do not agree on is shown with what to do, and each word names what it was about."""

import os

import pytest
from standin import START_MS, ticker

from bot.core.state import Finding
from bot.core.units import Count, Price
from bot.core.venue import VenueOrder
from bot.run.page import difference

pytestmark = pytest.mark.system


def findings():
    order = VenueOrder("v-1", "", ticker(3), "bid", Price(4_000), Count(500), Count(0), Count(500), "resting", 0, 0)
    return [
        difference(Finding("cash", "account", 1_000_000_000, 1_500_000_000, START_MS)),
        difference(Finding("position", ticker(2), 0, 500, START_MS)),
        difference(Finding("order", "v-1", 0, 500, START_MS, order)),
    ]


def sent(server):
    return [command[:2] for command in server.control("look")["commands"]]


def differing(server, open_page, eventually):
    page = open_page(server.url)
    assert not page.is_visible("#differences")
    server.control("differ", {"differences": findings(), "external": [ticker(1)]})
    eventually(lambda: page.locator("#differences tbody tr").count() == 3)
    return page


def test_a_deposit_is_accepted_with_its_amount(server, open_page, eventually):
    page = differing(server, open_page, eventually)
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=f"{folder}/differences-desktop.png", full_page=True)
        page.set_viewport_size({"width": 390, "height": 844})
        page.screenshot(path=f"{folder}/differences-phone.png", full_page=True)
        page.set_viewport_size({"width": 1280, "height": 800})
    page.click("#differences [data-key='cash:account'] button:visible")
    assert "500.000000" in page.inner_text("#confirm-title")
    page.click("#confirm-go")
    eventually(lambda: sent(server))
    assert sent(server) == [["accept", {"difference": "cash:account", "amount": "500.000000"}]]
    server.control("differ", {"differences": [], "external": []})
    eventually(lambda: not page.is_visible("#differences"))
    assert page.faults == []


def test_somebody_elses_order_is_claimed_or_cancelled(server, open_page, eventually):
    page = differing(server, open_page, eventually)
    buttons = "#differences [data-key='order:v-1'] button:visible"
    assert page.locator(buttons).all_inner_texts() == ["Claim", "Cancel"]
    page.click(f"{buttons} >> nth=0")
    eventually(lambda: sent(server) == [["claim_order", {"order": "v-1"}]])


def test_a_position_that_nobody_manages_is_claimed_and_offers_nothing_else(server, open_page, eventually):
    page = differing(server, open_page, eventually)
    row = f"#positions [data-key='{ticker(1)}'] button:visible"
    eventually(lambda: page.locator(row).all_inner_texts() == ["Claim…"])
    page.click(row)
    page.click("#confirm-go")
    eventually(lambda: sent(server) == [["claim", {"ticker": ticker(1)}]])


def test_close_all_says_before_and_after_what_it_does_not_close(server, open_page, eventually):
    page = differing(server, open_page, eventually)
    eventually(lambda: page.locator("#positions [data-key] button:visible").all_inner_texts().count("Claim…") == 1)
    page.click("#flatten")
    assert page.inner_text("#confirm-title") == "Close all 1 position?"
    asked = page.inner_text("#confirm-text")
    assert "1 more made by hand stay: press Claim first" in asked and "No new entries until you press Start" in asked
    page.click("#confirm-go")
    eventually(lambda: f"NOT left: {ticker(1)}" in page.inner_text("#notice-text"))
    assert sent(server) == [["flatten", {}]]
