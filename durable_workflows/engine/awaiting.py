"""Awaiting the ends of other runs: one, or the first of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from durable_workflows.engine import joining
from durable_workflows.engine.history import Unreadable, answer
from durable_workflows.engine.operations import Effect, Operation, database
from durable_workflows.exceptions import (
    AwaitedWorkflowCancelled,
    AwaitedWorkflowMaxRecoveryAttemptsExceeded,
    InvalidUse,
    WorkflowFailed,
    WorkflowNotFound,
)
from durable_workflows.models import places, reading
from durable_workflows.models.steps import Kind
from durable_workflows.models.waking import WaitFor
from durable_workflows.options import TOO_LONG, shown
from durable_workflows.serializers import dump_error, dumps, error_summary, loads
from durable_workflows.states import RunState

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution


def result(execution: Execution, workflow_id: str, timeout: float | None) -> Any:
    """What a run returned, waited for."""
    operation = execution.operation("durable.get_result", Kind.RESULT)
    if operation.recorded:
        return operation.answer()
    check_timeout(timeout)
    _check_others(operation, [workflow_id])
    found = _outcomes(execution, [workflow_id])
    if not settled([workflow_id], found):
        check_place(operation, [workflow_id])
        fan_in = joining.fan_in(execution, workflow_id)
        wait = WaitFor(kind=Kind.RESULT, source_id=workflow_id, seconds=timeout, **operation.here)
        waits = joining.waits(execution, wait, fan_in)
        if not operation.wait(waits, lambda: _settled(execution, [workflow_id]), timeout=timeout, fan_in=fan_in):
            operation.fail(TimeoutError(f"Run {workflow_id!r} did not end within {timeout} seconds."))
        found = _outcomes(execution, [workflow_id])
    if workflow_id not in found:
        operation.fail(WorkflowNotFound(workflow_id))
    effect = effect_of(workflow_id, found[workflow_id])
    return operation.value(operation.record(effect))


def _check_others(operation: Operation, workflow_ids: Sequence[str]) -> None:
    own = operation.execution.claim.id
    if own in workflow_ids:
        operation.fail(InvalidUse(f"Run {own!r} would wait for its own end, which never comes. Await another run."))


def check_place(operation: Operation, workflow_ids: Sequence[str]) -> None:
    """A run that keeps its place in a queue must not await one that needs it."""
    execution = operation.execution
    if not execution.claim.holds_slot:
        return
    stuck = execution.persistently(lambda: places.waits_for_its_own_place(database(), execution.claim, workflow_ids))
    if stuck is not None:
        claim = execution.claim
        operation.fail(
            InvalidUse(
                f"Run {claim.id!r} would wait for run {stuck!r}, which cannot start: queue {claim.queue!r} is full, and its"
                " runs keep their places while they wait (waiting='hold'). Put the child on another queue, or call it"
                " instead of starting it."
            )
        )


def effect_of(workflow_id: str, outcome: reading.Outcome) -> Effect:
    """A run's end as the one who awaits it meets it."""
    if outcome.status == RunState.CANCELLED:
        return Effect(error=dump_error(AwaitedWorkflowCancelled(workflow_id)), child_id=workflow_id)
    if outcome.status == RunState.MAX_RECOVERY_ATTEMPTS_EXCEEDED:
        return Effect(error=dump_error(AwaitedWorkflowMaxRecoveryAttemptsExceeded(workflow_id)), child_id=workflow_id)
    return Effect(output=outcome.output, error=outcome.error, child_id=workflow_id)


def answer_of(workflow_id: str, outcome: reading.Outcome) -> Any:
    """Return or raise how a run ended, for whoever awaits it outside of any workflow. Raises ``WorkflowFailed``."""
    effect = effect_of(workflow_id, outcome)
    recorded = reading.Recorded("", "", effect.output, effect.error, None)
    try:
        return answer(recorded, f"run {workflow_id!r}")
    except Unreadable:
        if effect.error is None:
            return loads(effect.output or "null", what=f"result of run {workflow_id!r}")
        raise WorkflowFailed(workflow_id, *error_summary(effect.error)) from None


def first(execution: Execution, workflow_ids: Sequence[str], timeout: float | None) -> str:
    """The first of several runs that ended."""
    operation = execution.operation("durable.wait_first", Kind.FIRST)
    if operation.recorded:
        return str(operation.answer())
    check_timeout(timeout)
    _check_others(operation, workflow_ids)
    found = _outcomes(execution, workflow_ids)
    if not settled(workflow_ids, found):
        check_place(operation, workflow_ids)
        waits = [WaitFor(kind=Kind.FIRST, source_id=run_id, seconds=timeout, **operation.here) for run_id in workflow_ids]
        if not operation.wait(waits, lambda: _settled(execution, workflow_ids), timeout=timeout):
            operation.fail(TimeoutError(f"None of {len(workflow_ids)} runs ended within {timeout} seconds."))
        found = _outcomes(execution, workflow_ids)
    try:
        ended = first_ended(workflow_ids, found)
    except WorkflowNotFound as error:
        operation.fail(error)
    effect = Effect(output=dumps(ended, what="id of a run"), child_id=ended)
    return str(operation.value(operation.record(effect)))


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


def check_timeout(timeout: float | None) -> None:
    """Raise ``InvalidUse`` for what cannot be a timeout in seconds."""
    if timeout is not None and (not isinstance(timeout, (int, float)) or not 0 <= timeout < TOO_LONG):
        raise InvalidUse(
            f"A timeout is a number of seconds that is not negative, and {UNDER}, or None, which waits for ever; not"
            f" {shown(timeout)}."
        )


UNDER = f"under {TOO_LONG:,}"
