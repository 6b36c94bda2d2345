"""Housekeeping in bounded, idempotent batches, which any number of workers may do at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.events import Event
from durable_workflows.models.messages import Message
from durable_workflows.models.runs import CLAIMABLE, LIMITED, TIMED, UNCLAIMABLE, Stranded, WorkflowRun
from durable_workflows.models.schedules import Schedule
from durable_workflows.models.steering import stop
from durable_workflows.models.steps import Kind
from durable_workflows.models.waits import Wait
from durable_workflows.models.waking import lock, make_claimable
from durable_workflows.models.workers import Worker
from durable_workflows.states import TERMINAL, RunState

BATCH = 1000
HEAD = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What there is to do, told by one query."""

    now: datetime
    next_due: datetime | None
    next_deadline: datetime | None
    next_tick: datetime | None
    suspects: bool
    queues: tuple[str, ...]

    def due(self, moment: datetime | None) -> bool:
        return moment is not None and moment <= self.now

    def seconds_until_next(self) -> float | None:
        """Seconds until the next thing that a clock alone brings about."""
        moments = [moment for moment in (self.next_due, self.next_deadline, self.next_tick) if moment is not None]
        return (min(moments) - self.now).total_seconds() if moments else None


def pulse(connection: BaseDatabaseWrapper, worker_id: str, queues: Sequence[str]) -> Pulse:
    """
    One query about everything that a worker might have to do; each part is a look into a partial index.

    It reads the worker's own row, since a query of the ORM must be of something.
    """
    runs = WorkflowRun.objects.using(connection.alias)
    ticks = Schedule.objects.using(connection.alias).filter(paused=False, next_fire_at__isnull=False)
    parts: dict[str, Any] = {
        "clock": DatabaseNow(),
        "next_due": _first(runs.filter(TIMED), "due_at"),
        "next_deadline": _first(runs.filter(LIMITED), "deadline"),
        "next_tick": _first(ticks, "next_fire_at"),
        "suspects": Exists(runs.filter(UNCLAIMABLE, suspect=True)),
    }
    parts |= {f"queue_{index}": Exists(runs.filter(CLAIMABLE, queue=queue)) for index, queue in enumerate(queues)}
    row: dict[str, Any] = dict(Worker.objects.using(connection.alias).filter(pk=worker_id).values(**parts).get())
    busy = tuple(queue for index, queue in enumerate(queues) if row[f"queue_{index}"])
    return Pulse(
        now=row["clock"], next_due=row["next_due"], next_deadline=row["next_deadline"], next_tick=row["next_tick"],
        suspects=bool(row["suspects"]), queues=busy,
    )  # fmt: skip


def _first(rows: QuerySet[Any], column: str) -> Subquery:
    return Subquery(rows.order_by(column).values(column)[:1])


def due_to_run(connection: BaseDatabaseWrapper) -> QuerySet[WorkflowRun]:
    """Suspended and delayed runs whose time has come."""
    return WorkflowRun.objects.using(connection.alias).filter(TIMED, due_at__lte=DatabaseNow())


def wake_due(connection: BaseDatabaseWrapper) -> int:
    """Make up to ``BATCH`` due runs claimable."""
    ids = _some(connection, due_to_run(connection).order_by("due_at"))
    return make_claimable(due_to_run(connection).filter(pk__in=ids)) if ids else 0


def cancel_overdue(connection: BaseDatabaseWrapper) -> int:
    """Cancel up to ``BATCH`` runs whose deadline has passed."""
    runs = WorkflowRun.objects.using(connection.alias)
    overdue = runs.filter(LIMITED, deadline__lte=DatabaseNow())
    ids = _some(connection, overdue.order_by("deadline"))
    return stop(connection, ids, RunState.CANCELLED, "Its deadline passed.") if ids else 0


def strand_unknown(connection: BaseDatabaseWrapper, queues: Sequence[str], known: Sequence[tuple[str, str]]) -> int:
    """
    Move runs that nobody alive can execute out of the claimable index, where each claim would have to step over them.

    Only the head of each queue is looked at, in claiming order: deeper down they are in nobody's way. The caller repeats
    while there were some.
    """
    names = {name for name, _ in known}
    versions = {(name, version) for name, version in known}
    stranded = 0
    for queue in queues:
        head = WorkflowRun.objects.using(connection.alias).filter(CLAIMABLE, queue=queue)
        rows = head.order_by("turn", "priority", "created_at").values_list("pk", "name", "app_version")[:HEAD]
        unknown = [pk for pk, name, version in rows if not (
            (name, version) in versions if version else name in names
        )]  # fmt: skip
        if unknown:
            still = WorkflowRun.objects.using(connection.alias).filter(CLAIMABLE, pk__in=unknown)
            stranded += still.update(stranded=Stranded.NAME, note=_UNKNOWN, updated_at=DatabaseNow())
    return stranded


_UNKNOWN = "No live worker knows this workflow's name (in this version). Start a worker whose code has it, or cancel the run."


def readmit_known(connection: BaseDatabaseWrapper, known: Sequence[tuple[str, str]]) -> int:
    """Make stranded runs claimable again whose name somebody alive knows, in batches of ``BATCH``."""
    runs = WorkflowRun.objects.using(connection.alias).filter(UNCLAIMABLE, stranded=Stranded.NAME)
    fitting = Q(pk__in=[])
    for version in {version for _, version in known}:
        names = [name for name, its in known if its == version]
        fitting |= Q(name__in=names, app_version__in={"", version})
    ids = _some(connection, runs.filter(fitting))
    return runs.filter(pk__in=ids).update(stranded=Stranded.NO, note=None, updated_at=DatabaseNow()) if ids else 0


def wake_answered(connection: BaseDatabaseWrapper, put_off: bool = False) -> int:
    """
    Wake waiting runs whose message, event or result is there after all.

    The protocol of ``models.waking`` loses none; this serves the waits on runs that did not exist yet when they began,
    whose row could not be locked.

    :param put_off: also those whose wake-up is put off for a moment, to join many children at once.
    """
    waits = Wait.objects.using(connection.alias).filter(run__status=RunState.WAITING)
    if not put_off:
        waits = waits.filter(debounce=0)
    messages = Message.objects.filter(run_id=OuterRef("source_id"), topic=OuterRef("key"), consumed_at__isnull=True)
    events = Event.objects.filter(run_id=OuterRef("source_id"), key=OuterRef("key"))
    ended = WorkflowRun.objects.filter(pk=OuterRef("source_id"), status__in=TERMINAL)
    answered: set[str] = set()
    for kinds, there in (([Kind.RECV], messages), ([Kind.GET_EVENT], events), ([Kind.RESULT, Kind.FIRST], ended)):
        found = waits.filter(kind__in=kinds).filter(Exists(there))
        answered |= set(found.values_list("run_id", flat=True)[:BATCH])
    lock(connection, answered)
    waiting = WorkflowRun.objects.using(connection.alias).filter(pk__in=answered, status=RunState.WAITING)
    return make_claimable(waiting) if answered else 0


def _some(connection: BaseDatabaseWrapper, runs: QuerySet[WorkflowRun]) -> list[str]:
    if connection.features.has_select_for_update_skip_locked:
        runs = runs.select_for_update(skip_locked=True)
    return list(runs.values_list("pk", flat=True)[:BATCH])
