"""A run that may have killed its workers runs alone where it can, is not kept waiting for that, and keeps nobody waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from durable_workflows import Queue, WorkflowHandle, start_workflow, step, workflow
from durable_workflows.models import WorkflowRun, rules
from durable_workflows.states import RunState
from durable_workflows.testing import durable_worker
from durable_workflows.worker import claimer, serving

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sampled(2)]
SECONDS = 60
LET_GO = threading.Event()
BEGAN: list[str] = []


@step(atomic=False)
def hold(name: str) -> str:
    BEGAN.append(name)
    assert LET_GO.wait(SECONDS)
    return name


@workflow
def holds(name: str) -> str:
    return hold(name)


@workflow
def passes(name: str) -> str:
    BEGAN.append(name)
    return name


@pytest.fixture(autouse=True)
def nothing_began() -> Iterator[None]:
    LET_GO.clear()
    BEGAN.clear()
    yield
    LET_GO.set()


def suspect(target: Any, name: str) -> WorkflowHandle[str]:
    with transaction.atomic():  # or a worker takes it as any other
        handle: WorkflowHandle[str] = start_workflow(target, name)
        WorkflowRun.objects.filter(pk=handle.workflow_id).update(suspect=True)
    return handle


def began(name: str) -> None:
    last_look = time.monotonic() + SECONDS
    while name not in BEGAN:
        assert time.monotonic() < last_look, f"{name} did not begin"
        time.sleep(0.02)


def test_a_suspect_does_not_wait_for_ever_for_an_empty_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claimer, "SUSPECT_PATIENCE", 0.3)
    holds.start("long")
    with durable_worker(threads=2) as worker:
        began("long")
        handle = suspect(passes, "suspect")
        assert handle.get_result(timeout=SECONDS) == "suspect"
        LET_GO.set()
        worker.stop()


def test_a_suspect_does_not_keep_others_waiting_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claimer, "ALONE_SECONDS", 0.3)
    suspect(holds, "suspect")
    with durable_worker(threads=2) as worker:
        began("suspect")
        assert passes.start("other").get_result(timeout=SECONDS) == "other"
        LET_GO.set()
        worker.stop()


def test_others_wait_for_a_suspect_and_not_for_what_runs_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claimer, "SUSPECT_PATIENCE", 0.3)
    monkeypatch.setattr(claimer, "ALONE_SECONDS", 2.0 * SECONDS)
    holds.start("long")
    with durable_worker(threads=3) as worker:
        began("long")
        assert suspect(passes, "suspect").get_result(timeout=SECONDS) == "suspect"
        assert passes.start("other").get_result(timeout=SECONDS) == "other"
        LET_GO.set()
        worker.stop()


def test_within_its_time_a_suspect_runs_alone() -> None:
    alone = suspect(holds, "suspect")
    with durable_worker(threads=2) as worker:
        began("suspect")
        other = passes.start("other")
        time.sleep(1)  # what could begin would have
        assert BEGAN == ["suspect"]
        LET_GO.set()
        assert [alone.get_result(timeout=SECONDS), other.get_result(timeout=SECONDS)] == ["suspect", "other"]
        worker.stop()


def test_a_worker_that_stops_takes_no_suspect() -> None:
    holds.start("long")
    with durable_worker(threads=2) as worker:
        began("long")
        handle = suspect(passes, "suspect")
        time.sleep(1)  # it waits for an empty pool by now
        threading.Timer(0.2, LET_GO.set).start()
        worker.stop(grace=SECONDS)
        assert handle.run.status == RunState.ENQUEUED
        assert "suspect" not in BEGAN


@pytest.mark.parametrize("why", ["paused", "saturated"])
def test_a_suspect_that_its_queue_cannot_give_holds_nobody_up(
    why: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DURABLE_WORKFLOWS = {"POLL_SECONDS": 0.02}
    monkeypatch.setattr(claimer, "SUSPECT_PATIENCE", 1000.0 if why == "paused" else 0.5)
    queue = Queue(f"suspects-{why}", concurrency=1)
    serving.declare([queue.name])
    rules.change(connection, [queue.name], paused=why == "paused")
    with durable_worker(threads=2):
        long = (holds.start if why == "paused" else partial(queue.enqueue, holds))("long")
        began("long")
        handle = queue_suspect(queue, "suspect")
        for number in range(20):  # several looks at what there is
            passes.start(f"later {number}")
            began(f"later {number}")
        assert "suspect" not in BEGAN
        assert long.run.status == RunState.RUNNING, "the pool did not have to run empty"
        LET_GO.set()
        rules.change(connection, [queue.name], paused=False)
        assert handle.get_result(timeout=SECONDS) == "suspect"
        assert long.get_result(timeout=SECONDS) == "long"


def queue_suspect(queue: Queue, name: str) -> WorkflowHandle[str]:
    with transaction.atomic():
        handle: WorkflowHandle[str] = queue.enqueue(passes, name)
        WorkflowRun.objects.filter(pk=handle.workflow_id).update(suspect=True)
    return handle
