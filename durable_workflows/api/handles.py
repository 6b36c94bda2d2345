"""How runs stand, in as few words as an answer to a deed needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from durable_workflows.api.run_shapes import HANDLE
from durable_workflows.exceptions import WorkflowNotFound
from durable_workflows.models import WorkflowRun, dialects


def handles(run_ids: Sequence[str]) -> list[dict[str, Any]]:
    """The runs in this order; those that are gone by now are left out."""
    rows = WorkflowRun.objects.using(dialects.alias()).filter(pk__in=run_ids).values("id", "name", "status")
    found = {row["id"]: HANDLE.of({**row, "workflow_id": row["id"]}) for row in rows}
    return [found[run_id] for run_id in dict.fromkeys(run_ids) if run_id in found]


def handle_of(run_id: str) -> dict[str, Any]:
    """
    One run.

    :raises WorkflowNotFound: if it is gone by now.
    """
    for handle in handles([run_id]):
        return handle
    raise WorkflowNotFound(run_id)
