"""
Claiming: a worker takes a batch of runs with one lease token.

The statement's conditions are literals, word for word those of the index ``durable_run_claim``: the planner can use a
partial index only for a query that implies its condition, which a parameter never does. What is leased and what has
expired are different queries on different indexes; ``OR lease < now()`` in a claim would read every running row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import signals
from durable_workflows.models import dialects
from durable_workflows.models.indexes import flag
from durable_workflows.models.prepared import Params
from durable_workflows.models.runs import WorkflowRun
from durable_workflows.models.transactions import turn, write_transaction

RUNS = WorkflowRun._meta.db_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to execute a run, and what an attempt needs to know of it. ``token`` is the fence of its writes."""

    id: str
    name: str
    inputs: str | None
    queue: str
    attempt: int
    generation: int
    deadline: datetime | None
    parent_id: str | None
    user: str | None
    forked_from: str | None
    fan_in: int
    recovery_attempts: int
    token: str
    worker_id: str
    partition: str = ""
    holds_slot: bool = False
    saga: str = ""
    retry_step: int | None = None
    retry_generation: int = 0

    @property
    def has_history(self) -> bool:
        """Whether anything may be recorded: not on a first attempt, unless it is a fork's."""
        return self.attempt > 1 or self.forked_from is not None

    def key(self, step: int, what: object) -> str:
        """The idempotency key of ``what`` a step does, the same in each attempt of it and after a retry of the run."""
        again = self.retry_step is not None and step in (self.retry_step, 0)  # 0 is that of a step which is the whole run
        generation = self.retry_generation if again else self.generation
        return f"{self.id}:{generation}:{what}"


