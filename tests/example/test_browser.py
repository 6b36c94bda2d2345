"""The pages in a real browser: nothing that the policy blocks, nothing wider than a phone, legible, and live."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Literal

import pytest
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Page
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from durable_workflows.models import WorkflowRun
from durable_workflows.states import RunState
from example_project.approvals import links
from example_project.approvals.models import Expense
from example_project.hooks.models import Delivery, HandledEvent, Parcel
from example_project.library.workflows import count_terms, store_counts
from example_project.reminders.models import Reminder
from example_project.reports.models import HourlyReport
from example_project.shop.models import Order, Product
from tests import browser

pytestmark = [
    pytest.mark.once,  # what a browser makes of a page is the same on every database
    pytest.mark.django_db(transaction=True),
    browser.needed,
]

Scheme = Literal["light", "dark"]
LONG = "averylongwordthatnobodywouldeverwritebutsomebodywill" * 2
PAGES = ["/", "/shop/", "/shop/checkouts/one/", "/reminders/", "/reports/", "/library/", "/library/?q=sea",
         "/library/texts/alice.txt", "/hooks/", "/approvals/", "/outbox/"]  # fmt: skip

# The least contrast of any text with its background, by WCAG 2.1, and the text that has it.
LEAST_CONTRAST = """
() => {
  const light = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = e => { const c = getComputedStyle(e).backgroundColor; return /, 0\\)$/.test(c) ? behind(e.parentElement) : c; };
  const own = e => [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent.trim()).join('');
  return [...document.body.querySelectorAll('*')].filter(e => own(e) && e.tagName !== 'OPTION').map(e => {
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), own(e)];
  }).sort((x, y) => x[0] - y[0])[0];
}
"""
WIDER_BY = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def stored_run(run_id: str, status: RunState) -> None:
    """A run to look at."""
    now = timezone.now()
    WorkflowRun.objects.bulk_create(
        [WorkflowRun(id=run_id, name="any", status=status, created_at=now, updated_at=now, queued_at=now)]
    )


@pytest.fixture
def filled(lamp: Product) -> str:
    """Something of everything; returns the address of an approver's form."""
    later = timezone.now() + timedelta(days=1)
    Order.objects.create(run_id="one", customer=LONG[:80], status=Order.Status.RESERVED)
    reminder = Reminder.objects.create(email="ada@example.org", text=LONG, due_at=later)
    expense = Expense.objects.create(what=LONG, amount=1, employee_email="a@b.org", approver_email="c@d.org", note=LONG)
    for run_id in ("one", reminder.run_id, expense.run_id):
        stored_run(run_id, RunState.RUNNING)
    HourlyReport.objects.create(hour=later, orders=9, revenue_cents=123456789, reminders_sent=1, late_seconds=1)
    Delivery.objects.create(event_id=LONG)
    HandledEvent.objects.create(event_id=LONG, kind="parcel.sent", parcel="P-1")
    Parcel.objects.create(number=LONG[:80])
    store_counts("moby-dick.txt", count_terms("moby-dick.txt"))
    return f"/approvals/answer/{links.token(expense.pk)}/"


def browse(look: Callable[[Page], None], *, width: int, scheme: Scheme, allowed: str = "") -> None:
    """
    Have ``look`` use a browser's page; what the page's policy blocks or its scripts throw fails the test.

    :param allowed: a text by which a complaint is known that is part of the test.
    """
    _, complaints = browser.visit(look, viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert [complaint for complaint in complaints if not allowed or allowed not in complaint] == []


@pytest.mark.parametrize(("width", "scheme"), [(340, "light"), (340, "dark"), (1280, "light"), (1280, "dark")])
def test_every_page_fits_and_can_be_read(
    live_server: LiveServer, settings: Settings, filled: str, width: int, scheme: Scheme
) -> None:
    settings.DEBUG = True

    def look(page: Page) -> None:
        for address in [*PAGES, filled]:
            answer = page.goto(live_server.url + address)
            assert answer is not None
            assert answer.status == 200, address
            assert page.evaluate(WIDER_BY) == 0, f"{address} is wider than {width} pixels"
            contrast, text = page.evaluate(LEAST_CONTRAST)
            assert contrast >= 4.5, f"{address}: {text!r} has a contrast of {contrast:.2f}"

    browse(look, width=width, scheme=scheme)


def test_a_page_follows_what_happens(live_server: LiveServer, filled: str) -> None:
    def look(page: Page) -> None:
        page.goto(f"{live_server.url}/reminders/")
        assert not page.is_visible("text=Feed the cat")
        with ThreadPoolExecutor(1) as thread:
            thread.submit(remind).result()
        page.wait_for_selector("text=Feed the cat", timeout=20_000)

    browse(look, width=1280, scheme="light")


def remind() -> None:
    """Add a reminder, on a connection that is given back."""
    Reminder.objects.create(email="ada@example.org", text="Feed the cat", due_at=timezone.now())
    connection.close()
