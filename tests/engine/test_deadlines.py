"""Whose deadline holds for a child: the sooner of its own and its parent's, called or queued."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_workflows import AwaitedWorkflowCancelled, Queue, SetWorkflowTimeout, current, recv, start_workflow, workflow
from durable_workflows.models import WorkflowRun
from durable_workflows.states import RunState
from durable_workflows.testing import drain, travel

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]
HOUR, DAY = 3600.0, 86400.0
slow = Queue("slow")


@workflow
def patient() -> str | None:
    """How the run is limited, as its body sees it."""
    running = current()
    assert running is not None
    return running.deadline.isoformat() if running.deadline else None


@workflow(timeout=HOUR)
def brief() -> str | None:
    return patient.__wrapped__()  # type: ignore[attr-defined,no-any-return]


@workflow(timeout=HOUR)
def waits_for_ever() -> Any:
    return recv("never")


@workflow
def calls(child: str, seconds: float | None = -1) -> Any:
    known = {"patient": patient, "brief": brief}[child]
    if seconds == -1:
        return known()
    with SetWorkflowTimeout(seconds):
        return known()


@workflow
def starts(child: str, seconds: float | None = -1) -> Any:
    known = {"patient": patient, "brief": brief}[child]
    if seconds == -1:
        return slow.enqueue(known).get_result()
    with SetWorkflowTimeout(seconds):
        return start_workflow(known).get_result()


@workflow
def outlives() -> str:
    try:
        return str(waits_for_ever())
    except AwaitedWorkflowCancelled:
        return "the child was cancelled"


def limit_of(parent: Any, child: str, of_parent: float | None, *seconds: float | None) -> timedelta | None:
    """How far from now the child's deadline was: what it was told, which must be what its row says."""
    with SetWorkflowTimeout(of_parent):
        handle = parent.start(child, *seconds)
    before = datetime.now(UTC)
    drain()
    told = handle.get_result()
    row = WorkflowRun.objects.get(parent=handle.workflow_id)
    assert (row.deadline is None) == (told is None)
    if told is None:
        return None
    deadline = datetime.fromisoformat(told)
    assert row.deadline is not None
    # SQLite's own arithmetic of a claim keeps milliseconds
    assert abs(row.deadline - deadline) < timedelta(milliseconds=2)
    return deadline - before


@pytest.mark.parametrize("parent", [calls, starts])
@pytest.mark.parametrize(
    ("child", "of_parent", "seconds", "expected"),
    [
        ("patient", None, (), None),
        ("patient", DAY, (), DAY),
        ("brief", None, (), HOUR),
        ("brief", DAY, (), HOUR),
        ("brief", HOUR / 2, (), HOUR / 2),
        ("patient", DAY, (HOUR,), HOUR),
        ("patient", HOUR, (DAY,), HOUR),
        ("brief", None, (DAY,), DAY),
        ("brief", HOUR, (None,), None),
    ],
)
def test_the_sooner_of_the_childs_own_and_its_parents_deadline_holds(
    parent: Any, child: str, of_parent: float | None, seconds: tuple[float | None, ...], expected: float | None
) -> None:
    limit = limit_of(parent, child, of_parent, *seconds)
    if expected is None:
        assert limit is None
    else:
        assert limit is not None
        assert abs(limit - timedelta(seconds=expected)) < timedelta(minutes=5)


def test_a_deadline_stays_where_the_first_claim_put_it() -> None:
    handle = waits_for_ever.start()
    drain()
    first = handle.run.deadline
    WorkflowRun.objects.filter(pk=handle.workflow_id).update(status=RunState.ENQUEUED)
    drain()
    assert handle.run.attempt == 2
    assert handle.run.deadline == first


def test_a_called_child_that_is_overdue_is_cancelled_and_its_parent_goes_on() -> None:
    handle = outlives.start()
    drain()
    [child] = WorkflowRun.objects.filter(parent=handle.workflow_id)
    assert child.status == RunState.WAITING
    travel(HOUR + 1)
    drain()
    child.refresh_from_db()
    assert child.status == RunState.CANCELLED
    assert handle.get_result() == "the child was cancelled"
