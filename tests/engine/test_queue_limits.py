"""What a queue's limits let a worker take, seen one claim at a time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from django.db import connection

from durable_workflows import (
    Queue,
    SetEnqueueOptions,
    cancel_workflow,
    get_event,
    recv,
    registry,
    resume_workflow,
    select,
    send,
    set_event,
    start_workflow,
    workflow,
)
from durable_workflows.ids import new_token
from durable_workflows.models import QueueStart, QueueState, WorkflowRun, recovery, rules, slots
from durable_workflows.models.claims import Claim, Claimer
from durable_workflows.models.rules import FREE
from durable_workflows.models.taking import Want
from durable_workflows.models.transactions import in_write_transaction
from durable_workflows.states import RunState
from durable_workflows.testing import drain, travel
from durable_workflows.worker import serving
from tests.engine.born import execute

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committing", "unparked")]


@workflow
def returns(value: Any = None) -> Any:
    return value


@workflow(queue="parted")
def keyless() -> None:
    pass


@workflow
def waits() -> Any:
    return recv("go")


def take(
    queue: Queue,
    limit: int = 10,
    worker: str = "one",
    mine: dict[str, int] | None = None,
    after: str | None = None,
    version: str = "",
) -> list[Claim]:
    """One claim by a worker with so many free threads."""
    serving.declare([queue.name])
    its = rules.read_rules(connection).get(queue.name, FREE)
    want = Want(queue=queue.name, limit=limit, mine=mine or {}, after=after)
    me = Claimer(worker_id=worker, names=tuple(registry.names()), app_version=version)
    return slots.take(connection, me, want, its, new_token()).claims


def enqueue(queue: Queue, number: int, function: Any = returns, **options: Any) -> list[str]:
    with SetEnqueueOptions(**options):
        return [queue.enqueue(function, *([n] if function is returns else [])).workflow_id for n in range(number)]


def ids(found: list[Claim]) -> list[str]:
    return [claim.id for claim in found]


def test_without_limits_a_worker_takes_as_many_as_it_has_threads_for() -> None:
    queue = Queue("free")
    enqueued = enqueue(queue, 5)
    assert sorted(ids(take(queue, 3))) == enqueued[:3]
    assert sorted(ids(take(queue, 3))) == enqueued[3:]


def test_concurrency_holds_across_workers_and_counts_leases() -> None:
    queue = Queue("narrow", concurrency=3)
    enqueued = enqueue(queue, 6)
    first = take(queue, 2, "one")
    assert len(first) == 2
    assert len(take(queue, 5, "two")) == 1
    assert take(queue, 5, "three") == []
    execute(first[0])
    assert ids(take(queue, 5, "three")) == [enqueued[3]]


def test_a_run_that_waits_gives_its_place_back_and_has_one_again_before_what_never_started() -> None:
    queue = Queue("releasing", concurrency=1)
    [waiting] = enqueue(queue, 1, waits)
    [claim] = take(queue)
    later = enqueue(queue, 2)
    execute(claim)
    assert WorkflowRun.objects.get(pk=waiting).status == RunState.WAITING
    [other] = take(queue)
    assert other.id == later[0]
    send(waiting, "now", topic="go")
    assert take(queue) == []
    execute(other)
    assert ids(take(queue)) == [waiting]


def test_a_run_that_waits_keeps_its_place_if_told_to() -> None:
    queue = Queue("holding", concurrency=1, waiting="hold")
    [waiting] = enqueue(queue, 1, waits)
    enqueue(queue, 1)
    execute(take(queue)[0])
    assert WorkflowRun.objects.get(pk=waiting).status == RunState.WAITING
    assert take(queue) == []
    send(waiting, "now", topic="go")
    [claim] = take(queue)
    assert claim.id == waiting
    assert take(queue) == []
    execute(claim)
    assert len(take(queue)) == 1


def test_a_run_keeps_its_place_when_its_worker_dies() -> None:
    queue = Queue("holding", concurrency=1, waiting="hold")
    [first, _] = enqueue(queue, 2)
    [claim] = take(queue, worker="dies")
    in_write_transaction(recovery.take_back, "dies")
    assert WorkflowRun.objects.get(pk=first).status == RunState.ENQUEUED
    WorkflowRun.objects.filter(pk=first).update(rank=99)  # whatever its turn
    [again] = take(queue)
    assert (again.id, claim.id) == (first, first)
    assert take(queue) == []


def test_a_kept_place_is_given_back_by_cancelling_and_by_resuming() -> None:
    queue = Queue("holding", concurrency=1, waiting="hold")
    [waiting] = enqueue(queue, 1, waits)
    [later] = enqueue(queue, 1)
    execute(take(queue)[0])
    cancel_workflow(waiting)
    assert ids(take(queue)) == [later]
    resume_workflow(waiting)
    assert ids(take(queue)) == [waiting], "an operator's wish goes ahead of the limits"


@workflow
def starts_another_and_waits() -> Any:
    return Queue.declared["holding"].enqueue(returns, 1).get_result()


@workflow
def starts_another_and_selects() -> Any:
    return select(handles=[Queue.declared["holding"].enqueue(returns, 1)]) is not None


def test_selecting_a_run_that_needs_ones_own_place_is_an_error() -> None:
    queue = Queue("holding", concurrency=1, waiting="hold")
    [parent] = enqueue(queue, 1, starts_another_and_selects)
    drain(queues=["holding"])
    run = WorkflowRun.objects.get(pk=parent)
    assert run.status == RunState.ERROR
    assert "keep their places" in (run.error or "")


def test_awaiting_a_run_that_needs_ones_own_place_is_an_error() -> None:
    queue = Queue("holding", concurrency=1, waiting="hold")
    [parent] = enqueue(queue, 1, starts_another_and_waits)
    drain(queues=["holding"])
    run = WorkflowRun.objects.get(pk=parent)
    assert run.status == RunState.ERROR
    assert "keep their places" in (run.error or "")
    Queue("holding", concurrency=2, waiting="hold")
    [parent] = enqueue(queue, 1, starts_another_and_waits)
    drain(queues=["holding"])
    assert WorkflowRun.objects.get(pk=parent).status == RunState.SUCCESS


def test_the_window_of_a_rate_holds_its_limit_and_no_more() -> None:
    queue = Queue("rated", limiter={"limit": 3, "period": 60})
    enqueue(queue, 8)
    assert len(take(queue, 2)) == 2
    travel(seconds=30)
    assert len(take(queue)) == 1
    assert take(queue) == []
    travel(seconds=31)
    assert len(take(queue)) == 2, "the first two have left the window"
    assert take(queue) == []
    assert sum(QueueStart.objects.values_list("number", flat=True)) == 3, "what has left it is forgotten"


def test_deleting_runs_makes_no_room_in_the_window() -> None:
    queue = Queue("rated", limiter={"limit": 1, "period": 60})
    enqueue(queue, 2)
    execute(take(queue)[0])
    WorkflowRun.objects.succeeded().delete()
    assert take(queue) == []


def test_waking_and_recovering_spend_nothing() -> None:
    queue = Queue("rated", limiter={"limit": 1, "period": 60})
    [waiting] = enqueue(queue, 1, waits)
    enqueue(queue, 1)
    execute(take(queue)[0])
    send(waiting, "now", topic="go")
    assert ids(take(queue)) == [waiting]
    in_write_transaction(recovery.take_back, "one")
    assert ids(take(queue)) == [waiting]


def test_partitions_have_their_own_limits_beside_the_queues() -> None:
    queue = Queue("parted", concurrency=5, partition_queue=True, partition_concurrency=2)
    for key in "abc":
        enqueue(queue, 4, queue_partition_key=key)
    taken = take(queue, 4)
    assert max(Counter(claim.partition for claim in taken).values()) <= 2
    taken += take(queue, 4)
    assert len(taken) == 5
    assert max(Counter(claim.partition for claim in taken).values()) == 2


def test_partitions_take_turns() -> None:
    queue = Queue("parted", partition_queue=True)
    enqueue(queue, 50, queue_partition_key="busy")
    for key in ("a", "z"):
        enqueue(queue, 1, queue_partition_key=key)
    assert {claim.partition for claim in take(queue, 3)} == {"a", "busy", "z"}
    assert len(take(queue, 30)) == 30, "nobody else wants the room"


def test_one_goes_on_after_the_partition_that_had_its_turn_last() -> None:
    queue = Queue("parted", partition_queue=True, partition_concurrency=1)
    for key in "abcdefghijklmnopqrstuvwxyz":
        enqueue(queue, 2, queue_partition_key=key)
    assert [claim.partition for claim in take(queue, 3, after="x")] == ["y", "z", "a"]
    assert sorted(claim.partition for claim in take(queue, 40)) == [*"bcdefghijklmnopqrstuvwx"]


def test_runs_without_a_key_have_their_turns_too() -> None:
    """A plain start of a workflow whose queue has partitions names none."""
    serving.declare([Queue("parted", partition_queue=True, partition_concurrency=1).name])
    started = [start_workflow(keyless).workflow_id for _ in range(2)]
    [first] = take(Queue.declared["parted"])
    assert (first.id, first.partition) == (started[0], "")
    execute(first)
    assert ids(take(Queue.declared["parted"], after="")) == started[1:]


def test_a_partition_of_which_enough_is_under_way_on_this_worker() -> None:
    queue = Queue("parted", partition_queue=True, partition_worker_concurrency=1)
    for key in "ab":
        enqueue(queue, 2, queue_partition_key=key)
    assert {claim.partition for claim in take(queue, 4, mine={"a": 1})} == {"b"}


def test_partitions_have_their_own_windows() -> None:
    queue = Queue(
        "parted", limiter={"limit": 4, "period": 60}, partition_queue=True, partition_limiter={"limit": 2, "period": 600}
    )
    for key in "abc":
        enqueue(queue, 3, queue_partition_key=key)
    first = take(queue)
    assert len(first) == 4
    assert max(Counter(claim.partition for claim in first).values()) <= 2
    travel(seconds=61)
    second = take(queue)
    assert max(Counter(claim.partition for claim in first + second).values()) == 2
    assert len(second) == 2


def test_a_paused_queue_gives_nothing_but_what_is_resumed(subtests: pytest.Subtests) -> None:
    for queue in (Queue("free"), Queue("narrow", concurrency=5), Queue("parted", partition_queue=True)):
        with subtests.test(queue.name):
            key = {"queue_partition_key": "k"} if queue.partition_queue else {}
            [wanted, _] = enqueue(queue, 2, **key)
            assert take(queue, 0) == []
            rules.change(connection, [queue.name], paused=True)
            assert take(queue) == []
            resume_workflow(wanted)
            assert ids(take(queue)) == [wanted]
            rules.change(connection, [queue.name], paused=False)
            assert len(take(queue)) == 1


def test_what_is_resumed_goes_ahead_of_every_limit(subtests: pytest.Subtests) -> None:
    limits: list[dict[str, Any]] = [
        {"concurrency": 1}, {"limiter": {"limit": 1, "period": 60}}, {"partition_queue": True, "partition_concurrency": 1},
        {"concurrency": 1, "waiting": "hold"}, {"partition_queue": True, "partition_limiter": {"limit": 1, "period": 60}},
    ]  # fmt: skip
    for number, limit in enumerate(limits):
        with subtests.test(str(limit)):
            queue = Queue(f"limited-{number}", **limit)
            key = {"queue_partition_key": "k"} if queue.partition_queue else {}
            enqueue(queue, 3, **key)
            assert len(take(queue)) == 1
            last = WorkflowRun.objects.for_queue(queue.name).enqueued().order_by("-queued_at")[0]
            resume_workflow(last.pk)
            assert ids(take(queue)) == [last.pk]
            assert take(queue) == []


def test_limits_are_read_with_each_claim() -> None:
    queue = Queue("narrow", concurrency=1)
    enqueue(queue, 5)
    assert len(take(queue)) == 1
    rules.change(connection, ["narrow"], overrides={"concurrency": 3})
    assert len(take(queue)) == 2
    rules.change(connection, ["narrow"], overrides={"concurrency": None})
    assert len(take(queue)) == 2


def test_runs_with_keys_in_a_queue_without_partitions_are_not_forgotten(subtests: pytest.Subtests) -> None:
    for limits in ({}, {"concurrency": 10}):
        with subtests.test(str(limits)):
            enqueue(Queue("parted", partition_queue=True), 2, queue_partition_key="k")
            queue = Queue("parted", **limits)  # type: ignore[arg-type]
            enqueue(queue, 1)
            assert len(take(queue) + take(queue)) == 3


@pytest.mark.parametrize(
    "limits",
    [{}, {"concurrency": 5}, {"concurrency": 5, "limiter": {"limit": 9, "period": 60}}, {"partition_queue": True}],
    ids=str,
)
def test_a_worker_takes_what_is_of_its_version_or_of_none(limits: dict[str, Any]) -> None:
    queue = Queue("versioned", **limits)
    key = {"queue_partition_key": "k"} if queue.partition_queue else {}
    [old] = enqueue(queue, 1, app_version="v1", **key)
    [new] = enqueue(queue, 1, app_version="v2", **key)
    [any_version] = enqueue(queue, 1, **key)
    assert ids(take(queue)) == [any_version]
    assert ids(take(queue, version="v2")) == [new]
    assert ids(take(queue, version="v2")) == []
    assert ids(take(queue, version="v1")) == [old]


def test_a_row_that_says_nothing_that_can_be_kept_gives_nothing() -> None:
    queue = Queue("narrow", concurrency=1)
    enqueue(queue, 1)
    take(queue, 0)
    for nonsense in ({"concurrency": -1}, {"concurrncy": 1}, ["concurrency"], {"worker_concurrency": 5}):
        QueueState.objects.filter(pk="narrow").update(overrides=nonsense)
        assert take(queue) == []
        assert rules.read_rules(connection)["narrow"].problem
    QueueState.objects.filter(pk="narrow").update(overrides=None)
    assert len(take(queue)) == 1


def test_an_undeclared_queue_is_no_error() -> None:
    name = f"nobody-declares-{new_token()}"

    @workflow(name="tests.waits_in_undeclared_queue", queue=name)
    def late() -> int:
        return 1

    handle = start_workflow(late)
    assert handle.get_status().status == RunState.ENQUEUED
    drain(queues=[name])
    assert handle.get_result() == 1


def test_an_override_survives_another_declaration() -> None:
    serving.declare([Queue("narrow", concurrency=1).name])
    rules.change(connection, ["narrow"], overrides={"concurrency": 7}, paused=True)
    serving.declare([Queue("narrow", concurrency=2, limiter={"limit": 1, "period": 1}).name])
    its = rules.read_rules(connection)["narrow"]
    assert (its.limits.concurrency, its.paused) == (7, True)
    assert its.limits.limiter is not None


def test_events_can_be_awaited_while_the_queue_is_full() -> None:
    """A full queue stops no other run, and no client."""
    queue = Queue("narrow", concurrency=1)
    [first] = enqueue(queue, 1, tells)
    drain(queues=["narrow"])
    assert get_event(first, "said", timeout_seconds=0) == "hello"


@workflow
def tells() -> None:
    set_event("said", "hello")
