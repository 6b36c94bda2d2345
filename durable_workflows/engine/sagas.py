"""
Sagas: what undoes the steps of a block, when it fails or is cancelled.

The undo steps are ordinary steps: they take the positions that follow, so a replay is answered with those that are recorded
and goes on with the rest. Where a run was cancelled is a row of its own in its history, since a replay must leave the body
at that place, and not go on to what it had not come to.

A suspension that unwinds the block is no failure, nor is the loss of the lease: what becomes of the block is told by the
execution's own state, as in ``engine.runner``, and not by the exception that leaves it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from durable_workflows import context
from durable_workflows import options as start_options
from durable_workflows.context import calling
from durable_workflows.definitions import Step
from durable_workflows.engine import each
from durable_workflows.engine.history import CANCELLED, is_cancellation
from durable_workflows.engine.operations import Effect, FencedOff, Operation, database
from durable_workflows.engine.services import HandedBack, persistently
from durable_workflows.exceptions import ControlFlow, InvalidUse, LeaseLost, WorkflowCancelled
from durable_workflows.models import cancelling, checkpoints, reading
from durable_workflows.models.checkpoints import AlreadyRecorded
from durable_workflows.models.reading import Recorded
from durable_workflows.models.runs import Saga as Told
from durable_workflows.models.steps import Kind
from durable_workflows.models.transactions import in_autocommit, in_write_transaction
from durable_workflows.states import RunState

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution


class Standing:
    """
    How an attempt stands with its sagas.

    :param told: what the run's row says of them.
    """

    def __init__(self, told: str) -> None:
        self.open: list[Saga] = []
        self.number = 0  # of outermost blocks that were entered
        self.last: Saga | None = None  # an outermost block that ended well, and behind which nothing has happened yet
        self.told = told
        self.cancelling = told == Told.CANCELLED  # the run is cancelled, and this attempt is to undo
        self.marked = False  # its history says so
        self.failures: list[str] = []

    def have_something_to_undo(self) -> bool:
        return any(saga.undos for saga in self.open)


def before_new(execution: Execution) -> None:
    """Before a call that is not recorded: a cancelled run comes no further, and the row has to say whether a saga is open."""
    standing = execution.sagas
    if execution.undoing:
        return
    if standing.cancelling:
        execution.stop(WorkflowCancelled(execution.claim.id))
    told = Told.OPEN if standing.open else Told.CLOSED if standing.told else Told.NONE
    if standing.told == told:
        return
    if not execution.persistently(lambda: in_autocommit(cancelling.tell, execution.claim, told)):
        execution.refused()
    standing.told = told


def meet_cancellation(execution: Execution) -> None:
    """The replay has come to where the run was cancelled; its history tells, should its row have been made to go on."""
    if not execution.sagas.cancelling:
        execution.sagas.cancelling = True
        begin_undoing(execution)
    execution.sagas.marked = True
    execution.stop(WorkflowCancelled(execution.claim.id))


def begin_undoing(execution: Execution) -> None:
    """
    Have a run that was claimed to be undone do nothing else: from now on the fence of other calls lets nothing pass.

    :raises LeaseLost: if it is no longer this attempt's.
    """
    claim = execution.claim
    if execution.sagas.cancelling and not execution.persistently(lambda: in_write_transaction(cancelling.begin, claim)):
        execution.stop(LeaseLost(claim.id))


def notice(execution: Execution) -> bool:
    """After its end was refused: whether the run was cancelled and is this attempt's to undo."""
    claim, standing = execution.claim, execution.sagas

    def look() -> bool:
        return reading.owner(database(), claim.id) == (RunState.CANCELLING, claim.token)

    try:
        standing.cancelling = persistently(look, execution.services, lambda: LeaseLost(claim.id))
    except LeaseLost:
        standing.cancelling = False
    return standing.cancelling


def undo_the_last(execution: Execution) -> None:
    """
    At the attempt's end: undo a block that had ended well, if the run was cancelled before anything came after it.

    Its row said that the saga was open, so whoever cancelled it was promised that it would be undone. So a run whose last
    deed is a saga either succeeds, or is undone.
    """
    last, position = execution.sagas.last, execution.position
    if last is None or not execution.sagas.cancelling or position > last.ended_at + (execution.stopped is not None):
        return
    if execution.stopped is None:
        execution.position += 1  # the place of what did not come any more
        execution.stopped = WorkflowCancelled(execution.claim.id)
    execution.sagas.last = None
    with start_options.none_set(), calling(execution), suppress(ControlFlow):  # what stops it is the attempt's state
        last.undo_all(None)


def conclude(execution: Execution) -> bool:
    """End a run that was cancelled once it is undone; false if it is no longer this attempt's, or was not cancelled."""
    claim, services, standing = execution.claim, execution.services, execution.sagas

    def end() -> bool:
        failures = " ".join(standing.failures)
        return in_write_transaction(lambda db: cancelling.end(db, claim, undone=standing.marked, failures=failures))

    try:
        ended = persistently(end, services, lambda: LeaseLost(claim.id))
    except LeaseLost:
        return False
    if ended:
        services.ring(claim.id)
    return ended


