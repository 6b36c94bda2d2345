"""Durable calls where they cannot be made: inside the body's own transaction, and, if they wait, in a step."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from django.db import transaction

from durable_workflows import communication, longruns, primitives
from durable_workflows.checks.banned import Rule
from durable_workflows.checks.names import Names, dotted
from durable_workflows.checks.sources import Source, own
from durable_workflows.definitions import Workflow
from durable_workflows.queues import Queue

IN_ATOMIC = Rule(
    "durable_workflows.W045",
    "{what} has {call}() inside a transaction of its own. Durable calls are refused there: each is recorded by a"
    " transaction that must be able to commit at once.",
    "Take it out of atomic(). Writes that belong together go into one @step, which is a transaction already.",
)
ALL_ATOMIC = Rule(
    "durable_workflows.W045",
    "{what} is one transaction as a whole, by {call}. Durable calls are refused there: each is recorded by a transaction that"
    " must be able to commit at once.",
    "Remove the decorator. Writes that belong together go into one @step, which is a transaction already.",
)
WAITS_IN_STEP = Rule(
    "durable_workflows.W047",
    "{what} waits with {call}(). A step cannot be suspended, so it fails there at run time.",
    "Return from the step, and wait in the workflow's body.",
)

WAITING = frozenset(
    {"sleep", "sleep_until", "recv", "get_event", "get_result", "wait_first", "wait_all", "read_stream", "select"}
)
UNLESS_NO_TIME = {"get_event": 2, "read_stream": 3}  # the position of their timeout
UNRECORDED = frozenset({"current", "retrieve_workflow", "get_workflow_status", "saga"})
MODULES = (primitives, communication, longruns)
ATOMIC = "django.db.transaction.atomic"


def in_atomic(source: Source, names: Names) -> Iterator[tuple[ast.expr, Rule]]:
    """Durable calls in an ``atomic()`` block of the body, and an ``atomic`` around all of it."""
    yield from ((decorator, ALL_ATOMIC) for decorator in source.tree.decorator_list if _is_atomic(decorator, names))
    for block in source.body():
        if isinstance(block, ast.With) and any(_is_atomic(item.context_expr, names) for item in block.items):
            yield from ((node, IN_ATOMIC) for node in own(block) if isinstance(node, ast.Call) and is_durable(node, names))


def waits(call: ast.Call, names: Names) -> bool:
    """Whether the call waits for something, as only a workflow can."""
    target = names.resolve(call.func)
    if _is_definition(target):
        return isinstance(target.durable, Workflow)  # a child, whose end would be awaited
    if (name := primitive(target)) is not None:
        return name in WAITING and not (name in UNLESS_NO_TIME and _takes_no_time(call, UNLESS_NO_TIME[name]))
    return isinstance(call.func, ast.Attribute) and call.func.attr == "get_result" and _starts(call.func.value, names)


def _takes_no_time(call: ast.Call, index: int) -> bool:
    limits = [*call.args[index : index + 1], *(keyword.value for keyword in call.keywords if keyword.arg == "timeout_seconds")]
    return any(isinstance(limit, ast.Constant) and limit.value == 0 for limit in limits)


def is_durable(call: ast.Call, names: Names) -> bool:
    """Whether the call is one of a workflow, a step or a primitive that is recorded."""
    target = names.resolve(call.func)
    return _is_definition(target) or (primitive(target) or "current") not in UNRECORDED or _starts(call, names)


def primitive(target: Any) -> str | None:
    """The name of the primitive that ``target`` is."""
    if (path := dotted(target)) is not None:
        package, _, name = path.rpartition(".")
        known = any(hasattr(module, name) for module in MODULES)
        return name if known and package in ("durable_workflows", *(module.__name__ for module in MODULES)) else None
    is_ours = type(target) is FunctionType and target.__module__ in {module.__name__ for module in MODULES}
    return str(target.__name__) if is_ours else None


def _starts(node: ast.expr, names: Names) -> bool:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    owner = names.resolve(node.func.value)
    return (node.func.attr == "start" and _is_definition(owner)) or (node.func.attr == "enqueue" and type(owner) is Queue)


def _is_definition(target: Any) -> bool:
    return type(target) is FunctionType and "durable" in vars(target)


def _is_atomic(node: ast.expr, names: Names) -> bool:
    target = names.resolve(node.func if isinstance(node, ast.Call) else node)
    return target is transaction.atomic or dotted(target) == ATOMIC
