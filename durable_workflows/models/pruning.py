"""
Finished runs go once they are older than they are to be kept; see ``retention``.

They are found by the index of what has ended, outcome by outcome and the oldest first: where nothing is old enough nothing
is read, however many runs there are. Some that are old enough for others are kept: their workflow's are kept for longer, or
their parent may yet ask for their result. A sweep remembers where it stopped, so that it does not look at those again in
each batch, and comes back to them when it begins anew.

A parent may ask until it has succeeded: an unfinished one goes on, a failed, cancelled or dead one may be let go on by an
operator. So the children of such a one stay with it, and go after it. A fork has its parent's history, and may ask for the
same children; and whoever waits for a run by its id asks for it as well.

A batch is one short transaction. It takes the rows that nobody else has locked, and looks again at each under its lock; so
any number may prune at once, a run that is resumed at that moment stays, and nobody waits for a pruner. Nor does a pruner
wait for long: rows of other apps that go along with a run, by their own ``on_delete``, may be somebody's who takes his time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import DatabaseError, IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import ProtectedError, Q, QuerySet, RestrictedError

from durable_workflows.models.deletion import delete_locked
from durable_workflows.models.reading import database_now
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.steps import Kind
from durable_workflows.models.transactions import impatient_transaction, is_lock_error
from durable_workflows.models.waits import Wait
from durable_workflows.retention import ENDS, Policy
from durable_workflows.states import UNFINISHED, RunState

BATCH = 200  # runs a transaction
LOOK = 500  # rows that are looked at to find them
PATIENCE = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class _Ended:
    """A run that may be old enough."""

    id: str
    name: str
    completed_at: datetime
    parent_id: str | None
    forked_from_id: str | None


class Sweep:
    """
    One way through the finished runs.

    :param policy: which are to go.
    :param dry_run: only count them.
    """

    def __init__(self, policy: Policy, *, dry_run: bool = False) -> None:
        self._policy = policy
        self._dry_run = dry_run
        self._left: list[RunState] = [RunState(status) for status in ENDS if policy.shortest(RunState(status)) is not None]
        self._after: _Ended | None = None

    @property
    def over(self) -> bool:
        """Whether all has been looked at."""
        return not self._left

    def batch(self, connection: BaseDatabaseWrapper, most: int = BATCH) -> int:
        """Look at some, and delete those that are to go, ``most`` of them; returns how many."""
        if self.over:
            return 0
        status, now = self._left[0], database_now(connection)
        seen = self._look(connection, status, now)
        due = [run for run in seen if self._is_due(run, status, now)]
        due = _without_askers(connection, due)[: min(most, BATCH)]
        if len(due) == min(most, BATCH):  # there may be more behind it
            self._after = due[-1]
        elif len(seen) == LOOK:
            self._after = seen[-1]
        else:
            self._after = None
            del self._left[0]
        return len(due) if self._dry_run else _delete(connection, status, [run.id for run in due], now)

    def _look(self, connection: BaseDatabaseWrapper, status: RunState, now: datetime) -> list[_Ended]:
        age = self._policy.shortest(status)
        assert age is not None
        runs = WorkflowRun.objects.using(connection.alias).filter(status=status, completed_at__lt=now - age)
        if after := self._after:
            # The second condition follows from the first, and is the one by which the index is searched.
            beyond = Q(completed_at__gt=after.completed_at) | Q(completed_at=after.completed_at, pk__gt=after.id)
            runs = runs.filter(beyond, completed_at__gte=after.completed_at)
        rows: QuerySet[WorkflowRun, Any] = runs.order_by("completed_at", "pk").values_list(
            "pk", "name", "completed_at", "parent_id", "forked_from_id"
        )
        return [_Ended(*row) for row in rows[:LOOK]]

    def _is_due(self, run: _Ended, status: RunState, now: datetime) -> bool:
        age = self._policy.age(run.name, status)
        return age is not None and run.completed_at < now - age


def prune(connection: BaseDatabaseWrapper, policy: Policy, *, limit: int | None = None, dry_run: bool = False) -> int:
    """Delete all that is to go, or ``limit`` runs of it, in batches; returns how many."""
    total = found = _swept(connection, Sweep(policy, dry_run=dry_run), limit)
    while found and not dry_run and total != limit:  # those whose parents are gone now
        found = _swept(connection, Sweep(policy), None if limit is None else limit - total)
        total += found
    return total


def _swept(connection: BaseDatabaseWrapper, sweep: Sweep, limit: int | None) -> int:
    total = 0
    while not sweep.over and total != limit:
        total += sweep.batch(connection, BATCH if limit is None else limit - total)
    return total


def _without_askers(connection: BaseDatabaseWrapper, runs: Sequence[_Ended]) -> list[_Ended]:
    """
    Those which nobody waits for, and whose parent, if it is there, has succeeded, and all forks of it.

    Forks of forks are found by those between them, which therefore stay, too.
    """
    if not runs:
        return []
    parents = {run.parent_id for run in runs if run.parent_id is not None}
    asking = WorkflowRun.objects.using(connection.alias).filter(pk__in=parents).exclude(status=RunState.SUCCESS)
    may_ask = set(asking.values_list("pk", flat=True)) if parents else set()
    forked = _with_asking_forks(connection, parents | {run.id for run in runs if run.forked_from_id is not None})
    awaited = _awaited(connection, [run.id for run in runs])
    kept = {run.id for run in runs if run.forked_from_id is not None and run.id in forked} | awaited
    return [run for run in runs if run.parent_id not in may_ask | forked and run.id not in kept]


def _with_asking_forks(connection: BaseDatabaseWrapper, run_ids: set[str]) -> set[str]:
    """Those of which a fork, or a fork of a fork, has not succeeded, and forks between them."""
    sources: dict[str, str] = {}
    asking: set[str] = set()
    level = run_ids
    while level:
        forks = WorkflowRun.objects.using(connection.alias).filter(forked_from__in=level)
        found = [(pk, source or "", status) for pk, source, status in forks.values_list("pk", "forked_from_id", "status")]
        asking |= {source for _, source, status in found if status != RunState.SUCCESS}
        level = {pk for pk, *_ in found} - {*sources}
        sources |= {pk: source for pk, source, _ in found}
    for run_id in [*asking]:
        above = sources.get(run_id)
        while above is not None and above not in asking:
            asking.add(above)
            above = sources.get(above)
    return asking


def _awaited(connection: BaseDatabaseWrapper, run_ids: Sequence[str]) -> set[str]:
    """Those that an unfinished run waits for: only these, since two that have ended may have waited for each other."""
    # All kinds, since the index begins with them.
    waits = Wait.objects.using(connection.alias).filter(kind__in=Kind.values, source_id__in=run_ids)
    return {wait for wait in waits.filter(run__status__in=UNFINISHED).values_list("source_id", flat=True) if wait}


def _delete(connection: BaseDatabaseWrapper, status: RunState, run_ids: Sequence[str], now: datetime) -> int:
    """Delete what is still as it was seen; a run that rows of another app hold on to stays, and holds up no other."""
    if not run_ids:
        return 0
    try:
        return _deleted(connection, status, run_ids, now)
    except (ProtectedError, RestrictedError, IntegrityError):
        if len(run_ids) == 1:
            return 0
        middle = len(run_ids) // 2
        return sum(_delete(connection, status, half, now) for half in (run_ids[:middle], run_ids[middle:]))
    except DatabaseError as error:
        if not is_lock_error(error):
            raise
        return 0  # somebody is at one of them; the next sweep comes by


def _deleted(connection: BaseDatabaseWrapper, status: RunState, run_ids: Sequence[str], now: datetime) -> int:
    runs = WorkflowRun.objects.using(connection.alias).filter(pk__in=run_ids, status=status, completed_at__lt=now)
    if connection.features.has_select_for_update_skip_locked:
        runs = runs.select_for_update(skip_locked=True)
    with impatient_transaction(connection, PATIENCE):
        locked = list(runs.values_list("pk", flat=True))
        delete_locked(WorkflowRun, connection.alias, locked)
    return len(locked)
