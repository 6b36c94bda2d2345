"""
A call of a step: answered from the history, or executed, tried again, and recorded.

The body and the record that it is done commit together. ``StepTransaction`` finds out whether there is a transaction at
all; the checkpoint goes into it, or, after a body that touched nothing, is one statement by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from durable_workflows import clock, signals
from durable_workflows.conf import config
from durable_workflows.context import calling
from durable_workflows.definitions import Step
from durable_workflows.engine.instep import InStep
from durable_workflows.engine.loose import Loose
from durable_workflows.engine.operations import Effect, FencedOff, Operation, database
from durable_workflows.exceptions import (
    LeaseLost,
    NotSerializable,
    StepRetriesExceeded,
    StepRolledBack,
    StepTimeout,
)
from durable_workflows.models import reading
from durable_workflows.models.checkpoints import AlreadyRecorded, RecordedLast
from durable_workflows.models.failures import Failure, record_failure
from durable_workflows.models.leftovers import NothingLeftOpen
from durable_workflows.models.step_transaction import StepTransaction
from durable_workflows.models.steps import Kind, StepAttempt
from durable_workflows.models.transactions import (
    engine_writes,
    in_write_transaction,
    is_lock_error,
    is_lost_connection,
    is_out_of_room,
)
from durable_workflows.models.waking import WaitFor, forget
from durable_workflows.serializers import dump_error, dumps, error_summary, load_error

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution

REPEATS = 20  # of a body that the database rolled back because of another transaction
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 1.0  # seconds


def call(execution: Execution, step: Step, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a step from a workflow's body."""
    operation = execution.operation(step.name, Kind.STEP)
    if operation.recorded:
        return operation.answer()
    return perform(operation, step, args, kwargs)


