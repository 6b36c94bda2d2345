"""In which order, when, and whether at all an enqueued run is taken; what enqueueing refuses; many at once."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from durable_workflows import (
    Deduplicated,
    InvalidUse,
    NotSerializable,
    Queue,
    SetEnqueueOptions,
    SetWorkflowID,
    cancel_workflow,
    start_many,
    start_workflow,
    step,
    workflow,
)
from durable_workflows.models import StepRun, WorkflowRun
from durable_workflows.states import RunState
from durable_workflows.testing import drain, travel

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committing", "unparked")]

queue = Queue("line")
parted = Queue("parted-line", partition_queue=True)
order: list[Any] = []


@workflow
def notes(value: Any = None) -> Any:
    order.append(value)
    return value


@pytest.fixture(autouse=True)
def _nothing_noted() -> None:
    order.clear()


def test_lower_priorities_go_first_and_none_goes_first_of_all() -> None:
    for priority in (3, 1, None, 2, 1, None):
        with SetEnqueueOptions(priority=priority):
            queue.enqueue(notes, (priority, len(WorkflowRun.objects.all())))
    drain(queues=["line"])
    assert order == [(None, 2), (None, 5), (1, 1), (1, 4), (2, 3), (3, 0)]


def test_a_priority_ages_by_as_much_waiting_as_the_queue_says() -> None:
    ageing = Queue("ageing", priority_ageing=60)
    with SetEnqueueOptions(priority=5):
        ageing.enqueue(notes, "low, long ago")
    WorkflowRun.objects.update(
        queued_at=WorkflowRun.objects.get().queued_at.__class__.fromtimestamp(0, tz=__import__("datetime").UTC)
    )
    with SetEnqueueOptions(priority=1):
        ageing.enqueue(notes, "high, now")
    with SetEnqueueOptions(priority=2):
        ageing.enqueue(notes, "middle, now")
    ageing.enqueue(notes, "none, now")
    drain(queues=["ageing"])
    assert order == ["low, long ago", "none, now", "high, now", "middle, now"]


def test_many_keep_their_order() -> None:
    queue.enqueue_many(notes, [*range(700)])
    drain(queues=["line"])
    assert order == [*range(700)]


def test_a_delayed_run_waits() -> None:
    with SetEnqueueOptions(delay=3600):
        handle = queue.enqueue(notes, "late")
    status = handle.get_status()
    assert status.status == RunState.DELAYED
    assert status.delay_until is not None
    assert 3590 < (status.delay_until - status.created_at).total_seconds() < 3610
    assert drain(queues=["line"]) == 0
    travel(seconds=3601)
    drain(queues=["line"])
    assert order == ["late"]


def test_a_duplicate_is_rejected_until_the_first_has_ended() -> None:
    with SetEnqueueOptions(deduplication_id="one"):
        first = queue.enqueue(notes, 1)
        with pytest.raises(Deduplicated) as raised:
            queue.enqueue(notes, 2)
        assert (raised.value.workflow_id, raised.value.queue_name, raised.value.deduplication_id) == (
            first.workflow_id, "line", "one",
        )  # fmt: skip
        Queue("other-line").enqueue(notes, 3)
        drain(queues=["line"])
        second = queue.enqueue(notes, 4)
        cancel_workflow(second.workflow_id)
        queue.enqueue(notes, 5)
    assert WorkflowRun.objects.count() == 4


def test_a_duplicate_may_stand_for_the_first() -> None:
    with SetEnqueueOptions(deduplication_id="one", duplication_policy="return-existing", delay=100):
        first = queue.enqueue(notes, 1)
        second = queue.enqueue(notes, 2)
    assert first == second
    assert WorkflowRun.objects.get().status == RunState.DELAYED
    assert first.run.deduplication_id == "one"


def test_the_same_start_made_again_is_no_duplicate() -> None:
    for _ in range(2):
        with SetEnqueueOptions(deduplication_id="one"), SetWorkflowID("same"):
            assert queue.enqueue(notes, 1).workflow_id == "same"


def test_a_rejected_duplicate_leaves_the_callers_transaction_as_it_was() -> None:
    with SetEnqueueOptions(deduplication_id="one"):
        first = queue.enqueue(notes, 1)
    with transaction.atomic():
        other = start_workflow(notes, 7)
        with SetEnqueueOptions(deduplication_id="one"), pytest.raises(Deduplicated):
            queue.enqueue(notes, 2)
        assert WorkflowRun.objects.count() == 2, "the transaction goes on"
    assert {*WorkflowRun.objects.values_list("pk", flat=True)} == {first.workflow_id, other.workflow_id}


@workflow
def enqueues_twice(policy: str) -> Any:
    with SetEnqueueOptions(deduplication_id="one", duplication_policy=policy):  # type: ignore[arg-type]
        first = queue.enqueue(notes, 1)
        try:
            second = queue.enqueue(notes, 2)
        except Deduplicated as error:
            return [first.workflow_id, error.workflow_id, type(error).__name__]
    return [first.workflow_id, second.workflow_id]


@pytest.mark.parametrize("policy", ["reject", "return-existing"])
def test_in_a_workflow_the_decision_is_recorded(policy: str) -> None:
    handle = start_workflow(enqueues_twice, policy)
    drain(queues=["default"])
    first, second, *rejected = handle.get_result()
    assert first == second
    assert rejected == (["Deduplicated"] if policy == "reject" else [])
    assert StepRun.objects.filter(run_id=handle.workflow_id).count() == 2


@step
def enqueues_in_step() -> Any:
    with SetEnqueueOptions(priority=2, delay=5):
        one = queue.enqueue(notes, 1)
    many = queue.enqueue_many(notes, [2, 3])
    return [one.workflow_id, *(handle.workflow_id for handle in many)]


@workflow
def enqueues_in_a_step() -> Any:
    return enqueues_in_step()


@workflow
def starts_many(values: list[int]) -> Any:
    handles = start_many(notes, values)
    return [handle.get_result() for handle in handles]


def test_a_step_enqueues() -> None:
    handle = start_workflow(enqueues_in_a_step)
    drain(queues=["default"])
    ids = handle.get_result()
    assert len(set(ids)) == 3
    assert ids == [f"{handle.workflow_id}-1-{number}" for number in (1, 2, 3)]
    assert {*WorkflowRun.objects.for_queue("line").values_list("parent_id", flat=True)} == {handle.workflow_id}


def test_a_workflow_starts_many_in_one_step() -> None:
    handle = start_workflow(starts_many, [5, 6, 7])
    drain()
    assert handle.get_result() == [5, 6, 7]
    names = StepRun.objects.filter(run_id=handle.workflow_id).order_by("position").values_list("name", flat=True)
    assert [*names] == ["durable.start_many", *["durable.get_result"] * 3]


def test_options_are_not_inherited_by_children() -> None:
    with SetEnqueueOptions(priority=4):
        handle = queue.enqueue(starts_many, [1])
    drain()
    child = WorkflowRun.objects.get(parent_id=handle.workflow_id)
    assert (handle.run.priority, child.priority) == (4, 0)


def test_start_many_is_all_or_nothing() -> None:
    with pytest.raises(NotSerializable):
        start_many(notes, [1, 2, object()])
    assert start_many(notes, []) == []
    assert not WorkflowRun.objects.exists()


def test_start_many_joins_the_callers_transaction() -> None:
    with transaction.atomic():
        assert len(start_many(notes, [(1,), (2,)])) == 2
        transaction.set_rollback(True)
    assert not WorkflowRun.objects.exists()


def test_start_many_takes_tuples_for_arguments_and_anything_else_for_one() -> None:
    handles = start_many(pairs, [(1, 2), (3,), [4, 5]])
    drain()
    assert [handle.get_result() for handle in handles] == [[1, 2], [3, 0], [[4, 5], 0]]


@workflow
def pairs(one: Any, other: Any = 0) -> Any:
    return [one, other]


def test_what_is_for_one_is_refused_for_many() -> None:
    with SetWorkflowID("one"), pytest.raises(InvalidUse, match="SetWorkflowID"):
        start_many(notes, [1])
    with SetEnqueueOptions(deduplication_id="one"), pytest.raises(InvalidUse, match="deduplication_id"):
        queue.enqueue_many(notes, [1])
    assert not WorkflowRun.objects.exists()


@pytest.mark.parametrize(
    "options",
    [{"priority": 1}, {"deduplication_id": "x"}, {"delay": 1}, {"queue_partition_key": "x"}],
    ids=lambda options: next(iter(options)),
)
def test_what_needs_a_queue_is_refused_without_one(options: dict[str, Any]) -> None:
    with SetEnqueueOptions(**options):
        for start in (lambda: start_workflow(notes), notes.start, notes, lambda: start_many(notes, [1])):
            with pytest.raises(InvalidUse, match=r"queue\.enqueue"):
                start()
    assert not WorkflowRun.objects.exists()


def test_partitions_need_keys_and_keys_need_partitions() -> None:
    with pytest.raises(InvalidUse, match="has partitions"):
        parted.enqueue(notes)
    with SetEnqueueOptions(queue_partition_key="k"):
        with pytest.raises(InvalidUse, match="has no partitions"):
            queue.enqueue(notes)
        assert parted.enqueue(notes).get_status().queue_partition_key == "k"
    assert WorkflowRun.objects.count() == 1


def test_a_version_can_be_asked_for_without_a_queue() -> None:
    with SetEnqueueOptions(app_version="v7"):
        assert start_workflow(notes).get_status().app_version == "v7"
    assert drain() == 0


@pytest.mark.parametrize(
    "options",
    [
        {"priority": 0}, {"priority": -1}, {"priority": 2**31}, {"priority": 1.0}, {"priority": True}, {"priority": "1"},
        {"delay": -1}, {"delay": float("nan")}, {"delay": float("inf")}, {"delay": 10**11}, {"delay": "1"}, {"delay": True},
        {"deduplication_id": ""}, {"deduplication_id": " "}, {"deduplication_id": "x" * 256}, {"deduplication_id": "\0"},
        {"deduplication_id": 5}, {"duplication_policy": "replace"}, {"queue_partition_key": ""},
        {"queue_partition_key": "k" * 256}, {"queue_partition_key": b"k"}, {"app_version": "v" * 129}, {"app_version": 3},
    ],
    ids=str,
)  # fmt: skip
def test_bad_options_are_refused_where_they_are_given(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidUse):
        SetEnqueueOptions(**options)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"concurrency": 0}, "whole number"), ({"concurrency": -1}, "whole number"), ({"concurrency": 1.5}, "whole number"),
        ({"concurrency": True}, "whole number"), ({"worker_concurrency": "2"}, "whole number"),
        ({"limiter": {"limit": 5}}, "dict such as"), ({"limiter": {"limit": 0, "period": 1}}, "whole number"),
        ({"limiter": {"limit": 1, "period": 0}}, "positive"), ({"limiter": {"limit": 1, "period": float("nan")}}, "positive"),
        ({"limiter": 5}, "dict such as"), ({"limiter": {"limit": 1, "period": 1, "burst": 2}}, "dict such as"),
        ({"waiting": "hold"}, "Set one of them"), ({"concurrency": 1, "waiting": "forever"}, "'release' or 'hold'"),
        ({"concurrency": 1, "worker_concurrency": 2}, "never be reached"),
        ({"partition_concurrency": 1}, "partition_queue=True"), ({"partition_limiter": {"limit": 1, "period": 1}}, "partition_queue=True"),
        ({"concurrency": 1, "partition_queue": True, "partition_concurrency": 2}, "never be reached"),
        ({"partition_queue": True, "partition_concurrency": 1, "partition_worker_concurrency": 2}, "never be reached"),
        ({"partition_queue": 1}, "True or False"), ({"priority_ageing": 0}, "positive"),
    ],
    ids=str,
)  # fmt: skip
def test_limits_that_cannot_be_kept_are_refused(limits: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidUse, match=words):
        Queue("bad-limits", **limits)
    assert "bad-limits" not in Queue.declared


@pytest.mark.parametrize("name", ["", " ", "x" * 129, "a\nb", "\0", 5, None])
def test_a_name_that_cannot_be_one_is_refused(name: Any) -> None:
    with pytest.raises(InvalidUse, match="queue's name"):
        Queue(name)
