"""The operator's verbs of a queryset, called by a workflow."""

from __future__ import annotations

import pytest

from durable_workflows import InvalidUse, step, workflow
from durable_workflows.models import WorkflowRun
from durable_workflows.states import RunState
from durable_workflows.testing import drain

pytestmark = pytest.mark.django_db


@workflow
def nothing() -> None:
    pass


def cancel_all() -> int:
    return WorkflowRun.objects.for_queue("doomed").cancel()


@step
def cancels() -> int:
    return cancel_all()


@workflow
def sweeps(in_step: bool) -> int:
    return cancels() if in_step else cancel_all()


def test_they_are_refused_in_a_workflows_body_and_allowed_in_a_step() -> None:
    doomed = nothing.start()
    WorkflowRun.objects.filter(pk=doomed.workflow_id).update(queue="doomed")
    refused, allowed = sweeps.start(False), sweeps.start(True)
    drain()
    with pytest.raises(InvalidUse, match=r"cancel_workflows\(ids\) with ids that a step has returned"):
        refused.get_result(timeout=1)
    assert (allowed.get_result(timeout=1), doomed.run.status) == (1, RunState.CANCELLED)
    assert not refused.run.stepruns.exists()
