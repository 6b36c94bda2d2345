"""
Hooks at the lowest place of each driver that Python reaches, so that nothing sent past Django's cursors is missed.

psycopg: the generators through which every statement goes, those of raw and prepared cursors, and the BEGIN, COMMIT
and ROLLBACK that the connection sends by itself. A statement's PREPARE is counted with it. MySQLdb: the connection's
``query``, ``commit``, ``rollback`` and ``autocommit`` (which is its BEGIN). sqlite3: the connection, and the cursors that
it makes.
"""

from __future__ import annotations

import functools
import os
import socket
import sqlite3
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

from django.db import connection

from tests.faults import killer


def watch() -> None:
    """Watch the driver that this process uses."""
    {"postgresql": _watch_psycopg, "mysql": _watch_mysqldb, "sqlite": _watch_sqlite}[connection.vendor]()


def _cut(descriptor: int) -> None:
    """End a connection below the driver's feet."""
    with socket.socket(fileno=os.dup(descriptor)) as ours:
        ours.shutdown(socket.SHUT_RDWR)


# -- PostgreSQL


def _watch_psycopg() -> None:
    from psycopg import BaseConnection
    from psycopg._cursor_base import BaseCursor
    from psycopg._server_cursor_base import ServerCursorMixin

    from durable_workflows.models import prepared as hot

    hot.exec_prepared = _blocking(hot.exec_prepared)
    hot.exec_together = _blocking(hot.exec_together)
    own, prepared, declare = BaseConnection._exec_command, BaseCursor._maybe_prepare_gen, ServerCursorMixin._declare_gen

    def exec_command(self: Any, command: Any, *args: Any, **kwargs: Any) -> Any:
        sent = own(self, command, *args, **kwargs)
        return (yield from _around(sent, _text(command), self.pgconn))

    def maybe_prepare_gen(self: Any, pgq: Any, **kwargs: Any) -> Any:
        return (yield from _around(prepared(self, pgq, **kwargs), _text(pgq.query), self._conn.pgconn))

    def declare_gen(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        sent = declare(self, query, *args, **kwargs)
        return (yield from _around(sent, f"DECLARE {_text(query)}", self._conn.pgconn))

    ServerCursorMixin._declare_gen = declare_gen  # type: ignore[method-assign]
    BaseConnection._exec_command = exec_command  # type: ignore[method-assign]
    BaseCursor._maybe_prepare_gen = maybe_prepare_gen  # type: ignore[method-assign]


def _blocking(send: Callable[..., Any]) -> Callable[..., Any]:
    """The hot statements, which go to libpq in one call."""

    def watched(pgconn: Any, sql: str, *args: Any) -> Any:
        def sent() -> Generator[Any, Any, Any]:
            return send(pgconn, sql, *args)
            yield

        try:
            next(_around(sent(), sql, pgconn))
        except StopIteration as done:
            return done.value
        raise AssertionError("it waits for nothing")

    return watched


def _around(sent: Generator[Any, Any, Any], text: str, pgconn: Any) -> Generator[Any, Any, Any]:
    from psycopg import OperationalError

    number = killer.watch.sending(text)
    try:
        result = yield from sent
    except BaseException:
        killer.watch.answered(number)
        raise

    def cut() -> None:
        _cut(pgconn.socket)
        pgconn.finish()
        raise OperationalError("consuming input failed: server closed the connection unexpectedly")

    killer.watch.answered(number, cut)
    return result


def _text(statement: Any) -> str:
    if isinstance(statement, (bytes, bytearray, memoryview)):
        return bytes(statement).decode(errors="replace")
    return statement.as_string(None) if hasattr(statement, "as_string") else str(statement)


# -- MySQL and MariaDB


def _watch_mysqldb() -> None:
    from MySQLdb.connections import Connection

    for name in ("query", "commit", "rollback", "autocommit"):
        setattr(Connection, name, _watched(getattr(Connection, name), name))


def _watched(method: Callable[..., Any], name: str) -> Callable[..., Any]:
    from MySQLdb import MySQLError, OperationalError

    @functools.wraps(method)
    def watched(self: Any, *args: Any) -> Any:
        number = killer.watch.sending(_text(args[0]) if name == "query" else " ".join([name.upper(), *map(str, args)]))
        try:
            result = method(self, *args)
        except BaseException:
            killer.watch.answered(number)
            raise

        def cut() -> None:
            _cut(self.fileno())
            with suppress(MySQLError):  # what has come of the answer; to the driver it broke off in the middle
                self.discard_result()
            raise OperationalError(2013, "Lost connection to server during query")

        killer.watch.answered(number, cut)
        return result

    return watched


# -- SQLite


def _watch_sqlite() -> None:
    connect = sqlite3.dbapi2.connect

    def connect_watched(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        return connect(*args, **{"factory": WatchedConnection, **kwargs})

    sqlite3.dbapi2.connect = connect_watched  # type: ignore[assignment]


class WatchedConnection(sqlite3.Connection):
    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        return super().cursor(_watched_cursor(factory))

    def execute(self, *args: Any) -> Any:
        return self.cursor().execute(*args)

    def commit(self) -> None:
        _plainly("COMMIT", super().commit)

    def rollback(self) -> None:
        _plainly("ROLLBACK", super().rollback)


@functools.cache
def _watched_cursor(factory: Any) -> Any:
    class Watched(factory):  # type: ignore[misc]
        def execute(self, query: str, *args: Any) -> Any:
            return _plainly(query, lambda: super(Watched, self).execute(query, *args))

        def executemany(self, query: str, *args: Any) -> Any:
            return _plainly(query, lambda: super(Watched, self).executemany(query, *args))

    return Watched


def _plainly(text: str, send: Callable[[], Any]) -> Any:
    number = killer.watch.sending(text)
    try:
        return send()
    finally:
        killer.watch.answered(number)
