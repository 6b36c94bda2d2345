"""B2: workflows of one step, called directly one after another."""

from __future__ import annotations

from benchmarks.case import DBOS, FLOOR, OURS, Bar, Case, Entry

CASES = (
    Case(
        key="B2", title="Direct calls of a workflow of one step", unit="workflow", size=500, quick=150,
        entries=tuple(Entry(contender=name, operation="calls") for name in (OURS, DBOS, FLOOR)),
        bars=(Bar(against=DBOS, times=5),),
        databases=("postgresql", "sqlite"),
    ),
)  # fmt: skip
