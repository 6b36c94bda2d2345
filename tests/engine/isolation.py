"""Isolation levels, set for every connection that a test opens."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

DATABASE = os.environ.get("DURABLE_TEST_DATABASE", "sqlite")
COMMITTED, REPEATABLE, SERIALIZABLE = "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"
# What the product is run at. SQLite knows only one.
LEVELS = {"sqlite": [SERIALIZABLE], "postgresql": [COMMITTED, REPEATABLE, SERIALIZABLE], "mariadb": [COMMITTED, REPEATABLE]}[
    DATABASE
]
# The long interleavings are run at one level by default, and at the others with the slow tests. Which one is chosen by
# DURABLE_TEST_LEVEL, so that two runs of one matrix have two of them; without, it is the one that Django comes with.
USUAL = LEVELS[0] if DATABASE == "sqlite" else os.environ.get("DURABLE_TEST_LEVEL", COMMITTED)
interleaved_levels = pytest.mark.parametrize(
    "level",
    [
        pytest.param(level, marks=[] if level == USUAL else [pytest.mark.slow])
        for level in LEVELS
        if level in (COMMITTED, REPEATABLE, USUAL)
    ],
    indirect=True,
)
at_each_level = pytest.mark.parametrize("level", LEVELS, indirect=True)
STATEMENT = {
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL",
    "mysql": "SET SESSION TRANSACTION ISOLATION LEVEL",
}


@contextmanager
def at_level(level: str) -> Iterator[None]:
    """Have each connection that is opened in the block, in any thread, work at this level; this thread's is opened anew."""

    def set_level(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
        if connection.vendor not in STATEMENT:
            return
        with connection.cursor() as cursor:
            cursor.execute(f"{STATEMENT[connection.vendor]} {level}")
            if connection.vendor == "postgresql":
                cursor.execute("SET deadlock_timeout = '20ms'")

    connection.close()
    connection_created.connect(set_level)
    try:
        yield
    finally:
        connection_created.disconnect(set_level)
        connection.close()


def innodb_transactions(connection: BaseDatabaseWrapper) -> list[str]:
    """What MySQL or MariaDB says of each transaction; ``information_schema.innodb_trx`` is a tenth of a second behind."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW ENGINE INNODB STATUS")
        return str(cursor.fetchone()[2]).split("---TRANSACTION")
