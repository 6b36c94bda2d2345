"""A debounced start, as a workflow's body, a step and the world outside make it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.debouncing import Debounce
from durable_workflows.definitions import Step, Workflow
from durable_workflows.engine.operations import Effect
from durable_workflows.engine.starting import Call, Parent, child_id, new_run
from durable_workflows.models import putting_off
from durable_workflows.models.newruns import NewRun
from durable_workflows.models.steps import Kind
from durable_workflows.options import ID_MAX_LENGTH, StartOptions
from durable_workflows.serializers import dumps

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution

Target = Workflow | Step | str


def debounced_run(target: Target, call: Call, options: StartOptions, wish: Debounce, parent: Parent | None = None) -> NewRun:
    """The run that a first call makes. Raises ``NotSerializable``."""
    run = new_run(target, call, replace(options, delay=wish.seconds), parent)
    return replace(run, deduplication_id=_id(run.name, wish.key))


def _id(name: str, key: str) -> str:
    full = f"debounce-{name}-{key}"
    return full if len(full) <= ID_MAX_LENGTH else f"debounce-{hashlib.sha256(full.encode()).hexdigest()}"


def debounce(execution: Execution, target: Target, call: Call, options: StartOptions, wish: Debounce) -> str:
    """Debounce from a workflow's body: a recorded step. The run has no deadline of its caller's, who is one among many."""
    operation = execution.operation("durable.debounce", Kind.START)
    if operation.recorded:
        return str(operation.answer())
    claim = execution.claim
    parent = Parent(id=claim.id, child_id=child_id(claim, *operation.place), deadline=None, user=claim.user)
    try:
        run = debounced_run(target, call, options, wish, parent)
    except Exception as error:  # noqa: BLE001  # encoding runs users' code; whatever it raises is recorded
        operation.fail(error)

    def put_off(connection: BaseDatabaseWrapper) -> Effect:
        child = putting_off.put_off(connection, run, wish.period, wish.timeout)
        return Effect(output=dumps(child, what="id of a child"), child_id=child)

    return str(operation.commit(put_off))
