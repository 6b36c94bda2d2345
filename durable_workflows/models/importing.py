"""
A document of ``models.archive`` becomes rows: all of it, or none.

It may come from anywhere, so each value is checked against the column that is to hold it, before the first row is written.
Nothing in it is called, imported or run by a name; what its payloads say is decoded when the run is executed, by the codec.

A run in two databases is executed twice, payments included. So what has not finished is imported PAUSED: whoever lets it go on
here sees to it that it does not go on there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, QuerySet, UniqueConstraint

from durable_workflows import signals
from durable_workflows.exceptions import Deduplicated, InvalidUse, WorkflowConflict
from durable_workflows.models import dialects
from durable_workflows.models.archive import FORMAT, SECTIONS, VERSION, columns
from durable_workflows.models.incoming import checked_row, defaults_of, listed, mapping
from durable_workflows.models.messages import Message
from durable_workflows.models.runs import Stranded, Turn, WorkflowRun
from durable_workflows.models.steps import StepAttempt, StepRun
from durable_workflows.models.waits import Wait
from durable_workflows.states import TERMINAL, RunState

RUNS = WorkflowRun._meta.db_table
ROWS_PER_INSERT = 200


@dataclass(frozen=True, slots=True)
class Incoming:
    """A document that was checked: rows that were not written yet, by table; those of runs first."""

    root: str
    rows: Mapping[type[Model], Sequence[Any]]

    @property
    def runs(self) -> Sequence[WorkflowRun]:
        return self.rows[WorkflowRun]


def checked(document: Any, *, paused: bool) -> Incoming:
    """
    The rows of a document.

    :raises InvalidUse: if it is none, is of another version, or holds what a column cannot.
    """
    given = mapping(document, "The document", {"format", "version", "workflow_id", "runs"})
    if (given["format"], given["version"]) != (FORMAT, VERSION) or isinstance(given["version"], bool):
        raise InvalidUse(
            f"The document is no export of runs in the version {VERSION} of the format {FORMAT!r}, but says format"
            f" {given['format']!r:.80}, version {given['version']!r:.80}. Export it with the version that is to import it."
        )
    tables: list[type[Model]] = [WorkflowRun, *SECTIONS.values()]
    rows: dict[type[Model], list[Any]] = {model: [] for model in tables}
    for number, record in enumerate(listed(given["runs"], "The document's runs"), 1):
        _take(record, f"run {number}", rows)
    _check_family(given["workflow_id"], rows[WorkflowRun])
    begun = _begun(rows)
    for run in rows[WorkflowRun]:
        if run.pk in begun and run.forked_from_id is None:  # a fork's history is looked for at its first claim, too
            run.attempt = max(run.attempt, 1)
        _settle(run, paused=paused)
    _refuse_twins(WorkflowRun, rows[WorkflowRun], "the document's runs")
    return Incoming(given["workflow_id"], rows)


def _take(record: Any, where: str, rows: dict[type[Model], list[Any]]) -> None:
    given = mapping(record, where, {*columns(WorkflowRun), *SECTIONS}, defaults_of(WorkflowRun))
    run = checked_row(WorkflowRun, {name: given[name] for name in columns(WorkflowRun)}, where)
    rows[WorkflowRun].append(run)
    for section, model in SECTIONS.items():
        made = []
        for number, row in enumerate(listed(given[section], f"{where}: {section}"), 1):
            place = f"{where}: {section}, {number}"
            told = mapping(row, place, set(columns(model)), defaults_of(model))
            made.append(checked_row(model, told, place, run_id=run.pk))
        _refuse_twins(model, made, f"{where}: {section}")
        if any(getattr(row, "generation", 0) > run.generation for row in made):
            raise InvalidUse(f"Cannot import {where}: {section}: a generation is greater than {run.generation}, the run's own.")
        rows[model] += made


def _refuse_twins(model: type[Model], rows: Sequence[Any], where: str) -> None:
    for constraint in model._meta.constraints:
        names = constraint.fields if isinstance(constraint, UniqueConstraint) else ()
        # All are of one run, which need not be asked of its row.
        keys = [tuple(getattr(row, name) for name in names if name != "run") for row in rows if names]
        keys = [key for key in keys if None not in key]
        if len(set(keys)) < len(keys):
            raise InvalidUse(f"Cannot import {where}: two rows have the same {', '.join(names)}.")


def _begun(rows: Mapping[type[Model], Sequence[Any]]) -> set[str]:
    """The runs that have done something: a first claim of theirs would not look for it, and do it again."""
    received = [message for message in rows[Message] if message.consumed_position is not None]
    return {row.run_id for row in (*rows[StepRun], *rows[StepAttempt], *rows[Wait], *received)}


def _check_family(root: Any, runs: Sequence[WorkflowRun]) -> None:
    ids = [run.pk for run in runs]
    if len(set(ids)) < len(ids):
        raise InvalidUse("The document holds two runs of the same id.")
    if not isinstance(root, str) or root not in ids:
        raise InvalidUse("The document does not hold the run that its workflow_id names.")
    for run in runs:
        if run.pk != root and run.parent_id not in ids:
            raise InvalidUse(f"The document holds the run {run.pk!r}, which is no child of any other in it.")
        if (run.status in TERMINAL) != (run.completed_at is not None):
            raise InvalidUse(f"Run {run.pk!r} is {run.status} in the document, which does not fit its completed_at.")
    _refuse_circles({run.pk: run.parent_id for run in runs})


def _refuse_circles(parents: Mapping[str, str | None]) -> None:
    sound: set[str] = set()
    for run_id in parents:
        way: set[str] = set()
        above: str | None = run_id
        while above is not None and above in parents and above not in sound:
            if above in way:
                raise InvalidUse(f"The run {above!r} is its own parent in the document, or that of one above it.")
            way.add(above)
            above = parents[above]
        sound |= way


def _settle(run: WorkflowRun, *, paused: bool) -> None:
    """Put a row into the state in which it is imported."""
    if run.status in TERMINAL:
        run.deduplication_lock = None
        return
    keeps_moment = run.status in (RunState.DELAYED, RunState.PAUSED)
    run.due_at = run.due_at if keeps_moment else None  # the others look at their waits again
    run.worker_id, run.holds_slot, run.suspect = None, False, False
    run.turn = Turn.BEGUN if run.attempt else Turn.NEW
    run.stranded = Stranded.NO if run.stranded == Stranded.NAME else run.stranded  # this database's workers decide
    if paused or run.status == RunState.PAUSED:
        run.status = RunState.PAUSED
        # It may have been finished where it came from: nothing cancels it here, and undoes that, before it is let go on. Its
        # own timeout begins anew then. Nor does it keep a schedule from its next run.
        run.deadline, run.schedule_name = None, None
    elif run.status != RunState.DELAYED:
        run.status = RunState.ENQUEUED


def insert(connection: BaseDatabaseWrapper, incoming: Incoming) -> None:
    """
    Write all rows, in the open transaction.

    :raises WorkflowConflict: if a run of one of the ids is there, :raises Deduplicated: or holds a deduplication id of one.
    """
    _refuse_conflicts(connection, incoming.runs)
    try:
        with transaction.atomic(using=connection.alias):
            for model, rows in incoming.rows.items():
                QuerySet(model, using=connection.alias).bulk_create(rows, batch_size=ROWS_PER_INSERT)
    except IntegrityError:
        _refuse_conflicts(connection, incoming.runs)  # which came meanwhile
        raise
    signals.at_commit(signals.claimable, connection.alias)


def is_there(connection: BaseDatabaseWrapper, incoming: Incoming) -> bool:
    """Whether these very runs are there: written by a transaction whose COMMIT reply was lost."""
    found = WorkflowRun.objects.using(connection.alias).in_bulk([run.pk for run in incoming.runs])
    same = ("name", "inputs", "created_at", "generation")
    return len(found) == len(incoming.runs) and all(
        getattr(found[run.pk], name) == getattr(run, name) for run in incoming.runs for name in same
    )


def _refuse_conflicts(connection: BaseDatabaseWrapper, runs: Sequence[WorkflowRun]) -> None:
    latest = dialects.past_the_snapshot(connection)
    for run in runs:
        sql = f"SELECT name FROM {RUNS} WHERE id = %s{latest}"
        if row := dialects.run(connection, sql, [run.pk]).fetchone():
            cure = "Delete the run that is there first, if it is the same."
            raise WorkflowConflict(run.pk, row[0], run.name, "imported", cure)
        if run.deduplication_lock is None:
            continue
        sql = f"SELECT id FROM {RUNS} WHERE queue = %s AND deduplication_lock = %s{latest}"
        if row := dialects.run(connection, sql, [run.queue, run.deduplication_lock]).fetchone():
            raise Deduplicated(row[0], run.queue, run.deduplication_lock)
