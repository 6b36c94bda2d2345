"""The helpers for a project's own tests."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F
from pytest_django import Settings

from durable_workflows import (
    InvalidUse,
    Queue,
    SetWorkflowTimeout,
    WorkflowNotFound,
    clock,
    list_workflow_steps,
    recv,
    registry,
    scheduled,
    send,
    sleep,
    step,
    wait_all,
    workflow,
)
from durable_workflows.models import Schedule, StepRun, Wait, Worker, WorkflowRun
from durable_workflows.states import RunState
from durable_workflows.testing import drain, durable_worker, lose, travel
from tests.app.models import Ledger
from tests.processes import Processes

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]
elsewhere = Queue("elsewhere")


@step
def note(run: str) -> int:
    Ledger.objects.create(run_id=run, step="note")
    return Ledger.objects.filter(run_id=run).count()


@workflow
def reminds(days: float) -> int:
    sleep(days * 86400)
    return note("reminds")


@workflow
def child(number: int) -> int:
    return number * 2


@workflow
def joins(children: int) -> int:
    return sum(wait_all([child.start(number) for number in range(children)]))


@workflow
def receives() -> Any:
    note("receives")
    return recv()


@workflow
def fails() -> None:
    raise LookupError("nothing")


@workflow
def ticks(scheduled_time: datetime, actual_time: datetime) -> str:
    return f"{scheduled_time:%H:%M}"


# -- drain


@pytest.mark.parametrize("children", [0, 3, 40])
def test_drain_runs_what_is_ready_to_a_fixed_point(children: int) -> None:
    handle = joins.start(children)
    assert drain() >= children + 1
    assert handle.get_result() == children * (children - 1)
    assert drain() == 0


@pytest.mark.usefixtures("committing")
def test_drain_commits_outside_of_a_testcase() -> None:
    handle = joins.start(5)
    assert drain() >= 6
    assert handle.get_result() == 20


def test_drain_leaves_what_waits_and_records_what_fails() -> None:
    waiting, failing, unknown = receives.start(), fails.start(), None
    assert drain() == 2
    assert waiting.get_status().status == RunState.WAITING
    assert failing.get_status().status == RunState.ERROR
    send(waiting.workflow_id, "here")
    assert drain() == 1
    assert (waiting.get_result(), unknown) == ("here", None)


def test_drain_serves_the_queues_it_is_given() -> None:
    here, there = child.start(1), elsewhere.enqueue(child, 2)
    assert drain(queues=["elsewhere"]) == 1
    assert (here.get_status().status, there.get_result()) == (RunState.ENQUEUED, 4)
    assert drain() == 1


def test_drain_runs_what_may_have_killed_its_worker() -> None:
    handle = child.start(3)
    WorkflowRun.objects.filter(pk=handle.workflow_id).update(suspect=True)
    assert drain() == 1
    assert handle.get_result() == 6


def test_drain_is_refused_inside_atomic() -> None:
    child.start(1)
    with transaction.atomic(), pytest.raises(InvalidUse, match="after the block"):
        drain()


# -- travel


def test_a_journey_brings_sleeps_nearer() -> None:
    handle = reminds.start(30)
    drain()
    travel(days=29, hours=23)
    assert drain() == 0
    travel(timedelta(hours=1))
    assert drain() == 1
    assert handle.get_result() == 1


def test_a_sleep_and_a_wait_are_recorded_as_long_as_they_took() -> None:
    slept, received = reminds.start(30), receives.start()
    drain()
    Wait.objects.update(created_at=F("created_at") - timedelta(days=30))  # a journey moves what is due, and no past
    travel(days=30)
    send(received.workflow_id, "at last")
    drain()
    for handle in (slept, received):
        waited = next(
            info for info in list_workflow_steps(handle.workflow_id) if info.name in ("durable.sleep", "durable.recv")
        )
        assert waited.started_at is not None
        assert waited.completed_at is not None
        assert timedelta(days=30) <= waited.completed_at - waited.started_at < timedelta(days=30, minutes=5), waited


def test_a_journey_brings_deadlines_nearer() -> None:
    with SetWorkflowTimeout(3600):
        handle = receives.start()
    drain()
    travel(3599)
    drain()
    assert handle.get_status().status == RunState.WAITING
    travel(2)
    drain()
    assert handle.get_status().status == RunState.CANCELLED


def test_a_journey_brings_ticks_nearer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_schedules", {})
    scheduled("30 4 * * *")(ticks)
    name = ticks.durable.name
    assert drain() == 0
    tick = Schedule.objects.get(pk=name).next_fire_at
    assert tick is not None
    travel(tick - datetime.now(UTC) + timedelta(seconds=1))
    drain()
    assert WorkflowRun.objects.filter(schedule_name=name, status=RunState.SUCCESS).count() == 1


def test_a_journey_leaves_leases() -> None:
    before = datetime.now(UTC)
    Worker.objects.create(id="w", hostname="h", pid=1, lease_seconds=30, started_at=before, heartbeat_at=before)
    travel(days=400)
    assert Worker.objects.get(pk="w").heartbeat_at == before


def test_a_journey_moves_the_clock_and_comes_back_at_the_end_of_a_block() -> None:
    with travel(days=2) as journey:
        assert journey.by == timedelta(days=2)
        assert clock.now() - datetime.now(UTC) > timedelta(days=1, hours=23)
    assert clock.offset() == timedelta(0)


@pytest.mark.parametrize("by", [0, -1, timedelta(0), timedelta(seconds=-1)])
def test_there_is_no_journey_into_the_past(by: Any) -> None:
    with pytest.raises(InvalidUse, match="into the future only"):
        travel(by)


# -- lose


def test_a_lost_run_is_replayed_and_its_steps_are_not() -> None:
    handle = reminds.start(0)
    drain()
    before = WorkflowRun.objects.get(pk=handle.workflow_id)
    lose(handle.workflow_id)
    run = WorkflowRun.objects.get(pk=handle.workflow_id)
    assert (run.status, run.output, run.completed_at, run.lease_token) == (RunState.ENQUEUED, None, None, None)
    assert drain() == 1
    run = WorkflowRun.objects.get(pk=handle.workflow_id)
    assert (run.status, run.output) == (RunState.SUCCESS, before.output)
    assert run.recovery_attempts == before.recovery_attempts + 1
    assert Ledger.objects.count() == 1


def test_losing_a_run_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(WorkflowNotFound):
        lose("nobody")


@pytest.mark.usefixtures("committing")
def test_a_thread_that_lost_its_run_is_refused() -> None:
    entered, go_on = threading.Event(), threading.Event()
    STUCK.update(entered=entered, go_on=go_on)
    handle = stuck.start()
    with durable_worker(threads=1) as worker:
        assert entered.wait(20)
        lose(handle.workflow_id)
        STUCK.clear()
        go_on.set()
        assert handle.get_result(timeout=20) == 1
        worker.stop()
    assert [run.attempts for run in StepRun.objects.filter(run_id=handle.workflow_id)] == [1]
    assert Ledger.objects.filter(run_id="stuck").count() == 1


STUCK: dict[str, threading.Event] = {}


@step
def sticks() -> int:
    if STUCK:
        STUCK["entered"].set()
        STUCK["go_on"].wait(20)
    return note.__wrapped__("stuck")


@workflow
def stuck() -> int:
    return sticks()


# -- durable_worker


IN_MEMORY = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", run_syncdb=True, verbosity=0)
from durable_workflows import InvalidUse
from durable_workflows.testing import drain, durable_worker
from tests.behaviour.programs import greet
try:
    with durable_worker():
        raise SystemExit("it started")
except InvalidUse as refused:
    print(refused)
handle = greet.start("you")
drain()
print(handle.get_result())
"""


