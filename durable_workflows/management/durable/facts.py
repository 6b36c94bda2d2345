"""Rows as documents, under the names that ``WorkflowStatus`` and ``StepInfo`` have for the same things."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from durable_workflows.management.durable.text import plain, plain_error
from durable_workflows.models import Event, Message, StepAttempt, StepRun, StreamEntry, Wait, WorkflowRun
from durable_workflows.redaction import secret_positions
from durable_workflows.situation import Situation, sentence
from durable_workflows.states import RunState
from durable_workflows.status import WorkflowStatus

# What a column of the row is called there, where it is called otherwise.
RENAMED = {
    "workflow_id": "id", "queue_name": "queue", "executor_id": "worker_id", "parent_workflow_id": "parent_id",
    "forked_from": "forked_from_id", "queue_partition_key": "partition_key", "timeout": "timeout_seconds",
}  # fmt: skip
PAYLOADS = ("input", "output", "error")


def document_of(run: WorkflowRun, situation: Situation | None = None, *, payloads: bool = True) -> dict[str, Any]:
    """
    A run with the keys of ``WorkflowStatus``; payloads are the JSON that is stored, an error is its parts.

    :param situation: what it is doing, if that was asked: two keys more, "situation" and "alarming".
    :param payloads: whether they are there; None otherwise.
    """
    made = {field.name: _value(run, field.name, payloads) for field in fields(WorkflowStatus)}
    return made if situation is None else {**made, "situation": situation.text, "alarming": situation.alarming}


def _value(run: WorkflowRun, name: str, payloads: bool) -> Any:
    if name in PAYLOADS:
        return _payload(run, name) if payloads else None
    if name == "delay_until":
        return run.due_at if run.status == RunState.DELAYED else None
    if name == "attributes":
        return plain(json.dumps(run.attributes or {}))
    found = getattr(run, RENAMED.get(name, name))
    return found or None if name in ("priority", "queue_partition_key") else found


def _payload(run: WorkflowRun, name: str) -> Any:
    if name == "error":
        return plain_error(run.error)
    return plain(run.inputs, positions=secret_positions(run.name)) if name == "input" else plain(run.output)


def step_document_of(step: StepRun) -> dict[str, Any]:
    """A step with the keys of ``StepInfo``, and its kind."""
    return {
        "step_id": step.position, "branch": step.branch, "name": step.name, "kind": step.kind,
        "output": plain(step.output), "error": plain_error(step.error), "child_workflow_id": step.child_id,
        "started_at": step.started_at, "completed_at": step.completed_at, "attempts": step.attempts,
    }  # fmt: skip


def attempt_document_of(attempt: StepAttempt) -> dict[str, Any]:
    """A failed attempt of a step."""
    return {
        "step_id": attempt.position, "branch": attempt.branch, "name": attempt.name, "attempt": attempt.attempt,
        "error": plain_error(attempt.error), "started_at": attempt.started_at, "ended_at": attempt.ended_at,
        "retry_at": attempt.retry_at,
    }  # fmt: skip


def wait_document_of(wait: Wait) -> dict[str, Any]:
    """What a run waits for."""
    return {
        "step_id": wait.position, "branch": wait.branch, "kind": wait.kind, "text": sentence(wait), "source": wait.source_id,
        "key": wait.key or None, "since": wait.created_at, "until": wait.due_at,
    }  # fmt: skip


def message_document_of(message: Message) -> dict[str, Any]:
    """A message, received or not."""
    return {
        "topic": message.topic or None, "message": plain(message.payload, key=message.topic),
        "idempotency_key": message.idempotency_key,
        "sender": message.sender_id, "sent_at": message.created_at, "received_at": message.consumed_at,
        "received_by_step": message.consumed_position,
    }  # fmt: skip


def event_document_of(event: Event) -> dict[str, Any]:
    """A value of an event."""
    return {
        "key": event.key,
        "value": plain(event.value, key=event.key),
        "step_id": event.position,
        "created_at": event.created_at,
    }


def entry_document_of(entry: StreamEntry) -> dict[str, Any]:
    """A value of a stream, or its end."""
    return {
        "key": entry.key, "offset": entry.offset, "value": plain(entry.value, key=entry.key), "closes": entry.closes,
        "created_at": entry.created_at,
    }  # fmt: skip
