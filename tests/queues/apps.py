"""The workflows of these tests as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class QueuesConfig(AppConfig):
    name = "tests.queues"
    label = "tests_queues"
