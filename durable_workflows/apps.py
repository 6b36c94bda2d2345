"""Wiring only: find the projects' workflows, register checks and log receivers."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class DurableWorkflowsConfig(AppConfig):
    name = "durable_workflows"
    label = "durable_workflows"
    verbose_name = "Durable workflows"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from durable_workflows import checks, log
        from durable_workflows.conf import workflows_module

        checks.register()
        log.connect()
        autodiscover_modules(workflows_module())
