"""Schedules as statements: declaring them, finding what is due, and moving on to the next tick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Q, QuerySet

from durable_workflows import registry
from durable_workflows.definitions import Scheduled
from durable_workflows.models import planning
from durable_workflows.models.dialects import DatabaseNow, StatementTime
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.schedules import Schedule
from durable_workflows.recurrence import ScheduleInput
from durable_workflows.states import UNFINISHED


def declare(connection: BaseDatabaseWrapper, schedules: Sequence[Scheduled], now: datetime) -> None:
    """
    Write the schedules that code declares to their rows; a changed expression starts anew from ``now``.

    What somebody paused stays paused. What paused itself, because its row could not be fired, is mended by that.
    """
    for plan in planning.unlike(connection, [_plan_of(schedule) for schedule in schedules], **_IN_CODE):
        planning.amend(connection, planning.ensured(connection, plan, now, **_IN_CODE), plan, now, **_IN_CODE)


_IN_CODE = {"in_code": True, "passes_context": False}


def _plan_of(schedule: Scheduled) -> ScheduleInput:
    return ScheduleInput(
        name=schedule.name, workflow=schedule.workflow.name, cron=schedule.cron.expression, timezone=schedule.cron.timezone,
        catch_up=schedule.catch_up, queue=schedule.queue, overlap=schedule.overlap,
    )  # fmt: skip


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


def due(connection: BaseDatabaseWrapper) -> list[str]:
    """The names of schedules whose tick has come, those first that have waited longest."""
    ripe = served(connection, declared()).filter(next_fire_at__lte=StatementTime())
    return list(ripe.order_by("next_fire_at").values_list("name", flat=True)[:100])


def take(connection: BaseDatabaseWrapper, names: Sequence[str]) -> list[Any]:
    """
    Lock those of these schedules whose tick has come, and read them with the database's ``now``.

    One that another worker has fired meanwhile, or that somebody has changed or is about to, is left out: there is nothing
    to wait for.
    """
    ripe = served(connection, declared()).filter(pk__in=names, next_fire_at__lte=StatementTime())
    skip = connection.features.has_select_for_update_skip_locked
    return list(ripe.annotate(now=DatabaseNow()).order_by("pk").select_for_update(skip_locked=skip))


def busy(connection: BaseDatabaseWrapper, names: Sequence[str]) -> set[str]:
    """Which of these schedules have an unfinished run: of a tick, triggered, or backfilled."""
    runs = WorkflowRun.objects.using(connection.alias).filter(schedule_name__in=names, completed_at__isnull=True)
    found = runs.filter(status__in=UNFINISHED).values_list("schedule_name", flat=True).distinct()
    return {name for name in found if name is not None}


def advance(connection: BaseDatabaseWrapper, schedule: Any, times: Mapping[str, Any], *, fired: Any, skipped: int) -> bool:
    """
    Move on from the tick that was seen; false if another worker has done so.

    :param times: what the next tick is.
    :param fired: the last tick whose run is started with this, if any is.
    :param skipped: how many were passed over because of ``overlap``.
    """
    seen = Schedule.objects.using(connection.alias).filter(pk=schedule.pk, next_fire_at=schedule.next_fire_at)
    counted = {"skipped": F("skipped") + skipped} if skipped else {}
    last = {"last_fire_at": fired} if fired else {}
    return bool(seen.update(**times, **counted, **last, updated_at=DatabaseNow()))


def pause(connection: BaseDatabaseWrapper, name: str, why: str) -> bool:
    """Stop a schedule that is due and whose row cannot be fired; it waits for an operator, or a deploy."""
    ripe = served(connection, declared()).filter(pk=name, next_fire_at__lte=StatementTime())
    return bool(ripe.update(paused=True, note=why, updated_at=DatabaseNow()))
