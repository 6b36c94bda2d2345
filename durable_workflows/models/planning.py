"""
The statements that make, change and delete schedules.

Whoever changes a schedule, or starts runs of it, locks its row first, as the firing of a tick does: so a tick is fired
either before a change or by what it says, and never waits for the rows of another's runs. In the end ``claimable`` is
signalled, since what was due in an hour may be due now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q, QuerySet

from durable_workflows import signals
from durable_workflows.exceptions import ScheduleConflict, ScheduleNotFound
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.schedules import ACTIVE, FINISHED, PAUSED, Schedule
from durable_workflows.recurrence import ScheduleInput
from durable_workflows.schedules import Timetable

TIMING = ("cron", "interval_seconds", "timezone", "starts_at", "ends_at")  # what has a schedule begin anew when it changes
LAST = chr(0x10FFFF)  # sorts after every character


def rows(connection: BaseDatabaseWrapper) -> QuerySet[Schedule]:
    """All schedules."""
    return Schedule.objects.using(connection.alias)


def value_of(row: Schedule) -> ScheduleInput:
    """
    A row as the value that is checked, but for the context, which is passed on unread.

    :raises InvalidUse: if the row says what no schedule can.
    """
    told: Any = row  # the value knows which words there are
    return ScheduleInput(
        name=told.name, workflow=told.workflow_name, cron=told.cron, timezone=told.timezone, catch_up=told.catch_up,
        queue=told.queue, overlap=told.overlap, interval_seconds=told.interval_seconds,
        jitter_seconds=told.jitter_seconds, starts_at=told.starts_at, ends_at=told.ends_at,
    )  # fmt: skip


def timetable_of(row: Schedule) -> Timetable:
    """The ticks of a row. Raises ``InvalidUse`` if it says what no schedule can."""
    return value_of(row).timetable(row.created_at)


def next_times(timetable: Timetable, tick: datetime | None) -> dict[str, Any]:
    """What a row holds whose next tick this is; of None, that there is none."""
    if tick is None:
        return {"next_fire_at": None, "next_tick_at": None}
    return {"next_fire_at": timetable.due(tick), "next_tick_at": tick if timetable.jitter else None}


def locked(connection: BaseDatabaseWrapper, name: str) -> Schedule:
    """The row, which nobody else changes or fires for now. Raises ``ScheduleNotFound``."""
    found = rows(connection).select_for_update().filter(pk=name).first()
    if found is None:
        raise ScheduleNotFound(name)
    return found


def create(connection: BaseDatabaseWrapper, plan: ScheduleInput, now: datetime, **others: Any) -> None:
    """
    Insert a schedule that begins ``now``.

    :param others: columns that the value does not have.
    :raises ScheduleConflict: if its name is taken.
    """
    row = new(plan, now, **others)
    try:
        with transaction.atomic(using=connection.alias):
            row.save(using=connection.alias, force_insert=True)
    except IntegrityError:
        raise ScheduleConflict(plan.name, "Take another name, or change that one with apply_schedules().") from None
    hint(connection)


def holds(connection: BaseDatabaseWrapper, plan: ScheduleInput, now: datetime) -> bool:
    """Whether a schedule is there as ``create`` makes it: it is that very call's, whose COMMIT reply was lost."""
    found = rows(connection).filter(pk=plan.name, created_at=_to_the_second(now)).first()
    return found is not None and not _changes(found, plan)


def apply(connection: BaseDatabaseWrapper, plans: Sequence[ScheduleInput], now: datetime) -> None:
    """
    Make rows what these values say, all in the open transaction; what is so already is left untouched.

    In the order of their names, so that two that do it at once do not wait for each other crosswise.
    """
    for plan in unlike(connection, plans):
        row = ensured(connection, plan, now)
        if row.in_code:
            raise ScheduleConflict(plan.name, "It is declared by @scheduled: change it there, or take another name.")
        amend(connection, row, plan, now)


def unlike(connection: BaseDatabaseWrapper, plans: Sequence[ScheduleInput], **others: Any) -> list[ScheduleInput]:
    """
    Those of which there is no row as they say, in the order of their names.

    Without a lock, so that nothing waits for a row on which there is nothing to do.
    """
    known = rows(connection).in_bulk([plan.name for plan in plans])
    found = [plan for plan in plans if plan.name not in known or _changes(known[plan.name], plan, **others)]
    return sorted(found, key=lambda plan: plan.name)


def _changes(row: Schedule, plan: ScheduleInput, **others: Any) -> dict[str, Any]:
    wanted = {**_columns(plan), **others}
    return {name: value for name, value in wanted.items() if getattr(row, name) != value}


