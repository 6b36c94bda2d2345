"""The approval: a link that cannot be guessed, changed, kept for ever or used twice, and a form behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail, signing
from django.test import Client
from django.urls import reverse

from durable_workflows.models import Message
from durable_workflows.testing import travel
from example_project.approvals import links
from example_project.approvals.models import Expense
from example_project.approvals.workflows import email_link

pytestmark = pytest.mark.django_db

FORM = {"what": "Train to Lyon", "amount": "84.50", "employee_email": "ada@example.org", "approver_email": "grace@example.org"}
ANSWER = {"decision": "approve", "note": "Enjoy"}
RunIds = Callable[[], list[str]]


@pytest.fixture
def expense(client: Client) -> Expense:
    """An expense that was handed in."""
    assert client.post("/approvals/", FORM).status_code == 302
    return Expense.objects.get()


def address(token: str) -> str:
    """Where a link with this token leads."""
    return reverse("approvals:answer", args=[token])


def text_of(response: Any) -> str:
    """What the page says."""
    return str(response.content.decode())


def test_an_expense_and_its_workflow_are_written_together(expense: Expense, run_ids: RunIds) -> None:
    assert run_ids() == [expense.run_id]


def test_an_expense_with_an_error_starts_nothing(client: Client, run_ids: RunIds) -> None:
    assert client.post("/approvals/", FORM | {"amount": "a lot"}).status_code == 200
    assert run_ids() == []


def test_opening_the_link_decides_nothing(client: Client, expense: Expense) -> None:
    for _ in range(2):
        response = client.get(address(links.token(expense.pk)))
        assert response.status_code == 200
        assert "Train to Lyon" in text_of(response)
        assert "no-store" in response.headers["Cache-Control"]
    assert not Message.objects.exists()


def test_an_answer_is_sent_to_the_workflow_once(client: Client, expense: Expense) -> None:
    link = address(links.token(expense.pk))
    assert "approved" in text_of(client.post(link, ANSWER))
    again = client.post(link, {"decision": "reject"})
    assert again.status_code == 410
    assert client.get(link).status_code == 410
    assert Message.objects.filter(run_id=expense.run_id).count() == 1


def test_an_older_link_is_used_up_too(client: Client, expense: Expense) -> None:
    first, second = links.token(expense.pk), links.token(expense.pk)
    assert client.post(address(first), ANSWER).status_code == 200
    assert client.post(address(second), ANSWER).status_code == 410


@pytest.mark.parametrize("change", [lambda token: token[:-1] + "~", lambda token: "x" + token, lambda token: token.partition(":")[0],
                                    lambda token: signing.dumps(1)])  # fmt: skip
def test_a_changed_link_opens_nothing(client: Client, expense: Expense, change: Callable[[str], str]) -> None:
    response = client.post(address(change(links.token(expense.pk))), ANSWER)
    assert response.status_code == 404
    assert not Message.objects.exists()


def test_a_link_to_nothing_opens_nothing(client: Client) -> None:
    assert client.get(address(links.token(987654))).status_code == 404


def test_a_link_expires(client: Client, expense: Expense) -> None:
    link = address(links.token(expense.pk))
    with travel(days=8):
        response = client.post(link, ANSWER)
    assert response.status_code == 410
    assert "no longer valid" in text_of(response)
    assert not Message.objects.exists()


def test_an_answer_needs_the_csrf_token(expense: Expense) -> None:
    stranger = Client(enforce_csrf_checks=True)
    link = address(links.token(expense.pk))
    assert stranger.post(link, ANSWER).status_code == 403
    stranger.get(link)
    assert stranger.post(link, ANSWER | {"csrfmiddlewaretoken": stranger.cookies["csrftoken"].value}).status_code == 200


def test_an_answer_without_a_decision_asks_again(client: Client, expense: Expense) -> None:
    assert client.post(address(links.token(expense.pk)), {"note": "?"}).status_code == 200
    assert not Message.objects.exists()
    expense.refresh_from_db()
    assert expense.answered_at is None


def test_the_mail_carries_the_link(client: Client, expense: Expense) -> None:
    email_link("grace@example.org", str(expense), expense.pk)
    [message] = mail.outbox
    [line] = [line for line in str(message.body).splitlines() if line.startswith("https://example.org/approvals/answer/")]
    assert client.get(line.removeprefix("https://example.org")).status_code == 200
