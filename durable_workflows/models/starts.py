"""How runs come into being: one INSERT, in the caller's transaction, idempotent by id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.db import IntegrityError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import signals
from durable_workflows.exceptions import Deduplicated, WorkflowConflict
from durable_workflows.models import bulk, dialects
from durable_workflows.models.newruns import PLAIN, TIMES, NewRun, times, values
from durable_workflows.models.runs import WorkflowRun

RUNS = WorkflowRun._meta.db_table
ROWS_PER_INSERT = 500  # times 30 parameters stays below the smallest limit of the vendors


def insert(connection: BaseDatabaseWrapper, runs: Sequence[NewRun]) -> set[str]:
    """
    Insert runs; those whose id is taken, or whose deduplication id is held, are left as they are.

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
    if connection.vendor == "postgresql":
        # A conflict must not break the caller's transaction.
        sql, params = _statement(connection, runs) if len(runs) == 1 else bulk.statement(runs)
        cursor = dialects.send(connection, f"{sql} ON CONFLICT DO NOTHING RETURNING id", params)
        return {row[0] for row in cursor.fetchall()}
    try:
        dialects.send(connection, *_statement(connection, runs))
    except IntegrityError:
        # One statement's conflict does not end the transaction on the other vendors.
        if len(runs) > 1:
            return set().union(*(_insert_some(connection, [run]) for run in runs))
        if not _names(connection, [runs[0].id]) and runs[0].deduplication_id is None:
            raise
        return set()
    return {run.id for run in runs}


def insert_unless_duplicate(connection: BaseDatabaseWrapper, run: NewRun, *, reject: bool = True) -> str:
    """
    Insert a run, unless an unfinished run of its queue holds its deduplication id.

    A run that is there under this very id is no duplicate: it is the same start, made again.

    :param reject: what a duplicate meets: an error, or the id of the run that holds it.
    :returns: the id of the run that stands for this start.
    :raises Deduplicated: for a duplicate that is rejected.
    """
    for _ in range(ENOUGH):
        if insert(connection, [run]) or _names(connection, [run.id]):
            return run.id
        holder = _holder(connection, run)
        if holder is not None and reject:
            raise Deduplicated(holder, run.queue, run.deduplication_id or "")
        if holder is not None:
            return holder
    raise OperationalError(f"Runs that hold the deduplication id {run.deduplication_id!r} came and went. Try again.")


def is_there(connection: BaseDatabaseWrapper, run_id: str) -> bool:
    """Whether a run has this id by now."""
    return bool(_names(connection, [run_id]))


ENOUGH = 100  # looks at a holder that had ended each time


def _holder(connection: BaseDatabaseWrapper, run: NewRun) -> str | None:
    sql = f"SELECT id FROM {RUNS} WHERE queue = %s AND deduplication_lock = %s{dialects.past_the_snapshot(connection)}"
    row = dialects.run(connection, sql, [run.queue, run.deduplication_id]).fetchone()
    return None if row is None else str(row[0])


def _statement(connection: BaseDatabaseWrapper, runs: Sequence[NewRun]) -> tuple[str, list[Any]]:
    if len(runs) == 1:
        return _statement_for_one(connection, runs[0])
    rows: list[str] = []
    params: list[Any] = []
    for number, run in enumerate(runs):
        moments = [dialects.moment(connection, seconds) if seconds is not None else _NULL for seconds in times(run, number)]
        rows.append(_row(len(PLAIN), tuple(sql for sql, _ in moments)))
        params += [*values(run, dialects.write_datetime(connection, run.deadline)), *(p for _, ps in moments for p in ps)]
    return f"{_insert_into(connection.vendor, (*PLAIN, *TIMES))} VALUES {', '.join(rows)}", params


_NULL: tuple[str, tuple[Any, ...]] = ("NULL", ())


def _statement_for_one(connection: BaseDatabaseWrapper, run: NewRun) -> tuple[str, list[Any]]:
    """The same for one run, whose columns are left out that have their defaults: half of them, as a rule."""
    written = zip(PLAIN, values(run, dialects.write_datetime(connection, run.deadline)), strict=True)
    plain = [(name, value) for name, value in written if value or (value == 0 and name in _ZERO_SAYS_SOMETHING)]
    moments = [(name, dialects.moment(connection, s)) for name, s in zip(TIMES, times(run, 0), strict=True) if s is not None]
    into = _insert_into(connection.vendor, (*(name for name, _ in plain), *(name for name, _ in moments)))
    row = _row(len(plain), tuple(sql for _, (sql, _) in moments))
    return f"{into} VALUES {row}", [*(value for _, value in plain), *(p for _, (_, params) in moments for p in params)]


_ZERO_SAYS_SOMETHING = ("turn", "max_recovery_attempts")  # the one is 1 by default, to the other nothing is no limit


@lru_cache(256)
def _insert_into(vendor: str, columns: tuple[str, ...]) -> str:
    quote = "`{}`" if vendor == "mysql" else '"{}"'
    return f"INSERT INTO {RUNS} ({', '.join(map(quote.format, columns))})"


@lru_cache(256)
def _row(plain: int, moments: tuple[str, ...]) -> str:
    return f"({', '.join([*['%s'] * plain, *moments])})"


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
