"""
Going through many rows: a loop whose cursor commits with what its body wrote, batch by batch.

Each batch is a recorded step whose body is the loop's: a transaction is begun, the rows are read and given out one by one,
and when the next one is asked for after the last, the cursor is written and all is committed. A replay is answered with the
cursors and reads on after the last of them.

The loop's body is not ours to call. When it is left early, its iterator only learns that it is closed, not why. The unfinished
batch is rolled back; and the workflow may not go on from there as if nothing had been, since a replay, which finds no record,
would go through that batch again. An exception that is being handled is recorded in its place, so that the replay raises
it. Without one the loop was left by ``break`` or ``return``, and the next durable call says that it cannot be.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import ref

from durable_workflows import clock, signals
from durable_workflows.conf import config
from durable_workflows.context import Current, calling
from durable_workflows.definitions import Step
from durable_workflows.engine.cursors import Cursor, Found, Source, source_of
from durable_workflows.engine.instep import InStep
from durable_workflows.engine.loose import Loose
from durable_workflows.engine.operations import Effect, FencedOff, Operation
from durable_workflows.exceptions import ControlFlow, InvalidUse, StepRolledBack
from durable_workflows.models.checkpoints import AlreadyRecorded
from durable_workflows.models.step_transaction import StepTransaction
from durable_workflows.models.steps import Kind
from durable_workflows.models.transactions import engine_writes, in_write_transaction, is_lock_error, is_lost_connection
from durable_workflows.serializers import dump_error, dumps

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution
    from durable_workflows.models.claims import Claim

NAME = "durable.durable_each"
REPEATS = 20  # of attempts in which the database rolled a batch back because of another transaction
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 1.0  # seconds


class Repeated(ControlFlow):
    """The database rolled a batch back because of another transaction: the attempt begins again, and comes to it again."""


@dataclass(frozen=True, slots=True)
class Left:
    """
    A batch that was given out and not finished.

    :param operation: its place in the history.
    :param before: the exception that was being handled when it was begun, and is not the loop's.
    """

    operation: Operation
    before: BaseException | None


class _InBatch(InStep):
    """What the loop's body finds when it makes a durable call; ``item`` is the key of the row that it is at."""

    item: Any = None

    def __init__(self, operation: Operation, loop: int) -> None:
        super().__init__(operation, _BATCH, 1)
        self._loop = loop

    def given(self, found: Found) -> Iterator[Any]:
        """Give out the items, each with this as the one that its durable calls find."""
        for self.item, item in found:
            with calling(self):
                yield item

    def current(self) -> Current:
        # A row's own, in whichever batch it comes to stand: by the batch's, an effect would be done for one row of it only.
        key = self.execution.claim.key(self.operation.place[1], f"{self._loop}:{self.item}")
        return replace(super().current(), idempotency_key=key)


_BATCH = Step(name=NAME, func=lambda: None)


def through(execution: Execution, rows: Iterable[Any], batch: int) -> Iterable[Any]:
    """Go through ``rows`` in batches of so many; raises at once if that cannot be done."""
    execution.check()
    loop = Loop(execution, rows, batch)
    execution.loops.append(loop)
    return loop


