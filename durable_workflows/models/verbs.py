"""An operator's verbs for all runs of a queryset, in chunks of which each is one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import QuerySet

from durable_workflows import context, steering
from durable_workflows.exceptions import InvalidUse, WorkflowNotFound

CHUNK = 500  # runs whose rows are locked at once


def act_on(runs: QuerySet[Any], verb: str, how: Mapping[str, Any] | None = None) -> int:
    """
    Carry a verb out for runs, in the order of their ids; one that is deleted meanwhile is passed over.

    :returns: how many were changed.
    :raises InvalidUse: in a workflow's body, whose replay may find other runs than are recorded.
    """
    caller = context.caller()
    current = caller.current() if caller else None
    if current is not None and current.step_id is None:
        raise InvalidUse(
            f"{verb}() of a queryset was called in a workflow's body, and a replay may find other runs there. Call"
            f" {verb}_workflows(ids) with ids that a step has returned, or call it in a step."
        )
    return sum(_act(ids, verb, how) for ids in _chunks(runs))


def _chunks(runs: QuerySet[Any]) -> Iterator[list[str]]:
    """The ids, a few at a time: what a chunk changes may leave the queryset, so the next one is looked up behind it."""
    if runs.query.is_sliced:
        some = sorted(runs.values_list("pk", flat=True))
        yield from (some[start : start + CHUNK] for start in range(0, len(some), CHUNK))
        return
    found = runs.order_by("pk").values_list("pk", flat=True)
    ids = list(found[:CHUNK])
    while ids:
        yield ids
        ids = list(found.filter(pk__gt=ids[-1])[:CHUNK])


def _act(ids: list[str], verb: str, how: Mapping[str, Any] | None) -> int:
    while ids:
        try:
            return int(steering.act(verb, ids, how))
        except WorkflowNotFound as gone:
            ids = [run_id for run_id in ids if run_id != gone.workflow_id]
    return 0
