"""Settings of the workers: few apps, so that they start quickly; the test says the rest."""

from __future__ import annotations

from tests.settings import *  # noqa: F403 - settings are made of settings

INSTALLED_APPS = ["django.contrib.contenttypes", "durable_workflows", "tests.app", "tests.scale"]
ROOT_URLCONF = None  # workers have no pages
