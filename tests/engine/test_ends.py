"""Each end of a run is told once, after it is committed, by whoever brought it about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from durable_workflows import (
    SetWorkflowTimeout,
    cancel_workflow,
    cancel_workflows,
    current,
    recv,
    resume_workflow,
    signals,
    workflow,
)
from durable_workflows.models import WorkflowRun, recovery
from durable_workflows.models.transactions import in_write_transaction
from durable_workflows.states import RunState
from durable_workflows.testing import drain, travel
from tests.engine.elsewhere import in_threads

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("committing", "unparked")]
Told = list[tuple[str, str, str | None]]


@workflow
def waits() -> Any:
    return recv("never")


@workflow
def awaits_child() -> Any:
    return waits.start().get_result()


@workflow
def gives_itself_up() -> None:
    running = current()
    assert running is not None
    cancel_workflow(running.workflow_id)
    recv("never")


@pytest.fixture
def told() -> Iterator[Told]:
    """Each end that was told: run, status and note."""
    ends: Told = []

    def hear(*, run_id: str, name: str, status: str, error: object, note: str | None, **facts: Any) -> None:
        assert name == WorkflowRun.objects.get(pk=run_id).name
        assert error is None
        ends.append((run_id, status, note))

    signals.run_finished.connect(hear)
    yield ends
    signals.run_finished.disconnect(hear)


def test_a_cancelled_run_is_told_once(told: Told) -> None:
    handle = waits.start()
    drain()
    for _ in range(2):
        handle.cancel()
    drain()
    assert told == [(handle.workflow_id, RunState.CANCELLED, None)]


def test_a_run_that_is_cancelled_amid_its_execution_is_told_once(told: Told) -> None:
    handle = gives_itself_up.start()
    drain()
    assert handle.run.status == RunState.CANCELLED
    assert told == [(handle.workflow_id, RunState.CANCELLED, None)]


def test_the_children_are_told_too_and_the_finished_are_not(told: Told) -> None:
    parent, done = awaits_child.start(), waits.start()
    done.cancel()
    drain()
    told.clear()
    cancel_workflow(parent.workflow_id, cancel_children=True)
    cancel_workflows([parent.workflow_id, done.workflow_id], cancel_children=True)
    [child] = parent.run.children.all()
    assert sorted(told) == sorted((run_id, RunState.CANCELLED, None) for run_id in (parent.workflow_id, child.pk))


def test_nothing_is_told_before_the_commit_and_nothing_after_a_rollback(told: Told) -> None:
    handle = waits.start()
    with transaction.atomic():
        handle.cancel()
        transaction.set_rollback(True)
    assert handle.run.status == RunState.ENQUEUED
    with transaction.atomic():
        handle.cancel()
        assert told == []
    assert told == [(handle.workflow_id, RunState.CANCELLED, None)]


def test_an_overdue_run_is_told_with_the_reason(told: Told) -> None:
    with SetWorkflowTimeout(60):
        handle = waits.start()
    drain()
    travel(61)
    drain()
    assert told == [(handle.workflow_id, RunState.CANCELLED, "Its deadline passed.")]


def test_a_run_that_is_given_up_is_told_with_the_reason_and_again_when_it_ends_anew(told: Told) -> None:
    handle = waits.start()
    lost = WorkflowRun.objects.filter(pk=handle.workflow_id)
    lost.update(status=RunState.RUNNING, worker_id="dead", stalled=3, max_recovery_attempts=3)
    assert in_write_transaction(recovery.take_back, "dead") == 1
    [(run_id, status, note)] = told
    assert (run_id, status) == (handle.workflow_id, RunState.MAX_RECOVERY_ATTEMPTS_EXCEEDED)
    assert note is not None
    assert note.startswith("Its worker was lost 4 times")
    resume_workflow(handle.workflow_id)
    handle.cancel()
    assert told[1:] == [(handle.workflow_id, RunState.CANCELLED, None)]


def test_of_several_that_cancel_one_run_one_tells(told: Told) -> None:
    handles = [waits.start() for _ in range(5)]
    in_threads([lambda: cancel_workflows([handle.workflow_id for handle in handles])] * 4)
    assert sorted(told) == sorted((handle.workflow_id, RunState.CANCELLED, None) for handle in handles)
