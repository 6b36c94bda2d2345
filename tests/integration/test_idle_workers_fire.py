"""A worker process that has nothing to do fires what another process makes due."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from durable_workflows import apply_schedules, create_schedule, pause_schedule, resume_schedule, trigger_schedule
from durable_workflows.models import Schedule, Worker, WorkflowRun
from tests.processes import Processes

pytestmark = pytest.mark.django_db(transaction=True)

NOBODY = "tests.a_workflow_that_nobody_knows"  # its runs are there to be counted


def until(there: Callable[[], bool]) -> None:
    last_look = time.monotonic() + 60
    while not there():
        assert time.monotonic() < last_look, list(Schedule.objects.values())
        time.sleep(0.02)


def test_it_is_fired_by_its_pulse_or_by_a_hint(processes: Processes) -> None:
    processes.worker("--threads", "1")
    until(Worker.objects.filter(direct=False).exists)
    time.sleep(0.5)  # it has looked, and rests
    create_schedule("created", NOBODY, interval_seconds=1)
    apply_schedules([{"name": "applied", "workflow": NOBODY, "cron": "* * * * * *"}])
    create_schedule("resumed", NOBODY, interval_seconds=1)
    pause_schedule("resumed")
    for name in ("created", "applied"):
        until(WorkflowRun.objects.filter(schedule_name=name).exists)
    before = WorkflowRun.objects.filter(schedule_name="resumed").count()
    resume_schedule("resumed")
    until(lambda: WorkflowRun.objects.filter(schedule_name="resumed").count() > before)
    assert trigger_schedule("created").run.schedule_name == "created"
