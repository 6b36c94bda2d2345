"""The checks of ``DATABASES`` and the routers; only SQLite files are ever connected to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import Tags, run_checks
from django.db import connections
from psycopg import IsolationLevel
from pytest_django import DjangoDbBlocker, Settings

from durable_workflows.checks.databases import check_databases
from durable_workflows.checks.servers import check_servers

SQLITE = "django.db.backends.sqlite3"
POSTGRESQL = "django.db.backends.postgresql"
MYSQL = "django.db.backends.mysql"
WAL = {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"}

UseDatabase = Callable[..., None]


class To:
    """Routes this app to one alias, but for the models named ``strayed``; says ``migrate`` when asked to."""

    def __init__(self, alias: str, *, strayed: tuple[str, ...] = (), migrate: bool | None = None) -> None:
        self.alias, self.strayed, self.migrate = alias, strayed, migrate

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        if model._meta.app_label != "durable_workflows":
            return None
        return "default" if model.__name__ in self.strayed else self.alias

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return self.migrate if app_label == "durable_workflows" else None


@pytest.fixture
def use_database(settings: Settings) -> Iterator[UseDatabase]:
    """Puts runs on a database of these settings, under the alias "runs"."""

    def use(**database: Any) -> None:
        if database["ENGINE"] == MYSQL:
            pytest.importorskip("MySQLdb", reason="the driver of MySQL and MariaDB is an extra of its own")
        configured = connections.configure_settings({"default": {}, "runs": database})
        connections.settings["runs"] = configured["runs"]
        settings.DATABASE_ROUTERS = [To("runs")]

    yield use
    if "runs" in connections.settings:
        connections["runs"].close()
        del connections["runs"], connections.settings["runs"]


def ids(messages: list[Any]) -> list[str]:
    assert all(message.hint for message in messages)
    return [str(message.id).partition(".")[2] for message in messages]


@pytest.mark.parametrize(
    "database",
    [
        {"ENGINE": SQLITE, "NAME": Path("runs.sqlite3"), "OPTIONS": WAL},
        {"ENGINE": SQLITE, "NAME": "runs.sqlite3", "OPTIONS": {"transaction_mode": "exclusive"}},
        {"ENGINE": POSTGRESQL, "NAME": "runs"},
        {"ENGINE": POSTGRESQL, "NAME": "runs", "CONN_MAX_AGE": 60},
        {"ENGINE": POSTGRESQL, "NAME": "runs", "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True},
        {"ENGINE": POSTGRESQL, "NAME": "runs", "OPTIONS": {"pool": {"max_size": 21}}},
        {"ENGINE": POSTGRESQL, "NAME": "runs", "OPTIONS": {"pool": {"min_size": 22}}},
        {"ENGINE": POSTGRESQL, "NAME": "runs", "OPTIONS": {"isolation_level": IsolationLevel.READ_COMMITTED}},
        {"ENGINE": MYSQL, "NAME": "runs", "OPTIONS": {"isolation_level": "READ COMMITTED"}},
    ],
)
def test_a_sound_database_is_left_alone(use_database: UseDatabase, database: dict[str, Any]) -> None:
    use_database(**database)
    assert ids(check_databases()) == []


@pytest.mark.parametrize(
    ("database", "expected"),
    [
        ({"ENGINE": SQLITE, "NAME": "runs.sqlite3"}, ["W010"]),
        ({"ENGINE": SQLITE, "NAME": "runs.sqlite3", "OPTIONS": {"transaction_mode": "DEFERRED"}}, ["W010"]),
        ({"ENGINE": SQLITE, "NAME": ":memory:", "OPTIONS": WAL}, ["W011"]),
        ({"ENGINE": SQLITE, "NAME": "file:runs?mode=memory&cache=shared", "OPTIONS": WAL}, ["W011"]),
        ({"ENGINE": POSTGRESQL, "NAME": "runs", "CONN_MAX_AGE": None}, ["W013"]),
        ({"ENGINE": MYSQL, "NAME": "runs", "CONN_MAX_AGE": 61}, ["W013"]),
        ({"ENGINE": POSTGRESQL, "NAME": "runs", "OPTIONS": {"pool": True}}, ["W012"]),
        ({"ENGINE": POSTGRESQL, "NAME": "runs", "OPTIONS": {"pool": {"max_size": 20}}}, ["W012"]),
        ({"ENGINE": POSTGRESQL, "NAME": "runs", "CONN_MAX_AGE": 5, "OPTIONS": {"pool": {"max_size": 21}}}, ["E015"]),
        ({"ENGINE": MYSQL, "NAME": "runs", "OPTIONS": {"isolation_level": "repeatable read"}}, ["I010"]),
        ({"ENGINE": MYSQL, "NAME": "runs", "OPTIONS": {"isolation_level": None}}, ["I010"]),
        ({"ENGINE": POSTGRESQL, "NAME": "runs", "OPTIONS": {"isolation_level": IsolationLevel.SERIALIZABLE}}, ["I010"]),
        ({"ENGINE": POSTGRESQL, "NAME": "runs", "DISABLE_SERVER_SIDE_CURSORS": True}, ["I011"]),
        ({"ENGINE": POSTGRESQL, "NAME": "runs", "PORT": 6432}, ["I011"]),
        ({"ENGINE": POSTGRESQL, "NAME": "runs", "AUTOCOMMIT": False}, ["E014"]),
        ({"ENGINE": "", "NAME": "runs"}, ["E013"]),
    ],
)
def test_a_mistake_has_its_message(use_database: UseDatabase, database: dict[str, Any], expected: list[str]) -> None:
    use_database(**database)
    assert ids(check_databases()) == expected


def test_the_memory_of_a_test_run_is_no_mistake(use_database: UseDatabase) -> None:
    use_database(ENGINE=SQLITE, NAME="file:memorydb_runs?mode=memory&cache=shared", OPTIONS=WAL)
    assert ids(check_databases()) == []


def test_a_pool_is_measured_by_the_threads(use_database: UseDatabase, settings: Settings) -> None:
    settings.DURABLE_WORKFLOWS = {"THREADS": 1}
    use_database(ENGINE=POSTGRESQL, NAME="runs", OPTIONS={"pool": {"max_size": 6}})
    assert ids(check_databases()) == []


def test_a_pooler_is_fine_without_listening(use_database: UseDatabase, settings: Settings) -> None:
    settings.DURABLE_WORKFLOWS = {"LISTEN": False, "PREPARED_STATEMENTS": False}
    use_database(ENGINE=POSTGRESQL, NAME="runs", PORT="6432")
    assert ids(check_databases()) == []


def test_an_alias_that_does_not_exist(settings: Settings) -> None:
    settings.DATABASE_ROUTERS = [To("nowhere")]
    [message] = check_databases()
    assert (message.id, "'nowhere'" in message.msg) == ("durable_workflows.E010", True)
    assert check_servers(databases=["nowhere"]) == []


def test_a_database_on_which_the_tables_may_not_be_made(use_database: UseDatabase, settings: Settings) -> None:
    use_database(ENGINE=SQLITE, NAME="runs.sqlite3", OPTIONS=WAL)
    settings.DATABASE_ROUTERS = [To("runs", migrate=False)]
    [message] = check_databases()
    assert (message.id, "WorkflowRun" in message.msg) == ("durable_workflows.E011", True)


def test_rows_that_are_routed_apart(use_database: UseDatabase, settings: Settings) -> None:
    use_database(ENGINE=SQLITE, NAME="runs.sqlite3", OPTIONS=WAL)
    settings.DATABASE_ROUTERS = [To("runs", strayed=("Message", "Event"))]
    [message] = check_databases()
    assert (message.id, "Event, Message" in message.msg) == ("durable_workflows.E012", True)


@pytest.fixture
def sqlite_file(use_database: UseDatabase, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[UseDatabase]:
    """Puts runs on a real SQLite file that is opened with this command."""

    def use(init_command: str) -> None:
        options = {"transaction_mode": "IMMEDIATE", "init_command": init_command}
        use_database(ENGINE=SQLITE, NAME=tmp_path / "runs.sqlite3", OPTIONS=options)

    with django_db_blocker.unblock():
        yield use
        connections["runs"].close()


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("PRAGMA journal_mode=WAL", []),
        ("PRAGMA journal_mode=WAL; PRAGMA synchronous=EXTRA", []),
        ("", ["W014"]),
        ("PRAGMA journal_mode=TRUNCATE", ["W014"]),
        ("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF", ["W015"]),
        ("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL", ["I012"]),
    ],
)
def test_what_an_sqlite_file_says_of_itself(sqlite_file: UseDatabase, command: str, expected: list[str]) -> None:
    sqlite_file(command)
    assert ids(check_servers(databases=["runs"])) == expected


def test_a_database_is_asked_only_when_django_says_so(sqlite_file: UseDatabase) -> None:
    sqlite_file("")
    assert check_servers(databases=None) == []
    assert check_servers(databases=["default"]) == []
    found = run_checks(tags=[Tags.database], databases=["runs"])
    assert "durable_workflows.W014" in [message.id for message in found]


def test_memory_has_no_journal(use_database: UseDatabase, django_db_blocker: DjangoDbBlocker) -> None:
    use_database(ENGINE=SQLITE, NAME="file:memorydb_runs?mode=memory&cache=shared", OPTIONS=WAL)
    with django_db_blocker.unblock():
        assert ids(check_servers(databases=["runs"])) == []
