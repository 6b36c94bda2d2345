"""More partitions than one claim looks at: the next claim goes on where it ended, and none is forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from durable_workflows import Queue, registry, resume_workflow, send
from durable_workflows.ids import new_token
from durable_workflows.models import WorkflowRun, rules, slots, taking
from durable_workflows.models.claims import Claimer
from durable_workflows.models.taking import Taken, Want
from durable_workflows.worker import serving
from tests.engine.born import execute
from tests.engine.test_queue_limits import enqueue, take, waits

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committing", "unparked")]
KEYS = [f"k{number:02}" for number in range(40)]
LOOKS = 20


@pytest.fixture
def short_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "SHORTEST_WALK", 2)
    monkeypatch.setattr(taking, "LONGEST_WALK", 4)
    monkeypatch.setattr(taking, "FARTHEST_WALK", 8)


def look(queue: Queue, after: str | None) -> Taken:
    me = Claimer(worker_id="one", names=tuple(registry.names()))
    its = rules.read_rules(connection)[queue.name]
    return slots.take(connection, me, Want(queue=queue.name, limit=2, after=after), its, new_token())


def until_found(queue: Queue, after: str | None = None) -> str:
    """Look until something is found, as a worker does that is told to look again."""
    for _ in range(LOOKS):
        taken = look(queue, after)
        if taken.claims:
            return taken.claims[0].id
        assert taken.retry_in is not None
        after = taken.after
    raise AssertionError("It was never found.")


@pytest.mark.usefixtures("short_walks")
@pytest.mark.parametrize("limit", [{"partition_concurrency": 1}, {"partition_limiter": {"limit": 1, "period": 600}}], ids=str)
def test_the_one_partition_that_has_room_is_found_among_many_that_have_none(limit: dict[str, Any]) -> None:
    queue = Queue("many-parted", partition_queue=True, **limit)
    for key in KEYS:
        enqueue(queue, 2, queue_partition_key=key)
    serving.declare([queue.name])
    for before in [None, *KEYS[:-2]]:
        assert len(take(queue, 1, after=before)) == 1
    assert look(queue, None).claims == [], "it is farther than one claim looks"
    assert WorkflowRun.objects.get(pk=until_found(queue)).partition_key == KEYS[-1]
    assert WorkflowRun.objects.running().count() == len(KEYS)


@pytest.mark.usefixtures("short_walks")
@pytest.mark.parametrize("limit", [{"concurrency": 1}, {"limiter": {"limit": 1, "period": 600}}], ids=str)
def test_what_is_resumed_is_found_though_the_queue_is_full(limit: dict[str, Any]) -> None:
    queue = Queue("many-parted", partition_queue=True, **limit)
    for key in KEYS:
        enqueue(queue, 1, queue_partition_key=key)
    assert len(take(queue, 5)) == 1
    wanted = WorkflowRun.objects.get(partition_key=KEYS[-1]).pk
    resume_workflow(wanted)
    assert until_found(queue) == wanted


@pytest.mark.usefixtures("short_walks")
def test_a_woken_run_is_found_though_the_window_is_full() -> None:
    queue = Queue("many-parted", partition_queue=True, limiter={"limit": 1, "period": 600})
    [waiting] = enqueue(queue, 1, waits, queue_partition_key="zz")
    execute(take(queue)[0])
    for key in KEYS:
        enqueue(queue, 1, queue_partition_key=key)
    send(waiting, "now", topic="go")
    assert until_found(queue) == waiting


@pytest.mark.usefixtures("short_walks")
def test_what_is_resumed_in_a_paused_queue_is_found_too() -> None:
    queue = Queue("many-parted", partition_queue=True)
    for key in KEYS:
        enqueue(queue, 1, queue_partition_key=key)
    serving.declare([queue.name])
    rules.change(connection, [queue.name], paused=True)
    wanted = WorkflowRun.objects.get(partition_key=KEYS[-1]).pk
    resume_workflow(wanted)
    assert until_found(queue) == wanted


def test_runs_without_a_key_in_a_queue_that_has_partitions_are_not_forgotten() -> None:
    """They were enqueued before it had some."""
    enqueued = enqueue(Queue("parted-since"), 3)
    queue = Queue("parted-since", partition_queue=True)
    serving.declare([queue.name])
    found, after = [], None
    for _ in enqueued:
        taken = look(queue, after)
        found += [claim.id for claim in taken.claims]
        after = taken.after
    assert sorted(found) == enqueued
