"""The name under which the dashboard has a place in the admin, and a permission of its own."""

from __future__ import annotations

from durable_workflows.models.runs import WorkflowRun


class Dashboard(WorkflowRun):
    """No rows of its own: what the page shows is in ``models.figures``."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        verbose_name = "dashboard"
        verbose_name_plural = "dashboard"
