"""B3: putting work into a queue that nobody serves."""

from __future__ import annotations

from benchmarks.case import DBOS, FLOOR, OURS, Bar, Case, Entry


def _entries(operation: str) -> tuple[Entry, ...]:
    return tuple(Entry(contender=name, operation=operation) for name in (OURS, DBOS, FLOOR))


CASES = (
    Case(
        key="B3", title="Enqueue one by one", unit="workflow", size=1000, quick=300,
        entries=_entries("enqueue"), bars=(Bar(against=DBOS, times=5),), databases=("postgresql", "sqlite"),
    ),
    Case(
        key="B3", title="Enqueue inside one transaction", unit="workflow", size=1000, quick=300,
        entries=_entries("enqueue_atomic"), bars=(Bar(against=DBOS, times=5),),
    ),
    Case(
        key="B3", title="Enqueue 10,000 in bulk", unit="workflow", size=10_000, quick=2000,
        entries=(
            *_entries("enqueue_bulk"),
            Entry(contender=DBOS, operation="enqueue", label="dbos, one by one", share=0.1),
        ),
        bars=(Bar(against="dbos, one by one", times=50),), counted=1000,
    ),
)  # fmt: skip
