"""Why a run does not go on: the sentence of its page is exact."""

from __future__ import annotations

from datetime import timedelta

import pytest

from durable_workflows.closely import situation
from durable_workflows.models import Kind, QueueStart, Turn, Wait, Worker, WorkflowRun
from durable_workflows.models.dialects import DatabaseNow
from tests.admin.rows import CHECKOUT, ago, make_queue, make_run, make_wait, make_worker

pytestmark = pytest.mark.django_db


def of(run: WorkflowRun) -> tuple[str, bool]:
    found = situation(WorkflowRun.objects.get(pk=run.pk))
    return found.text, found.alarming


def serve(**fields: object) -> None:
    """A live worker that can take a checkout of the queue."""
    make_worker("w", **{"queues": ["default"], "names": [CHECKOUT], "heartbeat_at": DatabaseNow(), **fields})


def test_enqueued_and_nobody_to_take_it() -> None:
    run = make_run(app_version="2")
    assert of(run) == ("no worker is alive", True)
    serve(queues=["mail"])
    assert of(run) == ("no live worker serves its queue, “default”", True)
    Worker.objects.update(queues=["default"], names=["another"])
    assert of(run) == ("no live worker of its queue knows this workflow", True)
    Worker.objects.update(names=[CHECKOUT])
    assert of(run) == ("no live worker of its queue has the version “2”", True)
    Worker.objects.update(app_version="2")
    assert of(run) == ("waits for a worker", False)
    Worker.objects.update(drain_requested_at=DatabaseNow())
    assert of(run) == ("all workers that serve its queue are draining", True)
    Worker.objects.update(heartbeat_at=ago(hours=1))
    assert of(run) == ("no worker is alive", True)
    Worker.objects.update(heartbeat_at=DatabaseNow(), direct=True)
    assert of(run) == ("no worker is alive", True)


def test_enqueued_in_a_queue_that_lets_it_wait() -> None:
    serve()
    run = make_run(partition_key="eu")
    queue = make_queue("default", paused=True, declared={"concurrency": 2})
    assert of(run) == ("its queue is paused", False)
    WorkflowRun.objects.filter(pk=run.pk).update(turn=Turn.AHEAD)
    assert of(run) == ("goes on now, ahead of its queue, as soon as a worker is free", False)
    WorkflowRun.objects.filter(pk=run.pk).update(turn=Turn.NEW)
    type(queue).objects.update(paused=False)
    assert of(run) == ("waits for a worker, and its queue has limits", False)
    make_run(status="RUNNING", partition_key="us")
    make_run(status="WAITING", holds_slot=True)
    assert of(run) == ("its queue is full: 2 runs of 2", False)
    type(queue).objects.update(declared={"partition_queue": True, "partition_concurrency": 1})
    assert of(run) == ("waits for a worker, and its queue has limits", False)
    make_run(status="CANCELLING", partition_key="eu")
    assert of(run) == ("its partition is full: 1 runs of 1", False)
    type(queue).objects.update(declared={"limiter": {"limit": 3, "period": 600}})
    QueueStart.objects.create(queue="default", at=DatabaseNow(-60), number=3)
    assert of(run)[0].startswith("its queue's rate is used up until 20")
    WorkflowRun.objects.filter(pk=run.pk).update(turn=Turn.BEGUN)
    assert of(run) == ("waits for a worker, and its queue has limits", False)
    type(queue).objects.update(declared=["nonsense"])
    assert of(run) == ("its queue's limits cannot be read", False)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"stranded": "name"}, "nobody knows this workflow: no live worker has its code"),
        ({"stranded": "history", "note": "At step 2"}, "its code no longer fits its history"),
        ({"status": "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}, "given up: its workers died too often"),
    ],
)
def test_what_is_stranded_says_so_whoever_is_alive(fields: dict[str, str], text: str) -> None:
    assert of(make_run(**fields)) == (text, True)


def test_running_on_a_worker_that_may_be_lost() -> None:
    run = make_run(status="RUNNING", worker_id="w", progress_done=2, progress_total=5)
    assert of(run) == ("2/5 · its worker is not there any more; another one takes it over", True)
    serve()
    assert of(run) == ("2/5 · a worker runs it", False)
    Worker.objects.update(direct=True)
    assert of(run) == ("2/5 · the process that called it runs it", False)
    for silent in ({"heartbeat_at": ago(minutes=2)}, {"lost_at": ago(minutes=1)}, {"stopped_at": ago(minutes=1)}):
        Worker.objects.update(**{"heartbeat_at": DatabaseNow(), "lost_at": None, "stopped_at": None, **silent})
        text, alarming = of(run)
        assert text.startswith("2/5 · its worker, w, is silent since 20")
        assert alarming
    WorkflowRun.objects.filter(pk=run.pk).update(status="CANCELLING")
    assert of(run)[1]
    Worker.objects.update(heartbeat_at=DatabaseNow(), lost_at=None, stopped_at=None)
    assert of(run) == ("2/5 · undoes its steps", False)


def test_waiting_for_another_run_says_how_that_one_stands() -> None:
    run = make_run(status="WAITING")
    make_wait(run, Kind.RESULT, source_id="child-1")
    assert of(run) == ("waits for the result of run child-1 (not there yet)", False)
    child = make_run(id="child-1", status="ENQUEUED", parent=run)
    assert of(run) == ("waits for the result of run child-1 (enqueued)", False)
    WorkflowRun.objects.filter(pk=child.pk).update(status="ERROR")
    assert of(run) == ("waits for the result of run child-1 (failed)", False)
    make_wait(run, Kind.RESULT, source_id="child-2", position=4)
    assert of(run) == ("waits for the result of run child-1, and 1 more", False)
    Wait.objects.all().delete()
    make_wait(run, Kind.RECV, source_id=run.pk, key="paid")
    assert of(run) == ("waits for message “paid”", False)


def test_what_the_clock_wakes_is_woken_by_a_worker() -> None:
    soon, past = ago(minutes=-5), ago(minutes=5)
    delayed, asleep = make_run(status="DELAYED", due_at=soon), make_run(status="WAITING", due_at=soon)
    make_wait(asleep, Kind.RETRY, due_at=soon)
    assert of(delayed)[0].startswith("starts at 20")
    assert of(asleep)[0].startswith("tries again at 20")
    WorkflowRun.objects.update(due_at=past)
    for run in (delayed, asleep):
        text, alarming = of(run)
        assert text.startswith("was due at 20")
        assert text.endswith("; no worker is alive")
        assert alarming
    serve(heartbeat_at=DatabaseNow(timedelta(seconds=1).total_seconds()))
    assert not of(delayed)[1]
    Worker.objects.update(drain_requested_at=DatabaseNow())
    assert of(delayed)[0].endswith("; all workers are draining")
    assert of(delayed)[1]


def test_paused_by_an_operator() -> None:
    assert of(make_run(status="PAUSED")) == ("paused by an operator", False)
