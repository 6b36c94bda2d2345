"""
How much there is in queues, and for how long: what waits for a worker, what is executed, what was started.

As in ``models.figures`` nothing is counted without an end. What waits is read in the order in which it is claimed, so of a
long queue the first so many are counted, and the oldest of these is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Count

from durable_workflows.models import dialects
from durable_workflows.models.claims import ORDER, RUNS
from durable_workflows.models.figures import Counted, read
from durable_workflows.models.indexes import flag
from durable_workflows.models.places import heads
from durable_workflows.models.queues import QueueStart
from durable_workflows.models.runs import LEASED, RESERVED, WorkflowRun

MOST = 10_000  # runs that are counted in a queue
QUEUES = 50  # with something in them, that are looked at


@dataclass(frozen=True, slots=True)
class Depth:
    """How many runs wait for a worker, and since when the oldest of those that were counted."""

    waiting: Counted
    oldest: datetime | None


EMPTY = Depth(Counted(0), None)


def names_with_backlog(connection: BaseDatabaseWrapper, most: int = QUEUES) -> list[str]:
    """Queues in which a run waits for a worker, also those that no code declares: one look into the index for each."""
    of_index = f"FROM {RUNS} WHERE {_claimable(connection)}"
    sql = (
        f"WITH RECURSIVE queues (name, number) AS (SELECT (SELECT queue {of_index} ORDER BY queue LIMIT 1), 1"
        f" UNION ALL SELECT (SELECT queue {of_index} AND queue > queues.name ORDER BY queue LIMIT 1), number + 1"
        " FROM queues WHERE name IS NOT NULL AND number < %s) SELECT name FROM queues WHERE name IS NOT NULL"
    )
    return [row[0] for row in read(connection, sql, [most])]


def depths(connection: BaseDatabaseWrapper, names: Sequence[str], most: int = MOST) -> dict[str, Depth]:
    """What waits for a worker in some queues, in one query."""
    return _depths(connection, [(name, "queue = %s", [name]) for name in names], "partition_key, " + ORDER, most)


def partition_depths(connection: BaseDatabaseWrapper, queue: str, most_partitions: int, most: int) -> dict[str, Depth]:
    """The same of the first partitions of a queue, in the order of their keys, in two queries."""
    keys = [key for key, _turn in heads(connection, queue, None, most_partitions)]
    where = "queue = %s AND partition_key = %s"
    return _depths(connection, [(key, where, [queue, key]) for key in keys], ORDER, most)


def _depths(
    connection: BaseDatabaseWrapper, wanted: Sequence[tuple[str, str, list[str]]], order: str, most: int
) -> dict[str, Depth]:
    rows_of = f"SELECT queued_at FROM {RUNS} WHERE {_claimable(connection)} AND"
    parts = [
        f"SELECT {place}, COUNT(*), MIN(queued_at) FROM ({rows_of} {where} ORDER BY {order} LIMIT %s) AS waiting"
        for place, (_, where, _) in enumerate(wanted)
    ]
    params = [param for _, _, given in wanted for param in (*given, most + 1)]
    rows = read(connection, " UNION ALL ".join(parts), params) if parts else []
    return {
        wanted[int(place)][0]: Depth(Counted(min(int(number), most), number > most), dialects.read_datetime(connection, oldest))
        for place, number, oldest in rows
        if number
    }


def _claimable(connection: BaseDatabaseWrapper) -> str:
    return f"status = 'ENQUEUED' AND stranded = '' AND suspect = {flag(connection, False)}"


def occupied(connection: BaseDatabaseWrapper, names: Sequence[str]) -> tuple[Counter[str], Counter[str]]:
    """By queue: how many runs are executed, and how many keep their place while they wait."""
    runs = WorkflowRun.objects.using(connection.alias).filter(queue__in=names).order_by()
    leased = Counter[str](dict(runs.filter(LEASED).values_list("queue").annotate(number=Count("pk"))))
    kept = Counter[str](dict(runs.filter(RESERVED).values_list("queue").annotate(number=Count("pk"))))
    return leased, kept


def occupied_partitions(connection: BaseDatabaseWrapper, queue: str) -> Counter[str]:
    """How many runs of a queue are executed, by partition."""
    runs = WorkflowRun.objects.using(connection.alias).filter(LEASED, queue=queue).order_by()
    return Counter(dict(runs.values_list("partition_key").annotate(number=Count("pk"))))


def put_off(connection: BaseDatabaseWrapper) -> tuple[Counter[str], bool]:
    """How many delayed runs there are by queue, among the first ``MOST`` that the clock will wake, and whether that is all."""
    timed = "status IN ('DELAYED', 'WAITING') AND due_at IS NOT NULL"
    sql = (
        "SELECT queue, COUNT(*), SUM(CASE WHEN status = 'DELAYED' THEN 1 ELSE 0 END)"
        f" FROM (SELECT queue, status FROM {RUNS} WHERE {timed} ORDER BY due_at LIMIT %s) AS timed GROUP BY queue"
    )
    rows = read(connection, sql, [MOST + 1])
    found = Counter[str]({queue: int(delayed) for queue, _, delayed in rows})
    return +found, sum(int(number) for _, number, _ in rows) <= MOST


def starts(connection: BaseDatabaseWrapper, periods: Mapping[str, float]) -> dict[str, int]:
    """How many runs of queues were started within their periods, in seconds, in one query."""
    table = QueueStart._meta.db_table
    parts, params = [], []
    for queue, period in periods.items():
        since, its = dialects.moment(connection, -period)
        parts.append(f"SELECT queue, SUM(number) FROM {table} WHERE queue = %s AND at > {since} GROUP BY queue")
        params += [queue, *its]
    rows = read(connection, " UNION ALL ".join(parts), params) if parts else []
    return {queue: int(number) for queue, number in rows}
