"""
Starting a run. Its id makes it idempotent: asked for again, the same run is answered with, and 200 in the place of 201.

The row, and its entry in the log, are one transaction, which is committed before the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import options, registry, runtime
from durable_workflows.api import audit
from durable_workflows.api.endpoints import Answer, Call, Endpoint
from durable_workflows.api.fields import LEFT_OUT, Field
from durable_workflows.api.handles import handle_of
from durable_workflows.api.kinds import ATTRIBUTES, ID, LIST, OBJECT, QUEUE, SECONDS, TIMEOUT, choice, filled, whole
from durable_workflows.api.problems import CONFLICT, DEDUPLICATED, NOT_FOUND, Problem
from durable_workflows.api.run_shapes import HANDLE
from durable_workflows.definitions import Workflow
from durable_workflows.engine.starting import new_run
from durable_workflows.exceptions import WorkflowNotRegistered
from durable_workflows.models import WorkflowRun, starts
from durable_workflows.models.newruns import NewRun
from durable_workflows.models.transactions import in_write_transaction
from durable_workflows.options import StartOptions
from durable_workflows.queues import Queue

OF_QUEUES = (
    "priority", "deduplication_id", "duplication_policy", "delay", "queue_partition_key", "app_version",
)  # fmt: skip


def start_run(call: Call) -> Answer:
    """Start a workflow that this process knows, unless there is a run of the id already."""
    values = call.values
    workflow = _workflow(values["workflow"])
    how = _options(values, call.user)
    run = new_run(workflow, (values["args"], values["kwargs"]), how)
    runtime.local()  # hears of what becomes claimable, and hints to the workers

    def deed(connection: BaseDatabaseWrapper) -> Answer:
        run_id, is_new = _started(connection, run, how)
        if is_new:
            rows = WorkflowRun.objects.using(connection.alias).filter(pk=run_id)
            audit.log(call.user, "Started by the API.", rows, audit.ADDITION)
        return Answer(handle_of(run_id), 201, run=run_id) if is_new else Answer(handle_of(run_id))

    return in_write_transaction(deed)


def _workflow(name: str) -> Workflow:
    """Steps are parts of workflows, and not for others to start."""
    try:
        found = registry.find(name)
    except WorkflowNotRegistered:
        found = None
    if not isinstance(found, Workflow):
        detail = f"No workflow is registered as {name!r} in the process that answers. Give the whole name, as its runs have it."
        raise Problem(NOT_FOUND, detail, parameter="workflow")
    return found


def _options(values: Mapping[str, Any], user: Any) -> StartOptions:
    with ExitStack() as blocks:
        for block in _blocks(values, user):
            blocks.enter_context(block)
        declared = Queue.declared.get(values["queue"])
        return declared.options() if declared else options.taken(values["queue"])


def _blocks(values: Mapping[str, Any], user: Any) -> Iterator[AbstractContextManager[None]]:
    yield options.SetWorkflowUser(user)
    yield options.SetWorkflowAttributes(values["attributes"])
    yield options.SetEnqueueOptions(**{name: values[name] for name in OF_QUEUES})
    if values["timeout"] is not LEFT_OUT:
        yield options.SetWorkflowTimeout(values["timeout"])
    if values["workflow_id"] is not None:
        yield options.SetWorkflowID(values["workflow_id"])


def _started(connection: BaseDatabaseWrapper, run: NewRun, how: StartOptions) -> tuple[str, bool]:
    """The id of the run that stands for this start, and whether it came to be by it."""
    if starts.insert(connection, [run]):
        return run.id, True
    was_there = starts.is_there(connection, run.id)
    run_id = starts.insert_unless_duplicate(connection, run, reject=how.duplication_policy == "reject")
    return run_id, run_id == run.id and not was_there  # the run that held the deduplication id may have ended meanwhile


ENDPOINTS = (
    Endpoint(
        method="POST", path="runs", name="start_run", permission="start_workflowrun", act=start_run, shape=HANDLE,
        statuses=(200, 201), key="workflow_id", problems=(NOT_FOUND, CONFLICT, DEDUPLICATED),
        body=(
            Field("workflow", filled(), "The name of a registered workflow.", required=True),
            Field("args", LIST, "Positional arguments, plain JSON.", default=[]),
            Field("kwargs", OBJECT, "Keyword arguments, plain JSON.", default={}),
            Field("workflow_id", ID, "The run's id, by which a repetition is known; left out: a new one."),
            Field("queue", QUEUE, "Left out: the workflow's own."),
            Field("timeout", TIMEOUT, "Seconds until it is cancelled; null: none.", False, LEFT_OUT),
            Field("attributes", ATTRIBUTES, "To search for it by.", default={}),
            Field("priority", whole(1), "Lower goes first. Needs a queue, as an id for deduplication, a delay and a key do."),
            Field("deduplication_id", filled(), "At most one unfinished run of the queue has it."),
            Field("duplication_policy", choice("reject", "return-existing"), "What a second one meets."),
            Field("delay", SECONDS, "Seconds before which it is not started."),
            Field("queue_partition_key", filled(), "The partition of a queue that has partitions."),
            Field("app_version", filled(options.VERSION_MAX_LENGTH), "Only workers of this version execute it."),
        ),
        about="Start a workflow.\n\n201: there is a new run. 200: there was a run of this id, or one that holds the"
        " deduplication id, and nothing was started. 409: the id is that of another workflow's run. It runs on behalf of the"
        " user who asks.",
    ),
)  # fmt: skip
