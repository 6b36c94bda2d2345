"""The hourly job and its page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from durable_workflows.models import WorkflowRun
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