@pytest.mark.once  # it brings its own database
@pytest.mark.django_db(transaction=True)
def test_a_worker_is_refused_on_a_database_in_memory_where_drain_works(processes: Processes) -> None:
    memory = {"DURABLE_TEST_DATABASE": "sqlite", "DURABLE_TEST_DATABASE_NAME": "file:memorydb_it?mode=memory&cache=shared"}
    process = processes.start("-c", IN_MEMORY, env=memory)
    assert process.wait(60) == 0
    said = processes.output(process)
    assert "DATABASES['default']['TEST'] = {'NAME': BASE_DIR / 'test.sqlite3'}" in said
    assert "hello you" in said


@pytest.mark.usefixtures("committing")
def test_a_worker_in_this_process_leaves_nothing_behind() -> None:
    before = set(threading.enumerate())
    with durable_worker(threads=3) as worker:
        handles = [joins.start(4) for _ in range(4)]
        assert [handle.get_result(timeout=20) for handle in handles] == [12] * 4
        row = Worker.objects.get(pk=worker.worker_id)
        assert (row.threads, row.stopped_at) == (3, None)
    assert Worker.objects.get(pk=worker.worker_id).stopped_at is not None
    left = {thread.name for thread in set(threading.enumerate()) - before if not thread.name.startswith("durable-hinter")}
    assert not left


@pytest.mark.usefixtures("committing")
def test_a_worker_serves_its_queues_and_what_is_declared_later() -> None:
    with durable_worker(threads=1, queues=["elsewhere"]) as worker:

        @workflow
        def late() -> str:
            return "served"

        here, there = late.start(), elsewhere.enqueue(late)
        assert there.get_result(timeout=20) == "served"
        assert here.get_status().status == RunState.ENQUEUED
        assert worker.stop() == 0
        assert worker.stop() == 0


@pytest.mark.usefixtures("committing")
def test_a_worker_that_stops_at_once_hands_back() -> None:
    entered, go_on = threading.Event(), threading.Event()
    STUCK.update(entered=entered, go_on=go_on)
    handle = stuck.start()
    with durable_worker(threads=1) as worker:
        assert entered.wait(20)
        assert worker.stop(grace=0) == 1
        status = handle.get_status()
        STUCK.clear()
        go_on.set()
    assert (status.status, status.recovery_attempts) == (RunState.ENQUEUED, 1)
    drain()
    assert handle.get_result() == 1


def test_a_worker_is_refused_inside_a_testcase(settings: Settings) -> None:
    with pytest.raises(InvalidUse, match="drain"), durable_worker():
        pass
