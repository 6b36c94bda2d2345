"""
A suspension cannot be swallowed: the run waits, and goes on when its answer comes, as if nothing had tried to keep it.

Each way to wait meets each way to swallow, in a body that ends then and in one that goes on to a step.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

from durable_workflows import WorkflowHandle, start_workflow, step, workflow
from durable_workflows.models import StepRun, Wait, WorkflowRun
from durable_workflows.serializers import dumps
from durable_workflows.states import RunState
from durable_workflows.testing import drain, durable_worker
from tests.app.models import Ledger
from tests.engine.swallowing import SWALLOWERS, WAITS, helper

pytestmark = pytest.mark.usefixtures("unparked")
BODIES: list[Any] = []


@step
def note(value: Any) -> None:
    Ledger.objects.create(run_id="noted", step="note", note=str(value))


def body(func: Any) -> Any:
    BODIES.append(workflow(func))
    return BODIES[-1]


@body
def ends(how: str, kind: str, other: str) -> Any:
    return SWALLOWERS[how](lambda: WAITS[kind].wait(other))


@body
def goes_on(how: str, kind: str, other: str) -> Any:
    value = SWALLOWERS[how](lambda: WAITS[kind].wait(other))
    note(value)
    return value


@workflow
def waits_twice(how: str, kind: str, other: str) -> Any:
    SWALLOWERS[how](lambda: WAITS["sleep"].wait(other))
    return SWALLOWERS[how](lambda: WAITS[kind].wait(other))


def waiting_for(kind: str) -> tuple[dict[str, WorkflowHandle[Any]], str]:
    """A run for each body and each way to swallow, before their first attempt, and what they wait for."""
    other = start_workflow(helper)
    handles = {f"{made.__name__}, {how}": made.start(how, kind, other.workflow_id) for made in BODIES for how in SWALLOWERS}
    return handles, other.workflow_id


def ids(handles: dict[str, WorkflowHandle[Any]]) -> list[str]:
    return [handle.workflow_id for handle in handles.values()]


def recorded(run_id: str) -> Sequence[str]:
    return list(StepRun.objects.filter(run_id=run_id).order_by("position").values_list("name", flat=True))


@pytest.mark.sampled(2)
@pytest.mark.django_db(transaction=True)  # within one, no dead version of a row can be tidied away
@pytest.mark.parametrize("kind", WAITS)
def test_whatever_a_body_makes_of_it_the_run_waits_and_goes_on(kind: str) -> None:
    waiting = WAITS[kind]
    handles, other = waiting_for(kind)
    drain()
    assert drain() == 0  # nothing turns round and round
    for case, handle in handles.items():
        assert_waits(handle.run, waiting.kind, case, waiting.recorded)
    assert not Ledger.objects.exists()
    waiting.come(ids(handles), other)
    drain()
    for case, handle in handles.items():
        run = handle.run
        assert (run.status, run.output) == (RunState.SUCCESS, dumps(waiting.value, what="answer")), case
        assert (run.attempt, run.recovery_attempts) == (2, 1), case
        last = [] if case.startswith("ends") else [note.durable.name]
        assert recorded(run.pk)[len(waiting.recorded) + 1 :] == last, case
    assert Ledger.objects.filter(note=str(waiting.value)).count() == Ledger.objects.count() == len(SWALLOWERS)
    assert not Wait.objects.filter(run_id__in=ids(handles)).exists()


def assert_waits(run: WorkflowRun, kind: str, case: str, before: tuple[str, ...] = ()) -> None:
    assert (run.status, run.attempt, run.output, run.error) == (RunState.WAITING, 1, None, None), case
    assert (run.worker_id, run.lease_token) == (None, None), case
    assert recorded(run.pk) == list(before), case
    assert list(Wait.objects.filter(run_id=run.pk).values_list("kind", flat=True)) == [kind], case


@pytest.mark.django_db
def test_a_wait_after_a_swallowed_one_begins_when_that_is_over() -> None:
    handles = {how: waits_twice.start(how, "recv", "nobody") for how in SWALLOWERS}
    drain()
    for how, handle in handles.items():
        assert_waits(handle.run, "sleep", how)
    WAITS["sleep"].come([], "")
    drain()
    for how, handle in handles.items():
        assert (handle.run.status, recorded(handle.workflow_id)) == (RunState.WAITING, ["durable.sleep"]), how
    WAITS["recv"].come(ids(handles), "")
    drain()
    for how, handle in handles.items():
        assert (handle.get_result(), handle.run.attempt) == ("news", 3), how


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["recv", "child"])
def test_in_the_threads_of_a_worker(kind: str) -> None:
    """Exits and interrupts among them: a thread outlives each."""
    handles, other = waiting_for(kind)
    with durable_worker(threads=3):
        until_all_wait(ids(handles))
        assert not Ledger.objects.exists()
        WAITS[kind].come(ids(handles), other)
        assert {handle.get_result(timeout=60) for handle in handles.values()} == {"news"}
    assert Ledger.objects.count() == len(SWALLOWERS)


def until_all_wait(run_ids: list[str]) -> None:
    until = time.monotonic() + 60
    while WorkflowRun.objects.filter(pk__in=run_ids, status=RunState.WAITING).count() < len(run_ids):
        assert time.monotonic() < until, "they do not all wait"
        time.sleep(0.02)
