"""Children: runs that a workflow's body starts, or calls in its own thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import options as start_options
from durable_workflows.definitions import Step, Workflow
from durable_workflows.engine import awaiting
from durable_workflows.engine.operations import Effect, Operation, database
from durable_workflows.engine.starting import Call, Parent, begun, child_id, inserted, new_run, new_runs
from durable_workflows.ids import new_token
from durable_workflows.models import reading, starts
from durable_workflows.models.claims import Claim
from durable_workflows.models.newruns import NewRun
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
        child = inserted(connection, run, options)
        return Effect(output=dumps(child, what="id of a child"), child_id=child)

    started = str(operation.commit(insert))
    execution.started_here.add(started)
    return started


def start_many(execution: Execution, target: Workflow | Step | str, calls: Sequence[Call], options: StartOptions) -> list[str]:
    """Start several runs: one recorded step, in one transaction with all their rows."""
    operation = execution.operation("durable.start_many", Kind.START)
    if operation.recorded:
        return list(operation.answer())
    claim, place = execution.claim, operation.place

    def parent_of(number: int) -> Parent:
        return Parent(id=claim.id, child_id=child_id(claim, *place, number), deadline=claim.deadline, user=claim.user)

    try:
        runs = new_runs(target, calls, options, parent_of)
    except Exception as error:  # noqa: BLE001  # encoding runs users' code; whatever it raises is recorded
        operation.fail(error)
    ids = [run.id for run in runs]

    def insert(connection: BaseDatabaseWrapper) -> Effect:
        starts.insert(connection, runs)
        return Effect(output=dumps(ids, what="ids of children"))

    operation.commit(insert)
    execution.started_here.update(ids)
    return ids


def _child(
    execution: Execution, operation: Operation, target: Workflow | Step | str, call: Call, options: StartOptions
) -> NewRun:
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
    born: list[str] = []

    def insert(connection: BaseDatabaseWrapper) -> Effect:
        born[:] = starts.insert(connection, [lease])
        return Effect(output=dumps(run.id, what="id of a child"), child_id=run.id)

    child = str(operation.commit(insert))
    execution.started_here.add(child)
    if born or _is_there(execution, lease):
        execution.run_inline(workflow, claim_of(lease))
    return awaiting.result(execution, child, None)


def _is_there(execution: Execution, lease: NewRun) -> bool:
    """Whether what has taken the id is this very call, inserted by a transaction whose COMMIT reply was lost."""
    return execution.persistently(lambda: reading.holds(database(), lease.id, lease.token or ""))


def claim_of(run: NewRun) -> Claim:
    """The lease that a run was born with."""
    return Claim(
        id=run.id, name=run.name, inputs=run.inputs, queue=run.queue, attempt=1, generation=0, deadline=run.deadline,
        parent_id=run.parent_id, user=run.user, forked_from=None, fan_in=0, recovery_attempts=1, token=run.token or "",
        worker_id=run.worker_id or "",
    )  # fmt: skip
