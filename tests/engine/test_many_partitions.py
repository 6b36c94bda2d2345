"""More partitions than one claim looks at: the next claim goes on where it ended, and none is forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from durable_workflows import Queue, registry, resume_workflow
from durable_workflows.ids import new_token
from durable_workflows.models import WorkflowRun, rules, slots
from durable_workflows.models.claims import Claimer
from durable_workflows.models.slots import Taken, Want
from durable_workflows.worker import serving
from tests.engine.test_queue_limits import enqueue, take

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committing", "unparked")]
KEYS = [f"k{number:02}" for number in range(40)]
LOOKS = 20


@pytest.fixture
def short_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "SHORTEST_WALK", 2)
    monkeypatch.setattr(slots, "LONGEST_WALK", 4)
    monkeypatch.setattr(slots, "FARTHEST_WALK", 8)


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


FULL: list[dict[str, Any]] = [
    {"concurrency": 1}, {"limiter": {"limit": 1, "period": 600}},
    {"partition_concurrency": 1}, {"partition_limiter": {"limit": 1, "period": 600}},
]  # fmt: skip


@pytest.mark.usefixtures("short_walks")
@pytest.mark.parametrize("limits", FULL, ids=str)
def test_what_may_be_taken_is_found_however_many_cannot_give_anything(limits: dict[str, Any]) -> None:
    queue = Queue("many-parted", partition_queue=True, **limits)
    for key in KEYS:
        enqueue(queue, 2, queue_partition_key=key)
    serving.declare([queue.name])
    for key in KEYS:
        take(queue, 1, after=key)
    assert WorkflowRun.objects.running().count() == (1 if limits.keys() & {"concurrency", "limiter"} else len(KEYS))
    assert look(queue, None).claims == []
    wanted = WorkflowRun.objects.enqueued().get(partition_key=KEYS[-1], queued_at=latest(KEYS[-1])).pk
    resume_workflow(wanted)
    assert until_found(queue) == wanted


def latest(key: str) -> Any:
    return WorkflowRun.objects.enqueued().filter(partition_key=key).latest("queued_at").queued_at


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
