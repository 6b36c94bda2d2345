"""
Runs as a document: what is in it, and how one is made.

A document is plain JSON, and has a version. It holds the rows of runs as they are, payloads as they are stored, moments as ISO
text in UTC; what belongs to a process of this database alone (a lease) is left out::

    {"format": "durable_workflows.runs", "version": 1, "workflow_id": "...",
     "runs": [{"id": "...", "name": "...", ..., "steps": [{"position": 1, ...}], "attempts": [...], "waits": [...],
               "messages": [...], "events": [...], "streams": [...], "stream_entries": [...]}, ...]}
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Model, QuerySet

from durable_workflows.exceptions import WorkflowNotFound
from durable_workflows.models.events import Event
from durable_workflows.models.keeping import batches
from durable_workflows.models.messages import Message
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.snapshots import snapshot
from durable_workflows.models.steering import with_children
from durable_workflows.models.steps import StepAttempt, StepRun
from durable_workflows.models.streams import Stream, StreamEntry
from durable_workflows.models.waits import Wait

FORMAT, VERSION = "durable_workflows.runs", 1
SECTIONS: dict[str, type[Model]] = {
    "steps": StepRun, "attempts": StepAttempt, "waits": Wait, "messages": Message, "events": Event, "streams": Stream,
    "stream_entries": StreamEntry,
}  # fmt: skip
OWN = {"lease_token", "session"}

Record = dict[str, Any]


@cache
def columns(model: type[Model]) -> dict[str, Field[Any, Any]]:
    """The columns of a table that a document holds, by name; which run a row belongs to is told by its place."""
    fields = {field.attname: field for field in model._meta.concrete_fields if model is WorkflowRun or not field.primary_key}
    return {name: field for name, field in fields.items() if name not in {*OWN, "run_id"}}


def export(connection: BaseDatabaseWrapper, run_id: str, *, children: bool = True) -> Record:
    """
    A run as a document, as it was at one moment.

    :param children: with its children, and theirs.
    :raises WorkflowNotFound: if there is no such run.
    """
    with snapshot(connection):
        family = with_children(connection, {run_id}) if children else {run_id}
        runs = [run for ids in batches(family) for run in _runs(connection, ids)]
    if run_id not in {run["id"] for run in runs}:
        raise WorkflowNotFound(run_id)
    runs.sort(key=lambda run: (run["id"] != run_id, run["created_at"], run["id"]))
    return {"format": FORMAT, "version": VERSION, "workflow_id": run_id, "runs": runs}


def _runs(connection: BaseDatabaseWrapper, ids: list[str]) -> Iterable[Record]:
    runs = list(_records(QuerySet(WorkflowRun, using=connection.alias).filter(pk__in=ids)))
    for section, model in SECTIONS.items():
        by_run: defaultdict[str, list[Record]] = defaultdict(list)
        rows: QuerySet[Any] = QuerySet(model, using=connection.alias)
        for row in _records(rows.filter(run_id__in=ids).order_by("pk"), "run_id"):
            by_run[row.pop("run_id")].append(row)
        for run in runs:
            run[section] = by_run[run["id"]]
    return runs


def _records(rows: QuerySet[Any], *beside: str) -> Iterable[Record]:
    model: type[Model] = rows.model
    for row in rows.values(*columns(model), *beside):
        yield {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
