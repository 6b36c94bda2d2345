"""
The transaction of a step's body: there when the body touches the database, free when it does not.

An HTTP call must neither pay for BEGIN and COMMIT nor hold a transaction open. So ``atomic()`` is entered in a way that
sends nothing, and at the body's end the session itself is asked whether a transaction is under way. Counting queries
would miss ``cursor.copy()`` and raw use.

* PostgreSQL: psycopg sends BEGIN before the first statement; its ``transaction_status`` tells.
* SQLite: BEGIN DEFERRED takes no lock. Before the body's first query it is begun anew as IMMEDIATE, because a deferred
  transaction that reads and then writes fails at once if another one wrote meanwhile. What bypasses Django is seen by
  the session's count of changes.
* MySQL and MariaDB: nothing tells, so a body always counts as having touched the database.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import clock
from durable_workflows.exceptions import StepRolledBack
from durable_workflows.models.transactions import MYSQL_ROLLS_BACK_ALL, begun_as, is_lock_error, mysql_code, writer_lock


class StepTransaction:
    """
    A context manager around a step's body and its checkpoint.

    ``committed`` tells, after the block, whether the body's writes exist; an exception from an ``on_commit`` hook of the
    user's does not change it. ``closed`` tells whether the body itself closed its connection.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection: Any = connection
        self.nested = connection.in_atomic_block
        self.committed = self.closed = False
        self._session: Any = None
        self.entered_at = clock.monotonic()
        self._atomic = transaction.atomic(using=connection.alias)
        self._sqlite = _SqliteStart(connection) if connection.vendor == "sqlite" and not self.nested else None
        self._mysql = _DeadlockWatch() if connection.vendor == "mysql" else None

    def __enter__(self) -> Self:
        if self._sqlite:
            self._sqlite.enter(self._atomic)
        else:
            self._atomic.__enter__()
        self._session = self.connection.connection
        if self._mysql:
            self.connection.execute_wrappers.append(self._mysql)
        if not self.nested:
            transaction.on_commit(self._mark, using=self.connection.alias)
            self._hooks = len(self.connection.run_on_commit)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        doomed, self.closed = self.broken(), self._closed()
        try:
            self._atomic.__exit__(kind, error, traceback)
        finally:
            if self._sqlite:
                self._sqlite.leave()
            if self._mysql:
                self.connection.execute_wrappers.remove(self._mysql)
        if self.nested:
            self.committed = kind is None and doomed is None

    def check(self, step_name: str) -> None:
        """
        At the body's end: raise if what it wrote is rolled back already, although it returned.

        :raises StepRolledBack: saying why. On MySQL the deadlock error itself, when the body swallowed one: it has rolled
            back the whole transaction, and what followed went into none.
        """
        if self._mysql and self._mysql.rolled_back_all(self.connection):
            raise self._mysql.swallowed
        why = self.broken()
        if why:
            raise StepRolledBack(step_name, why)

    def usable(self) -> bool:
        """Whether the session that it began in still answers; Django opens another one when it cannot roll back."""
        raw = self.connection.connection
        return raw is not None and raw is self._session and self.connection.is_usable()

    def _mark(self) -> None:
        self.committed = True

    def touched(self) -> bool:
        """Whether a transaction is under way, or hooks wait for one: the checkpoint must then be part of it."""
        if self.nested or len(self.connection.run_on_commit) > self._hooks or self.broken():
            return True
        if self._sqlite:
            return self._sqlite.touched()
        if self.connection.vendor == "postgresql":
            raw = self.connection.connection
            return bool(raw is not None and raw.pgconn.transaction_status != IDLE)
        return True

    def broken(self) -> str | None:
        """Why the block can only be rolled back, or None."""
        if self._closed():
            return "its connection was closed"
        if self.connection.needs_rollback:
            return "it was marked for rollback, or an error inside it was swallowed"
        raw = self.connection.connection
        if self.connection.vendor == "postgresql" and raw is not None and raw.pgconn.transaction_status in FAILED:
            return "a statement in it failed and the error was swallowed"
        return None

    def _closed(self) -> bool:
        return bool(self.connection.closed_in_transaction)


IDLE, FAILED = 0, (3, 4)  # libpq's PQTRANS_IDLE; PQTRANS_INERROR and PQTRANS_UNKNOWN


class _DeadlockWatch:
    """Notice a deadlock error as it passes by, before the body can swallow it."""

    swallowed: BaseException = DatabaseError("there was none")
    codes: frozenset[object] = frozenset()

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        try:
            return execute(sql, params, many, context)
        except DatabaseError as error:
            if is_lock_error(error):
                self.swallowed, self.codes = error, self.codes | {mysql_code(error)}
            raise

    def rolled_back_all(self, connection: BaseDatabaseWrapper) -> bool:
        """Whether one of them took the whole transaction, and not, as ``NOWAIT`` does, one statement."""
        if self.codes & MYSQL_ROLLS_BACK_ALL:
            return True
        if not self.codes:
            return False
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@innodb_rollback_on_timeout")
            return bool(cursor.fetchone()[0])


class _SqliteStart:
    """Begin deferred, and anew as IMMEDIATE when the body first speaks to the database."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.spoke = False
        self.locked = False

    def enter(self, atomic: Any) -> None:
        with begun_as(self.connection, "DEFERRED"):
            atomic.__enter__()
        self.changes = self.connection.connection.total_changes
        self.connection.execute_wrappers.append(self._first_query)

    def leave(self) -> None:
        self._unhook()
        if self.locked:
            self.locked = False
            writer_lock(self.connection).release()

    def touched(self) -> bool:
        return self.spoke or self.connection.connection.total_changes != self.changes

    def _first_query(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self._unhook()
        self.spoke = True
        self._begin_immediate()
        return execute(sql, params, many, context)

    def _begin_immediate(self) -> None:
        raw = self.connection.connection
        if raw.total_changes != self.changes or not raw.in_transaction:
            return  # the body wrote, or ended the transaction, past Django: what it has begun is left as it is
        self.locked = writer_lock(self.connection).acquire(timeout=LOCK_PATIENCE)
        with self.connection.wrap_database_errors:
            raw.execute("ROLLBACK")
            raw.execute("BEGIN IMMEDIATE")

    def _unhook(self) -> None:
        if self._first_query in self.connection.execute_wrappers:
            self.connection.execute_wrappers.remove(self._first_query)


LOCK_PATIENCE = 60.0  # seconds; past it the file's own lock decides
