"""Reading several tables as they were at one moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.models.transactions import begun_as


@contextmanager
def snapshot(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """
    A block whose queries all see what was committed when it began; inside somebody's transaction, what that one sees.

    At READ COMMITTED, Django's default on most vendors, each query would see something newer than the one before.
    """
    level = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
    if connection.in_atomic_block:
        yield
        return
    if connection.vendor == "mysql":  # where it is said before the transaction that it is about
        _execute(connection, level)
    # On SQLite a transaction that only reads need not wait for the writer.
    begun = begun_as(connection, "DEFERRED") if connection.vendor == "sqlite" else nullcontext()
    with begun, transaction.atomic(using=connection.alias):
        if connection.vendor == "postgresql":
            _execute(connection, f"{level} READ ONLY")
        yield


def _execute(connection: BaseDatabaseWrapper, sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
