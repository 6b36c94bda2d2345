"""
Looking at runs: each function is one call through the door, and in a workflow one recorded step.

What a workflow is told is recorded, statuses and steps included, so a replay sees what was seen before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, cast

from durable_workflows import options, runtime
from durable_workflows.filtering import Moment, OneOrMany, run_filter, valid_count
from durable_workflows.serializers import dump_error, load_error, register_type
from durable_workflows.status import ERASED, Erased, StepInfo, WorkflowStatus

T = TypeVar("T", WorkflowStatus, StepInfo)


def list_workflows(  # noqa: PLR0913  # the public door's filters
    *,
    workflow_ids: OneOrMany | None = None,
    status: OneOrMany | None = None,
    name: OneOrMany | None = None,
    app_version: OneOrMany | None = None,
    executor_id: OneOrMany | None = None,
    queue_name: OneOrMany | None = None,
    workflow_id_prefix: OneOrMany | None = None,
    parent_workflow_id: OneOrMany | None = None,
    forked_from: OneOrMany | None = None,
    schedule_name: OneOrMany | None = None,
    user: OneOrMany | None = None,
    start_time: Moment | None = None,
    end_time: Moment | None = None,
    completed_after: Moment | None = None,
    completed_before: Moment | None = None,
    has_parent: bool | None = None,
    was_forked_from: bool | None = None,
    attributes: Mapping[str, Any] | None = None,
    limit: int | None = None,
    offset: int = 0,
    sort_desc: bool = False,
    load_input: bool = True,
    load_output: bool = True,
) -> list[WorkflowStatus]:
    """
    The runs that fit all filters, in the order of their creation, by one query.

    A filter that is left out, or None, asks for nothing. The first eleven take one value or a list, of which any will do; of
    an empty list nothing fits.

    :param executor_id: of the worker, or the setting ``EXECUTOR_ID`` of several.
    :param workflow_id_prefix: with what the id begins, literally.
    :param start_time: created then or later; ``end_time``: or before; datetimes, or ISO 8601 text; naive ones are in UTC.
    :param completed_after: ended then or later; ``completed_before``: or before.
    :param was_forked_from: whether it was the origin of forks.
    :param attributes: contained in the run's: dicts by their keys, at every level, lists by their items.
    :param limit: so many at most, after leaving out ``offset``.
    :param sort_desc: the newest first.
    :param load_input: whether to fetch the arguments; ``load_output``: output and error. If not, they are None.
    :raises InvalidUse: for a value that cannot be what it is.
    """
    return cast("list[WorkflowStatus]", runtime.here().keep("list", {"wanted": run_filter(locals())}))


def list_workflow_steps(workflow_id: str, limit: int | None = None, offset: int = 0) -> list[StepInfo]:
    """
    The recorded steps of a run, in the order of their ids, those of its body first.

    What it did before it was rewound, or began anew, is not among them.

    :param limit: so many at most, after leaving out ``offset``.
    :raises WorkflowNotFound: if there is no such run.
    :raises InvalidUse: for a number of rows that cannot be one.
    """
    most = None if limit is None else valid_count(limit, "limit")
    asked = {"run_id": options.valid_id(workflow_id), "limit": most, "offset": valid_count(offset, "offset")}
    return cast("list[StepInfo]", runtime.here().keep("steps", asked))


def export_workflow(workflow_id: str, children: bool = True) -> dict[str, Any]:
    """
    A run as a document of plain JSON, as it was at one moment: for another database, an archive, or a report of an error.

    Payloads are in it as they are stored, so it holds whatever the run does.

    :param children: with its children, and theirs.
    :raises WorkflowNotFound: if there is no such run.
    """
    asked = {"run_id": options.valid_id(workflow_id), "children": children}
    return cast("dict[str, Any]", runtime.here().keep("export", asked))


def _taken_apart(value: Any) -> dict[str, Any]:
    """The fields; an error as its record, since an exception is no value of its own."""
    parts = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(parts["error"], BaseException):
        parts["error"] = {"record": dump_error(parts["error"])}
    return parts


def _put_together(cls: type[T], parts: Any) -> T:
    error = parts["error"]
    return cls(**{**parts, "error": load_error(error["record"]) if isinstance(error, dict) else error})


register_type(
    WorkflowStatus, "durable_workflows.WorkflowStatus", _taken_apart, lambda parts: _put_together(WorkflowStatus, parts)
)
register_type(StepInfo, "durable_workflows.StepInfo", _taken_apart, lambda parts: _put_together(StepInfo, parts))
register_type(Erased, "durable_workflows.Erased", lambda erased: None, lambda stored: ERASED)
