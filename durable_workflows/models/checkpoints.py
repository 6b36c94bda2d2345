"""
The fenced checkpoint: one INSERT that writes a step's outcome if, and only if, the attempt still holds the run.

``INSERT ... SELECT ... FROM run WHERE id = .. AND status = 'RUNNING' AND lease_token = ..`` is the same on all vendors
and locks nothing. Zero rows: the run was cancelled, overdue or taken over, and the attempt must stop. At most the one
transaction whose fence had already passed may land after a takeover; the new owner then meets the unique constraint and
adopts that row.

A transaction outside READ COMMITTED judges the fence by the snapshot it took at its start, which a takeover since then
does not show. There the fence locks the row FOR SHARE, so that the database refuses (40001) and the body is repeated.
The server is asked for the level in the same statement, since a body may have changed it.

A cancelled run's undo steps have a fence of their own, which lets CANCELLING pass; nothing else gets by it.

Nor is the call lost that was under way when its run was paused: the payment is made, and would be made again when the run
goes on. A paused run's row keeps the attempt's token for this one record, which takes it away; then the attempt must stop.
If the run goes on before, it does so under that token, and the record is one like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.models import dialects
from durable_workflows.models.claims import Claim
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.steps import Kind, StepRun
from durable_workflows.models.transactions import write_transaction

RUNS = WorkflowRun._meta.db_table
STEPS = StepRun._meta.db_table
COLUMNS = "branch, position, name, kind, output, error, child_id, attempts"


class AlreadyRecorded(Exception):
    """The position has a row: written by another owner, or by oneself in a transaction whose COMMIT reply was lost."""


class RecordedLast(Exception):
    """It is written, and the attempt must stop now: its run was paused meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """
    A step's outcome on its way to its row.

    :param output: the payload of what it returned, :param error: or of what it raised.
    :param seconds: how long it took.
    :param undoing: whether it belongs to a saga's undo steps, which run in a cancelled run too.
    """

    run_id: str
    token: str
    position: int
    name: str
    kind: str = Kind.STEP
    branch: str = ""
    output: str | None = None
    error: str | None = None
    child_id: str | None = None
    attempts: int = 1
    seconds: float = 0.0
    undoing: bool = False

    def values(self) -> tuple[Any, ...]:
        return (self.branch, self.position, self.name, self.kind, self.output, self.error, self.child_id, self.attempts)


def record(connection: BaseDatabaseWrapper, checkpoint: Checkpoint) -> bool:
    """
    Write one checkpoint, in the open transaction or by itself.

    :returns: whether the fence let it pass.
    :raises AlreadyRecorded: if the position has a row.
    :raises RecordedLast: if it was written, as the last one before a pause.
    """
    for _ in range(LOOKS):
        if _record(connection, checkpoint):
            return True
        if _record_before_pause(connection, checkpoint):
            raise RecordedLast
    return False


LOOKS = 2  # the run may be made to go on between the two, and be found neither running nor paused


def _record(connection: BaseDatabaseWrapper, checkpoint: Checkpoint) -> bool:
    selected, params = _select(connection, checkpoint)
    fence = (checkpoint.run_id, checkpoint.token)
    condition = _UNDO_FENCE if checkpoint.undoing else _FENCE
    if connection.vendor == "postgresql" and connection.in_atomic_block:
        source, params = _isolation_proof(selected, condition), (*params, *fence, *params, *fence)
    else:
        source, params = f"{selected} WHERE {condition}", (*params, *fence)
    return _insert(connection, source, params)


def _insert(connection: BaseDatabaseWrapper, source: str, params: tuple[Any, ...]) -> bool:
    try:
        cursor = dialects.send(connection, f"{_INSERT} {source}", params)
    except IntegrityError as error:
        raise AlreadyRecorded("The position has a row.") from error
    return bool(cursor.rowcount)


def _record_before_pause(connection: BaseDatabaseWrapper, checkpoint: Checkpoint) -> bool:
    """Use up what a paused run's row keeps of the lease; the row is locked by it, so nobody makes the run go on meanwhile."""
    taken = f"UPDATE {RUNS} SET lease_token = NULL, worker_id = NULL WHERE id = %s AND status = 'PAUSED' AND lease_token = %s"
    with write_transaction(connection):
        if not dialects.run(connection, taken, [checkpoint.run_id, checkpoint.token]).rowcount:
            return False
        selected, params = _select(connection, checkpoint)
        return _insert(connection, f"{selected} WHERE r.id = %s", (*params, checkpoint.run_id))


