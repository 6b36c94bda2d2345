"""Fixtures of all tests, and the door to the conductor that runs them on several databases."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from django.db import connection

from tests.databases import url_of
from tests.processes import ROOT, Processes


@pytest.fixture(scope="session")
def database() -> str:
    """The database that this process tests: "sqlite", "postgresql" or "mariadb"."""
    return os.environ.get("DURABLE_TEST_DATABASE", "sqlite")


@pytest.fixture
def database_url(transactional_db: None) -> str:
    """The address of the test database itself, as ``DATABASE_URL`` is written."""
    return url_of(connection.settings_dict)


@pytest.fixture
def subprocess_env(transactional_db: None, database: str) -> dict[str, str]:
    """The environment in which a process of its own finds the test database as its ``default``."""
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DURABLE_TEST_DATABASE": database,
        "DURABLE_TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture
def processes(subprocess_env: dict[str, str]) -> Iterator[Processes]:
    """Starts real processes on the test database and kills them, whatever happens, before its rows are removed."""
    started = Processes(subprocess_env)
    yield started
    started.close()
