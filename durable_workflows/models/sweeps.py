"""Housekeeping in bounded, idempotent batches, which any number of workers may do at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Exists, OuterRef, Q, QuerySet

from durable_workflows import clock, registry
from durable_workflows.conf import config
from durable_workflows.models import dialects, rules, ticking
from durable_workflows.models.dialects import DatabaseNow, StatementTime
from durable_workflows.models.events import Event
from durable_workflows.models.indexes import Literal
from durable_workflows.models.messages import Message
from durable_workflows.models.runs import CLAIMABLE, LIMITED, TIMED, UNCLAIMABLE, Stranded, WorkflowRun
from durable_workflows.models.steering import stop
from durable_workflows.models.steps import Kind
from durable_workflows.models.streams import StreamEntry
from durable_workflows.models.waits import Wait
from durable_workflows.models.waking import lock, make_claimable
from durable_workflows.states import TERMINAL, RunState

BATCH = 1000
HEAD = 2000
UNREADABLE = datetime(9999, 1, 1, tzinfo=UTC)  # PostgreSQL stores later years, and infinity, which Python cannot read
CLAIM_ORDER = ("partition_key", "turn", "rank", "queued_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What there is to do, told by one query."""

    now: datetime
    next_due: datetime | None
    next_deadline: datetime | None
    next_tick: datetime | None
    suspects: bool
    queue_stamp: object
    queues: tuple[str, ...]

    def due(self, moment: datetime | None) -> bool:
        return moment is not None and moment <= self.now

    def seconds_until_next(self) -> float | None:
        """Seconds until the next thing that a clock alone brings about."""
        moments = [moment for moment in (self.next_due, self.next_deadline, self.next_tick) if moment is not None]
        return (min(moments) - self.now).total_seconds() if moments else None


def pulse(connection: BaseDatabaseWrapper, queues: Sequence[str]) -> Pulse:
    """One query about everything that a worker might have to do; each part is a look into a partial index."""
    now, now_params = dialects.moment(connection)
    probes, params = _probes(connection.alias, tuple(queues), ticking.declared())
    row = dialects.run(connection, f"SELECT {now}, {probes}", [*now_params, *params]).fetchone()
    at, due, deadline, tick = (dialects.read_datetime(connection, value) for value in row[:4])
    suspect, stamp, *heads = row[4:]
    busy = tuple(queue for queue, head in zip(queues, heads, strict=True) if head is not None)
    return Pulse(
        now=at or clock.real_now(), next_due=due, next_deadline=deadline, next_tick=tick, suspects=suspect is not None,
        queue_stamp=stamp, queues=busy,
    )  # fmt: skip


@lru_cache(64)
def _probes(alias: str, queues: tuple[str, ...], schedules: tuple[str, ...]) -> tuple[str, list[Any]]:
    """The parts of the pulse as columns of SQL, put together once: that costs the ORM more than the server's answer."""
    connection = connections[alias]
    runs = WorkflowRun.objects.using(alias)
    firsts = [
        _first(runs.filter(TIMED, due_at__lt=UNREADABLE), "due_at"),
        _first(runs.filter(LIMITED, deadline__lt=UNREADABLE), "deadline"),
        _first(ticking.served(connection, schedules).filter(next_fire_at__lt=UNREADABLE), "next_fire_at"),
        _first(_suspects(connection, queues), "name"),
        rules.stamp(alias),
        *(_first(runs.filter(CLAIMABLE, queue=queue), *CLAIM_ORDER) for queue in queues),
    ]
    compiled = [_compiled(connection, first) for first in firsts]
    return ", ".join(f"({sql})" for sql, _ in compiled), [param for _, params in compiled for param in params]


def _compiled(connection: BaseDatabaseWrapper, rows: QuerySet[Any]) -> tuple[str, Sequence[Any]]:
    try:
        sql, params = rows.query.get_compiler(connection=connection).as_sql()
    except EmptyResultSet:  # a worker may serve no queue
        return "NULL", ()
    return sql, params


