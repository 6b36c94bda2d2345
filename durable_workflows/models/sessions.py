"""
Whose database session is whose, so that a stopped owner's open transaction can be ended.

A worker that was stopped, or cut off from the network, with a step's transaction open blocks its successor on the unique
constraint, for hours on a half-open host. So each session of a worker carries the worker's id: in ``application_name`` on
PostgreSQL, as a named lock on MySQL and MariaDB; and whoever takes over ends exactly those. A direct call in a web
process notes its backend's pid and start time with the run instead, since that session also serves others. On SQLite it
is one machine, and the file's lock is the kernel's.
"""

from __future__ import annotations

import threading
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from durable_workflows.models import dialects
from durable_workflows.models.runs import LEASED, WorkflowRun

SPARE_SESSIONS = 12  # beyond one for each thread: the service threads

_thread = threading.local()


def belong_to(worker_id: str, sessions: int) -> None:
    """Have the sessions that this thread opens from now on carry the worker's id."""
    _thread.owner = (worker_id, sessions)
    connection_created.connect(_mark, dispatch_uid="durable_workflows.sessions")


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
    ended = 0
    for session in held.values_list("session", flat=True).distinct():
        pid, _, began = str(session).partition(" ")
        if connection.vendor == "postgresql" and pid.isdigit():
            ended += _terminate(connection, "pid = %s AND backend_start::text = %s", [int(pid), began])
    return ended


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
        cursor.execute(f"KILL {int(session)}")
        return 1


def describe(connection: Any) -> str | None:
    """This thread's session, as ``end_direct_sessions`` finds it; asked of the server once per session."""
    if connection.vendor != "postgresql":
        return None
    connection.ensure_connection()
    raw = connection.connection
    known: tuple[Any, str] | None = getattr(_thread, "session", None)
    if known is None or known[0] is not raw:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pid || ' ' || backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
            known = (raw, str(cursor.fetchone()[0]))
        _thread.session = known
    return known[1]
