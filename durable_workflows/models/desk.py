"""What an operator does to the rows of queues: add one, change what holds, remove one that nobody needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import signals
from durable_workflows.models import rules
from durable_workflows.models.queues import QueueStart, QueueState
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.workers import Worker
from durable_workflows.states import UNFINISHED


def add(connection: BaseDatabaseWrapper, name: str, *, paused: bool, overrides: Mapping[str, Any] | None) -> None:
    """Write the row of a queue that no code need declare; one that came to be there meanwhile is changed."""
    rules.declare(connection, {name: None})
    rules.change(connection, [name], paused=paused, overrides=overrides)


def turn_over(connection: BaseDatabaseWrapper, names: list[str], *, paused: bool) -> list[str]:
    """Pause queues, or let them go on; returns those that were not so already."""
    rows = QueueState.objects.using(connection.alias).filter(pk__in=names).exclude(paused=paused)
    changed = sorted(rows.select_for_update().values_list("pk", flat=True))
    rules.change(connection, changed, paused=paused)
    return changed


def has_unfinished_runs(connection: BaseDatabaseWrapper, name: str) -> bool:
    """Whether a run of a queue has not ended. No index serves this, so it is asked before a deletion, and for no list."""
    return WorkflowRun.objects.using(connection.alias).filter(queue=name, status__in=UNFINISHED).exists()


def is_served(connection: BaseDatabaseWrapper, name: str) -> bool:
    """Whether a worker that has not ended serves a queue: it read the limits from the row, and declared them once."""
    workers = Worker.objects.using(connection.alias).filter(stopped_at=None, lost_at=None, direct=False)
    return any(name in (queues or ()) for queues in workers.values_list("queues", flat=True))


def remove(connection: BaseDatabaseWrapper, name: str) -> None:
    """Delete the row of a queue, and what was noted of its starts."""
    QueueStart.objects.using(connection.alias).filter(queue=name).delete()
    QueueState.objects.using(connection.alias).filter(pk=name).delete()
    signals.at_commit(signals.claimable, connection.alias)
