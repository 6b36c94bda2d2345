"""A worker that is stopped gives back all that it holds, and nothing of it is charged as if the worker had died."""

from __future__ import annotations

import threading

import pytest

from durable_workflows import SetWorkflowID, step, workflow
from durable_workflows.models import WorkflowRun
from durable_workflows.testing import durable_worker

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 60
BEGAN, LET_GO = threading.Event(), threading.Event()


@step(atomic=False)
def hold() -> str:
    BEGAN.set()
    assert LET_GO.wait(SECONDS)
    return "held"


@workflow
def holds() -> str:
    return hold()


@workflow
def calls() -> str:
    with SetWorkflowID("child"):
        return holds()


def test_a_child_that_was_called_is_given_back_like_its_parent() -> None:
    BEGAN.clear()
    LET_GO.clear()
    with SetWorkflowID("parent"):
        handle = calls.start()
    with durable_worker(threads=2) as worker:
        assert BEGAN.wait(SECONDS)
        assert worker.stop(grace=0) == 2
    given_back = WorkflowRun.objects.values_list("pk", "status", "worker_id", "recovery_attempts", "stalled")
    assert sorted(given_back) == [("child", "ENQUEUED", None, 1, 0), ("parent", "ENQUEUED", None, 1, 0)]
    LET_GO.set()
    with durable_worker(threads=2):
        assert handle.get_result(timeout=SECONDS) == "held"
    assert set(WorkflowRun.objects.values_list("recovery_attempts", flat=True)) == {1}
