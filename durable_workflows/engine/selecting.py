"""The first of several kinds: a message, an event, the end of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.engine import awaiting
from durable_workflows.engine.history import Unreadable, read
from durable_workflows.engine.operations import Effect, Operation, database
from durable_workflows.exceptions import InvalidUse, WorkflowNotFound
from durable_workflows.handles import WorkflowHandle
from durable_workflows.models import correspondence, reading
from durable_workflows.models.steps import Kind
from durable_workflows.models.waking import WaitFor
from durable_workflows.serializers import dumps
from durable_workflows.talk import Alternatives, Selected

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution

Came = tuple[str, Any, str | None]  # a kind, its key, and the payload of an event


def select(execution: Execution, wanted: Alternatives, timeout: float | None) -> Selected | None:
    """Wait for the first of several; a message is taken in one transaction with the record."""
    operation = execution.operation("durable.select", Kind.SELECT)
    if operation.recorded:
        return _selected(operation.answer())
    awaiting.check_timeout(timeout)
    if execution.claim.id in wanted.workflow_ids:
        operation.fail(InvalidUse(f"Run {execution.claim.id!r} would wait for its own end, which never comes."))
    came = _look(operation, wanted)
    if came is None and not (wanted.topics or wanted.events):
        awaiting.check_place(operation, wanted.workflow_ids)
    if came is None and operation.wait(
        _waits(operation, wanted, timeout), lambda: _is_there(operation, wanted), timeout=timeout
    ):
        came = _look(operation, wanted)
    if came is not None and came[0] == "message":
        topic = came[1]
        return _selected(operation.commit(lambda connection: _received(operation, connection, topic)))
    effect = Effect(output="null") if came is None else _effect(operation, came)
    return _selected(operation.value(operation.record(effect)))


def _look(operation: Operation, wanted: Alternatives) -> Came | None:
    try:
        return operation.execution.persistently(lambda: first(database(), wanted, operation.execution.claim.id))
    except WorkflowNotFound as error:
        operation.fail(error)


def _is_there(operation: Operation, wanted: Alternatives) -> bool:
    return _look(operation, wanted) is not None


def first(connection: BaseDatabaseWrapper, wanted: Alternatives, run_id: str | None) -> Came | None:
    """
    What has come, the first by the order of kinds and of what was named.

    :param run_id: whose messages.
    :raises WorkflowNotFound: if nothing has, and there is no run of one of the ids.
    """
    if run_id is not None and wanted.topics:
        names = [topic or "" for topic in wanted.topics]
        if (topic := correspondence.first_topic(connection, run_id, names)) is not None:
            return "message", wanted.topics[names.index(topic)], None
    if wanted.events and (event := correspondence.first_event(connection, wanted.events)) is not None:
        return "event", event[0], event[1]
    found = reading.outcomes(connection, wanted.workflow_ids) if wanted.workflow_ids else {}
    if wanted.workflow_ids and awaiting.settled(wanted.workflow_ids, found):
        return "handle", awaiting.first_ended(wanted.workflow_ids, found), None
    return None


def _waits(operation: Operation, wanted: Alternatives, timeout: float | None) -> list[WaitFor]:
    more: dict[str, Any] = {"seconds": timeout, **operation.here}
    own = operation.execution.claim.id
    messages = [WaitFor(kind=Kind.RECV, source_id=own, key=topic or "", **more) for topic in dict.fromkeys(wanted.topics)]
    events = [WaitFor(kind=Kind.GET_EVENT, source_id=run_id, key=key, **more) for run_id, key in dict.fromkeys(wanted.events)]
    ends = [WaitFor(kind=Kind.FIRST, source_id=run_id, **more) for run_id in dict.fromkeys(wanted.workflow_ids)]
    return [*messages, *events, *ends]


def _received(operation: Operation, connection: BaseDatabaseWrapper, topic: str | None) -> Effect:
    message = correspondence.oldest(connection, operation.execution.claim.id, topic or "")
    if message is None:  # taken by another owner, whose checkpoint stands where ours is about to go
        return Effect(output="null")
    correspondence.consume(connection, message, *operation.place)
    return _effect(operation, ("message", topic, message.payload), message.sender_id)


def _effect(operation: Operation, came: Came, sender_id: str | None = None) -> Effect:
    kind, key, payload = came
    run_id = {"message": sender_id, "event": key and key[0], "handle": key}[kind]
    value = _read(operation, payload, f"{kind} {key!r}")
    return Effect(output=dumps({"kind": kind, "key": key, "value": value}, what="choice of durable.select"), child_id=run_id)


def _read(operation: Operation, payload: str | None, what: str) -> Any:
    """What came, or the run waits visibly: it goes into the record, and is not taken if it cannot be read here."""
    try:
        return read(payload, what)
    except Unreadable as unreadable:
        operation.execution.stop(unreadable)


def _selected(recorded: Mapping[str, Any] | None) -> Selected | None:
    if recorded is None:
        return None
    return selected(recorded["kind"], recorded["key"], recorded["value"])


def selected(kind: Any, key: Any, value: Any) -> Selected:
    """The value for the caller; a handle is made of its id."""
    return Selected(kind, key, WorkflowHandle[Any](key) if kind == "handle" else value)
