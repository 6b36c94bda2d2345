"""B11: a queue whose runs go one at a time."""

from __future__ import annotations

from benchmarks.arena import Arena
from benchmarks.case import OURS, Bar, Case, Entry
from benchmarks.protocol import Measured


def fill(arena: Arena, entry: Entry, size: int) -> None:
    """Enqueue in a process of its own."""
    with arena.process() as process:
        process.measure("enqueue_narrow", size)


def drain(arena: Arena, entry: Entry, size: int) -> Measured:
    """A worker that comes up cold and works until nothing is left."""
    with arena.process() as process:
        return process.measure("drain_narrow", size)


CASES = (
    Case(
        key="B11", title="Drain a queue with concurrency=1, one worker process", unit="workflow", size=3000, quick=500,
        entries=(Entry(contender=OURS, operation="drain_narrow"),), bars=(Bar(rate=500),), ready=fill, measure=drain,
        counted=500, databases=("postgresql", "sqlite"),
    ),
)  # fmt: skip
