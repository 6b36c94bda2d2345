"""One attempt of one run; this room knows no threads and no polling. ``ENGINE`` is what the door opens to."""

from __future__ import annotations

from durable_workflows.engine.client import Outside
from durable_workflows.exceptions import InvalidUse
from durable_workflows.models import WorkflowRun, dialects, reading
from durable_workflows.models.pruning import prune
from durable_workflows.models.transactions import refuse_atomic
from durable_workflows.retention import Policy


class DatabaseEngine:
    """The engine behind the door: the outside caller, and what handles read."""

    outside = Outside()

    def row(self, workflow_id: str) -> WorkflowRun:
        """The row of a run. Raises ``WorkflowNotFound``."""
        return reading.row(workflow_id)

    def prune(self, policy: Policy, limit: int | None, dry_run: bool) -> int:
        """Delete what a policy says is old, or count it. Raises ``InvalidUse`` inside a transaction."""
        connection = dialects.connection()
        refuse_atomic(connection, _INSIDE_ATOMIC, InvalidUse)
        return prune(connection, policy, limit=limit, dry_run=dry_run)


_INSIDE_ATOMIC = (
    "prune_workflows() commits after each batch, and cannot do so inside a transaction. Call it outside of atomic(); in a"
    " workflow, in a @step(atomic=False)."
)


ENGINE = DatabaseEngine()

__all__ = ["ENGINE", "DatabaseEngine"]