def _first(rows: QuerySet[Any], *order: str) -> QuerySet[Any]:
    """
    The first column of the first row in the order of an index.

    Not EXISTS, which forgets the order: PostgreSQL then believes that matches are all over the table, and reads a million
    finished runs to find the one that came last.
    """
    return rows.order_by(*order).values(order[0])[:1]


def due_to_run(connection: BaseDatabaseWrapper) -> QuerySet[WorkflowRun]:
    """Suspended and delayed runs whose time has come."""
    return WorkflowRun.objects.using(connection.alias).filter(TIMED, due_at__lte=StatementTime())


def wake_due(connection: BaseDatabaseWrapper) -> int:
    """Make up to ``BATCH`` due runs claimable."""
    ids = _some(connection, due_to_run(connection).order_by("due_at"))
    return make_claimable(due_to_run(connection).filter(pk__in=ids)) if ids else 0


def cancel_overdue(connection: BaseDatabaseWrapper) -> int:
    """Cancel up to ``BATCH`` runs whose deadline has passed."""
    runs = WorkflowRun.objects.using(connection.alias)
    overdue = runs.filter(LIMITED, deadline__lte=StatementTime())
    ids = _some(connection, overdue.order_by("deadline"))
    return stop(connection, ids, RunState.CANCELLED, "Its deadline passed.") if ids else 0


def strand_unknown(connection: BaseDatabaseWrapper, queues: Sequence[str], known: Sequence[tuple[str, str]]) -> int:
    """
    Move runs that nobody alive can execute out of the claimable index, where each claim would have to step over them.

    Only the head of each queue is looked at, in claiming order: deeper down they are in nobody's way. The caller repeats
    while there were some.
    """
    runs = WorkflowRun.objects.using(connection.alias)
    heads = [runs.filter(CLAIMABLE, queue=queue).order_by(*CLAIM_ORDER) for queue in queues]
    # What was declared here a moment ago may not be published yet.
    known = [*known, *((name, config().app_version) for name in registry.names())]
    return sum(_strand_unknown(head, set(known)) for head in [*heads, _suspects(connection, queues)])


def _strand_unknown(runs: QuerySet[WorkflowRun], known: set[tuple[str, str]]) -> int:
    names = {name for name, _ in known}
    rows = runs.values_list("pk", "name", "app_version")[:HEAD]
    unknown = [pk for pk, name, version in rows if not ((name, version) in known if version else name in names)]
    if not unknown:
        return 0
    still = runs.filter(pk__in=unknown).order_by()
    return still.update(stranded=Stranded.NAME, note=_UNKNOWN, updated_at=DatabaseNow())


def _suspects(connection: BaseDatabaseWrapper, queues: Sequence[str]) -> QuerySet[WorkflowRun]:
    """Runs that are to be run alone: those of the index of the unclaimable that are not stranded."""
    runs = WorkflowRun.objects.using(connection.alias)
    return runs.filter(UNCLAIMABLE, stranded=Literal(""), queue__in=queues).order_by("name")


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
    Wake waiting runs whose message, event, stream value or result is there after all.

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
    stream = StreamEntry.objects.filter(run_id=OuterRef("source_id"), key=OuterRef("key"))
    values = stream.filter(Q(offset__gte=OuterRef("from_offset")) | Q(closes=True))
    answered: set[str] = set()
    for kinds, there in (
        ([Kind.RECV], Exists(messages)),
        ([Kind.GET_EVENT], Exists(events)),
        ([Kind.STREAM], Exists(values) | Exists(ended)),
        ([Kind.RESULT, Kind.FIRST], Exists(ended)),
    ):
        found = waits.filter(kind__in=kinds).filter(there)
        answered |= set(found.values_list("run_id", flat=True)[:BATCH])
    lock(connection, answered)
    waiting = WorkflowRun.objects.using(connection.alias).filter(pk__in=answered, status=RunState.WAITING)
    return make_claimable(waiting) if answered else 0


def _some(connection: BaseDatabaseWrapper, runs: QuerySet[WorkflowRun]) -> list[str]:
    if connection.features.has_select_for_update_skip_locked:
        runs = runs.select_for_update(skip_locked=True)
    return list(runs.values_list("pk", flat=True)[:BATCH])
