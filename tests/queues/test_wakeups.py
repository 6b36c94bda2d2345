"""A place that was given back is found by whoever has a run for it, on whatever worker it was; by conditions, not by time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from durable_workflows import Queue, SetEnqueueOptions, WorkflowHandle, cancel_workflow
from durable_workflows.models import Worker, WorkflowRun
from tests.app.models import Ledger
from tests.queues import workflows as house
from tests.queues.fleet import Fleet

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sampled(2)]
EVER = 30.0  # seconds
ROUNDS = 3


def ends(handle: WorkflowHandle[Any]) -> None:
    Ledger.objects.create(run_id=handle.workflow_id, step="go on")


def is_cancelled(handle: WorkflowHandle[Any]) -> None:
    """By a client; the thread that executes it may be at it for long."""
    cancel_workflow(handle.workflow_id)


def enqueue(queue: Queue, what: Any, *args: Any) -> WorkflowHandle[Any]:
    with SetEnqueueOptions(queue_partition_key="k" if queue.partition_queue else None):
        handle: WorkflowHandle[Any] = queue.enqueue(what, *args)
    return handle


def status(handle: WorkflowHandle[Any]) -> str:
    return str(handle.run.status)


@pytest.mark.parametrize("freed", [ends, is_cancelled], ids=lambda freed: freed.__name__)
def test_the_next_run_starts_when_a_place_is_given_back(fleet: Fleet, freed: Callable[[WorkflowHandle[Any]], None]) -> None:
    """Whichever of the workers has the place: it may be freed on one and be wanted by the other."""
    fleet.start(2)
    for queue in (house.ONE, house.STRICT, house.PARTED_STRICT):
        for _ in range(ROUNDS):
            occupying = enqueue(queue, house.occupies)
            fleet.until(lambda: status(occupying) == "RUNNING", "it to occupy its place", EVER)  # noqa: B023 - called at once
            following = [enqueue(queue, house.leaf, 0.0) for _ in range(2)]
            freed(occupying)
            seconds = fleet.until(lambda: all(status(h) == "SUCCESS" for h in following), f"{queue.name} to go on", EVER)  # noqa: B023 - called at once
            print(f"{queue.name}: both had ended {seconds:.2f} s after")
            ends(occupying)  # the thread of a cancelled one goes on until it finds out
    assert not WorkflowRun.objects.unfinished().exists()


def test_the_next_run_starts_when_one_is_suspended(fleet: Fleet) -> None:
    """A place is given back by waiting for a message, too."""
    fleet.start(2)
    for _ in range(ROUNDS):
        occupying = enqueue(house.ONE, house.occupies)
        fleet.until(lambda: status(occupying) == "RUNNING", "it to occupy its place", EVER)  # noqa: B023 - called at once
        suspending = [enqueue(house.ONE, house.until_told) for _ in range(3)]
        ends(occupying)
        fleet.until(lambda: all(status(h) == "WAITING" for h in suspending), "all to wait", EVER)  # noqa: B023 - called at once
        for handle in suspending:
            cancel_workflow(handle.workflow_id)


def test_the_next_run_starts_when_the_worker_of_one_is_killed(fleet: Fleet) -> None:
    fleet.start(2)
    occupying = enqueue(house.ONE, house.occupies)
    fleet.until(lambda: status(occupying) == "RUNNING", "it to occupy its place", EVER)
    following = enqueue(house.ONE, house.leaf, 0.0)
    pid = Worker.objects.get(pk=occupying.run.worker_id).pid
    fleet.kill(next(worker for worker in fleet.workers if worker.pid == pid))
    ends(occupying)  # at once in its second life
    fleet.until(lambda: status(following) == "SUCCESS", "the next to be executed", EVER)


def test_a_full_window_is_not_waited_for_longer_than_it_lasts(fleet: Fleet) -> None:
    fleet.start(2)
    handles = [enqueue(house.RATED, house.leaf, 0.0) for _ in range(10)]
    fleet.until(lambda: all(status(handle) == "SUCCESS" for handle in handles), "all to be executed", EVER)


def test_two_workers_of_which_only_one_serves_the_queue(fleet: Fleet) -> None:
    """What the parents wait for, each of which gives its place back meanwhile, ends on the other worker."""
    fleet.start(1, queues=[house.ONE.name, "default"])
    fleet.start(1, queues=[house.CHILDREN.name])
    parents = [enqueue(house.ONE, house.work, 0.0, 0, True) for _ in range(5)]
    fleet.until(lambda: all(status(parent) == "SUCCESS" for parent in parents), "the parents to end", EVER)
