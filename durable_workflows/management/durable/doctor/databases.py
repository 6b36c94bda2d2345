"""The database: whether it answers and has the tables, tells the same time, and passes hints on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, connections
from django.db.migrations.executor import MigrationExecutor

from durable_workflows import clock
from durable_workflows.conf import config
from durable_workflows.management.durable.doctor.finding import ERROR, WARNING, Finding, listed
from durable_workflows.models.dialects import alias, connection
from durable_workflows.models.reading import database_now
from durable_workflows.words import duration
from durable_workflows.worker import hints

APP = "durable_workflows"
APART = timedelta(seconds=2)  # clocks kept by NTP differ by milliseconds
PATIENCE = 2.0  # seconds for a hint to come back; it takes some milliseconds


def examine_tables() -> Iterator[Finding]:
    """What keeps all other questions from being asked."""
    try:
        connections[alias()].ensure_connection()
        missing = _unapplied()
    except (DatabaseError, InterfaceError, ImproperlyConfigured) as error:
        yield Finding(
            id="no-database", level=ERROR,
            what=f"The database {alias()!r} does not answer: {error}",
            why="Runs live there. Workers wait until it is back, and then go on.",
            cure=f"See that its server runs, and that DATABASES[{alias()!r}] is right: manage.py dbshell --database {alias()}",
        )  # fmt: skip
        return
    if missing:
        yield Finding(
            id="unapplied-migrations", level=ERROR,
            what=f"Migrations of {APP} are not applied: {listed(missing)}.",
            why="Its tables are not those that this code writes to.",
            cure=f"manage.py migrate {APP} --database {alias()}",
        )  # fmt: skip


def _unapplied() -> list[str]:
    executor = MigrationExecutor(connections[alias()])
    wanted = [node for node in executor.loader.graph.leaf_nodes() if node[0] == APP]
    return [migration.name for migration, _ in executor.migration_plan(wanted) if migration.app_label == APP]


def examine() -> Iterator[Finding]:
    """Its clock, and its hints."""
    yield from _clock()
    if connection().vendor == "postgresql" and config().listen and not hints.come_through(PATIENCE):
        yield Finding(
            id="no-hints", level=WARNING,
            what="NOTIFY does not come through to a session that LISTENs.",
            why="A pooler in transaction mode seems to be in between. An idle worker finds new runs only when it polls.",
            cure="Connect workers to the server, or to a pool in session mode; or set DURABLE_WORKFLOWS['LISTEN'] = False.",
        )  # fmt: skip


def _clock() -> Iterator[Finding]:
    before = clock.real_now()
    there = database_now(connection())
    apart = _apart(before, there, clock.real_now())
    if apart > APART:
        yield Finding(
            id="clocks-apart", level=WARNING,
            what=f"The clocks of this machine and of the database are {duration(apart)} apart.",
            why="Leases and due times follow the database's. A moment that code takes from its own clock is off by as much.",
            cure="Keep both by NTP: timedatectl set-ntp true",
        )  # fmt: skip


def _apart(before: datetime, there: datetime, after: datetime) -> timedelta:
    """How far a moment is from the time in which it was asked for."""
    return max(before - there, there - after, timedelta())
