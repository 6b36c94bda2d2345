"""Fixtures of all tests, and the door to the conductor that runs them on several databases."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from zlib import crc32

import pytest
from django.db import connection, transaction
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker

from durable_workflows import Queue, clock, registry
from durable_workflows.worker.local import LOCAL
from tests import browser, conductor, databases, reporting, sampling
from tests.processes import ROOT, Processes

# Where tests need no database, or bring their own: one run of them serves all databases.
ONCE = tuple(f"tests/{directory}/" for directory in ("architecture", "docs", "unit"))

pytest_cmdline_main = conductor.pytest_cmdline_main


def pytest_configure(config: pytest.Config) -> None:
    reporting.register(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what another child of the conductor runs for all, dealt out by name, and what a sample has not drawn."""
    share, of = map(int, os.environ.get("DURABLE_TEST_ONCE", "0/1").split("/"))
    once = [item for item in items if item.nodeid.startswith(ONCE) or item.get_closest_marker("once")]
    elsewhere = {item for item in once if crc32(item.nodeid.encode()) % of != share} | sampling.left_out(config, items)
    config.hook.pytest_deselected(items=list(elsewhere))
    items[:] = [item for item in items if item not in elsewhere]


# What migrations fill and no test changes: Django's own flush makes it anew after each test, table by table.
KEPT = {"django_content_type", "auth_permission"}


def _remove_all_rows(self: TransactionTestCase) -> None:
    """
    The end of a test with real commits: its rows are removed.

    Django would truncate every table, and have each app's permissions and content types looked at again. That took longer
    than most of these tests.
    """
    with connection.constraint_checks_disabled(), transaction.atomic(), connection.cursor() as cursor:
        for table in _tables():
            cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")


@cache
def _tables() -> list[str]:
    return sorted({*connection.introspection.django_table_names(only_existing=True, include_views=False)} - KEPT)


TransactionTestCase._fixture_teardown = _remove_all_rows  # type: ignore[method-assign]


@pytest.fixture(scope="session", autouse=True)
def browser_at_rest() -> Iterator[None]:
    """The browser, if there was one, ends with the tests."""
    yield
    browser.close()


@pytest.fixture(autouse=True)
def present() -> Iterator[None]:
    """Journeys in time end with the test: to the processes that the next one starts, its rows would lie in the future."""
    yield
    clock.shift(-clock.offset())


@pytest.fixture(autouse=True)
def declared_queues() -> Iterator[None]:
    """Queues that a test declares end with it: each worker of the following tests would serve and look at them."""
    known = dict(Queue.declared)
    yield
    Queue.declared.clear()
    Queue.declared.update(known)


@pytest.fixture(autouse=True)
def others_schedules(request: pytest.FixtureRequest) -> Iterator[None]:
    """
    The seed's and the example's schedules are fired by their own tests alone.

    Any other that calls ``drain`` would start a report when the clock passes a full hour, and leave what it wrote.
    """
    schedules = registry._schedules
    known = dict(schedules)
    if not request.node.nodeid.startswith(("tests/seed", "tests/example")):
        for name, schedule in known.items():
            if schedule.workflow.func.__module__.startswith(SCHEDULING):
                del schedules[name]
    yield
    schedules.update({name: schedule for name, schedule in known.items() if name not in schedules})


SCHEDULING = ("tests.seed.", "example_project.")


@pytest.fixture(scope="session")
def django_db_setup(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, request: pytest.FixtureRequest
) -> Iterator[None]:
    """The test database; the summary names its version, and it can be dropped though a test forgot a connection."""
    with django_db_blocker.unblock():
        reporting.database_opened(request.config, databases.version(connection))
    yield
    with django_db_blocker.unblock():
        databases.disconnect_others(connection)


@pytest.fixture(autouse=True)
def own_process_at_rest(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a direct call started in this process (its heartbeat) ends with the test, before the rows are removed."""
    if "transactional_db" in request.fixturenames:
        request.getfixturevalue("transactional_db")
    yield
    LOCAL.close()


@pytest.fixture(scope="session")
def database() -> str:
    """The database that this process tests: "sqlite", "postgresql" or "mariadb"."""
    return os.environ.get("DURABLE_TEST_DATABASE", "sqlite")


@pytest.fixture
def database_url(transactional_db: None) -> str:
    """The address of the test database itself, as ``DATABASE_URL`` is written."""
    return databases.url_of(connection.settings_dict)


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
