"""
An attempt from its claim to its settling.

    claimed run -> definition and arguments -> history -> the user's function -> what came of it -> its row

The suspension signal is caught here and nowhere else. What becomes of the run is decided by the execution's own state,
whatever the function returned or raised: ``finally: return``, an exception group or ``except BaseException`` cannot
swallow a suspension.
"""

from __future__ import annotations

import traceback
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from durable_workflows import options, registry, signals
from durable_workflows.context import calling
from durable_workflows.definitions import Definition, Step
from durable_workflows.engine import continuing, each, sagas, steps
from durable_workflows.engine.bodies import watching_writes
from durable_workflows.engine.execution import Execution
from durable_workflows.engine.history import Diverged, Unreadable, arguments
from durable_workflows.engine.services import Conclusion, HandedBack, Services, persistently
from durable_workflows.engine.suspending import suspend
from durable_workflows.engine.wholestep import WholeRun
from durable_workflows.exceptions import (
    ContinuedAsNew,
    ControlFlow,
    LeaseLost,
    NondeterminismError,
    NotSerializable,
    PayloadCorrupted,
    Suspended,
    WorkflowCancelled,
    WorkflowNotRegistered,
)
from durable_workflows.models import claims, dialects, steering
from durable_workflows.models.claims import Claim
from durable_workflows.models.leftovers import NothingLeftOpen
from durable_workflows.models.outcomes import Ending
from durable_workflows.models.runs import Stranded
from durable_workflows.models.transactions import in_autocommit, in_write_transaction
from durable_workflows.serializers import dump_error, dumps


@dataclass(frozen=True, slots=True)
class Came:
    """What came of the user's function: a value, or an exception."""

    value: Any = None
    error: BaseException | None = None


def run_claimed(claim: Claim, services: Services) -> None:
    """Execute a claimed run in this thread, and settle it."""
    try:
        definition = registry.find(claim.name)
    except WorkflowNotRegistered as error:
        _strand(claim, Stranded.NAME, str(error))
        return
    run(definition, claim, services, direct=False, awaited=False)


def run(definition: Definition, claim: Claim, services: Services, direct: bool, awaited: bool = True) -> Came | None:
    """
    Execute a run whose lease is held, and settle it.

    :param awaited: whether the caller, in this thread, waits for the outcome; if not, it may still be on its way.
    :returns: what came of it if its outcome was recorded by this attempt, else None.
    """
    signals.send(signals.run_started, run_id=claim.id, name=claim.name, attempt=claim.attempt)
    following, repeats = claim, each.REPEATS
    while True:
        try:
            execution = Execution(following, services, direct=direct, inline=run)
            execution.repeats = repeats
            sagas.begin_undoing(execution)
            args, kwargs = arguments(following)
        except Unreadable as error:
            _strand(following, Stranded.PAYLOAD, str(error))
            return None
        except LeaseLost:
            return None
        came = _call(execution, definition, args, kwargs)
        going_on = _going_on(execution)
        if going_on is None:
            return _settle(execution, came, awaited)
        repeats = repeats - 1 if isinstance(execution.stopped, each.Repeated) else each.REPEATS
        following = going_on


def _going_on(execution: Execution) -> Claim | None:
    """The claim with which this thread executes the run's body once more, at once; None: the attempt is over."""
    if isinstance(execution.stopped, each.Repeated):
        return each.again(execution)
    return continuing.begin_anew(execution) if isinstance(execution.stopped, ContinuedAsNew) else None


def _call(execution: Execution, definition: Definition, args: list[Any], kwargs: dict[str, Any]) -> Came:
    with options.none_set(), calling(execution):
        try:
            came = Came(_value(execution, definition, args, kwargs))
        except BaseException as error:  # noqa: BLE001  # the one place where whatever a body raises ends
            came = Came(error=error)
        if execution.stopped is not None:
            _let_go(came.error)
            _let_go(execution.stopped)
    if execution.stopped is None:
        try:
            execution.history.check_used_up(execution.branch, execution.position)
        except Diverged as diverged:
            execution.stopped = diverged
    return came


