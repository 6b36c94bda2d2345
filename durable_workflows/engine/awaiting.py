"""The primitives of a workflow's body: each looks for its answer, waits for it, and records it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import MAXYEAR, datetime
from typing import TYPE_CHECKING, Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import options as start_options
from durable_workflows.definitions import Step, Workflow
from durable_workflows.engine import joining
from durable_workflows.engine.operations import Effect, Operation, database
from durable_workflows.engine.starting import Call, Parent, begun, child_id, new_run
from durable_workflows.exceptions import (
    AwaitedWorkflowCancelled,
    AwaitedWorkflowMaxRecoveryAttemptsExceeded,
    InvalidUse,
    WorkflowNotFound,
)
from durable_workflows.ids import new_token
from durable_workflows.models import correspondence, reading, starts, steering
from durable_workflows.models.claims import Claim
from durable_workflows.models.steps import Kind
from durable_workflows.models.waking import WaitFor
from durable_workflows.options import StartOptions, shown
from durable_workflows.serializers import dump_error, dumps
from durable_workflows.states import RunState
from durable_workflows.texts import valid_text

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution


# -- starting children


def start(execution: Execution, target: Workflow | Step | str, call: Call, options: StartOptions) -> str:
    """Start a run from a workflow's body: a recorded step, in one transaction with the child's row."""
    name = "durable.start_workflow" if options.queue is None else "durable.enqueue"
    operation = execution.operation(name, Kind.START)
    if operation.recorded:
        return str(operation.answer())
    run = _child(execution, operation, target, call, options)

    def insert(connection: BaseDatabaseWrapper) -> Effect:
        starts.insert(connection, [run])
        return Effect(output=dumps(run.id, what="id of a child"), child_id=run.id)

    started = str(operation.commit(insert))
    execution.started_here.add(started)
    return started


def _child(
    execution: Execution, operation: Operation, target: Workflow | Step | str, call: Call, options: StartOptions
) -> starts.NewRun:
    claim = execution.claim
    parent = Parent(id=claim.id, child_id=child_id(claim, *operation.place), deadline=claim.deadline, user=claim.user)
    try:
        return new_run(target, call, options, parent)
    except Exception as error:  # noqa: BLE001  # encoding runs users' code; whatever it raises is recorded
        operation.fail(error)


def call_child(execution: Execution, workflow: Workflow, call: Call) -> Any:
    """Call a workflow from a workflow: it runs inline, in this thread, until it must wait long; then both suspend."""
    options = start_options.taken()
    operation = execution.operation(workflow.name, Kind.START)
    if operation.recorded:
        child = str(operation.answer())
        execution.started_here.add(child)
        return result(execution, child, None)
    run = _child(execution, operation, workflow, call, options)
    run = begun(run, lambda: execution.persistently(lambda: reading.database_now(database())))
    lease = replace(run, worker_id=execution.claim.worker_id, token=new_token())
    inserted: list[str] = []

    def insert(connection: BaseDatabaseWrapper) -> Effect:
        inserted[:] = starts.insert(connection, [lease])
        return Effect(output=dumps(run.id, what="id of a child"), child_id=run.id)

    child = str(operation.commit(insert))
    execution.started_here.add(child)
    if inserted or _is_there(execution, lease):
        execution.run_inline(workflow, claim_of(lease))
    return result(execution, child, None)


def _is_there(execution: Execution, lease: starts.NewRun) -> bool:
    """Whether what has taken the id is this very call, inserted by a transaction whose COMMIT reply was lost."""
    return execution.persistently(lambda: reading.holds(database(), lease.id, lease.token or ""))


def claim_of(run: starts.NewRun) -> Claim:
    """The lease that a run was born with."""
    return Claim(
        id=run.id, name=run.name, inputs=run.inputs, queue=run.queue, attempt=1, generation=0, deadline=run.deadline,
        parent_id=run.parent_id, user=run.user, forked_from=None, fan_in=0, recovery_attempts=1, token=run.token or "",
        worker_id=run.worker_id or "",
    )  # fmt: skip


# -- waiting for runs


def result(execution: Execution, workflow_id: str, timeout: float | None) -> Any:
    """What a run returned, waited for."""
    operation = execution.operation("durable.get_result", Kind.RESULT)
    if operation.recorded:
        return operation.answer()
    check_timeout(timeout)
    _check_others(operation, [workflow_id])
    found = _outcomes(execution, [workflow_id])
    if not settled([workflow_id], found):
        fan_in = joining.fan_in(execution, workflow_id)
        wait = WaitFor(kind=Kind.RESULT, source_id=workflow_id, seconds=timeout, **_at(operation))
        waits = joining.waits(execution, wait, fan_in)
        if not operation.wait(waits, lambda: _settled(execution, [workflow_id]), timeout=timeout, fan_in=fan_in):
            operation.fail(TimeoutError(f"Run {workflow_id!r} did not end within {timeout} seconds."))
        found = _outcomes(execution, [workflow_id])
    if workflow_id not in found:
        operation.fail(WorkflowNotFound(workflow_id))
    effect = effect_of(workflow_id, found[workflow_id])
    operation.record(effect)
    return operation.value(effect)


def _check_others(operation: Operation, workflow_ids: Sequence[str]) -> None:
    own = operation.execution.claim.id
    if own in workflow_ids:
        operation.fail(InvalidUse(f"Run {own!r} would wait for its own end, which never comes. Await another run."))


def effect_of(workflow_id: str, outcome: reading.Outcome) -> Effect:
    """A run's end as the one who awaits it meets it."""
    if outcome.status == RunState.CANCELLED:
        return Effect(error=dump_error(AwaitedWorkflowCancelled(workflow_id)), child_id=workflow_id)
    if outcome.status == RunState.MAX_RECOVERY_ATTEMPTS_EXCEEDED:
        return Effect(error=dump_error(AwaitedWorkflowMaxRecoveryAttemptsExceeded(workflow_id)), child_id=workflow_id)
    return Effect(output=outcome.output, error=outcome.error, child_id=workflow_id)


