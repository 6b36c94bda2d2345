"""Deadlines of many runs at once, of whole families, and of runs that are resumed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from durable_workflows import (
    AwaitedWorkflowCancelled,
    SetWorkflowTimeout,
    clock,
    get_result,
    recv,
    resume_workflow,
    saga,
    start_workflow,
    step,
    workflow,
)
from durable_workflows.models import WorkflowRun, starts, sweeps
from durable_workflows.models.transactions import in_write_transaction
from durable_workflows.serializers import dumps
from durable_workflows.states import RunState
from durable_workflows.testing import drain, travel
from tests.app.models import Ledger

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]
HOUR = 3600.0
INPUTS = dumps({"args": [], "kwargs": {}}, what="arguments")


@workflow
def waits() -> Any:
    return recv("go")


@step
def note(what: str) -> None:
    Ledger.objects.create(run_id="", step=what)


@workflow
def waits_in_a_saga() -> Any:
    with saga() as block:
        note("done")
        block.undo(note, "undone")
        return recv("go")


@workflow
def grandparent(depth: int) -> Any:
    if depth == 0:
        return recv("go")
    return grandparent(depth - 1) if depth % 2 else start_workflow(grandparent, depth - 1).get_result()


@workflow
def awaits(run_id: str) -> str:
    try:
        return str(get_result(run_id))
    except AwaitedWorkflowCancelled:
        return "cancelled"


def test_a_thousand_overdue_runs_are_cancelled_in_one_batch(django_assert_max_num_queries: Any) -> None:
    past = clock.now() - timedelta(seconds=1)
    runs = [starts.NewRun(id=f"late-{n}", name=waits.durable.name, inputs=INPUTS, deadline=past) for n in range(sweeps.BATCH)]
    in_write_transaction(starts.insert, [*runs, starts.NewRun(id="in-time", name=waits.durable.name, inputs=INPUTS)])
    with django_assert_max_num_queries(12):
        assert in_write_transaction(sweeps.cancel_overdue) == sweeps.BATCH == 1000
    assert in_write_transaction(sweeps.cancel_overdue) == 0
    assert WorkflowRun.objects.filter(status=RunState.CANCELLED, note="Its deadline passed.").count() == 1000
    assert WorkflowRun.objects.get(pk="in-time").status == RunState.ENQUEUED


def test_many_overdue_runs_with_sagas_are_undone_and_swept_once(django_assert_max_num_queries: Any) -> None:
    with SetWorkflowTimeout(HOUR):
        handles = [waits_in_a_saga.start() for _ in range(20)]
    waiter = awaits.start(handles[0].workflow_id)
    drain()
    travel(HOUR + 1)
    with django_assert_max_num_queries(12):
        assert in_write_transaction(sweeps.cancel_overdue) == 20
    assert in_write_transaction(sweeps.cancel_overdue) == 0
    pulse = sweeps.pulse(connection, ["default"])
    assert not pulse.due(pulse.next_deadline)  # or a worker would sweep without a rest
    assert waiter.run.status == RunState.WAITING
    drain()
    assert {handle.run.status for handle in handles} == {RunState.CANCELLED}
    assert Ledger.objects.filter(step="undone").count() == 20
    assert waiter.get_result() == "cancelled"


def test_a_deadline_is_inherited_down_the_family_called_or_started() -> None:
    with SetWorkflowTimeout(HOUR):
        handle = grandparent.start(4)
    drain()
    family = WorkflowRun.objects.all()
    assert family.count() == 5
    assert {run.deadline for run in family} == {handle.run.deadline}
    assert handle.run.deadline is not None
    travel(HOUR + 1)
    drain()
    assert {run.status for run in family.all()} == {RunState.CANCELLED}


@pytest.mark.parametrize("program", [waits, waits_in_a_saga])
@pytest.mark.parametrize("later", [None, timedelta(days=2)])
def test_a_run_is_resumed_without_its_deadline_or_with_a_later_one(program: Any, later: timedelta | None) -> None:
    deadline = datetime.now(UTC) + later if later else None
    with SetWorkflowTimeout(HOUR):
        handle = program.start()
    drain()
    resume_workflow(handle.workflow_id, deadline=deadline)
    drain()
    assert (handle.run.status, handle.run.deadline) == (RunState.WAITING, deadline)
    travel(HOUR + 1)
    drain()
    assert handle.run.status == RunState.WAITING
    travel(days=3)
    drain()
    assert handle.run.status == (RunState.CANCELLED if later else RunState.WAITING)


def test_a_run_that_is_being_undone_gets_no_deadline() -> None:
    handle = waits_in_a_saga.start()
    drain()
    handle.cancel()
    resume_workflow(handle.workflow_id, deadline=datetime.now(UTC) - timedelta(seconds=5))
    drain()
    assert handle.run.status == RunState.CANCELLED
    assert list(Ledger.objects.order_by("pk").values_list("step", flat=True)) == ["done", "undone"]
    assert not sweeps.pulse(connection, ["default"]).next_deadline
