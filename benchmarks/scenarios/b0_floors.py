"""B0: what the machine allows."""

from __future__ import annotations

from benchmarks.case import FLOOR, OURS, Case, Entry

CASES = (
    Case(
        key="B0", title="Floors: one INSERT, one commit", unit="row", size=2000, quick=500,
        entries=(
            Entry(contender=FLOOR, operation="fenced_inserts", label="psycopg, fenced"),
            Entry(contender=FLOOR, operation="plain_inserts", label="psycopg, plain"),
            Entry(contender=OURS, operation="orm_create", label="ORM create"),
            Entry(contender="pgbench", operation="plain_inserts", label="pgbench, plain"),
        ),
    ),
)  # fmt: skip
