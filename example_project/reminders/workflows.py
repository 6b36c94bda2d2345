"""A reminder: wait as long as it takes, then send the mail. While it waits it is a row and nothing else."""

from __future__ import annotations

from datetime import datetime

from django.core.mail import send_mail
from django.utils import timezone

from durable_workflows import sleep_until, step, workflow
from example_project.reminders.models import Reminder


@workflow
def schedule_reminder(reminder: int, due_at: datetime) -> None:
    """
    Send a reminder when it is due.

    :param reminder: the row's key.
    :param due_at: when, with its time zone; the past means now.
    """
    sleep_until(due_at)
    to_email, text = read_reminder(reminder)
    send_reminder_email(to_email, text)
    mark_sent(reminder)


@step
def read_reminder(reminder: int) -> tuple[str, str]:
    """The address and the text, as they stand when the reminder is due."""
    row = Reminder.objects.get(pk=reminder)
    return row.email, row.text


@step(max_attempts=5, interval_seconds=2.0)
def send_reminder_email(to_email: str, text: str) -> None:
    """Hand the mail over. It touches no table, so no transaction is open while the mail server takes its time."""
    send_mail("A reminder", f"{text}\n", from_email=None, recipient_list=[to_email])


@step
def mark_sent(reminder: int) -> None:
    """Note when it went out."""
    Reminder.objects.filter(pk=reminder).update(sent_at=timezone.now())
