"""A run cancelled at an awkward moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

import durable_workflows as durable
from durable_workflows.models import Wait
from durable_workflows.testing import drain, durable_worker
from tests.behaviour import programs

pytestmark = pytest.mark.django_db(transaction=True)


@durable.workflow
def cancels_itself_and_waits() -> Any:
    now = durable.current()
    assert now is not None
    cancel_from_outside(now.workflow_id)
    return durable.recv("topic")


@durable.step(atomic=False)
def cancel_from_outside(workflow_id: str) -> None:
    durable.cancel_workflow(workflow_id)


@durable.workflow
def cancelled_while_it_unwinds(workflow_id: str) -> Any:
    try:
        return durable.recv("topic")
    finally:
        from_another_thread(workflow_id)


def from_another_thread(workflow_id: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE durable_workflows_workflowrun SET status = 'CANCELLED' WHERE id = %s", [workflow_id])


def test_between_its_claim_and_its_suspension() -> None:
    """The run stays cancelled, waits for nothing, and the worker's thread lives on."""
    with durable.SetWorkflowID("doomed"):
        handle = durable.start_workflow(cancelled_while_it_unwinds, "doomed")
    with durable_worker(threads=1):
        with pytest.raises(durable.AwaitedWorkflowCancelled):
            handle.get_result(timeout=20)
        assert programs.greet.start("you").get_result(timeout=20) == "hello you"
    assert not Wait.objects.exists()


def test_by_its_own_step() -> None:
    handle = durable.start_workflow(cancels_itself_and_waits)
    drain()
    assert handle.run.status == "CANCELLED"


def cancelled() -> durable.WorkflowHandle[Any]:
    handle = programs.greet.start("you")
    handle.cancel()
    return handle


@durable.workflow
def resumes_elsewhere(workflow_id: str, deadline: datetime) -> None:
    durable.resume_workflow(workflow_id, queue="elsewhere", deadline=deadline)


@pytest.mark.parametrize("in_a_workflow", [False, True])
def test_a_run_is_resumed_on_another_queue_and_with_a_deadline(in_a_workflow: bool) -> None:
    handle, deadline = cancelled(), datetime.now(UTC) + timedelta(days=1)
    if in_a_workflow:
        resumes_elsewhere.start(handle.workflow_id, deadline)
        drain(queues=["default"])
    else:
        durable.resume_workflow(handle.workflow_id, queue="elsewhere", deadline=deadline)
    assert (handle.run.status, handle.run.queue, handle.run.deadline) == ("ENQUEUED", "elsewhere", deadline)
    drain(queues=["elsewhere"])
    assert handle.get_result(timeout=1) == "hello you"


def test_a_deadline_that_is_not_given_is_cleared_and_one_that_has_passed_holds() -> None:
    handle = cancelled()
    durable.resume_workflow(handle.workflow_id, deadline=datetime.now(UTC) - timedelta(seconds=1))
    drain()
    assert handle.run.status == "CANCELLED"
    durable.resume_workflow(handle.workflow_id)
    drain()
    assert handle.get_result(timeout=1) == "hello you"


@pytest.mark.parametrize(
    "bad", [{"queue": ""}, {"queue": 5}, {"deadline": 5}, {"deadline": datetime(2030, 1, 1)}, {"deadline": datetime.max}]
)
def test_what_a_run_cannot_be_resumed_with_changes_nothing(bad: dict[str, Any]) -> None:
    handle = cancelled()
    with pytest.raises(durable.InvalidUse):
        durable.resume_workflow(handle.workflow_id, **bad)
    assert handle.run.status == "CANCELLED"
