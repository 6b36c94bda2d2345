"""An operator's verbs, as a workflow and the world outside carry them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.engine.operations import Effect
from durable_workflows.models import steering
from durable_workflows.models.steps import Kind

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution


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
