"""One attempt of one run; this room knows no threads and no polling. ``ENGINE`` is what the door opens to."""

from __future__ import annotations

from durable_workflows.engine.client import Outside
from durable_workflows.models import WorkflowRun, reading


class DatabaseEngine:
    """The engine behind the door: the outside caller, and what handles read."""

    outside = Outside()

    def row(self, workflow_id: str) -> WorkflowRun:
        """The row of a run. Raises ``WorkflowNotFound``."""
        return reading.row(workflow_id)


ENGINE = DatabaseEngine()

__all__ = ["ENGINE", "DatabaseEngine"]
