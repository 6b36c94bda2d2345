"""Real commits without the price of flushing every table, and the isolation levels of the database under test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.apps import apps
from django.db import connection, transaction
from pytest_django import DjangoDbBlocker, Settings

from durable_workflows.worker.local import LOCAL
from tests.engine.isolation import at_level

TABLES = [
    model._meta.db_table for label in ("durable_workflows", "tests_app") for model in apps.get_app_config(label).get_models()
]


@pytest.fixture
def _django_db_helper(
    request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """What pytest-django does for the mark ``django_db``; with ``committing`` it is left to this directory."""
    if "committing" not in request.fixturenames:
        request.getfixturevalue("_django_db_helper")
        yield
        return
    with django_db_blocker.unblock():
        yield
        LOCAL.close()
        with transaction.atomic(), connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"DELETE FROM {table}")


@pytest.fixture
def committing(_django_db_helper: None) -> None:
    """Statements commit, as in production; the rows of the product and of these tests are removed afterwards."""


@pytest.fixture
def unparked(settings: Settings) -> None:
    """Waits never keep their thread: what is not there suspends."""
    settings.DURABLE_WORKFLOWS = {"PARK_SECONDS": 0, "LISTEN": False}


@pytest.fixture
def level(request: pytest.FixtureRequest, committing: None) -> Iterator[str]:
    """The isolation level, given as an indirect parameter, of each connection that is opened during the test."""
    with at_level(request.param):
        yield request.param
