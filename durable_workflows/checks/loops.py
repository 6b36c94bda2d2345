"""Loops over ``durable_each()``: their body is a part of a batch, as that of a step, and they cannot be left early."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from durable_workflows.checks.banned import Rule
from durable_workflows.checks.durable_calls import primitive, waits
from durable_workflows.checks.names import Names
from durable_workflows.checks.sources import NESTED, Source, own

WAITS_IN_LOOP = Rule(
    "durable_workflows.W047",
    "{what} waits with {call}() in a loop over durable_each(). A batch is a transaction and cannot be suspended, so it fails.",
    "Wait after the loop, or start a child workflow for each row.",
)
LEAVES_EARLY = Rule(
    "durable_workflows.W048",
    "{what} leaves a loop over durable_each() with {call}. The unfinished batch is rolled back, and the workflow fails, since"
    " a replay could not tell that the loop was left.",
    "Narrow the rows, or `continue` past the rest.",
)
LOOPS = (ast.For, ast.While)


def in_loops(source: Source, names: Names) -> Iterator[ast.For]:
    """The loops over ``durable_each()`` of a body."""
    for node in source.body():
        if isinstance(node, ast.For) and _is_durable(node.iter, names):
            yield node


def _is_durable(rows: ast.expr, names: Names) -> bool:
    return isinstance(rows, ast.Call) and primitive(names.resolve(rows.func)) == "durable_each"


def calls_in(loop: ast.For) -> list[ast.Call]:
    """The calls in a loop's body."""
    return [node for statement in loop.body for node in own(statement) if isinstance(node, ast.Call)]


def mistakes(loop: ast.For, names: Names) -> Iterator[tuple[ast.expr | ast.stmt, Rule]]:
    """What waits in a loop, and what leaves it early."""
    yield from ((call, WAITS_IN_LOOP) for call in calls_in(loop) if waits(call, names))
    yield from ((left, LEAVES_EARLY) for statement in loop.body for left in _leaves(statement))


def _leaves(node: ast.AST, inner: bool = False) -> Iterator[ast.stmt]:
    """``return``, and ``break`` unless it belongs to an inner loop."""
    if isinstance(node, NESTED):
        return
    if isinstance(node, ast.Return) or (isinstance(node, ast.Break) and not inner):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _leaves(child, inner or isinstance(node, LOOPS))
