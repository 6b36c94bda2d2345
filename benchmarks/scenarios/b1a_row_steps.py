"""B1a: the same, each step writing a row through the ORM in the checkpoint's transaction."""

from __future__ import annotations

from benchmarks.case import DBOS, FLOOR, OURS, Bar, Case, Entry

CASES = (
    Case(
        key="B1a", title="One workflow of many steps that write a row with their checkpoint", unit="step", size=500, quick=150,
        entries=tuple(Entry(contender=name, operation="row_steps") for name in (OURS, DBOS, FLOOR)),
        bars=(Bar(against=DBOS, times=3),),
        databases=("postgresql", "sqlite"),
    ),
)  # fmt: skip
