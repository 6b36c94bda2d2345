"""
The few hot statements on PostgreSQL, as prepared ones: planning them costs more than running them.

psycopg's cursor sends a statement, waits for the socket and finds out how to pack and unpack each value, all in steps of
Python's. That is right for everything else, and a third of the time of a checkpoint. So what takes and returns nothing but
text and numbers goes through libpq's own blocking call, which ``psycopg.pq`` offers, as all statements went in psycopg2.
Whatever that call does not fit goes the long way: above all what is part of a transaction. psycopg has all of a session's
statements discarded after a ROLLBACK, by whoever prepared them; by itself a statement that is not known any more can be
prepared and sent again, while a transaction has failed by then.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Sequence
from enum import Enum
from functools import partial
from itertools import count
from typing import Any

from django.db import NotSupportedError

try:
    import psycopg
    from psycopg import generators, waiting
    from psycopg.errors import error_from_result
except ImportError:  # the driver of one vendor among three
    psycopg = None  # type: ignore[assignment]  # told apart by the vendor before it is used

Params = tuple[Any, ...] | list[Any]

IDLE = 0  # libpq's PQTRANS_IDLE
DONE = (1, 2)  # PGRES_COMMAND_OK and PGRES_TUPLES_OK
CONNECTED = 0  # CONNECTION_OK
OUTDATED = b"0A000"  # a migration changed what a prepared statement returns
FORGOTTEN = b"26000"  # the session's statements were discarded


def run(connection: Any, sql: str, params: Params) -> Any:
    """Execute a statement; returns psycopg's cursor, to be read before the connection's next statement."""
    return _by_cursor(connection, _session(connection), sql, params)


def _by_cursor(connection: Any, session: _Session, sql: str, params: Params) -> Any:
    raw = session.raw
    # Django sets no threshold, by which psycopg prepares nothing, asked for or not; for its own cursors it stays so.
    configured, raw.prepare_threshold = raw.prepare_threshold, 0
    try:
        with connection.wrap_database_errors:
            session.cursor.execute(sql, params, prepare=not session.outdated)
    except NotSupportedError:
        session.outdated = True  # a migration changed what a prepared statement returns: this session prepares no more
        raise
    finally:
        raw.prepare_threshold = configured
    return session.cursor


def send(connection: Any, sql: str, params: Params) -> Any:
    """Execute a statement whose parameters are text, numbers or lists of text; its rows come as text."""
    session = _session(connection)
    if not session.fits():
        return _by_cursor(connection, session, sql, params)
    with connection.wrap_database_errors, session.raw.lock:
        return session.send(sql, [_text(value) for value in params])


def send_together(connection: Any, statements: Sequence[tuple[str, Params]]) -> list[Answer]:
    """
    Send several such statements at once, to be committed together: one round trip for all of them.

    At READ COMMITTED each has a snapshot of its own, as if it had been sent after the one before. An error of any undoes all.

    :returns: what came of each; nothing if this session cannot, and nothing was sent.
    """
    session = _session(connection)
    if not (session.fits() and psycopg.Pipeline.is_supported()):
        return []
    with connection.wrap_database_errors, session.raw.lock:
        return session.send_together([(sql, [_text(value) for value in params]) for sql, params in statements])


def _session(connection: Any) -> _Session:
    connection.close_if_health_check_failed()
    if connection.connection is None:
        connection.ensure_connection()
    connection.validate_no_broken_transaction()
    known: _Session | None = getattr(_thread, "session", None)
    if known is None or known.raw is not connection.connection:
        known = _thread.session = _Session(connection.connection)
    return known


_thread = threading.local()


class Answer:
    """What came of a statement, as a cursor tells it."""

    __slots__ = ("_result",)

    def __init__(self, result: Any) -> None:
        self._result = result

    @property
    def rowcount(self) -> int:
        return self._result.command_tuples or 0

    def fetchall(self) -> list[tuple[str | None, ...]]:
        result = self._result
        columns = range(result.nfields)
        return [tuple(_read(result.get_value(row, column)) for column in columns) for row in range(result.ntuples)]


class _Session:
    """What this thread knows of its session: a cursor that is used again, and what it has prepared."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.cursor = psycopg.Cursor(raw)
        self.outdated = False
        self._speaks_unicode = raw.pgconn.parameter_status(b"client_encoding") == b"UTF8"
        self._names: dict[str, bytes] = {}
        self._numbers = count()

    def fits(self) -> bool:
        """Whether a statement can be sent as it is, to be committed by itself."""
        pgconn = self.raw.pgconn
        alone = self.raw.autocommit and pgconn.transaction_status == IDLE and not pgconn.pipeline_status
        return alone and self._speaks_unicode and not self.outdated

    def send(self, sql: str, values: list[bytes | None], last: bool = False) -> Answer:
        result = exec_prepared(self.raw.pgconn, sql, self._name(sql), values)
        if result.status in DONE:
            return Answer(result)
        if not last and result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == FORGOTTEN:
            self._names.clear()
            return self.send(sql, values, last=True)
        raise self._error(result)

    def send_together(self, statements: Sequence[tuple[str, list[bytes | None]]], last: bool = False) -> list[Answer]:
        calls = [(self._name(sql), values) for sql, values in statements]
        results = exec_together(self.raw.pgconn, [sql for sql, _ in statements], calls)
        failed = next((result for result in results if result.status not in DONE), None)
        if failed is None:
            return [Answer(result) for result in results]
        if not last and failed.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == FORGOTTEN:
            self._names.clear()
            return self.send_together(statements, last=True)
        raise self._error(failed)

    def _name(self, sql: str) -> bytes:
        name = self._names.get(sql)
        if name is None:
            name = b"durable_%d" % next(self._numbers)
            result = self.raw.pgconn.prepare(name, _numbered(sql).encode())
            if result.status not in DONE:
                raise self._error(result)
            self._names[sql] = name
        return name

    def _error(self, result: Any) -> Exception:
        # What libpq says itself has no SQLSTATE, and its sessions are of no more use: while it still had something to send
        # when the server was killed, it has not noticed yet that the connection is gone.
        if self.raw.pgconn.status != CONNECTED or not result.error_field(psycopg.pq.DiagnosticField.SQLSTATE):
            return psycopg.OperationalError(result.get_error_message())
        if result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == OUTDATED:
            self.outdated = True  # as by a cursor: this session prepares no more
        return error_from_result(result)


