"""What ``DATABASES`` and the routers promise about the database on which runs live; nothing here connects to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core import checks
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.checks.settings import in_force
from durable_workflows.conf import SETTING
from durable_workflows.models.dialects import alias

VENDORS = ("sqlite", "postgresql", "mysql")
# Beside its threads' a worker process holds connections of its main thread, its heart, claimer, housekeeper and hinter. The
# one that LISTENs is not Django's, and so in no pool.
OWN_CONNECTIONS = 5
# A connection kept for longer than this many seconds is likely to outlive a server's restart or a firewall's patience.
LONG_LIVED = 60


def check_databases(**kwargs: Any) -> list[checks.CheckMessage]:
    """The runs' alias, its routing, and the options of its connections."""
    if alias() not in connections.settings:
        return [_missing_alias()]
    connection = connections[alias()]
    return [*_routing(connection), *_any_vendor(connection), *_vendor(connection)]


def _missing_alias() -> checks.CheckMessage:
    return checks.Error(
        f"A database router sends workflow runs to the database {alias()!r}, which DATABASES does not have.",
        hint=f"Add it to DATABASES, or let db_for_write() return one of {', '.join(sorted(connections.settings))}.",
        id="durable_workflows.E010",
    )


def _routing(connection: BaseDatabaseWrapper) -> Iterator[checks.CheckMessage]:
    models = list(apps.get_app_config("durable_workflows").get_models())
    barred = sorted(model.__name__ for model in models if not router.allow_migrate_model(connection.alias, model))
    if barred:
        yield checks.Error(
            f"Workflow runs live on the database {connection.alias!r}, but a router keeps the tables of {', '.join(barred)}"
            " from being made there.",
            hint=f"Let allow_migrate() return True or None for the app durable_workflows on {connection.alias!r}.",
            id="durable_workflows.E011",
        )
    strayed = sorted(model.__name__ for model in models if router.db_for_write(model) != connection.alias)
    if strayed:
        yield checks.Error(
            f"Workflow runs live on the database {connection.alias!r}, but a router sends {', '.join(strayed)} elsewhere."
            " What happens to a run is written to several of these tables in one transaction.",
            hint="Route all models of the app durable_workflows to one database.",
            id="durable_workflows.E012",
        )


def _any_vendor(connection: BaseDatabaseWrapper) -> Iterator[checks.CheckMessage]:
    if connection.vendor not in VENDORS:
        yield checks.Error(
            f"{connection.settings_dict['ENGINE'] or 'No engine'} serves the database {connection.alias!r}, on which"
            " workflow runs live. It cannot keep them.",
            hint="Use SQLite, PostgreSQL, MySQL or MariaDB, or route the app durable_workflows to such a database.",
            id="durable_workflows.E013",
        )
    if not connection.settings_dict["AUTOCOMMIT"]:
        yield checks.Error(
            f"DATABASES[{connection.alias!r}] has AUTOCOMMIT off: what a worker writes would stay uncommitted.",
            hint="Remove AUTOCOMMIT from it.",
            id="durable_workflows.E014",
        )


def _vendor(connection: BaseDatabaseWrapper) -> Iterator[checks.CheckMessage]:
    if connection.vendor == "sqlite":
        yield from _sqlite(connection)
    else:
        yield from _long_connections(connection)
        yield from _isolation(connection)
    if connection.vendor == "postgresql":
        yield from _pool(connection)
        yield from _pooler(connection)


def _sqlite(connection: BaseDatabaseWrapper) -> Iterator[checks.CheckMessage]:
    settings = connection.settings_dict
    if str(settings["OPTIONS"].get("transaction_mode")).upper() not in ("IMMEDIATE", "EXCLUSIVE"):
        yield checks.Warning(
            f"Transactions on the SQLite database {connection.alias!r} begin as readers. One that reads and then writes"
            ' fails with "database is locked" at once, without waiting, when another has written in between.',
            hint=f"Set DATABASES[{connection.alias!r}]['OPTIONS']['transaction_mode'] = 'IMMEDIATE'.",
            id="durable_workflows.W010",
        )
    if in_memory(connection):
        yield checks.Warning(
            f"The SQLite database {connection.alias!r} is in memory: it ends with this process, and a worker, which is"
            " another process, never sees it.",
            hint=f"Give DATABASES[{connection.alias!r}]['NAME'] the path of a file.",
            id="durable_workflows.W011",
        )


