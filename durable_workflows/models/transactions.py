"""
The engine's own transactions, and what their failures mean.

SQLite has one writer. Threads that fight for it sleep in the busy handler, with growing pauses, so the threads of a
process queue for their turn here instead, and only processes meet at the file's lock.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import clock
from durable_workflows.models.dialects import connection as runs_connection

T = TypeVar("T")

REPEATS = 12
FIRST_PAUSE = 0.005

POSTGRESQL_LOCK_ERRORS = {"40001", "40P01", "55P03"}
MYSQL_LOCK_ERRORS = {1020, 1205, 1213, 3572}
MYSQL_ROLLS_BACK_ALL = {1020, 1213}  # 1205 and 3572 as a rule only the statement that waited
MYSQL_LOST = {2002, 2003, 2006, 2013, 2055, 1053, 1927, 1317}
POSTGRESQL_NO_ROOM = "53"  # the class of insufficient resources
SQLITE_FULL = 13
MYSQL_NO_ROOM = {1021, 1040, 1041, 1114}

_nothing: AbstractContextManager[Any] = nullcontext()
_writers: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)


def is_lock_error(error: BaseException) -> bool:
    """Whether the database rolled the transaction back because of another one, so that repeating it is right."""
    cause = error.__cause__ or error
    if getattr(cause, "sqlstate", None) in POSTGRESQL_LOCK_ERRORS:
        return True
    driver = type(cause).__module__.partition(".")[0]  # a body may use it past Django
    if driver == "sqlite3":
        return "locked" in str(cause) or "busy" in str(cause)
    return (driver == "MySQLdb" or isinstance(error, DatabaseError)) and mysql_code(error) in MYSQL_LOCK_ERRORS


def mysql_code(error: BaseException) -> object:
    """The number by which MySQL and MariaDB call an error."""
    return next(iter((error.__cause__ or error).args), None)


def is_lost_connection(error: BaseException) -> bool:
    """Whether the session broke, so that what it was doing may or may not have been committed."""
    if isinstance(error, InterfaceError):
        return True
    if not isinstance(error, OperationalError):
        return False
    cause = error.__cause__ or error
    state = getattr(cause, "sqlstate", None)
    if type(cause).__module__.startswith("psycopg"):
        return state is None or state.startswith(("08", "57P"))
    return bool(cause.args) and cause.args[0] in MYSQL_LOST


def is_out_of_room(error: BaseException) -> bool:
    """Whether the database refused for want of space, memory or connections, which somebody will mend."""
    if not isinstance(error, DatabaseError):
        return False
    cause = error.__cause__ or error
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return str(state).startswith(POSTGRESQL_NO_ROOM)
    if type(cause).__module__.partition(".")[0] == "sqlite3":
        return getattr(cause, "sqlite_errorcode", None) == SQLITE_FULL
    return mysql_code(error) in MYSQL_NO_ROOM


def turn(connection: BaseDatabaseWrapper) -> AbstractContextManager[Any]:
    """This process's turn to write; only SQLite needs one, and only outside of a transaction, which has its lock."""
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        return _nothing
    return writer_lock(connection)


def writer_lock(connection: BaseDatabaseWrapper) -> threading.RLock:
    """The lock for which this process's writers to one file queue."""
    return _writers[str(connection.settings_dict["NAME"])]


@contextmanager
def write_transaction(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """
    An ``atomic()`` of the engine's own that writes: on SQLite it takes the write lock at its start.

    A transaction that reads first and writes later fails there at once when another one wrote meanwhile, timeout or not.
    """
    with engine_writes, turn(connection), _begun_as(connection, "IMMEDIATE"), transaction.atomic(using=connection.alias):
        yield


@contextmanager
def impatient_transaction(connection: BaseDatabaseWrapper, seconds: float) -> Iterator[None]:
    """The same, whose statements fail with a lock error rather than wait longer for somebody's lock."""
    with _waits_of_session(connection, seconds), write_transaction(connection):
        if connection.vendor == "postgresql":
            _execute(connection, "SELECT set_config('lock_timeout', %s, true)", f"{seconds * 1000:.0f}ms")
        yield


@contextmanager
def _waits_of_session(connection: BaseDatabaseWrapper, seconds: float) -> Iterator[None]:
    """On MySQL and MariaDB such a limit is the session's, in whole seconds."""
    if connection.vendor != "mysql":
        yield
        return
    _execute(connection, "SET @durable_waits = @@innodb_lock_wait_timeout")
    _execute(connection, "SET innodb_lock_wait_timeout = %s", max(1, round(seconds)))
    try:
        yield
    finally:
        _execute(connection, "SET innodb_lock_wait_timeout = @durable_waits")


def _execute(connection: BaseDatabaseWrapper, sql: str, *params: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


class _EngineWrites(threading.local):
    """
    Marks this thread's statements in a ``with`` block as the engine's own, and not those of the body that called it.

    One object for all, since each statement of the hot path passes through it.
    """

    depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *raised: object) -> None:
        self.depth -= 1

    def under_way(self) -> bool:
        return self.depth > 0


engine_writes = _EngineWrites()


def _begun_as(connection: BaseDatabaseWrapper, mode: str) -> AbstractContextManager[Any]:
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        return _nothing
    return begun_as(connection, mode)


@contextmanager
def begun_as(connection: Any, mode: str) -> Iterator[None]:
    """On SQLite: let the outermost ``atomic()`` in the block begin in this mode, whatever the project configured."""
    connection.ensure_connection()
    configured, connection.transaction_mode = connection.transaction_mode, mode
    try:
        yield
    finally:
        connection.transaction_mode = configured


def repeated(work: Callable[[], T], connection: BaseDatabaseWrapper | None = None) -> T:
    """
    Do ``work``, a transaction or statement of the engine's own, again after a lock error, with growing pauses.

    Inside somebody's transaction it is done once: the database has rolled back more than ``work``, so whoever owns that
    transaction must repeat it.
    """
    connection = connection or runs_connection()
    attempts = 1 if connection.in_atomic_block else REPEATS
    for attempt in range(1, attempts + 1):
        try:
            return work()
        except DatabaseError as error:
            if attempt == attempts or not is_lock_error(error):
                raise
            clock.pause(min(FIRST_PAUSE * 2 ** (attempt - 1), 0.5))
    raise AssertionError("the last attempt returns or raises")


def in_write_transaction(work: Callable[..., T], *args: Any) -> T:
    """Do ``work(connection, *args)`` in a transaction of its own that is repeated after lock errors."""
    connection = runs_connection()

    def once() -> T:
        with write_transaction(connection):
            return work(connection, *args)

    return repeated(once, connection)


def in_autocommit(work: Callable[..., T], *args: Any) -> T:
    """Do ``work(connection, *args)``, a single statement, in its turn; it commits by itself."""
    return in_autocommit_on(runs_connection(), work, *args)


def in_autocommit_on(connection: BaseDatabaseWrapper, work: Callable[..., T], *args: Any) -> T:
    """The same for whoever has the connection at hand: looking it up shows in the time of a checkpoint."""

    def once() -> T:
        with engine_writes, turn(connection):
            return work(connection, *args)

    return repeated(once, connection)


def refuse_atomic(connection: BaseDatabaseWrapper, why: str, make: Callable[[str], Exception]) -> None:
    """Raise when the caller holds a transaction, as ``atomic(durable=True)`` does: a ``TestCase``'s own does not count."""
    blocks = getattr(connection, "atomic_blocks", [])
    if connection.in_atomic_block and not all(getattr(block, "_from_testcase", False) for block in blocks):
        raise make(why)


on_commit = partial(transaction.on_commit, robust=True)
