"""
Erasing what runs hold of a person, and keeping that they were.

Names, ids, states and times stay, so that statistics and lineage do. What somebody passed, returned, raised, sent, published
or wrote beside it is replaced in place: a payload by a mark that the codec knows and no value is written with, an error by its
class alone, plain texts by nothing. Only finished runs: another one would need what it loses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, Q, QuerySet

from durable_workflows.exceptions import WorkflowNotFound
from durable_workflows.filtering import RunFilter
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.events import Event
from durable_workflows.models.filtering import fitting
from durable_workflows.models.keeping import batches, locked_family, refuse_unfinished
from durable_workflows.models.messages import Message
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.steps import StepAttempt, StepRun
from durable_workflows.models.streams import StreamEntry
from durable_workflows.serializers import erased, erased_error

PAYLOADS: tuple[tuple[type[Model], str], ...] = (
    (WorkflowRun, "inputs"), (WorkflowRun, "output"), (StepRun, "output"), (Message, "payload"), (Event, "value"),
    (StreamEntry, "value"),
)  # fmt: skip
ERRORS: tuple[tuple[type[Model], str], ...] = ((WorkflowRun, "error"), (StepRun, "error"), (StepAttempt, "error"))
AT_ONCE = 500


def erase(connection: BaseDatabaseWrapper, run_ids: Sequence[str], *, copies: bool = True) -> list[str]:
    """
    Erase what finished runs hold, of all of them or none.

    :param copies: also of their children, which were given parts of it, and of their forks; and of theirs.
    :returns: the ids of all runs that were erased.
    :raises WorkflowNotFound: if an id is unknown, :raises InvalidUse: if one has not come to an end.
    """
    family = locked_family(connection, run_ids, _with_copies if copies else None)
    refuse_unfinished(connection, family, "erased")
    for ids in batches(family):
        _erase_some(connection, ids)
    return sorted(family)


def erase_fitting(connection: BaseDatabaseWrapper, wanted: RunFilter, *, copies: bool = True) -> list[str]:
    """The same for all runs that fit."""
    try:
        return erase(connection, list(fitting(connection.alias, wanted).values_list("pk", flat=True)), copies=copies)
    except WorkflowNotFound:  # deleted meanwhile: the others are still there
        return erase(connection, list(fitting(connection.alias, wanted).values_list("pk", flat=True)), copies=copies)


def _with_copies(connection: BaseDatabaseWrapper, run_ids: Iterable[str]) -> set[str]:
    family = generation = set(run_ids)
    while generation:
        made = [WorkflowRun.objects.using(connection.alias).filter(Q(parent__in=ids) | Q(forked_from__in=ids))
                for ids in batches(generation)]  # fmt: skip
        generation = {run_id for rows in made for run_id in rows.values_list("pk", flat=True)} - family
        family = family | generation
    return family


def _erase_some(connection: BaseDatabaseWrapper, ids: Sequence[str]) -> None:
    for model, column in PAYLOADS:
        _of(connection, model, ids).exclude(**{column: None}).update(**{column: erased()})
    for model, column in ERRORS:
        _erase_errors(_of(connection, model, ids).exclude(**{column: None}), column)
    _of(connection, Message, ids).update(idempotency_key=None)
    _of(connection, WorkflowRun, ids).update(
        attributes=None, user=None, note=None, progress_text=None, deduplication_id=None, deduplication_lock=None,
        partition_key="", updated_at=DatabaseNow(),
    )  # fmt: skip


def _of(connection: BaseDatabaseWrapper, model: type[Model], ids: Sequence[str]) -> QuerySet[Any]:
    column = "pk" if model is WorkflowRun else "run_id"
    rows: QuerySet[Any] = QuerySet(model, using=connection.alias)
    return rows.filter(**{f"{column}__in": ids})


def _erase_errors(rows: QuerySet[Any], column: str) -> None:
    by_class: defaultdict[str, list[Any]] = defaultdict(list)
    for pk, error in rows.order_by("pk").values_list("pk", column).iterator(AT_ONCE):
        by_class[erased_error(error)].append(pk)
    for mark, pks in by_class.items():
        for start in range(0, len(pks), AT_ONCE):
            QuerySet(rows.model, using=rows.db).filter(pk__in=pks[start : start + AT_ONCE]).update(**{column: mark})
