"""Settings of the workers: few apps, so that they start quickly, and leases that are soon over."""

from __future__ import annotations

from tests.settings import *  # noqa: F403 - settings are made of settings

INSTALLED_APPS = ["django.contrib.contenttypes", "durable_workflows", "tests.app", "tests.seed"]
ROOT_URLCONF = None  # workers have no pages
DURABLE_WORKFLOWS = {"LEASE_SECONDS": 1.0, "HEARTBEAT_SECONDS": 0.25, "POLL_SECONDS": 0.2, "PARK_SECONDS": 0.1}
