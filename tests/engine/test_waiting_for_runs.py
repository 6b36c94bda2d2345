"""What waiting for runs says of runs that are not there, and of none at all."""

from __future__ import annotations

from typing import Any

import pytest

from durable_workflows import InvalidUse, WorkflowHandle, WorkflowNotFound, recv, wait_all, wait_first, workflow
from durable_workflows.models import StepRun, WorkflowRun
from durable_workflows.testing import drain, lose
from tests.engine.elsewhere import in_threads

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]
UNKNOWN = WorkflowHandle[Any]("nobody")


@workflow
def ends(value: int) -> int:
    return value


@workflow
def waits() -> Any:
    return recv("never")


@workflow
def waits_for_first(*ids: str) -> str:
    try:
        return wait_first([WorkflowHandle[Any](workflow_id) for workflow_id in ids]).workflow_id
    except WorkflowNotFound as missing:
        return f"no {missing.workflow_id}"


@workflow
def waits_for_all(*ids: str) -> Any:
    try:
        return wait_all([WorkflowHandle[Any](workflow_id) for workflow_id in ids])
    except WorkflowNotFound as missing:
        return f"no {missing.workflow_id}"


def ended(value: int = 1) -> WorkflowHandle[int]:
    handle = ends.start(value)
    drain()
    return handle


def waiting() -> WorkflowHandle[Any]:
    handle = waits.start()
    drain()
    return handle


def test_of_an_unknown_run_and_an_unfinished_one_none_can_be_awaited() -> None:
    for handles in ([UNKNOWN, waiting()], [waiting(), UNKNOWN], [UNKNOWN]):
        with pytest.raises(WorkflowNotFound) as missing:
            wait_first(handles, timeout=30)
        assert missing.value.workflow_id == "nobody"


def test_an_ended_run_is_the_first_though_another_is_unknown() -> None:
    handle = ended()
    assert wait_first([UNKNOWN, waiting(), handle]) == handle


def test_the_same_holds_in_a_workflow_and_is_recorded() -> None:
    still, done = waiting(), ended()
    missing = waits_for_first.start("nobody", still.workflow_id)
    found = waits_for_first.start("nobody", still.workflow_id, done.workflow_id)
    drain()
    for _ in range(2):
        assert missing.get_result() == "no nobody"
        assert found.get_result() == done.workflow_id
        assert StepRun.objects.filter(run_id=missing.workflow_id, name="durable.wait_first").count() == 1
        for handle in (missing, found):
            lose(handle.workflow_id)
        drain()


def test_no_handles_are_an_error_for_the_first_and_nothing_to_wait_for_for_all() -> None:
    with pytest.raises(InvalidUse, match="at least one"):
        wait_first([])
    with pytest.raises(InvalidUse, match="at least one"):
        wait_first(handle for handle in ())  # type: ignore[arg-type]
    assert wait_all([]) == []


def test_all_of_them_includes_the_one_that_is_not_there() -> None:
    done = ended(7)
    assert wait_all([done, done]) == [7, 7]
    with pytest.raises(WorkflowNotFound, match="nobody"):
        wait_all([done, UNKNOWN])
    inside = waits_for_all.start(done.workflow_id, "nobody")
    drain()
    assert inside.get_result() == "no nobody"


@pytest.mark.usefixtures("committing")
def test_a_run_that_is_removed_meanwhile_is_not_waited_for_any_longer() -> None:
    handle = waiting()

    def wait() -> str:
        with pytest.raises(WorkflowNotFound) as missing:
            wait_first([handle], timeout=60)
        return missing.value.workflow_id

    def remove() -> str:  # by SQL, past the refusal to delete what has not ended
        WorkflowRun.objects.filter(pk=handle.workflow_id)._raw_delete("default")
        return ""

    # in whichever order they come, the wait ends
    found, _ = in_threads([wait, remove])
    assert found == handle.workflow_id


def test_what_is_no_timeout_is_refused_in_a_workflow_too() -> None:
    @workflow
    def impatient() -> str:
        with pytest.raises(InvalidUse, match="timeout"):
            wait_first([UNKNOWN], timeout=-1)
        with pytest.raises(InvalidUse, match="timeout"):
            UNKNOWN.get_result(timeout=-1)
        return "refused"

    handle = impatient.start()
    drain()
    assert handle.get_result() == "refused"
