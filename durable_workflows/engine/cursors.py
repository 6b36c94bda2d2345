"""How far a loop over many rows has come, and how the rows after that are found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from django.db import router
from django.db.models import Manager, QuerySet
from django.db.models.query import ModelIterable, RawQuerySet

from durable_workflows.exceptions import InvalidUse
from durable_workflows.models import dialects

Found = list[tuple[Any, Any]]  # keys and items


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """
    How far a loop has come.

    :param last: the key of the last item; None: there was none yet.
    :param count: how many items there were.
    :param done: whether that was all.
    """

    last: Any = None
    count: int = 0
    done: bool = False

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Cursor:
        return cls(**stored)

    def stored(self) -> dict[str, Any]:
        return {"last": self.last, "count": self.count, "done": self.done}

    def behind(self, found: Found, size: int) -> Cursor:
        """Where a batch leads, of which so many were wanted."""
        last = found[-1][0] if found else self.last
        return Cursor(last=last, count=self.count + len(found), done=len(found) < size)


class Source(Protocol):
    def after(self, cursor: Cursor, size: int) -> Found:
        """The next items, with the key of each; fewer than ``size`` if there are no more."""


def source_of(rows: Iterable[Any]) -> Source:
    """How ``rows`` are gone through. Raises ``InvalidUse`` for what would not be the same at a replay."""
    if isinstance(rows, Manager):
        rows = rows.all()
    if isinstance(rows, QuerySet):
        return _Rows(rows)
    if isinstance(rows, (set, frozenset, RawQuerySet)) or not isinstance(rows, Iterable):
        raise InvalidUse(
            f"durable_each() cannot go through a {type(rows).__name__}: its order may be another one at a replay. Give it a"
            " queryset, or a list; sorted(...) makes one of a set."
        )
    return _Items(rows)


class _Items:
    """Whatever can be gone through from the beginning; the key of an item is its index."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._left: Iterator[tuple[int, Any]] = enumerate(items)
        self._taken = 0

    def after(self, cursor: Cursor, size: int) -> Found:
        for _ in islice(self._left, cursor.count - self._taken):
            pass
        found = list(islice(self._left, size))
        self._taken = cursor.count + len(found)
        return found


class _Rows:
    """
    A queryset by its key: what comes after the last row is asked for by its value.

    So rows that are added further on are met, and those that are deleted do no harm; an offset would skip some.
    """

    def __init__(self, rows: QuerySet[Any]) -> None:
        _require_plain(rows)
        self._field, self._descending = _order(rows)
        self._rows = rows.using(_own_database(rows)).order_by(f"{'-' if self._descending else ''}{self._field}")

    def after(self, cursor: Cursor, size: int) -> Found:
        rows, operator = self._rows, "lt" if self._descending else "gt"
        if cursor.count:
            rows = rows.filter(**{f"{self._field}__{operator}": cursor.last})
        return [(self._key(row), row) for row in rows[:size]]

    def _key(self, row: Any) -> Any:
        return row.pk if self._field == "pk" else getattr(row, row._meta.get_field(self._field).attname)


def _require_plain(rows: QuerySet[Any]) -> None:
    if rows.query.is_sliced or rows.query.combinator or rows.query.distinct_fields:
        raise InvalidUse(
            "durable_each() was given a queryset that is sliced, combined or distinct on fields, which cannot be asked for what"
            " comes after a row. Give it one that is filtered."
        )
    if not issubclass(rows._iterable_class, ModelIterable):
        raise InvalidUse("durable_each() goes through model instances. Leave out values() and values_list(); only() is fine.")


def _order(rows: QuerySet[Any]) -> tuple[str, bool]:
    """The field by which to go, and whether downwards: the primary key, if not another unique one was asked for."""
    fields: Sequence[Any] = rows.query.order_by or rows.query.extra_order_by or ["pk"]
    name = fields[0] if len(fields) == 1 and isinstance(fields[0], str) else "?"
    field = name.removeprefix("-")
    if field != "pk" and not _is_unique(rows, field):
        raise InvalidUse(
            f"durable_each() was given a queryset that is ordered by {', '.join(map(str, fields))}, of which several rows may"
            " have the same. Leave order_by() out, or order by one unique field that is never NULL."
        )
    return field, name.startswith("-")


def _is_unique(rows: QuerySet[Any], name: str) -> bool:
    # Not a relation's: Django orders by what the other model is ordered by.
    known = {field.name: field for field in rows.model._meta.concrete_fields if not field.is_relation}
    return name in known and known[name].unique and not known[name].null


def _own_database(rows: QuerySet[Any]) -> str:
    """The runs' database, where a batch commits. Raises ``InvalidUse`` if the rows live elsewhere."""
    own, writes = dialects.alias(), getattr(rows, "_db", None) or router.db_for_write(rows.model)
    if writes != own:
        raise InvalidUse(
            f"durable_each() was given rows of the database {writes!r}, but a batch commits on {own!r}, with its record. Go"
            " through their keys there, and change them in steps that are safe to repeat."
        )
    return own
