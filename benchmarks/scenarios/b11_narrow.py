"""B11: a queue whose runs go one at a time."""

from __future__ import annotations

from benchmarks.case import OURS, Bar, Case, Entry, cold, filled_with

CASES = (
    Case(
        key="B11", title="Drain a queue with concurrency=1, one worker process", unit="workflow", size=3000, quick=500,
        entries=(Entry(contender=OURS, operation="drain_narrow"),), bars=(Bar(rate=500),),
        ready=filled_with("enqueue_narrow"), measure=cold, counted=500, databases=("postgresql", "sqlite"),
    ),
)  # fmt: skip
