"""What only the database itself can tell; these checks query it, and so run when Django is told which databases to check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.core import checks
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.checks.databases import VENDORS
from durable_workflows.models.dialects import alias

# What to ask whether a commit reaches the disk before it is reported, and the answers that mean "not always".
LAZY_COMMITS = {
    "sqlite": ("PRAGMA synchronous", {"1": "PRAGMA synchronous is NORMAL"}),
    "postgresql": ("SHOW synchronous_commit", {"off": "synchronous_commit is off"}),
    "mysql": (
        "SELECT @@innodb_flush_log_at_trx_commit",
        {"0": "innodb_flush_log_at_trx_commit is 0", "2": "innodb_flush_log_at_trx_commit is 2"},
    ),
}


def check_servers(*, databases: Sequence[str] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Transactions, skipped locks, SQLite's journal, and whether a commit survives a power cut."""
    if alias() not in (databases or ()) or alias() not in connections.settings:
        return []
    connection = connections[alias()]
    if connection.vendor not in VENDORS:
        return []
    return [*_abilities(connection), *_journal(connection), *_durability(connection)]


def _abilities(connection: BaseDatabaseWrapper) -> Iterator[checks.CheckMessage]:
    if not connection.features.supports_transactions:
        yield checks.Error(
            f"New tables of the database {connection.alias!r} have no transactions, so a step and its record could not be"
            " written together.",
            hint="Use InnoDB: set OPTIONS['init_command'] = 'SET default_storage_engine=INNODB' before you migrate.",
            id="durable_workflows.E017",
        )
    if connection.vendor != "sqlite" and not connection.features.has_select_for_update_skip_locked:
        yield checks.Error(
            f"The server of the database {connection.alias!r} is too old for SKIP LOCKED, by which workers claim runs"
            " without waiting for one another.",
            hint="Upgrade to MariaDB 10.6 or MySQL 8.0.1, or later.",
            id="durable_workflows.E016",
        )


def _journal(connection: BaseDatabaseWrapper) -> Iterator[checks.CheckMessage]:
    creation: Any = connection.creation  # only SQLite's knows of databases in memory
    if connection.vendor != "sqlite" or creation.is_in_memory_db(connection.settings_dict["NAME"]):
        return
    mode = _answer(connection, "PRAGMA journal_mode")
    if mode != "wal":
        yield checks.Warning(
            f"The SQLite database {connection.alias!r} keeps its journal in the mode {mode.upper()}, in which a writer"
            " keeps all readers out, and a reader all writers.",
            hint=f"Set DATABASES[{connection.alias!r}]['OPTIONS']['init_command'] = 'PRAGMA journal_mode=WAL'.",
            id="durable_workflows.W014",
        )


def _durability(connection: BaseDatabaseWrapper) -> Iterator[checks.CheckMessage]:
    question, lazy = LAZY_COMMITS[connection.vendor]
    answer = _answer(connection, question)
    if connection.vendor == "sqlite" and answer == "0":
        yield checks.Warning(
            f"PRAGMA synchronous is OFF on {connection.alias!r}: a power cut may damage the database beyond repair.",
            hint="Use 'PRAGMA synchronous=FULL', SQLite's default, in OPTIONS['init_command'].",
            id="durable_workflows.W015",
        )
    if answer in lazy:
        yield checks.Info(
            f"{lazy[answer]} on {connection.alias!r}: a power cut, though not a killed process, may take back the last"
            " commits, so that steps which had been done are done again.",
            hint="Leave it at its default for full durability, or accept the risk for the speed.",
            id="durable_workflows.I012",
        )


def _answer(connection: BaseDatabaseWrapper, question: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(question)
        return str(cursor.fetchone()[0])
