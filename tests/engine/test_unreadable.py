"""What is stored of a run is damaged: that is said once, and the run waits visibly."""

from __future__ import annotations

import json
from typing import Any

import pytest

from durable_workflows import SetWorkflowID, recv, step, workflow
from durable_workflows.models import StepRun, WorkflowRun
from durable_workflows.models.runs import Stranded
from durable_workflows.states import RunState
from durable_workflows.testing import drain

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]


@step
def counts() -> int:
    return 1


@workflow
def adds(number: int) -> Any:
    counts()
    return recv()


def started(**changes: str) -> WorkflowRun:
    with SetWorkflowID("damaged"):
        adds.start(1)
    WorkflowRun.objects.filter(pk="damaged").update(**changes)
    drain()
    return WorkflowRun.objects.get(pk="damaged")


@pytest.mark.parametrize(
    "damaged",
    [
        {"args": 5, "kwargs": {}},
        {"args": [], "kwargs": []},
        {"args": None, "kwargs": None},
        {"args": "1", "kwargs": {}},
        {"args": []},
        [],
        None,
    ],
    ids=str,
)
def test_arguments_that_are_not_in_the_stored_form_wait_visibly(damaged: object) -> None:
    run = started(inputs=json.dumps(damaged))
    assert (run.status, run.stranded) == (RunState.ENQUEUED, Stranded.PAYLOAD)
    assert run.note == "The arguments of run 'damaged' are not in the stored form."


def test_what_cannot_be_read_is_said_once() -> None:
    run = started(inputs="{")
    assert run.stranded == Stranded.PAYLOAD
    assert str(run.note).startswith("Cannot read the arguments of run 'damaged': ")
    assert str(run.note).lower().count("read") == 1


def test_the_same_of_a_steps_result() -> None:
    started()
    StepRun.objects.filter(run_id="damaged", position=1).update(output="{")
    run = started(status=RunState.ENQUEUED)
    assert run.stranded == Stranded.PAYLOAD
    name = counts.durable.name
    assert str(run.note).startswith(f"Cannot read the result of step 1, {name!r}, of run 'damaged': ")
