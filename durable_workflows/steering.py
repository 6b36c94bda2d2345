"""
What an operator does to runs: the verbs of the management API.

Each verb is one function for one run and one for several, which is all or nothing; in a workflow each is a recorded step.
``models.steering`` and its neighbours carry them out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import MAXYEAR, datetime
from typing import Any

from durable_workflows import options, runtime
from durable_workflows.exceptions import InvalidUse
from durable_workflows.handles import WorkflowHandle
from durable_workflows.queues import valid_name
from durable_workflows.texts import valid_text


def cancel_workflow(workflow_id: str, cancel_children: bool = False) -> None:
    """
    Stop a run at its next durable call; its outcome is refused. A finished run is left as it is.

    :param cancel_children: also its unfinished children, and theirs.
    :raises WorkflowNotFound: if there is no such run.
    """
    act("cancel", [options.valid_id(workflow_id)], {"children": cancel_children})


def cancel_workflows(workflow_ids: Sequence[str], cancel_children: bool = False) -> None:
    """``cancel_workflow`` for several runs: all, or none if one does not exist."""
    act("cancel", _valid_ids(workflow_ids), {"children": cancel_children})


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
    ids = _valid_ids(workflow_ids)
    act("resume", ids, {"queue": queue, "deadline": deadline})
    return [*map(WorkflowHandle, ids)]


def retry_workflow(workflow_id: str) -> WorkflowHandle[Any]:
    """
    Let a failed run go on from the step that failed; what succeeded before is kept.

    That step is done again under the idempotency key that it had. If it was a child of the run that failed, the child is
    tried again in the same way. A block of a saga that was undone is done again from its beginning. Cancelled and given-up
    runs are resumed; all others are left as they are.

    :raises WorkflowNotFound: if there is no such run.
    """
    return retry_workflows([workflow_id])[0]


def retry_workflows(workflow_ids: Sequence[str]) -> list[WorkflowHandle[Any]]:
    """``retry_workflow`` for several runs: all, or none if one does not exist."""
    ids = _valid_ids(workflow_ids)
    act("retry", ids)
    return [*map(WorkflowHandle, ids)]


def fork_workflow(  # noqa: PLR0913  # the public door's parameters
    workflow_id: str,
    start_step: int,
    *,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    queue: str | None = None,
    app_version: str | None = None,
    replacement_children: Mapping[str, str] | None = None,
) -> WorkflowHandle[Any]:
    """
    Make another run that has done what this one did before a step, and does that step and all that follows itself.

    It has the run's arguments, attributes, user, queue and version, and its events and streams as of that step. It has no
    deadline, priority and deduplication id, and messages that were not received stay with the first run. ``SetWorkflowID``
    names it. A run of any state can be forked, one that is running too.

    :param start_step: the position of the first step that is not copied, counted from 1; beyond the last: all are.
    :param args: other positional arguments; None: the same.
    :param kwargs: other keyword arguments; None: the same.
    :param queue: where it queues; None: where the first run does.
    :param app_version: only workers of this ``APP_VERSION`` execute it; None: those that would execute the first run.
    :param replacement_children: ids of children in what is copied, and of those that are to stand there instead.
    :raises WorkflowNotFound: if there is no such run, or no such replacing child.
    :raises InvalidUse: for a step below 1, what cannot be a queue's name or a version, or an id that another run has.
    :raises NotSerializable: if an argument cannot be stored.
    """
    return fork_workflows(
        [workflow_id], start_step, args=args, kwargs=kwargs, queue=queue, app_version=app_version,
        replacement_children=replacement_children,
    )[0]  # fmt: skip


def fork_workflows(  # noqa: PLR0913  # those of fork_workflow
    workflow_ids: Sequence[str],
    start_step: int,
    *,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    queue: str | None = None,
    app_version: str | None = None,
    replacement_children: Mapping[str, str] | None = None,
) -> list[WorkflowHandle[Any]]:
    """``fork_workflow`` for several runs, at the same step and with the same changes: all, or none if one does not exist."""
    ids = _valid_ids(workflow_ids)
    how = {
        "start_step": _valid_step(start_step), "args": _valid_args(args), "kwargs": _valid_kwargs(kwargs),
        "queue": None if queue is None else valid_name(queue), "app_version": _valid_version(app_version),
        "children": _valid_children(replacement_children), "workflow_id": _given_id(ids),
    }  # fmt: skip
    return [*map(WorkflowHandle, act("fork", ids, how))]


def rewind_workflow(workflow_id: str, start_step: int = 1) -> WorkflowHandle[Any]:
    """
    Have a run go back to a step, and do it again with all that followed.

    The records from that step on are deleted, events and streams are as they were before it, and messages that were
    received since are there to be received again. It may be in any state: whoever is executing it can write nothing more.
    What its steps have done elsewhere stays done, and the children that they have started stay as they are.

    :param start_step: the position of the step, counted from 1; beyond the last: nothing is deleted.
    :raises WorkflowNotFound: if there is no such run.
    :raises InvalidUse: for a step below 1, and while the run is being undone by a saga.
    """
    return rewind_workflows([workflow_id], start_step)[0]


def rewind_workflows(workflow_ids: Sequence[str], start_step: int = 1) -> list[WorkflowHandle[Any]]:
    """``rewind_workflow`` for several runs, to the same step: all, or none if one does not exist."""
    ids = _valid_ids(workflow_ids)
    act("rewind", ids, {"start_step": _valid_step(start_step)})
    return [*map(WorkflowHandle, ids)]


def act(verb: str, workflow_ids: Sequence[str], how: Mapping[str, Any] | None = None) -> Any:
    """Carry out a verb whose arguments are checked; returns how many runs it has changed, or the ids that it has made."""
    return runtime.here().manage(verb, workflow_ids, how or {})


def _valid_ids(workflow_ids: Sequence[str]) -> list[str]:
    if isinstance(workflow_ids, str):
        raise InvalidUse(f"Several ids are a list, and not a str: [{workflow_ids!r:.80}].")
    return [*map(options.valid_id, workflow_ids)]


def _valid_step(start_step: Any) -> int:
    if type(start_step) is not int or start_step < 1:
        raise InvalidUse(f"A step is a position, a whole number of at least 1, not {options.shown(start_step)}.")
    return start_step


def _valid_args(args: Any) -> Sequence[Any] | None:
    if args is not None and not isinstance(args, list | tuple):
        raise InvalidUse(f"args are a list or a tuple, one item for each positional argument, not {type(args).__name__}.")
    return args


def _valid_kwargs(kwargs: Any) -> Mapping[str, Any] | None:
    if kwargs is not None and not (isinstance(kwargs, Mapping) and all(isinstance(name, str) for name in kwargs)):
        raise InvalidUse("kwargs are a dict with str keys, the names of keyword arguments.")
    return kwargs


def _valid_version(version: Any) -> str | None:
    return None if version is None else valid_text(version, "A version", options.VERSION_MAX_LENGTH)


def _valid_children(children: Any) -> dict[str, str]:
    if children is not None and not isinstance(children, Mapping):
        raise InvalidUse("replacement_children are a dict: the id of a child, and the id that is to stand there instead.")
    return {options.valid_id(old): options.valid_id(new) for old, new in (children or {}).items()}


def _given_id(workflow_ids: Sequence[str]) -> str | None:
    given = options.taken_id()
    if given is not None and len(workflow_ids) != 1:
        raise InvalidUse(f"SetWorkflowID names one run, and {len(workflow_ids)} are forked. Fork that one by itself.")
    return given
