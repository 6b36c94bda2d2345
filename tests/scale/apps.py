"""The workflows of these tests as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class ScaleConfig(AppConfig):
    name = "tests.scale"
    label = "tests_scale"
