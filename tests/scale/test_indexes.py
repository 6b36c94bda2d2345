"""
Claim, wake, lease, recovery and deadline each read an index that holds the rows they need and no others.

200,000 runs, most of them finished, some of names that nobody knows, in several queues. What is asserted is read from the
plans of the product's own statements; the numbers of pages are PostgreSQL's buffers, measured about half as high.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from django.db import connection

from durable_workflows import retention
from durable_workflows.models import (
    QueueState,
    Schedule,
    Worker,
    WorkflowRun,
    claims,
    presence,
    pruning,
    recovery,
    sweeps,
    ticking,
)
from durable_workflows.models.claims import Claimer, Pick
from durable_workflows.models.runs import Stranded
from tests.scale import crowd
from tests.scale.plans import Explained, explain

NUMBER = 200_000
ME = Claimer(worker_id="me", names=(crowd.KNOWN, "another"))
LIMIT = 16
KEPT_FOR_A_MONTH = retention.everything(30)


Duty = Callable[[Any], Any]


def claim(limit: int = LIMIT, queue: str = "mail", suspects: bool = False) -> Duty:
    return lambda db: len(claims.claim(db, ME, Pick(queue=queue, limit=limit, suspects=suspects), "token"))


def share(status: str, **having: str) -> int:
    """How many runs there are of a status."""
    sorts = [sort for sort in crowd.CROWD if sort.status == status]
    return sum(s.share for s in sorts if all(getattr(s, name) == value for name, value in having.items())) * NUMBER // 1000


# What is done, by which index, how many rows it is to find, and how many pages it may look at: in all, and for each row.
CASES: dict[str, tuple[Duty, str, int | None, int, int]] = {
    "pulse": (lambda db: sweeps.pulse(db, crowd.QUEUES), "durable_run_claim", None, 45, 0),
    "next due": (lambda db: sweeps.pulse(db, ()), "durable_run_due", None, 30, 0),
    "next deadline": (lambda db: sweeps.pulse(db, ()), "durable_run_deadline", None, 30, 0),
    "suspects": (lambda db: sweeps.pulse(db, crowd.QUEUES), "durable_run_unclaimable", None, 45, 0),
    "busy queues": (lambda db: len(claims.busy_queues(db, crowd.QUEUES)), "durable_run_claim", 4, 20, 0),
    "claim suspects": (claim(suspects=True), "durable_run_unclaimable", 0, 15, 0),
    "claim nothing": (claim(queue="nobody's"), "durable_run_claim", 0, 5, 0),
    "wake due": (sweeps.wake_due, "durable_run_due", 1000, 0, 40),
    "cancel overdue": (sweeps.cancel_overdue, "durable_run_deadline", 1000, 0, 40),
    "forsaken": (lambda db: len(presence.forsaken(db)), "durable_run_lease", 1, 2 * share("RUNNING"), 0),
    "take back": (lambda db: recovery.take_back(db, crowd.DEAD), "durable_run_lease", 1000, 0, 100),
    "prune nothing": (lambda db: pruning.prune(db, KEPT_FOR_A_MONTH), "durable_run_ended", None, 20, 0),
    "held": (lambda db: len(presence.held(db, crowd.ALIVE)), "durable_run_lease", share("RUNNING", worker=crowd.ALIVE), 20, 2),
}


@pytest.mark.django_db(transaction=True)
def test_every_duty_reads_the_index_of_its_own_rows(subtests: pytest.Subtests) -> None:
    if connection.vendor == "mysql":
        pytest.skip("MariaDB and MySQL have no partial indexes; the columns of the condition lead theirs")
    make_small_tables_small()
    crowd.insert(connection, NUMBER)
    for statistics in (False, True):
        if statistics:
            analyze()
        elif connection.vendor == "postgresql":
            continue  # autovacuum sees to them; nobody does on SQLite
        for what, case in CASES.items():
            with subtests.test(what, statistics=statistics):
                check(*case)
    with subtests.test("sleepers"):
        check_that_sleepers_cost_those_that_are_due_nothing()
    with subtests.test("kept plan"):
        check_that_a_kept_plan_is_as_good()
    with subtests.test("unknown names"):
        check_that_unknown_names_cost_nothing_once_they_are_set_aside()
    with subtests.test("ticks that may not overlap"):
        check_that_finished_runs_of_a_schedule_cost_nothing()
    with subtests.test("end"), connection.cursor() as cursor:
        WorkflowRun.objects.all()._raw_delete(connection.alias)
        cursor.execute("ANALYZE")  # the next tests' tables are small again


def make_small_tables_small() -> None:
    """The rows of earlier tests were deleted and not cut off, and their dead versions would be read with what there is."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for model in (QueueState, Schedule, Worker):
                cursor.execute(f"VACUUM FULL {model._meta.db_table}")


