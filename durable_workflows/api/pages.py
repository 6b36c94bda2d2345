"""Pages of many rows by place, not by number: each begins behind the last row of the one before, however many there are."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import and_, or_
from typing import Any

from django.db.models import Q, QuerySet

from durable_workflows.api.fields import Field
from durable_workflows.api.kinds import filled, whole
from durable_workflows.api.problems import BAD_REQUEST, Problem
from durable_workflows.exceptions import InvalidUse
from durable_workflows.filtering import moment
from durable_workflows.texts import valid_text

MOST, USUAL = 200, 50
LONGEST_CURSOR = 4000

LIMIT = Field("limit", whole(1, MOST), "So many at most.", default=USUAL)
CURSOR = Field("cursor", filled(LONGEST_CURSOR), "Where the page begins: `next` of the one before. With the same filters.")


@dataclass(frozen=True, slots=True)
class Order:
    """
    By which columns rows are in order; together they are unique.

    :param columns: each with the check that its value passes in a cursor.
    """

    columns: Sequence[tuple[str, Callable[[Any], Any]]]
    newest_first: bool = False

    def behind(self, place: Sequence[Any]) -> Q:
        """What comes after a row, of which these are the columns' values. The first column's index serves it."""
        side = "lt" if self.newest_first else "gt"
        names = [name for name, _ in self.columns]
        same = [Q(**dict(zip(names[:number], place, strict=False))) for number in range(len(names))]
        after = [Q(**{f"{name}__{side}": value}) for name, value in zip(names, place, strict=True)]
        behind: Q = reduce(or_, map(and_, same, after))
        return Q(**{f"{names[0]}__{side}e": place[0]}) & behind

    def names(self) -> list[str]:
        """The columns as ``order_by`` takes them."""
        return [f"-{name}" if self.newest_first else name for name, _ in self.columns]


def as_text(value: Any) -> str:
    """A text out of a cursor."""
    return valid_text(value, "A part of a cursor")


def as_number(value: Any) -> int:
    """A position out of a cursor."""
    if type(value) is not int or abs(value) >= 2**31:
        raise InvalidUse("A part of a cursor is a whole number.")
    return value


def as_moment(value: Any) -> datetime:
    """A moment out of a cursor."""
    return moment(as_text(value), "A part of a cursor")


def page(rows: QuerySet[Any], order: Order, cursor: str | None, limit: int) -> tuple[list[dict[str, Any]], str | None]:
    """
    The rows of a page, and the cursor of the next.

    :param rows: of ``values()``, which have the columns of the order.
    :raises Problem: if the cursor is none of this list.
    """
    if cursor is not None:
        rows = rows.filter(order.behind(_place(cursor, order)))
    found = list(rows.order_by(*order.names())[: limit + 1])
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], _cursor([last[name] for name, _ in order.columns])


def _cursor(place: Sequence[Any]) -> str:
    text = json.dumps([value.isoformat() if isinstance(value, datetime) else value for value in place])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _place(cursor: str, order: Order) -> list[Any]:
    try:
        stored = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if not isinstance(stored, list) or len(stored) != len(order.columns):
            raise ValueError("it is of another list")
        return [check(value) for (_, check), value in zip(order.columns, stored, strict=True)]
    except (ValueError, RecursionError, InvalidUse):
        raise Problem(BAD_REQUEST, "The cursor is none of this list. Begin without one.", parameter="cursor") from None
