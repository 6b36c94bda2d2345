"""By how much a parent's wake-up is put off when it awaits many children: for long, and never when it is of no use."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from durable_workflows import Queue, WorkflowHandle, get_result, recv, registry, send, workflow
from durable_workflows.ids import new_token
from durable_workflows.models import Wait, WorkflowRun, claims, sweeps
from durable_workflows.models.claims import Claimer, Pick
from durable_workflows.models.transactions import in_write_transaction
from durable_workflows.states import RunState
from durable_workflows.testing import drain, travel
from tests.engine.born import execute

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]
parents, children, last_child = Queue("parents"), Queue("children"), Queue("last-child")
FREE = [0.0] * 4  # the first, and three replays


@workflow
def returns(value: int) -> int:
    return value


@workflow
def waits_to_be_told() -> Any:
    return recv("word")


@workflow
def joins(number: int) -> int:
    handles = [children.enqueue(returns, index) for index in range(number - 1)]
    handles.append(last_child.enqueue(returns, number - 1))
    return sum(handle.get_result() for handle in handles)


@workflow
def joins_in_turn(number: int) -> int:
    return sum(children.enqueue(returns, index).get_result() for index in range(number))


@workflow
def tells_and_joins(number: int) -> int:
    handles = [children.enqueue(waits_to_be_told) for _ in range(number)]
    for handle in handles:
        send(handle.workflow_id, 1, "word")
        assert handle.get_result() == 1
    return number


@workflow
def joins_others(*ids: str) -> int:
    return sum(get_result(run_id) for run_id in ids)


@workflow
def joins_in_time() -> str:
    late = last_child.enqueue(returns, 1)
    handles = [children.enqueue(returns, index) for index in range(9)]
    for handle in handles[:5]:
        handle.get_result()
    try:
        late.get_result(timeout=3600)
    except TimeoutError:
        return "late"
    return "in time"


def run_one(queue: str) -> None:
    """One attempt of one run of a queue, and none of a worker's other duties."""
    me = Claimer(worker_id="one", names=tuple(registry.names()))
    [claim] = claims.claim(connection, me, Pick(queue=queue, limit=1), new_token())
    execute(claim)


def run_parent(handle: WorkflowHandle[Any]) -> float:
    """The parent's next attempt, once the clock has woken it; returns by how much the next wake-up is put off."""
    if handle.run.status == RunState.WAITING:
        assert handle.run.due_at is not None, "nothing has woken it"
        travel(seconds=60)
        in_write_transaction(sweeps.wake_due)
    run_one("parents")
    wait = Wait.objects.filter(run_id=handle.workflow_id).order_by("pk").first()
    return wait.debounce if wait else 0.0


def put_off(handle: WorkflowHandle[Any], times: int) -> list[float]:
    """By how much the wake-up is put off each time, when one child at a time ends."""
    seen = []
    for _ in range(times):
        seen.append(run_parent(handle))
        run_one("children")
    return seen


def test_for_longer_and_longer_while_many_are_under_way() -> None:
    seen = put_off(parents.enqueue(joins, 60), 12)
    assert seen == pytest.approx([*FREE, *(0.1 * 2**doubled for doubled in range(8))])


def test_no_longer_than_a_second_for_each_that_is_left() -> None:
    handle = parents.enqueue(joins, 10)
    assert put_off(handle, 9)[7:] == pytest.approx([0.8, 1.0])
    assert run_parent(handle) == 0.0  # the last is awaited, and wakes the parent at once
    run_one("last-child")
    assert handle.run.status == RunState.ENQUEUED
    run_parent(handle)
    assert handle.get_result(timeout=0) == 45


def test_the_child_that_was_started_last_wakes_the_parent_soon_and_what_has_ended_is_joined_at_once() -> None:
    handle = parents.enqueue(joins, 100)
    put_off(handle, 9)
    assert run_parent(handle) == pytest.approx(3.2)
    assert Wait.objects.get(source_id=last_child_of(handle)).debounce == pytest.approx(0.4)
    before = handle.run.attempt
    assert handle.run.due_at is None
    run_one("last-child")
    assert handle.run.due_at is not None
    for _ in range(90):
        run_one("children")
    run_parent(handle)
    assert (handle.get_result(timeout=0), handle.run.attempt) == (4950, before + 1)


