"""Streams of a workflow's body: each value written or read is a recorded step, and waiting for one holds no thread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import context
from durable_workflows.context import Caller
from durable_workflows.engine.operations import Effect, Operation, database
from durable_workflows.exceptions import InvalidUse, StreamTimeout, WorkflowNotFound
from durable_workflows.models import streaming
from durable_workflows.models.steps import Kind
from durable_workflows.models.streaming import Batch, Entry
from durable_workflows.models.waking import WaitFor

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution

Source = tuple[str, str]  # a run and a key


def write(execution: Execution, key: str, value: Any) -> None:
    """Append a value: a recorded step."""
    operation = execution.operation("durable.write_stream", Kind.WRITE_STREAM)
    if operation.recorded:
        operation.answer()
        return
    entry = _entry(operation, key, operation.payload(value, f"value of stream {key!r}"))

    def append(connection: BaseDatabaseWrapper) -> Effect:
        streaming.append(connection, entry)
        return Effect()

    operation.commit(append)
    execution.services.ring(execution.claim.id)


def close(execution: Execution, key: str) -> None:
    """End a stream: a recorded step."""
    operation = execution.operation("durable.close_stream", Kind.WRITE_STREAM)
    if operation.recorded:
        operation.answer()
        return

    def end(connection: BaseDatabaseWrapper) -> Effect:
        streaming.close(connection, _entry(operation, key))
        return Effect()

    operation.commit(end)
    execution.services.ring(execution.claim.id)


def _entry(operation: Operation, key: str, value: str | None = None) -> Entry:
    claim = operation.execution.claim
    return Entry(run_id=claim.id, generation=claim.generation, place=operation.place, key=key, value=value)


def read(execution: Execution, source: Source, offset: int, timeout: float | None) -> Iterator[Any]:
    """The values of a stream, each a recorded step when it is asked for; so is their end."""
    ahead: list[str] = []
    while True:
        _check_reader(execution)
        operation = execution.operation("durable.read_stream", Kind.STREAM)
        if operation.recorded:
            if operation.recorded.output is None and operation.recorded.error is None:
                return
            value = operation.answer()
        else:
            ahead = ahead or list(_next(operation, source, offset, timeout))
            effect = Effect(output=ahead.pop(0) if ahead else None, child_id=source[0])
            stands = operation.record(effect)
            if stands.output is None and stands.error is None:
                return
            value = operation.value(stands)
        yield value
        offset += 1


def _check_reader(reader: Caller) -> None:
    if context.caller() is not reader:
        raise InvalidUse(
            "The iterator of a read_stream() in a workflow's body was asked for a value elsewhere, such as in a step. Read in"
            " the body, and pass the values on."
        )


def _next(operation: Operation, source: Source, offset: int, timeout: float | None) -> list[str]:
    """The values from an offset on, at least one; none when the stream has come to its end."""
    batch = _batch(operation, source, offset)
    if not (batch.values or batch.over):
        _wait(operation, source, offset, timeout)
        batch = _batch(operation, source, offset)
    if not (batch.values or batch.over):
        _time_is_over(operation, source, offset, timeout)
    return list(batch.values)


def _batch(operation: Operation, source: Source, offset: int) -> Batch:
    try:
        return operation.execution.persistently(lambda: streaming.read(database(), *source, offset))
    except WorkflowNotFound as error:
        operation.fail(error)


def _wait(operation: Operation, source: Source, offset: int, timeout: float | None) -> None:
    run_id, key = source
    if run_id == operation.execution.claim.id:
        operation.fail(InvalidUse(f"Run {run_id!r} would wait for a value that it has not written to its stream {key!r}."))
    wait = WaitFor(kind=Kind.STREAM, source_id=run_id, key=key, from_offset=offset, seconds=timeout, **operation.here)

    def there() -> bool:
        batch = _batch(operation, source, offset)
        return bool(batch.values) or batch.over

    operation.wait([wait], there, timeout=timeout)


def _time_is_over(operation: Operation, source: Source, offset: int, timeout: float | None) -> NoReturn:
    operation.fail(StreamTimeout(*source, offset, timeout or 0.0))
