"""From a tick of a schedule to the run that it starts: the same one, by its id, for whoever starts it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.engine.starting import new_run
from durable_workflows.exceptions import WorkflowConflict
from durable_workflows.models import starts
from durable_workflows.models.newruns import NewRun
from durable_workflows.models.schedules import Schedule
from durable_workflows.options import ID_MAX_LENGTH, StartOptions
from durable_workflows.serializers import dumps, dumps_call


def tick_id(name: str, tick: datetime) -> str:
    """The id of a tick's run: the same for every worker."""
    return _id(name, tick.isoformat())


def trigger_id(name: str, moment: datetime) -> str:
    """The id of a run that was triggered at a moment."""
    return _id(name, f"trigger-{moment.isoformat()}")


def _id(name: str, what: str) -> str:
    full = f"sched-{name}-{what}"
    if len(full) <= ID_MAX_LENGTH:
        return full
    return f"sched-{hashlib.sha256(name.encode()).hexdigest()}-{what}"


def run_of(row: Schedule, run_id: str, scheduled: datetime, actual: datetime) -> NewRun:
    """
    A run of a schedule, as ``f(scheduled, context)``, or ``f(scheduled, actual)`` for one that code declares.

    The context is passed on as it is stored: whoever fires a tick need not know its types.
    """
    what = f"arguments of {row.workflow_name!r}"
    second = (row.context or "null") if row.passes_context else dumps(actual, what=what)
    run = new_run(row.workflow_name, ((), {}), StartOptions(workflow_id=run_id, queue=row.queue))
    inputs = dumps_call(dumps(scheduled, what=what), second, what=f"context of schedule {row.name!r}")
    return replace(run, inputs=inputs, schedule_name=row.name)


def start(connection: BaseDatabaseWrapper, runs: Sequence[NewRun]) -> None:
    """
    Insert the runs of ticks; one whose id is taken has been started before.

    By another workflow, perhaps, that this schedule, or one of the same name, used to start: a tick is run once.
    """
    try:
        starts.insert(connection, runs)
    except WorkflowConflict:
        pass  # raised when all the others are inserted


def tick_runs(row: Schedule, ticks: Sequence[datetime], now: Any) -> list[NewRun]:
    """The runs of some ticks that are started now."""
    return [run_of(row, tick_id(row.name, tick), tick, now) for tick in ticks]