def in_memory(connection: Any) -> bool:
    """Whether it is an SQLite database without a file; Django's own for tests, which are meant to vanish, do not count."""
    name = str(connection.settings_dict["NAME"])
    return not name.startswith("file:memorydb_") and connection.creation.is_in_memory_db(name)


def _long_connections(connection: BaseDatabaseWrapper) -> Iterator[checks.CheckMessage]:
    age = connection.settings_dict["CONN_MAX_AGE"]
    if (age is None or age > LONG_LIVED) and not connection.settings_dict["CONN_HEALTH_CHECKS"]:
        yield checks.Warning(
            f"Connections to {connection.alias!r} are kept for {'ever' if age is None else f'{age} seconds'} and never"
            " checked. After a restart of the database each of them fails once, in the middle of somebody's work.",
            hint=f"Set DATABASES[{connection.alias!r}]['CONN_HEALTH_CHECKS'] = True.",
            id="durable_workflows.W013",
        )


def _isolation(connection: BaseDatabaseWrapper) -> Iterator[checks.CheckMessage]:
    level = _isolation_level(connection)
    if level != "read committed":
        yield checks.Info(
            f"Transactions on {connection.alias!r} run at the isolation level {level}. Workflows are safe at it, but their"
            " statements lock more rows, and more of them have to be repeated.",
            hint="Leave 'isolation_level' out of OPTIONS to get READ COMMITTED, unless your own code needs another level.",
            id="durable_workflows.I010",
        )


def _isolation_level(connection: BaseDatabaseWrapper) -> str:
    level = connection.settings_dict["OPTIONS"].get("isolation_level", "read committed")
    if level is None:
        return "read committed" if connection.vendor == "postgresql" else "of the server's default"
    return getattr(level, "name", str(level)).replace("_", " ").lower()


def _pool(connection: BaseDatabaseWrapper) -> Iterator[checks.CheckMessage]:
    pool = connection.settings_dict["OPTIONS"].get("pool")
    if not pool:
        return
    if connection.settings_dict["CONN_MAX_AGE"] != 0:
        yield checks.Error(
            f"DATABASES[{connection.alias!r}] has a pool and a CONN_MAX_AGE. Django refuses that at the first query.",
            hint="Remove CONN_MAX_AGE: the pool itself keeps connections open.",
            id="durable_workflows.E015",
        )
    size, threads = _pool_size(pool), in_force().threads
    if size < threads + OWN_CONNECTIONS:
        yield checks.Warning(
            f"The pool of {connection.alias!r} has room for {size} connections, but a worker process uses one for each of"
            f" its {threads} threads and {OWN_CONNECTIONS} of its own. Threads would wait for one another.",
            hint=f"Set OPTIONS['pool'] = {{'max_size': {threads + OWN_CONNECTIONS}}}, or lower {SETTING}['THREADS'].",
            id="durable_workflows.W012",
        )


def _pool_size(pool: Any) -> int:
    options = pool if isinstance(pool, dict) else {}
    smallest = options.get("min_size", 4)  # psycopg_pool's default; without max_size a pool does not grow
    return int(options.get("max_size") or smallest)


def _pooler(connection: BaseDatabaseWrapper) -> Iterator[checks.CheckMessage]:
    settings, config = connection.settings_dict, in_force()
    behind = settings.get("DISABLE_SERVER_SIDE_CURSORS") or str(settings["PORT"]) == "6432"
    if behind and (config.listen or config.prepared_statements):
        yield checks.Info(
            f"{connection.alias!r} looks like PgBouncer (its port, or DISABLE_SERVER_SIDE_CURSORS). If it pools"
            " transactions, LISTEN hears nothing, and before its version 1.21 prepared statements fail.",
            hint=f"If it does, set {SETTING}['LISTEN'] = False, and {SETTING}['PREPARED_STATEMENTS'] = False where it is"
            " that old. Workers then look once in POLL_SECONDS.",
            id="durable_workflows.I011",
        )
