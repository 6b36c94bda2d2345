"""The form behind a link in a real browser, under a policy that forbids whatever is inline or from elsewhere."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from durable_workflows import get_result
from durable_workflows.testing import drain
from tests import browser
from tests.example.test_browser import LEAST_CONTRAST, WIDER_BY, Scheme, browse
from tests.web import site
from tests.web.test_approvals import asking, link

pytestmark = [
    pytest.mark.once,  # what a browser makes of a page is the same on every database
    pytest.mark.django_db(transaction=True),
    browser.needed,
]
STATUS = "the server responded with a status of 4"  # 410 is what is tested, 404 the icon of a site that has none


@pytest.mark.parametrize(("width", "scheme"), [(340, "light"), (1280, "dark")])
def test_a_person_answers(live_server: LiveServer, width: int, scheme: Scheme) -> None:
    run_id = asking()
    address = live_server.url + link(run_id, "Dinner with a customer, €84.50")
    seen: list[dict[str, str]] = []

    def look(page: Page) -> None:
        page.goto(address)
        assert page.is_visible("text=Dinner with a customer")
        fits(page)
        page.on("request", lambda request: seen.append(request.all_headers()))
        page.get_by_label("Approve").check()
        page.get_by_label("A note").fill("Enjoy")
        page.get_by_role("button").click()
        page.wait_for_selector("text=Thank you")
        fits(page)
        page.go_back()  # to a form that the browser must not have kept
        page.wait_for_selector("text=answered before")
        fits(page)

    def fits(page: Page) -> None:
        assert page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") == "544px"
        assert page.evaluate(WIDER_BY) == 0
        assert page.evaluate(LEAST_CONTRAST)[0] >= 4.5

    browse(look, width=width, scheme=scheme, allowed=STATUS)
    # The browser says where the post comes from, which CSRF protection wants to know, and not from which link.
    assert seen[0]["origin"] == live_server.url
    assert seen[0]["referer"] == f"{live_server.url}/"
    drain()
    assert get_result(run_id, 1) == {"decision": "approve", "note": "Enjoy"}


def test_the_form_of_a_link_can_be_sent_by_keyboard_alone(live_server: LiveServer) -> None:
    run_id = asking()
    address = live_server.url + link(run_id)

    def look(page: Page) -> None:
        page.goto(address)
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
        page.keyboard.type("No")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Thank you")

    browse(look, width=1280, scheme="light", allowed=STATUS)
    drain()
    assert get_result(run_id, 1)["note"] == "No"
    assert site.Ledger.objects.count() == 1
