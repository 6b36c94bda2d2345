"""Finished runs are deleted with their histories: an id that is used again must not find the answers of its predecessor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import F, Model, QuerySet

from durable_workflows.exceptions import InvalidUse
from durable_workflows.states import TERMINAL

BATCH = 500

Counts = tuple[int, dict[str, int]]


def delete_finished(runs: QuerySet[Any]) -> Counts:
    """
    Delete runs and everything that was recorded for them, in one transaction.

    One that is resumed at the same moment is left as it is.

    :returns: what ``QuerySet.delete`` returns.
    :raises InvalidUse: if one has not come to an end; nothing is deleted then.
    """
    ids = []
    for run_id, status in runs.order_by().values_list("pk", "status"):
        if status not in TERMINAL:
            raise InvalidUse(f"Run {run_id!r} is {status} and cannot be deleted. Wait for its end, or cancel it first.")
        ids.append(run_id)
    counts: Counter[str] = Counter()
    with transaction.atomic(using=runs.db):
        for start in range(0, len(ids), BATCH):
            counts.update(delete_some(runs.model, runs.db, sorted(ids[start : start + BATCH])))
    return counts.total(), dict(counts)


def delete_some(model: type[Model], alias: str, run_ids: Sequence[str]) -> Counter[str]:
    """Delete those of these runs that have ended, in the open transaction."""
    rows: QuerySet[Any] = QuerySet(model, using=alias)
    rows.filter(pk__in=run_ids).update(generation=F("generation"))  # locks them; SQLite's transaction begins as a writer
    ended = list(rows.select_for_update().filter(pk__in=run_ids, status__in=TERMINAL).values_list("pk", flat=True))
    return delete_locked(model, alias, ended)


def delete_locked(model: type[Model], alias: str, run_ids: Sequence[str]) -> Counter[str]:
    """Delete finished runs that the open transaction has locked, and what was recorded for them."""
    counts: Counter[str] = Counter()
    for recorded in _histories(model):
        counts.update(QuerySet(recorded, using=alias).filter(run_id__in=run_ids).delete()[1])
    rows: QuerySet[Any] = QuerySet(model, using=alias)
    counts.update(rows.filter(pk__in=run_ids).delete()[1])
    return counts


def _histories(model: type[Model]) -> list[type[Model]]:
    """The models of this app whose rows belong to a run; those of others follow their own ``on_delete``."""
    relations = [relation for relation in model._meta.related_objects if relation.field.name == "run"]
    found = {relation.related_model for relation in relations if not isinstance(relation.related_model, str)}
    return sorted((each for each in found if each._meta.app_label == model._meta.app_label), key=lambda each: each.__name__)
