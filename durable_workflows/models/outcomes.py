"""
The end of a run: one compare-and-set on its status and lease token.

Most runs are awaited by nobody, and end by one autocommit UPDATE that says so (``NOT awaited``). A waiter sets
``awaited`` under the row's lock, so a run that somebody waits for takes the longer way: in one transaction it ends and
wakes its waiters. The lease token stays on the ended row, as evidence for the attempt whose COMMIT reply was lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.models import dialects
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.steps import Kind
from durable_workflows.models.transactions import in_write_transaction, write_transaction
from durable_workflows.models.waking import wake
from durable_workflows.states import RunState

RUNS = WorkflowRun._meta.db_table
UNAWAITED = "AND NOT awaited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """
    A run's outcome on its way to its row.

    :param is_step: whether it is that of a step which is the whole run: like the record of any step that was under way when
        the run was paused, it still counts.
    """

    run_id: str
    token: str
    output: str | None = None
    error: str | None = None
    is_step: bool = False

    @property
    def status(self) -> RunState:
        return RunState.SUCCESS if self.error is None else RunState.ERROR


def end(connection: BaseDatabaseWrapper, ending: Ending) -> bool:
    """
    End a run; false if it is no longer this attempt's.

    Repeating it after a lost reply is safe, and answers true.
    """
    if _update(connection, ending, UNAWAITED):
        return True
    return in_write_transaction(end_inside, ending)


def end_inside(connection: BaseDatabaseWrapper, ending: Ending) -> bool:
    """The same in the open transaction, waiters or not."""
    if not _update(connection, ending):
        return _ended_before(connection, ending)
    wake(connection, Kind.RESULT, [ending.run_id])
    return True


def _ended_before(connection: BaseDatabaseWrapper, ending: Ending) -> bool:
    mine = WorkflowRun.objects.using(connection.alias).filter(pk=ending.run_id, lease_token=ending.token)
    return mine.filter(status=ending.status).exists()


def _update(connection: BaseDatabaseWrapper, ending: Ending, condition: str = "") -> int:
    return int(dialects.send(connection, *statement(connection, ending, condition)).rowcount)


def statement(connection: BaseDatabaseWrapper, ending: Ending, condition: str = "") -> tuple[str, list[Any]]:
    """The compare-and-set, which changes one row or none; with ``UNAWAITED`` it leaves a run for whom somebody waits."""
    now, params = dialects.moment(connection)
    mine = "status IN ('RUNNING', 'PAUSED')" if ending.is_step else "status = 'RUNNING'"
    sql = (
        f"UPDATE {RUNS} SET status = %s, output = %s, error = %s, completed_at = {now}, updated_at = {now},"
        " deduplication_lock = NULL, due_at = NULL"
        f" WHERE id = %s AND {mine} AND lease_token = %s {condition}"
    )
    return sql, [ending.status.value, ending.output, ending.error, *params, *params, ending.run_id, ending.token]


def end_group(connection: BaseDatabaseWrapper, endings: Sequence[Ending]) -> list[bool]:
    """
    End several runs with one commit; true for each that has ended.

    Those that are awaited, lost or locked by another session are left: the caller ends them singly.
    """
    if connection.vendor == "postgresql":
        return _end_group_at_once(connection, endings)
    with write_transaction(connection):
        return [bool(_update(connection, ending, UNAWAITED)) for ending in endings]


def _end_group_at_once(connection: BaseDatabaseWrapper, endings: Sequence[Ending]) -> list[bool]:
    rows = dialects.recordset(_GROUPED, [(e.run_id, e.token, e.status.value, e.output, e.error) for e in endings])
    ended = {row[0] for row in dialects.send(connection, _GROUP, [rows]).fetchall()}
    return [ending.run_id in ended for ending in endings]


_GROUPED = ("id", "token", "status", "output", "error")
_GROUP = f"""
WITH mine AS MATERIALIZED (
    SELECT r.id, v.status, v.output, v.error
    FROM json_to_recordset(%s::json) AS v(id text, token text, status text, output text, error text)
    JOIN {RUNS} r ON r.id = v.id
    WHERE r.status = 'RUNNING' AND r.lease_token = v.token AND NOT r.awaited
    FOR UPDATE OF r SKIP LOCKED
)
UPDATE {RUNS} SET status = mine.status, output = mine.output, error = mine.error, completed_at = clock_timestamp(),
    updated_at = clock_timestamp(), deduplication_lock = NULL, due_at = NULL
FROM mine WHERE {RUNS}.id = mine.id
RETURNING {RUNS}.id
"""
