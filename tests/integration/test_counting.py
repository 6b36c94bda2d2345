"""A worker's threads claim at the same time, and yet it counts what it holds of each partition."""

from __future__ import annotations

import threading

import pytest
from django.db import connections

from durable_workflows import Queue, SetEnqueueOptions
from durable_workflows.models import QueueState, Worker, WorkflowRun, slots
from durable_workflows.models.claims import Claim
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.taking import Taken
from durable_workflows.worker import serving
from durable_workflows.worker.claimer import Claiming
from durable_workflows.worker.pool import Pool
from durable_workflows.worker.serving import Serving
from tests.integration.test_claiming import claiming_of

pytestmark = pytest.mark.django_db(transaction=True)
ENOUGH = 1.0  # seconds for the other claim, if nothing keeps it from being made


def test_two_threads_do_not_take_one_each_of_a_partition_that_may_have_one_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread goes on with another partition's run while the claimer is claiming, and the other way round."""
    queue = Queue("counted", partition_queue=True, partition_worker_concurrency=1)
    Worker.objects.create(id="me", pid=1, lease_seconds=30, started_at=DatabaseNow(), heartbeat_at=DatabaseNow())
    for key in ("a", "b", "b"):
        with SetEnqueueOptions(queue_partition_key=key):
            queue.enqueue("known")
    serving.declare([queue.name])
    pool = Pool(8, work=lambda claim: None, prepare=lambda: None)  # its threads are not started
    serves = Serving(lambda: (queue.name,), lambda: pool.running().values())
    serves.read()
    claiming = claiming_of(pool, serves)
    claiming._claim_from(queue.name, 1)
    [first] = pool.running().values()
    assert first.partition == "a"
    others: list[threading.Thread] = []
    take = slots.take

    def taken_and_then_another_one(*args: object) -> Taken:
        taken: Taken = take(*args)  # type: ignore[arg-type]
        if not others:
            others.append(threading.Thread(target=_claim, args=(claiming, queue.name)))
            others[0].start()
            others[0].join(ENOUGH)
        return taken

    monkeypatch.setattr(slots, "take", taken_and_then_another_one)
    following: Claim | None = claiming.take_after(first)
    others[0].join()
    assert following is not None
    assert following.partition == "b"
    assert WorkflowRun.objects.running().filter(partition_key="b").count() == 1
    assert pool.running() == {following.id: following}


def _claim(claiming: Claiming, queue: str) -> None:
    claiming._claim_from(queue, 1)
    connections.close_all()


def test_a_queue_whose_row_was_deleted_is_not_free_of_its_limits() -> None:
    queue = Queue("forgotten", concurrency=1)
    serving.declare([queue.name])
    serves = Serving(lambda: (queue.name,), list)
    serves.read()
    QueueState.objects.all().delete()
    serves.read("another stamp")
    assert serves.rules(queue.name).limits == queue.limits
    assert QueueState.objects.get().pk == queue.name
