"""
What an operator does to runs: the verbs of the management API.

Each verb is one function for one run and one for several, which is all or nothing; in a workflow each is a recorded step.
``models.steering`` and its neighbours carry them out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import MAXYEAR, datetime
from typing import Any, cast

from durable_workflows import options, runtime
from durable_workflows.exceptions import InvalidUse
from durable_workflows.filtering import RunFilter, run_filter
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


def pause_workflow(workflow_id: str) -> None:
    """
    Let a run go no further, until ``unpause_workflow``; a finished run, or one that is being cancelled, is left as it is.

    What waits is paused at once. A running one begins nothing more; the call that is under way ends, and its record counts.
    What is sent to it, or happens for it, meanwhile is not lost, and its deadline holds. It gives its place in its queue to
    others, unless the queue is one with ``waiting="hold"``.

    :raises WorkflowNotFound: if there is no such run.
    """
    pause_workflows([workflow_id])


def pause_workflows(workflow_ids: Sequence[str]) -> None:
    """``pause_workflow`` for several runs: all, or none if one does not exist."""
    runtime.here().keep("pause", {"run_ids": _ids(workflow_ids)})


def unpause_workflow(workflow_id: str) -> None:
    """
    Let a paused run go on from its last record; one that is delayed, at its moment. One not paused is left as it is.

    :raises WorkflowNotFound: if there is no such run.
    """
    unpause_workflows([workflow_id])


def unpause_workflows(workflow_ids: Sequence[str]) -> None:
    """``unpause_workflow`` for several runs: all, or none if one does not exist."""
    runtime.here().keep("unpause", {"run_ids": _ids(workflow_ids)})


def delete_workflow(workflow_id: str, delete_children: bool = False) -> None:
    """
    Delete a finished run with all that was recorded for it; its id is free then.

    :param delete_children: also its children, and theirs, which must have finished too.
    :raises WorkflowNotFound: if there is no such run.
    :raises InvalidUse: if one has not come to an end; nothing is deleted then.
    """
    delete_workflows([workflow_id], delete_children)


def delete_workflows(workflow_ids: Sequence[str], delete_children: bool = False) -> None:
    """``delete_workflow`` for several runs: all, or none if one does not exist or has not come to an end."""
    runtime.here().keep("delete", {"run_ids": _ids(workflow_ids), "children": delete_children})


def update_attributes(workflow_id: str, attrs: Mapping[str, Any] | None, merge: bool = False) -> None:
    """
    Give a run other attributes, in whatever state it is.

    :param attrs: a dict of JSON values with str keys; None: none.
    :param merge: keep those of the old ones that ``attrs`` does not name.
    :raises WorkflowNotFound: if there is no such run.
    :raises InvalidUse: if it is no dict with str keys.
    :raises NotSerializable: if a value is not strictly JSON.
    """
    given = None if attrs is None else options.SetWorkflowAttributes(attrs).attributes
    runtime.here().keep("describe", {"run_ids": _ids([workflow_id]), "attributes": given, "merge": merge})


def set_delay(workflow_id: str, delay: float | datetime) -> None:
    """
    Have a run that has not begun start later, or sooner.

    :param delay: seconds from now, 0 for at once; or an aware datetime.
    :raises WorkflowNotFound: if there is no such run.
    :raises InvalidUse: if it has begun, or ``delay`` cannot be one.
    """
    until = _aware(delay, "A delay") if isinstance(delay, datetime) else None
    seconds = 0.0 if isinstance(delay, datetime) else options.valid_seconds(delay, "A delay")
    runtime.here().keep("put_off", {"run_ids": _ids([workflow_id]), "seconds": seconds, "until": until})


def erase_payloads(workflow_id: str | Sequence[str], erase_children: bool = True) -> list[str]:
    """
    Erase for good what finished runs hold of a person, and keep that they were: ids, names, states and times.

    :param workflow_id: the id of a run, or a list of ids: all, or none if one does not exist or has not come to an end.
    :param erase_children: also their children, and the runs forked from them, which hold copies; and theirs.
    :returns: the ids of all runs that were erased.
    :raises WorkflowNotFound: if there is no such run.
    :raises InvalidUse: if one has not come to an end; nothing is erased then.
    """
    ids = [workflow_id] if isinstance(workflow_id, str) else workflow_id
    return cast("list[str]", runtime.here().keep("erase", {"run_ids": _ids(ids), "copies": erase_children}))


def erase_payloads_where(
    *, attributes: Mapping[str, Any] | None = None, user: str | None = None, erase_children: bool = True
) -> list[str]:
    """
    ``erase_payloads`` for all runs that have these attributes, or were started on behalf of this user.

    :param attributes: as in ``list_workflows``; with ``user`` too, both must fit. At least one is needed.
    :raises InvalidUse: if neither is given, or a run that fits has not come to an end; nothing is erased then.
    """
    if not attributes and user is None:
        raise InvalidUse("erase_payloads_where() was not told of whom: give attributes, or a user, or both.")
    wanted: RunFilter = run_filter({"attributes": attributes, "user": user})
    return cast("list[str]", runtime.here().keep("erase_fitting", {"wanted": wanted, "copies": erase_children}))


def import_workflow(document: Mapping[str, Any], paused: bool = True) -> WorkflowHandle[Any]:
    """
    Write the runs of a document that ``export_workflow`` made, all or none, into this database.

    :param paused: import what has not finished PAUSED: executed in two databases, it would do everything twice. See to it
        that it does not go on where it came from, then ``unpause_workflow``. False: let it go on here at once.
    :returns: the handle of the run that was exported.
    :raises InvalidUse: if it is no such document, or of another version.
    :raises WorkflowConflict: if there is a run of one of the ids.
    :raises Deduplicated: if a run of the queue holds the deduplication id of one that has not finished.
    """
    return WorkflowHandle(runtime.here().keep("import", {"document": document, "paused": paused}))


def _ids(workflow_ids: Sequence[str]) -> list[str]:
    if isinstance(workflow_ids, (str, Mapping)) or not isinstance(workflow_ids, Sequence):
        raise InvalidUse(f"The ids of runs are a list of str, not {type(workflow_ids).__name__} {workflow_ids!r:.80}.")
    return [*map(options.valid_id, workflow_ids)]


def _aware(moment: datetime, what: str) -> datetime:
    if not (moment.tzinfo and moment.utcoffset() is not None and moment.year < MAXYEAR):
        raise InvalidUse(f"{what} is an aware datetime before the year {MAXYEAR}, not {moment!r}.")
    return moment
