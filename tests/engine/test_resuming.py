"""A run that is resumed goes on with what it had begun to wait for."""

from __future__ import annotations

from typing import Any

import pytest

from durable_workflows import cancel_workflow, recv, resume_workflow, send, sleep, step, workflow
from durable_workflows.models import Wait
from durable_workflows.states import RunState
from durable_workflows.testing import drain, travel

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]
DAY = 86400.0


@step
def begins() -> None:
    pass


@workflow
def sleeps_a_month() -> str:
    begins()
    sleep(30 * DAY)
    return "slept"


@workflow
def waits_a_month() -> Any:
    return recv(timeout_seconds=30 * DAY, default="nothing came")


@pytest.mark.parametrize(("target", "result"), [(sleeps_a_month, "slept"), (waits_a_month, "nothing came")])
@pytest.mark.parametrize("resumed_after", [0, 5], ids=["before-its-moment", "after-its-moment"])
def test_a_sleep_or_timeout_keeps_its_moment_over_a_cancel(target: Any, result: str, resumed_after: int) -> None:
    handle = target.start()
    drain()
    travel(29 * DAY)
    cancel_workflow(handle.workflow_id)
    if resumed_after:
        travel(resumed_after * DAY)
    drain()
    assert handle.run.status == RunState.CANCELLED, "its moment wakes no cancelled run"
    resume_workflow(handle.workflow_id)
    drain()
    if not resumed_after:
        assert handle.run.status == RunState.WAITING
        travel(DAY + 60)
        drain()
    assert handle.get_result(timeout=1) == result
    assert not Wait.objects.exists()


def test_a_message_does_not_wake_a_cancelled_run_and_is_there_when_it_is_resumed() -> None:
    handle = waits_a_month.start()
    drain()
    cancel_workflow(handle.workflow_id)
    send(handle.workflow_id, "late")
    drain()
    assert handle.run.status == RunState.CANCELLED
    resume_workflow(handle.workflow_id)
    drain()
    assert handle.get_result(timeout=1) == "late"
