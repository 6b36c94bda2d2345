"""
What the list of runs costs does not grow with the table: plans at 200,000 runs, and, slow, medians at 5,000,000.

The plans are those of the statements that a request executes; the numbers of pages are PostgreSQL's buffers. No time is
asserted: ``python -m tests.scale.pages`` prints the medians that docs/admin.md states.
"""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from durable_workflows.admin import looking
from durable_workflows.models import WorkflowRun
from tests.scale import crowd, pages
from tests.scale.plans import Explained, explain
from tests.scale.test_indexes import NUMBER, analyze, make_small_tables_small, share

RUNS = "/admin/durable_workflows/workflowrun/"
LOOK = 1000
WALK = 2 * LOOK * 3 // 2  # pages: a look for the page and one for the count, each row on a page of its own, and their index
ALL = WorkflowRun._meta.db_table

# What is asked, the index that serves it, and how many pages it may look at.
CASES: dict[str, tuple[str, int]] = {
    "": ("durable_run_created", WALK),
    "o=7": ("durable_run_created", WALK),
    "workflow=nobody": ("durable_run_created", WALK),
    "workflow=known": ("durable_run_created", WALK),
    "queue=slow": ("durable_run_created", WALK),
    "version=v9": ("durable_run_created", WALK),
    "worker=nobody": ("durable_run_created", WALK),
    "origin=top": ("durable_run_created", WALK),
    "q=tenant%3Dacme": ("durable_run_created", WALK),
    "q=user%3Aalice": ("durable_run_created", WALK),
    "created=1h": ("durable_run_created", WALK),
    "status__exact=SUCCESS": ("durable_run_created", WALK),
    "status__exact=ERROR": ("durable_run_apart", WALK),
    "status__exact=PAUSED": ("durable_run_apart", 60),
    "status__exact=WAITING&workflow=nobody": ("durable_run_apart", WALK),
    "status__exact=RUNNING": ("durable_run_lease", 4 * share("RUNNING")),
    "waiting=1d": ("durable_run_apart", WALK),
    "stuck=name": ("durable_run_unclaimable", 60),
    "stuck=worker": ("durable_run_lease", 4 * share("RUNNING")),
    "schedule_name__exact=nightly": ("durable_run_schedule", WALK),
    "retrying=yes": ("", 60),
    "q=run-777": ("", 8 * 1111),
    "q=run-": ("durable_run_created", WALK + looking.FEW),
}


@pytest.mark.django_db(transaction=True)
def test_no_list_reads_all_runs(subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor == "mysql":
        pytest.skip("its plans are not read here")
    monkeypatch.setattr(looking, "FARTHEST", LOOK)
    monkeypatch.setattr(looking, "FARTHEST_APART", LOOK)
    make_small_tables_small()
    crowd.insert(connection, NUMBER)
    nightly = WorkflowRun.objects.filter(status="SUCCESS").order_by("pk").values("pk")[: 4 * LOOK]
    WorkflowRun.objects.filter(pk__in=[row["pk"] for row in nightly]).update(schedule_name="nightly")
    analyze()
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    for query, (index, most) in CASES.items():
        with subtests.test(query):
            explained = explain(lambda _db, query=query: client.get(f"{RUNS}?{query}"))  # type: ignore[misc]
            assert explained.returned.status_code == 200
            check(explained, index, most)
    with subtests.test("end"), connection.cursor() as cursor:
        WorkflowRun.objects.all()._raw_delete(connection.alias)
        cursor.execute("ANALYZE")  # the next tests' tables are small again


def check(explained: Explained, index: str, most: int) -> None:
    for plan in explained.plans:
        assert not plan.scans_the_runs(), explained
    assert not index or any(plan.uses(index) for plan in explained.plans), explained
    read = sum(plan.pages for plan in explained.plans if ALL in plan.sql)
    assert read <= most, explained


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.timeout(3600)
@pytest.mark.django_db(transaction=True)
def test_the_pages_with_five_million_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Each page answers, with as many queries as with 1,000 runs, or one or two for a count; the medians are printed."""
    if connection.vendor != "postgresql":
        pytest.skip("the many runs are made on PostgreSQL")
    found: dict[int, list[pages.Visit]] = {}
    for number in (1000, 5_000_000):
        with pages.database(number):
            found[number] = list(pages.visits())
    with capsys.disabled():
        for few, many in zip(*found.values(), strict=True):
            print(f"{few.page}: {few.milliseconds:.0f} ms, {many.milliseconds:.0f} ms; {few.queries} / {many.queries} queries")
    assert max(visit.queries for visit in found[5_000_000]) <= max(visit.queries for visit in found[1000]) + 2
