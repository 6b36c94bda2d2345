"""What an operator does to the rows of runs beside their state: delete them, describe them anew, put them off."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import signals
from durable_workflows.exceptions import InvalidUse
from durable_workflows.models.deletion import BATCH, delete_some
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.steering import require, with_children
from durable_workflows.models.waking import lock
from durable_workflows.states import TERMINAL, RunState

UNBEGUN = (RunState.DELAYED, RunState.ENQUEUED, RunState.PAUSED)


def delete(connection: BaseDatabaseWrapper, run_ids: Sequence[str], *, children: bool = False) -> int:
    """
    Delete finished runs with all that was recorded for them, all or none.

    :param children: also their children, and theirs, which must have finished too.
    :raises WorkflowNotFound: if an id is unknown, :raises InvalidUse: if one has not come to an end; nothing is deleted then.
    """
    family = locked_family(connection, run_ids, with_children if children else None)
    refuse_unfinished(connection, family, "deleted")
    for ids in batches(family):
        delete_some(WorkflowRun, connection.alias, ids)
    return len(family)


Relatives = Callable[[BaseDatabaseWrapper, set[str]], set[str]]


def locked_family(connection: BaseDatabaseWrapper, run_ids: Sequence[str], relatives: Relatives | None) -> set[str]:
    """
    Lock runs and their relatives, all in one order: two who lock overlapping families must not wait for each other.

    :param relatives: gives some runs with their relatives; None: there are none.
    :returns: all of them.
    :raises WorkflowNotFound: if an id is unknown.
    """
    asked = set(run_ids)
    family = relatives(connection, asked) if relatives else asked
    known = lock(connection, family)
    require(run_ids, known)
    while relatives and (born := relatives(connection, known) - family):  # before its parent was locked
        known, family = known | lock(connection, born), family | born
    return known


def refuse_unfinished(connection: BaseDatabaseWrapper, run_ids: Collection[str], deed: str) -> None:
    """
    See that each of these locked runs has come to an end.

    :param deed: what is to be done to them, for the error.
    :raises InvalidUse: if one has not.
    """
    for ids in batches(run_ids):
        found = WorkflowRun.objects.using(connection.alias).filter(pk__in=ids).exclude(status__in=TERMINAL).order_by("pk")
        if connection.features.has_select_for_update:  # a plain SELECT may look at an old snapshot
            found = found.select_for_update()
        for run_id, status in found.values_list("pk", "status")[:1]:
            raise InvalidUse(f"Run {run_id!r} is {status} and cannot be {deed}. Wait for its end, or cancel it first.")


def batches(ids: Collection[str]) -> Iterator[list[str]]:
    """Ids in their order, so many at once as one statement takes."""
    rest = iter(sorted(ids))
    while some := list(islice(rest, BATCH)):
        yield some


def describe(
    connection: BaseDatabaseWrapper, run_ids: Sequence[str], *, attributes: Mapping[str, Any] | None, merge: bool
) -> int:
    """
    Give runs other attributes; None: none.

    :param merge: keep those of the old ones that the new ones do not name.
    :raises WorkflowNotFound: if an id is unknown; nothing is changed then.
    """
    require(run_ids, lock(connection, run_ids))
    rows = WorkflowRun.objects.using(connection.alias)
    for run_id in set(run_ids):
        kept = _attributes(connection, run_id) if merge else {}
        described = {**kept, **(attributes or {})} or None
        rows.filter(pk=run_id).update(attributes=described, updated_at=DatabaseNow())
    return len(run_ids)


def _attributes(connection: BaseDatabaseWrapper, run_id: str) -> dict[str, Any]:
    found = WorkflowRun.objects.using(connection.alias).filter(pk=run_id)
    if connection.features.has_select_for_update:
        found = found.select_for_update()
    return dict(found.values_list("attributes", flat=True)[0] or {})


def put_off(connection: BaseDatabaseWrapper, run_ids: Sequence[str], *, seconds: float, until: datetime | None = None) -> int:
    """
    Have runs that have not begun start no sooner than at a moment; 0 seconds: as soon as their queue lets them.

    :param until: the same as a moment.
    :raises WorkflowNotFound: if an id is unknown, :raises InvalidUse: if one has begun; nothing is changed then.
    """
    require(run_ids, lock(connection, run_ids))
    rows = WorkflowRun.objects.using(connection.alias).filter(pk__in=run_ids)
    unbegun = rows.filter(status__in=UNBEGUN, attempt=0)
    due = until or (DatabaseNow(seconds) if seconds else None)
    if unbegun.update(due_at=due, updated_at=DatabaseNow()) < len(set(run_ids)):
        _refuse_begun(connection, run_ids)
    status = RunState.ENQUEUED if due is None else RunState.DELAYED
    unbegun.exclude(status=RunState.PAUSED).update(status=status)
    signals.at_commit(signals.claimable, connection.alias)
    return len(run_ids)


def _refuse_begun(connection: BaseDatabaseWrapper, run_ids: Sequence[str]) -> None:
    rows = WorkflowRun.objects.using(connection.alias).filter(pk__in=run_ids).order_by("pk")
    if connection.features.has_select_for_update:
        rows = rows.select_for_update()
    for run_id, status, attempt in rows.values_list("pk", "status", "attempt"):
        if status not in UNBEGUN or attempt:
            raise InvalidUse(
                f"Run {run_id!r} is {status}{' and has begun' if attempt else ''}, so its start cannot be put off. Only a run"
                " that was not started yet can; pause_workflow() holds one that was."
            )
