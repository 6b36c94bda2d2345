"""How runs come into being: one INSERT, in the caller's transaction, idempotent by id."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import signals
from durable_workflows.exceptions import WorkflowConflict
from durable_workflows.models import dialects
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.states import RunState

RUNS = WorkflowRun._meta.db_table
ROWS_PER_INSERT = 500  # times 22 parameters stays below the smallest limit of the vendors


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """
    A run to be inserted.

    :param worker_id: with ``token``, the lease of a run that its starter executes itself; it is then born RUNNING.
    """

    id: str
    name: str
    inputs: str
    queue: str = "default"
    app_version: str = ""
    priority: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict)
    user: str | None = None
    parent_id: str | None = None
    schedule_name: str | None = None
    timeout_seconds: float | None = None
    deadline: datetime | None = None
    max_recovery_attempts: int | None = None
    worker_id: str | None = None
    token: str | None = None
    session: str | None = None


_PLAIN = [
    "id",
    "name",
    "inputs",
    "queue",
    "app_version",
    "priority",
    "attributes",
    "user",
    "parent_id",
    "schedule_name",
    "timeout_seconds",
    "deadline",
    "max_recovery_attempts",
    "status",
    "worker_id",
    "lease_token",
    "session",
    "attempt",
    "recovery_attempts",
    "turn",
]


def insert(connection: BaseDatabaseWrapper, runs: Sequence[NewRun]) -> set[str]:
    """
    Insert runs; those whose id is taken are left as they are.

    :returns: the ids that were inserted.
    :raises WorkflowConflict: if an id belongs to a run of another workflow; nothing is inserted by its statement then.
    """
    inserted: set[str] = set()
    for start in range(0, len(runs), ROWS_PER_INSERT):
        inserted |= _insert_some(connection, runs[start : start + ROWS_PER_INSERT])
    if any(run.worker_id is None for run in runs):
        signals.at_commit(signals.claimable, connection.alias)
    taken = {run.id: run.name for run in runs if run.id not in inserted}
    if taken:
        refuse_other_workflows(connection, taken)
    return inserted


def _insert_some(connection: BaseDatabaseWrapper, runs: Sequence[NewRun]) -> set[str]:
    sql, params = _statement(connection, runs)
    if connection.vendor == "postgresql":
        # A conflict must not break the caller's transaction.
        cursor = dialects.send(connection, f"{sql} ON CONFLICT (id) DO NOTHING RETURNING id", params)
        return {row[0] for row in cursor.fetchall()}
    try:
        dialects.send(connection, sql, params)
    except IntegrityError:
        # One statement's conflict does not end the transaction on the other vendors.
        if len(runs) > 1:
            return set().union(*(_insert_some(connection, [run]) for run in runs))
        if not _names(connection, [runs[0].id]):
            raise
        return set()
    return {run.id for run in runs}


def _statement(connection: BaseDatabaseWrapper, runs: Sequence[NewRun]) -> tuple[str, list[Any]]:
    now, now_params = dialects.moment(connection)
    params: list[Any] = []
    for run in runs:
        params += [*_values(connection, run), *[*now_params] * (4 if run.worker_id else 2)]
    rows = [_row(now, begun=run.worker_id is not None) for run in runs]
    return f"INSERT INTO {RUNS} ({_columns(connection.vendor)}) VALUES {', '.join(rows)}", params


@cache
def _columns(vendor: str) -> str:
    quote = "`{}`" if vendor == "mysql" else '"{}"'
    return ", ".join(map(quote.format, [*_PLAIN, "created_at", "updated_at", "claimed_at", "started_at"]))


@cache
def _row(now: str, *, begun: bool) -> str:
    begins = f"{now}, {now}" if begun else "NULL, NULL"
    return f"({', '.join(['%s'] * len(_PLAIN))}, {now}, {now}, {begins})"


def _values(connection: BaseDatabaseWrapper, run: NewRun) -> list[Any]:
    begun = run.worker_id is not None
    return [
        run.id, run.name, run.inputs, run.queue, run.app_version, run.priority,
        json.dumps(dict(run.attributes)) if run.attributes else None,
        run.user, run.parent_id, run.schedule_name, run.timeout_seconds,
        dialects.write_datetime(connection, run.deadline), run.max_recovery_attempts,
        RunState.RUNNING if begun else RunState.ENQUEUED, run.worker_id, run.token, run.session,
        int(begun), int(begun), 0 if begun else 1,
    ]  # fmt: skip


def refuse_other_workflows(connection: BaseDatabaseWrapper, names: Mapping[str, str]) -> None:
    """Raise ``WorkflowConflict`` if one of these ids is recorded under another name than given."""
    for run_id, name in _names(connection, list(names)).items():
        if name != names[run_id]:
            raise WorkflowConflict(run_id, name, names[run_id])


def _names(connection: BaseDatabaseWrapper, ids: Sequence[str]) -> dict[str, str]:
    """The workflows of these runs by id, as they are committed by now, whatever the transaction has seen before."""
    condition, params = dialects.one_of(connection, "id", ids)
    sql = f"SELECT id, name FROM {RUNS} WHERE {condition}{dialects.past_the_snapshot(connection)}"
    return dict(dialects.run(connection, sql, params).fetchall())