def first(execution: Execution, workflow_ids: Sequence[str], timeout: float | None) -> str:
    """The first of several runs that ended."""
    operation = execution.operation("durable.wait_first", Kind.FIRST)
    if operation.recorded:
        return str(operation.answer())
    check_timeout(timeout)
    _check_others(operation, workflow_ids)
    found = _outcomes(execution, workflow_ids)
    if not settled(workflow_ids, found):
        waits = [WaitFor(kind=Kind.FIRST, source_id=run_id, seconds=timeout, **_at(operation)) for run_id in workflow_ids]
        if not operation.wait(waits, lambda: _settled(execution, workflow_ids), timeout=timeout):
            operation.fail(TimeoutError(f"None of {len(workflow_ids)} runs ended within {timeout} seconds."))
        found = _outcomes(execution, workflow_ids)
    try:
        ended = first_ended(workflow_ids, found)
    except WorkflowNotFound as error:
        operation.fail(error)
    effect = Effect(output=dumps(ended, what="id of a run"), child_id=ended)
    operation.record(effect)
    return str(operation.value(effect))


def _outcomes(execution: Execution, ids: Sequence[str]) -> Mapping[str, reading.Outcome]:
    return execution.persistently(lambda: reading.outcomes(database(), ids))


def _settled(execution: Execution, ids: Sequence[str]) -> bool:
    return settled(ids, _outcomes(execution, ids))


def settled(ids: Sequence[str], found: Mapping[str, reading.Outcome]) -> bool:
    """Whether there is nothing to wait for: a run has ended, or there is none of that id, which waiting will not change."""
    return any(run_id not in found or found[run_id].final for run_id in ids)


def first_ended(ids: Sequence[str], found: Mapping[str, reading.Outcome]) -> str:
    """
    Of settled runs, the first in their order that ended.

    :raises WorkflowNotFound: if none did, since one of them is unknown.
    """
    ended = next((run_id for run_id in ids if run_id in found and found[run_id].final), None)
    if ended is None:
        raise WorkflowNotFound(next(run_id for run_id in ids if run_id not in found))
    return ended


def _at(operation: Operation) -> Any:
    branch, position = operation.place
    return {"branch": branch, "position": position}


# -- time


