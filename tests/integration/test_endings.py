"""The outcomes that threads leave to one another: none is lost, none is told before it is there, none holds a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.db import OperationalError
from pytest_django import Settings

from durable_workflows import Queue, current, signals, start_workflow, step, workflow
from durable_workflows.models import WorkflowRun, outcomes
from durable_workflows.states import RunState
from durable_workflows.testing import durable_worker
from durable_workflows.worker.endings import LeftEndings
from durable_workflows.worker.groups import GroupWriter

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 30
RUNS = 12
NAME = "tests.endings.counts"
STEPS_TAKEN: list[int] = []


@step(name="tests.endings.count", atomic=False)
def count(number: int) -> int:
    STEPS_TAKEN.append(number)
    return number


@workflow(name=NAME)
def counts(number: int) -> int:
    return count(number)


@workflow(name="tests.endings.told", queue="elsewhere")
def told_of(run_id: str) -> str:
    return run_id


class Counter:
    """Where outcomes are written for others: what is left waits here, until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.write = LeftEndings._write

    def hold(self, endings: LeftEndings, group: Sequence[Any]) -> None:
        assert self.let_go.wait(SECONDS)
        self.write(endings, group)


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter]:
    """Every outcome is left, as if there were others being written at each moment."""
    made = Counter()

    def hold(endings: LeftEndings, group: Sequence[Any]) -> None:
        made.hold(endings, group)

    monkeypatch.setattr(LeftEndings, "_write", hold)
    monkeypatch.setattr(GroupWriter, "busy", True)
    STEPS_TAKEN.clear()
    yield made
    made.let_go.set()


@pytest.fixture
def finished() -> Iterator[list[tuple[str, str, Any]]]:
    """What ``run_finished`` told: the run, its status by its row at that moment, and in which workflow the receiver was."""
    facts: list[tuple[str, str, Any]] = []

    def receiver(run_id: str, **kwargs: Any) -> None:
        facts.append((run_id, WorkflowRun.objects.get(pk=run_id).status, current()))

    signals.run_finished.connect(receiver)
    yield facts
    signals.run_finished.disconnect(receiver)


def until(there: Callable[[], object], what: str) -> None:
    last_look = time.monotonic() + SECONDS
    while not there():
        assert time.monotonic() < last_look, f"not within {SECONDS} s: {what}"
        time.sleep(0.01)


def start(number: int = RUNS) -> list[str]:
    return [start_workflow(counts, place).workflow_id for place in range(number)]


def succeeded() -> int:
    return WorkflowRun.objects.filter(name=NAME, status=RunState.SUCCESS).count()


def assert_each_ended_once(ids: Sequence[str], finished: list[tuple[str, str, Any]]) -> None:
    assert sorted(finished) == sorted((run_id, RunState.SUCCESS, None) for run_id in ids)
    assert sorted(STEPS_TAKEN) == list(range(len(ids)))
    assert set(WorkflowRun.objects.filter(name=NAME).values_list("attempt", "recovery_attempts")) == {(1, 1)}


def test_a_thread_goes_on_while_its_outcome_is_on_its_way(
    counter: Counter, finished: list[tuple[str, str, Any]], settings: Settings
) -> None:
    """Longer than the heart needs to find out what it holds and nobody executes."""
    settings.DURABLE_WORKFLOWS = {"HEARTBEAT_SECONDS": 0.05}
    ids = start()
    with durable_worker(threads=1):
        until(lambda: len(STEPS_TAKEN) == RUNS, "the only thread executes all runs")
        time.sleep(0.3)
        assert (succeeded(), finished) == (0, [])
        counter.let_go.set()
        until(lambda: len(finished) == RUNS, "all are told")
    assert succeeded() == RUNS
    assert_each_ended_once(ids, finished)


@pytest.mark.parametrize("why", ["refused", "locked out", "away", "its reply was lost"])
def test_what_no_group_writes_is_written_singly(
    counter: Counter, finished: list[tuple[str, str, Any]], monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    end_group = outcomes.end_group

    def refuse(connection: Any, items: Sequence[Any]) -> list[bool]:
        if why == "refused":
            return [False] * len(items)
        if why == "its reply was lost":
            assert all(end_group(connection, items))
        raise OperationalError("database is locked" if why == "locked out" else "the server has gone away")

    monkeypatch.setattr(outcomes, "end_group", refuse)
    ids = start()
    with durable_worker(threads=2):
        until(lambda: len(STEPS_TAKEN) == RUNS, "all are executed")
        counter.let_go.set()
        until(lambda: len(finished) == RUNS, "all are told")
    assert succeeded() == RUNS
    assert_each_ended_once(ids, finished)


def test_a_receiver_is_not_in_the_workflow_of_whoever_wrote(counter: Counter) -> None:
    """A run that it starts is nobody's child, and no part of a history."""
    started: list[str] = []

    def receiver(run_id: str, name: str, **kwargs: Any) -> None:
        if name == NAME:
            started.append(Queue("elsewhere").enqueue(told_of, run_id).workflow_id)

    signals.run_finished.connect(receiver)
    try:
        start()
        with durable_worker(threads=2, queues=["default"]):
            until(lambda: len(STEPS_TAKEN) == RUNS, "all are executed")
            counter.let_go.set()
            until(lambda: len(started) == RUNS, "all are told")
    finally:
        signals.run_finished.disconnect(receiver)
    assert set(WorkflowRun.objects.filter(pk__in=started).values_list("parent_id", flat=True)) == {None}


def test_a_worker_that_stops_gives_back_what_is_not_written_yet(counter: Counter, finished: list[tuple[str, str, Any]]) -> None:
    ids = start()
    with durable_worker(threads=2) as worker:
        until(lambda: len(STEPS_TAKEN) == RUNS, "all are executed")
        given_back = worker.stop(grace=0)
        # A run that came to its end when the worker was stopping already has written its outcome itself.
        assert given_back == RUNS - succeeded() >= RUNS - 2
        assert WorkflowRun.objects.filter(status=RunState.ENQUEUED, worker_id=None).count() == given_back
        counter.let_go.set()
    with durable_worker(threads=2):
        until(lambda: len(finished) == RUNS, "another worker finishes them")
    assert sorted(STEPS_TAKEN) == list(range(RUNS)), "by their histories"
    assert sorted(finished) == sorted((run_id, RunState.SUCCESS, None) for run_id in ids)


def test_a_worker_that_stops_in_peace_writes_them(counter: Counter, finished: list[tuple[str, str, Any]]) -> None:
    ids = start()
    with durable_worker(threads=2) as worker:
        until(lambda: len(STEPS_TAKEN) == RUNS, "all are executed")
        threading.Timer(0.2, counter.let_go.set).start()
        assert worker.stop(grace=SECONDS) == 0
    assert_each_ended_once(ids, finished)


def test_without_a_thread_to_be_had_they_are_concluded_all_the_same(
    counter: Counter, finished: list[tuple[str, str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    start_thread = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "durable-concluding":
            raise RuntimeError("can't start new thread")
        start_thread(thread)

    monkeypatch.setattr(outcomes, "end_group", lambda connection, endings: [False] * len(endings))
    ids = start()
    with durable_worker(threads=2):
        monkeypatch.setattr(threading.Thread, "start", refuse)
        until(lambda: len(STEPS_TAKEN) == RUNS, "all are executed")
        counter.let_go.set()
        until(lambda: len(finished) == RUNS, "all are told")
        monkeypatch.setattr(threading.Thread, "start", start_thread)
    assert_each_ended_once(ids, finished)
