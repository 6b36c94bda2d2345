"""
A question to a run that is answered once: the answer is a message whose idempotency key is the question's.

Whoever answers locks the run's row first. So of many at once one is accepted, and none by a run that has ended: its end is
written to the same row.
"""

from __future__ import annotations

from enum import StrEnum

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.exceptions import WorkflowNotFound
from durable_workflows.models import dialects
from durable_workflows.models.correspondence import deliver
from durable_workflows.models.messages import Message
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.waking import lock
from durable_workflows.states import TERMINAL

RUNS = WorkflowRun._meta.db_table


class Standing(StrEnum):
    """How a question stands."""

    OPEN = "open"
    ANSWERED = "answered"
    ENDED = "ended"  # with its run, unanswered


def standing(connection: BaseDatabaseWrapper, workflow_id: str, key: str) -> Standing:
    """
    How the question with this key stands, as far as this transaction sees.

    :raises WorkflowNotFound: if there is no such run.
    """
    return _judge(connection, workflow_id, key, _status(connection, workflow_id))


def accept(connection: BaseDatabaseWrapper, workflow_id: str, topic: str, *, payload: str, key: str) -> Standing:
    """
    Leave the answer, and wake the run, if the question is still open.

    :returns: how it stood: only ``OPEN`` means that this answer counts.
    """
    if _answered(connection, workflow_id, key):
        # Looked up before the lock too: above READ COMMITTED whoever waited for it fails, and comes again; without this, all
        # who lost would fight for the lock until they gave up.
        return Standing.ANSWERED
    if not lock(connection, [workflow_id]):
        return Standing.ENDED  # and was deleted
    found = _judge(connection, workflow_id, key, _status(connection, workflow_id, dialects.past_the_snapshot(connection)))
    if found is not Standing.OPEN:
        return found
    accepted = deliver(connection, workflow_id, topic, payload=payload, key=key)
    return Standing.OPEN if accepted else Standing.ANSWERED  # an older snapshot than the lock may not have shown it


def _status(connection: BaseDatabaseWrapper, workflow_id: str, clause: str = "") -> str | None:
    row = dialects.run(connection, f"SELECT status FROM {RUNS} WHERE id = %s{clause}", [workflow_id]).fetchone()
    return row[0] if row else None


def _judge(connection: BaseDatabaseWrapper, workflow_id: str, key: str, status: str | None) -> Standing:
    if status is None:
        raise WorkflowNotFound(workflow_id)
    if _answered(connection, workflow_id, key):
        return Standing.ANSWERED
    return Standing.ENDED if status in TERMINAL else Standing.OPEN


def _answered(connection: BaseDatabaseWrapper, workflow_id: str, key: str) -> bool:
    return Message.objects.using(connection.alias).filter(run_id=workflow_id, idempotency_key=key).exists()
