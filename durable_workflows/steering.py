"""
What an operator does to runs: the verbs of the management API.

Each verb is one function for one run and one for several, which is all or nothing; in a workflow each is a recorded step.
``models.steering`` and its neighbours carry them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import MAXYEAR, datetime
from typing import Any

from durable_workflows import options, runtime
from durable_workflows.exceptions import InvalidUse
from durable_workflows.handles import WorkflowHandle
from durable_workflows.queues import valid_name


def cancel_workflow(workflow_id: str, cancel_children: bool = False) -> None:
    """
    Stop a run at its next durable call; its outcome is refused. A finished run is left as it is.

    :param cancel_children: also its unfinished children, and theirs.
    :raises WorkflowNotFound: if there is no such run.
    """
    runtime.here().manage("cancel", [options.valid_id(workflow_id)], {"children": cancel_children})


def cancel_workflows(workflow_ids: Sequence[str], cancel_children: bool = False) -> None:
    """``cancel_workflow`` for several runs: all, or none if one does not exist."""
    runtime.here().manage("cancel", [*map(options.valid_id, workflow_ids)], {"children": cancel_children})


def resume_workflow(workflow_id: str, queue: str | None = None, deadline: datetime | None = None) -> WorkflowHandle[Any]:
    """
    Let any unfinished, cancelled or dead run go on now, its deadline and its count of recoveries cleared.

    One that is running, or has finished, is left as it is.

    :param queue: move it to this queue; None leaves it where it is.
    :param deadline: cancel it at this moment, an aware datetime; None: never.
    :raises WorkflowNotFound: if there is no such run.
    :raises InvalidUse: if the queue or the deadline cannot be one.
    """
    return resume_workflows([workflow_id], queue, deadline)[0]


def resume_workflows(
    workflow_ids: Sequence[str], queue: str | None = None, deadline: datetime | None = None
) -> list[WorkflowHandle[Any]]:
    """``resume_workflow`` for several runs: all, or none if one does not exist."""
    if queue is not None:
        valid_name(queue)
    if deadline is not None and not (isinstance(deadline, datetime) and deadline.tzinfo and deadline.year < MAXYEAR):
        raise InvalidUse(f"A deadline is an aware datetime before the year {MAXYEAR}, not {deadline!r}.")
    runtime.here().manage("resume", [*map(options.valid_id, workflow_ids)], {"queue": queue, "deadline": deadline})
    return [WorkflowHandle(workflow_id) for workflow_id in workflow_ids]