def exec_prepared(pgconn: Any, sql: str, name: bytes, values: list[bytes | None]) -> Any:
    """The one call by which all of it is sent; ``sql`` is for those who watch."""
    return pgconn.exec_prepared(name, values)


def exec_together(pgconn: Any, statements: Sequence[str], calls: Sequence[tuple[bytes, list[bytes | None]]]) -> list[Any]:
    """
    The same for several, by libpq's pipeline: until its one Sync, all of it is one transaction. A result for each.

    As literals of one text they would need no pipeline. But what fails is logged by the server as it was sent, with what
    runs have returned in it, and PgBouncer knows no EXECUTE of what was prepared by the protocol.
    """
    pgconn.enter_pipeline_mode()
    try:
        commands = deque([*(partial(pgconn.send_query_prepared, *call) for call in calls), pgconn.pipeline_sync])
        results = waiting.wait(generators.pipeline_communicate(pgconn, commands), pgconn.socket)
        while len(results) <= len(calls):
            results.append(waiting.wait(generators.fetch_many(pgconn), pgconn.socket))
        pgconn.exit_pipeline_mode()
    except BaseException:
        pgconn.finish()  # answers that nobody has read would be taken for those of the next statement
        raise
    return [result[0] for result in results[:-1]]


def _numbered(sql: str) -> str:
    """psycopg's placeholders as PostgreSQL's own."""
    numbers = count(1)
    return re.sub("%s|%%", lambda found: f"${next(numbers)}" if found[0] == "%s" else "%", sql)


def _text(value: Any) -> bytes | None:
    if value is None:
        return None
    text = value if type(value) is str else _written(value)
    if "\0" in text:  # libpq would take the text to end there
        raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return text.encode()


def _written(value: Any) -> str:
    if isinstance(value, list):  # of texts, as PostgreSQL writes arrays
        return "{" + ",".join('"' + re.sub(r'(["\\\\])', r"\\\1", item) + '"' for item in value) + "}"
    return str(value.value if isinstance(value, Enum) else value)


def _read(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
