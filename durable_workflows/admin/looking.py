"""
Reading a long list of runs a page at a time, at a cost that does not grow with the table.

* A page begins after a row, whose time of creation and id are in the address, and not at a number: nothing is skipped
  over, an address says the same runs tomorrow, and runs that come meanwhile move none from one page to the next.
* What an index holds and is *few* is read from it, and sorted.
* Anything else is read along an index in the order of creation, and no farther than ``FARTHEST`` of its rows. What that
  look did not find, the next one may: it goes on where this one stopped, and the page says so. A filter that fits one
  run in a million would else read the whole table for a page, and whether it fits that few no planner can foresee.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce

from durable_workflows.conf import uses_time_zones
from durable_workflows.models import WorkflowRun

FARTHEST = 50_000  # runs that one look passes, if they lie beside each other
FARTHEST_APART = 10_000  # and if they lie all over the table, each on a page of its own
FEW = 10_000  # rows of an index that are fetched and sorted
COUNTED = 10_000  # what is more is "more than"

Runs = QuerySet[WorkflowRun]
FIRST, LAST = "", chr(0x10FFFF)  # sort before and after every id
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
FAR_OFF = 200_000_000_000_000_000  # microseconds from then, in the year 8307


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ends and the next one begins: a run, or what would stand at its place."""

    created_at: datetime
    id: str

    @classmethod
    def of(cls, run: WorkflowRun) -> Self:
        return cls(run.created_at, run.pk)

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ``ValueError`` for what no place was written as."""
        micros, _, run_id = text.partition(".")
        if "\0" in run_id or not 0 <= int(micros) <= FAR_OFF:
            raise ValueError(f"{text!r} is no place in a list of runs.")
        moment = EPOCH + int(micros) * MICROSECOND
        return cls(moment if uses_time_zones() else moment.replace(tzinfo=None), run_id)

    def beside(self, *, later: bool) -> Place:
        """A place next to this run, so that a list which begins there has it."""
        return Place(self.created_at + MICROSECOND, FIRST) if later else Place(self.created_at - MICROSECOND, LAST)

    def __str__(self) -> str:
        moment = self.created_at if self.created_at.tzinfo else self.created_at.replace(tzinfo=UTC)
        return f"{(moment - EPOCH) // MICROSECOND}.{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """
    Some runs, in the order of the list.

    :param before: where the page before begins, read backwards; None: this is the first.
    :param after: where the next one begins; None: this is the last.
    :param edge: what was looked at: no further than here.
    """

    runs: Sequence[WorkflowRun]
    before: Place | None = None
    after: Place | None = None
    edge: datetime | None = None
    full: bool = False

    @property
    def until(self) -> datetime | None:
        """Where the look ended, if that was before the page was full."""
        return None if self.full else self.edge


@dataclass(frozen=True, slots=True)
class Count:
    """
    How many runs there are, as far as they were counted.

    :param more: whether there are more than were counted.
    :param until: the count ended here; None: it looked at all.
    """

    number: int
    more: bool = False
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """
    What a list is of, and how it is read.

    :param matching: the runs of the list.
    :param along: what an index holds in the order of creation, which ``matching`` is a part of.
    :param farthest: how many of ``along`` one look passes.
    :param few: whether an index finds ``matching`` among few.
    """

    matching: Runs
    along: Runs
    farthest: int = 0
    few: bool = False
    newest_first: bool = True

    def page(self, size: int, *, after: Place | None = None, before: Place | None = None) -> Page:
        """So many runs ``after`` a place or ``before`` one; the first page if neither is given, or none are before."""
        if before is not None:
            found = replace(self, newest_first=not self.newest_first)._read(size, before)
            if found.after is not None:
                end = Place.of(found.runs[0]) if found.runs else before.beside(later=self.newest_first)
                return replace(found, runs=found.runs[::-1], before=found.after, after=end)
            after = None
        found = self._read(size, after)
        if after is None:
            return found
        return replace(found, before=Place.of(found.runs[0]) if found.runs else after.beside(later=not self.newest_first))

    def _read(self, size: int, place: Place | None) -> Page:
        edge = self._edge(place)
        found = list(self._ordered(self._between(self.matching, place, edge))[: size + 1])
        if len(found) > size:
            return Page(runs=found[:size], after=Place.of(found[size - 1]), edge=edge, full=True)
        rest = Place(edge, FIRST if self.newest_first else LAST) if edge else None
        return Page(runs=found, after=rest, edge=edge)

    def count(self, first: Page | None = None) -> Count:
        """
        How many there are; no more than ``COUNTED`` of them, and no farther than one look goes.

        :param first: the first page, if it was read already: it may have all that there are.
        """
        if first is not None and not first.full:
            return Count(len(first.runs), first.edge is not None, first.edge)
        until = self._edge(None) if first is None else first.edge
        # The column that stands in each index which a look goes along: it alone is read, where nothing else is asked.
        counted = self._between(self.matching, None, until).order_by().values("created_at")
        number = counted[: COUNTED + 1].count()
        more = number > COUNTED
        return Count(min(number, COUNTED), more or until is not None, None if more else until)

    def _edge(self, place: Place | None) -> datetime | None:
        """How far a look goes from here: the index is read, and none of the rows; None if it ends before that."""
        if self.few:
            return None
        ahead = self._between(self.along, place and Place(place.created_at, ""), None, strictly=False)
        order = "-created_at" if self.newest_first else "created_at"
        return ahead.order_by(order).values_list("created_at", flat=True)[self.farthest : self.farthest + 1].first()

    def _between(self, runs: Runs, place: Place | None, until: datetime | None, *, strictly: bool = True) -> Runs:
        back, on = ("gte", "lt") if self.newest_first else ("lte", "gt")
        if until is not None:
            runs = runs.filter(**{f"created_at__{back}": until})
        if place is not None:
            runs = runs.filter(**{f"created_at__{on}e": place.created_at})
        if place is not None and strictly:
            beyond = Q(**{f"created_at__{on}": place.created_at})
            runs = runs.filter(beyond | Q(**{f"pk__{on}": place.id}))
        return runs

    def _ordered(self, runs: Runs) -> Runs:
        # Few are sorted: an order that no index has keeps the planner from walking along the one of all runs for them.
        moment: Any = Coalesce("created_at", "updated_at") if self.few else F("created_at")
        return runs.order_by(moment.desc(), "-pk") if self.newest_first else runs.order_by(moment.asc(), "pk")


def is_few(runs: Runs) -> bool:
    """
    Whether these are no more than one fetches and sorts.

    :param runs: what an index has; if it is the key's, in its order.
    """
    return runs.values("pk")[: FEW + 1].count() <= FEW
