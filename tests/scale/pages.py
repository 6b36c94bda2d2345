"""
How long the admin's pages of runs take with 1,000 runs and with 5,000,000: ``python -m tests.scale.pages [--runs N ...]``.

Prints a table of medians, each of several requests of Django's test client, rendered and read to the end. The databases are
made for it on PostgreSQL, and dropped; the big one takes some minutes and 3 GB. ``--keep`` leaves them for another time.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import django

RUNS = "/admin/durable_workflows/workflowrun/"
TIMES = 9


@dataclass(frozen=True)
class Visit:
    """A page, its median in milliseconds, and how many queries it took."""

    page: str
    milliseconds: float
    queries: int


def addresses() -> dict[str, str]:
    """The pages of a list, what each is called; they are of the runs of ``multitude``."""
    from django.contrib.admin.utils import quote

    from durable_workflows.admin.looking import Place
    from durable_workflows.models import WorkflowRun
    from tests.scale.multitude import LONG_RUN

    runs = WorkflowRun.objects.order_by("created_at")
    middle = runs.filter(created_at__gte=_halfway()).first()
    oldest = runs.first()
    assert middle is not None
    assert oldest is not None
    filters = {
        "status succeeded": "status__exact=SUCCESS",
        "status failed": "status__exact=ERROR",
        "status dead (a few)": "status__exact=MAX_RECOVERY_ATTEMPTS_EXCEEDED",
        "status waiting": "status__exact=WAITING",
        "status enqueued": "status__exact=ENQUEUED",
        "status running": "status__exact=RUNNING",
        "status paused (none)": "status__exact=PAUSED",
        "not ended": "status__exact=unfinished",
        "stuck": "stuck=any",
        "nobody knows the workflow": "stuck=name",
        "its worker is gone": "stuck=worker",
        "retrying": "retrying=yes",
        "waiting longer than a day": "waiting=1d",
        "last hour": "created=1h",
        "last 7 days": "created=7d",
        "a range half-way back": f"created_at__gte={middle.created_at:%Y-%m-%dT%H:%M:%S}"
        f"&created_at__lt={runs.filter(created_at__gt=middle.created_at)[5:6].first().created_at:%Y-%m-%dT%H:%M:%S.%f}",
        "workflow, frequent": "workflow=shop.workflows.checkout",
        "workflow, part of a name": "workflow=index_1",
        "workflow, one in a million": "workflow=reports.workflows.yearly",
        "workflow, unknown": "workflow=nobody",
        "queue": "queue=slow",
        "version, newest": "version=v11",
        "version, old (beyond the look)": "version=v2",
        "schedule": "schedule_name__exact=nightly",
        "schedule, seldom": "schedule_name__exact=yearly",
        "worker": "worker=web-1",
        "top level only": "origin=top",
        "failed, and a workflow": "status__exact=ERROR&workflow=shop.workflows.checkout",
        "failed, and nothing matches": "status__exact=ERROR&workflow=nobody",
    }
    searches = {
        "search by id": f"q={middle.pk}",
        "search by the beginning of an id": f"q={middle.pk[:11]}",
        "search by what all ids begin with": "q=0",
        "search by attribute, frequent": "q=tenant%3Dt44",
        "search by attribute, none": "q=tenant%3Dnobody",
        "search by user": "q=user%3Auser-42",
        "search by user, none": "q=user%3Anobody",
    }
    lists = {
        "list": "",
        "list, oldest first": "o=7",
        "list, second page": f"after={Place.of(runs.reverse()[49:50].get())}",
        "list, a page half-way back": f"after={Place.of(middle)}",
        "list, before the end": f"before={Place.of(oldest)}",
        **filters,
        **searches,
    }
    found = {name: f"{RUNS}?{query}" for name, query in lists.items()}
    return {**found, "a run of 10,000 steps": f"{RUNS}{quote(LONG_RUN)}/change/"}


def _halfway() -> object:
    from django.db.models import Max, Min

    from durable_workflows.models import WorkflowRun

    ends = WorkflowRun.objects.aggregate(first=Min("created_at"), last=Max("created_at"))
    return ends["first"] + (ends["last"] - ends["first"]) / 2


def visits(times: int = TIMES, pages: Mapping[str, str] | None = None) -> Iterator[Visit]:
    """Open each page so many times, as a superuser."""
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client()
    client.force_login(User.objects.get_or_create(username="root", is_superuser=True, is_staff=True)[0])
    for page, address in (pages or addresses()).items():
        with CaptureQueriesContext(connection) as queries:
            response = client.get(address)
        assert response.status_code == 200, (page, address, response.status_code)
        number, taken = len(queries), []
        for _ in range(times):
            since = perf_counter()
            response = client.get(address)
            taken.append((perf_counter() - since) * 1000)
        yield Visit(page, median(taken), number)


@contextmanager
def database(number: int, *, keep: bool = False) -> Iterator[None]:
    """Point Django's connection to a database with so many runs, made if it is not there."""
    from django.core.management import call_command
    from django.db import connection

    from tests.scale import multitude

    name, home = f"durable_pages_{number}", connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        made = cursor.fetchone() is None
        if made:
            cursor.execute(f"CREATE DATABASE {name}")
    _connect(name)
    try:
        if made:
            call_command("migrate", verbosity=0)
            multitude.insert(number)
        yield
    finally:
        _connect(home)
        if not keep:
            with connection.cursor() as cursor:
                cursor.execute(f"DROP DATABASE {name}")


def _connect(name: str) -> None:
    from django.db import connection

    connection.close()
    connection.settings_dict["NAME"] = name


def main() -> None:
    parser = ArgumentParser(prog="python -m tests.scale.pages", description="Medians of the admin's pages of runs.")
    parser.add_argument("--runs", type=int, nargs="+", default=[1000, 5_000_000], help="Sizes of the tables.")
    parser.add_argument("--times", type=int, default=TIMES, help=f"Requests of each page ({TIMES}).")
    parser.add_argument("--keep", action="store_true", help="Leave the databases for another time.")
    asked = parser.parse_args()
    found: dict[str, list[Visit]] = {}
    for number in asked.runs:
        print(f"{number:,} runs ...", file=sys.stderr)
        with database(number, keep=asked.keep):
            for visit in visits(asked.times):
                found.setdefault(visit.page, []).append(visit)
    print("| page | " + " | ".join(f"{number:,} runs" for number in asked.runs) + " | queries |")
    print("|---|" + "--:|" * (len(asked.runs) + 1))
    for page, of_it in found.items():
        medians = " | ".join(f"{visit.milliseconds:.0f} ms" for visit in of_it)
        print(f"| {page} | {medians} | {' / '.join(str(visit.queries) for visit in of_it)} |")


if __name__ == "__main__":
    os.environ.setdefault("DURABLE_TEST_DATABASE", "postgresql")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    main()
