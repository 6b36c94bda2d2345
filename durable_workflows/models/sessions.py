"""
Whose database session is whose, so that a stopped owner's open transaction can be ended.

A worker that was stopped, or cut off from the network, with a step's transaction open blocks its successor on the unique
constraint, for hours on a half-open host. So each session of a worker carries the worker's id: in ``application_name`` on
PostgreSQL, as a named lock on MySQL and MariaDB; and whoever takes over ends exactly those. A direct call in a web
process notes its session with the run instead, since that also serves others: the backend's pid and start time, or on
MySQL and MariaDB a named lock that it holds from then on, so that a number given to another session since is never ended.
On SQLite it is one machine, and the file's lock is the kernel's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from durable_workflows.ids import new_token
from durable_workflows.models import dialects
from durable_workflows.models.runs import LEASED, WorkflowRun
from durable_workflows.models.transactions import mysql_code

PG_BEGAN = "extract(epoch FROM backend_start)::text"  # the same whatever the session's time zone
MYSQL_NO_SUCH_SESSION = 1094
SPARE_SESSIONS = 16  # beyond one for each thread: the service threads

_thread = threading.local()


def belong_to(worker_id: str, sessions: int) -> None:
    """Have the sessions that this thread opens from now on carry the worker's id."""
    _thread.owner = (worker_id, sessions)
    connection_created.connect(_mark, dispatch_uid="durable_workflows.sessions")


def owner() -> tuple[str, int] | None:
    """Whose the sessions are that this thread opens, as ``belong_to`` was told."""
    found: tuple[str, int] | None = getattr(_thread, "owner", None)
    return found


def wait_no_longer(connection: BaseDatabaseWrapper, seconds: int) -> None:
    """
    Have this session give up on a lock after so many seconds, on MySQL and MariaDB.

    On PostgreSQL each transaction is told: the session may be a pooler's, which lends it to others afterwards.
    """
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {seconds}")


def _mark(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    owner = getattr(_thread, "owner", None)
    if owner is None or connection.alias != dialects.alias():
        return
    worker_id, sessions = owner
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('application_name', %s, false)", [_name(worker_id)])
    elif connection.vendor == "mysql":
        _take_named_lock(connection, worker_id, sessions)


def _name(worker_id: str) -> str:
    """Short enough for an identifier; the id's random part alone names one process of all."""
    return f"durable {worker_id[-32:]}"


def _take_named_lock(connection: BaseDatabaseWrapper, worker_id: str, sessions: int) -> None:
    with connection.cursor() as cursor:
        for number in range(sessions):
            cursor.execute("SELECT GET_LOCK(%s, 0)", [f"{_name(worker_id)} {number}"])
            if cursor.fetchone()[0]:
                return


def end_sessions(connection: BaseDatabaseWrapper, worker_id: str, sessions: int) -> int:
    """End the sessions of a worker that was declared lost; its open transactions are rolled back."""
    if connection.vendor == "postgresql":
        return _terminate(connection, "application_name = %s", [_name(worker_id)])
    if connection.vendor == "mysql":
        return sum(_kill(connection, f"{_name(worker_id)} {number}") for number in range(sessions))
    return 0


def end_direct_sessions(connection: BaseDatabaseWrapper, worker_id: str) -> int:
    """End the sessions in which a lost web process was running direct calls."""
    held = WorkflowRun.objects.using(connection.alias).filter(LEASED, worker_id=worker_id, session__isnull=False)
    noted = set(held.values_list("session", flat=True))
    return sum(_end_noted(connection, str(session)) for session in noted)


def _end_noted(connection: BaseDatabaseWrapper, session: str) -> int:
    number, _, mark = session.partition(" ")
    if connection.vendor == "postgresql" and number.isdigit():
        return _terminate(connection, f"pid = %s AND {PG_BEGAN} = %s", [int(number), mark])
    if connection.vendor == "mysql" and mark:
        return _kill(connection, _direct_name(mark))
    return 0


def _terminate(connection: BaseDatabaseWrapper, condition: str, params: list[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = current_user"
            f" AND datname = current_database() AND pid <> pg_backend_pid() AND {condition}",
            params,
        )
        return int(cursor.fetchone()[0])


def _kill(connection: BaseDatabaseWrapper, lock: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT IS_USED_LOCK(%s)", [lock])
        (session,) = cursor.fetchone()
        if session is None:
            return 0
        try:
            cursor.execute(f"KILL {int(session)}")
        except OperationalError as error:
            if mysql_code(error) != MYSQL_NO_SUCH_SESSION:
                raise
            return 0  # it has ended meanwhile
        return 1


def describe(connection: Any) -> str | None:
    """This thread's session, as ``end_direct_sessions`` finds it; asked of the server once per session."""
    if connection.vendor not in _DESCRIBE:
        return None
    connection.ensure_connection()
    raw = connection.connection
    known: tuple[Any, str | None] | None = getattr(_thread, "session", None)
    if known is None or known[0] is not raw:
        known = (raw, _DESCRIBE[connection.vendor](connection))
        _thread.session = known
    return known[1]


def _describe_postgresql(connection: BaseDatabaseWrapper) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pid || ' ' || {PG_BEGAN} FROM pg_stat_activity WHERE pid = pg_backend_pid()")
        return str(cursor.fetchone()[0])


def _describe_mysql(connection: BaseDatabaseWrapper) -> str | None:
    mark = new_token()
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID(), GET_LOCK(%s, 0)", [_direct_name(mark)])
        number, taken = cursor.fetchone()
    return f"{number} {mark}" if taken else None


def _direct_name(mark: str) -> str:
    return f"durable direct {mark}"


_DESCRIBE: dict[str, Callable[[BaseDatabaseWrapper], str | None]] = {
    "postgresql": _describe_postgresql,
    "mysql": _describe_mysql,
}
