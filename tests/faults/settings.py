"""Settings of the processes that are to be killed: few apps, so that they start quickly, and short leases."""

from __future__ import annotations

from tests.settings import *  # noqa: F403 - settings build on settings

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "durable_workflows",
    "tests.app",
    "tests.faults",
]
ROOT_URLCONF = None  # workers have no pages
LEASE_SECONDS = 1.0
DURABLE_WORKFLOWS = {
    "LEASE_SECONDS": LEASE_SECONDS,
    "HEARTBEAT_SECONDS": 0.25,
    "POLL_SECONDS": 0.2,
    "PARK_SECONDS": 0.02,
    "SHUTDOWN_GRACE_SECONDS": 5.0,
}
