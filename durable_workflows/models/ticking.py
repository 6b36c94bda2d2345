"""Schedules as statements: declaring them, finding what is due, and moving on to the next tick."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q, QuerySet

from durable_workflows import registry
from durable_workflows.definitions import Scheduled
from durable_workflows.models.dialects import DatabaseNow, StatementTime
from durable_workflows.models.schedules import Schedule


def declare(connection: BaseDatabaseWrapper, schedules: Sequence[Scheduled], now: datetime) -> None:
    """Write the schedules that code declares to their rows; a changed expression starts anew from ``now``, paused or not."""
    rows = Schedule.objects.using(connection.alias)
    for schedule in schedules:
        declared: dict[str, Any] = {
            "workflow_name": schedule.workflow.name, "cron": schedule.cron.expression, "timezone": schedule.cron.timezone,
            "catch_up": schedule.catch_up, "queue": schedule.queue, "in_code": True,
        }  # fmt: skip
        first = schedule.cron.next_after(now)
        row = rows.filter(pk=schedule.name).first()
        if row is None:
            times = {"next_fire_at": first, "created_at": DatabaseNow(), "updated_at": DatabaseNow()}
            rows.bulk_create([Schedule(pk=schedule.name, **declared, **times)], ignore_conflicts=True)
            # Another worker may have come first; MySQL shows its row to a locking read alone, whatever the isolation.
            row = rows.select_for_update().get(pk=schedule.name)
        if any(getattr(row, name) != value for name, value in declared.items()):
            moved = (row.cron, row.timezone) != (declared["cron"], declared["timezone"])
            fresh = {"next_fire_at": first, "paused": False} if moved else {}
            rows.filter(pk=schedule.name).update(**declared, **fresh, updated_at=DatabaseNow())


def declared() -> tuple[str, ...]:
    """The names of the schedules that this process's code declares."""
    return tuple(schedule.name for schedule in registry.schedules())


def served(connection: BaseDatabaseWrapper, declared: Sequence[str]) -> QuerySet[Schedule]:
    """
    The schedules that a process fires: those that no code made, and of those that code made the ones it declares.

    So one whose declaration was removed stops with the last worker that has the old code, and nobody needs to find out
    which that is.
    """
    running = Schedule.objects.using(connection.alias).filter(paused=False, next_fire_at__isnull=False)
    return running.filter(Q(in_code=False) | Q(name__in=declared))


def due(connection: BaseDatabaseWrapper) -> list[Any]:
    """Schedules whose tick has come, each with the database's ``now``."""
    ripe = served(connection, declared()).filter(next_fire_at__lte=StatementTime())
    return list(ripe.annotate(now=DatabaseNow()).order_by("next_fire_at")[:100])


def advance(connection: BaseDatabaseWrapper, schedule: Schedule, *, fired: datetime | None, following: datetime) -> bool:
    """Move on from the tick that was seen; false if another worker has done so."""
    seen = Schedule.objects.using(connection.alias).filter(pk=schedule.pk, next_fire_at=schedule.next_fire_at)
    changes: dict[str, Any] = {"next_fire_at": following, "updated_at": DatabaseNow()}
    return bool(seen.update(**changes, **({"last_fire_at": fired} if fired else {})))


def pause(connection: BaseDatabaseWrapper, schedule: Schedule) -> None:
    """Stop a schedule whose row cannot be read; it waits for an operator."""
    Schedule.objects.using(connection.alias).filter(pk=schedule.pk).update(paused=True, updated_at=DatabaseNow())
