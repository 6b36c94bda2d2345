"""What long workflows need: undoing what was done, beginning anew, and going through many rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, NoReturn, Protocol, Self, TypeVar, cast

from durable_workflows import runtime
from durable_workflows.exceptions import InvalidUse

T = TypeVar("T")


class Saga(Protocol):
    """What ``saga()`` gives to its block."""

    def undo(self, step: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        """
        Register a step that undoes what was done.

        It is called with these arguments if the block fails or is cancelled. Registering records nothing: a replay of the
        body does it again.

        :param step: a function decorated with ``@step``.
        :raises InvalidUse: for anything else, after the block's end, or in a step.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def saga() -> Saga:
    """
    A ``with`` block whose undo steps run, newest first, when it fails, or when the run is cancelled or overdue in it.

    Each undo step is a recorded step with its retries. When one fails for good, the others still run. Then the exception
    that ended the block goes on, with a note for each undo step that failed.

    :raises NotInWorkflow: outside a workflow, or in a step.
    """
    return cast(Saga, runtime.here().saga())


def continue_as_new(*args: Any, **kwargs: Any) -> NoReturn:
    """
    End this execution, and begin the workflow anew under the same id with these arguments and a fresh history.

    Handles go on waiting for the final result. The deadline, unread messages and the latest event of each key stay.

    :raises NotInWorkflow: outside a workflow, or in a step.
    :raises InvalidUse: in a ``saga()`` that has something to undo, which would be forgotten.
    :raises NotSerializable: if an argument cannot be stored.
    """
    runtime.here().continue_as_new(args, kwargs)


def durable_each(rows: Iterable[T], /, batch: int = 100) -> Iterable[T]:
    """
    Go through many rows in a ``for`` loop, in batches: what the loop's body writes commits together with the cursor.

    Recorded batches are not visited again by a replay, so each row is processed exactly once. In the loop's body a step is
    a part of the batch, and what waits is refused, as in a step.

    :param rows: a queryset, which is read by its primary key unless it is ordered by another unique field, or anything
        else that gives the same items in the same order at each replay.
    :param batch: rows in one transaction, and in one record.
    :raises NotInWorkflow: outside a workflow, or in a step.
    :raises InvalidUse: for what cannot be read so, and at the next durable call, or the end of the workflow, if the loop
        was left before its end.
    """
    if type(batch) is not int or batch < 1:
        raise InvalidUse(f"batch is a whole number of at least 1, not {batch!r}.")
    return runtime.here().each(rows, batch)
