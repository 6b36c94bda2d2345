"""A run on its way to its row, and its columns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from durable_workflows.models.runs import Turn
from durable_workflows.states import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """
    A run to be inserted.

    :param rank: the priority as it counts, :param sooner: and by how many seconds it makes up for arriving later.
    :param delay: seconds before which it is not started; it is then born DELAYED.
    :param deduplication_id: held until the run ends; see ``insert_unless_duplicate``.
    :param worker_id: with ``token``, the lease of a run that its starter executes itself; it is then born RUNNING.
    """

    id: str
    name: str
    inputs: str
    queue: str = "default"
    partition: str = ""
    app_version: str = ""
    priority: int = 0
    rank: int = 0
    sooner: float = 0.0
    delay: float = 0.0
    deduplication_id: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    user: str | None = None
    parent_id: str | None = None
    schedule_name: str | None = None
    timeout_seconds: float | None = None
    deadline: datetime | None = None
    max_recovery_attempts: int | None = None
    worker_id: str | None = None
    token: str | None = None
    session: str | None = None


# The columns that are written as they are, with their types on PostgreSQL.
PLAIN = {
    "id": "text", "name": "text", "inputs": "text", "queue": "text", "partition_key": "text",
    "app_version": "text", "priority": "int", "rank": "int", "deduplication_id": "text", "deduplication_lock": "text",
    "attributes": "text", "user": "text", "parent_id": "text", "schedule_name": "text", "timeout_seconds": "float8",
    "deadline": "timestamptz", "max_recovery_attempts": "int", "status": "text", "worker_id": "text", "lease_token": "text",
    "session": "text", "attempt": "int", "recovery_attempts": "int", "turn": "int",
}  # fmt: skip
TIMES = ("created_at", "updated_at", "queued_at", "due_at", "claimed_at", "started_at")


def times(run: NewRun, number: int) -> tuple[float | None, ...]:
    """The columns of ``TIMES`` as seconds from now."""
    begun = 0.0 if run.worker_id is not None else None
    return 0.0, 0.0, place(run, number), run.delay or None, begun, begun


def place(run: NewRun, number: int) -> float:
    """Since when a run waits for its turn, in seconds from now; of those inserted at once each a little later."""
    return number * 1e-6 - run.sooner


def values(run: NewRun, deadline: Any) -> list[Any]:
    """The columns of ``PLAIN``; the deadline as the statement takes it."""
    begun = run.worker_id is not None
    return [
        run.id, run.name, run.inputs, run.queue, run.partition, run.app_version, run.priority, run.rank,
        run.deduplication_id, run.deduplication_id,
        json.dumps(dict(run.attributes)) if run.attributes else None,
        run.user, run.parent_id, run.schedule_name, run.timeout_seconds, deadline, run.max_recovery_attempts,
        RunState.RUNNING if begun else RunState.DELAYED if run.delay else RunState.ENQUEUED,
        run.worker_id, run.token, run.session, int(begun), int(begun), (Turn.BEGUN if begun else Turn.NEW).value,
    ]  # fmt: skip