_INSERT = f"INSERT INTO {STEPS} (run_id, generation, {COLUMNS}, started_at, completed_at)"
_FENCE = "r.id = %s AND r.status = 'RUNNING' AND r.lease_token = %s"
_UNDO_FENCE = "r.id = %s AND r.status IN ('RUNNING', 'CANCELLING') AND r.lease_token = %s"


def _select(connection: BaseDatabaseWrapper, checkpoint: Checkpoint) -> tuple[str, tuple[Any, ...]]:
    began, began_params = dialects.moment(connection, -checkpoint.seconds or -1e-6)
    ended, ended_params = dialects.moment(connection)
    sql = f"SELECT r.id, r.generation, {_placeholders(connection.vendor)}, {began}, {ended} FROM {RUNS} r"
    return sql, (*checkpoint.values(), *began_params, *ended_params)


@cache
def _placeholders(vendor: str) -> str:
    return ", ".join(dialects.placeholder(vendor, kind) for kind in _KINDS)


_KINDS = ("text", "int", "text", "text", "text", "text", "text", "int")


def _isolation_proof(selected: str, fence: str) -> str:
    level = "current_setting('transaction_isolation')"
    return (
        f"{selected} WHERE {fence} AND {level} = 'read committed'"
        f" UNION ALL SELECT * FROM ({selected} WHERE {fence} AND {level} <> 'read committed' FOR SHARE OF r) guarded"
    )


def record_group(connection: BaseDatabaseWrapper, checkpoints: Sequence[Checkpoint]) -> list[bool]:
    """
    Write the free-standing checkpoints of several runs with one commit; true for each that was written.

    What was not written is fenced off, conflicts, or waits behind another session's lock: the caller writes it singly,
    which tells which, and stalls no neighbour.
    """
    if connection.vendor == "postgresql":
        return _record_group_at_once(connection, checkpoints)
    with write_transaction(connection):
        return [_recorded_quietly(connection, checkpoint) for checkpoint in checkpoints]


def _recorded_quietly(connection: BaseDatabaseWrapper, checkpoint: Checkpoint) -> bool:
    try:
        return _record(connection, checkpoint)
    except AlreadyRecorded:
        return False  # neither SQLite nor MySQL ends the transaction over one statement's conflict


def _record_group_at_once(connection: BaseDatabaseWrapper, checkpoints: Sequence[Checkpoint]) -> list[bool]:
    rows = dialects.recordset(_GROUPED, [(c.run_id, c.token, *c.values(), c.seconds) for c in checkpoints])
    written = set(dialects.send(connection, _GROUP, [rows]).fetchall())
    return [(c.run_id, c.branch, str(c.position)) in written for c in checkpoints]


_GROUPED = ("run_id", "token", *COLUMNS.split(", "), "seconds")
# The cross join sets the timeout before the first row is inserted, for this statement alone: a transaction of its own
# around it would cost three more round trips.
_GROUP = f"""
{_INSERT}
SELECT r.id, r.generation, v.branch, v.position, v.name, v.kind, v.output, v.error, v.child_id, v.attempts,
       clock_timestamp() - v.seconds * interval '1 second', clock_timestamp()
FROM (SELECT set_config('lock_timeout', '500ms', true)) patience
CROSS JOIN json_to_recordset(%s::json) AS v(run_id text, token text, branch text, position int, name text, kind text,
     output text, error text, child_id text, attempts int, seconds float8)
JOIN {RUNS} r ON r.id = v.run_id AND r.status = 'RUNNING' AND r.lease_token = v.token
ON CONFLICT DO NOTHING
RETURNING run_id, branch, position::text
"""


def recorded(connection: BaseDatabaseWrapper, run_id: str, generation: int, place: tuple[str, int]) -> StepRun | None:
    """The row at a place (branch and position) of one generation of a run's history."""
    branch, position = place
    history = StepRun.objects.using(connection.alias).filter(run_id=run_id, generation=generation)
    return history.filter(branch=branch, position=position).first()


def tell(connection: BaseDatabaseWrapper, claim: Claim, place: tuple[str, int], output: str | None) -> None:
    """Put into a record that this transaction has written what came of it."""
    branch, position = place
    history = StepRun.objects.using(connection.alias).filter(run_id=claim.id, generation=claim.generation)
    history.filter(branch=branch, position=position).update(output=output)
