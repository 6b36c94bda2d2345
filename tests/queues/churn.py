"""What befalls workers, queues and runs while the runs are being executed; by a seed, which is printed."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from typing import Any

from django.db import connection

from durable_workflows import Queue, SetEnqueueOptions, cancel_workflow, resume_workflow
from durable_workflows.models import WorkflowRun, rules
from durable_workflows.states import RunState
from tests.queues import workflows as house
from tests.queues.fleet import Fleet

NARROWER_AND_WIDER: dict[str, list[dict[str, Any] | None]] = {
    house.NARROW.name: [{"concurrency": 1}, {"concurrency": 6}, None],
    house.EACH.name: [{"worker_concurrency": 2}, None],
    house.BOTH.name: [{"worker_concurrency": 1}, {"concurrency": 2}, {"concurrency": 9, "worker_concurrency": 3}, None],
    house.RATED.name: [{"limiter": {"limit": 2, "period": 0.7}}, {"limiter": {"limit": 4, "period": 1.0}}, None],
    house.HELD.name: [{"concurrency": 1}, {"concurrency": 6}, {"waiting": "release"}, None],
    house.PARTED_NARROW.name: [
        {"concurrency": 2, "worker_concurrency": 1}, {"partition_concurrency": 1}, {"partition_worker_concurrency": 2}, None,
    ],
    house.PARTED_RATED.name: [{"partition_limiter": {"limit": 2, "period": 1.1}}, {"limiter": {"limit": 2, "period": 0.6}}, None],
}  # fmt: skip
PAUSED_SECONDS = 0.4
PARTS = "abcde"


def enqueue(queue: Queue, number: int) -> list[str]:
    """So many runs of all sorts: some suspend, some await a child, each in one of a few partitions."""
    ids = []
    for each in range(number):
        with SetEnqueueOptions(queue_partition_key=PARTS[each % len(PARTS)] if queue.partition_queue else None):
            handle = queue.enqueue(house.work, 0.01 + 0.01 * (each % 3), each % 4 // 2, each % 5 == 0)
        ids.append(handle.workflow_id)
    return ids


class Churn:
    """
    The deeds, and what they were done to.

    :param stops: whether workers are stopped and continued, besides being killed.
    """

    def __init__(self, fleet: Fleet, seed: int, *, stops: bool) -> None:
        self.fleet = fleet
        self.random = random.Random(seed)
        self.stops = stops
        self.deeds = 0
        self.cancelled: set[str] = set()
        self.stopped = False

    def one(self) -> None:
        """Do one of them."""
        deeds: list[Callable[[], None]] = [
            self._kill,
            self._pause,
            self._change,
            self._change,
            self._change,
            self._cancel,
            self._resume,
        ]
        self.random.choice(deeds + [self._stop] * self.stops)()
        self.deeds += 1

    def _kill(self) -> None:
        self.fleet.kill(self._worker())
        self.fleet.start(1)

    def _worker(self) -> subprocess.Popen[bytes]:
        return self.random.choice(self.fleet.workers)

    def _stop(self) -> None:
        """Past its lease, so that it comes back to what others have taken over."""
        worker = self._worker()
        self.stopped = True
        self.fleet.stop(worker)
        time.sleep(3.0)
        self.fleet.go_on(worker)

    def _pause(self) -> None:
        queues = self.random.sample(sorted(NARROWER_AND_WIDER), 2)
        rules.change(connection, queues, paused=True)
        time.sleep(PAUSED_SECONDS)
        rules.change(connection, queues, paused=False)

    def _change(self) -> None:
        queue = self.random.choice(sorted(NARROWER_AND_WIDER))
        rules.change(connection, [queue], overrides=self.random.choice(NARROWER_AND_WIDER[queue]))

    def _cancel(self) -> None:
        some = WorkflowRun.objects.unfinished().filter(name="house.work").order_by("?").values_list("pk", flat=True)
        for run_id in some[:3]:
            cancel_workflow(run_id)
            self.cancelled.add(run_id)

    def _call(self) -> None:
        assert house.called(0.2) == "done"

    def _resume(self) -> None:
        """Some that were cancelled, and some that wait for their turn."""
        runs = WorkflowRun.objects.filter(status__in=[RunState.CANCELLED, RunState.ENQUEUED], name="house.work")
        for run_id in runs.order_by("?").values_list("pk", flat=True)[:2]:
            resume_workflow(run_id)
