"""
What a body left open on the runs' connection: a transaction that nobody would ever commit.

Whatever the engine wrote next would become part of it, be reported as done, and be gone in the end; and its locks would
stop whoever needs those rows. So what is left is rolled back where it was left, and is the mistake of that body.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from django.db import DatabaseError, InterfaceError
from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.exceptions import InvalidUse

IN_TRANSACTION = (2, 3)  # libpq's PQTRANS_INTRANS and PQTRANS_INERROR


class NothingLeftOpen:
    """
    A context manager around users' code: no transaction that is begun in it outlives it.

    :param what: whose code it is, for the error.
    :raises InvalidUse: at its end, if one was left open and nothing else was raised.
    """

    def __init__(self, connection: BaseDatabaseWrapper, what: str) -> None:
        self.connection: Any = connection
        self.what = what

    def __enter__(self) -> Self:
        self.depth = len(self.connection.atomic_blocks)
        self.was_open = is_open(self.connection, self.depth)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self.was_open or not is_open(self.connection, self.depth):
            return
        roll_back(self.connection, self.depth)
        if kind is None:
            raise InvalidUse(
                f"{self.what} left a transaction open, which was rolled back, since nobody would have committed it. Use"
                " `with transaction.atomic()`, or set_autocommit(True) again after a set_autocommit(False), whatever comes."
            )


def is_open(connection: Any, depth: int = 0) -> bool:
    """Whether a transaction is under way beside so many ``atomic()`` blocks. MySQL does not tell of a bare ``BEGIN``."""
    if connection.connection is None:
        return False
    if len(connection.atomic_blocks) > depth:
        return True
    return not depth and not connection.in_atomic_block and (has_no_autocommit(connection) or _is_begun(connection))


def has_no_autocommit(connection: Any) -> bool:
    """Whether statements outside of blocks commit only when somebody says so."""
    return not (connection.autocommit or connection.in_atomic_block or connection.connection is None)


def _is_begun(connection: Any) -> bool:
    if connection.vendor == "postgresql":
        return connection.connection.pgconn.transaction_status in IN_TRANSACTION
    return connection.vendor == "sqlite" and bool(connection.connection.in_transaction)


def roll_back(connection: Any, depth: int = 0) -> None:
    """Undo and leave what is open beside so many blocks; the outermost goes with its session."""
    while len(connection.atomic_blocks) > max(depth, 1):
        left = InvalidUse("It was left open.")
        connection.atomic_blocks[-1].__exit__(type(left), left, None)
    if depth:
        return
    # Django only marks a connection that is closed amid a block. To it, there is none any more.
    connection.atomic_blocks.clear()
    connection.savepoint_ids.clear()
    connection.in_atomic_block = connection.needs_rollback = connection.closed_in_transaction = False
    try:
        connection.rollback()
    except (DatabaseError, InterfaceError):
        pass  # the session is gone, and its transaction with it
    connection.close()
    if connection.connection is not None:  # a database in memory, which would be gone
        connection.set_autocommit(True)
