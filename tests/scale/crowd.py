"""A full house: 200,000 runs of all sorts, their rows mixed as time would mix them, inserted by one statement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import clock
from durable_workflows.models import Worker, WorkflowRun

RUNS = WorkflowRun._meta.db_table
KNOWN, UNKNOWN = "known.workflow", "retired.workflow"
QUEUES = ("default", "mail", "reports", "slow")
ALIVE, DEAD = "worker-alive", "worker-dead"


@dataclass(frozen=True, eq=False)
class Sort:
    """
    So many runs of one sort.

    :param share: of a thousand.
    :param seconds: its columns that are moments, as seconds from now.
    """

    share: int
    status: str
    name: str = KNOWN
    worker: str | None = None
    values: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, int] = field(default_factory=dict)


DAY = 86400
CROWD = (
    Sort(690, "SUCCESS", seconds={"completed_at": -DAY}),
    Sort(40, "ERROR", seconds={"completed_at": -DAY}),
    Sort(20, "CANCELLED", seconds={"completed_at": -DAY}),
    Sort(20, "RUNNING", worker=ALIVE, seconds={"deadline": DAY}),
    Sort(5, "RUNNING", worker=DEAD),
    Sort(80, "WAITING", seconds={"due_at": 30 * DAY}),
    Sort(20, "WAITING", seconds={"due_at": 30 * DAY, "deadline": 60 * DAY}),
    Sort(10, "WAITING", seconds={"due_at": -DAY}),
    Sort(30, "WAITING"),
    Sort(10, "WAITING", seconds={"deadline": -DAY}),
    Sort(5, "DELAYED", seconds={"due_at": 30 * DAY}),
    Sort(40, "ENQUEUED", values={"priority": 1}),
    # Older than what is known: each claim would have to step over them.
    Sort(30, "ENQUEUED", name=UNKNOWN, seconds={"created_at": -9 * DAY}),
)
MOMENTS = ("created_at", "completed_at", "due_at", "deadline")


def insert(connection: BaseDatabaseWrapper, number: int) -> None:
    """Insert so many runs, and the workers that hold some of them; the dead one's heartbeat was an hour ago."""
    now = clock.real_now()
    for worker, silent in ((ALIVE, 0), (DEAD, 3600)):
        Worker.objects.create(
            id=worker, pid=1, lease_seconds=30, started_at=now, heartbeat_at=now - timedelta(seconds=silent), names=[KNOWN]
        )
    columns = {
        "id": "'run-' || i",
        "name": _case({sort: f"'{sort.name}'" for sort in CROWD}),
        "status": _case({sort: f"'{sort.status}'" for sort in CROWD}),
        "queue": f"CASE i % {len(QUEUES)} {' '.join(f'WHEN {i} THEN {q!r}' for i, q in enumerate(QUEUES))} END",
        "priority": _case({sort: str(sort.values.get("priority", 0)) for sort in CROWD}),
        "turn": "1",
        "worker_id": _case({sort: f"'{sort.worker}'" for sort in CROWD if sort.worker}),
        "lease_token": _case({sort: f"'{sort.worker}'" for sort in CROWD if sort.worker}),
        "updated_at": _moment(connection, "0"),
    }
    columns |= {
        moment: _case({s: _moment(connection, f"({s.seconds.get(moment, 0)} + i % 600)") for s in CROWD if _has(s, moment)})
        for moment in MOMENTS
    }
    columns |= {"queued_at": columns["created_at"], "rank": columns["priority"]}
    sql = (
        f"INSERT INTO {RUNS} ({', '.join(columns)}) WITH RECURSIVE numbers(i, sort) AS (SELECT 0, 0 UNION ALL"
        # 7919 is prime to 1000: every sort comes round all the time.
        f" SELECT i + 1, ((i + 1) * 7919) % 1000 FROM numbers WHERE i + 1 < {number})"
        f" SELECT {', '.join(columns.values())} FROM numbers"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql)


def _has(sort: Sort, moment: str) -> bool:
    return moment == "created_at" or moment in sort.seconds


def _bounds() -> Iterator[tuple[Sort, int]]:
    total = 0
    for sort in CROWD:
        total += sort.share
        yield sort, total
    assert total == 1000, f"the shares make {total}"


def _case(values: Mapping[Sort, str]) -> str:
    cases = " ".join(f"WHEN sort < {bound} THEN {values.get(sort, 'NULL')}" for sort, bound in _bounds())
    return f"CASE {cases} END"


def _moment(connection: BaseDatabaseWrapper, seconds: str) -> str:
    if connection.vendor == "postgresql":
        return f"clock_timestamp() + {seconds} * interval '1 second'"
    return f"strftime('%Y-%m-%d %H:%M:%f', 'now', {seconds} || ' seconds')"
