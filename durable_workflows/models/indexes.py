"""
An index that holds only the rows its query needs, where the vendor can.

A planner uses a partial index only for a query that implies its condition, and SQLite never looks into a parameter to
find out. So a condition is written once, as a function of how values are wrapped: plain for the index, ``Literal`` for
the queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

if TYPE_CHECKING:
    Wrapper = models.ExpressionWrapper[Any]
else:  # generic for the type checker alone
    Wrapper = models.ExpressionWrapper


class Literal(models.Value):
    """A constant of ours that stands in the SQL's text itself."""

    def __init__(self, value: str) -> None:
        if not value.replace("_", "").isalnum() and value:
            raise ValueError(f"{value!r} is not one of our own constants.")
        super().__init__(str(value), output_field=models.CharField())

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return f"'{self.value}'", ()


class Flag(models.Value):
    """
    A boolean that a column is compared with, spelled out.

    Left to itself, Django writes ``NOT column`` in one version and ``column = 0`` in another, and SQLite uses an index only
    for a query that has its condition word for word.
    """

    def __init__(self, value: bool) -> None:
        super().__init__(value, output_field=models.BooleanField())

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return flag(connection, self.value), ()


def flag(connection: BaseDatabaseWrapper, value: bool) -> str:
    """The same for SQL of our own."""
    return str(value).upper() if connection.vendor == "postgresql" else str(int(value))


class Implied(Wrapper):
    """
    An index's condition beside a narrower one that implies it.

    SQLite uses the index only for a query that has its condition word for word. PostgreSQL finds out by itself, and told
    twice it would multiply what each of the two leaves over, and expect a hundredth of the rows that there are.
    """

    def __init__(self, condition: models.Q) -> None:
        super().__init__(condition, output_field=models.BooleanField())

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return "TRUE", ()


class PartialIndex(models.Index):
    """
    Partial on PostgreSQL and SQLite; on MySQL and MariaDB, which have no such thing, led by the columns of the condition.

    Django's own ``Index(condition=...)`` is left out there altogether, and warns.

    :param where: which rows the index holds.
    :param lead: the columns that stand first where the condition cannot be kept.
    """

    def __init__(self, *, where: models.Q, lead: Sequence[str] = (), fields: Sequence[str], name: str) -> None:
        super().__init__(fields=fields, name=name)
        self.where = where
        self.lead = tuple(lead)

    def deconstruct(self) -> Any:
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "where": self.where, "lead": self.lead}

    def create_sql(
        self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor, using: str = "", **kwargs: Any
    ) -> Any:
        return self._as_vendor_can(schema_editor).create_sql(model, schema_editor, using, **kwargs)

    def _as_vendor_can(self, schema_editor: BaseDatabaseSchemaEditor) -> models.Index:
        if schema_editor.connection.features.supports_partial_indexes:
            return models.Index(fields=self.fields, name=self.name, condition=self.where)
        return models.Index(fields=[*self.lead, *self.fields], name=self.name)


class PartialUnique(models.UniqueConstraint):
    """
    A unique constraint whose rows are few: partial where the vendor can, which spares all other rows an entry.

    Elsewhere it says the same without its condition, which must leave out none but rows with NULL in a field.

    :param where: which rows the constraint is about.
    """

    def __init__(self, *, where: models.Q, fields: Sequence[str], name: str) -> None:
        super().__init__(fields=fields, name=name)
        self.where = where

    def deconstruct(self) -> Any:
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "where": self.where}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PartialUnique) and super().__eq__(other) and self.where == other.where

    __hash__ = None  # type: ignore[assignment]  # as Django's constraints, which are compared and never hashed

    def constraint_sql(self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> Any:
        return self._as_vendor_can(schema_editor).constraint_sql(model, schema_editor)

    def create_sql(self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> Any:
        return self._as_vendor_can(schema_editor).create_sql(model, schema_editor)

    def remove_sql(self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> Any:
        return self._as_vendor_can(schema_editor).remove_sql(model, schema_editor)

    def _as_vendor_can(self, schema_editor: BaseDatabaseSchemaEditor | None) -> models.UniqueConstraint:
        partial = schema_editor is not None and schema_editor.connection.features.supports_partial_indexes
        return models.UniqueConstraint(fields=self.fields, name=self.name, condition=self.where if partial else None)
