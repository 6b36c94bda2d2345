"""Settings of the workers: few apps, so that they start quickly, and short leases; the test may say otherwise."""

from __future__ import annotations

from tests.settings import *  # noqa: F403 - settings build on settings
from tests.settings import DURABLE_WORKFLOWS as GIVEN

INSTALLED_APPS = ["django.contrib.contenttypes", "durable_workflows", "tests.app", "tests.queues"]
ROOT_URLCONF = None  # workers have no pages
DURABLE_WORKFLOWS = {
    "LEASE_SECONDS": 2.0,
    "HEARTBEAT_SECONDS": 0.4,
    "POLL_SECONDS": 0.3,
    "PARK_SECONDS": 0,
    "SHUTDOWN_GRACE_SECONDS": 5.0,
} | GIVEN
