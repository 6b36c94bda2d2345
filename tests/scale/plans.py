"""
What the database makes of the product's own statements, read from its plans: which index, how many rows, how many pages.

The statements are caught on their way to the driver, explained there (on PostgreSQL also executed, and undone), and then
go on. No planner setting is touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import psycopg
from django.db import connection, transaction

from durable_workflows.models import WorkflowRun, prepared

RUNS = WorkflowRun._meta.db_table
OWN = ("EXPLAIN", "SAVEPOINT", "RELEASE", "ROLLBACK")


@dataclass(frozen=True)
class Node:
    """A node of PostgreSQL's plan, or a line of SQLite's."""

    text: str
    kind: str = ""
    table: str = ""
    index: str = ""
    rows: int = 0
    pages: int = 0


@dataclass(frozen=True)
class Plan:
    """The plan of one statement."""

    sql: str
    params: tuple[Any, ...]
    nodes: tuple[Node, ...]

    @property
    def statement(self) -> tuple[str, tuple[Any, ...]]:
        return self.sql, self.params

    @property
    def pages(self) -> int:
        """How many pages (PostgreSQL's buffers) were looked at."""
        return self.nodes[0].pages

    def uses(self, index: str) -> bool:
        return any(node.index == index or re.search(rf"USING (COVERING )?INDEX {index}\b", node.text) for node in self.nodes)

    def scans_the_runs(self) -> bool:
        """Whether it reads the whole table of runs. SQLite names a subquery's table by its alias."""
        if connection.vendor == "postgresql":
            return any(node.kind == "Seq Scan" and node.table == RUNS for node in self.nodes)
        scans = [node.text for node in self.nodes if node.text.startswith((f"SCAN {RUNS}", "SCAN U0"))]
        return any(not re.search(r"USING (COVERING )?INDEX durable_run_", scan) for scan in scans)


@dataclass
class Explained:
    """The plans of what a function of the product executed, and what it returned."""

    returned: Any = None
    plans: list[Plan] = field(default_factory=list)

    @property
    def pages(self) -> int:
        return sum(plan.pages for plan in self.plans)

    def __str__(self) -> str:
        return "\n\n".join(
            f"{' '.join(plan.sql.split())[:400]}\n" + "\n".join(f"    {node.text}" for node in plan.nodes)
            for plan in self.plans
        )


def explain(work: Callable[[Any], Any]) -> Explained:
    """Call ``work(connection)`` in a transaction that is undone, and explain each statement it executes."""
    explained = Explained()
    with transaction.atomic(), _caught(explained.plans.append):
        explained.returned = work(connection)
        transaction.set_rollback(True)
    return explained


@contextmanager
def _caught(tell: Callable[[Plan], None]) -> Iterator[None]:
    def of_django(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.startswith(OWN):
            tell(plan_of(sql, params))
        return execute(sql, params, many, context)

    def told(execute: Any) -> Any:
        def execute_told(connection: Any, sql: str, params: Any) -> Any:
            tell(plan_of(sql, params))
            return execute(connection, sql, params)

        return execute_told

    hot = {"run": told(prepared.run), "send": told(prepared.send)}  # which pass by Django's wrappers
    with connection.execute_wrapper(of_django), patch.multiple(prepared, **hot):
        yield


def plan_of(sql: str, params: Any) -> Plan:
    """How the database executes a statement."""
    if connection.vendor == "postgresql":
        return _postgresql(sql, params)
    cursor = connection.connection.cursor()
    rows = cursor.execute(f"EXPLAIN QUERY PLAN {sql.replace('%s', '?').replace('%%', '%')}", tuple(params or ()))
    return Plan(sql, tuple(params or ()), tuple(Node(text=row[3]) for row in rows))


def _postgresql(sql: str, params: Any) -> Plan:
    cursor = psycopg.ClientCursor(connection.connection)
    cursor.execute("SAVEPOINT explaining")
    cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", params)
    row = cursor.fetchone()
    cursor.execute("ROLLBACK TO SAVEPOINT explaining")
    assert row is not None
    return Plan(sql, tuple(params), tuple(_walk(row[0][0]["Plan"], 0)))


def _walk(plan: dict[str, Any], depth: int) -> Iterator[Node]:
    pages = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    what = [plan["Node Type"], plan.get("Relation Name", ""), plan.get("Index Name", ""), f"rows {plan['Actual Rows']}"]
    yield Node(
        text=f"{'  ' * depth}{' '.join(filter(None, what))} pages {pages} {plan.get('Index Cond', '')}",
        kind=plan["Node Type"],
        table=plan.get("Relation Name", ""),
        index=plan.get("Index Name", ""),
        rows=int(plan["Actual Rows"] * plan["Actual Loops"]),
        pages=pages,
    )
    for child in plan.get("Plans", ()):
        yield from _walk(child, depth + 1)
