"""
What differs between the vendors, in one place: their clock, their locks, their errors.

Due times, leases and windows are judged by the database's clock on both sides of a comparison. On SQLite that is the
clock of this process, since its file has none. MySQL's is ``UTC_TIMESTAMP``, because Django sets no session time zone
there. PostgreSQL's is ``clock_timestamp()``: ``now()`` stands still in a transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField
from django.db.models.expressions import Func
from django.utils.dateparse import parse_datetime

from durable_workflows import clock
from durable_workflows.conf import config
from durable_workflows.models import prepared
from durable_workflows.models.prepared import Params
from durable_workflows.models.runs import WorkflowRun


class DatabaseNow(Func):
    """The database's present, ``seconds`` from now, as an ORM expression."""

    template = "%(expressions)s"
    output_field = DateTimeField()

    def __init__(self, seconds: float = 0.0, **extra: Any) -> None:
        super().__init__(**extra)
        self.seconds = seconds

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper, *args: Any, **extra: Any) -> tuple[str, Any]:
        return moment(connection, self.seconds)


class StatementTime(DatabaseNow):
    """
    The same, to compare a column with.

    PostgreSQL's ``clock_timestamp()`` may change from row to row, so no index can be searched by it: every sleeping run
    would be read to find those that are due. The time at which the statement came stands still meanwhile.
    """

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper, *args: Any, **extra: Any) -> tuple[str, Any]:
        sql, params = super().as_sql(compiler, connection)
        return sql.replace(PG_NOW, "statement_timestamp()"), params


def alias() -> str:
    """The database on which runs live; a router may say otherwise each time it is asked."""
    if not router.routers:
        return DEFAULT_DB_ALIAS
    return router.db_for_write(WorkflowRun) or DEFAULT_DB_ALIAS


def connection() -> BaseDatabaseWrapper:
    """This thread's connection to the database on which runs live."""
    return connections[alias()]


def moment(connection: BaseDatabaseWrapper, seconds: float = 0.0) -> tuple[str, Params]:
    """SQL and parameters of the database's present, ``seconds`` later."""
    if connection.vendor == "postgresql":
        return (PG_NOW, ()) if not seconds else (f"{PG_NOW} + %s::float8 * interval '1 second'", (seconds,))
    if connection.vendor == "mysql":
        if not seconds:
            return "UTC_TIMESTAMP(6)", ()
        return "UTC_TIMESTAMP(6) + INTERVAL %s MICROSECOND", (round(seconds * 1_000_000),)
    return "%s", (connection.ops.adapt_datetimefield_value(clock.real_now() + timedelta(seconds=seconds)),)


PG_NOW = "clock_timestamp()"


def read_datetime(connection: BaseDatabaseWrapper, value: Any) -> datetime | None:
    """A moment as a raw cursor of any vendor gives it, aware and in UTC."""
    found: datetime | None = parse_datetime(value) if isinstance(value, str) else value
    if found is None:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def write_datetime(connection: BaseDatabaseWrapper, value: datetime | None) -> Any:
    """An aware moment as a raw cursor's parameter."""
    return None if value is None else connection.ops.adapt_datetimefield_value(value.astimezone(UTC))


def placeholder(vendor: str, kind: str) -> str:
    """A parameter in a SELECT list, where PostgreSQL wants to be told its type."""
    return f"%s::{kind}" if vendor == "postgresql" else "%s"


def past_the_snapshot(connection: BaseDatabaseWrapper) -> str:
    """
    The clause that has a SELECT see what others committed since the transaction began.

    Under MySQL's REPEATABLE READ an INSERT meets such a row, and a plain SELECT does not find it.
    """
    return " LOCK IN SHARE MODE" if connection.vendor == "mysql" and connection.in_atomic_block else ""


def keeps_its_snapshot(connection: BaseDatabaseWrapper) -> bool:
    """Whether the open transaction fails when it writes a row that another one has written since it began."""
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('transaction_isolation') <> 'read committed'")
        return bool(cursor.fetchone()[0])


def one_of(connection: BaseDatabaseWrapper, column: str, values: Sequence[str]) -> tuple[str, list[Any]]:
    """``column IN (values)``, on PostgreSQL as one array, so that the statement's text does not vary with their number."""
    if connection.vendor == "postgresql":
        return f"{column} = ANY(%s)", [list(values)]
    return f"{column} IN ({', '.join(['%s'] * len(values))})", list(values)


def recordset(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """
    Rows as the one parameter of ``json_to_recordset(%s::json)``, on PostgreSQL.

    An array for each column would say the same, at three times the cost: psycopg escapes their items one by one, in Python.
    What is not there is NULL, so a None is left out: of a new run's row that is the half, which the server need not parse.
    """
    return json.dumps([{name: value for name, value in zip(columns, row, strict=True) if value is not None} for row in rows])


def skip_locked(connection: BaseDatabaseWrapper) -> str:
    """The clause that leaves rows alone which another session holds; SQLite has one writer and needs none."""
    return " FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""


def run(connection: BaseDatabaseWrapper, sql: str, params: Params = ()) -> Any:
    """Execute one of the few hot statements and return its cursor, to be read before the connection's next one."""
    if connection.vendor == "postgresql" and config().prepared_statements:
        return prepared.run(connection, sql, params)
    return _execute(connection, sql, params)


def send(connection: BaseDatabaseWrapper, sql: str, params: Params = ()) -> Any:
    """The same for the hottest, whose parameters are text, numbers and lists of text; its rows may come as text."""
    if connection.vendor == "postgresql" and config().prepared_statements:
        return prepared.send(connection, sql, params)
    return _execute(connection, sql, params)


def _execute(connection: BaseDatabaseWrapper, sql: str, params: Params) -> Any:
    cursor = connection.cursor()
    cursor.execute(sql, list(params))
    return cursor