class Loop:
    """
    The items, in batches that are recorded.

    Its generators are held by the ``for`` statements alone, so that one that is left early is closed at once, and not when
    the body's variables go.
    """

    def __init__(self, execution: Execution, rows: Iterable[Any], size: int) -> None:
        source_of(rows)  # raises for what cannot be gone through
        self._execution = execution
        self._rows = rows
        self._size = size
        self._given_out: list[ref[Generator[Any, None, None]]] = []

    def __iter__(self) -> Iterator[Any]:
        items = self._all()
        self._given_out.append(ref(items))
        return items

    def close(self) -> None:
        """Roll back what a body left unfinished that kept an iterator in a variable."""
        for items in (given() for given in self._given_out):
            if items is not None:
                items.close()

    def _all(self) -> Generator[Any, None, None]:
        cursor, source, first = Cursor(), source_of(self._rows), None
        while not cursor.done:
            operation = self._execution.operation(NAME, Kind.STEP)
            first = first or operation.place[1]
            if operation.recorded:
                cursor = Cursor.of(operation.answer())
            else:
                cursor = yield from self._batch(_InBatch(operation, first), source, cursor)

    def _batch(self, caller: _InBatch, source: Source, cursor: Cursor) -> Generator[Any, None, Cursor]:
        """Give out one batch, and record it; returns the cursor that it leaves."""
        execution, operation, handled = self._execution, caller.operation, sys.exception()
        execution.look()
        transaction = StepTransaction(execution.connection)
        try:
            with transaction:
                found = source.after(cursor, self._size)
                cursor = cursor.behind(found, self._size)
                yield from caller.given(found)
                transaction.check(NAME)
                with engine_writes:
                    self._settle(operation, transaction)
                    operation.write(transaction.connection, Effect(output=dumps(cursor.stored(), what="a loop's cursor")))
        except AlreadyRecorded:
            return Cursor.of(execution.adopt(NAME, operation.place))
        except FencedOff:
            execution.refused()
        except BaseException as error:
            if not transaction.committed:
                operation.loose = Loose()  # what the batch closed is rolled back with it
                execution.left = Left(operation, handled)
                return self._rolled_back(transaction, operation, error)
            if not isinstance(error, Exception):
                raise
            signals.send(signals.hook_failed, run_id=execution.claim.id, step=NAME, error=error)
        if not transaction.committed:
            operation.loose = Loose()
            execution.left = Left(operation, handled)
            raise StepRolledBack(NAME, "it did not commit")
        if operation.loose:
            execution.persistently(lambda: in_write_transaction(operation.settle))
        self._warn_of_long_transaction(transaction)
        return cursor

    @staticmethod
    def _settle(operation: Operation, transaction: StepTransaction) -> None:
        """Close the streams that the batch closed, where its own transaction can; see ``engine.loose``."""
        if operation.loose.settles_inside(transaction.connection):
            operation.settle(transaction.connection)
            operation.loose = Loose()

    def _rolled_back(self, transaction: StepTransaction, operation: Operation, error: BaseException) -> Cursor:
        """The batch is undone, unless its COMMIT was carried out although the reply was lost."""
        if transaction.nested or not is_lost_connection(error) or transaction.closed or transaction.usable():
            raise error
        transaction.connection.close()
        execution, place = self._execution, operation.place
        if not execution.persistently(lambda: (execution.is_recorded(place),))[0]:
            raise error
        execution.left = None
        return Cursor.of(execution.adopt(NAME, place))

    def _warn_of_long_transaction(self, transaction: StepTransaction) -> None:
        seconds, run_id = clock.monotonic() - transaction.entered_at, self._execution.claim.id
        if seconds > config().long_transaction_seconds:
            signals.send(signals.step_held_transaction, run_id=run_id, step=NAME, seconds=seconds)


def account_for(execution: Execution, left: Left) -> None:
    """Before a durable call that follows a loop which was left early: record why, or refuse to go on."""
    error = sys.exception()
    if error is None or error is left.before or not isinstance(error, Exception):
        raise left_early()
    repeat_if_transient(execution, error)
    execution.left = None
    record = dump_error(error)
    left.operation.check_failed(record, left.operation.record(Effect(error=record)))
    execution.failures.note(left.operation.place, error)


def left_early() -> InvalidUse:
    """What a body is told that left a loop and goes on."""
    return InvalidUse(
        "A loop over durable_each() was left before its end, by break, by return, or by an exception that was handled outside"
        " of the loop before the next durable call. What its unfinished batch wrote is rolled back, and a replay could not"
        " tell that it is not to be gone through. Narrow the rows instead, `continue` past the rest, and handle errors inside"
        " the loop, or make the durable calls that follow in the `except` block."
    )


def repeat_if_transient(execution: Execution, error: BaseException | None) -> None:
    """Stop the attempt, to begin again, if the database rolled a batch back because of another transaction or was away."""
    if execution.repeats and is_transient(error):
        execution.stop(Repeated(f"Run {execution.claim.id!r} goes through a batch again."))


def again(execution: Execution) -> Claim:
    """The claim with which the attempt begins again, after a pause, to be answered by what is recorded by now."""
    clock.pause(min(FIRST_PAUSE * 2 ** (REPEATS - execution.repeats), LONGEST_PAUSE))
    claim = execution.claim
    return replace(claim, attempt=claim.attempt + 1, saga=execution.sagas.told)


def is_transient(error: BaseException | None) -> bool:
    return isinstance(error, Exception) and (is_lock_error(error) or is_lost_connection(error))


def close_all(execution: Execution) -> None:
    """Nothing of a loop stays open past the block in which it was begun."""
    for loop in execution.loops:
        loop.close()


def end(execution: Execution, error: BaseException | None) -> None:
    """At the body's end: no loop may have been left without a word."""
    close_all(execution)
    if execution.left is None or execution.stopped is not None:
        return
    if error is None:
        raise left_early()
    repeat_if_transient(execution, error)