def analyze() -> None:
    """What autovacuum does by itself, after a while; on SQLite statistics are read when a connection is opened."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
    connection.close()


def check(duty: Duty, index: str, rows: int | None, pages: int, pages_per_row: int) -> None:
    explained = explain(duty)
    assert_no_scan(explained)
    assert any(plan.uses(index) for plan in explained.plans), explained
    if rows is not None:
        assert explained.returned == rows
    assert explained.pages <= pages + pages_per_row * (rows or 0), explained


def assert_no_scan(explained: Explained) -> None:
    for plan in explained.plans:
        assert not plan.scans_the_runs(), explained


def check_that_sleepers_cost_those_that_are_due_nothing() -> None:
    analyze()  # a bitmap would count what the duties before have left dead
    looking = explain(sweeps.wake_due).plans[0]
    assert looking.uses("durable_run_due"), looking
    if connection.vendor == "postgresql":
        due = sum(sort.share for sort in crowd.CROWD if sort.seconds.get("due_at", 0) < 0) * NUMBER // 1000
        assert max(node.rows for node in looking.nodes if node.index == "durable_run_due") <= due, looking
    else:
        assert any("due_at<?" in node.text for node in looking.nodes), looking


def check_that_a_kept_plan_is_as_good() -> None:
    """After five executions PostgreSQL may keep one plan of a prepared statement for all its parameters."""
    if connection.vendor != "postgresql":
        return
    sql, params = explain(claim()).plans[0].statement
    numbers = count(1)
    numbered = re.sub("%s", lambda _: f"${next(numbers)}", sql)
    with connection.cursor() as cursor:
        cursor.execute(f"PREPARE claiming AS {numbered}")
        call = cursor.mogrify(f"EXPLAIN EXECUTE claiming ({', '.join(['%s'] * len(params))})", params)
        for _ in range(10):
            cursor.execute(call)
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "durable_run_claim" in plan, plan
            assert "Seq Scan" not in plan, plan
        cursor.execute("DEALLOCATE claiming")


def check_that_unknown_names_cost_nothing_once_they_are_set_aside() -> None:
    known = [(crowd.KNOWN, "")]
    while sweeps.strand_unknown(connection, crowd.QUEUES, known):
        pass
    assert WorkflowRun.objects.filter(stranded=Stranded.NAME).count() == share("ENQUEUED", name=crowd.UNKNOWN)
    analyze()
    claimed = explain(claim())
    assert claimed.returned == LIMIT
    assert_no_scan(claimed)
    assert claimed.plans[0].uses("durable_run_claim"), claimed
    if connection.vendor == "postgresql":
        [picked] = [node for node in claimed.plans[0].nodes if node.kind == "LockRows"]
        assert picked.pages <= 5 * LIMIT, claimed
        assert claimed.pages <= 40 * LIMIT, claimed
    for what in ("pulse", "suspects", "busy queues"):
        check(*CASES[what])
    check(lambda db: sweeps.readmit_known(db, known), "durable_run_unclaimable", 0, 5, 0)
    check(lambda db: sweeps.readmit_known(db, [(crowd.UNKNOWN, "")]), "durable_run_unclaimable", 1000, 0, 40)


def check_that_finished_runs_of_a_schedule_cost_nothing() -> None:
    WorkflowRun.objects.filter(status="ERROR").update(schedule_name="nightly")
    analyze()
    check(lambda db: len(ticking.busy(db, ["nightly"])), "durable_run_ticks", 0, 10, 0)
