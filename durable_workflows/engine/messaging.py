"""Messages and events of a workflow's body: each call looks for its answer, waits for it, and records it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.engine.awaiting import check_timeout
from durable_workflows.engine.operations import Effect, Operation, database
from durable_workflows.models import correspondence
from durable_workflows.models.steps import Kind
from durable_workflows.models.waking import WaitFor
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


def recv(execution: Execution, topic: str | None, timeout: float | None, default: Any) -> Any:
    """Take the oldest message of a topic."""
    operation = execution.operation("durable.recv", Kind.RECV)
    if operation.recorded:
        return operation.answer()
    check_timeout(timeout)
    run_id, name = execution.claim.id, topic or ""
    wait = WaitFor(kind=Kind.RECV, source_id=run_id, key=name, seconds=timeout, **operation.here)

    def there() -> bool:
        return execution.persistently(lambda: correspondence.oldest(database(), run_id, name)) is not None

    if not there() and not operation.wait([wait], there, timeout=timeout):
        return _default(operation, default)
    nothing = operation.payload(default, "default")

    def consume(connection: BaseDatabaseWrapper) -> Effect:
        message = correspondence.oldest(connection, run_id, name)
        if message is None:  # consumed by another owner, whose checkpoint stands where ours is about to go
            return Effect(output=nothing)
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
        return operation.answer()
    check_timeout(timeout)
    workflow_id, key = source
    wait = WaitFor(kind=Kind.GET_EVENT, source_id=workflow_id, key=check_key(key), seconds=timeout, **operation.here)

    def value() -> str | None:
        return execution.persistently(lambda: correspondence.latest(database(), workflow_id, key))

    if value() is None and not operation.wait([wait], lambda: value() is not None, timeout=timeout):
        return _default(operation, default)
    effect = Effect(output=value(), child_id=workflow_id)
    operation.record(effect)
    return operation.value(effect)


def _default(operation: Operation, default: Any) -> Any:
    operation.record(Effect(output=operation.payload(default, "default")))
    return default


def check_key(key: str) -> str:
    """``key`` itself, when it can be an event's. Raises ``InvalidUse``."""
    return valid_text(key, "A key")
