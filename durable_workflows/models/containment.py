"""
Whether a run's attributes contain others, on every vendor.

A dict is contained in one that has its keys, each with a value that contains the other's; a list in one among whose items
there is one for each of its own; text, numbers, booleans and null in what equals them. That is what PostgreSQL says of
``jsonb``. SQLite has no such operator, so it walks with ``json_each``, a step for each level; MySQL and MariaDB have one that
says something else (a list contains what equals one of its items), so there each value is looked up by its path, and it is
asked only about the items of lists; a list directly within a list may then be found where it is no item itself. Django's own
lookups do neither, and take the key "0" for the place of an item.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, Expression, F

Found = tuple[str, list[Any]]


class Contains(Expression):
    """A condition: that a JSON column contains a dict."""

    conditional = True
    output_field = BooleanField()

    def __init__(self, column: str, wanted: Mapping[str, Any]) -> None:
        super().__init__()
        self.column: Any = F(column)
        self.wanted = wanted

    def get_source_expressions(self) -> list[Any]:
        return [self.column]

    def set_source_expressions(self, exprs: Any) -> None:
        (self.column,) = exprs

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper, **extra: Any) -> tuple[str, Any]:
        column, params = compiler.compile(self.column)
        if connection.vendor == "postgresql":
            return f"{column} @> %s::jsonb", [*params, json.dumps(self.wanted)]
        sql, found = _BY_VENDOR[connection.vendor](column, self.wanted)
        return f"({sql})", found

    def get_group_by_cols(self) -> list[Any]:
        return [self.column]


def _all(*conditions: Found) -> Found:
    return reduce(lambda one, two: (f"{one[0]} AND {two[0]}", [*one[1], *two[1]]), conditions)


def _walked(column: str, wanted: Any) -> Found:
    """On SQLite: the value itself is the one row of what ``json_each`` makes of a list around it."""
    sql, params = _fits("j0", wanted, 1)
    return f"EXISTS (SELECT 1 FROM json_each('[' || {column} || ']') AS j0 WHERE {sql})", params


def _fits(row: str, wanted: Any, level: int) -> Found:
    """What is true of a row of ``json_each`` whose value contains this."""
    if isinstance(wanted, dict):
        return _all((f"{row}.type = 'object'", []), *(_has(row, part, level, key) for key, part in wanted.items()))
    if isinstance(wanted, list):
        return _all((f"{row}.type = 'array'", []), *(_has(row, part, level) for part in wanted))
    if wanted is None or isinstance(wanted, bool):
        return f"{row}.type = %s", [json.dumps(wanted)]
    if isinstance(wanted, str):
        return f"{row}.type = 'text' AND {row}.atom = %s", [wanted]
    return f"{row}.type IN ('integer', 'real') AND {row}.atom = {_number(wanted)}", []


def _has(row: str, wanted: Any, level: int, key: str | None = None) -> Found:
    inner = f"j{level}"
    sql, params = _fits(inner, wanted, level + 1)
    named, names = ("", []) if key is None else (f"{inner}.key = %s AND ", [key])
    return f"EXISTS (SELECT 1 FROM json_each({row}.value) AS {inner} WHERE {named}{sql})", [*names, *params]


def _number(wanted: float) -> str:
    """As a literal: SQLite cannot be given an integer of more than 64 bits, and reads one as the nearest float."""
    return json.dumps(wanted)


def _looked_up(column: str, wanted: Any, path: str = "$") -> Found:
    """On MySQL and MariaDB, by paths."""
    here, at = f"JSON_EXTRACT({column}, %s)", [path]
    kind = f"JSON_TYPE({here})"
    if isinstance(wanted, dict):
        # In the path as in the column, since MariaDB compares keys by their spelling: with escapes, as json.dumps has them.
        inner = (_looked_up(column, part, f"{path}.{json.dumps(key)}") for key, part in wanted.items())
        return _all((f"{kind} = 'OBJECT'", at), *inner)
    if isinstance(wanted, list):
        each = ((f"JSON_CONTAINS({here}, %s)", [*at, json.dumps(part)]) for part in wanted)
        return _all((f"{kind} = 'ARRAY'", at), *each)
    if wanted is None:
        return f"{kind} = 'NULL'", at
    if isinstance(wanted, bool):
        return f"{kind} = 'BOOLEAN' AND JSON_UNQUOTE({here}) = %s", [*at, *at, json.dumps(wanted)]
    if isinstance(wanted, str):  # compared as bytes: a collation may take one letter for another
        return f"{kind} = 'STRING' AND CAST(JSON_UNQUOTE({here}) AS BINARY) = CAST(%s AS BINARY)", [*at, *at, wanted]
    numbers = f"CAST(JSON_UNQUOTE({here}) AS DECIMAL(65, 20)) = CAST(%s AS DECIMAL(65, 20))"
    return f"{kind} IN ('INTEGER', 'UNSIGNED INTEGER', 'DECIMAL', 'DOUBLE') AND {numbers}", [*at, *at, json.dumps(wanted)]


_BY_VENDOR: dict[str, Callable[[str, Any], Found]] = {"sqlite": _walked, "mysql": _looked_up}
