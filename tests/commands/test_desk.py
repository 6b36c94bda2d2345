"""Queues, schedules, workers and figures from the command line."""

from __future__ import annotations

import pytest

import durable_workflows as durable
from durable_workflows.models import QueueState, Schedule, Worker, WorkflowRun
from tests.admin.rows import ago, make_queue, make_run, make_runs, make_schedule, make_worker
from tests.commands.speaking import ask, refusal, say
from tests.commands.workflows import purchase

pytestmark = pytest.mark.django_db


def test_queues_are_told_paused_and_resumed() -> None:
    make_queue("mails", declared={"concurrency": 5, "limiter": {"limit": 50, "period": 30}})
    make_queue("broken", declared={"concurrency": "many"})
    make_runs(3, queue="mails", queued_at=ago(hours=2))
    make_run(queue="mails", status="RUNNING", worker_id="w")
    make_runs(1, queue="undeclared")
    found = {queue["name"]: queue for queue in ask("queues")}
    assert (found["mails"]["enqueued"], found["mails"]["running"], found["mails"]["state"]) == (3, 1, "open")
    assert found["mails"]["limits"]["concurrency"] == 5
    assert (found["broken"]["state"], found["undeclared"]["enqueued"]) == ("unreadable", 1)
    text = say("queues")
    assert "concurrency=5 limiter=50/30s" in text
    assert "broken: " in text
    assert ask("queues", "pause", "mails", "default")["changed"] == ["default", "mails"]
    assert "already" in say("queues", "pause", "mails")
    assert QueueState.objects.get(pk="mails").paused
    assert say("queues", "resume", "mails") == "Queue mails was resumed.\n"
    assert not QueueState.objects.get(pk="mails").paused
    assert refusal("queues", "pause", "mails", "nobody")
    assert not QueueState.objects.get(pk="mails").paused


def test_schedules_are_told_and_steered() -> None:
    durable.create_schedule("nightly", purchase, "0 3 * * *", context={"of": 1}, timezone="Europe/Berlin")
    make_schedule("odd", paused=True, note="Its cron is wrong.")
    found = {schedule["name"]: schedule for schedule in ask("schedules")}
    assert (found["nightly"]["context"], found["nightly"]["status"]) == ({"of": 1}, "ACTIVE")
    assert "0 3 * * * Europe/Berlin" in say("schedules")
    assert "Its cron is wrong." in say("schedules")
    say("schedules", "pause", "nightly")
    assert Schedule.objects.get(pk="nightly").paused
    ask("schedules", "resume", "nightly")
    assert not Schedule.objects.get(pk="nightly").paused
    (run,) = ask("schedules", "trigger", "nightly")["workflow_ids"]
    assert run.startswith("sched-nightly-trigger-")
    filled = ask("schedules", "backfill", "nightly", "--from", "2030-01-01", "--to", "2030-01-03")["workflow_ids"]
    assert WorkflowRun.objects.filter(pk__in=filled).count() == len(filled) == 2
    assert refusal("schedules", "backfill", "nightly", "--from", "2030-01-03", "--to", "2030-01-01")
    runs = WorkflowRun.objects.count()
    for act in ("pause", "trigger", "delete"):
        assert "'nobody'" in refusal("schedules", act, "nightly", "nobody")
    assert not Schedule.objects.get(pk="nightly").paused
    assert WorkflowRun.objects.count() == runs
    make_schedule("damaged", cron="nonsense", paused=True)
    told = ask("schedules", "resume", "damaged", "nightly", code=1)
    assert (told["resumed"], list(told["refused"])) == (["nightly"], ["damaged"])
    assert "damaged: " in say("schedules", "resume", "damaged", code=1)
    assert set(ask("schedules", "trigger", "nightly")["runs"]) == {"nightly"}
    say("schedules", "delete", "nightly")
    assert not Schedule.objects.filter(pk="nightly").exists()


def test_workers_are_told_and_drained() -> None:
    make_worker("host-1a", queues=["default"])
    make_worker("host-1b", heartbeat_at=ago(minutes=5))
    make_worker("web-2", direct=True)
    make_worker("old", stopped_at=ago(hours=1))
    make_run(status="RUNNING", worker_id="host-1a")
    found = {worker["worker_id"]: worker for worker in ask("workers")}
    assert {name: worker["state"] for name, worker in found.items()} == {
        "host-1a": "alive",
        "host-1b": "silent",
        "web-2": "alive",
    }
    assert found["host-1a"]["runs"] == 1
    assert "stopped" in say("workers", "--ended")
    assert ask("workers", "drain", "host-1a")["asked"] == ["host-1a"]
    assert "left as it is" in say("workers", "drain", "host-1a")
    assert Worker.objects.get(pk="host-1a").drain_requested_at is not None
    assert "draining" in say("workers")
    assert refusal("workers", "drain", "host-1")
    assert refusal("workers", "drain", "nobody")


def test_without_workers_it_is_said_how_to_start_one() -> None:
    assert "manage.py durable_worker" in say("workers")


def test_figures() -> None:
    make_runs(3, queued_at=ago(hours=2))
    make_run(status="RUNNING", worker_id="w")
    make_runs(2, status="SUCCESS", created_at=ago(minutes=9), started_at=ago(minutes=8), completed_at=ago(minutes=5))
    make_runs(1, status="ERROR", name="shop.workflows.bad", completed_at=ago(minutes=5))
    make_runs(1, status="MAX_RECOVERY_ATTEMPTS_EXCEEDED", completed_at=ago(days=5))
    make_run(stranded="name")
    told = ask("stats")
    counts = {name: told[name]["count"] for name in ("enqueued", "running", "stuck", "dead")}
    assert counts == {"enqueued": 3, "running": 1, "stuck": 1, "dead": 1}
    assert told["ended"] == {"SUCCESS": 2, "ERROR": 1}
    assert told["failures"] == [{"name": "shop.workflows.bad", "count": 1}]
    assert round(told["seconds"]["from_there_to_end"]["p50"]) == 180
    assert ask("stats", "--last", "1m")["ended"] == {}
    assert ask("stats", "--last", "30d")["ended"]["MAX_RECOVERY_ATTEMPTS_EXCEEDED"] == 1
    text = say("stats")
    assert "shop.workflows.bad" in text
    assert "none" in text  # no worker
