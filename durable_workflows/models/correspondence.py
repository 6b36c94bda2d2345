"""Messages and events as statements: sending, receiving, publishing, reading."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.exceptions import WorkflowNotFound
from durable_workflows.models.claims import Claim
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.events import Event
from durable_workflows.models.messages import Message
from durable_workflows.models.steps import Kind
from durable_workflows.models.waking import lock, wake


def deliver(
    connection: BaseDatabaseWrapper,
    workflow_id: str,
    topic: str,
    *,
    payload: str,
    key: str | None = None,
    sender_id: str | None = None,
) -> bool:
    """
    Leave a message and wake its reader; false if the idempotency key was used before.

    :raises WorkflowNotFound: if there is no such run.
    """
    if not lock(connection, [workflow_id]):
        raise WorkflowNotFound(workflow_id)
    message = Message(
        run_id=workflow_id, topic=topic, payload=payload, idempotency_key=key, sender_id=sender_id, created_at=DatabaseNow()
    )
    if not _insert_once(connection, message):
        return False
    wake(connection, Kind.RECV, [workflow_id], topic)
    return True


def _insert_once(connection: BaseDatabaseWrapper, message: Message) -> bool:
    sent = Message.objects.using(connection.alias)
    if message.idempotency_key is None:
        message.save(using=connection.alias, force_insert=True)
        return True
    # The run's row is locked, so nobody can insert between the look and the insert; READ COMMITTED shows what was sent.
    if sent.filter(run_id=message.run_id, idempotency_key=message.idempotency_key).exists():
        return False
    try:
        with transaction.atomic(using=connection.alias):
            message.save(using=connection.alias, force_insert=True)
    except IntegrityError:  # an older snapshot than the lock did not show it
        return False
    return True


def oldest(connection: BaseDatabaseWrapper, workflow_id: str, topic: str) -> Message | None:
    """The message that ``recv`` would take."""
    inbox = Message.objects.using(connection.alias).filter(run_id=workflow_id, topic=topic, consumed_at__isnull=True)
    return inbox.order_by("id").first()


def consume(connection: BaseDatabaseWrapper, message: Message, branch: str, position: int) -> None:
    """Mark a message as received at a place of its run's history, in the checkpoint's transaction."""
    mine = Message.objects.using(connection.alias).filter(pk=message.pk, consumed_at__isnull=True)
    mine.update(consumed_at=DatabaseNow(), consumed_branch=branch, consumed_position=position)


def publish(connection: BaseDatabaseWrapper, claim: Claim, key: str, *, value: str, place: tuple[str, int]) -> None:
    """Append an event of the run and wake whoever waits for it."""
    lock(connection, [claim.id])
    branch, position = place
    Event.objects.using(connection.alias).create(
        run_id=claim.id, generation=claim.generation, branch=branch, position=position, key=key, value=value,
        created_at=DatabaseNow(),
    )  # fmt: skip
    wake(connection, Kind.GET_EVENT, [claim.id], key)


def latest(connection: BaseDatabaseWrapper, workflow_id: str, key: str) -> str | None:
    """The payload of the latest value published under a key."""
    values = Event.objects.using(connection.alias).filter(run_id=workflow_id, key=key).order_by("-id")
    return values.values_list("value", flat=True).first()
