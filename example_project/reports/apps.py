"""The app's configuration."""

from __future__ import annotations

from django.apps import AppConfig


class ReportsConfig(AppConfig):
    name = "example_project.reports"
    default_auto_field = "django.db.models.BigAutoField"
