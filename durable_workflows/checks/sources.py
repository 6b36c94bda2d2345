"""Where the source of a function stands, as a syntax tree with the line numbers of its file."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType
from typing import Any

SILENCED = re.compile(r"#\s*durable:\s*ok\b")
NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Source:
    """A function with its syntax tree."""

    function: FunctionType
    tree: ast.FunctionDef
    file: str
    lines: tuple[str, ...]

    def place(self, node: ast.expr | ast.stmt) -> str:
        """``file:line`` of a node."""
        return f"{self.file}:{node.lineno}"

    def silenced(self, node: ast.expr | ast.stmt) -> bool:
        """Whether one of the node's lines says ``# durable: ok``."""
        return any(SILENCED.search(line) for line in self.lines[node.lineno - 1 : node.end_lineno])

    def body(self) -> Iterator[ast.AST]:
        """Every node of the body, in order; functions and classes defined inside it are code of their own."""
        for statement in self.tree.body:
            yield from own(statement)


def own(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it, but for nested functions and classes."""
    if isinstance(node, NESTED):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from own(child)


def source_of(func: Callable[..., Any]) -> Source | None:
    """The source of a function beneath its decorators; None when there is none, or when it is not the one that runs."""
    function = inspect.unwrap(func)
    if not isinstance(function, FunctionType):
        return None
    try:
        lines = inspect.findsource(function)[0]
        functions = _functions("".join(lines))
    except (OSError, TypeError, SyntaxError, ValueError):  # typed into a shell, compiled away, or edited meanwhile
        return None
    code = function.__code__
    tree = functions.get((code.co_name, code.co_firstlineno))
    return Source(function, tree, inspect.getsourcefile(function) or code.co_filename, tuple(lines)) if tree else None


@lru_cache(maxsize=1)  # definitions come sorted by name, so those of one file mostly follow one another
def _functions(text: str) -> dict[tuple[str, int], ast.FunctionDef]:
    found = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef))
    return {(node.name, _first_line(node)): node for node in found}


def _first_line(node: ast.FunctionDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
