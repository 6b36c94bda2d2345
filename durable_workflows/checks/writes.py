"""Whether a call looks like a write through the ORM; in doubt it does not."""

from __future__ import annotations

import ast

from durable_workflows.checks.banned import IN_A_STEP, Rule
from durable_workflows.checks.names import Names

WRITES_ROWS = Rule(
    "durable_workflows.W044",
    "{what} writes to the database with {call}(), outside any step. Each replay of its body writes again.",
    IN_A_STEP,
)

MANAGERS = frozenset({"objects", "_default_manager", "_base_manager"})
QUERIES = frozenset({"all", "filter", "exclude", "order_by", "select_for_update", "using"})
OF_QUERYSETS = frozenset({"create", "update", "delete"})
UNMISTAKABLE = frozenset({"get_or_create", "update_or_create", "bulk_create", "bulk_update"})
OF_INSTANCES = {
    "save": {"force_insert", "force_update", "using", "update_fields"},
    "delete": {"using", "keep_parents"},
}


def writes_rows(call: ast.Call, names: Names) -> bool:
    """Whether the call is one of a manager, a queryset or, by the look of its arguments, a model instance."""
    if not isinstance(call.func, ast.Attribute):
        return False
    owner, method = call.func.value, call.func.attr
    if method in UNMISTAKABLE or (method in OF_QUERYSETS and _is_queryset(owner)):
        return True
    return _takes_what_instances_take(call, method) and _is_variable(owner, names)


def _is_queryset(node: ast.expr) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in MANAGERS or _is_queryset(node.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in QUERIES or _is_queryset(node.func.value)
    return False


def _takes_what_instances_take(call: ast.Call, method: str) -> bool:
    # Files, images and storages are saved under a name, cache entries are deleted by their key.
    known = OF_INSTANCES.get(method)
    return known is not None and not call.args and {keyword.arg for keyword in call.keywords} <= known


def _is_variable(node: ast.expr, names: Names) -> bool:
    # `self.save()` may well be a step; what a module or a class calls save() is its own affair.
    if isinstance(node, ast.Name):
        return node.id in names.local and node.id not in names.imported and node.id not in ("self", "cls")
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names.local
