"""Tables and triggers of the ledgers, as each vendor writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

NUMBERED = {
    "postgresql": "bigserial PRIMARY KEY",
    "mysql": "bigint AUTO_INCREMENT PRIMARY KEY",
    "sqlite": "integer PRIMARY KEY AUTOINCREMENT",
}
NOW = {
    "postgresql": "extract(epoch FROM clock_timestamp())",
    "mysql": "UNIX_TIMESTAMP(SYSDATE(6))",
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
}
DIFFERS = {"postgresql": "IS DISTINCT FROM", "sqlite": "IS NOT"}


def now() -> str:
    """The database's present in seconds."""
    return NOW[connection.vendor].replace("%", "%%")


def rows(sql: str) -> Sequence[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        found: Sequence[tuple[Any, ...]] = cursor.fetchall()
    return found


def _execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def create_table(name: str, *columns: str) -> None:
    """A table whose rows are numbered, with the moment at which each was written."""
    own = [f"id {NUMBERED[connection.vendor]}", "happened double precision"]
    _execute(f"DROP TABLE IF EXISTS {name}", f"CREATE TABLE {name} ({', '.join([*own, *columns])})")


def drop_table(name: str) -> None:
    _execute(f"DROP TABLE IF EXISTS {name}")


def differ(*columns: str) -> str:
    """The condition that one of these columns was changed."""
    if connection.vendor == "mysql":
        return " OR ".join(f"NOT (OLD.{column} <=> NEW.{column})" for column in columns)
    return " OR ".join(f"OLD.{column} {DIFFERS[connection.vendor]} NEW.{column}" for column in columns)


def create_trigger(table: str, event: str, insert: str, when: str = "") -> None:
    """After each row's ``event`` ("INSERT" or "UPDATE"), if ``when``, this INSERT is executed."""
    name = _name(table, event)
    head = f"CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW"
    if connection.vendor == "mysql":
        _execute(f"{head} {f'IF {when} THEN {insert}; END IF' if when else insert}")
        return
    condition = f" WHEN ({when})" if when else ""
    if connection.vendor == "sqlite":
        _execute(f"{head}{condition} BEGIN {insert}; END")
        return
    function = f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {insert}; RETURN NULL; END $$"
    _execute(function, f"{head}{condition} EXECUTE FUNCTION {name}()")


def drop_trigger(table: str, event: str) -> None:
    name = _name(table, event)
    if connection.vendor == "postgresql":
        _execute(f"DROP FUNCTION IF EXISTS {name}() CASCADE")
    else:
        _execute(f"DROP TRIGGER IF EXISTS {name}")


def _name(table: str, event: str) -> str:
    return f"house_{table.rpartition('_')[2]}_{event.lower()}"
