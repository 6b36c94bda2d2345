"""What is told of a run, of a step and of a schedule: frozen values, free of models."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


class Erased:
    """What a status shows where a value was erased by ``erase_payloads``. It is false, and there is one: ``ERASED``."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "<erased>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Erased)

    def __hash__(self) -> int:
        return hash(Erased)


ERASED = Erased()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowStatus:
    """
    A run as it stood when it was asked for. ``error`` is the recorded exception, or its text when not loadable.

    What cannot be read in this process stands as its stored text; what was erased, as ``ERASED``.
    """

    workflow_id: str
    status: str
    name: str
    class_name: str | None
    config_name: str | None
    queue_name: str
    input: Any
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
class StepInfo:
    """
    A recorded step of a run.

    :param step_id: its position, counted from 1 in each branch.
    :param branch: "" for the workflow's body.
    :param name: the step's, or ``durable.<function>``.
    :param output: what it returned; ``error``: the exception that it raised, or its text when not loadable.
    :param child_workflow_id: the run that it started or awaited.
    :param attempts: how often its body was executed until it was recorded.
    """

    step_id: int
    branch: str = ""
    name: str
    output: Any
    error: Any
    child_workflow_id: str | None
    started_at: datetime
    completed_at: datetime
    attempts: int


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
