"""
What an operator changes holds on every worker within a second, however it came into the row.

Where workers share a limit, the next claim after the change keeps to it: no clock is needed for that. What is a worker's own
is read with its pulse. ``POLL_SECONDS`` is well below a second here, so that only what is broken is late.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from durable_workflows import Queue
from durable_workflows.models import QueueState, rules
from tests.queues import ledger
from tests.queues import workflows as house
from tests.queues.fleet import Fleet
from tests.queues.invariants import exceeded
from tests.queues.ledger import Line

pytestmark = pytest.mark.django_db(transaction=True)
WITHIN = 1.0  # seconds
LATE = 30.0  # seconds after which what should have begun at once never will
RUNS = 400


def by_the_admin(queue: Queue, **columns: Any) -> None:
    assert rules.change(connection, [queue.name], **columns) == 1


def by_sql(queue: Queue, **columns: Any) -> None:
    """Past everything, as the documentation has it."""
    row = QueueState(**columns)
    values = {name: QueueState._meta.get_field(name).get_db_prep_save(getattr(row, name), connection) for name in columns}
    with connection.cursor() as cursor:
        assignments = ", ".join(f"{name} = %s" for name in values)
        table = QueueState._meta.db_table
        sql = f"UPDATE {table} SET {assignments}, revision = revision + 1 WHERE name = %s"
        cursor.execute(sql, [*values.values(), queue.name])


def claims_of(fleet: Fleet, queue: Queue, after: float) -> list[Line]:
    return [line for line in fleet.lines() if line.claimed and line.queue == queue.name and line.at > after]


def most_at_once(lines: list[Line], queue: Queue, after: float, worker: bool) -> int:
    """How many leases there were at once, in all or of one worker, from some moment on."""
    held: dict[str, str] = {}
    most = 0
    for line in (line for line in lines if line.queue == queue.name and line.what == "run"):
        held.pop(line.name, None)
        if line.status == "RUNNING":
            held[line.name] = line.worker or ""
        if line.at > after:
            mine = [*held.values()].count(line.worker or "") if worker else len(held)
            most = max(most, mine)
    return most


@pytest.mark.parametrize(
    ("queue", "how"),
    [
        *[pytest.param(queue, by_the_admin, marks=pytest.mark.sampled(3)) for queue in (house.PLAIN, house.NARROW, house.EACH)],
        *[pytest.param(queue, by_sql, marks=pytest.mark.slow) for queue in (house.PLAIN, house.NARROW, house.EACH)],
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_pause_and_a_resumption(fleet: Fleet, queue: Queue, how: Callable[..., None]) -> None:
    fleet.start(4)
    queue.enqueue_many(house.leaf, [0.05] * RUNS)
    fleet.until(lambda: claims_of(fleet, queue, 0.0), "the first to start")
    how(queue, paused=True)
    paused = ledger.now()
    time.sleep(WITHIN + 1.0)
    on_again = ledger.now()
    late = [line.at - paused for line in claims_of(fleet, queue, paused + WITHIN)]
    assert late == [], f"Started so many seconds after the pause: {late}"
    how(queue, paused=False)
    fleet.until(lambda: claims_of(fleet, queue, on_again), "runs to start again", LATE)
    begun = claims_of(fleet, queue, on_again)[0].at - on_again
    print(f"starts resumed after {begun:.2f} s")
    assert begun < 1.5
    assert exceeded(fleet.lines(), threads=fleet.threads, read_within=WITHIN) == []


@pytest.mark.sampled(2)
@pytest.mark.parametrize("how", [by_the_admin, pytest.param(by_sql, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("queue", "limit"), [(house.NARROW, "concurrency"), (house.EACH, "worker_concurrency")])
def test_a_raised_and_a_lowered_limit(fleet: Fleet, queue: Queue, limit: str, how: Callable[..., None]) -> None:
    own = limit == "worker_concurrency"
    fleet.start(4)
    queue.enqueue_many(house.leaf, [0.15] * RUNS)
    fleet.until(lambda: claims_of(fleet, queue, 0.0), "the first to start")
    raised = ledger.now()
    how(queue, overrides={limit: 4})
    fleet.until(lambda: most_at_once(fleet.lines(), queue, raised, own) == 4, "the raised limit to be reached", LATE)
    how(queue, overrides={limit: 1})
    lowered = ledger.now()
    time.sleep(WITHIN + 1.0)
    lines = fleet.lines()
    starts = [line for line in lines if line.claimed and line.queue == queue.name and line.at > lowered + WITHIN]
    assert starts, "one at a time goes on"
    assert exceeded(lines, threads=fleet.threads, read_within=WITHIN) == []
