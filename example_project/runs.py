"""Workflow runs as the example's pages show them: read from the rows, which are open to every project."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count
from django.utils import timezone

from durable_workflows.models import Kind, StepAttempt, StepRun, Wait, Worker, WorkflowRun
from durable_workflows.states import TERMINAL, RunState


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a run's story: a step done, an attempt that failed, or what it waits for now."""

    position: int
    title: str
    state: str
    at: datetime | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """A run at a glance."""

    id: str
    status: str
    recoveries: int
    stuck: str
    lines: tuple[Line, ...] = ()

    @property
    def label(self) -> str:
        return str(RunState(self.status).label)

    @property
    def finished(self) -> bool:
        return self.status in TERMINAL


def find(run_id: str) -> Run | None:
    """A run with its story; None if there is none of this id."""
    row = WorkflowRun.objects.filter(pk=run_id).first()
    return _run(row, lines=tuple(story(row))) if row else None


def find_many(run_ids: Iterable[str]) -> dict[str, Run]:
    """The runs of these ids, without their stories."""
    return {row.id: _run(row) for row in WorkflowRun.objects.filter(pk__in=list(run_ids))}


def _run(row: WorkflowRun, lines: tuple[Line, ...] = ()) -> Run:
    stuck = str(row.get_stranded_display()) if row.stranded else ""
    return Run(row.id, row.status, max(0, row.recovery_attempts - 1), stuck, lines)


def story(row: WorkflowRun) -> list[Line]:
    """What the run did and does, in order."""
    here: dict[str, Any] = {"run_id": row.pk, "generation": row.generation}
    steps = StepRun.objects.filter(**here)
    done = {step.position for step in steps}
    lines = [Line(step.position, title(step.name), "failed" if step.error else "done", step.completed_at) for step in steps]
    lines += [attempt_line(attempt) for attempt in StepAttempt.objects.filter(**here)]
    waits = [] if row.is_terminal else Wait.objects.filter(**here)
    lines += [wait_line(wait) for wait in waits if wait.position not in done]
    lines += now_lines(row)
    return sorted(lines, key=lambda line: (line.position, line.at is None, line.at or row.created_at))


def attempt_line(attempt: StepAttempt) -> Line:
    """An attempt that failed."""
    note = f"attempt {attempt.attempt} failed" + (", tried again" if attempt.retry_at else "")
    return Line(attempt.position, title(attempt.name), "retried", attempt.ended_at, note)


def wait_line(wait: Wait) -> Line:
    """What the run waits for."""
    what = Kind(wait.kind).label
    return Line(wait.position, f"waits: {what}" + (f" “{wait.key}”" if wait.key else ""), "waiting", None, until(wait))


def now_lines(row: WorkflowRun) -> list[Line]:
    """Who has a run that is neither finished nor suspended; the last line of its story, if there is one."""
    last = sys.maxsize
    if row.status == RunState.ENQUEUED:
        return [Line(last, "waits for a worker", "waiting", None)]
    if row.status != RunState.RUNNING:
        return []
    worker = Worker.objects.filter(pk=row.worker_id).first()
    if worker is None or silent_for(worker) > worker.lease_seconds / 2:
        return [Line(last, "its worker is silent", "waiting", None, "another takes over when the lease has run out")]
    return [Line(last, "a worker is on it", "waiting", None)]


def until(wait: Wait) -> str:
    """How long at most it waits."""
    return f"until {timezone.localtime(wait.due_at):%Y-%m-%d %H:%M:%S}" if wait.due_at else ""


def title(name: str) -> str:
    """A step's name as people read it: the function's, without its module."""
    return name.rpartition(".")[2].replace("_", " ")


def states() -> dict[str, int]:
    """How many runs there are in the states that people ask for, and how many workers."""
    by_status = dict(WorkflowRun.objects.values_list("status").annotate(n=Count("pk")).order_by())
    finished = sum(by_status.get(status, 0) for status in TERMINAL)
    return {
        "workers": workers(),
        "running": by_status.get(RunState.RUNNING, 0),
        "waiting": by_status.get(RunState.WAITING, 0),
        "enqueued": by_status.get(RunState.ENQUEUED, 0),
        "finished": finished,
    }


def workers() -> int:
    """How many worker processes are alive: those whose heartbeat is younger than their lease."""
    candidates = Worker.objects.filter(direct=False, stopped_at=None, lost_at=None)
    return sum(silent_for(worker) < worker.lease_seconds for worker in candidates)


def silent_for(worker: Worker) -> float:
    """Seconds since a worker's last heartbeat."""
    return (timezone.now() - worker.heartbeat_at).total_seconds()
