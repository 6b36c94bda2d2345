"""Runs that fit a filter, as a queryset."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from operator import or_
from typing import Any

from django.db import connections
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Collate, Length
from django.db.models.lookups import Exact, In

from durable_workflows.filtering import RunFilter
from durable_workflows.ids import worker_ids_of
from durable_workflows.models.containment import Contains
from durable_workflows.models.fields import exact_collation
from durable_workflows.models.runs import WorkflowRun, WorkflowRunQuerySet

COLUMNS = {
    "workflow_ids": "pk", "status": "status", "name": "name", "app_version": "app_version", "queue_name": "queue",
    "parent_workflow_id": "parent_id", "forked_from": "forked_from_id", "schedule_name": "schedule_name",
}  # fmt: skip
RANGES = {
    "start_time": "created_at__gte", "end_time": "created_at__lte", "completed_after": "completed_at__gte",
    "completed_before": "completed_at__lte",
}  # fmt: skip


def fitting(alias: str, wanted: RunFilter) -> WorkflowRunQuerySet:
    """The runs that fit, in no order, and all of them: a page or a command puts its own limits."""
    given: dict[str, Callable[[Any], Q]] = {
        **{name: _one_of(column) for name, column in COLUMNS.items()},
        **{name: _compared(lookup) for name, lookup in RANGES.items()},
        "user": lambda names: _of_users(alias, names),
        "executor_id": _of_executors,
        "workflow_id_prefix": lambda prefixes: _any(begins_with("pk", prefix) for prefix in prefixes),
        "has_parent": lambda wish: Q(parent__isnull=not wish),
        "was_forked_from": lambda wish: Q(was_forked_from=wish),
    }
    runs: WorkflowRunQuerySet = WorkflowRun.objects.using(alias)
    for name, condition in given.items():
        if (value := getattr(wanted, name)) is not None:
            runs = runs.filter(condition(value))
    return runs if wanted.attributes is None else runs.filter(Contains("attributes", wanted.attributes))


def listed(alias: str, wanted: RunFilter) -> QuerySet[WorkflowRun]:
    """The same in the order of their creation, those that are asked for; what is not to be loaded is never fetched."""
    order = ("-created_at", "-pk") if wanted.sort_desc else ("created_at", "pk")
    left_out = [*([] if wanted.load_input else ["inputs"]), *([] if wanted.load_output else ["output", "error"])]
    until = None if wanted.limit is None else wanted.offset + wanted.limit
    return fitting(alias, wanted).order_by(*order).defer(*left_out)[wanted.offset : until]


def begins_with(column: str, prefix: str) -> Q:
    """
    That a column's text begins with this one, literally, by its index.

    Not LIKE, which takes upper for lower case on SQLite. These columns are compared by their characters' numbers.
    """
    after = _following(prefix)
    begun = Q(**{f"{column}__gte": prefix})
    return begun if after is None else begun & Q(**{f"{column}__lt": after})


def _following(prefix: str) -> str | None:
    """The first text after all that begin with this one; None: there is none."""
    shorter = prefix.rstrip(LAST)
    if not shorter:
        return None
    number = ord(shorter[-1]) + 1
    return shorter[:-1] + chr(0xE000 if number == 0xD800 else number)  # halves of surrogate pairs are no characters


LAST = "\U0010ffff"


def _one_of(column: str) -> Callable[[Any], Q]:
    return lambda values: Q(**{f"{column}__in": values})


def _compared(lookup: str) -> Callable[[Any], Q]:
    return lambda value: Q(**{lookup: value})


def _of_executors(names: Iterable[str]) -> Q:
    """A worker's id, or the setting ``EXECUTOR_ID`` with which such an id begins."""
    return _any(Q(worker_id=name) | _made_with(name) for name in names)


def _made_with(prefix: str) -> Q:
    """The ids that are made with a prefix: not those of ``pod-2`` with that of ``pod``, which are longer."""
    beginning, length = worker_ids_of(prefix)
    return begins_with("worker_id", beginning) & Q(Exact(Length("worker_id"), length))


def _of_users(alias: str, names: Iterable[str]) -> Q:
    """Names that are the same to the letter; the column is compared by the database's own collation, which may not mind."""
    exact = exact_collation(connections[alias])
    if exact is None or not names:
        return Q(user__in=names)
    return Q(In(Collate(F("user"), exact), names))


def _any(conditions: Iterable[Q]) -> Q:
    return reduce(or_, conditions, Q(pk__in=[]))
