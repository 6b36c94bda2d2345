"""A run's row as the value that users are told of."""

from __future__ import annotations

from typing import Any

from durable_workflows.models.runs import WorkflowRun
from durable_workflows.serializers import error_summary, load_error, loads
from durable_workflows.states import RunState
from durable_workflows.status import WorkflowStatus


def status_of(run: WorkflowRun) -> WorkflowStatus:
    """The row, decoded."""
    return WorkflowStatus(
        workflow_id=run.pk, status=run.status, name=run.name, class_name=run.class_name, config_name=run.config_name,
        queue_name=run.queue, input=_value(run.inputs, "arguments"), output=_value(run.output, "output"),
        error=_error(run.error), created_at=run.created_at, started_at=run.started_at, completed_at=run.completed_at,
        updated_at=run.updated_at, recovery_attempts=run.recovery_attempts, executor_id=run.worker_id,
        app_version=run.app_version, parent_workflow_id=run.parent_id, forked_from=run.forked_from_id,
        was_forked_from=run.was_forked_from, deduplication_id=run.deduplication_id, priority=run.priority or None,
        queue_partition_key=run.partition_key or None, timeout=run.timeout_seconds, deadline=run.deadline,
        delay_until=run.due_at if run.status == RunState.DELAYED else None, attributes=dict(run.attributes or {}),
        schedule_name=run.schedule_name, user=run.user,
    )  # fmt: skip


def _value(payload: str | None, what: str) -> Any:
    return None if payload is None else loads(payload, what=what)


def _error(payload: str | None) -> Any:
    if payload is None:
        return None
    error = load_error(payload)  # an exception may be falsy
    return ": ".join(error_summary(payload)[:2]) if error is None else error
