"""The app's configuration."""

from __future__ import annotations

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "example_project.approvals"
    default_auto_field = "django.db.models.BigAutoField"