def last_child_of(handle: WorkflowHandle[Any]) -> str:
    return WorkflowRun.objects.get(parent_id=handle.workflow_id, queue="last-child").pk


@workflow
def joins_while_children_end(number: int, meanwhile: int) -> int:
    """As many children end while the attempt is unwound that found the first of them missing."""
    handles = [children.enqueue(returns, index) for index in range(number)]
    try:
        return sum(handle.get_result() for handle in handles)
    finally:
        if MEANWHILE:
            for _ in range(meanwhile):
                run_one("children")


MEANWHILE: list[bool] = []


def test_for_a_child_as_well_that_ends_while_its_parent_falls_asleep() -> None:
    handle = parents.enqueue(joins_while_children_end, 20, 1)
    put_off(handle, 4)
    MEANWHILE.append(True)
    assert run_parent(handle) == pytest.approx(0.1)
    MEANWHILE.clear()
    assert handle.run.status == RunState.WAITING
    assert run_parent(handle) == pytest.approx(0.2)


def test_a_parent_goes_on_at_once_if_it_is_not_put_off() -> None:
    handle = parents.enqueue(joins_while_children_end, 20, 1)
    MEANWHILE.append(True)
    run_one("parents")
    MEANWHILE.clear()
    assert handle.run.status == RunState.ENQUEUED


def test_the_last_child_may_have_ended_before_and_is_not_waited_for_then() -> None:
    handle = parents.enqueue(joins, 10)
    put_off(handle, 5)
    run_one("last-child")
    run_parent(handle)
    assert handle.run.status == RunState.WAITING
    drain()
    assert handle.get_result(timeout=0) == 45


def test_not_for_children_that_wait_to_be_told_something() -> None:
    """The parent may be the one to tell them."""
    handle = parents.enqueue(tells_and_joins, 12)
    run_one("parents")
    for _ in range(12):
        run_one("children")  # they all wait now, but for the first
    for _ in range(12):
        assert handle.run.status == RunState.ENQUEUED
        assert run_parent(handle) == 0.0
        if handle.run.status == RunState.WAITING:
            run_one("children")
    assert handle.get_result(timeout=0) == 12


def test_not_for_children_that_are_started_and_awaited_in_turn() -> None:
    handle = parents.enqueue(joins_in_turn, 12)
    assert put_off(handle, 12) == [0.0] * 12


def test_longer_and_longer_for_runs_of_others() -> None:
    others = [children.enqueue(returns, 1).workflow_id for _ in range(12)]
    handle = parents.enqueue(joins_others, *others)
    assert put_off(handle, 7) == pytest.approx([0, 0, 0, 0.1, 0.2, 0.4, 0.8])


def test_a_wait_with_a_timeout_ends_in_time_whatever_woke_the_parent_meanwhile() -> None:
    handle = parents.enqueue(joins_in_time)
    put_off(handle, 5)
    assert run_parent(handle) == pytest.approx(0.2)
    for _ in range(4):  # each is the one that was started last of those under way
        travel(seconds=600)
        run_last_child()
        assert handle.run.due_at is not None
        run_parent(handle)
        assert handle.run.status == RunState.WAITING
    travel(seconds=3600 - 4 * 660 - 30)
    assert in_write_transaction(sweeps.wake_due) == 0
    travel(seconds=60)
    assert in_write_transaction(sweeps.wake_due) == 1
    run_one("parents")
    assert handle.get_result(timeout=0) == "late"


def test_what_has_woken_the_parent_once_does_not_wake_it_again() -> None:
    handle = parents.enqueue(joins_in_time)
    put_off(handle, 5)
    run_parent(handle)
    run_last_child()
    assert 0 < drain(queues=["parents", "children"]) < 12
    assert handle.run.status == RunState.WAITING
    assert [wait.source_id for wait in Wait.objects.all()] == [last_child_of(handle)]
    assert drain(queues=["parents", "children"]) == 0


def run_last_child() -> None:
    """Of those that are enqueued, the one that was started last."""
    last = WorkflowRun.objects.filter(queue="children", status=RunState.ENQUEUED).order_by("-created_at")[0]
    WorkflowRun.objects.filter(pk=last.pk).update(rank=-1)
    run_one("children")
