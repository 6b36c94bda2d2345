"""Old runs are deleted as everybody deletes rows, and what was recorded for them goes with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import models, transaction

from durable_workflows import InvalidUse, SetWorkflowID, cancel_workflow, recv, send, set_event, sleep, step, workflow
from durable_workflows.models import Event, Message, StepAttempt, StepRun, Wait, WorkflowRun
from durable_workflows.models.deletion import _histories
from durable_workflows.testing import drain

pytestmark = pytest.mark.django_db(transaction=True)
FAILED: list[int] = []


@step(max_attempts=2, interval_seconds=0.001)
def doubles(number: int) -> int:
    if not FAILED:
        FAILED.append(number)
        raise LookupError(number)
    return 2 * number


@workflow
def doubling(number: int) -> int:
    set_event("number", number)
    recv()
    return doubles(number)


@workflow
def dozes() -> None:
    sleep(1000)


def executed(number: int) -> Any:
    with SetWorkflowID("order-7"):
        handle = doubling.start(number)
    send("order-7", "go")
    drain()
    return handle.get_result(timeout=20)


@pytest.mark.parametrize(
    "delete", [lambda: WorkflowRun.objects.succeeded().delete(), lambda: WorkflowRun.objects.get().delete()], ids=["all", "one"]
)
def test_an_id_that_is_used_again_finds_nothing_of_the_run_that_was_deleted(delete: Callable[[], Any]) -> None:
    FAILED.clear()
    assert executed(1) == 2
    assert StepAttempt.objects.exists()
    total, counts = delete()
    assert total == sum(counts.values())
    assert counts["durable_workflows.WorkflowRun"] == 1
    assert not [rows for rows in (WorkflowRun, StepRun, StepAttempt, Message, Event, Wait) if rows._default_manager.exists()]
    assert executed(50) == 100


def test_a_run_that_has_not_ended_is_not_deleted_and_nothing_is() -> None:
    FAILED.clear()
    executed(1)
    handle = dozes.start()
    drain()
    for delete in (WorkflowRun.objects.all().delete, handle.run.delete):
        with pytest.raises(InvalidUse, match="is WAITING and cannot be deleted"):
            delete()
    assert WorkflowRun.objects.count() == 2
    assert StepRun.objects.filter(run_id="order-7").exists()
    cancel_workflow(handle.workflow_id)
    WorkflowRun.objects.all().delete()
    assert not WorkflowRun.objects.exists()


def test_a_rollback_brings_all_of_it_back() -> None:
    FAILED.clear()
    executed(1)
    recorded = StepRun.objects.count()
    with transaction.atomic():
        WorkflowRun.objects.all().delete()
        transaction.set_rollback(True)
    assert (WorkflowRun.objects.count(), StepRun.objects.count()) == (1, recorded)


def test_every_model_of_this_app_that_names_a_run_is_among_its_history() -> None:
    app = WorkflowRun._meta.app_config
    naming = [each for each in app.get_models() if any(field.attname == "run_id" for field in each._meta.fields)]
    assert naming
    assert {each.__name__ for each in _histories(WorkflowRun)} == {each.__name__ for each in naming}
    assert all(isinstance(each._meta.get_field("run"), models.ForeignKey) for each in naming)
