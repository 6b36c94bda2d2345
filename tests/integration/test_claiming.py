"""When a worker claims."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from durable_workflows import start_workflow
from durable_workflows.models import Worker, WorkflowRun
from durable_workflows.models.claims import Claimer
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.states import RunState
from durable_workflows.worker.claimer import Claiming
from durable_workflows.worker.endings import LeftEndings
from durable_workflows.worker.pool import Pool
from durable_workflows.worker.serving import Serving

pytestmark = pytest.mark.django_db


def claiming_of(pool: Pool, serving: Serving, holds_lease: Callable[[], bool] = lambda: True) -> Claiming:
    """The claim loop of a worker that knows one name."""
    endings = LeftEndings(lambda: False, lambda: None)
    return Claiming(pool, lambda: Claimer(worker_id="me", names=("known",)), serving, endings, holds_lease)


def test_a_worker_whose_lease_may_have_run_out_claims_nothing() -> None:
    Worker.objects.create(id="me", pid=1, lease_seconds=30, started_at=DatabaseNow(), heartbeat_at=DatabaseNow())
    run = WorkflowRun.objects.get(pk=start_workflow("known").workflow_id)
    pool = Pool(2, work=lambda claim: None, prepare=lambda: None)  # its threads are not started
    lease: list[str] = []
    claiming = claiming_of(pool, Serving(lambda: ("default",), list), lambda: bool(lease))

    assert 0 < claiming.loop.tick() < 1, "it is to look again soon"
    run.refresh_from_db()
    assert (run.status, run.attempt, pool.free) == (RunState.ENQUEUED, 0, 2)

    lease.append("renewed")
    claiming.loop.tick()
    run.refresh_from_db()
    assert (run.status, run.attempt, pool.free) == (RunState.RUNNING, 1, 1)


def test_beside_one_that_is_to_run_alone_no_thread_takes_the_next_of_its_queue() -> None:
    Worker.objects.create(id="me", pid=1, lease_seconds=30, started_at=DatabaseNow(), heartbeat_at=DatabaseNow())
    for _ in range(3):
        start_workflow("known")
    pool = Pool(4, work=lambda claim: None, prepare=lambda: None)  # its threads are not started
    serving = Serving(lambda: ("default",), list)
    claiming = claiming_of(pool, serving)
    [done] = claiming._claim_from("default", 1)
    asked: list[object] = []

    def meanwhile(free: int, seconds: float) -> int:
        asked.append(claiming.take_after(done))
        pool._done(suspect)
        return pool.free

    [suspect] = claiming._claim_from("default", 1)
    pool.wait_for = meanwhile  # type: ignore[method-assign]
    claiming._leave_alone(suspect)
    assert asked == [None]
    assert claiming.take_after(done) is not None
