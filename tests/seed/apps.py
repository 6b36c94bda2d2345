"""The programs as a Django app: workers find its ``workflows``."""

from __future__ import annotations

from django.apps import AppConfig


class SeedConfig(AppConfig):
    name = "tests.seed"
    label = "tests_seed"
