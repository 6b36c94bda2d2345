"""Columns whose text is compared exactly on every vendor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

if TYPE_CHECKING:
    TextColumn = models.CharField[Any, Any]
else:  # generic for the type checker alone
    TextColumn = models.CharField


def exact_collation(connection: BaseDatabaseWrapper) -> str | None:
    """
    The collation that tells case and trailing spaces apart.

    MySQL's and MariaDB's usual ones do not, and a ``db_collation`` in a migration could name only one vendor's. "C" on
    PostgreSQL compares bytes, which is faster, and lets one plain index serve prefix searches too.
    """
    if connection.vendor == "postgresql":
        return "C"
    if connection.vendor == "mysql":
        return "utf8mb4_nopad_bin" if getattr(connection, "mysql_is_mariadb", False) else "utf8mb4_0900_bin"
    return None


class ExactCharField(TextColumn):
    """A ``CharField`` whose values differ when a letter's case or a trailing space does."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, str | None]:
        return {**super().db_parameters(connection), "collation": exact_collation(connection)}

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        # The long name of the same type keeps Django from adding a second index, for LIKE, which "C" makes needless.
        if connection.vendor == "postgresql":
            return f"character varying({self.max_length})"
        return super().db_type(connection)
