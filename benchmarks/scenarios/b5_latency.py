"""B5: an idle system is asked for one workflow of one step; how long until it starts, and until its result is here."""

from __future__ import annotations

from benchmarks.arena import Arena
from benchmarks.case import DBOS, FLOOR, OURS, Bar, Case, Entry
from benchmarks.protocol import Measured


def answered(arena: Arena, entry: Entry, size: int) -> Measured:
    """One process serves, another one asks."""
    with arena.process() as worker, arena.process() as client:
        worker.call("serve")
        client.measure("latencies", 1)
        return client.measure("latencies", size)


CASES = (
    Case(
        key="B5", title="Idle: enqueue to start, and to result", unit="workflow", size=40, quick=10,
        entries=(
            Entry(contender=OURS, operation="latencies"),
            Entry(contender=DBOS, operation="latencies", share=0.25),
            Entry(contender=FLOOR, operation="latencies"),
        ),
        bars=(Bar(below=("result", 50, 10.0)), Bar(below=("result", 99, 50.0))), measure=answered, counted=0,
    ),
    Case(
        key="B5", title="Idle, on SQLite: enqueue to start, and to result", unit="workflow", size=40, quick=10,
        entries=(Entry(contender=OURS, operation="latencies"), Entry(contender=DBOS, operation="latencies", share=0.25)),
        bars=(Bar(below=("result", 50, 30.0)),), measure=answered, counted=0, databases=("sqlite",),
    ),
)  # fmt: skip
