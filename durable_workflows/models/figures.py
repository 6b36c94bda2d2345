"""
What the dashboard counts, at a cost that does not grow with the table.

Nothing is counted without an end: of what ended, the newest so many of each outcome are read from the index of what has
ended, and of what has not, the first so many of an index that holds nothing else. Whoever shows a number shows with it
how far was looked; ``Counted`` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Count, F, QuerySet
from django.db.models.functions import TruncHour, TruncMinute

from durable_workflows.models import dialects
from durable_workflows.models.runs import LEASED, UNCLAIMABLE, Stranded, WorkflowRun
from durable_workflows.models.schedules import Schedule
from durable_workflows.models.waits import Wait
from durable_workflows.models.workers import Worker
from durable_workflows.retention import ENDS
from durable_workflows.states import RunState

MOST_ENDED = 50_000  # of each outcome: entries of an index
SAMPLE = 2_000  # rows of the table itself
TIMED = 1_000  # the same, of which each is looked at in Python
FAILED = (RunState.ERROR, RunState.MAX_RECOVERY_ATTEMPTS_EXCEEDED)


@dataclass(frozen=True, slots=True)
class Counted:
    """A number; ``capped`` if there are more, which were not counted."""

    number: int
    capped: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """
    What ended since a moment.

    :param buckets: how many of an outcome ended in the minute or hour that begins then.
    :param reach: since when all of them were counted.
    """

    buckets: dict[tuple[datetime, str], int]
    reach: datetime


def ended(connection: BaseDatabaseWrapper, since: datetime, *, hourly: bool) -> Ended:
    """How many runs ended in each minute, or hour, by outcome; of each the newest ``MOST_ENDED``."""
    cut = TruncHour if hourly else TruncMinute
    begin = cut("completed_at", tzinfo=UTC)
    newest = [_newest(connection, status, since).annotate(begin=begin) for status in ENDS]
    parts = [runs.values("status", "completed_at", "begin")[:MOST_ENDED] for runs in newest]
    sql, params = _together(connection, parts)
    sql = f"SELECT status, begin, COUNT(*), MIN(completed_at) FROM ({sql}) AS ended GROUP BY status, begin"
    buckets: dict[tuple[datetime, str], int] = {}
    counts, first = dict.fromkeys(ENDS, 0), dict[str, datetime]()
    for status, begin, number, oldest in read(connection, sql, params):
        buckets[_moment(connection, begin), status] = int(number)
        counts[RunState(status)] += int(number)
        first[status] = min(first.get(status, DISTANT), _moment(connection, oldest))
    return Ended(buckets, max((first[status] for status, number in counts.items() if number >= MOST_ENDED), default=since))


DISTANT = datetime.max.replace(tzinfo=UTC)


def failures(connection: BaseDatabaseWrapper, since: datetime, most: int) -> tuple[list[tuple[str, int]], Counted]:
    """The workflows of which the most runs failed, among the newest failures, and how many of these were looked at."""
    parts = [_newest(connection, status, since)[:SAMPLE].values("name") for status in FAILED]
    sql, params = _together(connection, parts)
    sql = f"SELECT name, COUNT(*) FROM ({sql}) AS failed GROUP BY name ORDER BY 2 DESC, 1"
    found = [(str(name), int(number)) for name, number in read(connection, sql, params)]
    total = sum(number for _, number in found)
    return found[:most], Counted(total, total >= SAMPLE)


@dataclass(frozen=True, slots=True)
class Times:
    """How long runs took, in seconds, in ascending order: until they began, and from there to their end."""

    waits: Sequence[float]
    runs: Sequence[float]


def times(connection: BaseDatabaseWrapper, since: datetime) -> Times:
    """Of the newest that succeeded."""
    rows = _newest(connection, RunState.SUCCESS, since)[:TIMED].values_list("created_at", "started_at", "completed_at")
    known = [(created, started, end) for created, started, end in rows if started is not None and end is not None]
    return Times(
        sorted(max(0.0, (started - created).total_seconds()) for created, started, _ in known),
        sorted(max(0.0, (end - started).total_seconds()) for _, started, end in known),
    )


def stuck(connection: BaseDatabaseWrapper) -> Counted:
    """Runs that wait until somebody acts."""
    runs = WorkflowRun.objects.using(connection.alias).filter(UNCLAIMABLE)
    return _count(runs.exclude(stranded=Stranded.NO))


def dead(connection: BaseDatabaseWrapper) -> Counted:
    """Runs that were given up, since whenever."""
    runs = WorkflowRun.objects.using(connection.alias).filter(completed_at__isnull=False)
    return _count(runs.filter(status=RunState.MAX_RECOVERY_ATTEMPTS_EXCEEDED))


def waiting(connection: BaseDatabaseWrapper) -> Counted:
    """Suspended runs, by their waits, of which one run may have several; no index has them by their status."""
    newest = Wait.objects.using(connection.alias).order_by("-pk").values("run_id")[: SAMPLE + 1]
    sql, params = _compiled(connection, newest)
    runs = WorkflowRun._meta.db_table
    sql = (
        "SELECT COUNT(*), COUNT(DISTINCT CASE WHEN run.status = 'WAITING' THEN run.id END)"
        f" FROM ({sql}) AS wait LEFT JOIN {runs} run ON run.id = wait.run_id"
    )
    [(looked_at, number)] = read(connection, sql, params)
    return Counted(min(int(number), SAMPLE), int(looked_at) > SAMPLE)


def working(connection: BaseDatabaseWrapper) -> list[tuple[str, int]]:
    """How many runs are executed, by queue; never more than there are threads."""
    runs = WorkflowRun.objects.using(connection.alias).filter(LEASED).order_by()
    return list(runs.values_list("queue").annotate(number=Count("pk")).order_by("queue"))


def next_ticks(connection: BaseDatabaseWrapper, most: int) -> list[Schedule]:
    """The schedules that fire next."""
    rows = Schedule.objects.using(connection.alias).filter(paused=False, next_fire_at__isnull=False)
    return list(rows.order_by("next_fire_at")[:most])


def present_workers(connection: BaseDatabaseWrapper, most: int) -> list[Any]:
    """Workers that have neither ended nor been declared lost, each with the database's ``now``, the newest first."""
    rows = Worker.objects.using(connection.alias).filter(stopped_at__isnull=True, lost_at__isnull=True)
    return list(rows.annotate(now=dialects.DatabaseNow()).order_by("-started_at")[:most])