class Saga:
    """One ``with saga()`` block."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._number = 0
        self.began_at = self.ended_at = 0
        self.undos: list[tuple[Step, Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []

    def __enter__(self) -> Self:
        self._execution.check()
        standing = self._execution.sagas
        if not standing.open:
            standing.number, standing.last = standing.number + 1, None
        self._number, self.began_at = standing.number, self._execution.position
        standing.open.append(self)
        return self

    def undo(self, step: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        """Register a step that undoes what was done."""
        execution, definition = self._execution, getattr(step, "durable", None)
        if not isinstance(definition, Step):
            raise InvalidUse(f"A saga is undone by steps. Decorate {step!r} with @step.")
        if execution.stopped is not None:
            raise execution.stopped
        if context.caller() is not execution or self not in execution.sagas.open:
            raise InvalidUse(
                f"The undo step {definition.name!r} was registered outside of its saga's block, or in a step, which a replay"
                " does not execute. Register it in the workflow's body, inside `with saga()`."
            )
        self.undos.append((definition, step, args, kwargs))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        execution = self._execution
        each.close_all(execution)
        if self in execution.sagas.open:
            execution.sagas.open.remove(self)
        if error is None and execution.stopped is None and self.undos and not execution.sagas.open:
            self._end_well()
        if self.undos and self._has_failed(error):
            self.undo_all(error)
            if error is not None and execution.stopped is None:
                execution.failures.note((execution.branch, self.began_at + 1), error, undone=True)
        if error is None and execution.stopped is not None:
            raise execution.stopped  # whatever the block has made of it

    def _end_well(self) -> None:
        """The outermost block has come to its end; unless it is one at whose end the run was found to be cancelled."""
        execution = self._execution
        following = execution.history.peek((execution.branch, execution.position + 1))
        if following is None or not is_cancellation(following) or following.output != str(self._number):
            execution.sagas.last, self.ended_at = self, execution.position
            return
        execution.position += 1
        with suppress(WorkflowCancelled):  # which is raised once it is undone
            meet_cancellation(execution)

    def _has_failed(self, error: BaseException | None) -> bool:
        execution, stopped = self._execution, self._execution.stopped
        if context.caller() is not execution:  # the body is over; this is what lay in a variable
            return False
        if stopped is not None:
            return execution.sagas.cancelling and isinstance(stopped, WorkflowCancelled)
        if error is None or isinstance(error, ControlFlow):
            return False
        if execution.left is not None:
            each.repeat_if_transient(execution, error)
        return not self._is_interrupted(error)

    def _is_interrupted(self, error: BaseException) -> bool:
        """Ctrl-C in a direct call ends its process, and is no failure of the run: a worker goes on with it."""
        return self._execution.direct and isinstance(error, (KeyboardInterrupt, SystemExit))

    def undo_all(self, error: BaseException | None) -> None:
        """Run the undo steps; what stops one of them stops the attempt, and a later one goes on."""
        execution = self._execution
        cancelled, execution.stopped = execution.stopped, None
        was_undoing, execution.undoing = execution.undoing, True
        if cancelled is not None:
            _mark_cancelled(execution)
        while self.undos:
            definition, step, args, kwargs = self.undos.pop()
            try:
                step(*args, **kwargs)
            except BaseException as failure:  # it is recorded with its step; the others must run
                if isinstance(failure, ControlFlow) or self._is_interrupted(failure):
                    raise
                self._note(f"Undo step {definition.name!r} failed: {type(failure).__name__}: {failure}", cancelled or error)
        execution.stopped, execution.undoing = cancelled, was_undoing

    def _note(self, failure: str, raised: BaseException | None) -> None:
        self._execution.sagas.failures.append(failure)
        if raised is not None:
            raised.add_note(failure)


def _mark_cancelled(execution: Execution) -> None:
    """Record where the run was cancelled, in the place of the call that was refused."""
    if execution.sagas.marked:
        return
    place, effect = (execution.branch, execution.position), Effect(output=str(execution.sagas.number))
    operation = Operation(execution, CANCELLED, Kind.MANAGE, place, None)
    try:
        execution.persistently(lambda: in_write_transaction(lambda db: operation.write(db, effect)))
    except AlreadyRecorded:
        _adopt(execution, operation)
    except FencedOff:
        execution.stop(LeaseLost(execution.claim.id))
    execution.sagas.marked = True


def _adopt(execution: Execution, operation: Operation) -> None:
    """The place has a row: the mark itself, or the call after all, whose COMMIT reply was lost: it is to be undone too."""
    claim, place = execution.claim, operation.place
    row = execution.persistently(lambda: checkpoints.recorded(database(), claim.id, claim.generation, place))
    if row is None or not is_cancellation(Recorded(row.name, row.kind, None, None, None)):
        execution.stop(HandedBack(claim.id))
