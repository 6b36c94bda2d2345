"""A run that is resumed goes on with what it had begun to wait for."""

from __future__ import annotations

from typing import Any

import pytest

from durable_workflows import (
    InvalidUse,
    Queue,
    SetEnqueueOptions,
    cancel_workflow,
    cancel_workflows,
    recv,
    resume_workflow,
    resume_workflows,
    send,
    sleep,
    step,
    workflow,
)
from durable_workflows.models import Wait, WorkflowRun
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


def test_in_another_queue_it_has_no_key_of_the_one_it_comes_from() -> None:
    queue = Queue("by-tenant", partition_queue=True)
    runs = []
    for key in ("a", "b"):
        with SetEnqueueOptions(queue_partition_key=key, delay=DAY):
            runs.append(queue.enqueue(waits_a_month))
    ids = [run.workflow_id for run in runs]
    WorkflowRun.objects.filter(pk=ids[1]).update(queue="plain")
    resume_workflows(iter(ids), queue="plain")  # type: ignore[arg-type]
    assert [*WorkflowRun.objects.order_by("created_at").values_list("queue", "partition_key")] == [
        ("plain", ""),
        ("plain", "b"),
    ]


def test_several_ids_are_no_str_and_each_gets_its_handle() -> None:
    handles = [waits_a_month.start() for _ in range(2)]
    ids = [handle.workflow_id for handle in handles]
    drain()
    cancel_workflows(iter(ids))  # type: ignore[arg-type]
    assert {handle.run.status for handle in handles} == {RunState.CANCELLED}
    assert resume_workflows(iter(ids)) == handles  # type: ignore[arg-type]
    for verb in (cancel_workflows, resume_workflows):
        with pytest.raises(InvalidUse, match="are a list"):
            verb(ids[0])
