"""Many calls make one run, with the arguments of the last; whatever comes after its start makes another."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connections, transaction

from durable_workflows import (
    Debouncer,
    Deduplicated,
    InvalidUse,
    NotSerializable,
    Queue,
    SetEnqueueOptions,
    SetWorkflowID,
    SetWorkflowTimeout,
    start_workflow,
    step,
    workflow,
)
from durable_workflows.models import StepRun, WorkflowRun
from durable_workflows.states import RunState
from durable_workflows.testing import drain, travel

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committing", "unparked")]

slow = Queue("debounced")


@workflow
def saves(value: Any) -> Any:
    return value


@workflow(name="tests.debounced.others")
def others(value: Any) -> Any:
    return value


def test_the_last_of_many_calls_is_run_once() -> None:
    debouncer = Debouncer(saves, queue=slow)
    handles = {debouncer.debounce("page-1", 60, number) for number in range(5)}
    other = debouncer.debounce("page-2", 60, "other")
    [handle] = handles
    assert drain(queues=["debounced"]) == 0
    travel(seconds=61)
    drain(queues=["debounced"])
    assert (handle.get_result(), other.get_result()) == (4, "other")
    assert WorkflowRun.objects.for_queue("debounced").count() == 2


def test_each_call_puts_the_run_off() -> None:
    debouncer = Debouncer(saves, queue=slow)
    for number in range(4):
        handle = debouncer.debounce("page", 60, number)
        travel(seconds=40)
        assert drain(queues=["debounced"]) == 0
    travel(seconds=21)
    drain(queues=["debounced"])
    assert handle.get_result() == 3


def test_but_not_beyond_the_timeout() -> None:
    debouncer = Debouncer(saves, timeout=100, queue=slow)
    debouncer.debounce("page", 60, 0)
    first = WorkflowRun.objects.for_queue("debounced").get()
    handle = debouncer.debounce("page", 10_000, 1)
    first.refresh_from_db()
    assert first.due_at is not None
    assert 99 < (first.due_at - first.created_at).total_seconds() < 101
    assert (
        99
        < (_due(Debouncer(saves, timeout=100, queue=slow).debounce("other", 10_000, 1)) - first.created_at).total_seconds()
        < 130
    )
    travel(seconds=101)
    drain(queues=["debounced"])
    assert handle.get_result() == 1


def _due(handle: Any) -> Any:
    return handle.run.due_at


def test_after_its_start_a_call_makes_another_run() -> None:
    debouncer = Debouncer(saves, queue=slow)
    first = debouncer.debounce("page", 60, 1)
    travel(seconds=61)
    drain(queues=["nobody's"])  # it is due, and nobody serves its queue
    assert first.get_status().status == RunState.ENQUEUED
    second = debouncer.debounce("page", 60, 2)
    assert first != second
    assert debouncer.debounce("page", 60, 3) == second
    travel(seconds=61)
    drain(queues=["debounced"])
    assert (first.get_result(), second.get_result()) == (1, 3)


def test_it_counts_if_and_only_if_the_transaction_commits() -> None:
    debouncer = Debouncer(saves, queue=slow)
    handle = debouncer.debounce("page", 60, "kept")
    with transaction.atomic():
        assert debouncer.debounce("page", 60, "undone") == handle
        debouncer.debounce("new", 60, "undone")
        transaction.set_rollback(True)
    travel(seconds=61)
    drain(queues=["debounced"])
    assert handle.get_result() == "kept"
    assert WorkflowRun.objects.for_queue("debounced").count() == 1


def test_calls_at_once_make_one_run() -> None:
    results: list[Any] = []

    def call(number: int) -> None:
        try:
            results.append(Debouncer(saves, queue=slow).debounce("page", 60, number))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert len(set(results)) == 1
    assert WorkflowRun.objects.for_queue("debounced").count() == 1


@step
def calls_in_step(value: Any) -> str:
    return Debouncer(saves, queue=slow).debounce("page", 60, value).workflow_id


@workflow
def calls() -> list[str]:
    first = Debouncer(saves, queue=slow).debounce("page", 60, 1).workflow_id
    return [first, calls_in_step(2)]


def test_a_workflow_and_its_steps_may_call_it() -> None:
    with SetWorkflowTimeout(3600):
        handle = start_workflow(calls)
    drain(queues=["default"])
    first, second = handle.get_result()
    assert first == second == f"{handle.workflow_id}-1"
    run = WorkflowRun.objects.get(pk=first)
    assert (run.parent_id, run.deadline, run.status) == (handle.workflow_id, None, RunState.DELAYED)
    names = StepRun.objects.filter(run_id=handle.workflow_id).order_by("position").values_list("name", flat=True)
    assert names[0] == "durable.debounce"
    travel(seconds=61)
    drain(queues=["debounced"])
    assert run.output is None
    assert WorkflowRun.objects.get(pk=first).status == RunState.SUCCESS


def test_the_first_call_may_name_the_run() -> None:
    with SetWorkflowID("named"):
        assert Debouncer(saves, queue=slow).debounce("page", 60, 1).workflow_id == "named"


def test_a_name_that_nobody_knows_waits_visibly() -> None:
    handle = Debouncer("nobody.knows").debounce("page", 0, 1)
    assert handle.get_status().name == "nobody.knows"


def test_the_key_of_another_workflow_is_refused() -> None:
    name = saves.durable.name
    WorkflowRun.objects.filter(pk=Debouncer(saves, queue=slow).debounce("page", 60, 1).workflow_id).update(name="another")
    with pytest.raises(Deduplicated):
        Debouncer(name, queue=slow).debounce("page", 60, 1)


def test_bad_calls_change_nothing() -> None:
    debouncer = Debouncer(saves, queue=slow)
    handle = debouncer.debounce("page", 60, "good")
    for key, period in (("k" * 256, 1), (5, 1), ("k", -1), ("k", "1"), ("k", float("nan")), ("k", True)):
        with pytest.raises(InvalidUse):
            debouncer.debounce(key, period, 1)  # type: ignore[arg-type]
    with pytest.raises(NotSerializable):
        debouncer.debounce("page", 60, object())
    for options in ({"delay": 5}, {"deduplication_id": "x"}):
        with SetEnqueueOptions(**options), pytest.raises(InvalidUse, match="of its own"):  # type: ignore[arg-type]
            debouncer.debounce("page", 60, 1)
    for timeout in (0, -1, "x"):
        with pytest.raises(InvalidUse):
            Debouncer(saves, timeout=timeout)  # type: ignore[arg-type]
    with pytest.raises(InvalidUse):
        Debouncer(len)
    travel(seconds=61)
    drain(queues=["debounced"])
    assert handle.get_result() == "good"


def test_a_run_that_has_begun_keeps_its_arguments_though_it_is_delayed_again() -> None:
    """Recovery delays a run whose worker was lost more than once, and it still has its deduplication id."""
    debouncer = Debouncer(saves, queue=slow)
    first = debouncer.debounce("page", 60, "begun with")
    WorkflowRun.objects.filter(pk=first.workflow_id).update(attempt=2, turn=0)
    second = debouncer.debounce("page", 60, "later")
    assert first != second
    travel(seconds=61)
    drain(queues=["debounced"])
    assert (first.get_result(), second.get_result()) == ("begun with", "later")


def test_the_same_call_made_again_after_its_run_has_begun_is_no_other() -> None:
    debouncer = Debouncer(saves, queue=slow)
    for _ in range(2):
        with SetWorkflowID("named"):
            assert debouncer.debounce("page", 0, 1).workflow_id == "named"
        travel(seconds=1)
        drain(queues=["debounced"])
    assert WorkflowRun.objects.for_queue("debounced").count() == 1
