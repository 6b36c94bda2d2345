"""Messages and events as statements: sending, receiving, publishing, reading, and which of several is there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Max, Min, Q

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


LETTERS = 500  # in one statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message on its way to its row."""

    run_id: str
    topic: str
    payload: str
    key: str | None = None

    def row(self, sender_id: str | None) -> Message:
        return Message(
            run_id=self.run_id, topic=self.topic, payload=self.payload, idempotency_key=self.key, sender_id=sender_id,
            created_at=DatabaseNow(),
        )  # fmt: skip


def deliver_many(connection: BaseDatabaseWrapper, letters: Sequence[Letter], sender_id: str | None = None) -> None:
    """
    Leave messages in the open transaction, and wake their readers; those whose idempotency key was used are left out.

    :raises WorkflowNotFound: for the first to a run that does not exist; the transaction must then be rolled back.
    """
    known = lock(connection, [letter.run_id for letter in letters])
    for letter in letters:
        if letter.run_id not in known:
            raise WorkflowNotFound(letter.run_id)
    for start in range(0, len(letters), LETTERS):
        _deliver_some(connection, letters[start : start + LETTERS], sender_id)


def _deliver_some(connection: BaseDatabaseWrapper, letters: Sequence[Letter], sender_id: str | None) -> None:
    letters = _not_sent_yet(connection, letters)
    try:
        with transaction.atomic(using=connection.alias):
            Message.objects.using(connection.alias).bulk_create([letter.row(sender_id) for letter in letters])
    except IntegrityError:  # as in _insert_once
        letters = [letter for letter in letters if _insert_once(connection, letter.row(sender_id))]
    readers: defaultdict[str, set[str]] = defaultdict(set)
    for letter in letters:
        readers[letter.topic].add(letter.run_id)
    for topic, run_ids in sorted(readers.items()):
        wake(connection, Kind.RECV, sorted(run_ids), topic)


def _not_sent_yet(connection: BaseDatabaseWrapper, letters: Sequence[Letter]) -> Sequence[Letter]:
    keys = [letter.key for letter in letters if letter.key is not None]
    if not keys:
        return letters
    sent = Message.objects.using(connection.alias).filter(run_id__in={letter.run_id for letter in letters})
    used = set(sent.filter(idempotency_key__in=keys).values_list("run_id", "idempotency_key"))
    return [letter for letter in letters if (letter.run_id, letter.key) not in used]


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


def all_latest(connection: BaseDatabaseWrapper, workflow_id: str) -> dict[str, str]:
    """The payload of the latest value of each key."""
    events = Event.objects.using(connection.alias).filter(run_id=workflow_id)
    newest = events.values("key").annotate(newest=Max("id")).order_by("key").values_list("newest", flat=True)
    return dict(events.filter(pk__in=list(newest)).order_by("key").values_list("key", "value"))


def first_topic(connection: BaseDatabaseWrapper, workflow_id: str, topics: Sequence[str]) -> str | None:
    """The first of these topics that has a message."""
    inbox = Message.objects.using(connection.alias).filter(run_id=workflow_id, topic__in=topics, consumed_at__isnull=True)
    there = set(inbox.values("topic").annotate(first=Min("id")).order_by("topic").values_list("topic", flat=True))
    return next((topic for topic in topics if topic in there), None)


def first_event(connection: BaseDatabaseWrapper, wanted: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], str] | None:
    """The first of these events (run and key) that has a value, and the latest one's payload."""
    any_of = Q(pk__in=[])
    for workflow_id, key in wanted:
        any_of |= Q(run_id=workflow_id, key=key)
    events = Event.objects.using(connection.alias).filter(any_of).values("run_id", "key").annotate(newest=Max("id"))
    newest = {(run_id, key): pk for run_id, key, pk in events.order_by("run_id", "key").values_list("run_id", "key", "newest")}
    first = next((event for event in wanted if event in newest), None)
    if first is None:
        return None
    return first, Event.objects.using(connection.alias).values_list("value", flat=True).get(pk=newest[first])
