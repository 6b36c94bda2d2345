"""
Pausing runs, and letting them go on.

What is enqueued, delayed or waiting is paused at once: it cannot be claimed, no clock and no waker wakes it, since both look
for other states. Nothing that comes meanwhile is lost: a message, an event or a child's end is a row, and a run that goes on
is enqueued and looks at its waits again. A deadline still ends it.

A running attempt is stopped by its fence: what it has not begun does not happen. What is under way cannot be stopped, and its
record still counts (see ``models.checkpoints``), or else whatever it did out there would be done again. For that the row keeps
the attempt's worker and token, until that record or the attempt's end takes them away. Whoever makes the run go on before
leaves it to that worker, if it is alive: then the attempt just goes on.

A paused run gives its place in its queue to others, unless the queue is one whose runs keep their place (``waiting="hold"``):
there nothing overtakes it. A run that is being cancelled is not paused: its undo steps are under way.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import signals
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.runs import Saga, WorkflowRun
from durable_workflows.models.steering import leave_to_workers, require
from durable_workflows.models.waking import lock
from durable_workflows.states import RunState


def pause(connection: BaseDatabaseWrapper, run_ids: Sequence[str]) -> int:
    """
    Pause unfinished runs; those that are being cancelled, and the finished, stay as they are.

    A delayed one keeps its moment. When a waiting one was to awake is told by its waits, and asked of them again.

    :raises WorkflowNotFound: if an id is unknown; nothing is changed then.
    """
    require(run_ids, lock(connection, run_ids))
    runs = WorkflowRun.objects.using(connection.alias).filter(pk__in=run_ids).exclude(saga=Saga.CANCELLED)
    paused = {"status": RunState.PAUSED, "updated_at": DatabaseNow()}
    free = {"worker_id": None, "lease_token": None}
    changed = runs.filter(status__in=[RunState.ENQUEUED, RunState.WAITING]).update(**paused, **free, due_at=None)
    changed += runs.filter(status=RunState.DELAYED).update(**paused, **free)
    changed += runs.filter(status=RunState.RUNNING).update(**paused, due_at=None)
    if changed:
        signals.at_commit(signals.claimable, connection.alias)  # a place in a queue may be free
    return changed


def unpause(connection: BaseDatabaseWrapper, run_ids: Sequence[str]) -> int:
    """
    Let paused runs go on: one whose call is still under way where it is, a delayed one at its moment, any other as soon as
    its queue lets it; others stay as they are.

    :raises WorkflowNotFound: if an id is unknown; nothing is changed then.
    """
    require(run_ids, lock(connection, run_ids))
    changed = leave_to_workers(connection, run_ids)
    paused = WorkflowRun.objects.using(connection.alias).filter(pk__in=run_ids, status=RunState.PAUSED)
    going_on = {"worker_id": None, "lease_token": None, "updated_at": DatabaseNow()}
    changed += paused.filter(due_at=None).update(status=RunState.ENQUEUED, **going_on)
    changed += paused.update(status=RunState.DELAYED, **going_on)
    if changed:
        signals.at_commit(signals.claimable, connection.alias)
    return changed
