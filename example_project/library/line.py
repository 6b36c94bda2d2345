"""The queue as the library's page shows it: how long its line is, and what is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from durable_workflows.models import QueueState, WorkflowRun
from example_project.library.workflows import queue


@dataclass(frozen=True, slots=True)
class Line:
    """
    The texts that wait, and those that are being indexed.

    :param at_once: how many at most; None for any number.
    :param rate: how many are started in which time; None for any number.
    """

    waiting: int
    running: int
    at_once: int | None
    rate: dict[str, Any] | None
    paused: bool


def line() -> Line:
    """How it stands now, an operator's overrides included."""
    runs = WorkflowRun.objects.for_queue(queue.name)
    row = QueueState.objects.filter(pk=queue.name).first()
    overrides = row.overrides if row and isinstance(row.overrides, dict) else {}
    limits = {**queue.limits.as_json(), **overrides}
    return Line(
        waiting=runs.enqueued().count(), running=runs.running().count(), at_once=limits.get("concurrency"),
        rate=limits.get("limiter"), paused=bool(row and row.paused),
    )  # fmt: skip
