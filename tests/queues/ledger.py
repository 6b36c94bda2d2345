"""
Every lease and every change of a queue's row, written down by triggers in the transaction that brings it about.

A claim from a queue with a shared limit is made under the lock of the queue's row. So are a change of that row, and the
next claim. The numbers of these lines are taken under the lock too, which makes their order the one in which they came
about: the checks of ``tests.queues.invariants`` need no clock for them.
"""

from __future__ import annotations

from dataclasses import dataclass

from durable_workflows.models import QueueState, WorkflowRun
from tests.queues import vendors

TABLE = "house_leases"
RUNS, QUEUES = WorkflowRun._meta.db_table, QueueState._meta.db_table
COLUMNS = (
    "what", "name", "queue", "part", "old_status", "status", "old_worker", "worker", "attempt", "old_turn", "turn",
    "paused", "declared", "overrides",
)  # fmt: skip
TYPES = {
    "attempt": "integer",
    "old_turn": "integer",
    "turn": "integer",
    "paused": "integer",
    "declared": "text",
    "overrides": "text",
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """
    What happened to a run, or to the row of a queue (``what`` is "run" or "queue").

    :param number: grows in the order of what happened.
    :param at: the database's clock in seconds.
    """

    number: int
    at: float
    what: str
    name: str
    queue: str
    part: str = ""
    old_status: str | None = None
    status: str | None = None
    old_worker: str | None = None
    worker: str | None = None
    attempt: int | None = None
    old_turn: int | None = None
    turn: int | None = None
    paused: int | None = None
    declared: str | None = None
    overrides: str | None = None

    @property
    def claimed(self) -> bool:
        """Whether a worker took a run from a queue."""
        return self.what == "run" and self.status == "RUNNING" and self.old_status == "ENQUEUED"

    @property
    def given_up(self) -> bool:
        """Whether a lease ended by nothing that the run did."""
        return self.what == "run" and self.old_status == "RUNNING" and self.status in ("ENQUEUED", "DELAYED")

    @property
    def ahead(self) -> bool:
        """Whether it was resumed, or never asked for a place."""
        return self.old_status is None or (self.old_turn or 0) < 0


def create() -> None:
    vendors.create_table(TABLE, *(f"{name} {TYPES.get(name, 'varchar(255)')}" for name in COLUMNS))
    run = {
        "name": "NEW.id", "queue": "NEW.queue", "part": "NEW.partition_key", "status": "NEW.status", "worker": "NEW.worker_id",
        "attempt": "NEW.attempt", "turn": "NEW.turn",
    }  # fmt: skip
    before = {"old_status": "OLD.status", "old_worker": "OLD.worker_id", "old_turn": "OLD.turn"}
    paused = "CASE WHEN NEW.paused THEN 1 ELSE 0 END"
    queue = {
        "name": "NEW.name",
        "queue": "NEW.name",
        "paused": paused,
        "declared": "NEW.declared",
        "overrides": "NEW.overrides",
    }
    vendors.create_trigger(RUNS, "INSERT", _insert("run", run))
    vendors.create_trigger(RUNS, "UPDATE", _insert("run", run | before), vendors.differ("status", "lease_token", "turn"))
    vendors.create_trigger(QUEUES, "INSERT", _insert("queue", queue))
    vendors.create_trigger(QUEUES, "UPDATE", _insert("queue", queue))


def _insert(what: str, values: dict[str, str]) -> str:
    own = vendors.NOW[vendors.connection.vendor]
    return f"INSERT INTO {TABLE} (happened, what, {', '.join(values)}) VALUES ({own}, '{what}', {', '.join(values.values())})"


def drop() -> None:
    for table in (RUNS, QUEUES):
        for event in ("INSERT", "UPDATE"):
            vendors.drop_trigger(table, event)
    vendors.drop_table(TABLE)


def read() -> list[Line]:
    """All lines, in order."""
    found = vendors.rows(f"SELECT id, happened, {', '.join(COLUMNS)} FROM {TABLE} ORDER BY id")
    return [Line(**dict(zip(("number", "at", *COLUMNS), row, strict=True))) for row in found]


def starts(lines: list[Line], queue: str = "") -> list[Line]:
    """The first claim of each run, in order."""
    seen: dict[str, Line] = {}
    for line in lines:
        if line.claimed and queue in ("", line.queue):
            seen.setdefault(line.name, line)
    return list(seen.values())


def now() -> float:
    """The same clock."""
    return float(vendors.rows(f"SELECT {vendors.NOW[vendors.connection.vendor]}")[0][0])
