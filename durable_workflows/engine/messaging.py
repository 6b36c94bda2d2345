"""Messages and events of a workflow's body: each call looks for its answer, waits for it, and records it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.engine.awaiting import check_timeout
from durable_workflows.engine.operations import Effect, Operation, database
from durable_workflows.exceptions import NotSerializable
from durable_workflows.models import correspondence
from durable_workflows.models.correspondence import Letter
from durable_workflows.models.steps import Kind
from durable_workflows.models.waking import WaitFor
from durable_workflows.serializers import dumps, loads
from durable_workflows.talk import SendMessage
from durable_workflows.texts import valid_text

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution


def send(execution: Execution, workflow_id: str, message: Any, address: tuple[str | None, str | None]) -> None:
    """Leave a message: a recorded step."""
    operation = execution.operation("durable.send", Kind.SEND)
    if operation.recorded:
        operation.answer()
        return
    topic, key = address
    payload = operation.payload(message, "message")

    def deliver(connection: BaseDatabaseWrapper) -> Effect:
        correspondence.deliver(connection, workflow_id, topic or "", payload=payload, key=key, sender_id=execution.claim.id)
        return Effect(child_id=workflow_id)

    operation.commit(deliver)
    execution.services.ring(workflow_id)


def send_many(execution: Execution, messages: Sequence[SendMessage]) -> None:
    """Leave several messages: one recorded step."""
    operation = execution.operation("durable.send_many", Kind.SEND)
    if operation.recorded:
        operation.answer()
        return
    try:
        sent = letters(messages, f"in {operation.name}")
    except Exception as error:  # noqa: BLE001  # encoding runs users' code; whatever it raises is recorded
        operation.fail(error)

    def deliver(connection: BaseDatabaseWrapper) -> Effect:
        correspondence.deliver_many(connection, sent, execution.claim.id)
        return Effect()

    operation.commit(deliver)
    for workflow_id in {letter.run_id for letter in sent}:
        execution.services.ring(workflow_id)


def letters(messages: Sequence[SendMessage], where: str) -> list[Letter]:
    """Messages on their way to their rows. Raises ``NotSerializable``."""
    return [
        Letter(
            run_id=each.workflow_id, topic=each.topic or "", key=each.idempotency_key,
            payload=dumps(each.message, what=f"message to {each.workflow_id!r} {where}".strip()),
        )
        for each in messages
    ]  # fmt: skip


def recv(execution: Execution, topic: str | None, timeout: float | None, default: Any) -> Any:
    """Take the oldest message of a topic."""
    operation = execution.operation("durable.recv", Kind.RECV)
    if operation.recorded:
        return _answer(operation, default)
    check_timeout(timeout)
    run_id, name = execution.claim.id, topic or ""
    wait = WaitFor(kind=Kind.RECV, source_id=run_id, key=name, seconds=timeout, **operation.here)

    def there() -> bool:
        return execution.persistently(lambda: correspondence.oldest(database(), run_id, name)) is not None

    if not there() and not operation.wait([wait], there, timeout=timeout):
        return _default(operation, default)

    def consume(connection: BaseDatabaseWrapper) -> Effect:
        message = correspondence.oldest(connection, run_id, name)
        if message is None:  # consumed by another owner, whose checkpoint stands where ours is about to go
            return _nothing(default)
        correspondence.consume(connection, message, *operation.place)
        return Effect(output=message.payload, child_id=message.sender_id)

    return operation.commit(consume)


def set_event(execution: Execution, key: str, value: Any) -> None:
    """Publish a value: a recorded step."""
    operation = execution.operation("durable.set_event", Kind.SET_EVENT)
    if operation.recorded:
        operation.answer()
        return
    check_key(key)
    payload = operation.payload(value, f"event {key!r}")

    def publish(connection: BaseDatabaseWrapper) -> Effect:
        correspondence.publish(connection, execution.claim, key, value=payload, place=operation.place)
        return Effect()

    operation.commit(publish)
    execution.services.ring(execution.claim.id)


def get_event(execution: Execution, source: tuple[str, str], timeout: float | None, default: Any) -> Any:
    """Read what a run published, waited for."""
    operation = execution.operation("durable.get_event", Kind.GET_EVENT)
    if operation.recorded:
        return _answer(operation, default)
    check_timeout(timeout)
    workflow_id, key = source
    wait = WaitFor(kind=Kind.GET_EVENT, source_id=workflow_id, key=check_key(key), seconds=timeout, **operation.here)

    def value() -> str | None:
        return execution.persistently(lambda: correspondence.latest(database(), workflow_id, key))

    if value() is None and not operation.wait([wait], lambda: value() is not None, timeout=timeout):
        return _default(operation, default)
    effect = Effect(output=value(), child_id=workflow_id)
    return operation.value(operation.record(effect))


def _default(operation: Operation, default: Any) -> Any:
    nothing = _nothing(default)
    stands = operation.record(nothing)
    return default if stands in (nothing, Effect()) else operation.value(stands)


def _nothing(default: Any) -> Effect:
    """What is recorded when nothing came: the default; of one that cannot be stored, ``object()``, that the call knows it."""
    try:
        return Effect(output=dumps(default, what="default"))
    except NotSerializable:
        return Effect()


def _answer(operation: Operation, default: Any) -> Any:
    answer = operation.answer()
    return default if operation.recorded and operation.recorded.output is None else answer


def get_all_events(execution: Execution, workflow_id: str) -> dict[str, Any]:
    """Read all that a run published: a recorded step."""
    operation = execution.operation("durable.get_all_events", Kind.GET_EVENT)
    if operation.recorded:
        return dict(operation.answer())
    stored = execution.persistently(lambda: correspondence.all_latest(database(), workflow_id))
    effect = Effect(output=operation.payload(all_events(stored, workflow_id), "events"), child_id=workflow_id)
    return dict(operation.value(operation.record(effect)))


def all_events(stored: Mapping[str, str], workflow_id: str) -> dict[str, Any]:
    """Events as they are read from their rows."""
    return {key: loads(payload, what=f"event {key!r} of {workflow_id!r}") for key, payload in stored.items()}


def check_key(key: str) -> str:
    """``key`` itself, when it can be an event's. Raises ``InvalidUse``."""
    return valid_text(key, "A key")
