"""B1: a workflow of 1,000 steps that touch no table."""

from __future__ import annotations

from benchmarks.case import DBOS, FLOOR, OURS, Bar, Case, Entry

CASES = (
    Case(
        key="B1", title="One workflow of many steps that touch no table", unit="step", size=1000, quick=300,
        entries=tuple(Entry(contender=name, operation="steps") for name in (OURS, DBOS, FLOOR)),
        bars=(Bar(against=DBOS, times=5), Bar(against=FLOOR, times=0.6)),
        databases=("postgresql", "sqlite"),
    ),
)  # fmt: skip
