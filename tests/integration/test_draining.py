"""A worker that an operator drains: it claims no more, lets its runs come to their ends or next steps, and is not replaced."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings

from durable_workflows import clock, step, workflow
from durable_workflows.models import Worker, WorkflowRun, presence
from durable_workflows.models.transactions import in_write_transaction
from durable_workflows.states import RunState
from durable_workflows.testing import durable_worker
from tests.admin.rows import ago, make_worker
from tests.behaviour.workflows import holds
from tests.processes import Processes

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 60
BEGAN, LET_GO = threading.Event(), threading.Event()


def until(there: Callable[[], object]) -> None:
    last_look = clock.monotonic() + SECONDS
    while not there():
        assert clock.monotonic() < last_look
        clock.pause(0.02)


def drain_all() -> list[str]:
    return in_write_transaction(presence.ask_to_drain, list(Worker.objects.values_list("pk", flat=True)))


@step(atomic=False)
def hold() -> str:
    BEGAN.set()
    assert LET_GO.wait(SECONDS)
    return "held"


@step
def second() -> str:
    return "second"


@workflow
def two_steps() -> list[str]:
    return [hold(), second()]


def test_a_step_that_is_under_way_is_waited_for_and_its_run_is_given_back(settings: Settings) -> None:
    settings.DURABLE_WORKFLOWS = {"HEARTBEAT_SECONDS": 0.05, "SHUTDOWN_GRACE_SECONDS": 0.0}
    BEGAN.clear()
    LET_GO.clear()
    begun = two_steps.start()
    with durable_worker(threads=2):
        assert BEGAN.wait(SECONDS)
        [worker] = drain_all()
        assert drain_all() == [], "it was asked before"
        until(lambda: not any(thread.name == "durable-claimer" for thread in threading.enumerate()))
        later = two_steps.start()
        assert begun.run.status == RunState.RUNNING
        LET_GO.set()
        until(lambda: Worker.objects.get(pk=worker).stopped_at)
    assert begun.run.status == RunState.ENQUEUED, "at its next step, uncharged"
    assert (begun.run.recovery_attempts, begun.run.stalled, later.run.attempt) == (1, 0, 0)
    with durable_worker(threads=2):
        assert begun.get_result(timeout=SECONDS) == later.get_result(timeout=SECONDS) == ["held", "second"]


def test_who_can_be_asked() -> None:
    make_worker("alive")
    make_worker("direct", direct=True)
    make_worker("stopped", stopped_at=ago(minutes=1))
    make_worker("lost", lost_at=ago(minutes=1))
    make_worker("asked", drain_requested_at=ago(minutes=1))
    assert in_write_transaction(presence.ask_to_drain, [*Worker.objects.values_list("pk", flat=True), "unknown"]) == ["alive"]
    assert presence.is_to_drain(connection, "alive")
    assert not presence.is_to_drain(connection, "direct")


@pytest.mark.once  # what a process does about it is the same on every database
def test_a_member_of_a_fleet_is_not_replaced_and_the_fleet_ends_with_its_last(processes: Processes, tmp_path: Path) -> None:
    handle = holds.start(str(tmp_path / "let-go"))
    quick = {"HEARTBEAT_SECONDS": 0.2}
    fleet = processes.worker("--processes", "2", "--threads", "1", env={"DURABLE_TEST_SETTINGS": json.dumps(quick)})
    until(lambda: Worker.objects.count() == 2 and handle.run.status == RunState.RUNNING)
    busy = handle.run.worker_id
    [idle] = Worker.objects.exclude(pk=busy).values_list("pk", flat=True)
    assert in_write_transaction(presence.ask_to_drain, [idle]) == [idle]
    until(lambda: Worker.objects.get(pk=idle).stopped_at)
    clock.pause(1.0)  # in which a fleet looks five times for whom to replace
    assert Worker.objects.count() == 2
    assert drain_all() == [busy]
    (tmp_path / "let-go").touch()
    assert fleet.wait(SECONDS) == 0
    assert Worker.objects.filter(stopped_at=None).count() == 0
    assert WorkflowRun.objects.get().stalled == 0


@pytest.mark.once
def test_a_drained_worker_that_is_told_to_stop_waits_no_longer(processes: Processes, tmp_path: Path) -> None:
    handle = holds.start(str(tmp_path / "let-go"))
    quick = {"HEARTBEAT_SECONDS": 0.2, "SHUTDOWN_GRACE_SECONDS": 0.0}
    worker = processes.worker("--threads", "1", env={"DURABLE_TEST_SETTINGS": json.dumps(quick)})
    until(lambda: handle.run.status == RunState.RUNNING)
    assert drain_all()
    processes.expect(worker, "is drained")
    worker.terminate()
    assert worker.wait(SECONDS) == 0
    assert handle.run.status == RunState.ENQUEUED