_READ = [
    "id",
    "name",
    "inputs",
    "queue",
    "attempt",
    "generation",
    "deadline",
    "parent_id",
    "user",
    "forked_from_id",
    "fan_in",
    "recovery_attempts",
    "partition_key",
    "holds_slot",
    "saga",
    "retry_step",
    "retry_generation",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimer:
    """What a worker is able to run."""

    worker_id: str
    names: tuple[str, ...]
    app_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """
    Which runs of a queue are to be taken.

    :param limit: how many at most.
    :param partition: of which partition; None: of any, in no particular order of the partitions.
    :param turns: a condition on the column ``turn``, or none.
    :param reserved: only those that have kept their place; None: with or without one.
    :param keeps: whether those taken keep their place from now on when they wait; None: as before.
    :param suspects: those that may have killed their worker, to be run alone, instead of the others.
    :param most: instead of the number, an SQL expression that says it, with its parameters.
    """

    queue: str
    limit: int
    partition: str | None = ""
    turns: str = ""
    reserved: bool | None = None
    keeps: bool | None = None
    suspects: bool = False
    most: tuple[str, Params] | None = None


def claim(connection: BaseDatabaseWrapper, claimer: Claimer, pick: Pick, token: str) -> list[Claim]:
    """Take runs of a queue: what was begun goes first, then by priority, then the oldest."""
    if not claimer.names or pick.limit < 1:
        return []
    if connection.vendor == "mysql":
        return _claim_in_two(connection, claimer, pick, token)
    sql, params = statement(connection, claimer, pick, token)
    with turn(connection):
        rows = dialects.send(connection, sql, params).fetchall()
    return read(connection, rows, claimer, token)


def statement(connection: BaseDatabaseWrapper, claimer: Claimer, pick: Pick, token: str) -> tuple[str, list[Any]]:
    """One statement that takes runs and returns them, on vendors that can."""
    where, params = _claimable(connection, claimer, pick)
    picked = f"SELECT id FROM {RUNS} WHERE {where}{dialects.skip_locked(connection)}"
    changes, change_params = _changes(connection, claimer, pick, token)
    columns = _quoted(connection)
    if connection.vendor != "postgresql":
        return f"UPDATE {RUNS} SET {changes} WHERE id IN ({picked}) RETURNING {', '.join(columns)}", [*change_params, *params]
    # MATERIALIZED: a join may otherwise run the subquery again for each row, and claim more than the limit.
    sql = (
        f"WITH picked AS MATERIALIZED ({picked}) UPDATE {RUNS} SET {changes} FROM picked"
        f" WHERE {RUNS}.id = picked.id RETURNING {', '.join(f'{RUNS}.{column}' for column in columns)}"
    )
    return sql, [*params, *change_params]


def read(connection: BaseDatabaseWrapper, rows: Iterable[Sequence[Any]], claimer: Claimer, token: str) -> list[Claim]:
    """Rows that ``statement`` returned as claims."""
    return [_read(connection, row, claimer, token) for row in rows]


def _claim_in_two(connection: BaseDatabaseWrapper, claimer: Claimer, pick: Pick, token: str) -> list[Claim]:
    """The portable form, for vendors without ``UPDATE ... RETURNING``: lock, change, read."""
    where, params = _claimable(connection, claimer, pick)
    with write_transaction(connection):
        sql = f"SELECT id FROM {RUNS} WHERE {where}{dialects.skip_locked(connection)}"
        ids = [row[0] for row in dialects.run(connection, sql, params).fetchall()]
        if not ids:
            return []
        marks = ", ".join(["%s"] * len(ids))
        changes, change_params = _changes(connection, claimer, pick, token)
        dialects.run(connection, f"UPDATE {RUNS} SET {changes} WHERE id IN ({marks})", [*change_params, *ids])
        columns = ", ".join(_quoted(connection))
        rows = dialects.run(connection, f"SELECT {columns} FROM {RUNS} WHERE id IN ({marks})", ids).fetchall()
    return read(connection, rows, claimer, token)


def has_suspect(connection: BaseDatabaseWrapper, claimer: Claimer, queue: str) -> bool:
    """Whether there is a run for this worker that is to be run alone."""
    if not claimer.names:
        return False
    where, params = _claimable(connection, claimer, Pick(queue=queue, limit=1, partition=None, suspects=True))
    return dialects.run(connection, f"SELECT 1 FROM {RUNS} WHERE {where}", params).fetchone() is not None


def _claimable(connection: BaseDatabaseWrapper, claimer: Claimer, pick: Pick) -> tuple[str, list[Any]]:
    names, name_params = dialects.one_of(connection, "name", claimer.names)
    further, further_params = _further(connection, pick)
    most, most_params = pick.most or ("%s", [pick.limit])
    sql = (
        f"status = 'ENQUEUED' AND stranded = '' AND suspect = {flag(connection, pick.suspects)} AND queue = %s{further} AND"
        f" {names} AND (app_version = '' OR app_version = %s) ORDER BY {ORDER} LIMIT {most}"
    )
    return sql, [pick.queue, *further_params, *name_params, claimer.app_version, *most_params]


ORDER = "turn, rank, queued_at"


def _further(connection: BaseDatabaseWrapper, pick: Pick) -> tuple[str, list[Any]]:
    conditions = [f" AND {pick.turns}"] if pick.turns else []
    if pick.reserved:
        conditions.append(f" AND {reserved(connection)}")
    elif pick.reserved is not None:
        conditions.append(f" AND holds_slot = {flag(connection, False)}")
    if pick.partition is None:
        return "".join(conditions), []
    return f" AND partition_key = %s{''.join(conditions)}", [pick.partition]


def reserved(connection: BaseDatabaseWrapper) -> str:
    """The condition of the index ``durable_run_reserved``."""
    return f"holds_slot = {flag(connection, True)} AND status IN ('DELAYED', 'ENQUEUED', 'PAUSED', 'WAITING')"


def _changes(connection: BaseDatabaseWrapper, claimer: Claimer, pick: Pick, token: str) -> tuple[str, list[Any]]:
    now, params = dialects.moment(connection)
    keeps = "" if pick.keeps is None else f" holds_slot = {flag(connection, pick.keeps)},"
    sql = (
        f"status = 'RUNNING', worker_id = %s, lease_token = %s, attempt = attempt + 1, turn = 0, due_at = NULL,{keeps}"
        f" claimed_at = {now}, updated_at = {now}, started_at = COALESCE(started_at, {now}),"
        " recovery_attempts = CASE WHEN recovery_attempts = 0 THEN 1 ELSE recovery_attempts END,"
        f" deadline = {_deadline(connection)}"
    )
    return sql, [claimer.worker_id, token, *[*params] * 3, *[*_own_deadline_params(connection)] * 2]


def _deadline(connection: BaseDatabaseWrapper) -> str:
    """The sooner of what is there and of the run's own time from now; a later claim's is later, and changes nothing."""
    own = _own_deadline(connection)
    least = "min" if connection.vendor == "sqlite" else "LEAST"
    return f"COALESCE({least}(deadline, {own}), deadline, {own})"


def _own_deadline(connection: BaseDatabaseWrapper) -> str:
    if connection.vendor == "postgresql":
        return "clock_timestamp() + timeout_seconds * interval '1 second'"
    if connection.vendor == "mysql":
        return "UTC_TIMESTAMP(6) + INTERVAL (timeout_seconds * 1000000) MICROSECOND"
    return "strftime('%%Y-%%m-%%d %%H:%%M:%%f', %s, timeout_seconds || ' seconds')"


def _own_deadline_params(connection: BaseDatabaseWrapper) -> Params:
    return dialects.moment(connection)[1] if connection.vendor == "sqlite" else ()


def _quoted(connection: BaseDatabaseWrapper) -> list[str]:
    return [connection.ops.quote_name(column) for column in _READ]


def _read(connection: BaseDatabaseWrapper, row: Sequence[Any], claimer: Claimer, token: str) -> Claim:
    run_id, name, inputs, queue, attempt, generation, deadline, parent, user, forked_from, fan_in, recoveries, *more = row
    partition, holds_slot, saga, retry_step, retry_generation = more
    return Claim(
        id=run_id, name=name, inputs=inputs, queue=queue, attempt=int(attempt), generation=int(generation),
        deadline=dialects.read_datetime(connection, deadline), parent_id=parent, user=user, forked_from=forked_from,
        fan_in=int(fan_in), recovery_attempts=int(recoveries), token=token, worker_id=claimer.worker_id,
        partition=partition, holds_slot=holds_slot in (True, 1, "t"), saga=saga,
        retry_step=None if retry_step is None else int(retry_step), retry_generation=int(retry_generation),
    )  # fmt: skip


def claimed_with(connection: BaseDatabaseWrapper, claimer: Claimer, token: str) -> list[Claim]:
    """What a claim whose reply was lost has taken after all."""
    columns = ", ".join(_quoted(connection))
    sql = f"SELECT {columns} FROM {RUNS} WHERE worker_id = %s AND status = 'RUNNING' AND lease_token = %s"
    rows = dialects.run(connection, sql, [claimer.worker_id, token]).fetchall()
    return read(connection, rows, claimer, token)


def hand_back(connection: BaseDatabaseWrapper, claims: Sequence[Claim]) -> int:
    """
    Give runs back uncharged, to be claimed at once by anyone; those already lost or settled are left as they are.

    One that was paused stays so: no attempt of it is under way any more.
    """
    given = 0
    now, now_params = dialects.moment(connection)
    for claim in claims:
        sql = (
            f"UPDATE {RUNS} SET worker_id = NULL, lease_token = NULL, updated_at = {now},"
            " status = CASE status WHEN 'PAUSED' THEN status ELSE 'ENQUEUED' END"
            " WHERE id = %s AND status IN ('RUNNING', 'CANCELLING', 'PAUSED') AND lease_token = %s"
        )
        with turn(connection):
            given += dialects.run(connection, sql, [*now_params, claim.id, claim.token]).rowcount
    if given:
        signals.at_commit(signals.claimable, connection.alias)
    return given


def busy_queues(connection: BaseDatabaseWrapper, queues: Sequence[str]) -> list[str]:
    """Which of the queues have something to claim: one look into the index for each, in one query."""
    if not queues:
        return []
    anything = " FROM DUAL" if connection.vendor == "mysql" else ""
    probe = (
        f"SELECT {dialects.placeholder(connection.vendor, 'text')}{anything} WHERE (SELECT turn FROM {RUNS}"
        f" WHERE status = 'ENQUEUED' AND stranded = '' AND suspect = {flag(connection, False)} AND queue = %s"
        # The order has the index used; EXISTS would forget it, and may read the whole table.
        f" ORDER BY partition_key, {ORDER} LIMIT 1) IS NOT NULL"
    )
    params = [name for queue in queues for name in (queue, queue)]
    rows = dialects.run(connection, " UNION ALL ".join([probe] * len(queues)), params).fetchall()
    return [str(row[0]) for row in rows]
