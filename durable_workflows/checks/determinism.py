"""
What a workflow's body does that a replay would do again or see otherwise, read from its source.

Only the body itself is read, not what it calls: that may be right in its own place. A line that knows better says
``# durable: ok``; a whole rule is switched off in ``SILENCED_SYSTEM_CHECKS``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from textwrap import shorten
from typing import Any

from django.apps import AppConfig
from django.core import checks

from durable_workflows.checks.banned import Banned, Rule
from durable_workflows.checks.definitions import declared_in
from durable_workflows.checks.durable_calls import WAITS_IN_STEP, in_atomic, waits
from durable_workflows.checks.loops import calls_in, in_loops, mistakes
from durable_workflows.checks.names import Names
from durable_workflows.checks.sources import Source, source_of
from durable_workflows.checks.writes import WRITES_ROWS, writes_rows
from durable_workflows.definitions import Definition, Step, Workflow

Finding = tuple[ast.expr | ast.stmt, Rule]


def check_determinism(*, app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Calls that belong into a step, in workflow bodies, and calls that belong into a workflow's body, in steps."""
    banned = Banned()
    return [message for definition in declared_in(app_configs) for message in _messages(definition, banned)]


def _messages(definition: Definition, banned: Banned) -> Iterator[checks.CheckMessage]:
    source = source_of(definition.func)
    if source is None:
        return
    for node, rule in dict.fromkeys(_findings(definition, source, banned)):  # one block may stand in another
        if not source.silenced(node):
            yield _message(definition, source, node, rule)


def _findings(definition: Definition, source: Source, banned: Banned) -> Iterator[Finding]:
    names = Names.of(source)
    calls = [node for node in source.body() if isinstance(node, ast.Call)]
    if isinstance(definition, Workflow):
        loops = list(in_loops(source, names))
        inside = {call for loop in loops for call in calls_in(loop)}
        yield from _in_workflow([call for call in calls if call not in inside], names, banned)
        yield from (found for loop in loops for found in mistakes(loop, names))
        yield from in_atomic(source, names)
    elif isinstance(definition, Step):
        yield from ((call, WAITS_IN_STEP) for call in calls if waits(call, names))


def _in_workflow(calls: list[ast.Call], names: Names, banned: Banned) -> Iterator[Finding]:
    for call in calls:
        rule = banned.rule(call, names.resolve(call.func))
        if rule is not None:
            yield call, rule
        elif writes_rows(call, names):
            yield call, WRITES_ROWS


def _message(definition: Definition, source: Source, node: ast.expr | ast.stmt, rule: Rule) -> checks.CheckMessage:
    what = f"The {type(definition).__name__.lower()} {definition.name!r}"
    named: ast.AST = node.func if isinstance(node, ast.Call) else node
    return checks.Warning(
        rule.problem.format(what=what, call=shorten(ast.unparse(named), 80, placeholder="...")),
        hint=f"{rule.cure} If it is meant so, end the line with the comment `# durable: ok`.",
        obj=source.place(node),
        id=rule.id,
    )