def sleep(execution: Execution, seconds: float) -> None:
    """Pause until ``seconds`` after the first attempt came here."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < start_options.TOO_LONG:
        raise InvalidUse(f"sleep() takes a number of seconds that is not negative, and {_UNDER}, not {shown(seconds)}.")
    _sleep(execution, "durable.sleep", seconds=float(seconds))


def sleep_until(execution: Execution, moment: datetime) -> None:
    """Pause until a moment."""
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise InvalidUse(f"sleep_until() takes an aware datetime, not {moment!r}. Give it a time zone.")
    if moment.year >= MAXYEAR:  # not every database, nor every time zone, can tell it
        raise InvalidUse(f"sleep_until() takes a moment before the year {MAXYEAR}, not {moment!r}. recv() waits for ever.")
    _sleep(execution, "durable.sleep_until", until=moment)


def _sleep(execution: Execution, name: str, *, seconds: float | None = None, until: datetime | None = None) -> None:
    operation = execution.operation(name, Kind.SLEEP)
    if operation.recorded:
        operation.answer()
        return
    if until is not None and operation.place not in execution.waits:
        now = execution.persistently(lambda: reading.database_now(database()))
        seconds = (until - now).total_seconds()
    wait = WaitFor(kind=Kind.SLEEP, seconds=None if until else seconds, until=until, **_at(operation))
    if seconds is None or seconds > 0 or operation.place in execution.waits:
        operation.wait([wait], lambda: False, timeout=seconds)
    operation.record(Effect())


# -- messages and events


def send(execution: Execution, workflow_id: str, message: Any, address: tuple[str | None, str | None]) -> None:
    """Leave a message: a recorded step."""
    operation = execution.operation("durable.send", Kind.SEND)
    if operation.recorded:
        operation.answer()
        return
    topic, key = address
    payload = _payload(operation, message, "message")

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
    wait = WaitFor(kind=Kind.RECV, source_id=run_id, key=name, seconds=timeout, **_at(operation))

    def there() -> bool:
        return execution.persistently(lambda: correspondence.oldest(database(), run_id, name)) is not None

    if not there() and not operation.wait([wait], there, timeout=timeout):
        return _default(operation, default)
    nothing = _payload(operation, default, "default")

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
    payload = _payload(operation, value, f"event {key!r}")

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
    wait = WaitFor(kind=Kind.GET_EVENT, source_id=workflow_id, key=check_key(key), seconds=timeout, **_at(operation))

    def value() -> str | None:
        return execution.persistently(lambda: correspondence.latest(database(), workflow_id, key))

    if value() is None and not operation.wait([wait], lambda: value() is not None, timeout=timeout):
        return _default(operation, default)
    effect = Effect(output=value(), child_id=workflow_id)
    operation.record(effect)
    return operation.value(effect)


def _default(operation: Operation, default: Any) -> Any:
    operation.record(Effect(output=_payload(operation, default, "default")))
    return default


def _payload(operation: Operation, value: Any, what: str) -> str:
    try:
        return dumps(value, what=f"{what} of {operation.name}")
    except Exception as error:  # noqa: BLE001  # encoding runs users' code; whatever it raises is recorded
        operation.fail(error)


def check_timeout(timeout: float | None) -> None:
    """Raise ``InvalidUse`` for what cannot be a timeout in seconds."""
    if timeout is not None and (not isinstance(timeout, (int, float)) or not 0 <= timeout < start_options.TOO_LONG):
        raise InvalidUse(
            f"A timeout is a number of seconds that is not negative, and {_UNDER}, or None, which waits for ever; not"
            f" {shown(timeout)}."
        )


_UNDER = f"under {start_options.TOO_LONG:,}"


def check_key(key: str) -> str:
    """``key`` itself, when it can be an event's. Raises ``InvalidUse``."""
    return valid_text(key, "A key")


# -- management


def manage(execution: Execution, verb: str, workflow_ids: Sequence[str], options: Mapping[str, Any]) -> Any:
    """An operator's verb, called in a workflow: a recorded step."""
    operation = execution.operation(f"durable.{verb}_workflow", Kind.MANAGE)
    if operation.recorded:
        return operation.answer()
    # Recorded first: the fence would let nothing pass in a run that has just cancelled itself.
    return operation.commit(lambda connection: Effect(), then=verbs(workflow_ids, options)[verb])


def verbs(workflow_ids: Sequence[str], options: Mapping[str, Any]) -> dict[str, Callable[[BaseDatabaseWrapper], int]]:
    """The management verbs by name, as functions of a connection."""
    return {
        "cancel": lambda connection: steering.cancel(connection, workflow_ids, **options),
        "resume": lambda connection: steering.resume(connection, workflow_ids, **options),
    }
