"""The app's configuration."""

from __future__ import annotations

from django.apps import AppConfig


class HooksConfig(AppConfig):
    name = "example_project.hooks"
    default_auto_field = "django.db.models.BigAutoField"
