"""What an attempt, a waiter and a handle read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Exists, OuterRef, Q

from durable_workflows import clock
from durable_workflows.exceptions import WorkflowNotFound
from durable_workflows.models import dialects
from durable_workflows.models.claims import Claim
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.steps import Kind, StepAttempt, StepRun
from durable_workflows.models.waits import Wait
from durable_workflows.states import TERMINAL, UNFINISHED, RunState


@dataclass(frozen=True, slots=True)
class Recorded:
    """A position of a history."""

    name: str
    kind: str
    output: str | None
    error: str | None
    child_id: str | None


def history(connection: BaseDatabaseWrapper, claim: Claim) -> dict[tuple[str, int], Recorded]:
    """All that is recorded of a run, in one query."""
    rows = StepRun.objects.using(connection.alias).filter(run_id=claim.id, generation=claim.generation)
    columns = ("branch", "position", "name", "kind", "output", "error", "child_id")
    return {(branch, position): Recorded(*rest) for branch, position, *rest in rows.values_list(*columns).iterator(2000)}


@dataclass(frozen=True, slots=True)
class Waiting:
    """
    A wait that was begun before.

    :param left: how many seconds are left of it, by the database's clock; None: it has no end.
    :param since: how many seconds ago it was begun.
    :param begun: the kinds, sources and keys of its rows.
    """

    kind: str
    left: float | None
    since: float
    begun: frozenset[tuple[str, str | None, str]]


def waits(connection: BaseDatabaseWrapper, claim: Claim) -> dict[tuple[str, int], Waiting]:
    """What a run has begun to wait for and not yet recorded."""
    rows = Wait.objects.using(connection.alias).filter(run_id=claim.id, generation=claim.generation).order_by("pk")
    columns = ("branch", "position", "kind", "source_id", "key", "due_at", "created_at", "now")
    waiting: dict[tuple[str, int], Waiting] = {}
    for branch, position, kind, source_id, key, due, created, now in rows.annotate(now=DatabaseNow()).values_list(*columns):
        place, left = (branch, position), None if due is None else (due - now).total_seconds()
        known = waiting.get(place, Waiting(kind, left, (now - created).total_seconds(), frozenset()))
        waiting[place] = replace(known, begun=known.begun | {(kind, source_id, key)})
    return waiting


def failures(connection: BaseDatabaseWrapper, claim: Claim, branch: str, position: int) -> list[StepAttempt]:
    """The failed attempts of a step, oldest first."""
    rows = StepAttempt.objects.using(connection.alias).filter(run_id=claim.id, generation=claim.generation)
    return list(rows.filter(branch=branch, position=position).order_by("attempt"))


def steps(connection: BaseDatabaseWrapper, run_id: str, limit: int | None, offset: int) -> list[StepRun]:
    """
    The recorded steps of a run's present history, those of the body first.

    :raises WorkflowNotFound: if there is no such run.
    """
    generation = WorkflowRun.objects.using(connection.alias).filter(pk=run_id).values_list("generation", flat=True).first()
    if generation is None:
        raise WorkflowNotFound(run_id)
    rows = StepRun.objects.using(connection.alias).filter(run_id=run_id, generation=generation)
    return list(rows.order_by("branch", "position")[offset : None if limit is None else offset + limit])


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run stands, for whoever awaits it."""

    status: str
    output: str | None
    error: str | None

    @property
    def final(self) -> bool:
        return self.status in TERMINAL


def outcomes(connection: BaseDatabaseWrapper, run_ids: Sequence[str]) -> dict[str, Outcome]:
    """How these runs stand; unknown ones are left out."""
    rows = WorkflowRun.objects.using(connection.alias).filter(pk__in=run_ids)
    columns = rows.values_list("pk", "status", "output", "error")
    return {pk: Outcome(status, output, error) for pk, status, output, error in columns}


@dataclass(frozen=True, slots=True)
class UnderWay:
    """
    The children of a run beside an awaited one that may end by themselves.

    :param others: how many.
    :param last: the one that was started last.
    """

    others: int
    last: str | None


def children_under_way(connection: BaseDatabaseWrapper, run_id: str, awaited: str) -> UnderWay | None:
    """
    Which other children of a run are under way; None if the awaited run is no child of it.

    Those that are paused, or wait for a message, an event or a stream do not count: somebody must tell them something first.
    """
    told = Wait.objects.filter(run_id=OuterRef("pk"), kind__in=[Kind.RECV, Kind.GET_EVENT, Kind.STREAM])
    children = WorkflowRun.objects.using(connection.alias).filter(parent_id=run_id, status__in=UNFINISHED)
    under_way = children.exclude(pk=awaited).exclude(status=RunState.PAUSED).filter(~Q(status=RunState.WAITING) | ~Exists(told))
    if not children.filter(pk=awaited).exists():
        return None
    last = under_way.order_by("-created_at").values_list("pk", flat=True).first()
    return UnderWay(under_way.count() if last else 0, last)


def owner(connection: BaseDatabaseWrapper, run_id: str) -> tuple[str, str | None] | None:
    """Status and lease token of a run, for an attempt that was refused at the fence."""
    return WorkflowRun.objects.using(connection.alias).filter(pk=run_id).values_list("status", "lease_token").first()


def holds(connection: BaseDatabaseWrapper, run_id: str, token: str) -> bool:
    """Whether a lease that was written in a statement whose reply was lost is there."""
    return owner(connection, run_id) == (RunState.RUNNING, token)


def may_undo(connection: BaseDatabaseWrapper, run_id: str, token: str) -> bool:
    """Whether a lease is there under which undo steps may run."""
    return owner(connection, run_id) in ((RunState.RUNNING, token), (RunState.CANCELLING, token))


def attributes(connection: BaseDatabaseWrapper, run_id: str) -> dict[str, Any]:
    """The attributes that a run was started with."""
    stored = WorkflowRun.objects.using(connection.alias).filter(pk=run_id).values_list("attributes", flat=True).first()
    return dict(stored or {})


def row(run_id: str) -> WorkflowRun:
    """
    A run's row.

    :raises WorkflowNotFound: if there is none.
    """
    found = WorkflowRun.objects.using(dialects.connection().alias).filter(pk=run_id).first()
    if found is None:
        raise WorkflowNotFound(run_id)
    return found


def database_now(connection: BaseDatabaseWrapper) -> datetime:
    """The present by the clock that judges leases and due times."""
    sql, params = dialects.moment(connection)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sql}", list(params))
        (value,) = cursor.fetchone()
    return dialects.read_datetime(connection, value) or clock.real_now()
