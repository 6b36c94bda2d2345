"""A run that was cancelled, or whose time is over, stops before its next body; and so does a direct call that waits."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from durable_workflows import (
    AwaitedWorkflowCancelled,
    SetWorkflowID,
    SetWorkflowTimeout,
    cancel_workflow,
    recv,
    sleep,
    step,
    workflow,
)
from durable_workflows.engine import execution
from durable_workflows.models import WorkflowRun
from durable_workflows.states import RunState
from durable_workflows.testing import durable_worker
from tests.engine.elsewhere import in_thread, in_threads

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("committing", "unparked")]
SECONDS = 20
CALLS: Counter[str] = Counter()
REACHED, GO_ON = threading.Event(), threading.Event()


@pytest.fixture(autouse=True)
def at_the_beginning() -> None:
    CALLS.clear()
    REACHED.clear()
    GO_ON.clear()


def until(there: Callable[[], object], what: str) -> None:
    last_look = time.monotonic() + SECONDS
    while not there():
        assert time.monotonic() < last_look, f"not within {SECONDS} s: {what}"
        time.sleep(0.02)


@step
def reserves() -> None:
    CALLS["reserves"] += 1


@step
def charges() -> None:
    CALLS["charges"] += 1


@workflow
def thinks_between_steps() -> None:
    reserves()
    REACHED.set()
    assert GO_ON.wait(SECONDS)
    time.sleep(2 * execution.LOOK_AFTER)
    charges()


def test_a_run_that_was_cancelled_between_two_steps_does_not_begin_the_second() -> None:
    handle = thinks_between_steps.start()
    with durable_worker(threads=1):
        assert REACHED.wait(SECONDS)
        cancel_workflow(handle.workflow_id)
        GO_ON.set()
        assert reserved_by_the_same_thread().get_result(timeout=SECONDS) is None
    assert handle.run.status == RunState.CANCELLED
    assert CALLS == {"reserves": 2}


@workflow
def only_reserves() -> None:
    reserves()


def reserved_by_the_same_thread():  # type: ignore[no-untyped-def] - a handle
    return only_reserves.start()


@workflow(timeout=0.3)
def outlasts_its_time() -> None:
    reserves()
    time.sleep(0.4)
    charges()


def test_a_run_past_its_deadline_does_not_begin_another_step_though_nobody_else_has_noticed() -> None:
    with pytest.raises(AwaitedWorkflowCancelled):
        outlasts_its_time()
    assert CALLS == {"reserves": 1}
    assert WorkflowRun.objects.get().note == "Its deadline passed."


@workflow
def listens() -> object:
    return recv("never")


@workflow
def sleeps() -> None:
    sleep(3600)


@workflow
def calls_one_that_sleeps() -> None:
    sleeps()


def called(target: Callable[[], object]) -> str:
    with SetWorkflowID("waits"), pytest.raises(AwaitedWorkflowCancelled):
        target()
    return "cancelled"


@pytest.mark.parametrize("target", [listens, sleeps])
def test_a_direct_call_that_waits_ends_when_it_is_cancelled(target: Callable[[], object]) -> None:
    def cancel() -> str:
        until(WorkflowRun.objects.filter(pk="waits").exists, "it began")
        cancel_workflow("waits")
        return "done"

    assert in_threads([lambda: called(target), cancel]) == ["cancelled", "done"]


@pytest.mark.parametrize("target", [listens, sleeps, calls_one_that_sleeps])
def test_a_direct_call_that_waits_ends_when_its_time_is_over_though_there_is_no_worker(target: Callable[[], object]) -> None:
    def limited() -> str:
        with SetWorkflowTimeout(0.5):
            return called(target)

    assert in_thread(limited) == "cancelled"
