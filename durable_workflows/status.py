"""What is told of a run, of a step and of a schedule: frozen values, free of models."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowStatus:
    """A run as it stood when it was asked for. ``error`` is the recorded exception, or its text when not loadable."""

    workflow_id: str
    status: str
    name: str
    class_name: str | None
    config_name: str | None
    queue_name: str
    input: dict[str, Any] | None
    output: Any
    error: Any
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    updated_at: datetime
    recovery_attempts: int
    executor_id: str | None
    app_version: str
    parent_workflow_id: str | None
    forked_from: str | None
    was_forked_from: bool
    deduplication_id: str | None
    priority: int | None
    queue_partition_key: str | None
    timeout: float | None
    deadline: datetime | None
    delay_until: datetime | None
    attributes: dict[str, Any] = field(default_factory=dict)
    schedule_name: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleStatus:
    """
    A schedule as it stood when it was asked for.

    ``status`` is "ACTIVE", "PAUSED", or "FINISHED" when no tick is left. ``note`` says why it paused itself, or what is
    wrong with its context, which is then None.
    """

    name: str
    workflow_name: str
    status: str
    cron: str | None
    interval_seconds: float | None
    timezone: str
    context: Any
    catch_up: str
    overlap: str
    jitter_seconds: float
    starts_at: datetime | None
    ends_at: datetime | None
    queue: str | None
    in_code: bool
    next_fire_at: datetime | None
    last_fire_at: datetime | None
    skipped: int
    note: str | None
    created_at: datetime
    updated_at: datetime
