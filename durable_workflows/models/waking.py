"""
No lost wake-ups: how a waiter goes to sleep and how a waker finds it.

"Update the waiter if it is WAITING" loses wake-ups under READ COMMITTED: it matches no row while the waiter has not
committed. So each wait names a *source* row, and both sides lock it first:

* the waiter locks the source, looks whether what it wants is there, and if not inserts its ``Wait``, becomes WAITING
  and commits;
* the waker locks the source, writes what is waited for, and then, in a new statement, finds the ``Wait`` rows.

Whoever comes second sees what the first has committed. The lock is an UPDATE that changes nothing and names the primary
key alone: under REPEATABLE READ a SELECT FOR UPDATE keeps the snapshot it took before it blocked, whereas an UPDATE of a
row changed since fails (PostgreSQL, and the transaction is repeated) or sees the present (MySQL). Sources are locked
before waiters, several in the order of their ids. A slow sweep (``models.sweeps``) re-checks all the same, and serves
the waits on runs that did not exist yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce, Least

from durable_workflows import signals
from durable_workflows.exceptions import LeaseLost
from durable_workflows.models import dialects
from durable_workflows.models.claims import Claim
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.prepared import Params
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.steps import Kind
from durable_workflows.models.waits import Wait
from durable_workflows.states import RunState

RUNS, WAITS = WorkflowRun._meta.db_table, Wait._meta.db_table
Begun = AbstractSet[tuple[str, str | None, str]]  # kinds, sources and keys of waits


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitFor:
    """
    One thing to wait for.

    :param seconds: from now until the wait is over in any case; None: for ever.
    :param until: the same as a moment.
    :param debounce: seconds by which the wake-up is put off.
    :param from_offset: of a stream: the first value that is waited for.
    :param decisive: whether this ends the waiting; what does not only wakes the run, and may have come already.
    """

    kind: str
    position: int
    branch: str = ""
    source_id: str | None = None
    key: str = ""
    seconds: float | None = None
    until: datetime | None = None
    debounce: float = 0.0
    decisive: bool = True
    from_offset: int = 0

    @property
    def what(self) -> tuple[str, str | None, str]:
        return self.kind, self.source_id, self.key


def lock(connection: BaseDatabaseWrapper, run_ids: Iterable[str]) -> set[str]:
    """
    Lock the rows of these runs, in the order of their ids, until the transaction ends.

    :returns: the ids that exist.
    """
    sql = f"UPDATE {RUNS} SET generation = generation WHERE id = %s"
    return {run_id for run_id in sorted(set(run_ids)) if dialects.run(connection, sql, [run_id]).rowcount}


def await_results_of(connection: BaseDatabaseWrapper, run_ids: Iterable[str]) -> set[str]:
    """Lock runs, and have them look for waiters when they end; see ``models.outcomes``."""
    sql = f"UPDATE {RUNS} SET awaited = %s WHERE id = %s"
    return {run_id for run_id in sorted(set(run_ids)) if dialects.run(connection, sql, [True, run_id]).rowcount}


def suspend(
    connection: BaseDatabaseWrapper,
    claim: Claim,
    waits: Sequence[WaitFor],
    *,
    fan_in: int = 0,
    begun: Begun = frozenset(),
    undoing: bool = False,
) -> None:
    """
    Give back the lease and wait; the caller holds the sources' locks and has found nothing.

    :param begun: kinds, sources and keys of those that an earlier attempt has begun: they go on from then.
    :param undoing: whether an undo step waits, as it may in a run that is being cancelled.
    :raises LeaseLost: if the run is no longer this attempt's.
    """
    for wait in waits:
        if wait.what not in begun:
            _insert(connection, claim, wait)
    if given_up := begun - {wait.what for wait in waits}:
        _forget_some(connection, claim, waits[0], given_up)
    now, now_params = dialects.moment(connection)
    due, due_params = _due_of_begun(connection, claim, waits[0]) if begun else _due(connection, waits[0])
    cleared, cleared_params = _cleared(claim, waits[0])
    status = "IN ('RUNNING', 'CANCELLING')" if undoing else "= 'RUNNING'"
    sql = (
        f"UPDATE {RUNS} SET status = 'WAITING', worker_id = NULL, lease_token = NULL, fan_in = %s, updated_at = {now},"
        f" due_at = {due}{cleared} WHERE id = %s AND status {status} AND lease_token = %s"
    )
    params = [fan_in, *now_params, *due_params, *cleared_params, claim.id, claim.token]
    if not dialects.run(connection, sql, params).rowcount:
        raise LeaseLost(claim.id)


def _cleared(claim: Claim, wait: WaitFor) -> tuple[str, Params]:
    """A run that has recorded something since its worker was lost, and lives, is no longer suspected of having killed it."""
    if claim.recovery_attempts < 2:
        return "", ()
    recorded = wait.position - 1
    further = "progress_mark < %s"
    sql = f", suspect = (suspect AND NOT {further}), stalled = CASE WHEN {further} THEN 0 ELSE stalled END"
    return sql, (recorded, recorded)


def _insert(connection: BaseDatabaseWrapper, claim: Claim, wait: WaitFor) -> None:
    due, due_params = _due(connection, wait)
    now, now_params = dialects.moment(connection)
    sql = (
        f"INSERT INTO {WAITS} (run_id, generation, branch, position, kind, source_id, {connection.ops.quote_name('key')},"
        f" debounce, from_offset, due_at, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, {due}, {now})"
    )
    where = (claim.id, claim.generation, wait.branch, wait.position)
    what = (*wait.what, wait.debounce, wait.from_offset)
    dialects.run(connection, sql, [*where, *what, *due_params, *now_params])


def _forget_some(connection: BaseDatabaseWrapper, claim: Claim, place: WaitFor, begun: Begun) -> None:
    """What only helped to wake the run in good time and has done so, or is taken over by another."""
    waits = Wait.objects.using(connection.alias).filter(run_id=claim.id, generation=claim.generation)
    for kind, source_id, key in begun:
        waits.filter(branch=place.branch, position=place.position, kind=kind, source_id=source_id, key=key).delete()


def _due(connection: BaseDatabaseWrapper, wait: WaitFor) -> tuple[str, Params]:
    if wait.until is not None:
        return "%s", [dialects.write_datetime(connection, wait.until)]
    return ("NULL", ()) if wait.seconds is None else dialects.moment(connection, wait.seconds)


def _due_of_begun(connection: BaseDatabaseWrapper, claim: Claim, wait: WaitFor) -> tuple[str, Params]:
    """When the waits of a place end, counted from when they were begun."""
    place = Wait.objects.using(connection.alias).filter(run_id=claim.id, generation=claim.generation, branch=wait.branch)
    due = place.filter(position=wait.position, due_at__isnull=False).order_by("due_at").values_list("due_at", flat=True).first()
    return "%s", [dialects.write_datetime(connection, due)]


def forget(connection: BaseDatabaseWrapper, claim: Claim, branch: str, position: int) -> None:
    """Remove what was waited for at a position that is being recorded."""
    waits = Wait.objects.using(connection.alias).filter(run_id=claim.id, generation=claim.generation)
    waits.filter(branch=branch, position=position).delete()


def wake(
    connection: BaseDatabaseWrapper, kind: str, source_ids: Sequence[str], key: str = "", *, offset: int | None = None
) -> int:
    """
    Wake the runs that wait for this; the caller holds the sources' locks and has written what is waited for.

    :param offset: of a stream: the value that was written; None: it has come to its end.
    :returns: how many were woken at once or put on the clock.
    """
    waits = _waits_for(connection, kind, source_ids, key, offset)
    if connection.vendor == "mysql":
        # Under REPEATABLE READ a plain SELECT there would look at the transaction's old snapshot.
        waits = waits.select_for_update()
    by_debounce: defaultdict[float, set[str]] = defaultdict(set)
    for run_id, debounce in waits.values_list("run_id", "debounce"):
        by_debounce[debounce].add(run_id)
    woken = sum(_wake(connection, ids, debounce) for debounce, ids in by_debounce.items())
    if woken:
        signals.at_commit(signals.claimable, connection.alias)
    return woken


def _waits_for(
    connection: BaseDatabaseWrapper, kind: str, source_ids: Sequence[str], key: str, offset: int | None
) -> QuerySet[Wait]:
    waits = Wait.objects.using(connection.alias).filter(source_id__in=source_ids)
    if kind == Kind.RESULT:  # the end of a run is the end of its streams, too
        return waits.filter(kind__in=[Kind.RESULT, Kind.FIRST, Kind.STREAM])
    waits = waits.filter(kind=kind, key=key)
    return waits if offset is None else waits.filter(from_offset__lte=offset)


def wake_free(connection: BaseDatabaseWrapper, kind: str, source_id: str, key: str, *, offset: int) -> bool:
    """
    The same for a transaction beside that of the caller's own step, which may hold the rows of those who wait.

    :returns: whether all of them were woken; the others are locked, and to be woken when that step's transaction ends.
    """
    waiting = list(_waits_for(connection, kind, [source_id], key, offset).values_list("run_id", flat=True))
    if not waiting:
        return True
    asleep = WorkflowRun.objects.using(connection.alias).filter(pk__in=waiting, status=RunState.WAITING)
    skips = connection.features.has_select_for_update_skip_locked
    free = list(asleep.select_for_update(skip_locked=skips).values_list("pk", flat=True))
    if free and make_claimable(asleep.filter(pk__in=free)):
        signals.at_commit(signals.claimable, connection.alias)
    return not asleep.exists()


def _wake(connection: BaseDatabaseWrapper, run_ids: set[str], debounce: float) -> int:
    asleep = WorkflowRun.objects.using(connection.alias).filter(pk__in=run_ids, status=RunState.WAITING)
    if not debounce:
        return make_claimable(asleep)
    soon = DatabaseNow(debounce)
    return asleep.update(due_at=Least(Coalesce(F("due_at"), soon), soon), updated_at=DatabaseNow())


def make_claimable(waiting: QuerySet[WorkflowRun]) -> int:
    """Turn WAITING or DELAYED runs into enqueued ones, which go before what never started."""
    return waiting.update(status=RunState.ENQUEUED, due_at=None, updated_at=DatabaseNow())
