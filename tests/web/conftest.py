"""The site of these tests in the place of the project's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings

from durable_workflows.models import WorkflowRun
from tests.web import site


@pytest.fixture(autouse=True)
def site_settings(settings: Settings) -> Settings:
    """Its addresses, and the secret of its webhooks."""
    settings.ROOT_URLCONF = "tests.web.site"
    settings.CARRIER_SECRET = site.SECRET
    return settings


@pytest.fixture
def sender() -> Client:
    """A client without cookies, for whom CSRF is checked as it would be for a stranger."""
    return site.stranger()


@pytest.fixture
def run_ids() -> Callable[[], list[str]]:
    """Looks up the ids of all runs."""
    return lambda: sorted(WorkflowRun.objects.values_list("id", flat=True))


@pytest.fixture
def atomic_requests() -> Iterator[None]:
    """Each view is called in a transaction."""
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    yield
    connection.settings_dict["ATOMIC_REQUESTS"] = False
