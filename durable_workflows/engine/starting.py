"""From a definition, arguments and options to the row of a new run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import registry
from durable_workflows.conf import config
from durable_workflows.definitions import Definition, Step, Workflow
from durable_workflows.exceptions import InvalidUse, WorkflowNotRegistered
from durable_workflows.ids import new_run_id
from durable_workflows.models import starts
from durable_workflows.models.claims import Claim
from durable_workflows.models.newruns import NewRun
from durable_workflows.options import ID_MAX_LENGTH, INHERIT, StartOptions
from durable_workflows.queues import Queue
from durable_workflows.serializers import dumps

Call = tuple[Sequence[Any], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """What a child takes from the run that starts it."""

    id: str
    child_id: str
    deadline: datetime | None
    user: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """With what a run is born that its starter executes itself."""

    worker_id: str | None = None
    token: str | None = None
    session: str | None = None


NO_LEASE = Lease()


def new_run(
    target: Workflow | Step | str, call: Call, options: StartOptions, parent: Parent | None = None, lease: Lease = NO_LEASE
) -> NewRun:
    """
    The row of a run to be started.

    :raises NotSerializable: if an argument cannot be stored.
    """
    name = target if isinstance(target, str) else target.name
    definition = _known(target)
    workflow = definition if isinstance(definition, Workflow) else None
    timeout, deadline = _limits(workflow, options, parent)
    queue = options.queue or (workflow.queue if workflow else "default")
    priority = options.priority or 0
    ageing = _ageing(queue)
    return NewRun(
        id=options.workflow_id or (parent.child_id if parent else new_run_id()),
        name=name,
        inputs=stored_arguments(name, call),
        queue=queue,
        partition=options.partition_key or "",
        app_version=_version(workflow, options),
        priority=priority,
        rank=0 if ageing else priority,
        sooner=-priority * ageing,
        delay=options.delay or 0.0,
        deduplication_id=options.deduplication_id,
        attributes=options.attributes,
        user=options.user or (parent.user if parent else None),
        parent_id=parent.id if parent else None,
        timeout_seconds=timeout,
        deadline=deadline,
        max_recovery_attempts=workflow.max_recovery_attempts if workflow else 100,
        worker_id=lease.worker_id,
        token=lease.token,
        session=lease.session,
    )


def _version(workflow: Workflow | None, options: StartOptions) -> str:
    if options.app_version is not None:
        return options.app_version
    return workflow.version if workflow and workflow.version is not None else config().app_version


def _ageing(queue: str) -> float:
    """
    Seconds of waiting that make up for one step of priority in a queue; 0: none do.

    All age alike, so that whoever overtakes whom is decided when they arrive: it is as if a run of lower priority had come
    that much later. No row is touched while it waits.
    """
    declared = Queue.declared.get(queue)
    return declared.priority_ageing or 0.0 if declared else 0.0


def _known(target: Workflow | Step | str) -> Definition | None:
    if not isinstance(target, str):
        return target
    try:
        return registry.find(target)
    except WorkflowNotRegistered:
        return None  # another process may know it; its run waits visibly until one does


def _limits(workflow: Workflow | None, options: StartOptions, parent: Parent | None) -> tuple[float | None, datetime | None]:
    """The run's own time, which counts from its claim, and the deadline of its parent: the sooner of the two holds."""
    if options.timeout is None:
        return None, None
    own = (workflow.timeout if workflow else None) if options.timeout is INHERIT else options.timeout
    return own, parent.deadline if parent else None  # type: ignore[return-value]  # own is not INHERIT


def inserted(connection: BaseDatabaseWrapper, run: NewRun, options: StartOptions) -> str:
    """Insert a run; returns its id, or that of the run that stands for it. Raises ``Deduplicated``."""
    return starts.insert_unless_duplicate(connection, run, reject=options.duplication_policy == "reject")


def new_runs(
    target: Workflow | Step | str, calls: Sequence[Call], options: StartOptions, parent_of: Callable[[int], Parent | None]
) -> list[NewRun]:
    """
    The rows of several runs that are started at once.

    :param parent_of: what the run of a number, counted from 1, takes from the run that starts it.
    :raises InvalidUse: for an id that all of them would have.
    """
    one_for_all = {"SetWorkflowID": options.workflow_id, "deduplication_id": options.deduplication_id}
    if asked := [name for name, value in one_for_all.items() if value is not None]:
        raise InvalidUse(f"start_many() starts several runs, and {asked[0]} is for one. Start that one by itself.")
    return [new_run(target, call, options, parent_of(number)) for number, call in enumerate(calls, 1)]


def begun(run: NewRun, now: Callable[[], datetime]) -> NewRun:
    """A run that its starter executes at once: its own time counts from now."""
    if run.timeout_seconds is None:
        return run
    own = now() + timedelta(seconds=run.timeout_seconds)
    return replace(run, deadline=min(own, run.deadline or own))


def stored_arguments(name: str, call: Call) -> str:
    """
    The arguments of a call as a run's row has them.

    :raises NotSerializable: if one cannot be stored.
    """
    args, kwargs = call
    return dumps({"args": list(args), "kwargs": dict(kwargs)}, what=f"arguments of {name!r}")


def child_id(claim: Claim, branch: str, position: int, number: int | None = None) -> str:
    """
    The id of a child: the same in each replay, another one after a retry, which has another generation.

    :param number: which one it is of those that a step starts.
    """
    generation = [f"g{claim.generation}"] if claim.generation else []
    parts = [claim.id, *generation, *([branch] if branch else []), str(position), *([str(number)] if number else [])]
    full = "-".join(parts)
    if len(full) <= ID_MAX_LENGTH:
        return full
    return f"{full[: ID_MAX_LENGTH - 65]}-{hashlib.sha256(full.encode()).hexdigest()}"
