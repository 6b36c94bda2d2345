"""A run cancelled at an awkward moment."""

from __future__ import annotations

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
