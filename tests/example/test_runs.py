"""A run's story as the pages tell it, down to the worker that has fallen silent."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from durable_workflows.models import Worker, WorkflowRun
from durable_workflows.states import RunState
from example_project import runs

pytestmark = pytest.mark.django_db


def stored(status: RunState, worker_id: str | None = None) -> str:
    """A run in this state, whose story has not begun."""
    now = timezone.now()
    row = WorkflowRun(id="one", name="any", status=status, worker_id=worker_id, created_at=now, updated_at=now, queued_at=now)
    WorkflowRun.objects.bulk_create([row])
    return "one"


def heard(seconds_ago: float) -> str:
    """A worker with a lease of ten seconds, last heard of so long ago."""
    now = timezone.now()
    beat = now - timedelta(seconds=seconds_ago)
    return str(Worker.objects.create(id="w", pid=1, lease_seconds=10, started_at=beat, heartbeat_at=beat).pk)


def last_line(run_id: str) -> str:
    """The end of the story."""
    run = runs.find(run_id)
    assert run is not None
    return run.lines[-1].title if run.lines else ""


@pytest.mark.parametrize(("silence", "line", "alive"), [(-1, "a worker is on it", 1), (7, "its worker is silent", 1),
                                                        (3600, "its worker is silent", 0)])  # fmt: skip
def test_a_silent_worker_is_told_apart(silence: float, line: str, alive: int) -> None:
    assert last_line(stored(RunState.RUNNING, heard(silence))) == line
    assert runs.states() == {"workers": alive, "running": 1, "waiting": 0, "enqueued": 0, "finished": 0}


@pytest.mark.parametrize(("status", "line"), [(RunState.ENQUEUED, "waits for a worker"), (RunState.SUCCESS, ""),
                                              (RunState.CANCELLED, ""), (RunState.RUNNING, "its worker is silent")])  # fmt: skip
def test_a_story_ends_with_who_is_to_act(status: RunState, line: str) -> None:
    assert last_line(stored(status)) == line


def test_there_is_no_story_of_an_unknown_run() -> None:
    assert runs.find("nobody") is None
    assert runs.find_many(["nobody"]) == {}
