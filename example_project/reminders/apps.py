"""The app's configuration."""

from __future__ import annotations

from django.apps import AppConfig


class RemindersConfig(AppConfig):
    name = "example_project.reminders"
    default_auto_field = "django.db.models.BigAutoField"
