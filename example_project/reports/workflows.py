"""The hourly job. Every worker knows the schedule; each tick becomes one run, whoever is first."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Sum

from durable_workflows import scheduled, step, workflow
from example_project.reminders.models import Reminder
from example_project.reports.models import HourlyReport
from example_project.shop.models import LedgerEntry, Order


@scheduled("0 * * * *")  # once an hour
@workflow
def run_hourly(scheduled_time: datetime, actual_time: datetime) -> int:
    """
    Report on the hour that has just ended.

    :param scheduled_time: the tick.
    :param actual_time: when the job was really started.
    :return: the key of the report's row.
    """
    return write_report(scheduled_time, (actual_time - scheduled_time).total_seconds())


@step
def write_report(tick: datetime, late_seconds: float) -> int:
    """Count and write in one transaction."""
    begin = tick - timedelta(hours=1)
    orders = Order.objects.filter(created_at__gte=begin, created_at__lt=tick)
    payments = LedgerEntry.objects.filter(created_at__gte=begin, created_at__lt=tick)
    report = HourlyReport.objects.create(
        hour=tick,
        orders=orders.count(),
        revenue_cents=payments.aggregate(sum=Sum("amount_cents"))["sum"] or 0,
        reminders_sent=Reminder.objects.filter(sent_at__gte=begin, sent_at__lt=tick).count(),
        late_seconds=late_seconds,
    )
    return report.pk
