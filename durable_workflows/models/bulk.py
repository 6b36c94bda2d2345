"""
Many new runs as one statement with one parameter, on PostgreSQL.

A list of VALUES says the same, at several times the cost: psycopg looks at each of its thousands of parameters, and the
server parses them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from durable_workflows.models import dialects
from durable_workflows.models.newruns import PLAIN, TIMES, NewRun, times, values
from durable_workflows.models.runs import WorkflowRun


def statement(runs: Sequence[NewRun]) -> tuple[str, list[Any]]:
    """SQL and parameter."""
    return _INSERT, [dialects.recordset([*PLAIN, *TIMES], map(_row, runs, range(len(runs))))]


def _row(run: NewRun, number: int) -> list[Any]:
    deadline = run.deadline.isoformat() if run.deadline else None
    return [*values(run, deadline), *times(run, number)]


_TYPES = ", ".join(f'"{name}" {kind}' for name, kind in [*PLAIN.items(), *((name, "float8") for name in TIMES)])
_COLUMNS = ", ".join(f'"{name}"' for name in [*PLAIN, *TIMES])
_PLAIN = ", ".join(f'v."{name}"{"::jsonb" if name == "attributes" else ""}' for name in PLAIN)
_TIMES = ", ".join(f"{dialects.PG_NOW} + v.{name} * interval '1 second'" for name in TIMES)
_INSERT = (
    f"INSERT INTO {WorkflowRun._meta.db_table} ({_COLUMNS})"
    f" SELECT {_PLAIN}, {_TIMES} FROM json_to_recordset(%s::json) AS v({_TYPES})"
)
