"""The six apps with real worker processes on the test database: the pages are clicked, the workers do the rest."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from durable_workflows import retrieve_workflow
from durable_workflows.models import WorkflowRun
from example_project import mailbox, runs
from example_project.approvals.models import Expense
from example_project.hooks.models import HandledEvent, Parcel
from example_project.library import texts
from example_project.library.models import Build, Document
from example_project.reminders.models import Reminder
from example_project.shop import crash
from example_project.shop.models import Product
from example_project.shop.views import effects
from tests.example.test_shop import cart
from tests.example.test_webhook import deliver
from tests.processes import Processes

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 60
Worker = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def worker(processes: Processes, database_url: str, settings: Settings, tmp_path: Path) -> Worker:
    """Starts a worker of the example project, on this test's database and files, with a short lease."""
    settings.EMAIL_FILE_PATH = str(tmp_path / "mail")
    settings.DEBUG = True
    env = {
        "DJANGO_SETTINGS_MODULE": "example_project.settings",
        "DATABASE_URL": database_url,
        "SECRET_KEY": settings.SECRET_KEY,
        "EXAMPLE_VAR_DIR": str(tmp_path),
        "SITE_URL": "https://example.org",
        "DEBUG": "on",
        "LEASE_SECONDS": "1",
        "HEARTBEAT_SECONDS": "0.3",
    }
    return lambda: processes.worker("--threads", "4", "--no-reload", env=env)


def test_a_checkout_outlives_the_worker_that_was_killed_in_it(client: Client, lamp: Product, worker: Worker) -> None:
    data = cart()
    client.post("/shop/", data)
    run_id = f"checkout-{data['token']}"
    client.post(f"/shop/checkouts/{run_id}/crash/")
    assert worker().wait(SECONDS) != 0
    assert not crash.armed(run_id)
    assert [effect.times for effect in effects(run_id)] == [0, 0, 0, 0, 0, 0]

    worker()
    assert retrieve_workflow(run_id).get_result(timeout=SECONDS) == "fulfilled"
    assert [effect.times for effect in effects(run_id)] == [1, 1, 1, 1, 1, 0]
    run = runs.find(run_id)
    assert run is not None
    assert run.recoveries >= 1
    page = client.get(f"/shop/checkouts/{run_id}/").content.decode()
    assert "recovered" in page
    assert "data-finished" in page


def test_a_poor_network_is_retried_and_told(client: Client, lamp: Product, worker: Worker) -> None:
    data = cart(card="0119")
    client.post("/shop/", data)
    run_id = f"checkout-{data['token']}"
    worker()
    assert retrieve_workflow(run_id).get_result(timeout=SECONDS) == "fulfilled"
    assert [effect.times for effect in effects(run_id)] == [1, 1, 1, 1, 1, 0]
    assert "attempt 2 failed, tried again" in client.get(f"/shop/checkouts/{run_id}/").content.decode()


def test_reminders_approvals_webhooks_and_the_index(client: Client, worker: Worker) -> None:
    reminder_form = {"email": "ada@example.org", "text": "Water the plants", "amount": "1", "unit": "seconds"}
    client.post("/reminders/", reminder_form)
    client.post("/approvals/", {"what": "Train", "amount": "8", "employee_email": "a@b.org", "approver_email": "grace@b.org"})
    client.post("/library/build/")
    for event in ("delivered", "sent"):
        deliver(client, {"id": f"evt-{event}", "type": f"parcel.{event}", "parcel": "P-1"})
    worker()

    index = runs_named("indexing_workflow")
    assert retrieve_workflow(index).get_result(timeout=SECONDS) == sum(document.words for document in Document.objects.all())
    assert Build.objects.get().documents == Document.objects.count() == len(texts.paths())

    assert retrieve_workflow("parcel-P-1").get_result(timeout=SECONDS) == "delivered"
    assert Parcel.objects.get().status == "delivered"
    for event in ("delivered", "sent"):
        retrieve_workflow(f"hook-evt-{event}").get_result(timeout=SECONDS)
        assert HandledEvent.objects.filter(event_id=f"evt-{event}").count() == 1

    reminder = Reminder.objects.get()
    retrieve_workflow(reminder.run_id).get_result(timeout=SECONDS)
    reminder.refresh_from_db()
    assert reminder.sent_at is not None
    assert reminder.sent_at >= reminder.due_at - timedelta(milliseconds=50)

    answer_the_mail(client)
    expense = Expense.objects.get()
    assert retrieve_workflow(expense.run_id).get_result(timeout=SECONDS) == "approved"
    expense.refresh_from_db()
    assert (expense.status, expense.note) == ("approved", "Enjoy")
    assert expense.settled_at is not None
    assert expense.settled_at <= timezone.now() + timedelta(minutes=1)


def runs_named(name: str) -> str:
    """The id of the only run of a workflow."""
    return str(WorkflowRun.objects.get(name__endswith=f".{name}").pk)


def answer_the_mail(client: Client) -> None:
    """Find the link in the mail, open it and approve."""
    [mail] = [mail for mail in mailbox.newest() if mail.to == "grace@b.org"]
    found = re.search(r"https://example\.org(/approvals/answer/\S+)", mail.text)
    assert found
    assert client.get(found[1]).status_code == 200
    assert client.post(found[1], {"decision": "approve", "note": "Enjoy"}).status_code == 200
