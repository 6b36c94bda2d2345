"""Every page answers, says what it is about, and carries nothing that its policy forbids."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core import mail
from django.template.loader import get_template
from django.test import Client
from pytest_django import Settings

from example_project.hooks.models import HandledEvent
from example_project.reminders.models import Reminder
from example_project.sections import SECTIONS
from example_project.shop.models import Order

pytestmark = pytest.mark.django_db

PAGES = {
    "/": "Six small apps",
    "/counts/": "workers alive",
    "/shop/": "Start a checkout",
    "/reminders/": "Remind somebody",
    "/reminders/list/": "No reminders yet",
    "/reports/": "Run it now",
    "/reports/list/": "No report yet",
    "/library/": "The index",
    "/library/state/": "0 of 13 texts",
    "/library/texts/moby-dick.txt": "Call me Ishmael.",
    "/hooks/": "Received",
    "/hooks/list/": "No event yet",
    "/approvals/": "Hand in an expense",
    "/approvals/list/": "No expense yet",
}
INLINE = re.compile(r"<style|<script(?![^>]* src=)| style=|\son\w+=|javascript:", re.IGNORECASE)


@pytest.mark.parametrize(("address", "text"), PAGES.items())
def test_a_page_shows_its_matter_and_nothing_inline(client: Client, address: str, text: str) -> None:
    response = client.get(address)
    assert response.status_code == 200
    assert text in response.content.decode()
    assert "default-src 'self'" in response.headers["Content-Security-Policy"]
    assert not INLINE.search(response.content.decode())


@pytest.mark.parametrize("address", ["/shop/checkouts/nobody/", "/shop/checkouts/nobody/progress/", "/library/texts/no.txt",
                                     "/library/texts/..%2F..%2Fsettings.py", "/nowhere/"])  # fmt: skip
def test_what_does_not_exist_is_a_404(client: Client, address: str) -> None:
    assert client.get(address).status_code == 404


def test_the_home_page_counts_each_part(client: Client) -> None:
    Order.objects.create(run_id="one", customer="Ada")
    HandledEvent.objects.bulk_create(HandledEvent(event_id=f"evt-{number}", kind="ping") for number in range(3))
    page = client.get("/").content.decode()
    for section in SECTIONS:
        assert section.promise.replace("'", "&#x27;") in page
    assert re.search(r"<strong>1</strong> order\s*<", page)
    assert re.search(r"<strong>3</strong> handled events\s*<", page)


def test_an_unchanged_fragment_costs_a_304(client: Client) -> None:
    first = client.get("/counts/")
    second = client.get("/counts/", headers={"if-none-match": first.headers["ETag"]})
    assert second.status_code == 304
    Order.objects.create(run_id="one", customer="Ada")
    assert client.get("/counts/", headers={"if-none-match": first.headers["ETag"]}).status_code == 200


def test_what_users_typed_is_escaped(client: Client) -> None:
    Reminder.objects.create(email="ada@example.org", text="<script>alert(1)</script>", due_at="2030-01-01T00:00:00Z")
    page = client.get("/reminders/").content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert "&lt;b&gt;" in client.get("/library/", {"q": "<b>"}).content.decode()


def test_the_outbox_exists_in_development_only(client: Client, settings: Settings, tmp_path: Path) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path / "mail")
    for subject in ("The first", "The second"):
        mail.send_mail(subject, "See https://example.org/<here>", "a@example.org", ["b@example.org"])
    assert client.get("/outbox/").status_code == 404
    settings.DEBUG = True
    page = client.get("/outbox/").content.decode()
    assert "The first" in page
    assert "The second" in page
    assert '<a href="https://example.org/' in page
    assert "<here>" not in page


def test_the_error_page_needs_nothing_else() -> None:
    assert "Something went wrong" in get_template("500.html").render()
