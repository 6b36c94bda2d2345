"""One good request for each endpoint of the table, and the rows that it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from durable_workflows import create_schedule, start_workflow
from durable_workflows.api.endpoints import Endpoint
from durable_workflows.models import QueueState
from durable_workflows.testing import drain
from tests.admin.rows import make_queue, make_worker
from tests.api import site

SHOP = "tests.api.site.shop"


@dataclass(frozen=True)
class Rows:
    """
    Runs in states to be found, and the others' names.

    :param done: one that succeeded, has steps and an event.
    """

    done: str
    failed: str
    waiting: str
    queue: str = "parcels"
    schedule: str = "nightly"


def make_rows() -> Rows:
    """Runs that have gone as far as they can, a queue, a schedule, a worker."""
    handles = [start_workflow(site.shop, "o-1"), start_workflow(site.fails, "o-2"), start_workflow(site.waits)]
    drain()
    if not QueueState.objects.filter(pk="parcels").exists():
        make_queue("parcels", declared={"concurrency": 3})
        make_worker("worker-1", queues=["default"])
        create_schedule("nightly", site.typed, "0 3 * * *", context={"deep": [1, (2, 3)]})
    return Rows(*(handle.workflow_id for handle in handles))


@dataclass(frozen=True)
class Sample:
    """A request that succeeds."""

    path: str
    body: Any = None


SAMPLES: dict[str, Callable[[Rows], Sample]] = {
    "list_runs": lambda rows: Sample("runs?load_input=true&load_output=true&status=SUCCESS&status=ERROR&limit=50"),
    "get_run": lambda rows: Sample(f"runs/{rows.waiting}"),
    "list_steps": lambda rows: Sample(f"runs/{rows.failed}/steps"),
    "list_events": lambda rows: Sample(f"runs/{rows.done}/events"),
    "start_run": lambda rows: Sample("runs", {"workflow": SHOP, "args": [1], "attributes": {"a": 1}}),
    "send_message": lambda rows: Sample(f"runs/{rows.waiting}/send", {"message": {"amount": 3}, "topic": "other"}),
    "cancel_run": lambda rows: Sample(f"runs/{rows.waiting}/cancel", {"cancel_children": True}),
    "cancel_runs": lambda rows: Sample("bulk/cancel", {"workflow_ids": [rows.waiting, rows.done]}),
    "resume_run": lambda rows: Sample(f"runs/{rows.waiting}/resume"),
    "resume_runs": lambda rows: Sample("bulk/resume", {"workflow_ids": [rows.waiting], "deadline": "2090-01-01T00:00:00Z"}),
    "retry_run": lambda rows: Sample(f"runs/{rows.failed}/retry"),
    "retry_runs": lambda rows: Sample("bulk/retry", {"workflow_ids": [rows.failed]}),
    "fork_run": lambda rows: Sample(f"runs/{rows.done}/fork", {"start_step": 2}),
    "fork_runs": lambda rows: Sample("bulk/fork", {"workflow_ids": [rows.done, rows.failed], "start_step": 1}),
    "rewind_run": lambda rows: Sample(f"runs/{rows.done}/rewind", {"start_step": 2}),
    "rewind_runs": lambda rows: Sample("bulk/rewind", {"workflow_ids": [rows.done]}),
    "pause_run": lambda rows: Sample(f"runs/{rows.waiting}/pause"),
    "pause_runs": lambda rows: Sample("bulk/pause", {"workflow_ids": [rows.waiting]}),
    "unpause_run": lambda rows: Sample(f"runs/{rows.waiting}/unpause", {}),
    "unpause_runs": lambda rows: Sample("bulk/unpause", {"workflow_ids": [rows.waiting]}),
    "delete_run": lambda rows: Sample(f"runs/{rows.done}?delete_children=true"),
    "delete_runs": lambda rows: Sample("bulk/delete", {"workflow_ids": [rows.done, rows.failed]}),
    "list_queues": lambda rows: Sample("queues"),
    "get_queue": lambda rows: Sample(f"queues/{rows.queue}"),
    "pause_queue": lambda rows: Sample(f"queues/{rows.queue}/pause"),
    "resume_queue": lambda rows: Sample(f"queues/{rows.queue}/resume"),
    "list_schedules": lambda rows: Sample("schedules"),
    "get_schedule": lambda rows: Sample(f"schedules/{quote(rows.schedule)}"),
    "pause_schedule": lambda rows: Sample(f"schedules/{rows.schedule}/pause"),
    "resume_schedule": lambda rows: Sample(f"schedules/{rows.schedule}/resume"),
    "trigger_schedule": lambda rows: Sample(f"schedules/{rows.schedule}/trigger"),
    "list_workers": lambda rows: Sample("workers"),
    "describe": lambda rows: Sample("openapi.json"),
}


def sample(endpoint: Endpoint, rows: Rows) -> Sample:
    """The request for an endpoint."""
    return SAMPLES[endpoint.name](rows)
