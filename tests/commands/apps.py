"""An app, so that a worker finds the workflows."""

from __future__ import annotations

from django.apps import AppConfig


class CommandsConfig(AppConfig):
    name = "tests.commands"
    label = "tests_commands"
