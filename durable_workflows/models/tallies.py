"""
How many runs ended in each hour, kept when the runs themselves are gone.

A week of a busy installation is millions of runs, which no page can count. So workers count each hour once, soon after it
is over, from the index of what has ended. Whoever counts an hour that another one has counted meanwhile changes nothing.
What is committed later than ``SETTLED`` after it was stamped is not in it: these are figures for the eye.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Count

from durable_workflows.models.reading import database_now
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.transactions import write_transaction
from durable_workflows.retention import ENDS

HOUR = timedelta(hours=1)
SETTLED = timedelta(minutes=2)
BACK = timedelta(days=8)  # how far back hours are counted that nobody has counted
KEPT = timedelta(days=400)
BATCH = 12  # hours at once


class Tally(models.Model):
    """One outcome in one hour, by UTC; an hour that was counted has a row for each."""

    hour = models.DateTimeField()
    status = models.CharField(max_length=32)
    number = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "tallies"
        constraints = [models.UniqueConstraint(fields=["hour", "status"], name="durable_tally_once")]

    def __str__(self) -> str:
        return f"{self.number} {self.status} from {self.hour}"


def hour_of(moment: datetime) -> datetime:
    """The beginning of its hour."""
    return moment.replace(minute=0, second=0, microsecond=0)


def count_hours(connection: BaseDatabaseWrapper) -> int:
    """Count some hours that are over, the newest first; returns how many. Old tallies are forgotten."""
    now = database_now(connection)
    rows = Tally.objects.using(connection.alias)
    known = set(rows.filter(hour__gte=now - BACK).values_list("hour", flat=True))
    missing = [hour for hour in _hours_over(now) if hour not in known][:BATCH]
    counted = [tally for hour in missing for tally in _count(connection, hour)]
    if counted:
        with write_transaction(connection):
            rows.bulk_create(counted, ignore_conflicts=True)
            rows.filter(hour__lt=now - KEPT).delete()
    return len(missing)


def _hours_over(now: datetime) -> Iterator[datetime]:
    hour = hour_of(now - SETTLED) - HOUR
    while hour >= now - BACK:
        yield hour
        hour -= HOUR


def _count(connection: BaseDatabaseWrapper, hour: datetime) -> list[Tally]:
    ended = WorkflowRun.objects.using(connection.alias).filter(completed_at__gte=hour, completed_at__lt=hour + HOUR)
    by_status = ended.filter(status__in=ENDS).order_by().values_list("status").annotate(number=Count("pk"))
    found = dict(by_status)
    return [Tally(hour=hour, status=status, number=found.get(status, 0)) for status in ENDS]


def tallied(connection: BaseDatabaseWrapper, since: datetime) -> dict[tuple[datetime, str], int]:
    """The hours that were counted, by beginning and outcome."""
    rows = Tally.objects.using(connection.alias).filter(hour__gte=since)
    return {(hour, status): number for hour, status, number in rows.values_list("hour", "status", "number")}
