"""What only rehearsals do to rows: move what is due, and lose a run's worker; behind ``durable_workflows.testing``."""

from __future__ import annotations

from datetime import timedelta

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F

from durable_workflows import signals
from durable_workflows.exceptions import WorkflowNotFound
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.queues import QueueStart
from durable_workflows.models.runs import Stranded, WorkflowRun
from durable_workflows.models.schedules import Schedule
from durable_workflows.models.waits import Wait
from durable_workflows.states import RunState


def bring_forward(connection: BaseDatabaseWrapper, by: timedelta) -> None:
    """
    Let everything that waits for a moment wait ``by`` less; one statement for each table, NULL stays NULL.

    Leases are not touched: a worker is alive now, whatever the time is said to be.
    """
    runs = WorkflowRun.objects.using(connection.alias)
    runs.exclude(due_at=None, deadline=None).update(due_at=F("due_at") - by, deadline=F("deadline") - by)
    Wait.objects.using(connection.alias).exclude(due_at=None).update(due_at=F("due_at") - by)
    QueueStart.objects.using(connection.alias).update(at=F("at") - by)
    # The dates and the anchor go along, so that the ticks of an interval stay where they are among them.
    moments = ("next_fire_at", "next_tick_at", "starts_at", "ends_at", "created_at")
    Schedule.objects.using(connection.alias).update(**{name: F(name) - by for name in moments})
    signals.at_commit(signals.claimable, connection.alias)


def lose(connection: BaseDatabaseWrapper, run_id: str) -> None:
    """
    Leave of a run what its last checkpoint left: its lease is void, its outcome gone, and anyone may claim it.

    :raises WorkflowNotFound: if there is no such run.
    """
    found = WorkflowRun.objects.using(connection.alias).filter(pk=run_id).update(
        status=RunState.ENQUEUED, worker_id=None, lease_token=None, session=None, due_at=None, output=None, error=None,
        completed_at=None, stranded=Stranded.NO, suspect=False, note=None, turn=0, updated_at=DatabaseNow(),
        recovery_attempts=F("recovery_attempts") + 1,
    )  # fmt: skip
    if not found:
        raise WorkflowNotFound(run_id)
    signals.at_commit(signals.claimable, connection.alias)
