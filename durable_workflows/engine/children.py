"""Children: runs that a workflow's body starts, or calls in its own thread."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import options as start_options
from durable_workflows.definitions import Step, Workflow
from durable_workflows.engine import awaiting
from durable_workflows.engine.operations import Effect, Operation, database
from durable_workflows.engine.starting import Call, Parent, begun, child_id, new_run
from durable_workflows.ids import new_token
from durable_workflows.models import reading, starts
from durable_workflows.models.claims import Claim
from durable_workflows.models.steps import Kind
from durable_workflows.options import StartOptions
from durable_workflows.serializers import dumps

if TYPE_CHECKING:
    from durable_workflows.engine.execution import Execution


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
        return awaiting.result(execution, child, None)
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
    return awaiting.result(execution, child, None)


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
