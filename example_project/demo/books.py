"""
The effects, counted by plain SQL on a connection of Python's own ``sqlite3``: no ORM and no engine between.

A ``Promise`` is one count that must come out; an ``Act`` is one run with all that it promised.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from durable_workflows.states import TERMINAL, RunState

Books = sqlite3.Connection


@dataclass(frozen=True, slots=True)
class Promise:
    """
    How often an effect must be there in the end.

    :param count: counts it in the open books.
    """

    what: str
    expected: int
    count: Callable[[Books], int]


def counted(what: str, expected: int, sql: str, *params: object) -> Promise:
    """A promise about the one number that a SELECT answers."""
    return Promise(what, expected, partial(_number, sql=sql, params=params))


def _number(books: Books, *, sql: str, params: Sequence[object]) -> int:
    (number,) = books.execute(sql, params).fetchone()
    return int(number or 0)


@dataclass(frozen=True, slots=True)
class Act:
    """
    A run of the demo.

    :param run_id: None for what is no run, and is checked when all runs have ended.
    :param ends: the status in which it comes to rest.
    :param hint: shown with it.
    """

    title: str
    run_id: str | None
    promises: tuple[Promise, ...] = ()
    ends: str = RunState.SUCCESS
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """A promise, and what the books say of it now."""

    what: str
    expected: int
    found: int

    @property
    def kept(self) -> bool:
        return self.found == self.expected


@dataclass(frozen=True, slots=True)
class Standing:
    """How an act stands."""

    act: Act
    status: str
    recoveries: int
    counts: tuple[Count, ...]

    @property
    def at_rest(self) -> bool:
        """Whether nothing more is expected to happen."""
        return self.status in TERMINAL or self.status == self.act.ends

    def problems(self) -> list[str]:
        """What is wrong, once everything is at rest."""
        found = [f"{self.act.title}: {c.what} {c.found} times, not {c.expected}" for c in self.counts if not c.kept]
        if self.act.run_id is not None and self.status not in (self.act.ends, RunState.SUCCESS):
            found.append(f"{self.act.title}: its run is {self.status or 'missing'}, not {self.act.ends}")
        return found


@contextmanager
def opened(database: Path) -> Iterator[Books]:
    """The books, to be read only."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=20)) as books:
        yield books


def standings(books: Books, acts: Sequence[Act]) -> list[Standing]:
    """How all acts stand."""
    runs = [_standing(books, act) for act in acts if act.run_id is not None]
    rest = all(run.at_rest for run in runs)
    others = [Standing(act, RunState.SUCCESS if rest else "", 0, _counts(books, act)) for act in acts if act.run_id is None]
    return runs + others


def _standing(books: Books, act: Act) -> Standing:
    sql = "SELECT status, recovery_attempts FROM durable_workflows_workflowrun WHERE id = ?"
    status, starts = books.execute(sql, (act.run_id,)).fetchone() or ("", 0)
    return Standing(act, status, max(0, starts - 1), _counts(books, act))


def _counts(books: Books, act: Act) -> tuple[Count, ...]:
    return tuple(Count(promise.what, promise.expected, promise.count(books)) for promise in act.promises)


def runs_beside(books: Books, acts: Sequence[Act]) -> dict[str, int]:
    """How many runs there are by status that belong to no act: those that somebody started in the browser."""
    known = [act.run_id for act in acts if act.run_id is not None]
    marks = ", ".join("?" * len(known))
    sql = (
        f"SELECT status, count(*) FROM durable_workflows_workflowrun WHERE id NOT IN ({marks})"
        f" AND (parent_id IS NULL OR parent_id NOT IN ({marks})) GROUP BY status"
    )
    return dict(books.execute(sql, [*known, *known]).fetchall())