def perform(operation: Operation, step: Step, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Execute a step until it is recorded, well or not; its pauses may suspend the run."""
    errors = _earlier_errors(operation, step)
    _sit_out_pause(operation)
    operation.execution.look()
    while True:
        attempt = _Attempt(operation, step, args, kwargs, number=len(errors) + 1)
        try:
            done = attempt.run()
        except Exception as error:  # noqa: BLE001  # whatever a body raises is an attempt that failed
            operation.loose = Loose()
            errors.append(error)
            _pause(operation, _failed(operation, step, errors))
            operation.execution.check()
            operation.execution.look()
            continue
        if not done.recorded:
            stands = operation.record(done.effect, attempt.number)
            return done.value if stands == done.effect else operation.value(stands)
        if operation.loose:
            operation.execution.persistently(lambda: in_write_transaction(operation.settle))
        return done.value


def _earlier_errors(operation: Operation, step: Step) -> list[BaseException]:
    claim = operation.execution.claim
    if not (step.retry.allowed and claim.has_history):
        return []
    rows = operation.execution.persistently(lambda: reading.failures(database(), claim, *operation.place))
    return [_earlier(row) for row in rows]


def _earlier(row: StepAttempt) -> BaseException:
    error = load_error(row.error)  # an exception may be falsy
    return RuntimeError(f"attempt {row.attempt} failed with {error_summary(row.error)[0]}") if error is None else error


@dataclass(frozen=True, slots=True)
class _Done:
    value: Any
    effect: Effect
    recorded: bool


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One execution of a step's body."""

    operation: Operation
    step: Step
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    number: int

    def run(self) -> _Done:
        if not self.step.atomic:
            value, effect = self._body()
            return _Done(value, effect, False)
        for repeat in range(REPEATS):
            done = self._in_transaction(last=repeat == REPEATS - 1)
            if done is not None:
                return done
            clock.pause(min(FIRST_PAUSE * 2**repeat, LONGEST_PAUSE))
            self.operation.execution.check()
            self.operation.execution.look(0)  # what rolled it back may be that the run was paused, cancelled or taken over
        raise AssertionError("the last repeat returns or raises")

    def _body(self) -> tuple[Any, Effect]:
        operation, step = self.operation, self.step
        began, operation.loose = clock.monotonic(), Loose(self.number)
        with (
            NothingLeftOpen(operation.execution.connection, f"Step {step.name!r}"),
            calling(InStep(operation, step, self.number)),
        ):
            value = step.func(*self.args, **self.kwargs)
        if step.timeout is not None and clock.monotonic() - began > step.timeout:
            raise StepTimeout(step.name, step.timeout)
        return value, Effect(output=dumps(value, what=f"result of step {step.name!r}"))

    def _in_transaction(self, *, last: bool) -> _Done | None:
        """The body in its transaction; None if the database rolled it back and it is to be repeated."""
        transaction, inside = StepTransaction(self.operation.execution.connection), False
        value, effect = None, Effect()
        try:
            with transaction:
                value, effect = self._body()
                transaction.check(self.step.name)
                if inside := transaction.touched():
                    with engine_writes:
                        self._settle(transaction)
                        self.operation.write(transaction.connection, effect, self.number)
        except AlreadyRecorded:
            return _Done(self.operation.execution.adopt(self.operation.name, self.operation.place), effect, True)
        except FencedOff:
            self.operation.execution.refused()
        except Exception as error:  # noqa: BLE001  # sorted out, and raised again unless repeated or recorded
            if not (inside and transaction.committed):
                return self._rolled_back(transaction, error, last)
            signals.send(signals.hook_failed, run_id=self.operation.execution.claim.id, step=self.step.name, error=error)
        if inside and not transaction.committed:
            raise StepRolledBack(self.step.name, "it did not commit")
        self._warn_of_long_transaction(transaction, inside)
        return _Done(value, effect, inside)

    def _settle(self, transaction: StepTransaction) -> None:
        operation = self.operation
        if operation.loose.settles_inside(transaction.connection):
            operation.settle(transaction.connection)
            operation.loose = Loose()

    def _rolled_back(self, transaction: StepTransaction, error: Exception, last: bool) -> _Done | None:
        if transaction.nested or last:
            raise error
        if is_lock_error(error) or is_out_of_room(error):
            return None
        if not is_lost_connection(error) or transaction.closed or transaction.usable():
            raise error
        # The COMMIT may have been carried out although its reply was lost: look before doing it again.
        transaction.connection.close()
        execution, place = self.operation.execution, self.operation.place
        if not execution.persistently(lambda: (execution.is_recorded(place),))[0]:
            return None
        return _Done(execution.adopt(self.operation.name, place), Effect(), True)

    def _warn_of_long_transaction(self, transaction: StepTransaction, inside: bool) -> None:
        seconds = clock.monotonic() - transaction.entered_at
        if inside and seconds > config().long_transaction_seconds:
            run_id = self.operation.execution.claim.id
            signals.send(signals.step_held_transaction, run_id=run_id, step=self.step.name, seconds=seconds)


def _failed(operation: Operation, step: Step, errors: list[BaseException]) -> float:
    """Record a failed attempt and return the pause before the next; raise if there is none."""
    error, attempt, policy = errors[-1], len(errors), step.retry
    retry = _is_wanted(operation, step, error)
    if policy.allowed and retry and attempt < policy.max_attempts:
        pause = policy.pause_after(attempt)
        _record_attempt(operation, attempt, error, pause)
        _announce(operation, attempt, error, pause)
        return pause
    _announce(operation, attempt, error, None)
    if not policy.allowed:
        operation.fail(error)
    return _give_up(operation, attempt, error, StepRetriesExceeded(step.name, attempt, errors) if retry else error)


def _is_wanted(operation: Operation, step: Step, error: BaseException) -> bool:
    """Whether the error is one to retry. A ``should_retry`` that fails says no: the step's own error is to be recorded."""
    try:
        return step.retry.wants(error) and not isinstance(error, NotSerializable)
    except Exception as mistake:  # noqa: BLE001  # it is the user's code and may raise anything
        signals.send(signals.should_retry_failed, run_id=operation.execution.claim.id, step=step.name, error=mistake)
        return False


def _give_up(operation: Operation, attempt: int, error: BaseException, final: BaseException) -> NoReturn:
    if final is not error:
        final.__cause__ = error
    record = dump_error(final)

    def work(connection: Any) -> Effect:
        _insert_attempt(operation, connection, attempt, error, None)
        return Effect(error=record)

    operation.check_failed(record, operation.commit(work, attempt, quietly=True))
    operation.raise_as_recorded(final, record)


def _record_attempt(operation: Operation, attempt: int, error: BaseException, pause: float) -> None:
    def work(connection: Any) -> None:
        _insert_attempt(operation, connection, attempt, error, pause)
        if operation.pending():
            forget(connection, operation.execution.claim, *operation.place)

    execution = operation.execution
    try:
        execution.persistently(lambda: in_write_transaction(work))
    except FencedOff:
        execution.refused()
    except AlreadyRecorded:
        if not execution.persistently(lambda: _is_own(operation, attempt, error)):
            execution.stop(LeaseLost(execution.claim.id))
    execution.forget_wait(operation.place)
    if execution.heard == -math.inf:
        execution.look()


def _is_own(operation: Operation, attempt: int, error: BaseException) -> bool:
    """Whether a recorded attempt is this one, whose COMMIT reply was lost, and not another owner's."""
    rows = reading.failures(database(), operation.execution.claim, *operation.place)
    return any(row.attempt == attempt and row.error == dump_error(error) for row in rows)


def _insert_attempt(operation: Operation, connection: Any, attempt: int, error: BaseException, pause: float | None) -> None:
    step = replace(operation.checkpoint(Effect()), error=dump_error(error))
    generation = operation.execution.claim.generation
    try:
        if not record_failure(connection, Failure(step=step, generation=generation, attempt=attempt, retry_in=pause)):
            raise FencedOff
    except RecordedLast:
        operation.execution.heard = -math.inf


def _announce(operation: Operation, attempt: int, error: BaseException, pause: float | None) -> None:
    run_id = operation.execution.claim.id
    signals.send(signals.step_failed, run_id=run_id, step=operation.name, attempt=attempt, error=error, retry_in=pause)


def _sit_out_pause(operation: Operation) -> None:
    """Go on waiting if the run was woken in a pause between two attempts."""
    waiting = operation.execution.waits.get(operation.place)
    if waiting is not None and waiting.kind == Kind.RETRY and waiting.left is not None:
        _pause(operation, waiting.left)


def _pause(operation: Operation, seconds: float) -> None:
    operation.waits_since = clock.monotonic()
    branch, position = operation.place
    wait = WaitFor(kind=Kind.RETRY, branch=branch, position=position, seconds=seconds)
    operation.wait([wait], lambda: False, timeout=seconds)