def _let_go(error: BaseException | None) -> None:
    """
    Let go of what the unwound frames hold while the durable calls in it still find the execution, which refuses them.

    A generator that the body keeps in a variable lives as long as the traceback. Closed with it later, it would make the
    calls in its ``finally`` as if there were no workflow: steps would be executed, messages sent.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def _value(execution: Execution, definition: Definition, args: list[Any], kwargs: dict[str, Any]) -> Any:
    if isinstance(definition, Step):
        execution.check()
        return steps.perform(WholeRun(execution, definition), definition, tuple(args), kwargs)
    with NothingLeftOpen(execution.connection, f"The body of {definition.name!r}"), watching_writes(execution):
        try:
            value = definition.func(*args, **kwargs)
        except BaseException as error:
            each.end(execution, error)
            raise
        each.end(execution, None)
        return value


def _settle(execution: Execution, came: Came, awaited: bool) -> Came | None:
    _undo_if_cancelled(execution, came)
    claim, stopped = execution.claim, execution.stopped
    if stopped is None:
        return _finish(execution, came, awaited)
    if isinstance(stopped, Suspended):
        suspend(execution)
    elif isinstance(stopped, HandedBack):
        in_autocommit(claims.hand_back, [claim])
    elif isinstance(stopped, Diverged):
        _strand(claim, Stranded.HISTORY, str(stopped))
        if execution.direct:
            raise NondeterminismError(f"Run {claim.id!r} waits for other code. {stopped}")
    elif isinstance(stopped, Unreadable):
        _strand(claim, Stranded.PAYLOAD, str(stopped))
        if execution.direct:
            raise PayloadCorrupted(f"Run {claim.id!r} waits: {stopped}")
    elif isinstance(stopped, WorkflowCancelled) and execution.sagas.cancelling:
        sagas.conclude(execution)
    return None


def _undo_if_cancelled(execution: Execution, came: Came) -> None:
    """A run that was cancelled has no outcome of its own, nor another turn, and undoes what its last saga has done."""
    if isinstance(execution.stopped, ContinuedAsNew) and sagas.notice(execution):
        execution.stopped = None
    over = execution.stopped is None or isinstance(execution.stopped, WorkflowCancelled)
    if execution.sagas.cancelling and over and not _is_interrupted(execution, came):
        sagas.undo_the_last(execution)
        execution.stopped = execution.stopped or WorkflowCancelled(execution.claim.id)


def _is_interrupted(execution: Execution, came: Came) -> bool:
    """Whether the calling process is being ended: not the run's failure."""
    return execution.direct and isinstance(came.error, (KeyboardInterrupt, SystemExit))


def _finish(execution: Execution, came: Came, awaited: bool) -> Came | None:
    claim = execution.claim
    if came.error is not None and _is_interrupted(execution, came):
        # A worker goes on with it at once.
        in_autocommit(claims.hand_back, [claim])
        raise came.error
    came, ending = _ending(execution, came)
    if not (awaited or execution.ended or claim.parent_id) and _leave(execution, came, ending):
        return None
    return _conclude(execution, came, ending)


def _leave(execution: Execution, came: Came, ending: Ending) -> bool:
    """Have the outcome written beside others. Not a child's: its parent waits for it, which no group can tell."""
    conclusion = Conclusion(
        claim=execution.claim, ending=ending, announce=partial(_announce, execution, came, ending),
        conclude=partial(_conclude, execution, came, ending),
    )  # fmt: skip
    return execution.services.leave(conclusion)


def _conclude(execution: Execution, came: Came, ending: Ending) -> Came | None:
    try:
        ended = execution.ended or execution.persistently(lambda: execution.services.end(ending))
    except ControlFlow:
        return None
    if not ended:
        _refused(execution, came)
        return None
    _announce(execution, came, ending)
    return came


def _refused(execution: Execution, came: Came) -> None:
    """The run is no longer this attempt's; or it was cancelled meanwhile, and this attempt is to undo what it has done."""
    if not sagas.notice(execution):
        with suppress(LeaseLost):  # it may have been paused meanwhile
            persistently(lambda: in_autocommit(claims.hand_back, [execution.claim]), execution.services)
        return
    if execution.is_at_home:
        _settle(execution, came, awaited=True)
    else:  # this thread has other outcomes to write: a replay does it
        in_autocommit(claims.hand_back, [execution.claim])


def _announce(execution: Execution, came: Came, ending: Ending) -> None:
    claim = execution.claim
    execution.services.ring(claim.id)
    signals.send(signals.run_finished, run_id=claim.id, name=claim.name, status=ending.status, error=came.error, note=None)


def _ending(execution: Execution, came: Came) -> tuple[Came, Ending]:
    claim = execution.claim
    if came.error is None:
        try:
            output = dumps(came.value, what=f"result of {claim.name!r}")
            return came, Ending(run_id=claim.id, token=claim.token, output=output)
        except NotSerializable as error:
            came = Came(error=error)
    assert came.error is not None
    record = dump_error(came.error, execution.failures.behind(came.error))
    return came, Ending(run_id=claim.id, token=claim.token, error=record)


def _strand(claim: Claim, reason: Stranded, note: str) -> None:
    connection = dialects.connection()
    in_write_transaction(lambda _: steering.strand(connection, claim.id, claim.token, reason, note))
    signals.send(signals.run_stranded, run_id=claim.id, name=claim.name, reason=note)
