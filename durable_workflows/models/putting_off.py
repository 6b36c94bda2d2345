"""
Debounced runs: a delayed run that later calls put off, with other arguments.

It is found by its deduplication id. Whoever puts it off locks it first, by an UPDATE that changes nothing, as ``models.waking``
explains, and then looks whether it still waits; so a call either is in time, or finds that the run has begun. Then it takes
the id away from that one, and makes a new run.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, F
from django.db.models.functions import Least

from durable_workflows.exceptions import Deduplicated
from durable_workflows.models import dialects, starts
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.newruns import NewRun
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.states import RunState

RUNS = WorkflowRun._meta.db_table


def put_off(connection: BaseDatabaseWrapper, run: NewRun, period: float, timeout: float | None) -> str:
    """
    Put the run that waits under this id off, with these inputs, or insert it; the caller's transaction is open.

    :param period: seconds from now until it starts, :param timeout: and from its first call at most.
    :returns: the id of the run that stands for this call.
    :raises Deduplicated: if a run of another workflow has the id.
    """
    for _ in range(starts.ENOUGH):
        waiting = _locked(connection, run)
        if waiting is None:
            if starts.insert(connection, [run]) or starts.is_there(connection, run.id):  # the same call, made again
                return run.id
            continue
        run_id, name, status, attempt = waiting
        if name != run.name:
            raise Deduplicated(run_id, run.queue, run.deduplication_id or "")
        # One whose worker was lost is delayed too, and has begun. A paused one is put off as it is.
        if status in (RunState.DELAYED, RunState.PAUSED) and not attempt:
            _move(connection, run_id, run.inputs, period, timeout)
            return run_id
        if run_id == run.id:
            return run_id
        WorkflowRun.objects.using(connection.alias).filter(pk=run_id).update(deduplication_lock=None)
    raise OperationalError(f"Runs that hold the deduplication id {run.deduplication_id!r} came and went. Try again.")


def _locked(connection: BaseDatabaseWrapper, run: NewRun) -> tuple[str, str, str, int] | None:
    held = "WHERE queue = %s AND deduplication_lock = %s"
    holder = [run.queue, run.deduplication_id]
    if not dialects.run(connection, f"UPDATE {RUNS} SET generation = generation {held}", holder).rowcount:
        return None
    sql = f"SELECT id, name, status, attempt FROM {RUNS} {held}{dialects.past_the_snapshot(connection)}"
    row = dialects.run(connection, sql, holder).fetchone()
    return None if row is None else (row[0], row[1], row[2], int(row[3]))


def _move(connection: BaseDatabaseWrapper, run_id: str, inputs: str, period: float, timeout: float | None) -> None:
    waiting = WorkflowRun.objects.using(connection.alias).filter(pk=run_id)
    due = DatabaseNow(period)
    latest = F("created_at") + timedelta(seconds=timeout) if timeout is not None else due
    waiting.update(inputs=inputs, due_at=Least(due, latest, output_field=DateTimeField()), updated_at=DatabaseNow())
