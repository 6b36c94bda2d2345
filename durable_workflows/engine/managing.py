"""An operator's verbs, as a workflow, a step and the world outside carry them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.engine.operations import Effect
from durable_workflows.engine.starting import child_id, stored_arguments
from durable_workflows.models import checkpoints, forking, rewinding, steering
from durable_workflows.models.steps import Kind
from durable_workflows.serializers import dumps, loads

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution


def manage(execution: Execution, verb: str, workflow_ids: Sequence[str], options: Mapping[str, Any]) -> Any:
    """An operator's verb, called in a workflow: a recorded step."""
    operation = execution.operation(f"durable.{verb}_workflow", Kind.MANAGE)
    if operation.recorded:
        return operation.answer()
    only = len(workflow_ids) == 1
    deed = Deed(
        verb, workflow_ids, options,
        lambda number: child_id(execution.claim, *operation.place, None if only else number),
    )  # fmt: skip

    def record(connection: BaseDatabaseWrapper) -> Effect:
        output = dumps(deed.new_ids, what="ids of forks") if deed.new_ids else None
        return Effect(output=output, child_id=deed.new_ids[0] if len(deed.new_ids) == 1 else None)

    def act(connection: BaseDatabaseWrapper) -> Effect:
        effect = Effect(output=dumps(deed(connection), what=f"what {verb} came to"))
        checkpoints.tell(connection, execution.claim, operation.place, effect.output)
        return effect

    # Recorded first: the fence would let nothing pass in a run that has just cancelled itself.
    came = operation.commit(record, then=act)
    for workflow_id in workflow_ids:
        execution.services.ring(workflow_id)
    return came


class Deed:
    """
    One call of one verb, which may be repeated after a lock error or a lost reply and is the same then.

    :param new_id: makes the id of a new run, given which one it is, counted from 1.
    """

    def __init__(
        self, verb: str, workflow_ids: Sequence[str], options: Mapping[str, Any], new_id: Callable[[int], str]
    ) -> None:
        self.new_ids: list[str] = []
        if verb == "fork":
            given = options["workflow_id"]
            self.new_ids = [given] if given is not None else [new_id(number + 1) for number in range(len(workflow_ids))]
            options = {"how": _fork(self.new_ids, **options)}
        self._act = partial(_VERBS[verb], run_ids=workflow_ids, **options, **({"known": {}} if verb in _COMPARED else {}))

    def __call__(self, connection: BaseDatabaseWrapper) -> Any:
        return self._act(connection)


_VERBS: Mapping[str, Callable[..., Any]] = {
    "cancel": steering.cancel,
    "resume": steering.resume,
    "retry": rewinding.retry,
    "rewind": rewinding.rewind,
    "fork": forking.fork,
}
_COMPARED = ("retry", "rewind")  # what they find is compared with what they found when they were first tried


def _fork(  # what ``fork_workflow`` takes
    new_ids: Sequence[str],
    *,
    workflow_id: str | None,
    start_step: int,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    **more: Any,
) -> forking.Fork:
    def edit(name: str, inputs: str | None) -> str:
        before = loads(inputs or "", what=f"arguments of {name!r}") if args is None or kwargs is None else {}
        return stored_arguments(
            name, (before["args"] if args is None else args, before["kwargs"] if kwargs is None else kwargs)
        )

    same = args is None and kwargs is None
    return forking.Fork(new_ids=new_ids, start_step=start_step, edit=None if same else edit, **more)
