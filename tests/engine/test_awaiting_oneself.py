"""A run that would wait for its own end is told so."""

from __future__ import annotations

from typing import Any

import pytest

from durable_workflows import InvalidUse, SetWorkflowID, current, recv, retrieve_workflow, wait_first, workflow
from durable_workflows.models import Wait
from durable_workflows.testing import drain

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]


@workflow
def waits() -> Any:
    return recv()


def own_id() -> str:
    now = current()
    assert now is not None
    return now.workflow_id


@workflow
def awaits_itself() -> Any:
    return retrieve_workflow(own_id()).get_result()


@workflow
def awaits_itself_or_another(other: str) -> Any:
    return wait_first([retrieve_workflow(other), retrieve_workflow(own_id())]).workflow_id


@workflow
def calls_itself() -> Any:
    with SetWorkflowID(own_id()):
        return calls_itself()


def test_a_run_that_awaits_itself_is_told_so() -> None:
    others = waits.start().workflow_id
    for handle in (awaits_itself.start(), awaits_itself_or_another.start(others), calls_itself.start()):
        drain()
        with pytest.raises(InvalidUse, match="would wait for its own end"):
            handle.get_result(timeout=1)
        assert not Wait.objects.filter(run_id=handle.workflow_id).exists()
