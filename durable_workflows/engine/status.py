"""Rows of runs and steps as the values that users are told of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import Error as DjangoDatabaseError

from durable_workflows.exceptions import PayloadErased
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.steps import StepRun
from durable_workflows.serializers import error_summary, load_error, loads, rows_in
from durable_workflows.states import RunState
from durable_workflows.status import ERASED, StepInfo, WorkflowStatus

Read = Mapping[Any, Any]  # rows that model instances in payloads are read from


def statuses_of(runs: Sequence[WorkflowRun], *, load_input: bool, load_output: bool) -> list[WorkflowStatus]:
    """The rows, decoded; payloads that are not to be loaded are not touched."""
    inputs = [run.inputs for run in runs] if load_input else []
    read = rows_in([*inputs, *([run.output for run in runs] if load_output else [])])
    return [status_of(run, load_input=load_input, load_output=load_output, read=read) for run in runs]


def status_of(
    run: WorkflowRun, *, load_input: bool = True, load_output: bool = True, read: Read | None = None
) -> WorkflowStatus:
    """The row, decoded."""
    return WorkflowStatus(
        workflow_id=run.pk, status=run.status, name=run.name, class_name=run.class_name, config_name=run.config_name,
        queue_name=run.queue, input=_value(run.inputs, "arguments", read) if load_input else None,
        output=_value(run.output, "output", read) if load_output else None, error=_error(run.error) if load_output else None,
        created_at=run.created_at, started_at=run.started_at, completed_at=run.completed_at,
        updated_at=run.updated_at, recovery_attempts=run.recovery_attempts, executor_id=run.worker_id,
        app_version=run.app_version, parent_workflow_id=run.parent_id, forked_from=run.forked_from_id,
        was_forked_from=run.was_forked_from, deduplication_id=run.deduplication_id, priority=run.priority or None,
        queue_partition_key=run.partition_key or None, timeout=run.timeout_seconds, deadline=run.deadline,
        delay_until=run.due_at if run.status == RunState.DELAYED else None, attributes=dict(run.attributes or {}),
        schedule_name=run.schedule_name, user=run.user,
    )  # fmt: skip


def steps_of(steps: Sequence[StepRun]) -> list[StepInfo]:
    """The rows, decoded."""
    read = rows_in(step.output for step in steps)
    return [_step_info_of(step, read) for step in steps]


def _step_info_of(step: StepRun, read: Read) -> StepInfo:
    return StepInfo(
        step_id=step.position, branch=step.branch, name=step.name, output=_value(step.output, "output", read),
        error=_error(step.error), child_workflow_id=step.child_id, started_at=step.started_at,
        completed_at=step.completed_at, attempts=step.attempts,
    )  # fmt: skip


def _value(payload: str | None, what: str, read: Read | None = None) -> Any:
    """A payload as a value; its text if it cannot be read here, so that one damaged row hides no other."""
    if payload is None:
        return None
    try:
        return loads(payload, what=what, read=read)
    except PayloadErased:
        return ERASED
    except DjangoDatabaseError:
        raise
    except Exception:  # noqa: BLE001  a registered decoder is the user's code and may raise anything
        return payload


def _error(payload: str | None) -> Any:
    if payload is None:
        return None
    error = load_error(payload)  # an exception may be falsy
    return ": ".join(error_summary(payload)[:2]) if error is None else error
