"""Workflows that schedules of the tests start, and ways to look at what became of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from durable_workflows import recv, workflow
from durable_workflows.models import Schedule, WorkflowRun, reading

LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


@workflow(name="tests.ticked")
def ticked(scheduled_time: datetime, context: Any) -> Any:
    return [scheduled_time.isoformat(), context]


@workflow(name="tests.ticks_and_waits")
def ticks_and_waits(scheduled_time: datetime, context: Any) -> Any:
    return recv("go on")


def now() -> datetime:
    return reading.database_now(connection)


def put_tick(name: str, ago: timedelta) -> datetime:
    """Have the next tick be one of the past; returns it."""
    tick = now().replace(microsecond=0) - ago
    Schedule.objects.filter(pk=name).update(next_fire_at=tick)
    return tick


def run_ids(name: str) -> list[str]:
    """The runs of a schedule."""
    return sorted(WorkflowRun.objects.filter(schedule_name=name).values_list("id", flat=True))
