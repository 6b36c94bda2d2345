"""B4: a worker process drains a queue of workflows of one step."""

from __future__ import annotations

from benchmarks.case import DBOS, FLOOR, OURS, Bar, Case, Entry, cold, filled_with

CASES = (
    Case(
        key="B4", title="Drain a queue of workflows of one step, one worker process", unit="workflow", size=10_000, quick=2000,
        entries=(
            Entry(contender=OURS, operation="drain"),
            Entry(contender=DBOS, operation="drain", share=0.2),
            Entry(contender=FLOOR, operation="drain"),
        ),
        bars=(Bar(against=DBOS, times=15),),
        ready=filled_with("enqueue"), measure=cold, counted=500, databases=("postgresql", "sqlite"),
    ),
)  # fmt: skip
