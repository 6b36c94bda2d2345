"""
What a claim under limits costs does not grow with the partitions, the backlog or the starts that the window has passed.

200,000 runs and as many starts. Asserted is what the plans of the product's own statements say; the numbers of pages are
PostgreSQL's buffers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from durable_workflows.limits import Limits, Rate
from durable_workflows.models import QueueState, WorkflowRun, claims, places, rates, rules, slots, taking
from durable_workflows.models.claims import Claimer, Pick
from durable_workflows.models.queues import QueueStart
from durable_workflows.models.rules import Rules
from durable_workflows.models.taking import AHEAD, Taken, Want
from tests.scale import crowd
from tests.scale.plans import Explained, explain
from tests.scale.test_indexes import NUMBER, analyze

pytestmark = pytest.mark.django_db(transaction=True)
ME = Claimer(worker_id="me", names=(crowd.KNOWN,))
STARTS = QueueStart._meta.db_table
FEW, MANY = 10, 10_000
RUNS = WorkflowRun._meta.db_table

Duty = Callable[[Any], Any]


@pytest.fixture(autouse=True)
def _only_where_there_are_plans() -> None:
    if connection.vendor == "mysql":
        pytest.skip("its plans are not read here")


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def seconds_ago(seconds: str) -> str:
    return crowd._moment(connection, f"(-{seconds})")


def numbers(most: int) -> str:
    return f"WITH RECURSIVE numbers(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < {most})"


def insert_starts(queue: str, number: int, every: float) -> None:
    """So many starts of a queue, one each so many seconds until now, in a hundred partitions."""
    execute(
        f"INSERT INTO {STARTS} (queue, partition_key, at, number) {numbers(number)}"
        f" SELECT '{queue}', 'p' || (i % 100), {seconds_ago(f'i * {every}')}, 1 FROM numbers"
    )


def enqueue(queue: str, partitions: int, each: int) -> None:
    """A backlog of so many runs in each of so many partitions."""
    execute(
        f"INSERT INTO {RUNS} (id, name, status, queue, partition_key, created_at, updated_at, queued_at)"
        f" {numbers(partitions * each)} SELECT '{queue}-' || i, '{crowd.KNOWN}', 'ENQUEUED', '{queue}',"
        f" 'p' || (i % {partitions}), {seconds_ago('i')}, {seconds_ago('i')}, {seconds_ago('i')} FROM numbers"
    )


def take(queue: str, limits: Limits, limit: int = 4, after: str | None = None) -> Duty:
    """A claim as a worker makes it."""
    QueueState.objects.filter(pk=queue).delete()
    rules.declare(connection, {queue: limits})
    want = Want(queue=queue, limit=limit, after=after)
    return lambda db: slots.take(db, ME, want, Rules(limits=limits), "token")


def assert_no_scan(explained: Explained) -> None:
    for plan in explained.plans:
        assert not plan.scans_the_runs(), explained


def assert_no_scan_of_starts(explained: Explained) -> None:
    for plan in explained.plans:
        assert not any(node.kind == "Seq Scan" and node.table == STARTS for node in plan.nodes), explained
        assert not any(node.text.startswith(f"SCAN {STARTS}") for node in plan.nodes), explained


def uses(explained: Explained, index: str) -> bool:
    return any(plan.uses(index) for plan in explained.plans)


CASES: dict[str, tuple[Duty, tuple[str, ...]]] = {
    "occupied": (lambda db: places.occupied_by(db, "mail"), ("durable_run_lease", "durable_run_reserved")),
    "partitions": (lambda db: places.heads(db, "reports", None, 8), ("durable_run_claim",)),
    "partitions after one": (lambda db: places.heads(db, "reports", "k5", 8), ("durable_run_claim",)),
    "kept": (
        lambda db: claims.claim(db, ME, Pick(queue="slow", limit=4, partition=None, reserved=True, keeps=True), "token"),
        ("durable_run_reserved",),
    ),
    "not kept": (
        lambda db: claims.claim(db, ME, Pick(queue="slow", limit=4, reserved=False, keeps=True), "token"),
        ("durable_run_claim",),
    ),
    "resumed": (
        lambda db: claims.claim(db, ME, Pick(queue="mail", limit=4, partition=None, turns=AHEAD), "token"),
        ("durable_run_ahead",),
    ),
    "begun": (lambda db: claims.claim(db, ME, Pick(queue="mail", limit=4, turns="turn <= 0"), "token"), ("durable_run_claim",)),
    "new": (lambda db: claims.claim(db, ME, Pick(queue="mail", limit=4, turns="turn > 0"), "token"), ("durable_run_claim",)),
    "window": (
        lambda db: rates.Window(db, "rated", Limits(limiter=Rate(50, 30), partition_queue=True, partition_limiter=Rate(5, 60))),
        ("durable_start_window",),
    ),
}


def test_every_statement_of_a_claim_reads_its_index(subtests: pytest.Subtests) -> None:
    crowd.insert(connection, NUMBER)
    execute(f"UPDATE {RUNS} SET partition_key = 'k' || length(id) WHERE queue = 'reports' AND status = 'ENQUEUED'")
    flag = "true" if connection.vendor == "postgresql" else "1"
    execute(f"UPDATE {RUNS} SET holds_slot = {flag} WHERE queue = 'slow' AND status = 'WAITING' AND due_at IS NULL")
    execute(
        f"UPDATE {RUNS} SET holds_slot = {flag} WHERE id IN (SELECT id FROM {RUNS} WHERE queue = 'slow' AND status = 'ENQUEUED' LIMIT 20)"
    )
    insert_starts("rated", NUMBER, 0.5)
    for statistics in (False, True):
        if statistics:
            analyze()
        elif connection.vendor == "postgresql":
            continue
        for what, (duty, indexes) in CASES.items():
            with subtests.test(what, statistics=statistics):
                explained = explain(duty)
                assert_no_scan(explained)
                assert_no_scan_of_starts(explained)
                for index in indexes:
                    assert uses(explained, index), explained
    with subtests.test("end"):
        WorkflowRun.objects.all()._raw_delete(connection.alias)
        QueueStart.objects.all()._raw_delete(connection.alias)
        execute("ANALYZE")


ROOM = {
    "turns": Limits(partition_queue=True),
    "concurrency": Limits(partition_queue=True, concurrency=8, partition_concurrency=2),
    "rates": Limits(partition_queue=True, limiter=Rate(100, 60), partition_limiter=Rate(5, 60)),
}
FULL = {
    "concurrency": Limits(partition_queue=True, concurrency=1),
    "rate": Limits(partition_queue=True, limiter=Rate(1, 600)),
}
PAGES_PER_PARTITION = 8  # that cannot give anything, of which one claim looks at so many and then leaves it to the next


def test_ten_thousand_partitions_cost_no_more_than_ten(subtests: pytest.Subtests) -> None:
    crowd.insert(connection, NUMBER // 10)
    enqueue("few", FEW, 1000)
    enqueue("many", MANY, 2)
    analyze()
    for what, limits in ROOM.items():
        with subtests.test(what):
            few, many = (compared(what, queue, limits, taken=4) for queue in ("few", "many"))
            assert many.pages <= 2 * few.pages
            assert len(many.plans) <= 2 * len(few.plans)
    for what, limits in FULL.items():
        with subtests.test(f"no room: {what}"):
            few, many = (compared(what, queue, limits, taken=0) for queue in ("few", "many"))
            assert many.pages <= 2 * few.pages + PAGES_PER_PARTITION * 2 * taking.FARTHEST_WALK
            assert len(many.plans) <= len(few.plans) + 10


def compared(what: str, queue: str, limits: Limits, *, taken: int) -> Explained:
    """One claim, when another one has taken what it could before, and how many of four it gets."""
    before: Taken = take(queue, limits, limit=2)(connection)
    assert len(before.claims) == (2 if taken else 1)
    explained = explain(take(queue, limits, after=before.after))
    print(f"{what}, {queue} partitions: {explained.pages} pages, {len(explained.plans)} statements")
    assert len(explained.returned.claims) == taken, explained.returned
    assert_no_scan(explained)
    WorkflowRun.objects.filter(worker_id="me").update(status="ENQUEUED", worker_id=None, turn=1)
    QueueStart.objects.all().delete()
    return explained
