"""Rows as the engine writes them, put there directly: the admin reads any, also those that no engine would leave behind."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from durable_workflows import clock, serializers
from durable_workflows.ids import new_run_id
from durable_workflows.models import (
    Event,
    Kind,
    Message,
    QueueState,
    Schedule,
    StepAttempt,
    StepRun,
    StreamEntry,
    Wait,
    Worker,
    WorkflowRun,
)
from durable_workflows.serializers import dump_error

CHECKOUT = "shop.workflows.checkout"


def dumps(value: Any) -> str:
    return serializers.dumps(value, what="value of a test")


def ago(**span: float) -> datetime:
    return clock.now() - timedelta(**span)


def error_text(error: BaseException) -> str:
    """What a row holds of an exception that was really raised."""
    try:
        raise error
    except type(error) as raised:
        return dump_error(raised)


def make_runs(number: int, **fields: Any) -> list[str]:
    """So many alike; returns their ids."""
    rows = [WorkflowRun(**_run(fields)) for _ in range(number)]
    WorkflowRun.objects.bulk_create(rows)
    return [row.pk for row in rows]


def make_run(**fields: Any) -> WorkflowRun:
    row = WorkflowRun(**_run(fields))
    WorkflowRun.objects.bulk_create([row])
    return WorkflowRun.objects.get(pk=row.pk)


def _run(fields: dict[str, Any]) -> dict[str, Any]:
    start = fields.get("created_at") or ago(minutes=5)
    filled = {
        "id": new_run_id(),
        "name": CHECKOUT,
        "status": "ENQUEUED",
        "created_at": start,
        "updated_at": start,
        "queued_at": start,
    }
    return {**filled, "inputs": dumps([["order-7"], {}]), **fields}


def make_step(run: WorkflowRun, position: int, **fields: Any) -> StepRun:
    start = fields.pop("started_at", run.created_at + timedelta(seconds=position))
    filled = {"name": f"shop.workflows.step_{position}", "output": dumps({"ok": True}), "generation": run.generation}
    end = {"started_at": start, "completed_at": start + timedelta(milliseconds=120)}
    return StepRun.objects.create(run=run, position=position, **{**filled, **end, **fields})


def make_attempt(run: WorkflowRun, position: int, **fields: Any) -> StepAttempt:
    start = run.created_at + timedelta(seconds=position)
    filled = {"name": f"shop.workflows.step_{position}", "attempt": 1, "error": error_text(ConnectionError("refused"))}
    end = {"started_at": start, "ended_at": start + timedelta(seconds=2)}
    return StepAttempt.objects.create(run=run, position=position, **{**filled, **end, **fields})


def make_wait(run: WorkflowRun, kind: Kind, **fields: Any) -> Wait:
    filled = {"position": 3, "created_at": ago(minutes=4), "generation": run.generation}
    return Wait.objects.create(run=run, kind=kind, **{**filled, **fields})


def make_message(run: WorkflowRun, **fields: Any) -> Message:
    return Message.objects.create(run=run, **{"payload": dumps("paid"), "created_at": ago(minutes=3), **fields})


def make_event(run: WorkflowRun, **fields: Any) -> Event:
    filled = {"key": "status", "value": dumps("reserved"), "position": 2, "created_at": ago(minutes=3)}
    return Event.objects.create(run=run, **{**filled, **fields})


def make_stream_entry(run: WorkflowRun, **fields: Any) -> StreamEntry:
    filled = {"key": "log", "offset": 0, "value": dumps("started"), "position": 2, "created_at": ago(minutes=3)}
    return StreamEntry.objects.create(run=run, **{**filled, **fields})


def make_queue(name: str, **fields: Any) -> QueueState:
    filled = {"created_at": ago(days=9), "updated_at": ago(days=2), **fields}
    return QueueState.objects.update_or_create(name=name, defaults=filled)[0]


def make_schedule(name: str, **fields: Any) -> Schedule:
    filled = {"workflow_name": "reports.workflows.hourly", "cron": "0 * * * *", "created_at": ago(days=9)}
    return Schedule.objects.create(name=name, **{**filled, "updated_at": ago(days=1), **fields})


def make_worker(name: str, **fields: Any) -> Worker:
    filled = {"id": name, "hostname": "web-1", "pid": 4711, "lease_seconds": 30.0, "started_at": ago(hours=3)}
    return Worker.objects.create(**{**filled, "heartbeat_at": ago(seconds=1), "threads": 16, **fields})