def _newest(connection: BaseDatabaseWrapper, status: str, since: datetime) -> QuerySet[WorkflowRun]:
    runs = WorkflowRun.objects.using(connection.alias).filter(status=status, completed_at__gte=since)
    return runs.order_by(F("completed_at").desc())


def _count(rows: QuerySet[Any]) -> Counted:
    found = rows.order_by().values("pk")[: SAMPLE + 1].count()
    return Counted(min(found, SAMPLE), found > SAMPLE)


def read(connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any]) -> list[Any]:
    """The rows of a query that is asked too seldom, and in too many forms, to be prepared."""
    with connection.cursor() as cursor:
        cursor.execute(sql, list(params))
        return list(cursor.fetchall())


def _together(connection: BaseDatabaseWrapper, parts: Sequence[QuerySet[Any, Any]]) -> tuple[str, list[Any]]:
    """All rows of several queries, each of which may have an order and an end of its own."""
    compiled = [_compiled(connection, part) for part in parts]
    sql = " UNION ALL ".join(f"SELECT * FROM ({sql}) AS part_{number}" for number, (sql, _) in enumerate(compiled))
    return sql, [param for _, params in compiled for param in params]


def _compiled(connection: BaseDatabaseWrapper, rows: QuerySet[Any, Any]) -> tuple[str, Sequence[Any]]:
    sql, params = rows.query.get_compiler(connection=connection).as_sql()
    return str(sql), list(params)


def _moment(connection: BaseDatabaseWrapper, value: Any) -> datetime:
    found = dialects.read_datetime(connection, value)
    assert found is not None
    return found
