"""What workers execute, for the eye: each has no more runs than threads, but for children called in their parents' threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.models.runs import LEASED, WorkflowRun

MOST = 2_000  # runs of all that are asked for


@dataclass(frozen=True, slots=True)
class Executed:
    """A run in a worker's hands."""

    id: str
    name: str
    status: str
    queue: str
    claimed_at: datetime | None


def executed_by(connection: BaseDatabaseWrapper, worker_ids: Sequence[str]) -> tuple[dict[str, list[Executed]], bool]:
    """The runs of each worker, the longest executed first, in one query; and whether these are all."""
    runs = WorkflowRun.objects.using(connection.alias).filter(LEASED, worker_id__in=worker_ids).order_by("claimed_at", "pk")
    rows = list(runs.values_list("worker_id", "pk", "name", "status", "queue", "claimed_at")[: MOST + 1])
    found: dict[str, list[Executed]] = {worker_id: [] for worker_id in worker_ids}
    for worker_id, *run in rows[:MOST]:
        found[str(worker_id)].append(Executed(*cast(Any, run)))
    return found, len(rows) <= MOST
