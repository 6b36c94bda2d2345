"""
Many sleepers: a suspended run costs its rows and nothing else, and all that are due at once go on.

The runs are started by ``start_workflow`` and suspended by a worker. A hundred thousand of them take minutes:
``pytest -m slow tests/scale``.
"""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import connection, transaction

from durable_workflows import clock, start_workflow
from durable_workflows.models import WorkflowRun
from durable_workflows.testing import travel
from tests.processes import Processes
from tests.scale.crew import Crew, until
from tests.scale.workflows import nap

pytestmark = pytest.mark.django_db(transaction=True)
NUMBERS = {"postgresql": 2000, "sqlite": 1000, "mysql": 500}
WARM, BATCH = 200, 1000
GROWTH = 50  # megabytes
COMING_AND_GOING = 1  # thread that sends hints while there are any


def go_to_sleep(number: int, due: int) -> None:
    """Start so many sleepers, of whom so many awake within the same second, tomorrow; the others in a month."""
    tomorrow = clock.now() + timedelta(days=1)
    for first in range(0, number, BATCH):
        with transaction.atomic():
            for each in range(first, min(first + BATCH, number)):
                start_workflow(nap, tomorrow + (timedelta(seconds=each / due) if each < due else timedelta(days=30)))


def sleeping() -> int:
    return WorkflowRun.objects.waiting().count()


def sleep_and_awake(processes: Processes, number: int, due: int, patience: float) -> None:
    crew = Crew(processes)
    go_to_sleep(WARM, due=1)
    until(lambda: sleeping() == WARM, patience)
    memory, threads, began = crew.megabytes, crew.threads, time.monotonic()
    go_to_sleep(number, due)
    started = time.monotonic() - began
    until(lambda: sleeping() == WARM + number, patience)
    suspended = time.monotonic() - began
    grown = crew.megabytes - memory
    print(f"{number} started in {started:.1f} s, suspended after {suspended:.1f} s; {memory:.1f} MB grew by {grown:.1f} MB")
    assert crew.threads <= threads + COMING_AND_GOING
    assert grown < GROWTH
    awake(crew, due, patience)
    grown = crew.megabytes - memory
    print(f"afterwards it had grown by {grown:.1f} MB")
    assert grown < GROWTH
    assert sleeping() == WARM - 1 + number - due
    crew.stop()


def awake(crew: Crew, due: int, patience: float) -> None:
    """Let the second come in which they are due."""
    first = WorkflowRun.objects.waiting().order_by("due_at")[1].due_at  # after the one that warmed up
    assert first is not None
    travel(first - clock.now() - timedelta(seconds=2))
    in_that_second = WorkflowRun.objects.waiting().filter(due_at__lte=clock.real_now() + timedelta(seconds=3.5))
    assert in_that_second.count() >= due
    began = time.monotonic() + 3  # when the last is due
    until(lambda: WorkflowRun.objects.succeeded().count() == due + 1, patience)
    print(f"{due} were due in one second; the last had ended {time.monotonic() - began:.1f} s after it")
    assert crew.process.poll() is None


def test_sleepers_cost_no_memory_and_no_threads(processes: Processes) -> None:
    number = NUMBERS[connection.vendor]
    sleep_and_awake(processes, number, number // 5, patience=110)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_hundred_thousand_of_them(processes: Processes) -> None:
    if connection.vendor == "postgresql":
        sleep_and_awake(processes, 100_000, 10_000, patience=3600)
    else:
        sleep_and_awake(processes, 20_000, 2_000, patience=3600)
