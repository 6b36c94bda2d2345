"""The hourly job and its page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from durable_workflows import get_schedule, pause_schedule, resume_schedule
from durable_workflows.models import Schedule, WorkflowRun
from durable_workflows.testing import drain
from durable_workflows.worker import scheduling
from example_project.reports.models import HourlyReport
from example_project.reports.workflows import run_hourly
from example_project.shop.models import LedgerEntry, Order

TICK = datetime(2030, 5, 1, 12, tzinfo=UTC)


@pytest.mark.django_db(transaction=True)
def test_a_report_is_about_the_hour_before_its_tick() -> None:
    for minutes in (-61, -60, -1, 0):
        order = Order.objects.create(run_id="r", customer="Ada")
        LedgerEntry.objects.create(order=order, amount_cents=100, reference="ch")
        Order.objects.filter(pk=order.pk).update(created_at=TICK + timedelta(minutes=minutes))
        LedgerEntry.objects.filter(order=order).update(created_at=TICK + timedelta(minutes=minutes))
    run_hourly(TICK, TICK + timedelta(seconds=2.5))
    report = HourlyReport.objects.get()
    assert (report.hour, report.orders, report.revenue_cents, report.late_seconds) == (TICK, 2, 200, 2.5)


@pytest.mark.django_db
def test_the_button_starts_the_job(client: Client) -> None:
    assert client.post("/reports/").status_code == 302
    assert WorkflowRun.objects.get().name == "example_project.reports.workflows.run_hourly"


@pytest.mark.django_db
def test_the_page_would_show_a_tick_that_fired_twice(client: Client) -> None:
    values = {"orders": 1, "revenue_cents": 123456, "reminders_sent": 0, "late_seconds": 0.2}
    HourlyReport.objects.create(hour=timezone.now(), **values)
    for _ in range(2):
        HourlyReport.objects.create(hour=TICK, **values)
    page = client.get("/reports/").content.decode()
    assert "more than one report: 1" in page
    assert "€1,234.56" in page


@pytest.fixture
def declared(db: None) -> str:
    """The row of the schedule, as a worker writes it at its start, paused: no hour strikes meanwhile. Returns its name."""
    scheduling.declare()
    pause_schedule("example_project.reports.workflows.run_hourly")
    return "example_project.reports.workflows.run_hourly"


def test_the_button_runs_the_schedule_once_it_is_there(client: Client, declared: str) -> None:
    assert client.post("/reports/").status_code == 302
    run = WorkflowRun.objects.get()
    assert run.id.startswith(f"sched-{declared}-trigger-")
    drain()
    assert HourlyReport.objects.get().late_seconds == 0


def test_the_page_pauses_and_resumes_the_schedule(client: Client, declared: str) -> None:
    resume_schedule(declared)
    assert "active; the next tick is at" in client.get("/reports/").content.decode()
    page = client.post("/reports/pause/", follow=True).content.decode()
    assert "The schedule is paused" in page
    assert "UTC, paused." in page
    assert "reports/resume/" in page
    Schedule.objects.update(next_fire_at=TICK - timedelta(days=3000))
    assert drain() == 0
    page = client.post("/reports/resume/", follow=True).content.decode()
    assert "goes on with the next hour" in page
    status = get_schedule(declared)
    assert status is not None
    assert status.status == "ACTIVE"
    assert status.next_fire_at is not None
    assert timezone.now() < status.next_fire_at <= timezone.now() + timedelta(hours=1)


def test_the_page_makes_up_for_missed_hours_and_reports_none_twice(client: Client, declared: str) -> None:
    for hours, reports in ((3, 3), (3, 3), (5, 5)):
        with time_machine.travel(TICK + timedelta(minutes=30), tick=False):
            page = client.post("/reports/backfill/", {"hours": hours}, follow=True).content.decode()
        assert "Hours without a report get theirs now" in page
        drain()
        assert HourlyReport.objects.count() == reports
    assert "more than one report: 0" in client.get("/reports/").content.decode()
    assert sorted(report.hour for report in HourlyReport.objects.all()) == [TICK - timedelta(hours=n) for n in range(4, -1, -1)]


@pytest.mark.parametrize("hours", ["", "0", "169", "many"])
def test_what_cannot_be_made_up_is_an_error_on_the_page(client: Client, declared: str, hours: str) -> None:
    page = client.post("/reports/backfill/", {"hours": hours})
    assert page.status_code == 200
    assert 'id="id_hours_error"' in page.content.decode()
    assert not WorkflowRun.objects.exists()


@pytest.mark.django_db
def test_without_a_schedule_the_buttons_say_so(client: Client) -> None:
    for place in ("pause", "resume", "backfill"):
        page = client.post(f"/reports/{place}/", {"hours": 1}, follow=True).content.decode()
        assert "There is no schedule yet" in page


@pytest.mark.django_db
def test_the_buttons_take_posts_with_a_token_only(declared: str) -> None:
    client = Client(enforce_csrf_checks=True)
    for place in ("pause", "resume", "backfill"):
        assert client.get(f"/reports/{place}/").status_code == 405
        assert client.post(f"/reports/{place}/", {"hours": 1}).status_code == 403
    assert client.post("/reports/").status_code == 403
    assert not WorkflowRun.objects.exists()
