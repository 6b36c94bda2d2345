"""Reminders: row and workflow in one transaction, a wait, a mail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from durable_workflows import get_workflow_status
from example_project.reminders.models import Reminder
from example_project.reminders.workflows import schedule_reminder

FORM = {"email": "ada@example.org", "text": "Water the plants", "amount": "3", "unit": "days"}


@pytest.mark.django_db
def test_a_reminder_and_its_workflow_are_written_together(client: Client, run_ids: Callable[[], list[str]]) -> None:
    assert client.post("/reminders/", FORM).status_code == 302
    reminder = Reminder.objects.get()
    assert run_ids() == [reminder.run_id]
    assert abs(reminder.due_at - timezone.now() - timedelta(days=3)) < timedelta(minutes=5)
    assert "Water the plants" in client.get("/reminders/list/").content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_view_that_fails_takes_its_workflow_with_it(client: Client, run_ids: Callable[[], list[str]]) -> None:
    response = client.post("/reminders/", FORM | {"fail": "1"}, follow=True)
    assert "no reminder, no workflow" in response.content.decode()
    assert not Reminder.objects.exists()
    assert run_ids() == []


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", [{"email": "nobody"}, {"amount": "-1"}, {"unit": "years"}, {"text": ""}])
def test_a_form_with_an_error_starts_nothing(client: Client, run_ids: Callable[[], list[str]], wrong: dict[str, str]) -> None:
    assert client.post("/reminders/", FORM | wrong).status_code == 200
    assert run_ids() == []


@pytest.mark.django_db
def test_a_reminder_can_be_called_off(client: Client) -> None:
    client.post("/reminders/", FORM)
    reminder = Reminder.objects.get()
    assert client.get(f"/reminders/{reminder.pk}/cancel/").status_code == 405
    assert client.post(f"/reminders/{reminder.pk}/cancel/").status_code == 302
    status = get_workflow_status(reminder.run_id)
    assert status is not None
    assert status.status == "CANCELLED"


@pytest.mark.django_db(transaction=True)
def test_a_due_reminder_is_mailed_and_marked() -> None:
    reminder = Reminder.objects.create(email="ada@example.org", text="Water the plants", due_at=timezone.now())
    schedule_reminder(reminder.pk, reminder.due_at)
    reminder.refresh_from_db()
    assert reminder.sent_at is not None
    assert [(message.to, message.body) for message in mail.outbox] == [(["ada@example.org"], "Water the plants\n")]