def ensured(connection: BaseDatabaseWrapper, plan: ScheduleInput, now: datetime, **others: Any) -> Schedule:
    """The locked row of this name, inserted if there was none."""
    if rows(connection).filter(pk=plan.name).exists():
        try:
            return locked(connection, plan.name)
        except ScheduleNotFound:
            pass  # deleted meanwhile, which MySQL shows to a locking read alone
    rows(connection).bulk_create([new(plan, now, **others)], ignore_conflicts=True)
    hint(connection)
    return locked(connection, plan.name)  # perhaps another one's, who came first


def amend(connection: BaseDatabaseWrapper, row: Schedule, plan: ScheduleInput, now: datetime, **others: Any) -> None:
    """
    Make a locked row what a value says. With another timing it begins anew from ``now``, and is mended if it had paused
    itself; else it goes on where it is. Paused by somebody, it stays so.
    """
    changed = _changes(row, plan, **others)
    if not changed:
        return
    if row.note is not None or changed.keys() & set(TIMING):
        changed |= next_times(timetable := plan.timetable(row.created_at), timetable.first_after(now))
    elif "jitter_seconds" in changed and row.next_fire_at is not None:
        changed |= next_times(plan.timetable(row.created_at), row.tick)
    if row.note is not None:
        changed |= {"note": None, "paused": False}
    rows(connection).filter(pk=row.pk).update(**changed, updated_at=DatabaseNow())
    hint(connection)


def new(plan: ScheduleInput, now: datetime, **others: Any) -> Schedule:
    """
    The row of a schedule that begins ``now``.

    Its time of creation is kept to the second: an interval that has no start counts from it, and its ticks are readable.
    """
    created = _to_the_second(now)
    timetable = plan.timetable(created)
    times = {**next_times(timetable, timetable.first_after(now)), "created_at": created, "updated_at": DatabaseNow()}
    return Schedule(pk=plan.name, **{**_columns(plan), **times, **others})


def _columns(plan: ScheduleInput) -> dict[str, Any]:
    return {**plan.columns(), "context": plan.stored_context(), "passes_context": True}


def _to_the_second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def pause(connection: BaseDatabaseWrapper, name: str) -> None:
    """Fire no more ticks until it is resumed. Raises ``ScheduleNotFound``."""
    row = locked(connection, name)
    if not row.paused:
        rows(connection).filter(pk=name).update(paused=True, note=None, updated_at=DatabaseNow())


def resume(connection: BaseDatabaseWrapper, name: str, now: datetime) -> None:
    """
    Fire ticks again, from the first one after ``now``; one that is not paused is left as it is.

    :raises ScheduleNotFound: if there is none.
    :raises InvalidUse: if its row says what no schedule can.
    """
    row = locked(connection, name)
    if row.paused:
        timetable = timetable_of(row)
        times = next_times(timetable, timetable.first_after(now))
        rows(connection).filter(pk=name).update(paused=False, note=None, **times, updated_at=DatabaseNow())
        hint(connection)


def delete(connection: BaseDatabaseWrapper, name: str) -> None:
    """Remove a schedule; its runs stay. Raises ``ScheduleNotFound``."""
    locked(connection, name)
    rows(connection).filter(pk=name).delete()


def touched(connection: BaseDatabaseWrapper, name: str) -> Schedule:
    """
    The locked row, changed a little.

    So the firing of a tick whose snapshot is older than the runs that are about to be started here is refused, outside of
    READ COMMITTED, and looks again. Raises ``ScheduleNotFound``.
    """
    row = locked(connection, name)
    rows(connection).filter(pk=name).update(updated_at=DatabaseNow())
    return row


def listed(
    connection: BaseDatabaseWrapper,
    states: Sequence[str] | None,
    workflows: Sequence[str] | None,
    prefixes: Sequence[str] | None,
) -> list[Schedule]:
    """Those that fit, in the order of their names; None: whatever."""
    found = rows(connection).order_by("name")
    if states is not None:
        found = found.filter(_any(_IN_STATE[state] for state in states))
    if workflows is not None:
        found = found.filter(workflow_name__in=workflows)
    if prefixes is not None:  # not LIKE, which takes upper for lower case on SQLite
        found = found.filter(_any(Q(name__gte=prefix, name__lt=prefix + LAST) for prefix in prefixes))
    return list(found)


_IN_STATE = {
    PAUSED: Q(paused=True),
    ACTIVE: Q(paused=False, next_fire_at__isnull=False),
    FINISHED: Q(paused=False, next_fire_at__isnull=True),
}


def _any(conditions: Iterable[Q]) -> Q:
    return reduce(or_, conditions, Q(pk__in=[]))


def hint(connection: BaseDatabaseWrapper) -> None:
    """Have idle workers look at once, when this is committed."""
    signals.at_commit(signals.claimable, connection.alias)
