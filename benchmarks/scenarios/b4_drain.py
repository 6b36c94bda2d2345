"""B4: a worker process drains a queue of workflows of one step."""

from __future__ import annotations

from benchmarks.arena import Arena
from benchmarks.case import DBOS, FLOOR, OURS, Bar, Case, Entry
from benchmarks.protocol import Measured


def fill(arena: Arena, entry: Entry, size: int) -> None:
    """Enqueue in a process of its own."""
    with arena.process() as process:
        process.measure("enqueue", size)


def drain(arena: Arena, entry: Entry, size: int) -> Measured:
    """A worker that comes up cold and works until nothing is left."""
    with arena.process() as process:
        return process.measure("drain", size)


CASES = (
    Case(
        key="B4", title="Drain a queue of workflows of one step, one worker process", unit="workflow", size=10_000, quick=2000,
        entries=(
            Entry(contender=OURS, operation="drain"),
            Entry(contender=DBOS, operation="drain", share=0.2),
            Entry(contender=FLOOR, operation="drain"),
        ),
        bars=(Bar(against=DBOS, times=15),), ready=fill, measure=drain, counted=500, databases=("postgresql", "sqlite"),
    ),
)  # fmt: skip
