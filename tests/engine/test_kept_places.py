"""Runs that keep their place in a queue while they wait, where that meets something else; one claim at a time."""

from __future__ import annotations

from collections import Counter

import pytest
from django.db import connection

from durable_workflows import Queue, registry, send
from durable_workflows.ids import new_token
from durable_workflows.models import WorkflowRun, recovery, rules, slots
from durable_workflows.models.claims import Claim, Claimer
from durable_workflows.models.taking import Want
from durable_workflows.models.transactions import in_write_transaction
from durable_workflows.states import RunState
from tests.engine.born import execute
from tests.engine.test_queue_limits import enqueue, take, waits

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committing", "unparked")]


def take_suspects(queue: Queue) -> list[Claim]:
    """What a worker takes to run alone."""
    me = Claimer(worker_id="one", names=tuple(registry.names()))
    its = rules.read_rules(connection)[queue.name]
    return slots.take(connection, me, Want(queue=queue.name, limit=1, suspects=True), its, new_token()).claims


def suspend(queue: Queue, claims: list[Claim]) -> None:
    """Have them all wait, and then be woken."""
    for claim in claims:
        execute(claim)
        assert WorkflowRun.objects.get(pk=claim.id).status == RunState.WAITING
    for claim in claims:
        send(claim.id, "now", topic="go")


@pytest.mark.parametrize("parted", [False, True])
def test_a_suspect_that_keeps_its_place_is_taken_again(parted: bool) -> None:
    limits = {"partition_queue": True, "partition_concurrency": 1} if parted else {"concurrency": 1}
    queue = Queue("holding-suspect", waiting="hold", **limits)  # type: ignore[arg-type]
    [first, later] = enqueue(queue, 2, **({"queue_partition_key": "k"} if parted else {}))
    for attempt in range(3):
        [claim] = take(queue, worker=f"dies-{attempt}") or take_suspects(queue)
        assert claim.id == first
        in_write_transaction(recovery.take_back, f"dies-{attempt}" if not WorkflowRun.objects.get(pk=first).suspect else "one")
        WorkflowRun.objects.filter(pk=first, status=RunState.DELAYED).update(status=RunState.ENQUEUED, due_at=None)
    assert WorkflowRun.objects.get(pk=first).suspect
    assert take(queue) == [], "its place is kept"
    [claim] = take_suspects(queue)
    assert claim.id == first
    assert WorkflowRun.objects.get(pk=later).status == RunState.ENQUEUED


def test_kept_places_do_not_let_a_worker_take_more_of_a_partition_than_it_may() -> None:
    queue = Queue(
        "holding-parted", partition_queue=True, partition_concurrency=4, partition_worker_concurrency=1, waiting="hold"
    )
    for key in "ab":
        enqueue(queue, 2, waits, queue_partition_key=key)
    suspend(queue, [claim for worker in ("one", "two") for claim in take(queue, worker=worker)])
    assert WorkflowRun.objects.enqueued().filter(holds_slot=True).count() == 4
    taken = take(queue, worker="one")
    assert Counter(claim.partition for claim in taken) == {"a": 1, "b": 1}
    assert take(queue, worker="one", mine={"a": 1, "b": 1}) == []
    assert len(take(queue, worker="two")) == 2


def test_a_kept_place_is_used_though_the_queue_keeps_none_any_more() -> None:
    queue = Queue("holding-no-more", concurrency=1, waiting="hold")
    [waiting] = enqueue(queue, 1, waits)
    [later] = enqueue(queue, 1)
    claims = take(queue)
    rules.change(connection, [queue.name], overrides={"waiting": "release"})
    suspend(queue, claims)
    [claim] = take(queue)
    assert claim.id == waiting
    assert not claim.holds_slot
    execute(claim)
    assert [claim.id for claim in take(queue)] == [later]


def test_a_place_is_kept_no_more_once_the_queue_says_so() -> None:
    queue = Queue("holding-then-not", concurrency=2, waiting="hold")
    enqueue(queue, 1, waits)
    suspend(queue, take(queue))
    rules.change(connection, [queue.name], overrides={"waiting": "release"})
    [claim] = take(queue)
    assert not WorkflowRun.objects.get(pk=claim.id).holds_slot
