"""The places of a queue: who has one, which partitions want one, and who waits for one that is not given back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.models import dialects
from durable_workflows.models.claims import ORDER, RUNS, Claim, reserved
from durable_workflows.models.indexes import flag
from durable_workflows.models.rules import FREE, read_rules
from durable_workflows.models.runs import Turn, WorkflowRun
from durable_workflows.states import RunState


def _holders(connection: BaseDatabaseWrapper) -> tuple[str, str]:
    """Who has a place of a queue, its one parameter: two conditions, since each is an index's."""
    leased = f"FROM {RUNS} WHERE status IN ('CANCELLING', 'RUNNING') AND queue = %s"
    return leased, f"FROM {RUNS} WHERE {reserved(connection)} AND queue = %s"


def count(connection: BaseDatabaseWrapper) -> str:
    """The same as an expression of SQL, with the queue as both of its parameters."""
    return " + ".join(f"(SELECT COUNT(*) {holders})" for holders in _holders(connection))


def occupied_by(connection: BaseDatabaseWrapper, queue: str) -> tuple[Counter[str], Counter[str]]:
    """
    How many runs hold a place of the queue, by partition: leased ones, and those that keep theirs while they wait.

    :returns: their numbers, and how many of the latter are enqueued.
    """
    enqueued = "SUM(CASE WHEN status = 'ENQUEUED' THEN 1 ELSE 0 END)"
    sql = " UNION ALL ".join(f"SELECT partition_key, COUNT(*), {enqueued} {who} GROUP BY 1" for who in _holders(connection))
    occupied, kept = Counter[str](), Counter[str]()
    for partition, number, waiting in dialects.run(connection, sql, [queue, queue]).fetchall():
        occupied[partition] += int(number)
        kept[partition] += int(waiting)
    return occupied, +kept


def heads(connection: BaseDatabaseWrapper, queue: str, after: str | None, most: int) -> list[tuple[str, int]]:
    """The next partitions in order of their keys, each with the turn of its first run: one look into the index for each."""
    of_queue = f"status = 'ENQUEUED' AND stranded = '' AND suspect = {flag(connection, False)} AND queue = %s"
    order = f"ORDER BY partition_key, {ORDER} LIMIT 1"
    beyond, params = ("", [queue]) if after is None else (" AND partition_key > %s", [queue, after])
    sql = (
        f"WITH RECURSIVE heads (name, number) AS ("
        f"SELECT (SELECT partition_key FROM {RUNS} WHERE {of_queue}{beyond} {order}), 1"
        f" UNION ALL SELECT (SELECT partition_key FROM {RUNS} WHERE {of_queue} AND partition_key > heads.name {order}),"
        f" number + 1 FROM heads WHERE name IS NOT NULL AND number < %s)"
        f" SELECT name, (SELECT turn FROM {RUNS} WHERE {of_queue} AND partition_key = heads.name {order})"
        " FROM heads WHERE name IS NOT NULL ORDER BY number"
    )
    rows = dialects.run(connection, sql, [*params, queue, most, queue]).fetchall()
    # A run may have been claimed between the two looks, by a worker that reads older rules.
    return [(name, 1 if turn is None else int(turn)) for name, turn in rows]


def queues_with_suspects(connection: BaseDatabaseWrapper, queues: Sequence[str]) -> list[str]:
    """Which of the queues have a run that is to be run alone."""
    sql = (
        f"SELECT DISTINCT queue FROM {RUNS} WHERE status = 'ENQUEUED' AND stranded = '' AND suspect = {flag(connection, True)}"
    )
    found = {row[0] for row in dialects.run(connection, sql).fetchall()}
    return [queue for queue in queues if queue in found]


def with_suspects(connection: BaseDatabaseWrapper, queue: str) -> list[str]:
    """The partitions in which there are runs that are to be run alone; never many."""
    sql = (
        f"SELECT DISTINCT partition_key FROM {RUNS} WHERE status = 'ENQUEUED' AND stranded = ''"
        f" AND suspect = {flag(connection, True)} AND queue = %s"
    )
    return [row[0] for row in dialects.run(connection, sql, [queue]).fetchall()]


def waits_for_its_own_place(connection: BaseDatabaseWrapper, claim: Claim, awaited: Sequence[str]) -> str | None:
    """
    Which of the awaited runs cannot start before this one gives its place back, which it keeps while it waits.

    :returns: its id; None if all can go on.
    """
    runs = WorkflowRun.objects.using(connection.alias)
    unbegun = [RunState.ENQUEUED, RunState.DELAYED, RunState.PAUSED]
    stuck = runs.filter(pk__in=awaited, queue=claim.queue, turn=Turn.NEW, status__in=unbegun)
    found = dict(stuck.values_list("pk", "partition_key"))
    if len(found) < len(awaited):
        return None
    limits = read_rules(connection).get(claim.queue, FREE).limits
    occupied, _ = occupied_by(connection, claim.queue)
    full = limits.concurrency is not None and occupied.total() >= limits.concurrency
    for run_id, partition in found.items():
        most = limits.partition_concurrency
        if full or (most is not None and partition == claim.partition and occupied[partition] >= most):
            return run_id
    return None
