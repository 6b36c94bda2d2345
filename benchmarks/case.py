"""What a scenario is made of: cases, each a line-up of contenders and a way to measure them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.arena import Arena
from benchmarks.protocol import Measured

WARM_UP = 50  # units; always as many, so that they cancel out of what is counted
OURS, DBOS, FLOOR = "durable_workflows", "dbos", "floor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    One contender in a case.

    :param share: of the case's size that it is given; a slow one need not do all to show its rate.
    """

    contender: str
    operation: str
    label: str = ""
    share: float = 1.0

    @property
    def title(self) -> str:
        return self.label or self.contender


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """
    What the first entry must reach.

    :param against: the title of another entry, whose rate ours must be ``times`` of;
    :param rate: or so many units a second;
    :param below: or the latency's name, percentile and limit in milliseconds.
    """

    against: str = ""
    times: float = 0.0
    rate: float = 0.0
    below: tuple[str, int, float] | None = None


def nothing(arena: Arena, entry: Entry, size: int) -> None:
    """No preparation."""


def warmed(arena: Arena, entry: Entry, size: int) -> Measured:
    """The operation in a process of its own, after some of it for warming up."""
    with arena.process() as process:
        process.measure(entry.operation, WARM_UP)
        return process.measure(entry.operation, size)


def filled_with(operation: str) -> Callable[[Arena, Entry, int], None]:
    """Fill a queue by this operation, in a process of its own."""

    def fill(arena: Arena, entry: Entry, size: int) -> None:
        with arena.process() as process:
            process.measure(operation, size)

    return fill


def cold(arena: Arena, entry: Entry, size: int) -> Measured:
    """The operation in a process that comes up for it."""
    with arena.process() as process:
        return process.measure(entry.operation, size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    One table of the report.

    :param unit: what is counted. :param size: how many, :param quick: and in a quick run.
    :param ready: prepares a repetition, unmeasured; :param measure: measures it, in processes that end with it.
    :param counted: the size of the smaller counted pass; 0: costs are not counted.
    """

    key: str
    title: str
    unit: str
    size: int
    quick: int
    entries: Sequence[Entry]
    bars: Sequence[Bar] = ()
    ready: Callable[[Arena, Entry, int], None] = nothing
    measure: Callable[[Arena, Entry, int], Measured] = warmed
    counted: int = 100
    databases: Sequence[str] = ("postgresql",)

    def entries_on(self, database: str) -> list[Entry]:
        """Who can take part on a kind of database; the floors speak PostgreSQL."""
        return [entry for entry in self.entries if database == "postgresql" or entry.contender in (OURS, DBOS)]
